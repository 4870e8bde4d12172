namespace Sparseland.Retrieval;

/// <summary>What a retriever found for each query of a set, as the field calls it: a run. Measures, fusion, feedback and files take it.</summary>
public sealed class Run
{
    private readonly Dictionary<string, RankedDocument[]> _lists = new(StringComparer.Ordinal);

    /// <summary>A run of finished lists.</summary>
    /// <param name="lists">One list for each query, in the order in which <see cref="Queries"/> gives them; a list may be empty.</param>
    /// <param name="name">What figures and files call it. Default "run".</param>
    /// <exception cref="ArgumentException">A query stands twice, a document stands twice for one query, an id is empty, or a score is not finite.</exception>
    public Run(IEnumerable<KeyValuePair<string, IReadOnlyList<RankedDocument>>> lists, string name = "run")
    {
        ArgumentNullException.ThrowIfNull(lists);
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        Name = name;
        var queries = new List<string>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach ((string query, IReadOnlyList<RankedDocument> list) in lists)
        {
            if (string.IsNullOrEmpty(query)) throw new ArgumentException($"Query {queries.Count} has an empty id.", nameof(lists));
            if (list is null) throw new ArgumentException($"Query '{query}' has no list; an empty one is allowed.", nameof(lists));
            if (!_lists.TryAdd(query, [.. list])) throw new ArgumentException($"Query '{query}' stands twice.", nameof(lists));
            queries.Add(query);
            seen.Clear();
            foreach (RankedDocument found in list)
            {
                if (string.IsNullOrEmpty(found.Id)) throw new ArgumentException($"Query '{query}' found a document with an empty id.", nameof(lists));
                if (!double.IsFinite(found.Score)) throw new ArgumentException($"Query '{query}': document '{found.Id}' has the score {found.Score}; scores are finite.", nameof(lists));
                if (!seen.Add(found.Id)) throw new ArgumentException($"Query '{query}': document '{found.Id}' stands twice.", nameof(lists));
            }
        }

        Queries = queries;
    }

    /// <summary>What figures and files call it.</summary>
    public string Name { get; }

    /// <summary>Ids of its queries, in the order given.</summary>
    public IReadOnlyList<string> Queries { get; }

    /// <summary>What a query found, in the order of the retriever: the best first.</summary>
    /// <param name="query">Id of a query.</param>
    /// <exception cref="KeyNotFoundException">The run has no such query.</exception>
    public IReadOnlyList<RankedDocument> this[string query] =>
        _lists.TryGetValue(query, out RankedDocument[]? list) ? list : throw new KeyNotFoundException($"Run '{Name}' has no query '{query}'.");

    /// <summary>Ids of queries of which a run is to be made are there, each once: said before the search and not after it.</summary>
    internal static void CheckQueries(IReadOnlyList<string?> ids, string argument)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        for (int i = 0; i < ids.Count; i++)
        {
            if (string.IsNullOrEmpty(ids[i])) throw new ArgumentException($"Query {i} is null or has an empty id.", argument);
            if (!seen.Add(ids[i]!)) throw new ArgumentException($"Query '{ids[i]}' stands twice.", argument);
        }
    }

    /// <summary>Whether the run has a query; its list may still be empty.</summary>
    /// <param name="query">Id of a query.</param>
    public bool Has(string query) => _lists.ContainsKey(query);

    /// <summary>The run of some of its queries, in their order.</summary>
    /// <param name="queries">Ids of queries of this run.</param>
    /// <exception cref="KeyNotFoundException">The run has no such query.</exception>
    public Run Of(IEnumerable<string> queries)
    {
        ArgumentNullException.ThrowIfNull(queries);
        return new(queries.Select(q => KeyValuePair.Create(q, this[q])), Name);
    }

    /// <summary>The same lists under another name.</summary>
    /// <param name="name">The name.</param>
    public Run Named(string name) => new(Queries.Select(q => KeyValuePair.Create(q, this[q])), name);

    /// <summary>Its lists cut to a length.</summary>
    /// <param name="depth">Most documents of a list, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">Less than 1.</exception>
    public Run Cut(int depth)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(depth, 1);
        return new(Queries.Select(q => KeyValuePair.Create<string, IReadOnlyList<RankedDocument>>(q, [.. this[q].Take(depth)])), Name);
    }

    /// <summary>Name, number of queries and length of the longest list.</summary>
    public override string ToString() => $"Run '{Name}': {Queries.Count} queries, at most {(Queries.Count == 0 ? 0 : _lists.Values.Max(l => l.Length))} documents each";
}
