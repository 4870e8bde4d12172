using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Feedback;

/// <summary>What a <see cref="FeedbackPipeline"/> found.</summary>
/// <param name="Run">The final lists.</param>
/// <param name="First">D(q), the dense lists without feedback.</param>
/// <param name="FeedbackDocuments">Documents that moved each query, best first.</param>
/// <param name="ShortLists">Number of queries whose list gave fewer documents than the feedback takes.</param>
/// <param name="ConstantLists">Number of lists met in fusion whose scores are all equal.</param>
public sealed record FeedbackResult(Run Run, Run First, IReadOnlyDictionary<string, IReadOnlyList<string>> FeedbackDocuments, int ShortLists, int ConstantLists)
{
    /// <summary>The run and how many lists were short or constant.</summary>
    public override string ToString() => Run + (ShortLists > 0 ? $"; {ShortLists} queries had fewer feedback documents than wanted" : "")
        + (ConstantLists > 0 ? $"; {ConstantLists} lists with one score" : "");
}

/// <summary>
/// Dense retrieval with vector feedback, and where a sparse list is mixed in (Li et al. 2022, "To interpolate or not to interpolate"): before
/// feedback, so that its documents are better, after it, so that the final list is, or both. Both dense searches are over all documents, and the
/// sparse list is the same before and after.
/// </summary>
public sealed class FeedbackPipeline
{
    private readonly DenseIndex _dense;
    private readonly Run? _sparse;
    private readonly IVectorFeedback _feedback;
    private readonly Fusion? _before, _after;

    private FeedbackPipeline(string name, DenseIndex dense, Run? sparse, IVectorFeedback feedback, Fusion? before, Fusion? after)
    {
        ArgumentNullException.ThrowIfNull(dense);
        ArgumentNullException.ThrowIfNull(feedback);
        (Name, _dense, _sparse, _feedback, _before, _after) = (name, dense, sparse, feedback, before, after);
    }

    /// <summary>What figures call it: "PRF", "Pre", "Post", "Both", "feedback from BM25".</summary>
    public string Name { get; }

    /// <summary>Feedback from D(q), final list D(q').</summary>
    /// <param name="dense">Vectors of the documents; the caller's.</param>
    /// <param name="feedback">How queries are moved.</param>
    public static FeedbackPipeline Prf(DenseIndex dense, IVectorFeedback feedback) => new("PRF", dense, null, feedback, null, null);

    /// <summary>Feedback from the fusion of sparse list and D(q), final list D(q').</summary>
    /// <param name="dense">Vectors of the documents; the caller's.</param>
    /// <param name="sparse">Sparse lists of all queries.</param>
    /// <param name="feedback">How queries are moved.</param>
    /// <param name="before">The fusion: sparse first, dense second.</param>
    public static FeedbackPipeline Pre(DenseIndex dense, Run sparse, IVectorFeedback feedback, Fusion before) => new("Pre", dense, NotNull(sparse), feedback, NotNull(before), null);

    /// <summary>Feedback from D(q), final list the fusion of sparse list and D(q').</summary>
    /// <param name="dense">Vectors of the documents; the caller's.</param>
    /// <param name="sparse">Sparse lists of all queries.</param>
    /// <param name="feedback">How queries are moved.</param>
    /// <param name="after">The fusion: sparse first, dense second.</param>
    public static FeedbackPipeline Post(DenseIndex dense, Run sparse, IVectorFeedback feedback, Fusion after) => new("Post", dense, NotNull(sparse), feedback, null, NotNull(after));

    /// <summary>The fusion before and after feedback.</summary>
    /// <param name="dense">Vectors of the documents; the caller's.</param>
    /// <param name="sparse">Sparse lists of all queries.</param>
    /// <param name="feedback">How queries are moved.</param>
    /// <param name="before">The fusion that gives feedback documents: sparse first, dense second.</param>
    /// <param name="after">The fusion that gives the final list.</param>
    public static FeedbackPipeline Both(DenseIndex dense, Run sparse, IVectorFeedback feedback, Fusion before, Fusion after) =>
        new("Both", dense, NotNull(sparse), feedback, NotNull(before), NotNull(after));

    /// <summary>Feedback from the sparse list alone, final list D(q').</summary>
    /// <param name="dense">Vectors of the documents; the caller's.</param>
    /// <param name="sparse">Sparse lists of all queries.</param>
    /// <param name="feedback">How queries are moved.</param>
    public static FeedbackPipeline FromSparse(DenseIndex dense, Run sparse, IVectorFeedback feedback) =>
        new($"feedback from {NotNull(sparse).Name}", dense, sparse, feedback, Fusion.Weighted(1), null);

    /// <summary>Searches, moves the queries, and searches again.</summary>
    /// <param name="queries">Ids of the queries, each once and each in the sparse run where there is one.</param>
    /// <param name="vectors">Their vectors [n, d].</param>
    /// <param name="depth">Documents of each dense list, at least 1. The depth changes what min-max makes of a list. Default 1000.</param>
    /// <param name="first">D(q) of at least these queries at this depth, where it was searched before; null, the default, searches it.</param>
    /// <param name="progress">Queries done in both searches.</param>
    /// <param name="cancel">Checked between blocks and queries.</param>
    /// <exception cref="ArgumentException">
    /// No query or one twice, a query that a run lacks, a feedback document without a vector, another number of vectors or another width, a zero or infinite vector, or a depth below 1.
    /// </exception>
    public FeedbackResult Run(
        IReadOnlyList<string> queries, Tensor vectors, int depth = 1000, Run? first = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(queries);
        ArgumentNullException.ThrowIfNull(vectors);
        ArgumentOutOfRangeException.ThrowIfLessThan(depth, 1);
        if (queries.Count == 0) throw new ArgumentException("There is no query.", nameof(queries));
        Retrieval.Run.CheckQueries(queries, nameof(queries));
        if (vectors.dim() != 2 || vectors.size(0) != queries.Count || vectors.size(1) != _dense.Width)
            throw new ArgumentException($"vectors are [{string.Join(", ", vectors.shape)}] for {queries.Count} queries and an index of width {_dense.Width}.", nameof(vectors));
        CheckQueries(queries, _sparse, nameof(queries));
        CheckQueries(queries, first, nameof(first));
        first = first?.Of(queries).Cut(depth) ?? _dense.SearchRun(queries, vectors, depth, "dense", progress, cancel);

        // The feedback lists: D(q), or its fusion with the sparse list.
        FusedRun? mixed = _before?.Fuse([_sparse!.Of(queries), first], Number);
        Run lists = mixed?.Run ?? first;
        var used = new Dictionary<string, IReadOnlyList<string>>(StringComparer.Ordinal);
        int shorter = 0;
        using DisposeScope scope = NewDisposeScope();
        var moved = new List<Tensor>(queries.Count);
        for (int q = 0; q < queries.Count; q++)
        {
            cancel.ThrowIfCancellationRequested();
            IReadOnlyList<RankedDocument> list = lists[queries[q]];
            string[] top = [.. list.Take(_feedback.Documents).Select(d => d.Id)], bottom = [.. list.TakeLast(_feedback.Bottom).Select(d => d.Id)];
            if (top.Length < _feedback.Documents) shorter++;
            used.Add(queries[q], top);
            moved.Add(_feedback.Apply(vectors[q].to(ScalarType.Float32), Vectors(top, queries[q]), Vectors(bottom, queries[q])));
        }

        Run second = _dense.SearchRun(queries, stack(moved), depth, Name, progress, cancel);
        FusedRun? final = _after?.Fuse([_sparse!.Of(queries), second], Number, name: Name);
        return new(final?.Run ?? second, first, used, shorter, (mixed?.ConstantLists ?? 0) + (final?.ConstantLists ?? 0));
    }

    /// <summary>Name, feedback and fusions.</summary>
    public override string ToString() => $"{Name}: {_feedback}" + (_before is null ? "" : $", before {_before}") + (_after is null ? "" : $", after {_after}");

    private static T NotNull<T>(T argument, [System.Runtime.CompilerServices.CallerArgumentExpression(nameof(argument))] string? name = null)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(argument, name);
        return argument;
    }

    private static void CheckQueries(IReadOnlyList<string> queries, Run? run, string argument)
    {
        if (run is not null && queries.FirstOrDefault(q => !run.Has(q)) is { } missing) throw new ArgumentException($"Run '{run.Name}' lacks the query '{missing}'.", argument);
    }

    private Tensor Vectors(string[] documents, string query) => _dense.Vectors([.. documents.Select(id => _dense.Find(id)
        ?? throw new ArgumentException($"Query '{query}': feedback document '{id}' has no vector in the dense index."))]);

    private int? Number(string id) => _dense.Find(id) ?? throw new ArgumentException($"Document '{id}' of run '{_sparse!.Name}' has no vector in the dense index.");
}
