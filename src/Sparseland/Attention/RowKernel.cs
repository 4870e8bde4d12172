using System.Numerics;
using System.Numerics.Tensors;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Attention;

/// <summary>softmax(Q K^T) V over the cells of an <see cref="AttentionSupport"/>, query by query: keys are read where they lie, and only those.</summary>
internal static unsafe class RowKernel<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private const int RowsOfPiece = 64;

    public static (Tensor Output, Tensor LogSumExp) Forward(Tensor q, Tensor k, Tensor v, AttentionShape shape, AttentionSupport support, double scale)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor qs = q.detach().contiguous(), ks = k.detach().contiguous(), vs = v.detach().contiguous();
        Tensor output = zeros([shape.Batch, shape.Heads, shape.Tokens, shape.ValueDim], dtype: q.dtype), logSumExp = empty([shape.Batch, shape.Heads, shape.Tokens], dtype: q.dtype);
        nint q0 = TensorMemory.StartOf(qs), k0 = TensorMemory.StartOf(ks), v0 = TensorMemory.StartOf(vs), o0 = TensorMemory.StartOf(output), l0 = TensorMemory.StartOf(logSumExp);
        int pieces = (shape.Tokens + RowsOfPiece - 1) / RowsOfPiece, d = shape.HeadDim, e = shape.ValueDim;
        IndependentWork.For(shape.Batch * shape.Heads * pieces, piece =>
        {
            int at = piece / pieces, batch = at / shape.Heads, head = at % shape.Heads;
            long shared = (batch * shape.KeyValueHeads) + (head / shape.Group);
            Support cells = support.At(batch, head, shape.Heads);
            int first = piece % pieces * RowsOfPiece, last = Math.Min(shape.Tokens, first + RowsOfPiece);
            T[] weights = new T[Most(cells, first, last)];
            for (int i = first; i < last; i++)
            {
                long row = ((long)at * shape.Tokens) + i;
                ReadOnlySpan<int> kept = cells.Row(i);
                Span<T> p = weights.AsSpan(0, kept.Length);
                TensorMemory.Part<T>(l0, row, 1)[0] = Weights(TensorMemory.Part<T>(q0, row * d, d), k0, shared * shape.Keys, d, kept, T.CreateTruncating(scale), p);
                if (kept.IsEmpty) continue;
                Span<T> to = TensorMemory.Part<T>(o0, row * e, e);
                for (int j = 0; j < kept.Length; j++) TensorPrimitives.MultiplyAdd(TensorMemory.Part<T>(v0, ((shared * shape.Keys) + kept[j]) * e, e), p[j], to, to);
            }
        }, CancellationToken.None);
        GC.KeepAlive(qs);
        GC.KeepAlive(ks);
        GC.KeepAlive(vs);
        return (scope.MoveToOuter(output), scope.MoveToOuter(logSumExp));
    }

    public static (Tensor Queries, Tensor Keys, Tensor Values) Backward(
        Tensor q, Tensor k, Tensor v, Tensor output, Tensor gradient, AttentionShape shape, AttentionSupport support, double scale)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor qs = q.contiguous(), ks = k.contiguous(), vs = v.contiguous(), os = output.contiguous(), gs = gradient.contiguous();
        Tensor dq = zeros_like(qs), dk = zeros_like(ks), dv = zeros_like(vs);
        nint q0 = TensorMemory.StartOf(qs), k0 = TensorMemory.StartOf(ks), v0 = TensorMemory.StartOf(vs), o0 = TensorMemory.StartOf(os), g0 = TensorMemory.StartOf(gs);
        nint dq0 = TensorMemory.StartOf(dq), dk0 = TensorMemory.StartOf(dk), dv0 = TensorMemory.StartOf(dv);
        int d = shape.HeadDim, e = shape.ValueDim;
        T factor = T.CreateTruncating(scale);

        // Heads that share keys add to the same gradients, so they are one piece.
        IndependentWork.For(shape.Batch * shape.KeyValueHeads, shared =>
        {
            long keys = (long)shared * shape.Keys;
            for (int g = 0; g < shape.Group; g++)
            {
                int batch = shared / shape.KeyValueHeads, head = (shared % shape.KeyValueHeads * shape.Group) + g;
                Support cells = support.At(batch, head, shape.Heads);
                T[] weights = new T[Most(cells, 0, shape.Tokens)];
                for (int i = 0; i < shape.Tokens; i++)
                {
                    long row = ((((long)batch * shape.Heads) + head) * shape.Tokens) + i;
                    ReadOnlySpan<int> kept = cells.Row(i);
                    if (kept.IsEmpty) continue;
                    ReadOnlySpan<T> query = TensorMemory.Part<T>(q0, row * d, d), slope = TensorMemory.Part<T>(g0, row * e, e);
                    Span<T> p = weights.AsSpan(0, kept.Length), toQuery = TensorMemory.Part<T>(dq0, row * d, d);
                    Weights(query, k0, keys, d, kept, factor, p);
                    T mean = TensorPrimitives.Dot(slope, TensorMemory.Part<T>(o0, row * e, e));
                    for (int j = 0; j < kept.Length; j++)
                    {
                        long key = keys + kept[j];
                        Span<T> toValue = TensorMemory.Part<T>(dv0, key * e, e), toKey = TensorMemory.Part<T>(dk0, key * d, d);
                        T change = factor * p[j] * (TensorPrimitives.Dot(slope, TensorMemory.Part<T>(v0, key * e, e)) - mean);
                        TensorPrimitives.MultiplyAdd(slope, p[j], toValue, toValue);
                        TensorPrimitives.MultiplyAdd(query, change, toKey, toKey);
                        TensorPrimitives.MultiplyAdd(TensorMemory.Part<T>(k0, key * d, d), change, toQuery, toQuery);
                    }
                }
            }
        }, CancellationToken.None);
        foreach (Tensor held in new[] { qs, ks, vs, os, gs }) GC.KeepAlive(held);
        return (scope.MoveToOuter(dq), scope.MoveToOuter(dk), scope.MoveToOuter(dv));
    }

    /// <summary>
    /// Weights of the kept keys; returns the log-sum-exp of their scores, -infinity of none. Weights are divided by their sum: the rounded log-sum-exp of scores of 1e7 is off by a half, and they
    /// would have another sum than one.
    /// </summary>
    private static T Weights(ReadOnlySpan<T> query, nint k0, long first, int d, ReadOnlySpan<int> kept, T scale, Span<T> weights)
    {
        if (kept.IsEmpty) return T.NegativeInfinity;
        for (int j = 0; j < kept.Length; j++) weights[j] = scale * TensorPrimitives.Dot<T>(query, TensorMemory.Part<T>(k0, (first + kept[j]) * d, d));
        T most = TensorPrimitives.Max<T>(weights);

        // Keys are read here alone, so that an infinite one is found here: without this it would count as one that is hidden.
        if (T.IsNegativeInfinity(TensorPrimitives.Min<T>(weights))) most = T.NaN;
        TensorPrimitives.Subtract(weights, most, weights);
        TensorPrimitives.Exp<T>(weights, weights);
        T sum = TensorPrimitives.Sum<T>(weights);
        TensorPrimitives.Divide(weights, sum, weights);
        return most + T.Log(sum);
    }

    private static int Most(Support cells, int first, int last)
    {
        int most = 0;
        for (int i = first; i < last; i++) most = Math.Max(most, cells.RowOffsets[i + 1] - cells.RowOffsets[i]);
        return most;
    }
}
