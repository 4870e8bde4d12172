namespace Sparseland.Retrieval.Feedback;

/// <summary>Settings of <see cref="Rm3"/>, and their defaults in Anserini.</summary>
public sealed record Rm3Options
{
    /// <summary>Feedback documents, at least 1; a shorter list gives what it has. Default 10.</summary>
    public int Documents { get; init; } = 10;

    /// <summary>Terms of each document and of the model, at least 1. Default 10.</summary>
    public int Terms { get; init; } = 10;

    /// <summary>Weight of the query beside the model, in [0, 1]. Default 0.5.</summary>
    public double QueryWeight { get; init; } = 0.5;

    /// <summary>Terms in a larger share of the documents say nothing and are left out; in (0, 1]. Default 0.1.</summary>
    public double LargestShare { get; init; } = 0.1;

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Documents, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Terms, 1);
        if (!(QueryWeight is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(QueryWeight), QueryWeight, "The query's weight lies in [0, 1].");
        if (!(LargestShare is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(LargestShare), LargestShare, "The largest share lies in (0, 1].");
    }
}

/// <summary>
/// The relevance model RM3 (Abdul-Jaleel et al. 2004) as Anserini's Rm3Reranker has it: terms that the first documents are full of, mixed with
/// the query.
/// </summary>
public static class Rm3
{
    private const int ShortestTerm = 2, LongestTerm = 20;

    /// <summary>The new query: weight * (query, summing to 1) + (1 - weight) * (relevance model, summing to 1).</summary>
    /// <param name="query">Counts of the query's terms, positive.</param>
    /// <param name="results">What the query found, best first; scores above 0.</param>
    /// <param name="documents">Counts of the documents' terms.</param>
    /// <param name="options">Settings; null, the default, for the record's defaults.</param>
    /// <returns>Weights of terms; the query, scaled to sum 1, where nothing was found or no term is left.</returns>
    /// <exception cref="ArgumentException">An option out of its range, a query weight or score that is not positive, or a document that is not there.</exception>
    public static SparseVector Expand(SparseVector query, IReadOnlyList<Hit> results, IDocumentTerms documents, Rm3Options? options = null)
    {
        options ??= new();
        options.Validate();
        FeedbackTerms.CheckQuery(query);
        SparseVector model = RelevanceModel(results, documents, options);
        SparseVector original = FeedbackTerms.Scaled(query, FeedbackTerms.Sum(query));
        return model.Count == 0 ? original : FeedbackTerms.Add((original, options.QueryWeight), (model, 1 - options.QueryWeight));
    }

    /// <summary>The relevance model alone: its heaviest terms, weights summing to 1.</summary>
    /// <param name="results">What the query found, best first; scores above 0.</param>
    /// <param name="documents">Counts of the documents' terms.</param>
    /// <param name="options">Settings; null, the default, for the record's defaults.</param>
    /// <exception cref="ArgumentException">An option out of its range, a score that is not positive, or a document that is not there.</exception>
    public static SparseVector RelevanceModel(IReadOnlyList<Hit> results, IDocumentTerms documents, Rm3Options? options = null)
    {
        ArgumentNullException.ThrowIfNull(results);
        ArgumentNullException.ThrowIfNull(documents);
        options ??= new();
        options.Validate();
        var parts = new List<(SparseVector, double)>();

        // The model is scaled in the end, so the unit of the scores is nothing to it; in units of a power of two near the largest, sums stay in float32.
        double largest = results.Take(options.Documents).Select(h => h.Score).Where(s => double.IsFinite(s) && s > 0).DefaultIfEmpty(1).Max();
        int exponent = Math.ILogB(largest) is > -60 and < 60 ? 0 : Math.ILogB(largest);
        foreach (Hit hit in results.Take(options.Documents))
        {
            FeedbackTerms.CheckHit(hit, documents);
            if (!(hit.Score > 0)) throw new ArgumentException($"Document {hit.Document} has the score {hit.Score}; RM3 weighs documents by scores above 0.", nameof(results));
            SparseVector counts = FeedbackTerms.Heaviest(Kept(documents.Counts(hit.Document), documents, options), options.Terms);
            if (counts.Count > 0) parts.Add((FeedbackTerms.Scaled(counts, FeedbackTerms.Sum(counts)), Math.ScaleB(hit.Score, -exponent)));
        }

        SparseVector model = FeedbackTerms.Heaviest(FeedbackTerms.Add([.. parts]), options.Terms);
        return FeedbackTerms.Scaled(model, FeedbackTerms.Sum(model));
    }

    private static SparseVector Kept(SparseVector counts, IDocumentTerms documents, Rm3Options options) => FeedbackTerms.Where(
        counts, term => documents.Term(term).Length is >= ShortestTerm and <= LongestTerm && documents.DocumentFrequency(term) <= options.LargestShare * documents.Documents);
}
