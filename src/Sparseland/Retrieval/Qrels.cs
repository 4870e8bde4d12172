namespace Sparseland.Retrieval;

/// <summary>One judgement: how relevant a document is to a query.</summary>
/// <param name="Query">Id of the query.</param>
/// <param name="Document">Id of the document.</param>
/// <param name="Grade">0 not relevant, 1 and above relevant; negative counts as not judged, as trec_eval has it.</param>
public readonly record struct Judgement(string Query, string Document, int Grade);

/// <summary>The judgements of a set of queries: qrels.</summary>
public sealed class Qrels
{
    private readonly Dictionary<string, Dictionary<string, int>> _grades = new(StringComparer.Ordinal);
    private readonly List<string> _queries = [];

    /// <summary>Judgements.</summary>
    /// <param name="judgements">In any order. Where one query judges a document again, the last judgement stands, and <see cref="Repeated"/> counts it.</param>
    /// <exception cref="ArgumentException">An id is empty.</exception>
    public Qrels(IEnumerable<Judgement> judgements)
    {
        ArgumentNullException.ThrowIfNull(judgements);
        foreach (Judgement judgement in judgements)
        {
            if (string.IsNullOrEmpty(judgement.Query)) throw new ArgumentException($"Judgement {Count} has an empty query id.", nameof(judgements));
            if (string.IsNullOrEmpty(judgement.Document)) throw new ArgumentException($"A judgement of query '{judgement.Query}' has an empty document id.", nameof(judgements));
            if (!_grades.TryGetValue(judgement.Query, out Dictionary<string, int>? grades))
            {
                _grades.Add(judgement.Query, grades = new(StringComparer.Ordinal));
                _queries.Add(judgement.Query);
            }

            if (grades.TryAdd(judgement.Document, judgement.Grade))
            {
                Count++;
                continue;
            }

            grades[judgement.Document] = judgement.Grade;
            Repeated++;
        }
    }

    /// <summary>Number of judged pairs.</summary>
    public int Count { get; }

    /// <summary>How many judgements were given again for a pair already judged.</summary>
    public int Repeated { get; }

    /// <summary>Ids of the judged queries, in the order of their first judgement.</summary>
    public IReadOnlyList<string> Queries => _queries;

    /// <summary>The judged documents of a query and their grades; empty where the query has no judgement.</summary>
    /// <param name="query">Id of a query.</param>
    public IReadOnlyDictionary<string, int> this[string query] => _grades.TryGetValue(query, out Dictionary<string, int>? grades) ? grades : s_none;

    private static readonly Dictionary<string, int> s_none = [];

    /// <summary>Whether a query has a judgement.</summary>
    /// <param name="query">Id of a query.</param>
    public bool Has(string query) => _grades.ContainsKey(query);

    /// <summary>Grade of a document for a query; null where it is not judged.</summary>
    /// <param name="query">Id of a query.</param>
    /// <param name="document">Id of a document.</param>
    public int? Grade(string query, string document) => this[query].TryGetValue(document, out int grade) ? grade : null;

    /// <summary>All judgements, query by query, in the order given.</summary>
    public IEnumerable<Judgement> All => _queries.SelectMany(q => _grades[q].Select(d => new Judgement(q, d.Key, d.Value)));

    /// <summary>The judgements of some queries.</summary>
    /// <param name="queries">Ids; those without a judgement are passed over.</param>
    public Qrels Of(IEnumerable<string> queries)
    {
        ArgumentNullException.ThrowIfNull(queries);
        return new(queries.SelectMany(q => this[q].Select(d => new Judgement(q, d.Key, d.Value))));
    }

    /// <summary>Numbers of queries and judgements.</summary>
    public override string ToString() => $"Qrels: {_queries.Count} queries, {Count} judgements";
}
