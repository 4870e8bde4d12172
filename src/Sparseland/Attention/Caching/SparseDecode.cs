using System.Buffers;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Caching;

/// <summary>Attention of one new token over chosen tokens of a cache: keys and values are read where they lie, and only those.</summary>
public static class SparseDecode
{
    /// <summary>softmax(scale q K^T) V over the chosen tokens of each head.</summary>
    /// <param name="q">Queries of one token [batch, heads, 1, headDim], Float32 on the CPU.</param>
    /// <param name="keys">All keys of the cache [batch, keyValueHeads, tokens, headDim]; a view is read as it is.</param>
    /// <param name="values">All values [batch, keyValueHeads, tokens, valueDim].</param>
    /// <param name="selection">Chosen tokens, of each key-value head or of each query head.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <returns>[batch, heads, 1, valueDim], without gradients.</returns>
    /// <exception cref="ArgumentException">Shapes, types or a selection that do not fit; NaN or infinity in what is read.</exception>
    public static unsafe Tensor Attend(Tensor q, Tensor keys, Tensor values, CacheSelection selection, double? scale = null)
    {
        AttentionShape shape = AttentionShape.Of(q, keys, values, causal: true);
        ArgumentNullException.ThrowIfNull(selection);
        if (shape.Tokens != 1) throw new ArgumentException($"q has {shape.Tokens} tokens; this is for one.", nameof(q));
        if (q.dtype != ScalarType.Float32 || q.device_type != DeviceType.CPU) throw new ArgumentException($"q is {q.dtype} on {q.device_type}; this is for Float32 on the CPU.", nameof(q));
        if (selection.Tokens != shape.Keys || selection.Batch != shape.Batch || (selection.Heads != shape.KeyValueHeads && selection.Heads != shape.Heads))
        {
            throw new ArgumentException(
                $"The selection is of {selection.Batch} sequences, {selection.Heads} heads and {selection.Tokens} tokens; the cache has {shape.Batch} sequences, {shape.KeyValueHeads} heads for {shape.Heads} of the queries, and {shape.Keys} tokens.", nameof(selection));
        }

        float factor = (float)shape.Scale(scale, q.dtype);
        using DisposeScope scope = NewDisposeScope();
        HeadMemory qs = HeadMemory.Of(q.detach(), 1, out Tensor q0), ks = HeadMemory.Of(keys.detach(), 1, out Tensor k0), vs = HeadMemory.Of(values.detach(), 1, out Tensor v0);
        Tensor output = empty([shape.Batch, shape.Heads, 1, shape.ValueDim]);
        nint o0 = TensorMemory.StartOf(output);
        int bad = 0, shares = shape.Heads / selection.Heads;

        // Query heads that share keys are one piece, so that the keys are still in the cache of the processor for the second one.
        IndependentWork.For(shape.Batch * shape.KeyValueHeads, piece =>
        {
            (int batch, int shared) = (piece / shape.KeyValueHeads, piece % shape.KeyValueHeads);
            for (int head = shared * shape.Group; head < (shared + 1) * shape.Group; head++)
            {
                ReadOnlySpan<int> kept = selection.Kept(batch, head / shares);
                float[] scores = ArrayPool<float>.Shared.Rent(kept.Length);
                if (!DecodeKernel.Attend(
                    new(qs.Head(batch, head), shape.HeadDim), ks.Head(batch, shared), ks.Row, vs.Head(batch, shared), vs.Row, kept, factor, scores.AsSpan(0, kept.Length),
                    TensorMemory.Part<float>(o0, ((long)batch * shape.Heads + head) * shape.ValueDim, shape.ValueDim)))
                {
                    Interlocked.Exchange(ref bad, 1);
                }

                ArrayPool<float>.Shared.Return(scores);
            }
        }, CancellationToken.None);
        foreach (Tensor held in new[] { q0, k0, v0 }) GC.KeepAlive(held);
        if (bad > 0 || !TensorInput.IsFinite(output))
        {
            AttentionShape.CheckFinite(q, keys, values);
            throw new ArgumentException("The products of q and keys leave the range of Float32.", nameof(q));
        }

        return scope.MoveToOuter(output);
    }
}
