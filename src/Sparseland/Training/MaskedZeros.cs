using System.Numerics;
using System.Runtime.CompilerServices;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Zeros at masked places: what each step of a masked training does to weights, gradients and moments, and a pruning to weights. Not a product, which would leave negative zeros and NaN.</summary>
internal static class MaskedZeros
{
    private const int PieceLength = 1 << 16;

    /// <summary>Writes zeros where the mask is true, or where it is false.</summary>
    /// <param name="target">Of any type.</param>
    /// <param name="mask">Bool of the same shape.</param>
    /// <param name="where">Which of the two.</param>
    public static void Write(Tensor target, Tensor mask, bool where)
    {
        using DisposeScope scope = NewDisposeScope();
        if (!Serves(target, mask))
        {
            target.masked_fill_(where ? mask : mask.logical_not(), 0);
            return;
        }

        // An operation in place on none of its numbers: who has kept the tensor for a gradient must see that it changed.
        target.view(-1).narrow(0, 0, 0).zero_();
        Each(target, target, mask, where);
    }

    /// <summary>A copy with zeros where the mask is false, without a gradient's graph.</summary>
    /// <param name="source">Of any type.</param>
    /// <param name="mask">Bool of the same shape.</param>
    public static Tensor Of(Tensor source, Tensor mask)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor from = source.detach();
        if (!Serves(from, mask)) return from.masked_fill(mask.logical_not(), 0).MoveToOuterDisposeScope();
        Tensor copy = empty_like(from);
        Each(from, copy, mask, where: false);
        return copy.MoveToOuterDisposeScope();
    }

    private static bool Serves(Tensor numbers, Tensor mask) =>
        mask.dtype == ScalarType.Bool && TensorMemory.IsPlain(mask) && TensorMemory.IsPlain(numbers) && numbers.element_size() is 2 or 4 or 8
        && numbers.numel() > 0 && numbers.shape.SequenceEqual(mask.shape);

    private static void Each(Tensor source, Tensor target, Tensor mask, bool where)
    {
        if (source.element_size() == 4) Each<uint>(source, target, mask, where);
        else if (source.element_size() == 8) Each<ulong>(source, target, mask, where);
        else Each<ushort>(source, target, mask, where);
    }

    private static void Each<T>(Tensor source, Tensor target, Tensor mask, bool where)
        where T : unmanaged, IBinaryInteger<T>
    {
        (nint from, nint to, nint flags, long length) = (TensorMemory.StartOf(source), TensorMemory.StartOf(target), TensorMemory.StartOf(mask), target.numel());
        Pieces.For(length, PieceLength, (start, count) =>
            Fill(TensorMemory.Part<T>(from, start, count), TensorMemory.Part<T>(to, start, count), TensorMemory.Part<byte>(flags, start, count), where ? T.One : T.Zero));
        GC.KeepAlive(source);
        GC.KeepAlive(target);
        GC.KeepAlive(mask);
    }

    // Without a branch, which a random mask would make guesswork: all bits of a number, or none.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Fill<T>(ReadOnlySpan<T> from, Span<T> to, ReadOnlySpan<byte> mask, T where)
        where T : unmanaged, IBinaryInteger<T>
    {
        to = to[..from.Length];
        mask = mask[..from.Length];
        for (int i = 0; i < from.Length; i++) to[i] = from[i] & (T.Zero - (T.CreateTruncating(mask[i]) ^ where));
    }
}
