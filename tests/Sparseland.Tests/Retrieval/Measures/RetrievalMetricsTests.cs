using System.Globalization;
using Sparseland.Evaluation;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Formats;
using Sparseland.Retrieval.Measures;

namespace Sparseland.Tests.Retrieval.Measures;

public class RetrievalMetricsTests
{
    // Query q: a (grade 2) and c (grade 1) are relevant, x (grade 3) is not found, n is judged -1. Scores: b and c are equal, so c, the larger
    // id, stands before b. Order by trec_eval: a, c, b, n. Gains 2, 1, 0, 0.
    private static readonly Run s_run = RetrievalData.Run("hand", ("q", [("b", 5), ("c", 5), ("a", 9), ("n", 1)]), ("other", [("a", 1)]));
    private static readonly Qrels s_qrels = RetrievalData.Qrels(("q", "a", 2), ("q", "c", 1), ("q", "x", 3), ("q", "n", -1), ("q", "b", 0), ("missing", "a", 1));

    [Theory]
    [InlineData("nDCG@10", (2 + (1 / 1.5849625007211562)) / (3 + (2 / 1.5849625007211562) + 0.5))]
    [InlineData("nDCG@1", 2.0 / 3)]
    [InlineData("MAP", (1.0 + 1.0) / 3)]
    [InlineData("MRR", 1)]
    [InlineData("Recall@1", 1.0 / 3)]
    [InlineData("Recall@100", 2.0 / 3)]
    [InlineData("P@5", 2.0 / 5)]
    [InlineData("Success@1", 1)]
    public void A_list_worked_by_hand(string measure, double expected)
    {
        RetrievalEvaluation evaluation = RetrievalMetrics.Evaluate(s_run, s_qrels, [measure]);
        Assert.Equal(["q"], evaluation.Queries);
        Assert.Equal(expected, evaluation.Mean(measure), 1e-15);
        Assert.Equal((1, 1), (evaluation.QueriesWithoutJudgement, evaluation.QueriesWithoutList));
    }

    [Fact]
    public void Equal_scores_stand_by_the_larger_id_whatever_the_retriever_said()
    {
        // Bytes of UTF-8 are compared, as strcmp does: lower case behind upper case, a character beyond 0xFFFF behind all others.
        IReadOnlyList<RankedDocument> list = [new("B", 1), new("b", 1), new("\uFFFC", 1), new("\U0001D54F", 1), new("b1", 1), new("z", 0.5)];
        Assert.Equal(["\U0001D54F", "\uFFFC", "b1", "b", "B", "z"], RetrievalMetrics.InTrecOrder(list).Select(d => d.Id));
    }

    [Fact]
    public void Scores_that_differ_in_the_last_digits_are_equal_in_single_precision()
    {
        Run run = RetrievalData.Run("r", ("q", [("a", 1 + 1e-12), ("z", 1)]));
        Qrels qrels = RetrievalData.Qrels(("q", "a", 1));
        Assert.Equal(1, RetrievalMetrics.Evaluate(run, qrels, ["MRR"]).Mean("MRR"));
        Assert.Equal(0.5, RetrievalMetrics.Evaluate(run, qrels, ["MRR"], new() { SinglePrecision = true }).Mean("MRR"));
    }

    [Fact]
    public void Options_change_what_they_say()
    {
        double Value(string measure, RetrievalMetricsOptions options) => RetrievalMetrics.Evaluate(s_run, s_qrels, [measure], options).Mean(measure);

        // Only a and x have grade 2 or more; gains 2^g - 1 are 3, 1 and, for x, 7.
        Assert.Equal(0.5, Value("MAP", new() { RelevantFrom = 2 }), 1e-15);
        Assert.Equal((3 + (1 / Math.Log2(3))) / (7 + (3 / Math.Log2(3)) + 0.5), Value("nDCG@10", new() { Gain = RankingGain.Exponential }), 1e-15);

        // trec_eval -c: the judged query that the run lacks counts 0.
        Assert.Equal(1.0 / 3, Value("MAP", new() { Complete = true }), 1e-15);
        Assert.Equal(["q", "missing"], RetrievalMetrics.Evaluate(s_run, s_qrels, null, new() { Complete = true }).Queries);

        Run own = RetrievalData.Run("own", ("q", [("q", 9), ("a", 8)]));
        Assert.Equal(0.5, RetrievalMetrics.Evaluate(own, s_qrels, ["MRR"]).Mean("MRR"));
        RetrievalEvaluation dropped = RetrievalMetrics.Evaluate(own, s_qrels, ["MRR"], new() { DropIdenticalId = true });
        Assert.Equal((1.0, 1), (dropped.Mean("MRR"), dropped.IdenticalIdsDropped));
    }

    [Fact]
    public void A_collection_says_whether_identical_ids_are_dropped()
    {
        var collection = new RetrievalCollection("c", [new("q", "text"), new("a", "text")], [new("q", "text")], s_qrels) { DropsIdenticalIds = true };
        Run own = RetrievalData.Run("own", ("q", [("q", 9), ("a", 8)]));
        Assert.Equal(1, RetrievalMetrics.Evaluate(own, collection, ["MRR"]).Mean("MRR"));
        Assert.Equal(0.5, RetrievalMetrics.Evaluate(own, collection, ["MRR"], new()).Mean("MRR"));
        Assert.Contains("1 queries are documents too", collection.ToString(), StringComparison.Ordinal);
        Assert.True(collection.With([new("q", "other")]).DropsIdenticalIds);
    }

    // recorded.tsv: values of plain Python over recorded.run and recorded.qrels (Recorded/make.py), with ties, negative grades, a query without
    // a relevant document, characters beyond ASCII, and queries that stand on one side only.
    [Fact]
    public void A_recorded_run_has_the_values_of_an_independent_program()
    {
        using var folder = new TemporaryFolder();
        Run run = TrecFiles.ReadRun(RetrievalData.Recorded(folder, "recorded.run")).Run;
        Qrels qrels = TrecFiles.ReadQrels(RetrievalData.Recorded(folder, "recorded.qrels"));
        string[][] rows = [.. File.ReadLines(RetrievalData.Recorded(folder, "recorded.tsv")).Skip(1).Select(l => l.Split('\t'))];
        RetrievalMeasure[] measures = [.. rows.Select(r => RetrievalMeasure.Parse(r[2])).Distinct()];
        foreach (int level in new[] { 1, 2 })
        {
            RetrievalEvaluation evaluation = RetrievalMetrics.Evaluate(run, qrels, measures, new() { RelevantFrom = level, Complete = true });
            string[][] expected = [.. rows.Where(r => r[0] == level.ToString(CultureInfo.InvariantCulture))];
            Assert.Equal(13 * 12, expected.Length);
            Assert.All(expected, r => Assert.Equal(double.Parse(r[3], CultureInfo.InvariantCulture), evaluation.Value(r[1], r[2]), 1e-14));
        }
    }

    // trec_eval.tsv: what trec_eval 10.0, built from its source, prints of the same run: means with and without -c, with -l 1 and -l 2, to four digits.
    // It prints the values of single queries of recorded.tsv too. Without -c its version 10 stops at a judged query that the run lacks (q3), which was
    // left out for it, as older versions do by themselves.
    [Fact]
    public void A_recorded_run_has_the_means_that_trec_eval_prints()
    {
        using var folder = new TemporaryFolder();
        Run run = TrecFiles.ReadRun(RetrievalData.Recorded(folder, "recorded.run")).Run;
        Qrels qrels = TrecFiles.ReadQrels(RetrievalData.Recorded(folder, "recorded.qrels"));
        string[][] rows = [.. File.ReadLines(RetrievalData.Recorded(folder, "trec_eval.tsv")).Skip(1).Select(l => l.Split('\t'))];
        Assert.Equal(4 * 12, rows.Length);
        Assert.All(rows, r =>
        {
            var options = new RetrievalMetricsOptions { Complete = r[0] == "1", RelevantFrom = int.Parse(r[1], CultureInfo.InvariantCulture) };
            Assert.Equal(double.Parse(r[3], CultureInfo.InvariantCulture), RetrievalMetrics.Evaluate(run, qrels, [r[2]], options).Mean(r[2]), 5.1e-5);
        });
    }

    [Theory]
    [InlineData("ndcg_cut_10", "nDCG@10")]
    [InlineData("map", "MAP")]
    [InlineData("recip_rank", "MRR")]
    [InlineData("R@100", "Recall@100")]
    [InlineData("p_5", "P@5")]
    [InlineData("SUCCESS@1", "Success@1")]
    [InlineData("ndcg", "nDCG")]
    public void Names_of_the_field_and_of_trec_eval_are_read(string text, string name) => Assert.Equal(name, RetrievalMeasure.Parse(text).ToString());

    [Theory]
    [InlineData("bleu@4")]
    [InlineData("Recall")]
    [InlineData("nDCG@0")]
    [InlineData("nDCG@ten")]
    [InlineData("")]
    public void What_is_no_measure_is_refused(string text) => Assert.Throws<FormatException>(() => RetrievalMeasure.Parse(text));

    [Fact]
    public void Bad_arguments_are_refused()
    {
        Assert.Throws<ArgumentException>(() => RetrievalMetrics.Evaluate(s_run, s_qrels, []));
        Assert.Throws<ArgumentException>(() => RetrievalMetrics.Evaluate(s_run, s_qrels, ["MAP", "map"]));
        Assert.Throws<ArgumentException>(() => RetrievalMetrics.Evaluate(RetrievalData.Run("r", ("other", [])), s_qrels));
        Assert.Throws<ArgumentOutOfRangeException>(() => RetrievalMetrics.Evaluate(s_run, s_qrels, null, new() { RelevantFrom = 0 }));
        RetrievalEvaluation evaluation = RetrievalMetrics.Evaluate(s_run, s_qrels, ["MAP"]);
        Assert.Throws<ArgumentException>(() => evaluation.Mean("MRR"));
        Assert.Throws<ArgumentException>(() => evaluation.Value("other", "MAP"));
        Assert.Throws<ArgumentException>(() => evaluation.Of(["other"]));
    }
}
