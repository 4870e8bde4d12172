using Sparseland.Evaluation;

namespace Sparseland.Retrieval.Measures;

/// <summary>How runs are judged. The defaults are trec_eval's.</summary>
public sealed record RetrievalMetricsOptions
{
    /// <summary>Least grade that counts as relevant (trec_eval's -l), at least 1. nDCG takes every positive grade. Default 1.</summary>
    public int RelevantFrom { get; init; } = 1;

    /// <summary>What a grade is worth in nDCG. Default linear: the grade.</summary>
    public RankingGain Gain { get; init; } = RankingGain.Linear;

    /// <summary>Means over all judged queries, those that the run lacks counting 0 (trec_eval's -c). Default false: over queries that are in both.</summary>
    public bool Complete { get; init; }

    /// <summary>
    /// Leaves out a document that bears the query's own id, as BEIR does where queries are documents of the collection. Default false.
    /// </summary>
    public bool DropIdenticalId { get; init; }

    /// <summary>Compares scores as float32, as older versions of trec_eval keep them, so that more are equal. Default false.</summary>
    public bool SinglePrecision { get; init; }

    internal void Validate()
    {
        if (RelevantFrom < 1) throw new ArgumentOutOfRangeException(nameof(RelevantFrom), RelevantFrom, "The least relevant grade is at least 1.");
        if (!Enum.IsDefined(Gain)) throw new ArgumentOutOfRangeException(nameof(Gain), Gain, "A gain is linear or exponential.");
    }
}

/// <summary>
/// Judges runs as trec_eval does (usnistgov/trec_eval, form_res_rels.c, m_ndcg_cut.c, m_map.c): the order of a list is made anew from its
/// scores, highest first, and equal scores stand by document id in DESCENDING ordinal order, whatever order the retriever had. Documents
/// without judgement count 0.
/// </summary>
public static class RetrievalMetrics
{
    /// <summary>The measures of every query of a run.</summary>
    /// <param name="run">What was found.</param>
    /// <param name="qrels">Judgements; queries of the run without any are left out and counted.</param>
    /// <param name="measures">Measures, at least one; null, the default, for <see cref="RetrievalMeasure.Usual"/>.</param>
    /// <param name="options">Threshold, gain, completeness; null, the default, for the record's defaults.</param>
    /// <exception cref="ArgumentException">No measure, one twice, an option out of its range, or run and judgements share no query.</exception>
    public static RetrievalEvaluation Evaluate(
        Run run, Qrels qrels, IReadOnlyList<RetrievalMeasure>? measures = null, RetrievalMetricsOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(run);
        ArgumentNullException.ThrowIfNull(qrels);
        measures ??= RetrievalMeasure.Usual;
        options ??= new();
        options.Validate();
        if (measures.Count == 0) throw new ArgumentException("There is no measure.", nameof(measures));
        if (measures.GroupBy(m => m).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new ArgumentException($"The measure {twice.Key} stands twice.", nameof(measures));
        string[] queries = options.Complete ? [.. qrels.Queries] : [.. run.Queries.Where(qrels.Has)];
        if (!queries.Any(run.Has))
            throw new ArgumentException($"Run '{run.Name}' and the judgements share no query: {run.Queries.Count} in the run, {qrels.Queries.Count} judged.", nameof(run));

        double[][] values = [.. measures.Select(_ => new double[queries.Length])];
        int dropped = 0;
        for (int q = 0; q < queries.Length; q++)
        {
            if (!run.Has(queries[q])) continue;
            int[] grades = Grades(run[queries[q]], queries[q], qrels[queries[q]], options, ref dropped);
            int[] judged = [.. qrels[queries[q]].Values];
            int relevant = judged.Count(g => g >= options.RelevantFrom);
            for (int m = 0; m < measures.Count; m++) values[m][q] = Measure(measures[m], grades, judged, relevant, options);
        }

        return new(run.Name, [.. measures], queries, values)
        {
            Options = options,
            QueriesWithoutJudgement = run.Queries.Count(q => !qrels.Has(q)),
            QueriesWithoutList = qrels.Queries.Count(q => !run.Has(q)),
            IdenticalIdsDropped = dropped,
        };
    }

    /// <summary>The measures of every query of a run over a collection, by the collection's judgements and its rule on identical ids.</summary>
    /// <param name="run">What was found.</param>
    /// <param name="collection">The collection.</param>
    /// <param name="measures">Measures, at least one; null, the default, for <see cref="RetrievalMeasure.Usual"/>.</param>
    /// <param name="options">
    /// Threshold, gain, completeness; null, the default, for the record's defaults with <see cref="RetrievalCollection.DropsIdenticalIds"/> of the collection.
    /// </param>
    /// <exception cref="ArgumentException">No measure, one twice, an option out of its range, or run and judgements share no query.</exception>
    public static RetrievalEvaluation Evaluate(
        Run run, RetrievalCollection collection, IReadOnlyList<RetrievalMeasure>? measures = null, RetrievalMetricsOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(collection);
        return Evaluate(run, collection.Qrels, measures, options ?? new() { DropIdenticalId = collection.DropsIdenticalIds });
    }

    /// <summary>A list in trec_eval's order: score descending, then document id descending by ordinal.</summary>
    /// <param name="list">What a query found, in any order.</param>
    /// <param name="singlePrecision">Whether scores are compared as float32. Default false.</param>
    public static IReadOnlyList<RankedDocument> InTrecOrder(IReadOnlyList<RankedDocument> list, bool singlePrecision = false)
    {
        ArgumentNullException.ThrowIfNull(list);
        RankedDocument[] sorted = [.. list];
        Array.Sort(sorted, (a, b) => Score(b).CompareTo(Score(a)) is not 0 and var byScore ? byScore : CompareUtf8(b.Id, a.Id));
        return sorted;
        double Score(RankedDocument document) => singlePrecision ? (float)document.Score : document.Score;
    }

    private static int[] Grades(
        IReadOnlyList<RankedDocument> list, string query, IReadOnlyDictionary<string, int> judged, RetrievalMetricsOptions options, ref int dropped)
    {
        var grades = new List<int>(list.Count);
        foreach (RankedDocument found in InTrecOrder(list, options.SinglePrecision))
        {
            if (options.DropIdenticalId && found.Id == query) dropped++;
            else grades.Add(judged.TryGetValue(found.Id, out int grade) ? grade : 0);
        }

        return [.. grades];
    }

    private static double Measure(RetrievalMeasure measure, int[] grades, int[] judged, int relevant, RetrievalMetricsOptions options)
    {
        int k = measure.Cutoff ?? int.MaxValue, from = options.RelevantFrom;
        return measure.Kind switch
        {
            MeasureKind.Ndcg => RankingMetrics.Ndcg(grades, judged, k, options.Gain),
            MeasureKind.AveragePrecision => RankingMetrics.AveragePrecision(grades.AsSpan(0, Math.Min(k, grades.Length)), relevant, from),
            MeasureKind.ReciprocalRank => RankingMetrics.ReciprocalRank(grades, k, from),
            MeasureKind.Recall => RankingMetrics.Recall(grades, relevant, k, from),
            MeasureKind.Precision => RankingMetrics.Precision(grades, k, from),
            _ => RankingMetrics.Success(grades, k, from),
        };
    }

    // strcmp compares bytes of UTF-8; UTF-16 puts characters beyond 0xFFFF below those from 0xE000 on.
    private static int CompareUtf8(string a, string b)
    {
        int length = Math.Min(a.Length, b.Length);
        for (int i = 0; i < length; i++)
        {
            if (a[i] == b[i]) continue;
            bool high = char.IsSurrogate(a[i]), otherHigh = char.IsSurrogate(b[i]);
            return high == otherHigh ? a[i].CompareTo(b[i]) : high ? 1 : -1;
        }

        return a.Length.CompareTo(b.Length);
    }
}
