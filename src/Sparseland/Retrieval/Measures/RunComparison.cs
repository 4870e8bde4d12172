using System.Globalization;
using Sparseland.Evaluation;

namespace Sparseland.Retrieval.Measures;

/// <summary>Two runs on the same queries in one measure: paired bootstrap and paired t test, with the number of comparisons that a reader saw.</summary>
/// <param name="First">Name of the first run.</param>
/// <param name="Second">Name of the second.</param>
/// <param name="Measure">The measure.</param>
/// <param name="Bootstrap">Mean difference, first minus second, its interval and p-value by paired bootstrap.</param>
/// <param name="Test">The paired t test of the same differences.</param>
/// <param name="Comparisons">How many comparisons this one is of.</param>
/// <param name="Better">Number of queries on which the first is better.</param>
/// <param name="Worse">Number on which it is worse.</param>
/// <param name="Equal">Number without difference.</param>
public sealed record RunComparison(
    string First, string Second, RetrievalMeasure Measure, PairedBootstrap Bootstrap, PairedTTest Test, int Comparisons, int Better, int Worse, int Equal)
{
    /// <summary>The bootstrap's p-value times the number of comparisons, at most 1 (Bonferroni).</summary>
    public double CorrectedPValue => Math.Min(1, Bootstrap.PValue * Comparisons);

    /// <summary>Compares two evaluations of the same queries.</summary>
    /// <param name="first">One.</param>
    /// <param name="second">The other; it has the same queries, in any order.</param>
    /// <param name="measure">A measure of both.</param>
    /// <param name="seed">Seed of the bootstrap.</param>
    /// <param name="comparisons">How many comparisons are made together, at least 1. Default 1.</param>
    /// <param name="resamples">Resamples of the bootstrap, at least 100. Default 10_000.</param>
    /// <exception cref="ArgumentException">Other queries, judged in another way, not measured, fewer than two queries, or an argument out of its range.</exception>
    public static RunComparison Of(
        RetrievalEvaluation first, RetrievalEvaluation second, RetrievalMeasure measure, int seed, int comparisons = 1, int resamples = 10_000)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        ArgumentOutOfRangeException.ThrowIfLessThan(comparisons, 1);
        if (first.Queries.Count != second.Queries.Count || first.Queries.Except(second.Queries, StringComparer.Ordinal).FirstOrDefault() is not null)
        {
            string? missing = first.Queries.Except(second.Queries, StringComparer.Ordinal).Concat(second.Queries.Except(first.Queries, StringComparer.Ordinal)).FirstOrDefault();
            throw new ArgumentException($"'{first.Name}' has {first.Queries.Count} queries and '{second.Name}' {second.Queries.Count}; query '{missing}' is in one only.", nameof(second));
        }

        if (first.Options != second.Options) throw new ArgumentException($"'{first.Name}' was judged with {first.Options} and '{second.Name}' with {second.Options}.", nameof(second));
        IReadOnlyList<double> values = first[measure];
        double[] others = [.. first.Queries.Select(q => second.Value(q, measure))];
        return new(
            first.Name, second.Name, measure, PairedBootstrap.Compare(values, others, seed, resamples), PairedTTest.Compare(values, others), comparisons,
            values.Zip(others).Count(v => v.First > v.Second), values.Zip(others).Count(v => v.First < v.Second), values.Zip(others).Count(v => v.First == v.Second));
    }

    /// <summary>"A - B, nDCG@10: +0.041 (0.012..0.070), p 0.004, of 3 comparisons".</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{First} - {Second}, {Measure}: {Bootstrap.Difference:+0.0000;-0.0000} ({Bootstrap.Low:0.0000}..{Bootstrap.High:0.0000}), p {Bootstrap.PValue:0.0000} (t test {Test.PValue:0.0000}), better on {Better}, worse on {Worse}, of {Comparisons} comparison{(Comparisons == 1 ? "" : "s")}");
}
