using System.Numerics;
using System.Runtime.CompilerServices;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Scores of which some places alone are candidates, as a selection reads them: minus infinity elsewhere.</summary>
internal static class CandidateScores
{
    private const int PieceLength = 1 << 16;

    /// <summary>The scores with minus infinity at all places that are no candidates; null where a candidate's score is not finite.</summary>
    /// <param name="scores">Floating point, of any shape.</param>
    /// <param name="among">Bool of the same shape: true for a candidate.</param>
    /// <param name="own">The scores may be overwritten: no second tensor of the layer's size is made.</param>
    /// <remarks>One pass: layers of millions of weights are ranked in every update of the masks.</remarks>
    public static Tensor? Of(Tensor scores, Tensor among, bool own = false)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor source = scores.detach().cpu(), candidates = among.cpu().contiguous();
        source = (source.dtype is ScalarType.Float64 or ScalarType.Float32 ? source : source.to(ScalarType.Float32)).contiguous();
        Tensor ranked = own ? source : empty(source.shape, dtype: source.dtype);
        bool finite = source.dtype == ScalarType.Float64
            ? Fill(source, candidates, ranked, BitConverter.DoubleToUInt64Bits(double.PositiveInfinity), BitConverter.DoubleToUInt64Bits(double.NegativeInfinity))
            : Fill(source, candidates, ranked, BitConverter.SingleToUInt32Bits(float.PositiveInfinity), BitConverter.SingleToUInt32Bits(float.NegativeInfinity));
        return finite ? ranked.MoveToOuterDisposeScope() : null;
    }

    private static bool Fill<T>(Tensor source, Tensor among, Tensor ranked, T infinity, T lowest)
        where T : unmanaged, IBinaryInteger<T>
    {
        (nint from, nint mask, nint to, long length) = (TensorMemory.StartOf(source), TensorMemory.StartOf(among), TensorMemory.StartOf(ranked), source.numel());
        int broken = 0;
        Pieces.For(length, PieceLength, (start, count) =>
        {
            if (Fill(TensorMemory.Part<T>(from, start, count), TensorMemory.Part<byte>(mask, start, count), TensorMemory.Part<T>(to, start, count), infinity, lowest) == infinity)
                Volatile.Write(ref broken, 1);
        });
        return broken == 0;
    }

    // On the bits of the numbers and without a branch, which a random mask would make guesswork. The largest exponent of a candidate is that of infinity where one is not finite.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static T Fill<T>(ReadOnlySpan<T> source, ReadOnlySpan<byte> among, Span<T> ranked, T infinity, T lowest)
        where T : unmanaged, IBinaryInteger<T>
    {
        among = among[..source.Length];
        ranked = ranked[..source.Length];
        T largest = T.Zero;
        for (int i = 0; i < source.Length; i++)
        {
            T keep = T.Zero - T.CreateTruncating(among[i]), kept = source[i] & keep;
            ranked[i] = kept | (lowest & ~keep);
            largest = T.Max(largest, kept & infinity);
        }

        return largest;
    }
}
