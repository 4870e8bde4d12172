using System.Numerics;
using System.Runtime.CompilerServices;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Zeros at masked places, in place: what each step of a masked training does to weights, gradients and moments. Not a product, which would leave negative zeros and NaN.</summary>
internal static class MaskedZeros
{
    // So many numbers are worth handing to another thread.
    private const int PieceLength = 1 << 16;

    /// <summary>Writes zeros where the mask is true, or where it is false.</summary>
    /// <param name="target">Of any type.</param>
    /// <param name="mask">Bool of the same shape.</param>
    /// <param name="where">Which of the two.</param>
    public static void Write(Tensor target, Tensor mask, bool where)
    {
        if (target.device_type == DeviceType.CPU && mask.device_type == DeviceType.CPU && target.is_contiguous() && mask.is_contiguous() && target.numel() > 0 && target.shape.SequenceEqual(mask.shape))
        {
            bool done = target.element_size() switch { 4 => Write<uint>(target, mask, where), 8 => Write<ulong>(target, mask, where), 2 => Write<ushort>(target, mask, where), _ => false };
            if (done) return;
        }

        using DisposeScope scope = NewDisposeScope();
        target.masked_fill_(where ? mask : mask.logical_not(), 0);
    }

    private static bool Write<T>(Tensor target, Tensor mask, bool where)
        where T : unmanaged, IBinaryInteger<T>
    {
        // An operation in place on none of its numbers: who has kept the tensor for a gradient must see that it changed.
        using DisposeScope scope = NewDisposeScope();
        target.view(-1).narrow(0, 0, 0).zero_();
        (nint numbers, nint flags, long length) = (TensorMemory.StartOf(target), TensorMemory.StartOf(mask), target.numel());
        long pieces = (length + PieceLength - 1) / PieceLength;
        void Piece(long piece)
        {
            long start = piece * PieceLength;
            int count = (int)Math.Min(PieceLength, length - start);
            Write(TensorMemory.Part<T>(numbers, start, count), TensorMemory.Part<byte>(flags, start, count), where ? T.One : T.Zero);
        }

        if (pieces == 1) Piece(0);
        else Parallel.For(0, pieces, Piece);
        return true;
    }

    // Without a branch, which a random mask would make guesswork: all bits of a number, or none.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Write<T>(Span<T> numbers, ReadOnlySpan<byte> mask, T where)
        where T : unmanaged, IBinaryInteger<T>
    {
        mask = mask[..numbers.Length];
        for (int i = 0; i < numbers.Length; i++) numbers[i] &= T.Zero - (T.CreateTruncating(mask[i]) ^ where);
    }
}
