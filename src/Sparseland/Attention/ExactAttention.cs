using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention;

/// <summary>Exact attention: what every pattern is measured against. Memory goes with the tokens, time with their square.</summary>
public static class ExactAttention
{
    private const long PieceRows = 512;

    /// <summary>O = softmax(scale Q K^T) V over all allowed keys, and the log-sum-exp of each query's scores.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim], Float32 or Float64.</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim]; keyValueHeads divides heads, each serves heads / keyValueHeads neighbours.</param>
    /// <param name="v">Values [batch, keyValueHeads, keys, valueDim].</param>
    /// <param name="support">Kept cells; null, the default, for all. With it the scores are masked densely: the reference for sparse kernels.</param>
    /// <param name="causal">Whether a query sees itself and what stands before it alone. Default true; a support says it itself.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <returns>Output [batch, heads, tokens, valueDim], with gradients; log-sum-exp [batch, heads, tokens], without. A query without any key has output 0 and -infinity.</returns>
    /// <exception cref="ArgumentException">Shapes, types or devices that do not fit, NaN or infinity, or scores that leave the range of the type.</exception>
    public static (Tensor Output, Tensor LogSumExp) Attend(Tensor q, Tensor k, Tensor v, AttentionSupport? support = null, bool causal = true, double? scale = null)
    {
        AttentionShape shape = AttentionShape.Of(q, k, v, support?.Causal ?? causal);
        double factor = shape.Scale(scale, q.dtype);
        support?.CheckFits(shape, emptyRows: true);
        if (support is null && q.dtype == ScalarType.Float32 && q.device_type == DeviceType.CPU)
        {
            AttentionShape.CheckSums(q, k);
            BlockSupport all = causal ? BlockSupport.Full(shape.Tokens, shape.Offset) : Everything(shape.Tokens, shape.Keys);
            return SparseSoftmax.Attend(q, k, v, new SparseSoftmax.Tiles(shape, [all], factor, causal));
        }

        AttentionShape.CheckSums(q, k);
        using DisposeScope scope = NewDisposeScope();
        (k, v) = (HeadInput.Shared(k, shape.Group), HeadInput.Shared(v, shape.Group));
        List<Tensor> outputs = [], sums = [];
        Tensor? kept = support?.MaskOver(shape.Batch, shape.Heads).to(q.device);
        for (long from = 0; from < shape.Tokens; from += PieceRows)
        {
            long count = Math.Min(PieceRows, shape.Tokens - from);
            Tensor? hidden = kept?.narrow(2, from, count).logical_not();
            if (kept is null && causal) hidden = ones([count, shape.Keys], dtype: ScalarType.Bool, device: q.device).triu(shape.Offset + from + 1);
            (Tensor output, Tensor sum) = Piece(q.narrow(2, from, count), k, v, hidden, factor);
            outputs.Add(output);
            sums.Add(sum);
        }

        Tensor sumsOfAll = sums.Count == 1 ? sums[0] : cat(sums, 2);
        Tensor whole = outputs.Count == 1 ? outputs[0] : cat(outputs, 2);
        if (!TensorInput.IsFinite(whole) || sumsOfAll.isnan().any().item<bool>()) throw SparseSoftmax.NotFinite(q, k, v);
        return (scope.MoveToOuter(whole), scope.MoveToOuter(sumsOfAll));
    }

    /// <summary>Attention weights P as a matrix: of short sequences, to look at.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim].</param>
    /// <param name="support">Kept cells; null, the default, for all.</param>
    /// <param name="causal">Whether a query sees itself and what stands before it alone. Default true; a support says it itself.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <returns>[batch, heads, tokens, keys]; rows have the sum one, or zero where a query sees no key.</returns>
    /// <exception cref="ArgumentException">Shapes, types or devices that do not fit, NaN or infinity, or scores that leave the range of the type.</exception>
    public static Tensor Pattern(Tensor q, Tensor k, AttentionSupport? support = null, bool causal = true, double? scale = null)
    {
        AttentionShape shape = AttentionShape.Of(q, k, k, support?.Causal ?? causal);
        support?.CheckFits(shape, emptyRows: true);
        AttentionShape.CheckSums(q, k);
        using DisposeScope scope = NewDisposeScope();
        Tensor? hidden = support is not null ? support.MaskOver(shape.Batch, shape.Heads).logical_not()
            : causal ? ones([shape.Tokens, shape.Keys], dtype: ScalarType.Bool, device: q.device).triu(shape.Offset + 1) : null;
        Tensor pattern = Weights(q, HeadInput.Shared(k, shape.Group), hidden, shape.Scale(scale, q.dtype)).Pattern;
        return TensorInput.IsFinite(pattern) ? scope.MoveToOuter(pattern) : throw SparseSoftmax.NotFinite(q, k, k);
    }

    private static BlockSupport Everything(int tokens, int keys)
    {
        // Seen from a place behind all keys nothing comes later; the kernel is told that nothing is hidden.
        int rows = (tokens + 63) / 64;
        return new(tokens, 64, [.. Enumerable.Repeat(new KeyRange[] { new(0, keys) }, rows)], offset: Math.Max(keys, keys - tokens));
    }

    private static (Tensor Output, Tensor LogSumExp) Piece(Tensor q, Tensor k, Tensor v, Tensor? hidden, double scale)
    {
        (Tensor pattern, Tensor sums) = Weights(q, k, hidden, scale);
        return (pattern.MatMulOfHeads(v), sums);
    }

    private static (Tensor Pattern, Tensor LogSumExp) Weights(Tensor q, Tensor k, Tensor? hidden, double scale)
    {
        Tensor scores = q.mul(scale).MatMulOfHeads(k.transpose(2, 3));
        if (hidden is not null) scores = scores.masked_fill(hidden, double.NegativeInfinity);
        Tensor sums = scores.detach().logsumexp(-1), pattern = scores.softmax(-1);

        // A row of -infinity alone has a softmax of NaN.
        return (hidden is null ? pattern : pattern.masked_fill(hidden, 0), sums);
    }

    private static Tensor MatMulOfHeads(this Tensor left, Tensor right) =>
        left.flatten(0, 1).bmm(right.flatten(0, 1)).view(left.shape[0], left.shape[1], left.shape[2], right.shape[3]);
}
