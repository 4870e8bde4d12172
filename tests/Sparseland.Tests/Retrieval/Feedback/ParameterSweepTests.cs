using Sparseland.Retrieval;
using Sparseland.Retrieval.Feedback;
using Sparseland.Retrieval.Measures;

namespace Sparseland.Tests.Retrieval.Feedback;

public class ParameterSweepTests
{
    private static readonly string[] s_queries = [.. Enumerable.Range(0, 30).Select(i => $"q{i}")];
    private static readonly Qrels s_qrels = RetrievalData.Qrels([.. s_queries.Select(q => (q, "a", 1))]);

    // A setting s finds the answer at rank 1 on every query whose number is below s, and at rank 2 on the others.
    private static Run Of(int setting) => RetrievalData.Run($"s{setting}", [.. s_queries.Select((q, i) => (q, i < setting ? new[] { ("a", 2.0) } : [("b", 2.0), ("a", 1.0)]))]);

    [Fact]
    public void Settings_are_measured_query_by_query_and_the_best_is_found()
    {
        SweepResult<int> sweep = ParameterSweep.Over([0, 20, 10, 20], Of, s_qrels, ["MRR@10"]);
        Assert.Equal([0.5, 25 / 30.0, 20 / 30.0, 25 / 30.0], sweep.Means("MRR@10"), (a, b) => Math.Abs(a - b) < 1e-12);
        Assert.Equal(1, sweep.Best("MRR@10"));
        CrossValidatedSweep<int> chosen = sweep.CrossValidate("MRR@10", seed: 1);
        Assert.Equal([20, 20, 20, 20, 20], chosen.Chosen);
        Assert.Equal(25 / 30.0, chosen.Mean, 1e-12);
    }

    // Each of two settings is right on one half of the queries: chosen on all of them a setting is worth 0.75, chosen on others never more.
    [Fact]
    public void Cross_validation_judges_a_setting_on_queries_that_did_not_choose_it()
    {
        Run Half(int which) => RetrievalData.Run($"h{which}", [.. s_queries.Select((q, i) => (q, i % 2 == which ? new[] { ("a", 2.0) } : [("b", 2.0), ("a", 1.0)]))]);
        SweepResult<int> sweep = ParameterSweep.Over([0, 1], Half, s_qrels, ["MRR@10"]);
        CrossValidatedSweep<int> leaveOneOut = sweep.CrossValidate("MRR@10", seed: 3, folds: 30);

        // Without a query its own half is the smaller one, so the other half's setting is chosen: always wrong.
        Assert.Equal(0.75, sweep.Means("MRR@10")[sweep.Best("MRR@10")], 1e-12);
        Assert.Equal(0.5, leaveOneOut.Mean, 1e-12);
        Assert.Equal(sweep.CrossValidate("MRR@10", 3).Values, sweep.CrossValidate("MRR@10", 3).Values);
    }

    [Fact]
    public void Bad_arguments_are_refused()
    {
        Assert.Throws<ArgumentException>(() => ParameterSweep.Over<int>([], Of, s_qrels));
        Assert.Throws<ArgumentException>(() => ParameterSweep.Over([1, 2], s => Of(s).Of(s_queries.Take(28 + s)), s_qrels));
        SweepResult<int> sweep = ParameterSweep.Over([0], Of, s_qrels);
        Assert.Throws<ArgumentOutOfRangeException>(() => sweep.CrossValidate("MAP", 1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => sweep.CrossValidate("MAP", 1, 31));
        Assert.Throws<ArgumentException>(() => sweep.CrossValidate("P@7", 1));
        Assert.Throws<OperationCanceledException>(() => ParameterSweep.Over([0], Of, s_qrels, cancel: new CancellationToken(true)));
    }
}
