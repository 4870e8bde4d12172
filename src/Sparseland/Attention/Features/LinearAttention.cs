using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Features;

/// <summary>
/// Attention with phi(q) . phi(k) in place of exp(scale q . k) (Katharopoulos et al. 2020; Choromanski et al. 2021): O = phi(Q) (phi(K)^T V) / (phi(Q) (phi(K)^T 1)), in O(T M d) and never a
/// matrix of tokens times tokens.
/// </summary>
/// <remarks>
/// The largest exponent is taken out of each query's features and, once, of all keys of a head; both cancel in the quotient. A key whose features lie below the largest by more than the type
/// reaches counts nothing: in Float32 by more than about 87, and from queries whose features lie elsewhere sooner. A row without any weight left gives zeros. What a type cannot hold at all, as the square of a norm of 1e20 in
/// Float32, is refused. Gradients flow.
/// </remarks>
public static class LinearAttention
{
    private const int Chunk = 128;

    /// <summary>Each query over all keys.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim].</param>
    /// <param name="v">Values [batch, keyValueHeads, keys, valueDim].</param>
    /// <param name="features">The features of queries and keys.</param>
    /// <param name="scale">Factor of the scores, its root folded into q and k; null, the default, for 1 / sqrt(headDim). Only for features that estimate a softmax.</param>
    /// <returns>[batch, heads, tokens, valueDim].</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit each other or the features, a value is not finite, or numbers are so large that sums overflow.</exception>
    public static Tensor Attend(Tensor q, Tensor k, Tensor v, IFeatureMap features, double? scale = null) => Attended(q, k, v, features, causal: false, scale);

    /// <summary>Each query over the keys up to its own: prefix sums of phi(k) v^T, chunk by chunk.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, tokens, headDim].</param>
    /// <param name="v">Values [batch, keyValueHeads, tokens, valueDim].</param>
    /// <param name="features">The features of queries and keys.</param>
    /// <param name="scale">Factor of the scores, its root folded into q and k; null, the default, for 1 / sqrt(headDim). Only for features that estimate a softmax.</param>
    /// <returns>[batch, heads, tokens, valueDim].</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit each other or the features, a value is not finite, or numbers are so large that sums overflow.</exception>
    public static Tensor AttendCausal(Tensor q, Tensor k, Tensor v, IFeatureMap features, double? scale = null) => Attended(q, k, v, features, causal: true, scale);

    private static Tensor Attended(Tensor q, Tensor k, Tensor v, IFeatureMap features, bool causal, double? scale)
    {
        AttentionShape shape = HeadInput.Check(q, k, v, causal);
        (Tensor foldedQ, Tensor foldedK) = Folded(q, k, shape, features, scale, out DisposeScope scope);
        using (scope)
        {
            LinearSums sums = Sums(foldedQ, foldedK, v, features, shape.Group, causal);
            Tensor empty = sums.Denominator.eq(0);
            return scope.MoveToOuter(sums.Numerator.div(sums.Denominator.masked_fill(empty, 1)));
        }
    }

    /// <summary>Queries and keys with the root of the factor, checked against the features.</summary>
    internal static (Tensor Q, Tensor K) Folded(Tensor q, Tensor k, AttentionShape shape, IFeatureMap features, double? scale, out DisposeScope scope)
    {
        ArgumentNullException.ThrowIfNull(features);
        if (features.HeadDim != shape.HeadDim) throw new ArgumentException($"The features were drawn for a headDim of {features.HeadDim}, not of {shape.HeadDim}.", nameof(features));
        double factor = Math.Sqrt(shape.Scale(scale, q.dtype));
        if (!features.EstimatesSoftmax && scale is not null)
            throw new ArgumentException("These features estimate no softmax: they have their own factor, and scale must be null.", nameof(scale));
        scope = NewDisposeScope();
        return features.EstimatesSoftmax ? (q.mul(factor), k.mul(factor)) : (q, k);
    }

    /// <summary>Numerators [batch, heads, tokens, valueDim], denominators and the log of their common factor [batch, heads, tokens, 1].</summary>
    internal static LinearSums Sums(Tensor q, Tensor k, Tensor v, IFeatureMap features, int group, bool causal)
    {
        (Tensor phiQ, Tensor logQ) = features.Map(q, FeatureScale.PerVector);
        (Tensor phiK, Tensor logK) = features.Map(k, FeatureScale.PerSet);
        (phiK, logK) = (HeadInput.Shared(phiK, group), HeadInput.Shared(logK, group));
        v = HeadInput.Shared(v, group);
        Tensor withOne = cat([v, ones_like(v.narrow(3, 0, 1))], 3);
        Tensor sums = causal ? Prefix(phiQ, phiK, withOne) : phiQ.MatMul(phiK.transpose(2, 3).MatMul(withOne));
        long width = v.shape[3];
        Tensor log = logQ.add(logK);
        HeadInput.InRange(q, log, sums);
        return new(sums.narrow(3, 0, width), sums.narrow(3, width, 1), log, phiQ, phiK);
    }

    /// <summary>sum over j up to i of (a_i . b_j) c_j: what lies in earlier chunks through their sums, the own chunk through its small triangle.</summary>
    private static Tensor Prefix(Tensor a, Tensor b, Tensor c)
    {
        (long batch, long heads, long tokens, long width) = (a.shape[0], a.shape[1], a.shape[2], c.shape[3]);
        long size = Math.Min(Chunk, tokens), chunks = (tokens + size - 1) / size, padding = (chunks * size) - tokens;
        // Features of 0 add nothing: here padding by zeros is right.
        (Tensor A, Tensor B, Tensor C) = (Cut(a), Cut(b), Cut(c));
        Tensor own = A.bmm(B.transpose(1, 2)).tril().bmm(C);
        if (chunks > 1)
        {
            Tensor each = B.transpose(1, 2).bmm(C).view(batch * heads, chunks, -1), before = each.narrow(1, 0, chunks - 1).cumsum(1);
            before = cat([zeros_like(before.narrow(1, 0, 1)), before], 1).view(batch * heads * chunks, a.shape[3], width);
            own = own.add(A.bmm(before));
        }

        return own.view(batch, heads, chunks * size, width).narrow(2, 0, tokens);

        Tensor Cut(Tensor x) => (padding == 0 ? x : nn.functional.pad(x, [0, 0, 0, padding])).reshape(batch * heads * chunks, size, x.shape[3]);
    }
}

/// <summary>Sums over keys, each times exp(LogScale) in truth, with the features that they were made of.</summary>
internal readonly record struct LinearSums(Tensor Numerator, Tensor Denominator, Tensor LogScale, Tensor QueryFeatures, Tensor KeyFeatures);
