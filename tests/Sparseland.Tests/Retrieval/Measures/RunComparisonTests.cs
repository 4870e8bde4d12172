using Sparseland.Evaluation;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Measures;

namespace Sparseland.Tests.Retrieval.Measures;

public class RunComparisonTests
{
    // scipy 1.10: scipy.stats.ttest_rel([1, 2, 4, 3, 0.5], [0.5, 2.5, 2, 2, 0]).
    [Fact]
    public void The_paired_t_test_is_scipys()
    {
        PairedTTest test = PairedTTest.Compare([1, 2, 4, 3, 0.5], [0.5, 2.5, 2, 2, 0]);
        Assert.Equal((0.7, 4), (test.Difference, test.Degrees));
        Assert.Equal(1.7232808737106582, test.T, 1e-12);
        Assert.Equal(0.15993479883742162, test.PValue, 1e-10);
        Assert.Equal(test with { T = -test.T, Difference = -0.7 }, PairedTTest.Compare([0.5, 2.5, 2, 2, 0], [1, 2, 4, 3, 0.5]));
    }

    [Fact]
    public void Differences_without_spread_have_an_answer()
    {
        Assert.Equal(new PairedTTest(0, 0, 2, 1), PairedTTest.Compare([1, 2, 3], [1, 2, 3]));
        Assert.Equal(new PairedTTest(1, double.PositiveInfinity, 2, 0), PairedTTest.Compare([2, 3, 4], [1, 2, 3]));
        Assert.Throws<ArgumentException>(() => PairedTTest.Compare([1], [2]));
        Assert.Throws<ArgumentException>(() => PairedTTest.Compare([1, 2], [2]));
        Assert.Throws<ArgumentException>(() => PairedTTest.Compare([1, double.NaN], [2, 3]));
    }

    [Fact]
    public void Runs_are_compared_query_by_query()
    {
        string[] queries = [.. Enumerable.Range(0, 20).Select(i => $"q{i}")];
        Qrels qrels = RetrievalData.Qrels([.. queries.Select(q => (q, "a", 1))]);
        Run good = RetrievalData.Run("good", [.. queries.Select((q, i) => (q, i % 5 == 0 ? new[] { ("b", 2.0), ("a", 1.0) } : [("a", 2.0)]))]);
        Run poor = RetrievalData.Run("poor", [.. queries.Reverse().Select((q, i) => (q, i % 2 == 0 ? new[] { ("b", 2.0), ("a", 1.0) } : [("a", 2.0)]))]);
        RetrievalEvaluation first = RetrievalMetrics.Evaluate(good, qrels), second = RetrievalMetrics.Evaluate(poor, qrels);
        RunComparison compared = RunComparison.Of(first, second, "MRR@10", seed: 1, comparisons: 3);

        // Of twenty queries "good" halves the reciprocal rank on four and "poor" on ten, in reverse order: query i is poor's place 19 - i.
        Assert.Equal(first.Mean("MRR@10") - second.Mean("MRR@10"), compared.Bootstrap.Difference, 1e-15);
        Assert.Equal(0.15, compared.Bootstrap.Difference, 1e-15);
        Assert.Equal((8, 2, 10), (compared.Better, compared.Worse, compared.Equal));
        Assert.Equal(Math.Min(1, 3 * compared.Bootstrap.PValue), compared.CorrectedPValue);
        Assert.Contains("of 3 comparisons", compared.ToString(), StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => RunComparison.Of(first, second.Of(queries[..5]), "MAP", 1));
        Assert.Throws<ArgumentException>(() => RunComparison.Of(first, RetrievalMetrics.Evaluate(poor, qrels, null, new() { RelevantFrom = 2 }), "MAP", 1));
        Assert.Equal(5, first.Of(queries[..5]).Queries.Count);
    }
}
