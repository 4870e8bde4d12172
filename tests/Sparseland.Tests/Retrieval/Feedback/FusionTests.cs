using Sparseland.Retrieval;
using Sparseland.Retrieval.Feedback;

namespace Sparseland.Tests.Retrieval.Feedback;

public class FusionTests
{
    private static readonly Run s_first = RetrievalData.Run("first", ("q", [("a", 10), ("b", 6), ("c", 2)]));
    private static readonly Run s_second = RetrievalData.Run("second", ("q", [("b", 0.9), ("d", 0.5), ("a", 0.4)]));

    private static (string, double)[] Scores(FusedRun fused) => [.. fused.Run["q"].Select(d => (d.Id, Math.Round(d.Score, 12)))];

    [Fact]
    public void Reciprocal_ranks_are_summed() => Assert.Equal(
        [("b", Math.Round((1.0 / 62) + (1.0 / 61), 12)), ("a", Math.Round((1.0 / 61) + (1.0 / 63), 12)), ("d", Math.Round(1.0 / 62, 12)), ("c", Math.Round(1.0 / 63, 12))],
        Scores(Fusion.ReciprocalRank().Fuse([s_first, s_second], depth: 9)));

    // Scaled: a 1, b 0.5, c 0 and b 1, d 0.2, a 0; at 0.25: b 0.875, a 0.25, d 0.15, c 0.
    [Fact]
    public void Weighted_sums_take_lists_from_0_to_1()
    {
        Assert.Equal([("b", 0.875), ("a", 0.25), ("d", 0.15), ("c", 0)], Scores(Fusion.Weighted(0.25).Fuse([s_first, s_second], depth: 9)));
        Assert.Equal(3, Fusion.Weighted(0.25).Fuse([s_first, s_second]).Run["q"].Count);
        Assert.Equal("first + second", Fusion.Weighted(0.25).Fuse([s_first, s_second]).Run.Name);
    }

    // Centred, absent at the least: a 0.5, b 0, c -0.5, d -0.5 and b 0.5, d -0.3, a -0.5, c -0.5.
    [Fact]
    public void The_other_rules_are_what_they_say()
    {
        Assert.Equal([("b", 0.25), ("a", 0), ("d", -0.4), ("c", -0.5)], Scores(Fusion.Weighted(0.5, NormaliseScores.Centred).Fuse([s_first, s_second], depth: 9)));
        Assert.Equal([("a", 5.2), ("b", 3.45), ("c", 1), ("d", 0.25)], Scores(Fusion.Weighted(0.5, NormaliseScores.None).Fuse([s_first, s_second], depth: 9)));
        Assert.Equal([("a", 5.2), ("b", 3.45), ("d", 1.25), ("c", 1.2)], Scores(Fusion.Weighted(0.5, NormaliseScores.None, AbsentScore.ListMinimum).Fuse([s_first, s_second], depth: 9)));
        Assert.Equal(Scores(Fusion.Weighted(0.25).Fuse([s_first, s_second], depth: 9)).Select(s => (s.Item1, 4 * s.Item2)), Scores(Fusion.Sum([1, 3]).Fuse([s_first, s_second], depth: 9)));
    }

    [Fact]
    public void At_the_ends_one_list_stands_alone()
    {
        Assert.Equal([("b", 1), ("d", 0.2), ("a", 0)], Scores(Fusion.Weighted(0).Fuse([s_first, s_second])));
        Assert.Equal([("a", 1), ("b", 0.5), ("c", 0)], Scores(Fusion.Weighted(1).Fuse([s_first, s_second])));
    }

    [Theory]
    [InlineData(3.5, 0)]
    [InlineData(0.25, -40)]
    [InlineData(1e6, 1e7)]
    public void Min_max_does_not_see_scale_and_shift(double scale, double shift)
    {
        Run Changed(Run run) => RetrievalData.Run(run.Name, ("q", [.. run["q"].Select(d => (d.Id, (scale * d.Score) + shift))]));
        (string, double)[] expected = [.. Scores(Fusion.Weighted(0.3).Fuse([s_first, s_second])).Select(s => (s.Item1, Math.Round(s.Item2, 8)))];
        Assert.Equal(expected, Scores(Fusion.Weighted(0.3).Fuse([Changed(s_first), s_second])).Select(s => (s.Item1, Math.Round(s.Item2, 8))));
        Assert.Equal(expected, Scores(Fusion.Weighted(0.3).Fuse([s_first, Changed(s_second)])).Select(s => (s.Item1, Math.Round(s.Item2, 8))));
    }

    [Fact]
    public void A_constant_list_becomes_1_and_is_counted()
    {
        Run constant = RetrievalData.Run("constant", ("q", [("x", 7), ("b", 7)]));
        FusedRun fused = Fusion.Weighted(0.5).Fuse([s_first, constant], depth: 9);
        Assert.Equal([("b", 0.75), ("a", 0.5), ("x", 0.5), ("c", 0)], Scores(fused));
        Assert.Equal(1, fused.ConstantLists);
        Run empty = RetrievalData.Run("empty", ("q", []));
        Assert.Equal([("a", 0.5), ("b", 0.25), ("c", 0)], Scores(Fusion.Weighted(0.5).Fuse([s_first, empty])));
        Assert.Empty(Fusion.ReciprocalRank().Fuse([empty, empty]).Run["q"]);
    }

    [Fact]
    public void Equal_scores_stand_by_number_where_there_is_one()
    {
        Run one = RetrievalData.Run("one", ("q", [("a", 1)])), two = RetrievalData.Run("two", ("q", [("b", 1)]));
        var collection = new RetrievalCollection("c", [new("b", ""), new("a", "")], [], RetrievalData.Qrels());
        Assert.Equal(["a", "b"], Fusion.Weighted(0.5).Fuse([one, two], depth: 2).Run["q"].Select(d => d.Id));
        Assert.Equal(["b", "a"], Fusion.Weighted(0.5).Fuse([one, two], collection.Find, depth: 2).Run["q"].Select(d => d.Id));
        Assert.Throws<ArgumentException>(() => Fusion.Weighted(0.5).Fuse([one, s_first], collection.Find));
    }

    [Fact]
    public void Other_queries_are_refused_by_name_unless_asked_for()
    {
        Run more = RetrievalData.Run("more", ("q", [("a", 1)]), ("extra", [("a", 1)]));
        Assert.Contains("'extra' is in 'more' and not in 'first'", Assert.Throws<ArgumentException>(() => Fusion.ReciprocalRank().Fuse([s_first, more])).Message, StringComparison.Ordinal);
        FusedRun fused = Fusion.ReciprocalRank().Fuse([s_first, more], intersect: true);
        Assert.Equal((1, 1), (fused.Run.Queries.Count, fused.QueriesLeftOut));
    }

    [Fact]
    public void Bad_arguments_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Fusion.Weighted(1.01));
        Assert.Throws<ArgumentOutOfRangeException>(() => Fusion.Weighted(double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => Fusion.ReciprocalRank(0));
        Assert.Throws<ArgumentException>(() => Fusion.Sum([1]));
        Assert.Throws<ArgumentException>(() => Fusion.Sum([0, 0]));
        Assert.Throws<ArgumentException>(() => Fusion.Sum([-1, 2]));
        Assert.Throws<ArgumentException>(() => Fusion.ReciprocalRank().Fuse([s_first]));
        Assert.Throws<ArgumentException>(() => Fusion.Weighted(0.5).Fuse([s_first, s_second, s_first]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Fusion.Weighted(0.5).Fuse([s_first, s_second], depth: 0));
        Assert.Throws<ArgumentException>(() => Fusion.Weighted(0.5).Fuse([[new Hit(1, double.NaN)], []]));
        Assert.Throws<ArgumentException>(() => Fusion.Weighted(0.5).Fuse([[new Hit(1, 2), new Hit(1, 1)], []]));
    }

    [Fact]
    public void A_list_as_wide_as_float64_is_scaled_too()
    {
        Run wide = new([KeyValuePair.Create<string, IReadOnlyList<RankedDocument>>("q", [new("a", 1e308), new("b", 0), new("c", -1e308)])]);
        Run other = new([KeyValuePair.Create<string, IReadOnlyList<RankedDocument>>("q", [new("d", 1)])]);
        Run fused = Fusion.Weighted(0.5).Fuse([wide, other]).Run;
        Assert.Equal([new("a", 0.5), new("d", 0.5), new("b", 0.25)], fused["q"]);
    }
}
