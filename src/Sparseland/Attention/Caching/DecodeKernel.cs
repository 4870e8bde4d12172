using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace Sparseland.Attention.Caching;

/// <summary>Attention of one query over some rows of keys and values that lie in memory.</summary>
internal static unsafe class DecodeKernel
{
    /// <summary>softmax(scale q K^T) V over the rows that are kept.</summary>
    /// <param name="q">Query.</param>
    /// <param name="keys">First key.</param>
    /// <param name="keyRow">Floats from one key to the next.</param>
    /// <param name="values">First value.</param>
    /// <param name="valueRow">Floats from one value to the next.</param>
    /// <param name="kept">Rows; empty for the first ones, as many as there is room for scores.</param>
    /// <param name="scale">Factor of the products.</param>
    /// <param name="scores">Room for as many scores as rows.</param>
    /// <param name="output">As wide as a value.</param>
    /// <returns>Whether all scores were finite.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool Attend(ReadOnlySpan<float> q, float* keys, long keyRow, float* values, long valueRow, ReadOnlySpan<int> kept, float scale, Span<float> scores, Span<float> output)
    {
        if (kept.IsEmpty)
        {
            for (int j = 0; j < scores.Length; j++) scores[j] = TensorPrimitives.Dot(q, new ReadOnlySpan<float>(keys + (j * keyRow), q.Length));
        }
        else
        {
            for (int j = 0; j < scores.Length; j++) scores[j] = TensorPrimitives.Dot(q, new ReadOnlySpan<float>(keys + (kept[j] * keyRow), q.Length));
        }

        float most = TensorPrimitives.Max<float>(scores);
        if (!float.IsFinite(most) || !float.IsFinite(TensorPrimitives.Min<float>(scores))) return false;
        TensorPrimitives.Subtract(scores, most, scores);
        TensorPrimitives.Multiply(scores, scale, scores);
        TensorPrimitives.Exp(scores, scores);
        float sum = TensorPrimitives.Sum<float>(scores);
        output.Clear();
        for (int j = 0; j < scores.Length; j++) TensorPrimitives.MultiplyAdd(new ReadOnlySpan<float>(values + ((kept.IsEmpty ? j : kept[j]) * valueRow), output.Length), scores[j], output, output);
        TensorPrimitives.Divide(output, sum, output);
        return true;
    }
}
