using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>
/// The FLOPS penalty (Paria et al. 2020), sum_j (mean_i |w_ij|)^2: the expected number of multiplications of an inverted index, smoothed. It falls on
/// terms that many documents have, more than an l1 penalty of the same size does.
/// </summary>
public static class FlopsPenalty
{
    /// <summary>The penalty of a batch of vectors.</summary>
    /// <param name="weights">w [documents, terms].</param>
    /// <param name="perQuery">
    /// Documents that belong to one query, standing one after the other: the mean is then taken over queries for each place among them, and the squares
    /// are summed over places, since documents of one query resemble each other and would look like frequent terms. Default 1: the plain penalty.
    /// </param>
    /// <returns>One number, with a gradient.</returns>
    /// <exception cref="ArgumentException">Wrong shape, or the number of documents is no multiple of <paramref name="perQuery"/>.</exception>
    public static Tensor Of(Tensor weights, int perQuery = 1)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(perQuery);
        if (weights.dim() != 2 || weights.shape[0] == 0) throw new ArgumentException($"weights must be [documents, terms] and not empty, but are [{string.Join(", ", weights.shape)}].", nameof(weights));
        if (weights.shape[0] % perQuery != 0) throw new ArgumentException($"{weights.shape[0]} documents do not divide into groups of {perQuery}.", nameof(perQuery));
        using DisposeScope scope = NewDisposeScope();
        return weights.abs().view(-1, perQuery, weights.shape[1]).mean([0]).square().sum().MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The IDF-aware form over contributions u_j = idf_j w_j of terms to scores: sum_j (mean_i |u_ij| / idf_j)^2. It equals the plain penalty of w where
    /// queries hold idf; of a binary query it is what lets rare terms stay.
    /// </summary>
    /// <param name="contributions">u [documents, terms].</param>
    /// <param name="idf">idf [terms], at least 0; a term of 0 can contribute nothing and is not penalised.</param>
    /// <param name="perQuery">As for <see cref="Of"/>. Default 1.</param>
    /// <exception cref="ArgumentException">Wrong shapes, or an idf that is negative, not finite, or above 0 with a reciprocal that is not finite.</exception>
    public static Tensor IdfAware(Tensor contributions, Tensor idf, int perQuery = 1)
    {
        ArgumentNullException.ThrowIfNull(contributions);
        ArgumentNullException.ThrowIfNull(idf);
        if (contributions.dim() != 2 || !idf.shape.SequenceEqual([contributions.shape[1]]))
            throw new ArgumentException($"idf is [{string.Join(", ", idf.shape)}] for contributions [{string.Join(", ", contributions.shape)}]: the table belongs to another vocabulary.", nameof(idf));
        using DisposeScope scope = NewDisposeScope();
        if (idf.isfinite().logical_not().logical_or(idf < 0).any().item<bool>()) throw new ArgumentException("An idf is negative or not finite.", nameof(idf));
        Tensor inverse = idf.reciprocal().masked_fill(idf == 0, 0);
        if (!TensorInput.IsFinite(inverse)) throw new ArgumentException("An idf is so small that its reciprocal leaves its type.", nameof(idf));
        return Of(contributions * inverse, perQuery).MoveToOuterDisposeScope();
    }

    /// <summary>Expected multiplications of a query with a document, sum_j p_q(j) p_d(j), where p is the share of queries and of documents that have term j.</summary>
    /// <param name="queries">Queries, at least one.</param>
    /// <param name="documents">Documents, at least one.</param>
    /// <exception cref="ArgumentException">There is none of them.</exception>
    public static double Expected(IReadOnlyList<SparseVector> queries, IReadOnlyList<SparseVector> documents)
    {
        Dictionary<int, double> byQuery = Shares(queries, nameof(queries)), byDocument = Shares(documents, nameof(documents));
        return byQuery.Order(Comparer<KeyValuePair<int, double>>.Create((a, b) => a.Key.CompareTo(b.Key))).Sum(q => q.Value * byDocument.GetValueOrDefault(q.Key));
    }

    /// <summary>Weight of the penalty at a step: lambda (t/T)^2 until step T, then lambda.</summary>
    /// <param name="lambda">The weight at the end, at least 0.</param>
    /// <param name="ramp">T, at least 1.</param>
    /// <param name="step">t, steps done before it, from 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">lambda is negative or not finite, T is less than 1, or t is negative.</exception>
    public static double WeightAt(double lambda, long ramp, long step)
    {
        Finite.NotNegative(lambda);
        ArgumentOutOfRangeException.ThrowIfLessThan(ramp, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        double share = Math.Min(1, (double)step / ramp);
        return lambda * share * share;
    }

    private static Dictionary<int, double> Shares(IReadOnlyList<SparseVector> vectors, string name)
    {
        ArgumentNullException.ThrowIfNull(vectors, name);
        if (vectors.Count == 0) throw new ArgumentException($"There are no {name}.", name);
        var counts = new Dictionary<int, double>();
        foreach (SparseVector vector in vectors)
        {
            foreach (int term in vector.Terms) counts[term] = counts.GetValueOrDefault(term) + 1;
        }

        return counts.ToDictionary(c => c.Key, c => c.Value / vectors.Count);
    }
}
