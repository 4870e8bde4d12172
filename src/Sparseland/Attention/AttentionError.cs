using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention;

/// <summary>What a pattern costs, head by head. Recall alone misleads: a head whose values are nearly equal tolerates little of it, so both figures stand together.</summary>
/// <param name="Recall">Of each head: mean over queries of the attention mass that lies on kept keys.</param>
/// <param name="Output">Of each head: norm(O' - O) / norm(O), Frobenius norms over queries.</param>
/// <param name="Skipped">First queries that were left out: they see few keys, and every pattern keeps nearly all of them.</param>
public sealed record AttentionErrors(IReadOnlyList<double> Recall, IReadOnlyList<double> Output, int Skipped)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// How far attention over a part of the keys is from all of it. With r the kept mass of a row, exactly: the output moves by (1 - r)(O kept - O dropped), the total variation of
/// the weights is 1 - r, and KL(kept || all) = -log r. Of all choices of as many keys in each row the highest scores have the largest r.
/// </summary>
public static class AttentionError
{
    /// <summary>Kept mass of each query, from log-sum-exps alone: exp(lse of kept - lse of all). No matrix of tokens x keys is needed.</summary>
    /// <param name="kept">Log-sum-exp over kept keys.</param>
    /// <param name="all">Log-sum-exp over all keys, of the same shape.</param>
    /// <exception cref="ArgumentException">Shapes differ.</exception>
    public static Tensor Recall(Tensor kept, Tensor all)
    {
        ArgumentNullException.ThrowIfNull(kept);
        ArgumentNullException.ThrowIfNull(all);
        if (!kept.shape.SequenceEqual(all.shape)) throw new ArgumentException($"The sums are [{string.Join(", ", kept.shape)}] and [{string.Join(", ", all.shape)}]; they must agree.", nameof(all));
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter((kept - all).exp().clamp_max(1));
    }

    /// <summary>norm(approximation - exact) / norm(exact) of each head, over queries from one on.</summary>
    /// <param name="exact">Exact output [batch, heads, tokens, valueDim].</param>
    /// <param name="approximation">Another output of the same shape.</param>
    /// <param name="skip">First queries left out; null, the default, for an eighth of them.</param>
    /// <returns>[batch * heads] numbers, sequence after sequence.</returns>
    /// <exception cref="ArgumentException">Shapes differ, or all queries are left out.</exception>
    public static double[] Output(Tensor exact, Tensor approximation, int? skip = null)
    {
        ArgumentNullException.ThrowIfNull(exact);
        ArgumentNullException.ThrowIfNull(approximation);
        if (exact.dim() != 4 || !exact.shape.SequenceEqual(approximation.shape))
            throw new ArgumentException($"Outputs are [{string.Join(", ", exact.shape)}] and [{string.Join(", ", approximation.shape)}]; both must be [batch, heads, tokens, valueDim].", nameof(approximation));
        using DisposeScope scope = NewDisposeScope();
        int first = Skip(skip, (int)exact.shape[2]);
        Tensor Rows(Tensor x) => x.detach().to(ScalarType.Float64).narrow(2, first, x.shape[2] - first).flatten(2).flatten(0, 1);
        Tensor a = Rows(exact), b = Rows(approximation);
        return [.. ((b - a).norm(1) / a.norm(1).clamp_min(1e-300)).cpu().contiguous().data<double>()];
    }

    /// <summary>Half of the sum of |P' - P| of each query.</summary>
    /// <param name="pattern">Weights [..., keys].</param>
    /// <param name="other">Other weights of the same shape.</param>
    /// <returns>[...].</returns>
    /// <exception cref="ArgumentException">Shapes differ.</exception>
    public static Tensor TotalVariation(Tensor pattern, Tensor other)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        ArgumentNullException.ThrowIfNull(other);
        if (!pattern.shape.SequenceEqual(other.shape)) throw new ArgumentException($"Weights are [{string.Join(", ", pattern.shape)}] and [{string.Join(", ", other.shape)}]; they must agree.", nameof(other));
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter((pattern - other).abs().sum(-1) / 2);
    }

    /// <summary>Recall and output error of a support, head by head.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim].</param>
    /// <param name="v">Values [batch, keyValueHeads, keys, valueDim].</param>
    /// <param name="support">Kept cells.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <param name="skip">First queries left out; null, the default, for an eighth of them.</param>
    /// <exception cref="ArgumentException">As for <see cref="SparseAttention"/>.</exception>
    public static AttentionErrors Of(Tensor q, Tensor k, Tensor v, AttentionSupport support, double? scale = null, int? skip = null)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return Of(ExactAttention.Attend(q, k, v, causal: support.Causal, scale: scale), SparseAttention.Attend(q, k, v, support, scale, emptyRows: true), skip);
    }

    /// <summary>Recall and output error of what a kernel computes, head by head.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim].</param>
    /// <param name="v">Values [batch, keyValueHeads, keys, valueDim].</param>
    /// <param name="blocks">Computed cells.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <param name="skip">First queries left out; null, the default, for an eighth of them.</param>
    /// <exception cref="ArgumentException">As for <see cref="SparseAttention"/>.</exception>
    public static AttentionErrors Of(Tensor q, Tensor k, Tensor v, IReadOnlyList<BlockSupport> blocks, double? scale = null, int? skip = null)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return Of(ExactAttention.Attend(q, k, v, scale: scale), SparseAttention.Attend(q, k, v, blocks, scale), skip);
    }

    /// <summary>Recall and output error of a part against the whole, head by head.</summary>
    /// <param name="exact">Output and log-sum-exp over all keys.</param>
    /// <param name="kept">Output and log-sum-exp over kept keys.</param>
    /// <param name="skip">First queries left out; null, the default, for an eighth of them.</param>
    public static AttentionErrors Of((Tensor Output, Tensor LogSumExp) exact, (Tensor Output, Tensor LogSumExp) kept, int? skip = null)
    {
        using DisposeScope scope = NewDisposeScope();
        int first = Skip(skip, (int)exact.Output.shape[2]);
        Tensor recall = Recall(kept.LogSumExp, exact.LogSumExp);
        recall = recall.narrow(2, first, recall.shape[2] - first).to(ScalarType.Float64).mean([2L]).flatten();
        return new([.. recall.cpu().contiguous().data<double>()], Output(exact.Output, kept.Output, first), first);
    }

    private static int Skip(int? skip, int tokens)
    {
        int first = skip ?? tokens / 8;
        return first >= 0 && first < tokens ? first : throw new ArgumentOutOfRangeException(nameof(skip), skip, $"skip must leave some of the {tokens} queries.");
    }
}
