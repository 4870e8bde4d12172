using Sparseland.Tensors;

namespace Sparseland.Retrieval.Feedback;

/// <summary>Settings of <see cref="Rocchio"/>.</summary>
public sealed record RocchioOptions
{
    /// <summary>Feedback documents from the top, at least 1; a shorter list gives what it has. Default 10.</summary>
    public int Documents { get; init; } = 10;

    /// <summary>Documents from the bottom of the list, which count against it, at least 1. Default 10.</summary>
    public int Bottom { get; init; } = 10;

    /// <summary>Weight of the query, finite and at least 0. Default 1.</summary>
    public double Alpha { get; init; } = 1;

    /// <summary>Weight of the mean of the top documents, finite and at least 0. Default 0.75.</summary>
    public double Beta { get; init; } = 0.75;

    /// <summary>Weight of the mean of the bottom documents, which is taken away, finite and at least 0. Default 0.</summary>
    public double Gamma { get; init; }

    /// <summary>Heaviest terms of the new query, at least 1; null, the default, keeps all.</summary>
    public int? Terms { get; init; }

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Documents, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Bottom, 1);
        if (Terms < 1) throw new ArgumentOutOfRangeException(nameof(Terms), Terms, "A query keeps at least 1 term.");
        foreach ((double weight, string name) in new[] { (Alpha, nameof(Alpha)), (Beta, nameof(Beta)), (Gamma, nameof(Gamma)) })
        {
            Finite.NotNegative(weight, name);
        }
    }
}

/// <summary>
/// Rocchio's feedback on bags of words (1971), as Anserini's RocchioReranker has it: the query moves to the mean of the top documents and away
/// from that of the bottom ones, all as vectors of length 1; positive weights stay.
/// </summary>
public static class Rocchio
{
    /// <summary>The new query: alpha * query + beta * mean(top) - gamma * mean(bottom).</summary>
    /// <param name="query">Counts of the query's terms, positive.</param>
    /// <param name="results">What the query found, best first.</param>
    /// <param name="documents">Counts of the documents' terms.</param>
    /// <param name="options">Settings; null, the default, for the record's defaults.</param>
    /// <returns>Positive weights of terms; the query at length 1 where nothing was found.</returns>
    /// <exception cref="ArgumentException">An option out of its range, a negative weight of the query, or a document that is not there.</exception>
    public static SparseVector Expand(SparseVector query, IReadOnlyList<Hit> results, IDocumentTerms documents, RocchioOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(results);
        ArgumentNullException.ThrowIfNull(documents);
        options ??= new();
        options.Validate();
        FeedbackTerms.CheckQuery(query);
        foreach (Hit hit in results) FeedbackTerms.CheckHit(hit, documents);
        SparseVector original = OfLengthOne(query);
        if (results.Count == 0) return original;
        var parts = new List<(SparseVector, double)> { (original, options.Alpha) };
        Hit[] top = [.. results.Take(options.Documents)], bottom = options.Gamma > 0 ? [.. results.TakeLast(options.Bottom)] : [];
        parts.AddRange(top.Select(h => (OfLengthOne(documents.Counts(h.Document)), options.Beta / top.Length)));
        parts.AddRange(bottom.Select(h => (OfLengthOne(documents.Counts(h.Document)), -options.Gamma / bottom.Length)));
        SparseVector sum = FeedbackTerms.Add([.. parts]);
        SparseVector positive = FeedbackTerms.Where(sum, term => sum[term] > 0);
        return options.Terms is { } most ? FeedbackTerms.Heaviest(positive, most) : positive;
    }

    private static SparseVector OfLengthOne(SparseVector vector) => FeedbackTerms.Scaled(vector, Math.Sqrt(vector.Dot(vector)));
}
