using Sparseland.Data.Documentation;
using Sparseland.Retrieval.Analysis;
using Sparseland.Tensors;

namespace Sparseland.Retrieval.Collections;

/// <summary>
/// The reference documentation of .NET as a test collection: documents are the members of types, in two views, and queries are fields that no
/// document of the view shows, so that relevance comes from the documentation's own structure. data/dotnet-documentation/README.md has counts,
/// rules, and which leaks are closed and which are left.
/// </summary>
public sealed class DotNetDocCollection
{
    private static DotNetDocCollection? s_default;

    private readonly RetrievalDocument[][] _views;
    private readonly DocMember[] _members;
    private readonly HashSet<string> _heldOut;

    private DotNetDocCollection(DocMember[] members, RetrievalDocument[][] views, IReadOnlyList<DocQuery> queries, HashSet<string> heldOut, DotNetDocCollectionOptions options) =>
        (_members, _views, Queries, _heldOut, Options) = (members, views, queries, heldOut, options);

    /// <summary>How it was made.</summary>
    public DotNetDocCollectionOptions Options { get; }

    /// <summary>All queries of all kinds and splits.</summary>
    public IReadOnlyList<DocQuery> Queries { get; }

    /// <summary>The member that each document is, by the document's number.</summary>
    public IReadOnlyList<DocMember> Members => _members;

    /// <summary>The collection of this machine's SDK with the default options; read and made once in a process, in ten seconds or so.</summary>
    /// <param name="progress">Files read, then steps done.</param>
    /// <param name="cancel">Checked between files and steps.</param>
    /// <exception cref="DirectoryNotFoundException">There is no documentation.</exception>
    public static DotNetDocCollection Load(IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        if (Volatile.Read(ref s_default) is { } made) return made;

        // Two that come at once both make it, and both get the first one: nobody waits for a call that can be cancelled by another.
        DotNetDocCollection mine = Build(DotNetDocs.Load(null, progress, cancel), null, progress, cancel);
        return Interlocked.CompareExchange(ref s_default, mine, null) ?? mine;
    }

    /// <summary>The collection of some files of this machine's SDK: a small one, ready in a second, whose figures say nothing about the whole.</summary>
    /// <param name="files">Names of files without ending, "System.Text.Json".</param>
    /// <param name="options">Splits; null, the default, for the record's defaults, which may ask for more types than few files have.</param>
    /// <param name="cancel">Checked between files and steps.</param>
    /// <exception cref="ArgumentException">No file is named, or there is none of a name; see also <see cref="Build"/>.</exception>
    /// <exception cref="DirectoryNotFoundException">There is no documentation.</exception>
    public static DotNetDocCollection LoadFiles(IReadOnlyList<string> files, DotNetDocCollectionOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(files);
        if (files.Count == 0) throw new ArgumentException("There is no file to read.", nameof(files));
        Dictionary<string, string> found = DotNetDocs.FindFiles().ToDictionary(path => Path.GetFileNameWithoutExtension(path), StringComparer.Ordinal);
        if (files.FirstOrDefault(name => name is null || !found.ContainsKey(name)) is { } strange) throw new ArgumentException($"There is no documentation file of the name '{strange}'.", nameof(files));
        return Build(DotNetDocs.Load([.. found.Where(f => files.Contains(f.Key)).Select(f => f.Value)], null, cancel), options, null, cancel);
    }

    /// <summary>Makes the collection of some members.</summary>
    /// <param name="members">From <see cref="DotNetDocs.Load"/>.</param>
    /// <param name="options">Splits; null, the default, for the record's defaults.</param>
    /// <param name="progress">Steps done.</param>
    /// <param name="cancel">Checked between documents and kinds.</param>
    /// <exception cref="ArgumentException">An option is out of its range, there is no document, or there are too few types for the splits.</exception>
    public static DotNetDocCollection Build(
        IReadOnlyList<DocMember> members, DotNetDocCollectionOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(members);
        options ??= new();
        options.Validate();
        const int Steps = 4;
        var heldOut = DocCorpus.Split(members, options.Corpus).HeldOutTypes.ToHashSet(StringComparer.Ordinal);
        bool IsLeftOut(DocMember m) => m.Summary.Length == 0 || options.Corpus.Without.Any(w => m.Namespace == w || m.Namespace.StartsWith(w + ".", StringComparison.Ordinal));
        DocMember[] kept = [.. members.Where(m => !IsLeftOut(m))];
        DocMember[] documents = [.. kept.Where(m => m.Kind != DocMemberKind.Type)], types = [.. kept.Where(m => m.Kind == DocMemberKind.Type)];
        if (documents.Length == 0) throw new ArgumentException("No member but types has a summary, so there is no document.", nameof(members));
        HashSet<string> dev = DevTypes(kept, heldOut, options);
        progress?.Report(new(1, Steps, "types are split"));

        var numbers = new TermNumbers(Analyzers.English());
        RetrievalDocument[][] views = [[.. documents.Select(Card)], [.. documents.Select(Signature)]];
        DocTerms[] terms = [.. views.Select(v => DocTerms.Of(v, numbers, cancel))];
        progress?.Report(new(2, Steps, "documents are analysed"));

        DocSplit Split(DocMember m) => heldOut.Contains(m.TypeKey) ? DocSplit.Test : dev.Contains(m.TypeKey) ? DocSplit.Dev : DocSplit.Train;
        IReadOnlyList<DocQuery> queries = new DocQueryMaker(documents, types, Split, numbers).All(cancel);
        progress?.Report(new(3, Steps, "queries are made"));

        SetOverlaps(queries, documents, terms, numbers, cancel);
        progress?.Report(new(4, Steps, "overlaps are measured"));
        return new(documents, views, queries, heldOut, options);
    }

    /// <summary>Documents of a view.</summary>
    /// <param name="view">The view.</param>
    public IReadOnlyList<RetrievalDocument> Documents(DocView view) => _views[(int)view];

    /// <summary>Queries of one kind and split.</summary>
    /// <param name="kind">The kind.</param>
    /// <param name="split">The split. Default test.</param>
    public IReadOnlyList<DocQuery> Of(DocQueryKind kind, DocSplit split = DocSplit.Test) => [.. Queries.Where(q => q.Kind == kind && q.Split == split)];

    /// <summary>A view with the queries of one kind and split, as every method of the room takes it.</summary>
    /// <param name="view">The view.</param>
    /// <param name="kind">A kind that is asked of it.</param>
    /// <param name="split">The split. Default test.</param>
    /// <param name="blind">Queries in their blind form, without those that have none. Default false.</param>
    /// <exception cref="ArgumentException">The kind is not asked of the view: its documents show that field, or none of its words.</exception>
    public RetrievalCollection Collection(DocView view, DocQueryKind kind, DocSplit split = DocSplit.Test, bool blind = false) =>
        Collection(view, kind, split, blind, Documents(view));

    /// <summary>
    /// A smaller collection: documents of the held-out types, all that a test query of the view judges, and others drawn by a seed. Figures on it
    /// are higher than on the whole: compare within it.
    /// </summary>
    /// <param name="view">The view.</param>
    /// <param name="kind">A kind that is asked of it.</param>
    /// <param name="seed">Seed of the draw.</param>
    /// <param name="others">Number of other documents, at least 0. Default 3_500.</param>
    /// <param name="split">The split of the queries. Default test; judged documents of other splits need not be in it.</param>
    /// <param name="blind">Queries in their blind form. Default false.</param>
    /// <exception cref="ArgumentException">The kind is not asked of the view, or a negative number.</exception>
    public RetrievalCollection SubCollection(DocView view, DocQueryKind kind, int seed, int others = 3_500, DocSplit split = DocSplit.Test, bool blind = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(others);
        var judged = Queries.Where(q => q.Split == DocSplit.Test && DocQuery.IsAsked(q.Kind, view)).SelectMany(q => q.Judgements).Select(j => j.Document).ToHashSet(StringComparer.Ordinal);
        bool[] taken = [.. _members.Select(m => _heldOut.Contains(m.TypeKey) || judged.Contains(m.Id))];
        int[] rest = [.. Enumerable.Range(0, taken.Length).Where(d => !taken[d])];
        new SeededRandom(seed, 401).Shuffle(rest.AsSpan());
        foreach (int document in rest.Take(others)) taken[document] = true;
        return Collection(view, kind, split, blind, [.. Documents(view).Where((_, d) => taken[d])]);
    }

    /// <summary>Numbers of documents and queries.</summary>
    public override string ToString() => $".NET documentation: {_members.Length} documents; "
        + string.Join(", ", Queries.GroupBy(q => q.Kind).OrderBy(g => g.Key).Select(g => $"{g.Key} {string.Join(" / ", Enum.GetValues<DocSplit>().Select(s => g.Count(q => q.Split == s)))}")) + " queries for training / dev / test";

    private RetrievalCollection Collection(DocView view, DocQueryKind kind, DocSplit split, bool blind, IReadOnlyList<RetrievalDocument> documents)
    {
        if (!Enum.IsDefined(view)) throw new ArgumentOutOfRangeException(nameof(view), view, "No such view.");
        if (!Enum.IsDefined(kind)) throw new ArgumentOutOfRangeException(nameof(kind), kind, "No such kind.");
        if (!DocQuery.IsAsked(kind, view)) throw new ArgumentException($"{kind} is not asked of {view}; {kind} queries belong to {(view == DocView.Cards ? DocView.Signatures : DocView.Cards)}.", nameof(kind));
        DocQuery[] queries = [.. Of(kind, split).Where(q => !blind || q.BlindText is not null)];
        string name = $".NET {view.ToString().ToLowerInvariant()}, {kind.ToString().ToLowerInvariant()}{(split == DocSplit.Test ? "" : $" ({split.ToString().ToLowerInvariant()})")}{(blind ? ", blind" : "")}";
        return new(name, documents, [.. queries.Select(q => new RetrievalQuery(q.Id, blind ? q.BlindText! : q.Text))], new Qrels(queries.SelectMany(q => q.Judgements)));
    }

    private static HashSet<string> DevTypes(DocMember[] members, HashSet<string> heldOut, DotNetDocCollectionOptions options)
    {
        string[] rest = [.. members.Select(m => m.TypeKey).Distinct(StringComparer.Ordinal).Where(t => !heldOut.Contains(t)).Order(StringComparer.Ordinal)];
        if (rest.Length <= options.DevTypes) throw new ArgumentException($"{rest.Length} types are left besides those held out; {options.DevTypes} of them for choosing settings leave none for training.", nameof(options));
        new SeededRandom(options.Seed, 402).Shuffle(rest.AsSpan());
        return rest.Take(options.DevTypes).ToHashSet(StringComparer.Ordinal);
    }

    private static RetrievalDocument Card(DocMember member) => new(
        member.Id, string.Join('\n', [member.Summary, .. Parameters(member).Where(p => p.Text.Length > 0).Select(p => $"{p.Name}: {p.Text}")])) { Title = member.Name };

    private static RetrievalDocument Signature(DocMember member) => new(member.Id, string.Join(' ', [member.Namespace, .. Parameters(member).Select(p => p.Name)])) { Title = member.Name };

    private static IEnumerable<DocNote> Parameters(DocMember member) => member.TypeParameters.Concat(member.Parameters);

    private static void SetOverlaps(IReadOnlyList<DocQuery> queries, DocMember[] documents, DocTerms[] terms, TermNumbers numbers, CancellationToken cancel)
    {
        var places = new Dictionary<string, int>(documents.Length, StringComparer.Ordinal);
        for (int d = 0; d < documents.Length; d++) places.Add(documents[d].Id, d);
        Parallel.ForEach(queries, new ParallelOptions { CancellationToken = cancel }, query =>
        {
            int[] mine = numbers.Of(query.Text);
            int[] answers = [.. query.Judgements.Where(j => j.Grade == 2).Select(j => places[j.Document])];
            foreach (DocView view in Enum.GetValues<DocView>().Where(v => DocQuery.IsAsked(query.Kind, v))) query.SetOverlap(view, terms[(int)view].Overlap(mine, answers));
        });
    }
}
