using System.Globalization;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Sparseland.Evaluation;

namespace Sparseland.Tests.Evaluation;

public class ClaimsTests
{
    [Theory]
    [InlineData(1.1, Relation.Equal, 1, 0.2, true)]
    [InlineData(1.3, Relation.Equal, 1, 0.2, false)]
    [InlineData(1, Relation.AtMost, 1, 0, true)]
    [InlineData(1.05, Relation.AtMost, 1, 0.1, true)]
    [InlineData(1.2, Relation.AtMost, 1, 0.1, false)]
    [InlineData(1, Relation.Below, 1, 0, false)]
    [InlineData(0.9, Relation.Below, 1, 0, true)]
    [InlineData(1, Relation.AtLeast, 1, 0, true)]
    [InlineData(0.8, Relation.AtLeast, 1, 0.1, false)]
    [InlineData(1, Relation.Above, 1, 0, false)]
    [InlineData(1, Relation.Above, 1, 0.1, true)]
    [InlineData(double.PositiveInfinity, Relation.AtMost, 1, 0, false)]
    [InlineData(double.PositiveInfinity, Relation.AtLeast, 1, 0, true)]
    [InlineData(double.NaN, Relation.Equal, 1, 5, false)]
    [InlineData(double.NaN, Relation.Below, 1, 5, false)]
    [InlineData(double.NaN, Relation.Above, 1, 5, false)]
    public void Outcome_follows_the_relation(double measured, Relation relation, double target, double tolerance, bool held)
    {
        Claim claim = Empty().Check("s", ClaimKind.Exact, "-", "here", measured, relation, target, tolerance);
        Assert.Equal(held ? ClaimOutcome.Held : ClaimOutcome.NotReproduced, claim.Outcome);
    }

    [Fact]
    public void Only_exact_and_statistical_claims_are_counted()
    {
        Claims claims = Example();
        Assert.Equal((6, 4, 2), (claims.Count, claims.Stated, claims.Held));
        Assert.Equal("paper's claims 1 of 2 held, identities 1 of 2, 1 exploratory, 1 reported only", claims.Summary);
        Assert.Equal(ClaimOutcome.NotReproduced, claims[3].Outcome);
        Assert.Equal(ClaimOutcome.NotTested, claims[4].Outcome);
    }

    [Fact]
    public void Median_and_mean_keep_their_runs()
    {
        Claims claims = Empty();
        Claim median = claims.CheckMedian("median", "5x", "Fig. 1", [4, 1, 9, 2], Relation.AtMost, 3, unit: "s", seeds: [1, 2, 3, 4]);
        Claim odd = claims.CheckMedian("odd", "5x", "Fig. 1", [4, 1, 9], Relation.AtMost, 3);
        Claim mean = claims.CheckMean("mean", "5x", "Fig. 1", [4, 1, 9, 2], Relation.AtLeast, 4.5);
        Assert.Equal((3, 4, 4), (median.Measured, odd.Measured, mean.Measured));
        Assert.Equal((ClaimOutcome.Held, ClaimOutcome.NotReproduced, ClaimOutcome.NotReproduced), (median.Outcome, odd.Outcome, mean.Outcome));
        Assert.Equal(ClaimKind.Statistical, mean.Kind);
        Assert.Equal([4, 1, 9, 2], median.Values);
        Assert.Equal([1, 2, 3, 4], median.Seeds);
        Assert.Equal("3 s (median of 4 seeds: 1-4; range 1 to 9)", median.MeasuredText);
        Assert.Equal("4 (mean of 4 runs; range 1 to 9)", mean.MeasuredText);
    }

    [Theory]
    [InlineData(ClaimKind.Statistical, "5x", "this notebook", ClaimOrigin.Finding)]
    [InlineData(ClaimKind.Exact, "-", "this notebook", ClaimOrigin.Finding)]
    [InlineData(ClaimKind.Statistical, "5x", "this series", ClaimOrigin.Finding)]
    [InlineData(ClaimKind.Exact, "5x", "theorem 1", ClaimOrigin.Identity)]
    [InlineData(ClaimKind.Statistical, "identity", "theorem 1", ClaimOrigin.Identity)]
    [InlineData(ClaimKind.Statistical, "-", "Fig. 1", ClaimOrigin.Finding)]
    [InlineData(ClaimKind.Statistical, "5x", "Fig. 1", ClaimOrigin.Paper)]
    [InlineData(ClaimKind.Exploratory, "5x", "Fig. 1", ClaimOrigin.Paper)]
    public void The_origin_follows_from_kind_value_and_source_unless_said(ClaimKind kind, string reported, string source, ClaimOrigin expected)
    {
        Claims claims = Empty();
        Assert.Equal(expected, claims.Check("s", kind, reported, source, 1, Relation.Equal, 1).Origin);
        Assert.Equal(ClaimOrigin.Finding, claims.Check("t", kind, reported, source, 1, Relation.Equal, 1, origin: ClaimOrigin.Finding).Origin);

        // Files from before claims had an origin get it by the same rule.
        string old = System.Text.RegularExpressions.Regex.Replace(claims.ToJson(), ",\"origin\":\"[a-z]+\"", "");
        Assert.DoesNotContain("origin", old);
        Assert.Equal([expected, expected], Claims.FromJson(old).Select(c => c.Origin));
    }

    [Fact]
    public void Each_way_of_stating_a_claim_has_its_origin_and_is_counted_apart()
    {
        Claims claims = Empty();
        claims.FromPaper("five times", "5 x", "abstract", [4.0, 6, 5], [1, 2, 3], Relation.AtLeast, 4);
        claims.FromPaper("most", "90 %", "Fig. 1", 0.7, [1, 2, 3], Relation.AtLeast, 0.8, spread: (0.6, 0.9));
        claims.Identity("the gap closes", "duality", 1e-12, Relation.AtMost, 0, 1e-9);
        claims.Finding("also on noise", [1.0, 2, 3], [7, 3, 20], Relation.Above, 0, by: Statistic.Mean);
        claims.Finding("half are left", 0.5, [1, 2, 3], Relation.Equal, 0.5);
        claims.Explore("fast", 2, Relation.AtLeast, 1.5);
        claims.Report("in a day", "1 day", "Table 9");
        Assert.Equal(
            [ClaimOrigin.Paper, ClaimOrigin.Paper, ClaimOrigin.Identity, ClaimOrigin.Finding, ClaimOrigin.Finding, ClaimOrigin.Finding, ClaimOrigin.Paper],
            claims.Select(c => c.Origin));
        Assert.Equal(new ClaimCounts(new(1, 2), new(1, 1), new(2, 2), 0, 1, 1), claims.Counts);
        Assert.Equal("paper's claims 1 of 2 held, identities 1 of 1, findings 2 of 2, 1 exploratory, 1 reported only", claims.Summary);
        Assert.Equal("5 (median of 3 seeds: 1-3; range 4 to 6)", claims[0].MeasuredText);
        Assert.Equal("0.7 (over 3 seeds: 1-3; range 0.6 to 0.9)", claims[1].MeasuredText);
        Assert.Equal("2 (mean of 3 seeds: 7, 3, 20; range 1 to 3)", claims[3].MeasuredText);
        Assert.Equal(claims, Claims.FromJson(claims.ToJson()));
    }

    [Theory]
    [InlineData(Relation.AtMost, 9)]
    [InlineData(Relation.Below, 9)]
    [InlineData(Relation.AtLeast, 1)]
    [InlineData(Relation.Above, 1)]
    [InlineData(Relation.Equal, 9)]
    public void The_worst_value_is_the_one_hardest_on_the_claim(Relation relation, double expected)
    {
        Claim claim = Empty().Finding("s", [4.0, 1, 9], [1, 2, 3], relation, 4, by: Statistic.Worst);
        Assert.Equal((expected, "worst"), (claim.Measured, claim.Statistic));
    }

    [Fact]
    public void A_statistical_claim_needs_three_seeds_to_be_believed()
    {
        Claims claims = Empty();
        Assert.False(claims.Check("none", ClaimKind.Statistical, "5x", "Fig. 1", 1, Relation.Equal, 1).HasEnoughSeeds);
        Assert.False(claims.Finding("two", [1.0, 1], [1, 2], Relation.Equal, 1).HasEnoughSeeds);
        Assert.True(claims.Finding("three", [1.0, 1, 1], [1, 2, 3], Relation.Equal, 1).HasEnoughSeeds);
        Assert.True(claims.Identity("identity", "definition", 1, Relation.Equal, 1).HasEnoughSeeds);
        Assert.True(claims.Explore("explored", 1, Relation.Equal, 1).HasEnoughSeeds);
    }

    [Fact]
    public void At_a_scale_that_judges_only_exact_claims_the_others_are_measured_and_not_counted()
    {
        Claims quick = new("Toy", "A paper, 2023") { Scale = "quick", JudgesOnlyExact = true, Read = PaperRead.AbstractOnly };
        quick.FromPaper("five times", "5 x", "abstract", [1.0, 2], [1, 2], Relation.AtLeast, 5);
        quick.Explore("fast", double.NaN, Relation.AtLeast, 1.5);
        quick.Identity("right", "definition", 0, Relation.Equal, 0);
        quick.Identity("wrong", "definition", 1, Relation.Equal, 0);
        Assert.Equal([ClaimOutcome.NotJudged, ClaimOutcome.NotJudged, ClaimOutcome.Held, ClaimOutcome.NotReproduced], quick.Select(c => c.Outcome));
        Assert.Equal("identities 1 of 2 held, 2 measured but not judged", quick.Summary);
        Assert.StartsWith("Measured at quick scale. Only exact claims are judged", quick.Remark);
        Assert.EndsWith("Only the abstract of the paper could be read.", quick.Remark);
        foreach (string text in new[] { quick.ToString(), quick.ToMarkdown() })
            Assert.Contains(quick.Remark, text);

        Claims back = Claims.FromJson(quick.ToJson());
        Assert.Equal(quick, back);
        Assert.Equal((quick.Scale, quick.JudgesOnlyExact, quick.Read), (back.Scale, back.JudgesOnlyExact, back.Read));

        // What held at another scale is not lost by being measured without being judged.
        Claims before = Empty();
        before.FromPaper("five times", "5 x", "abstract", [6.0, 7], [1, 2], Relation.AtLeast, 5);
        before.Identity("wrong", "definition", 0, Relation.Equal, 0);
        Assert.Equal(["wrong"], ClaimsComparison.Regressed(before, quick).Select(c => c.Statement));
    }

    [Fact]
    public void A_failed_measurement_is_a_claim_not_reproduced()
    {
        Claims claims = Empty();
        Claim one = claims.Check("one", ClaimKind.Exact, "-", "here", double.NaN, Relation.Equal, 0, note: "diverged");
        Claim runs = claims.CheckMean("runs", "-", "here", [1, double.NaN, double.NaN], Relation.AtLeast, 0);
        Assert.Equal((ClaimOutcome.NotReproduced, "diverged; the measured value is not a number"), (one.Outcome, one.Note));
        Assert.Equal((ClaimOutcome.NotReproduced, "2 of 3 values are not numbers"), (runs.Outcome, runs.Note));
        Assert.Equal((0, 2), (claims.Held, claims.Stated));
    }

    [Fact]
    public void A_badly_stated_claim_throws_and_adds_nothing()
    {
        Claims claims = Empty();
        claims.Check("there", ClaimKind.Exact, "-", "here", 1, Relation.Equal, 1);
        Refused("statement", () => claims.Check(" ", ClaimKind.Exact, "-", "here", 1, Relation.Equal, 1));
        Refused("statement", () => claims.Check(null!, ClaimKind.Exact, "-", "here", 1, Relation.Equal, 1));
        Refused("statement", () => claims.Check("there", ClaimKind.Exact, "-", "here", 1, Relation.Equal, 2));
        Refused("statement", () => claims.Check("there", ClaimKind.Statistical, "-", "here", 1, Relation.Equal, 1));
        Refused("statement", () => claims.Report("there", "5x", "Fig. 1"));
        Refused("reported", () => claims.Report("new", "", "Fig. 1"));
        Refused("source", () => claims.Check("new", ClaimKind.Exact, "-", "", 1, Relation.Equal, 1));
        Refused("kind", () => claims.Check("new", ClaimKind.ReportedOnly, "-", "here", 1, Relation.Equal, 1));
        Refused("kind", () => claims.Check("new", (ClaimKind)9, "-", "here", 1, Relation.Equal, 1));
        Refused("relation", () => claims.Check("new", ClaimKind.Exact, "-", "here", 1, (Relation)9, 1));
        Refused("target", () => claims.Check("new", ClaimKind.Exact, "-", "here", 1, Relation.Equal, double.NaN));
        Refused("target", () => claims.Check("new", ClaimKind.Exact, "-", "here", 1, Relation.Equal, double.PositiveInfinity));
        Refused("tolerance", () => claims.Check("new", ClaimKind.Exact, "-", "here", 1, Relation.Equal, 1, -0.1));
        Refused("tolerance", () => claims.Check("new", ClaimKind.Exact, "-", "here", 1, Relation.Equal, 1, double.NaN));
        Refused("values", () => claims.CheckMedian("new", "-", "here", [], Relation.Equal, 1));
        Refused("seeds", () => claims.CheckMean("new", "-", "here", [1, 2], Relation.Equal, 1, seeds: [1]));
        Refused("seeds", () => claims.CheckMean("new", "-", "here", [1, 2], Relation.Equal, 1, seeds: [1, 1]));
        Refused("seeds", () => claims.Check("new", ClaimKind.Statistical, "-", "here", 1, Relation.Equal, 1, seeds: [2, 2]));
        Refused("seeds", () => claims.Finding("new", 1, [], Relation.Equal, 1));
        Refused("seeds", () => claims.FromPaper("new", "5x", "Fig. 1", [1.0], null!, Relation.Equal, 1));
        Refused("spread", () => claims.Finding("new", 1, [1], Relation.Equal, 1, spread: (2, 1)));
        Refused("by", () => claims.Finding("new", [1.0], [1], Relation.Equal, 1, by: (Statistic)9));
        Refused("reported", () => claims.FromPaper("new", "-", "Fig. 1", 1, [1], Relation.Equal, 1));
        Refused("reported", () => claims.Report("new", "-", "Fig. 1"));
        Refused("source", () => claims.FromPaper("new", "5x", "this notebook", 1, [1], Relation.Equal, 1));
        Refused("origin", () => claims.Check("new", ClaimKind.Exact, "-", "here", 1, Relation.Equal, 1, origin: (ClaimOrigin)9));
        Refused("statement", () => claims.Check("there", ClaimKind.Exact, "-", "here", 1, Relation.Equal, 1, origin: ClaimOrigin.Finding));
        Assert.Single(claims);
        Assert.Throws<ArgumentException>(() => new Claims("", "paper"));
        Assert.Throws<ArgumentException>(() => new Claims("title", " "));

        Assert.True(claims.Remove("there"));
        Assert.False(claims.Remove("there"));
        claims.Check("there", ClaimKind.Exact, "-", "here", 1, Relation.Equal, 1);

        static void Refused(string argument, Action action) => Assert.Equal(argument, Assert.ThrowsAny<ArgumentException>(action).ParamName);
    }

    [Fact]
    public void The_same_claim_stated_again_keeps_its_place_and_takes_the_new_measurement()
    {
        Claims claims = Empty();
        claims.Check("first", ClaimKind.Exact, "-", "here", 2, Relation.Equal, 1);
        claims.Check("second", ClaimKind.Exact, "-", "here", 1, Relation.Equal, 1);
        claims.Check("first", ClaimKind.Exact, "-", "here", 1, Relation.Equal, 1, note: "again");
        Assert.Equal(["first", "second"], claims.Select(c => c.Statement));
        Assert.Equal((ClaimOutcome.Held, "again"), (claims[0].Outcome, claims[0].Note));
        Assert.Equal((2, 2), (claims.Held, claims.Stated));
    }

    [Fact]
    public void Json_round_trips()
    {
        Claims claims = Example();
        string json = claims.ToJson();
        Claims back = Claims.FromJson(json);
        Assert.Equal((claims.Title, claims.Paper), (back.Title, back.Paper));
        Assert.Equal(claims, back);
        Assert.Equal(json, back.ToJson());

        using JsonDocument document = JsonDocument.Parse(json);
        JsonElement root = document.RootElement;
        Assert.Equal("sparseland.claims/1", root.GetProperty("format").GetString());
        Assert.Equal((2, 4), (root.GetProperty("held").GetInt32(), root.GetProperty("stated").GetInt32()));
        JsonElement failed = root.GetProperty("claims")[5];
        Assert.Equal("NaN", failed.GetProperty("measured").GetString());
        Assert.Equal("notReproduced", failed.GetProperty("outcome").GetString());
        Assert.Equal(0.1 + 0.2, root.GetProperty("claims")[0].GetProperty("measured").GetDouble());
    }

    [Fact]
    public void Json_round_trips_every_number()
    {
        Prop.ForAll<double, double, string>((measured, target, note) =>
        {
            Claims claims = Empty();
            claims.Check("s", ClaimKind.Exploratory, "-", "here", measured, Relation.AtMost, double.IsFinite(target) ? target : 0, note: note ?? "");
            claims.CheckMean("t", "-", "here", [measured, 1], Relation.AtMost, 0);
            return claims.SequenceEqual(Claims.FromJson(claims.ToJson()));
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("{\"format\":\"sparseland.claims/1\"}")]
    public void Json_of_something_else_is_a_format_error(string json) =>
        Assert.Throws<FormatException>(() => Claims.FromJson(json));

    [Theory]
    [InlineData("sparseland.claims/1", "sparseland.claims/2", "format")]
    [InlineData("\"outcome\":\"held\"", "\"outcome\":\"notReproduced\"", "numbers say")]
    [InlineData("\"outcome\":\"held\"", "\"outcome\":0", "outcome")]
    [InlineData("\"outcome\":\"held\"", "\"outcome\":\"maybe\"", "outcome")]
    [InlineData("\"held\":2", "\"held\":3", "counts")]
    [InlineData("\"title\":\"Toy\"", "\"title\":\"\"", "title")]
    [InlineData("\"title\":\"Toy\"", "\"title\":null", "title")]
    [InlineData("\"statement\":\"second\"", "\"statement\":\"first\"", "stands twice")]
    [InlineData("\"statement\":\"second\"", "\"statement\":\"\"", "no statement")]
    [InlineData("\"unit\":", "\"unity\":", "unit")]
    [InlineData("\"claims\":[", "\"claims\":[null,", "null")]
    [InlineData("\"tolerance\":0.5", "\"tolerance\":-0.5", "tolerance")]
    [InlineData("\"tolerance\":0.5", "\"tolerance\":1e999", "tolerance")]
    [InlineData("\"target\":0.3", "\"target\":\"NaN\"", "target")]
    [InlineData("\"seeds\":[1,2,3]", "\"seeds\":[1,2]", "seeds")]
    [InlineData("\"origin\":\"identity\"", "\"origin\":\"hearsay\"", "origin")]
    [InlineData("\"origin\":\"identity\"", "\"origin\":\"paper\"", "reported")]
    [InlineData("\"spread\":[0.25,0.5]", "\"spread\":[0.25]", "spread")]
    [InlineData("\"spread\":[0.25,0.5]", "\"spread\":[0.5,0.25]", "spread")]
    [InlineData("\"outcome\":\"held\"", "\"outcome\":\"notJudged\"", "numbers say")]
    public void Malformed_claims_say_what_is_wrong(string find, string replace, string reason)
    {
        string json = Example().ToJson();
        Assert.Contains(find, json);
        int at = json.IndexOf(find, StringComparison.Ordinal);
        string broken = json[..at] + replace + json[(at + find.Length)..];
        Assert.Contains(reason, Assert.Throws<FormatException>(() => Claims.FromJson(broken)).Message);
    }

    [Fact]
    public void Markdown_has_a_row_per_claim_and_escapes_what_would_break_it()
    {
        Claims claims = new("Toy", "A paper, 2023");
        claims.Check("a | b <script>\nnew line", ClaimKind.Exact, "5x", "Fig. 1", 0.12345678, Relation.AtMost, 0.6, 0.01, "of variance", "remark");
        string[] lines = claims.ToMarkdown().TrimEnd('\n').Split('\n');
        Assert.Equal(
        [
            "**Toy**: identities 1 of 1 held (A paper, 2023)",
            "",
            "| claim | from | judged | paper | source | required | measured here | outcome | note |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            "| a \\| b &lt;script&gt; new line | identity | exact | 5x | Fig. 1 | &lt;= 0.6 of variance (tolerance 0.01) | 0.1235 of variance | held | remark |",
        ], lines);
    }

    [Fact]
    public void Text_is_the_same_in_every_culture()
    {
        Claims claims = Example();
        string expected = claims.ToString() + claims.ToMarkdown() + claims.ToJson();
        CultureInfo before = CultureInfo.CurrentCulture;
        var comma = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        comma.NumberFormat.NumberDecimalSeparator = ",";
        try
        {
            CultureInfo.CurrentCulture = comma;
            Assert.Equal(expected, claims.ToString() + claims.ToMarkdown() + claims.ToJson());
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
        Assert.Contains("held           first [identity, exact]", expected);
        Assert.Contains("here: 0.3; required: = 0.3 (tolerance 0.5)", expected);
    }

    [Fact]
    public void What_held_and_no_longer_does_has_regressed()
    {
        Claims before = Empty(), after = Empty();
        before.Check("kept", ClaimKind.Exact, "-", "here", 1, Relation.Equal, 1);
        before.Check("lost", ClaimKind.Exact, "-", "here", 1, Relation.Equal, 1);
        before.Check("failed both times", ClaimKind.Exact, "-", "here", 2, Relation.Equal, 1);
        before.Check("missing", ClaimKind.Statistical, "-", "here", 1, Relation.Equal, 1);
        before.Check("exploratory", ClaimKind.Exploratory, "-", "here", 1, Relation.Equal, 1);
        before.Check("weakened", ClaimKind.Exact, "-", "here", 1, Relation.Equal, 1);
        before.Report("reported", "5x", "Fig. 1");
        after.Check("kept", ClaimKind.Exact, "-", "here", 1, Relation.Equal, 1);
        after.Check("lost", ClaimKind.Exact, "-", "here", 2, Relation.Equal, 1);
        after.Check("failed both times", ClaimKind.Exact, "-", "here", 2, Relation.Equal, 1);
        after.Check("exploratory", ClaimKind.Exploratory, "-", "here", 2, Relation.Equal, 1);
        after.Check("weakened", ClaimKind.Exploratory, "-", "here", 2, Relation.Equal, 1);
        after.Check("new", ClaimKind.Exact, "-", "here", 2, Relation.Equal, 1);
        Assert.Equal(["lost", "missing", "weakened"], ClaimsComparison.Regressed(before, after).Select(c => c.Statement));
        Assert.Empty(ClaimsComparison.Regressed(before, before));
    }

    private static Claims Empty() => new("Toy", "A paper, 2023");

    private static Claims Example()
    {
        Claims claims = Empty();
        claims.Check("first", ClaimKind.Exact, "-", "here", 0.1 + 0.2, Relation.Equal, 0.3, 0.5);
        claims.CheckMedian("second", "five times", "abstract", [0.5, 0.25, 1.0 / 3], Relation.AtMost, 0.6, unit: "of variance", seeds: [1, 2, 3]);
        claims.Check("third: α ≤ β, \"quoted\" <b>", ClaimKind.Statistical, "2x", "Table 1", 1, Relation.Above, 2);
        claims.Check("fourth", ClaimKind.Exploratory, "-", "here", double.PositiveInfinity, Relation.Below, 2);
        claims.Report("fifth", "ten times", "abstract", "needs photographs");
        claims.Check("sixth", ClaimKind.Exact, "-", "here", double.NaN, Relation.Below, 2);
        return claims;
    }
}
