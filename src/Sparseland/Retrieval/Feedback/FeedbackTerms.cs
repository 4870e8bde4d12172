namespace Sparseland.Retrieval.Feedback;

/// <summary>Arithmetic of sparse vectors that feedback by terms shares, sums in float64.</summary>
internal static class FeedbackTerms
{
    /// <summary>A query's weights are positive.</summary>
    public static void CheckQuery(SparseVector query)
    {
        ArgumentNullException.ThrowIfNull(query);
        for (int i = 0; i < query.Count; i++)
        {
            if (query.Weights[i] < 0) throw new ArgumentException($"Term {query.Terms[i]} of the query has the weight {query.Weights[i]}; feedback by terms takes counts.", nameof(query));
        }
    }

    /// <summary>A hit stands in the documents and its score is finite.</summary>
    public static void CheckHit(Hit hit, IDocumentTerms documents)
    {
        if (hit.Document < 0 || hit.Document >= documents.Documents) throw new ArgumentException($"Document {hit.Document} is not among the {documents.Documents} documents.", "results");
        if (!double.IsFinite(hit.Score)) throw new ArgumentException($"Document {hit.Document} has the score {hit.Score}; scores are finite.", "results");
    }

    public static double Sum(SparseVector vector)
    {
        double sum = 0;
        foreach (float weight in vector.Weights) sum += weight;
        return sum;
    }

    /// <summary>A vector over a number; over 0 it is left as it is.</summary>
    public static SparseVector Scaled(SparseVector vector, double divisor) => divisor == 0 ? vector : Add((vector, 1 / divisor));

    /// <summary>Sum of weighted vectors.</summary>
    public static SparseVector Add(params ReadOnlySpan<(SparseVector Vector, double Weight)> parts)
    {
        var sums = new SortedDictionary<int, double>();
        foreach ((SparseVector vector, double weight) in parts)
        {
            for (int i = 0; i < vector.Count; i++)
            {
                sums.TryGetValue(vector.Terms[i], out double sum);
                sums[vector.Terms[i]] = sum + (weight * vector.Weights[i]);
            }
        }

        return Of(sums);
    }

    /// <summary>The terms that a rule keeps.</summary>
    public static SparseVector Where(SparseVector vector, Func<int, bool> keep)
    {
        var kept = new SortedDictionary<int, double>();
        for (int i = 0; i < vector.Count; i++)
        {
            if (keep(vector.Terms[i])) kept.Add(vector.Terms[i], vector.Weights[i]);
        }

        return Of(kept);
    }

    /// <summary>The heaviest terms; equal weights go to the lower term.</summary>
    public static SparseVector Heaviest(SparseVector vector, int most)
    {
        if (vector.Count <= most) return vector;
        float[] weights = vector.Weights.ToArray();
        int[] terms = vector.Terms.ToArray();
        int[] places = [.. Enumerable.Range(0, terms.Length).OrderByDescending(i => weights[i]).ThenBy(i => terms[i]).Take(most)];
        return SparseVector.Of([.. places.Select(i => terms[i])], [.. places.Select(i => weights[i])]);
    }

    private static SparseVector Of(SortedDictionary<int, double> weights) => SparseVector.Of([.. weights.Keys], [.. weights.Values.Select(w => (float)w)]);
}
