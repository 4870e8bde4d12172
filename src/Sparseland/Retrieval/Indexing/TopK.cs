namespace Sparseland.Retrieval.Indexing;

/// <summary>The algorithms that find the best k; all give the same list, by different work.</summary>
public enum TopKAlgorithm
{
    /// <summary>Leaves out windows and documents that the lists' maxima rule out, adds up the rest in bulk. The fastest of the four in large collections with a small k.</summary>
    MaxScore,

    /// <summary>Scores every posting of the query's terms.</summary>
    Exhaustive,

    /// <summary>Jumps to the first document that the lists' maxima allow.</summary>
    Wand,

    /// <summary>As <see cref="Wand"/>, with the maxima of blocks.</summary>
    BlockMaxWand,
}

/// <summary>
/// The best k documents of an index for a query: highest score first, equal scores by document number, never a score of 0 or below. A score is
/// the sum of contributions in ascending term number in float64, whatever the algorithm, so all four give equal lists to the last bit.
/// </summary>
public static class TopK
{
    [ThreadStatic]
    private static SearchWorkspace? t_workspace;

    /// <summary>
    /// The algorithm that is probably the fastest: <see cref="TopKAlgorithm.MaxScore"/> from 200,000 documents on where one in 5,000
    /// or fewer are wanted, else <see cref="TopKAlgorithm.Exhaustive"/>. Ruling documents out costs more than adding up short lists: measured with
    /// BM25, MaxScore runs at 0.9 of the speed of an exhaustive search at 62,500 documents and k = 10, at 250,000 at 1.2 times its speed for k = 10
    /// and 0.8 for k = 100, at a million at 1.5 times for k = 10 and 1.1 for k = 100.
    /// </summary>
    /// <param name="documents">Documents of the index.</param>
    /// <param name="k">Most documents to find.</param>
    public static TopKAlgorithm Choose(int documents, int k) =>
        documents >= 200_000 && k <= documents / 5000 ? TopKAlgorithm.MaxScore : TopKAlgorithm.Exhaustive;

    /// <summary>Scores every posting of the query's terms, term by term in windows of documents.</summary>
    /// <param name="index">An index.</param>
    /// <param name="query">Weights of terms of the index; terms that it does not have drop out.</param>
    /// <param name="k">Most documents, at least 1.</param>
    /// <param name="statistics">Gathers what was done. Default none.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="k"/> is below 1.</exception>
    /// <exception cref="ObjectDisposedException">The index is disposed.</exception>
    public static IReadOnlyList<Hit> Exhaustive(InvertedIndex index, SparseVector query, int k, SearchStatistics? statistics = null) =>
        Search(TopKAlgorithm.Exhaustive, index, query, k, statistics);

    /// <summary>MaxScore (Turtle and Flood 1995), in windows of documents with the maxima of blocks, as Lucene's bulk scorer has it.</summary>
    /// <inheritdoc cref="Exhaustive"/>
    public static IReadOnlyList<Hit> MaxScore(InvertedIndex index, SparseVector query, int k, SearchStatistics? statistics = null) =>
        Search(TopKAlgorithm.MaxScore, index, query, k, statistics);

    /// <summary>WAND (Broder et al. 2003).</summary>
    /// <inheritdoc cref="Exhaustive"/>
    public static IReadOnlyList<Hit> Wand(InvertedIndex index, SparseVector query, int k, SearchStatistics? statistics = null) =>
        Search(TopKAlgorithm.Wand, index, query, k, statistics);

    /// <summary>Block-max WAND (Ding and Suel 2011).</summary>
    /// <inheritdoc cref="Exhaustive"/>
    public static IReadOnlyList<Hit> BlockMaxWand(InvertedIndex index, SparseVector query, int k, SearchStatistics? statistics = null) =>
        Search(TopKAlgorithm.BlockMaxWand, index, query, k, statistics);

    /// <summary>The best k by an algorithm.</summary>
    /// <param name="algorithm">The algorithm.</param>
    /// <param name="index">An index.</param>
    /// <param name="query">Weights of terms of the index; terms that it does not have drop out.</param>
    /// <param name="k">Most documents, at least 1.</param>
    /// <param name="statistics">Gathers what was done. Default none.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="k"/> is below 1, or the algorithm is none of the four.</exception>
    /// <exception cref="ObjectDisposedException">The index is disposed.</exception>
    public static IReadOnlyList<Hit> Search(TopKAlgorithm algorithm, InvertedIndex index, SparseVector query, int k, SearchStatistics? statistics = null) =>
        Search(algorithm, index, query, k, statistics, CancellationToken.None);

    /// <summary>The same, ended on the way: a query of hundreds of frequent terms takes seconds.</summary>
    internal static IReadOnlyList<Hit> Search(TopKAlgorithm algorithm, InvertedIndex index, SparseVector query, int k, SearchStatistics? statistics, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(index);
        ArgumentNullException.ThrowIfNull(query);
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        if (!Enum.IsDefined(algorithm)) throw new ArgumentOutOfRangeException(nameof(algorithm), algorithm, "Not one of the algorithms.");
        using IndexBytes.Lease lease = index.Lists.Bytes.Hold();
        // Kept again only after a search that ended well: one that threw midway leaves sums behind.
        SearchWorkspace workspace = t_workspace ?? new();
        t_workspace = null;
        workspace.Start(index, query, Math.Min(k, index.Documents), algorithm == TopKAlgorithm.MaxScore, statistics);
        workspace.Cancel = cancel;
        switch (algorithm)
        {
            case TopKAlgorithm.MaxScore: MaxScoreSearch.Run(workspace, index.Documents, statistics); break;
            case TopKAlgorithm.Wand: WandSearch.Run(workspace, blockMax: false, statistics); break;
            case TopKAlgorithm.BlockMaxWand: WandSearch.Run(workspace, blockMax: true, statistics); break;
            default: ExhaustiveSearch.Run(workspace, index.Documents, statistics); break;
        }

        Hit[] found = workspace.Finish(statistics);
        t_workspace = workspace;
        return found;
    }
}
