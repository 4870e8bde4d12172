using System.Globalization;
using Sparseland.Retrieval.Measures;
using Sparseland.Tensors;

namespace Sparseland.Retrieval.Feedback;

/// <summary>Settings tried on the same queries, with the values of every query.</summary>
/// <typeparam name="T">Type of a setting.</typeparam>
public sealed class SweepResult<T>
{
    internal SweepResult(IReadOnlyList<T> settings, IReadOnlyList<RetrievalEvaluation> evaluations) => (Settings, Evaluations) = (settings, evaluations);

    /// <summary>Settings, in the order given.</summary>
    public IReadOnlyList<T> Settings { get; }

    /// <summary>What each setting measured, query by query.</summary>
    public IReadOnlyList<RetrievalEvaluation> Evaluations { get; }

    /// <summary>Mean of a measure for each setting.</summary>
    /// <param name="measure">A measure of the sweep.</param>
    public IReadOnlyList<double> Means(RetrievalMeasure measure) => [.. Evaluations.Select(e => e.Mean(measure))];

    /// <summary>Place of the setting with the best mean over all queries, the first of equals. It is chosen on the queries that judge it: for a figure to report see <see cref="CrossValidate"/>.</summary>
    /// <param name="measure">A measure of the sweep.</param>
    public int Best(RetrievalMeasure measure) => BestOf(measure, [.. Enumerable.Range(0, Evaluations[0].Queries.Count)]);

    /// <summary>Each query measured with the setting that is best on the other folds.</summary>
    /// <param name="measure">The measure that chooses and is reported.</param>
    /// <param name="seed">Seed of the folds.</param>
    /// <param name="folds">Folds, from 2 to the number of queries. Default 5.</param>
    /// <exception cref="ArgumentException">A number of folds out of its range, or a measure that was not made.</exception>
    public CrossValidatedSweep<T> CrossValidate(RetrievalMeasure measure, int seed, int folds = 5)
    {
        IReadOnlyList<string> queries = Evaluations[0].Queries;
        if (folds < 2 || folds > queries.Count) throw new ArgumentOutOfRangeException(nameof(folds), folds, $"Folds are from 2 to the {queries.Count} queries.");
        int[] order = new SeededRandom(seed, 400).Permutation<int>(queries.Count);
        double[] values = new double[queries.Count];
        var chosen = new T[folds];
        for (int fold = 0; fold < folds; fold++)
        {
            int[] others = [.. order.Where((_, place) => place % folds != fold)];
            int best = BestOf(measure, others);
            chosen[fold] = Settings[best];
            for (int place = fold; place < order.Length; place += folds) values[order[place]] = Evaluations[best][measure][order[place]];
        }

        return new(measure, queries, values, chosen);
    }

    private int BestOf(RetrievalMeasure measure, int[] queries)
    {
        int best = 0;
        double highest = double.NegativeInfinity;
        for (int s = 0; s < Settings.Count; s++)
        {
            IReadOnlyList<double> values = Evaluations[s][measure];
            double mean = queries.Average(q => values[q]);
            if (mean > highest) (best, highest) = (s, mean);
        }

        return best;
    }
}

/// <summary>What a sweep is worth when the setting is chosen on other queries than it is judged on.</summary>
/// <typeparam name="T">Type of a setting.</typeparam>
/// <param name="Measure">The measure.</param>
/// <param name="Queries">Ids of the queries.</param>
/// <param name="Values">Value of each query.</param>
/// <param name="Chosen">Setting chosen for each fold.</param>
public sealed record CrossValidatedSweep<T>(RetrievalMeasure Measure, IReadOnlyList<string> Queries, IReadOnlyList<double> Values, IReadOnlyList<T> Chosen)
{
    /// <summary>Mean over the queries.</summary>
    public double Mean => Values.Average();

    /// <summary>The mean and the settings chosen.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Measure} {Mean:0.0000} over {Queries.Count} queries, chosen {string.Join(", ", Chosen)}");
}

/// <summary>Tries settings on the same queries.</summary>
public static class ParameterSweep
{
    /// <summary>Runs every setting and measures it.</summary>
    /// <typeparam name="T">Type of a setting.</typeparam>
    /// <param name="settings">Settings, at least one.</param>
    /// <param name="run">Makes the run of a setting.</param>
    /// <param name="qrels">Judgements.</param>
    /// <param name="measures">Measures; null, the default, for <see cref="RetrievalMeasure.Usual"/>.</param>
    /// <param name="options">How runs are judged; null, the default, for the record's defaults.</param>
    /// <param name="progress">Settings done.</param>
    /// <param name="cancel">Checked between settings.</param>
    /// <exception cref="ArgumentException">No setting, or runs over different queries.</exception>
    public static SweepResult<T> Over<T>(
        IReadOnlyList<T> settings, Func<T, Run> run, Qrels qrels, IReadOnlyList<RetrievalMeasure>? measures = null, RetrievalMetricsOptions? options = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(run);
        if (settings.Count == 0) throw new ArgumentException("There is no setting.", nameof(settings));
        var evaluations = new List<RetrievalEvaluation>(settings.Count);
        foreach (T setting in settings)
        {
            cancel.ThrowIfCancellationRequested();
            RetrievalEvaluation evaluation = RetrievalMetrics.Evaluate(run(setting), qrels, measures, options);
            if (evaluations.Count > 0 && !evaluation.Queries.SequenceEqual(evaluations[0].Queries))
                throw new ArgumentException($"The run of setting {setting} has other queries, or in another order, than that of {settings[0]}.", nameof(run));
            evaluations.Add(evaluation);
            progress?.Report(new(evaluations.Count, settings.Count, $"{setting}"));
        }

        return new([.. settings], evaluations);
    }
}
