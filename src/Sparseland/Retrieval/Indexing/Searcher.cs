using Sparseland.Tensors;

namespace Sparseland.Retrieval.Indexing;

/// <summary>Searches an index, one query or many on all cores.</summary>
public sealed class Searcher
{
    /// <summary>A searcher.</summary>
    /// <param name="index">An index; it stays the caller's.</param>
    /// <param name="algorithm">How; all give the same lists. Default null: what <see cref="TopK.Choose"/> takes for the index and each k.</param>
    /// <param name="threads">Most threads of a batch. Default 0: one a core.</param>
    /// <exception cref="ArgumentOutOfRangeException">An unknown algorithm or a negative number of threads.</exception>
    public Searcher(InvertedIndex index, TopKAlgorithm? algorithm = null, int threads = 0)
    {
        ArgumentNullException.ThrowIfNull(index);
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        if (algorithm is { } named && !Enum.IsDefined(named)) throw new ArgumentOutOfRangeException(nameof(algorithm), algorithm, "Not one of the algorithms.");
        (Index, Algorithm, Threads) = (index, algorithm, threads == 0 ? Environment.ProcessorCount : threads);
    }

    /// <summary>The index.</summary>
    public InvertedIndex Index { get; }

    /// <summary>How it searches; null where each search takes what suits its k.</summary>
    public TopKAlgorithm? Algorithm { get; }

    /// <summary>Most threads of a batch.</summary>
    public int Threads { get; }

    /// <summary>The best documents for a text.</summary>
    /// <param name="text">A query.</param>
    /// <param name="k">Most documents, at least 1. Default 10.</param>
    public IReadOnlyList<Hit> Search(string text, int k = 10) => TopK.Search(For(k), Index, Index.Query(text), k);

    /// <summary>The best documents for a vector.</summary>
    /// <param name="query">Weights of the index's terms.</param>
    /// <param name="k">Most documents, at least 1. Default 10.</param>
    public IReadOnlyList<Hit> Search(SparseVector query, int k = 10) => TopK.Search(For(k), Index, query, k);

    /// <summary>The best documents for each of many vectors, in their order.</summary>
    /// <param name="queries">Weights of the index's terms.</param>
    /// <param name="k">Most documents of a query, at least 1.</param>
    /// <param name="statistics">Gathers what was done. Default none.</param>
    /// <param name="cancel">Ends the work. Default none.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="k"/> is below 1.</exception>
    /// <exception cref="OperationCanceledException">The work was cancelled.</exception>
    public IReadOnlyList<IReadOnlyList<Hit>> Search(IReadOnlyList<SparseVector> queries, int k, SearchStatistics? statistics = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(queries);
        return Batch(queries.Count, i => queries[i], k, statistics, null, cancel);
    }

    /// <summary>The best documents for each of many texts, as a run.</summary>
    /// <param name="queries">Queries.</param>
    /// <param name="k">Most documents of a query, at least 1. Default 1000.</param>
    /// <param name="name">What figures call the run. Default "BM25".</param>
    /// <param name="progress">Told of finished queries. Default none.</param>
    /// <param name="cancel">Ends the work. Default none.</param>
    /// <exception cref="ArgumentException"><paramref name="k"/> is below 1, or an id is empty or stands twice.</exception>
    /// <exception cref="InvalidOperationException">The index was made of vectors and has no analyzer.</exception>
    /// <exception cref="OperationCanceledException">The work was cancelled.</exception>
    public Run Run(IReadOnlyList<RetrievalQuery> queries, int k = 1000, string name = "BM25", IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(queries);
        Retrieval.Run.CheckQueries([.. queries.Select(q => q?.Id)], nameof(queries));
        IReadOnlyList<Hit>[] lists = Batch(queries.Count, i => Index.Query(queries[i].Text), k, null, progress, cancel);
        return new(queries.Select((q, i) => KeyValuePair.Create(q.Id, Named(lists[i]))), name);
    }

    /// <summary>The best documents for each of many vectors, as a run.</summary>
    /// <param name="ids">Ids of the queries.</param>
    /// <param name="queries">A vector each.</param>
    /// <param name="k">Most documents of a query, at least 1. Default 1000.</param>
    /// <param name="name">What figures call the run. Default "sparse".</param>
    /// <param name="progress">Told of finished queries. Default none.</param>
    /// <param name="cancel">Ends the work. Default none.</param>
    /// <exception cref="ArgumentException">Unequal numbers, an id that is empty or stands twice, or <paramref name="k"/> below 1.</exception>
    /// <exception cref="OperationCanceledException">The work was cancelled.</exception>
    public Run Run(IReadOnlyList<string> ids, IReadOnlyList<SparseVector> queries, int k = 1000, string name = "sparse", IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(ids);
        ArgumentNullException.ThrowIfNull(queries);
        if (ids.Count != queries.Count) throw new ArgumentException($"{ids.Count} ids, but {queries.Count} queries.", nameof(queries));
        Retrieval.Run.CheckQueries(ids, nameof(ids));
        IReadOnlyList<Hit>[] lists = Batch(ids.Count, i => queries[i], k, null, progress, cancel);
        return new(ids.Select((id, i) => KeyValuePair.Create(id, Named(lists[i]))), name);
    }

    private TopKAlgorithm For(int k) => Algorithm ?? TopK.Choose(Index.Documents, k);

    private IReadOnlyList<RankedDocument> Named(IReadOnlyList<Hit> hits) => [.. hits.Select(h => new RankedDocument(Index.Id(h.Document), h.Score))];

    private IReadOnlyList<Hit>[] Batch(int count, Func<int, SparseVector> query, int k, SearchStatistics? statistics, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        TopKAlgorithm algorithm = For(k);
        var lists = new IReadOnlyList<Hit>[count];
        long done = 0;
        FirstFailure.Of(() => Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = Threads, CancellationToken = cancel }, () => statistics is null ? null : new SearchStatistics { KeepsPivots = statistics.KeepsPivots }, (i, _, own) =>
        {
            lists[i] = TopK.Search(algorithm, Index, query(i), k, own, cancel);
            long finished = Interlocked.Increment(ref done);
            if (finished % 64 == 0 || finished == count) progress?.Report(new(finished, count, "searching"));
            return own;
        }, own =>
        {
            if (own is null) return;
            lock (statistics!) statistics.Add(own);
        }));
        return lists;
    }
}
