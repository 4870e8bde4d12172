using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>From one score per token and term to one weight per term.</summary>
public static class SparsePooling
{
    // Scores that are computed at once: 64 MB of float32.
    internal const long Most = 1 << 24;

    // The same where nothing is trained and a cancellation is heard between parts: less than a tenth of a second.
    internal const long MostAtAStep = 1 << 22;

    // One for ever: a number that is made for a call can be collected while the call still reads it, when other threads allocate.
    private static readonly Scalar s_hidden = double.NegativeInfinity;

    /// <summary>SPLADE's pooling (Formal et al. 2021, "max" of the second version): w_j = log(1 + ReLU(max_i z_ij)) over the tokens that stand.</summary>
    /// <param name="logits">z [texts, tokens, terms].</param>
    /// <param name="mask">True where a token stands [texts, tokens]; null where all do.</param>
    /// <param name="twice">Whether the logarithm is taken once more, log(1 + w), as later inference-free models have it (arXiv 2504.14839). Default false.</param>
    /// <returns>w [texts, terms], at least 0; a text without a token has none.</returns>
    /// <exception cref="ArgumentException">Wrong shapes.</exception>
    public static Tensor Max(Tensor logits, Tensor? mask, bool twice = false)
    {
        ArgumentNullException.ThrowIfNull(logits);
        if (logits.dim() != 3) throw new ArgumentException($"logits must be [texts, tokens, terms], but are [{string.Join(", ", logits.shape)}].", nameof(logits));
        CheckMask(mask, logits);
        using DisposeScope scope = NewDisposeScope();
        if (logits.shape[1] == 0) return zeros([logits.shape[0], logits.shape[2]], logits.dtype, logits.device).MoveToOuterDisposeScope();

        // max(dim) keeps the places for its gradient, and not the scores.
        Tensor hidden = mask is null ? logits : logits.masked_fill(mask.logical_not().unsqueeze(2), s_hidden);
        return Damped(hidden.max(1).values.relu(), twice).MoveToOuterDisposeScope();
    }

    /// <summary>The pooled weights of a linear layer over states, some texts at a time: the scores of all texts together would take gigabytes.</summary>
    /// <param name="states">h [texts, tokens, width], as the layer wants them.</param>
    /// <param name="mask">True where a token stands [texts, tokens]; null where all do.</param>
    /// <param name="embeddings">E [terms, width].</param>
    /// <param name="bias">b [terms].</param>
    /// <param name="twice">As for <see cref="Max"/>. Default false.</param>
    /// <returns>w [texts, terms], with a gradient where the inputs have one.</returns>
    public static Tensor OfLinear(Tensor states, Tensor? mask, Tensor embeddings, Tensor bias, bool twice = false) => OfLinear(states, mask, embeddings, bias, twice, Most, CancellationToken.None);

    internal static Tensor OfLinear(Tensor states, Tensor? mask, Tensor embeddings, Tensor bias, bool twice, long most, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(states);
        ArgumentNullException.ThrowIfNull(embeddings);
        ArgumentNullException.ThrowIfNull(bias);
        if (states.dim() != 3) throw new ArgumentException($"states must be [texts, tokens, width], but are [{string.Join(", ", states.shape)}].", nameof(states));
        CheckMask(mask, states);
        using DisposeScope scope = NewDisposeScope();
        if (states.shape[0] == 0) return zeros([0, embeddings.shape[0]], states.dtype, states.device).MoveToOuterDisposeScope();
        if (PooledLinear.Takes(states, embeddings, bias)) return Damped(PooledLinear.Of(states, mask, embeddings, bias, cancel), twice).MoveToOuterDisposeScope();
        long texts = states.shape[0], step = Math.Max(1, most / Math.Max(1, states.shape[1] * embeddings.shape[0]));
        var parts = new List<Tensor>();
        for (long from = 0; from < texts; from += step)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope inner = NewDisposeScope();
            long count = Math.Min(step, texts - from);
            Tensor logits = nn.functional.linear(states.narrow(0, from, count), embeddings, bias);
            parts.Add(inner.MoveToOuter(Max(logits, mask?.narrow(0, from, count), twice)));
        }

        return (parts.Count == 1 ? parts[0] : cat(parts, 0)).MoveToOuterDisposeScope();
    }

    /// <summary>From the largest scores to weights.</summary>
    private static Tensor Damped(Tensor pooled, bool twice)
    {
        Tensor weights = pooled.log1p();
        return twice ? weights.log1p() : weights;
    }

    private static void CheckMask(Tensor? mask, Tensor tokens)
    {
        if (mask is not null && !mask.shape.SequenceEqual(tokens.shape[..2]))
            throw new ArgumentException($"mask must be [{string.Join(", ", tokens.shape[..2])}], but is [{string.Join(", ", mask.shape)}].", nameof(mask));
    }

    /// <summary>Rows of weights as sparse vectors.</summary>
    /// <param name="weights">w [texts, terms], at least 0.</param>
    /// <param name="names">Number of each term in the vectors; null, the default, for its column.</param>
    /// <exception cref="ArgumentException">Wrong shape, or a weight that is not finite.</exception>
    public static SparseVector[] ToVectors(Tensor weights, IReadOnlyList<int>? names = null)
    {
        ArgumentNullException.ThrowIfNull(weights);
        if (weights.dim() != 2) throw new ArgumentException($"weights must be [texts, terms], but are [{string.Join(", ", weights.shape)}].", nameof(weights));
        int terms = (int)weights.shape[1];
        using DisposeScope scope = NewDisposeScope();
        Tensor plain = weights.detach().to(ScalarType.Float32).cpu().contiguous();
        ReadOnlySpan<float> values = TensorMemory.Read<float>(plain);
        var vectors = new SparseVector[weights.shape[0]];
        var (places, kept) = (new List<int>(), new List<float>());
        for (int text = 0; text < vectors.Length; text++)
        {
            places.Clear();
            kept.Clear();
            ReadOnlySpan<float> row = values.Slice(text * terms, terms);
            for (int j = 0; j < terms; j++)
            {
                if (row[j] == 0) continue;
                places.Add(names is null ? j : names[j]);
                kept.Add(row[j]);
            }

            vectors[text] = SparseVector.Of([.. places], [.. kept]);
        }

        return vectors;
    }
}
