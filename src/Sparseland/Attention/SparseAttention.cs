using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention;

/// <summary>
/// Attention over a part of the keys, with gradients, on the CPU. What is not kept is not read, and no matrix of tokens x keys is ever in memory: time goes with the
/// cells, memory with the tokens.
/// </summary>
public static class SparseAttention
{
    /// <summary>softmax over the kept keys of each query, cell by cell: for patterns that are thin, ragged or scattered, and for one token at a time.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim], Float32 or Float64.</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim]; keyValueHeads divides heads.</param>
    /// <param name="v">Values [batch, keyValueHeads, keys, valueDim].</param>
    /// <param name="support">Kept cells: of one head for all, of each head, or of each head of each sequence.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <param name="emptyRows">Whether a query may see no key: its output is then 0 and its log-sum-exp -infinity. Default false, which refuses it.</param>
    /// <returns>Output [batch, heads, tokens, valueDim], with gradients; log of the sum of the exponentials of each query's scores [batch, heads, tokens], without.</returns>
    /// <exception cref="ArgumentException">Shapes, types or devices that do not fit, a query without keys, NaN or infinity in what is read, or scores that leave the range of the type.</exception>
    public static (Tensor Output, Tensor LogSumExp) Attend(Tensor q, Tensor k, Tensor v, AttentionSupport support, double? scale = null, bool emptyRows = false)
    {
        ArgumentNullException.ThrowIfNull(support);
        AttentionShape shape = AttentionShape.Of(q, k, v, support.Causal);
        support.CheckFits(shape, emptyRows);
        return SparseSoftmax.Attend(q, k, v, new SparseSoftmax.Cells(shape, support, shape.Scale(scale, q.dtype)));
    }

    /// <summary>softmax over the visible keys of each query, in blocks of queries: the fast form, for patterns in which neighbouring queries share keys.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim], Float32; Float64 is computed cell by cell.</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim]; keyValueHeads divides heads.</param>
    /// <param name="v">Values [batch, keyValueHeads, keys, valueDim].</param>
    /// <param name="blocks">What is computed: of one head for all, of each head, or of each head of each sequence.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <returns>Output [batch, heads, tokens, valueDim], with gradients; log-sum-exp [batch, heads, tokens], without. A query that sees no key has output 0 and -infinity.</returns>
    /// <exception cref="ArgumentException">Shapes, types or devices that do not fit, NaN or infinity, or scores that leave the range of the type.</exception>
    public static (Tensor Output, Tensor LogSumExp) Attend(Tensor q, Tensor k, Tensor v, IReadOnlyList<BlockSupport> blocks, double? scale = null)
    {
        ArgumentNullException.ThrowIfNull(blocks);
        AttentionShape shape = AttentionShape.Of(q, k, v, causal: true);
        double factor = shape.Scale(scale, q.dtype);
        if (blocks.Count != 1 && blocks.Count != shape.Heads && blocks.Count != shape.Batch * shape.Heads)
            throw new ArgumentException($"There are blocks of {blocks.Count} heads; 1, {shape.Heads} or {shape.Batch} x {shape.Heads} fit.", nameof(blocks));
        foreach (BlockSupport one in blocks)
        {
            ArgumentNullException.ThrowIfNull(one, nameof(blocks));
            if (one.Tokens != shape.Tokens || one.Offset != shape.Offset)
                throw new ArgumentException($"Blocks are of {one.Tokens} queries behind {one.Offset} tokens; there are {shape.Tokens} behind {shape.Offset}.", nameof(blocks));
        }

        if (q.device_type == DeviceType.CPU) AttentionShape.CheckSums(q, k);
        if (q.dtype == ScalarType.Float64)
            return SparseSoftmax.Attend(q, k, v, new SparseSoftmax.Cells(shape, new([.. blocks.Select(b => b.ToSupport())], true, shape.Offset), factor));
        return SparseSoftmax.Attend(q, k, v, new SparseSoftmax.Tiles(shape, blocks, factor, Causal: true));
    }
}
