using System.Globalization;
using System.Text;

namespace Sparseland.Retrieval.Measures;

/// <summary>What <see cref="RetrievalMetrics"/> measured: a value for each measure and query, and their means.</summary>
public sealed class RetrievalEvaluation
{
    private readonly double[][] _values;
    private readonly Dictionary<string, int> _places = new(StringComparer.Ordinal);

    internal RetrievalEvaluation(string name, RetrievalMeasure[] measures, string[] queries, double[][] values)
    {
        (Name, Measures, Queries, _values) = (name, measures, queries, values);
        for (int q = 0; q < queries.Length; q++) _places.Add(queries[q], q);
    }

    /// <summary>Name of the run.</summary>
    public string Name { get; }

    /// <summary>Measures.</summary>
    public IReadOnlyList<RetrievalMeasure> Measures { get; }

    /// <summary>Ids of the queries that were measured, in the order of the run (of the judgements where the evaluation is complete).</summary>
    public IReadOnlyList<string> Queries { get; }

    /// <summary>How the run was judged.</summary>
    public RetrievalMetricsOptions Options { get; internal init; } = new();

    /// <summary>Number of the run's queries that have no judgement and were left out.</summary>
    public int QueriesWithoutJudgement { get; internal init; }

    /// <summary>Number of judged queries that the run lacks: they count 0 where the evaluation is complete, and else not at all.</summary>
    public int QueriesWithoutList { get; internal init; }

    /// <summary>Number of documents that were dropped since they bear their query's id.</summary>
    public int IdenticalIdsDropped { get; internal init; }

    /// <summary>A measure's value for each of <see cref="Queries"/>.</summary>
    /// <param name="measure">One of <see cref="Measures"/>.</param>
    /// <exception cref="ArgumentException">It was not measured.</exception>
    public IReadOnlyList<double> this[RetrievalMeasure measure] => _values[Place(measure)];

    /// <summary>A measure's value for a query.</summary>
    /// <param name="query">One of <see cref="Queries"/>.</param>
    /// <param name="measure">One of <see cref="Measures"/>.</param>
    /// <exception cref="ArgumentException">It was not measured.</exception>
    public double Value(string query, RetrievalMeasure measure)
    {
        ArgumentNullException.ThrowIfNull(query);
        return _places.TryGetValue(query, out int q) ? _values[Place(measure)][q] : throw new ArgumentException($"Query '{query}' was not measured.", nameof(query));
    }

    /// <summary>A measure's mean over the queries.</summary>
    /// <param name="measure">One of <see cref="Measures"/>.</param>
    /// <exception cref="ArgumentException">It was not measured.</exception>
    public double Mean(RetrievalMeasure measure) => _values[Place(measure)].Average();

    /// <summary>The values of some queries, as of a stratum or a split; their means are anew.</summary>
    /// <param name="queries">Ids, at least one that was measured; the others are passed over.</param>
    /// <exception cref="ArgumentException">None of them was measured.</exception>
    public RetrievalEvaluation Of(IEnumerable<string> queries)
    {
        ArgumentNullException.ThrowIfNull(queries);
        int[] kept = [.. queries.Distinct(StringComparer.Ordinal).Where(_places.ContainsKey).Select(q => _places[q])];
        if (kept.Length == 0) throw new ArgumentException($"None of these queries was measured in '{Name}'.", nameof(queries));
        return new(Name, [.. Measures], [.. kept.Select(q => Queries[q])], [.. _values.Select(v => kept.Select(q => v[q]).ToArray())]) { Options = Options };
    }

    /// <summary>Name, number of queries and the means.</summary>
    public override string ToString()
    {
        var text = new StringBuilder($"{Name}, {Queries.Count} queries:");
        foreach (RetrievalMeasure measure in Measures) text.Append(CultureInfo.InvariantCulture, $" {measure} {Mean(measure):0.0000}");
        if (QueriesWithoutJudgement > 0) text.Append(CultureInfo.InvariantCulture, $"; {QueriesWithoutJudgement} queries without judgement left out");
        if (QueriesWithoutList > 0) text.Append(CultureInfo.InvariantCulture, $"; {QueriesWithoutList} judged queries not in the run{(Options.Complete ? ", counted 0" : "")}");
        if (IdenticalIdsDropped > 0) text.Append(CultureInfo.InvariantCulture, $"; {IdenticalIdsDropped} documents with their query's id dropped");
        return text.ToString();
    }

    private int Place(RetrievalMeasure measure) =>
        Array.IndexOf((RetrievalMeasure[])Measures, measure) is >= 0 and var place ? place : throw new ArgumentException($"{measure} was not measured in '{Name}'; there are {string.Join(", ", Measures)}.", nameof(measure));
}
