namespace Sparseland.Evaluation;

public sealed partial class Claims
{
    /// <summary>Tests an identity or bound that proves the implementation (exact, not counted among the paper's claims).</summary>
    /// <param name="statement">The claim in one sentence; the same claim stated again replaces its measurement.</param>
    /// <param name="source">Where it comes from: "definition", "theorem 2", a paper.</param>
    /// <param name="measured">What was measured. NaN is a claim not reproduced.</param>
    /// <param name="relation">How measured must stand to target.</param>
    /// <param name="target">The value compared with, finite.</param>
    /// <param name="tolerance">Slack of the relation, finite and not negative. DEFAULT: 0.</param>
    /// <param name="unit">Unit of measured and target. DEFAULT: none.</param>
    /// <param name="note">A short remark. DEFAULT: none.</param>
    /// <returns>The claim with its outcome.</returns>
    /// <exception cref="ArgumentException">The claim is badly stated; nothing is added.</exception>
    public Claim Identity(
        string statement, string source, double measured, Relation relation, double target, double tolerance = 0,
        string unit = "", string note = "") =>
        Check(statement, ClaimKind.Exact, "-", source, measured, relation, target, tolerance, unit, note, ClaimOrigin.Identity);

    /// <summary>Tests a claim of the paper on one value per seed (statistical) and adds it; the values are kept.</summary>
    /// <param name="statement">The claim in one sentence; the same claim stated again replaces its measurement.</param>
    /// <param name="reported">The paper's value, as text ("five times better"); not "-".</param>
    /// <param name="source">Where the paper says it: section, figure, table.</param>
    /// <param name="values">What each seed measured. Any NaN makes a claim not reproduced.</param>
    /// <param name="seeds">The seed of each value, all different; at least <see cref="Claim.FewestSeeds"/> to be believed.</param>
    /// <param name="relation">How the statistic must stand to target.</param>
    /// <param name="target">The value compared with, finite.</param>
    /// <param name="tolerance">Slack of the relation, finite and not negative. DEFAULT: 0.</param>
    /// <param name="unit">Unit of values and target. DEFAULT: none.</param>
    /// <param name="note">A short remark. DEFAULT: none.</param>
    /// <param name="by">How the values become the one that is compared. DEFAULT: the median.</param>
    /// <returns>The claim with its outcome.</returns>
    /// <exception cref="ArgumentException">The claim is badly stated, or values and seeds do not fit; nothing is added.</exception>
    public Claim FromPaper(
        string statement, string reported, string source, IReadOnlyList<double> values, IReadOnlyList<int> seeds,
        Relation relation, double target, double tolerance = 0, string unit = "", string note = "", Statistic by = Statistic.Median) =>
        Over(statement, reported, source, values, Given(seeds), relation, target, tolerance, unit, note, by, ClaimOrigin.Paper);

    /// <summary>Tests a claim of the paper on one value that was computed over several seeds (statistical) and adds it.</summary>
    /// <param name="statement">The claim in one sentence; the same claim stated again replaces its measurement.</param>
    /// <param name="reported">The paper's value, as text ("five times better"); not "-".</param>
    /// <param name="source">Where the paper says it: section, figure, table.</param>
    /// <param name="measured">What was measured over all seeds: a share, a fitted exponent. NaN is a claim not reproduced.</param>
    /// <param name="seeds">The seeds it was computed over, all different; at least <see cref="Claim.FewestSeeds"/> to be believed.</param>
    /// <param name="relation">How measured must stand to target.</param>
    /// <param name="target">The value compared with, finite.</param>
    /// <param name="tolerance">Slack of the relation, finite and not negative. DEFAULT: 0.</param>
    /// <param name="unit">Unit of measured and target. DEFAULT: none.</param>
    /// <param name="note">A short remark. DEFAULT: none.</param>
    /// <param name="spread">Lowest and highest value over the seeds. DEFAULT: not stated.</param>
    /// <returns>The claim with its outcome.</returns>
    /// <exception cref="ArgumentException">The claim is badly stated; nothing is added.</exception>
    public Claim FromPaper(
        string statement, string reported, string source, double measured, IReadOnlyList<int> seeds, Relation relation,
        double target, double tolerance = 0, string unit = "", string note = "", (double Low, double High)? spread = null) =>
        Check(statement, ClaimKind.Statistical, reported, source, measured, relation, target, tolerance, unit, note, ClaimOrigin.Paper, Given(seeds), spread);

    /// <summary>Tests a finding of this notebook on one value per seed (statistical) and adds it; the values are kept.</summary>
    /// <param name="statement">The finding in one sentence; the same one stated again replaces its measurement.</param>
    /// <param name="values">What each seed measured. Any NaN makes a finding not reproduced.</param>
    /// <param name="seeds">The seed of each value, all different; at least <see cref="Claim.FewestSeeds"/> to be believed.</param>
    /// <param name="relation">How the statistic must stand to target.</param>
    /// <param name="target">The value compared with, finite.</param>
    /// <param name="tolerance">Slack of the relation, finite and not negative. DEFAULT: 0.</param>
    /// <param name="unit">Unit of values and target. DEFAULT: none.</param>
    /// <param name="note">A short remark. DEFAULT: none.</param>
    /// <param name="by">How the values become the one that is compared. DEFAULT: the median.</param>
    /// <returns>The claim with its outcome.</returns>
    /// <exception cref="ArgumentException">The claim is badly stated, or values and seeds do not fit; nothing is added.</exception>
    public Claim Finding(
        string statement, IReadOnlyList<double> values, IReadOnlyList<int> seeds, Relation relation, double target,
        double tolerance = 0, string unit = "", string note = "", Statistic by = Statistic.Median) =>
        Over(statement, "-", Ours, values, Given(seeds), relation, target, tolerance, unit, note, by, ClaimOrigin.Finding);

    /// <summary>Tests a finding of this notebook on one value that was computed over several seeds (statistical) and adds it.</summary>
    /// <param name="statement">The finding in one sentence; the same one stated again replaces its measurement.</param>
    /// <param name="measured">What was measured over all seeds. NaN is a finding not reproduced.</param>
    /// <param name="seeds">The seeds it was computed over, all different; at least <see cref="Claim.FewestSeeds"/> to be believed.</param>
    /// <param name="relation">How measured must stand to target.</param>
    /// <param name="target">The value compared with, finite.</param>
    /// <param name="tolerance">Slack of the relation, finite and not negative. DEFAULT: 0.</param>
    /// <param name="unit">Unit of measured and target. DEFAULT: none.</param>
    /// <param name="note">A short remark. DEFAULT: none.</param>
    /// <param name="spread">Lowest and highest value over the seeds. DEFAULT: not stated.</param>
    /// <returns>The claim with its outcome.</returns>
    /// <exception cref="ArgumentException">The claim is badly stated; nothing is added.</exception>
    public Claim Finding(
        string statement, double measured, IReadOnlyList<int> seeds, Relation relation, double target, double tolerance = 0,
        string unit = "", string note = "", (double Low, double High)? spread = null) =>
        Check(statement, ClaimKind.Statistical, "-", Ours, measured, relation, target, tolerance, unit, note, ClaimOrigin.Finding, Given(seeds), spread);

    /// <summary>Shows a figure against a bound without counting it (exploratory).</summary>
    /// <param name="statement">The statement in one sentence; the same one stated again replaces its measurement.</param>
    /// <param name="measured">What was measured.</param>
    /// <param name="relation">How measured must stand to target.</param>
    /// <param name="target">The value compared with, finite.</param>
    /// <param name="tolerance">Slack of the relation, finite and not negative. DEFAULT: 0.</param>
    /// <param name="unit">Unit of measured and target. DEFAULT: none.</param>
    /// <param name="note">A short remark. DEFAULT: none.</param>
    /// <param name="reported">The paper's value, as text. DEFAULT: none, "-".</param>
    /// <param name="source">Where the paper says it. DEFAULT: "this notebook".</param>
    /// <param name="seeds">The seeds it was computed over. DEFAULT: not stated.</param>
    /// <returns>The claim with its outcome, which is not counted.</returns>
    /// <exception cref="ArgumentException">The claim is badly stated; nothing is added.</exception>
    public Claim Explore(
        string statement, double measured, Relation relation, double target, double tolerance = 0, string unit = "",
        string note = "", string reported = "-", string source = Ours, IReadOnlyList<int>? seeds = null) =>
        Check(statement, ClaimKind.Exploratory, reported, source, measured, relation, target, tolerance, unit, note, seeds: seeds);

    /// <summary>Adds a figure of the paper that cannot be measured here. It is printed and never counted.</summary>
    /// <param name="statement">The claim in one sentence; the same claim stated again replaces its measurement.</param>
    /// <param name="reported">The paper's value, as text; not "-".</param>
    /// <param name="source">Where the paper says it.</param>
    /// <param name="note">Why it cannot run here. DEFAULT: none.</param>
    /// <returns>The claim, not tested.</returns>
    /// <exception cref="ArgumentException">The claim is badly stated; nothing is added.</exception>
    public Claim Report(string statement, string reported, string source, string note = "")
    {
        Text(statement, nameof(statement));
        CheckOrigin(ClaimOrigin.Paper, Text(reported, nameof(reported)), Text(source, nameof(source)));
        return Append(new Claim(
            statement, ClaimKind.ReportedOnly, reported, source, double.NaN, Relation.Equal, double.NaN, 0, "", note ?? "", ClaimOutcome.NotTested));
    }

    /// <summary>The general form that the others are made of: tests a claim of any kind and origin on one measured value.</summary>
    /// <param name="statement">The claim in one sentence; the same claim stated again replaces its measurement.</param>
    /// <param name="kind">Exact, statistical or exploratory; for reported-only see <see cref="Report"/>.</param>
    /// <param name="reported">The paper's value, as text, or "-" where the claim is ours.</param>
    /// <param name="source">Where the paper says it, or "this notebook".</param>
    /// <param name="measured">What was measured. NaN is a claim not reproduced.</param>
    /// <param name="relation">How measured must stand to target.</param>
    /// <param name="target">The value compared with, finite.</param>
    /// <param name="tolerance">Slack of the relation, finite and not negative. DEFAULT: 0.</param>
    /// <param name="unit">Unit of measured and target. DEFAULT: none.</param>
    /// <param name="note">A short remark. DEFAULT: none.</param>
    /// <param name="origin">Where the claim comes from. DEFAULT: what <see cref="Claim.OriginOf"/> says.</param>
    /// <param name="seeds">The seeds that the value was computed over, all different. DEFAULT: not stated.</param>
    /// <param name="spread">Lowest and highest value over the seeds. DEFAULT: not stated.</param>
    /// <returns>The claim with its outcome.</returns>
    /// <exception cref="ArgumentException">The claim is badly stated; nothing is added.</exception>
    public Claim Check(
        string statement, ClaimKind kind, string reported, string source, double measured, Relation relation, double target,
        double tolerance = 0, string unit = "", string note = "", ClaimOrigin? origin = null, IReadOnlyList<int>? seeds = null,
        (double Low, double High)? spread = null)
    {
        CheckSpread(spread);
        return Add(statement, kind, reported, source, measured, relation, target, tolerance, unit, note, origin, "", [], seeds ?? [], spread);
    }

    /// <summary>Tests a statistical claim on the median over runs and adds it; the values are kept.</summary>
    /// <param name="statement">The claim in one sentence; the same claim stated again replaces its measurement.</param>
    /// <param name="reported">The paper's value, as text, or "-" where the claim is ours.</param>
    /// <param name="source">Where the paper says it, or "this notebook".</param>
    /// <param name="values">What each run measured, at least one. Any NaN makes a claim not reproduced.</param>
    /// <param name="relation">How the median must stand to target.</param>
    /// <param name="target">The value compared with, finite.</param>
    /// <param name="tolerance">Slack of the relation, finite and not negative. DEFAULT: 0.</param>
    /// <param name="unit">Unit of the values and target. DEFAULT: none.</param>
    /// <param name="note">A short remark. DEFAULT: none.</param>
    /// <param name="seeds">The seed of each run, all different. DEFAULT: not stated, as where runs differ in something else.</param>
    /// <param name="origin">Where the claim comes from. DEFAULT: what <see cref="Claim.OriginOf"/> says.</param>
    /// <returns>The claim with its outcome; an even number of values has the mean of the middle two as median.</returns>
    /// <exception cref="ArgumentException">The claim is badly stated, or values and seeds do not fit; nothing is added.</exception>
    public Claim CheckMedian(
        string statement, string reported, string source, IReadOnlyList<double> values, Relation relation, double target,
        double tolerance = 0, string unit = "", string note = "", IReadOnlyList<int>? seeds = null, ClaimOrigin? origin = null) =>
        Over(statement, reported, source, values, seeds, relation, target, tolerance, unit, note, Statistic.Median, origin);

    /// <summary>Tests a statistical claim on the mean over runs and adds it; the values are kept.</summary>
    /// <param name="statement">The claim in one sentence; the same claim stated again replaces its measurement.</param>
    /// <param name="reported">The paper's value, as text, or "-" where the claim is ours.</param>
    /// <param name="source">Where the paper says it, or "this notebook".</param>
    /// <param name="values">What each run measured, at least one. Any NaN makes a claim not reproduced.</param>
    /// <param name="relation">How the mean must stand to target.</param>
    /// <param name="target">The value compared with, finite.</param>
    /// <param name="tolerance">Slack of the relation, finite and not negative. DEFAULT: 0.</param>
    /// <param name="unit">Unit of the values and target. DEFAULT: none.</param>
    /// <param name="note">A short remark. DEFAULT: none.</param>
    /// <param name="seeds">The seed of each run, all different. DEFAULT: not stated, as where runs differ in something else.</param>
    /// <param name="origin">Where the claim comes from. DEFAULT: what <see cref="Claim.OriginOf"/> says.</param>
    /// <returns>The claim with its outcome.</returns>
    /// <exception cref="ArgumentException">The claim is badly stated, or values and seeds do not fit; nothing is added.</exception>
    public Claim CheckMean(
        string statement, string reported, string source, IReadOnlyList<double> values, Relation relation, double target,
        double tolerance = 0, string unit = "", string note = "", IReadOnlyList<int>? seeds = null, ClaimOrigin? origin = null) =>
        Over(statement, reported, source, values, seeds, relation, target, tolerance, unit, note, Statistic.Mean, origin);
}
