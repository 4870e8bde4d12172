namespace Sparseland.Evaluation;

/// <summary>Where a claim comes from. The three are counted apart.</summary>
public enum ClaimOrigin
{
    /// <summary>The paper says it, and its value stands beside ours.</summary>
    Paper,

    /// <summary>An identity or theorem whose only use here is to prove the implementation.</summary>
    Identity,

    /// <summary>What this notebook itself found; no paper states it.</summary>
    Finding,
}

/// <summary>How a claim is judged.</summary>
public enum ClaimKind
{
    /// <summary>An identity or bound that must hold to rounding, whatever the scale and the seed.</summary>
    Exact,

    /// <summary>A measured figure over at least <see cref="Claim.FewestSeeds"/> stated seeds, with a margin.</summary>
    Statistical,

    /// <summary>A figure worth showing that our scale cannot settle: its outcome is shown and not counted.</summary>
    Exploratory,

    /// <summary>The paper's figure at a scale that cannot run here: printed, never counted.</summary>
    ReportedOnly,
}

/// <summary>What became of a claim.</summary>
public enum ClaimOutcome
{
    /// <summary>The measured value satisfies the relation.</summary>
    Held,

    /// <summary>It does not.</summary>
    NotReproduced,

    /// <summary>Nothing was measured (<see cref="ClaimKind.ReportedOnly"/>).</summary>
    NotTested,

    /// <summary>
    /// It was measured at a scale too small to say anything about it (<see cref="Claims.JudgesOnlyExact"/>); it is not counted.
    /// </summary>
    NotJudged,
}

/// <summary>How the values of several seeds become the one that is compared.</summary>
public enum Statistic
{
    /// <summary>The median; of an even number the mean of the middle two.</summary>
    Median,

    /// <summary>The mean.</summary>
    Mean,

    /// <summary>
    /// The value that is hardest on the claim: the largest where at most is asked, the smallest where at least is asked, the
    /// farthest from the target where equality is.
    /// </summary>
    Worst,
}

/// <summary>How a measured value must stand to the target.</summary>
public enum Relation
{
    /// <summary>|measured - target| &lt;= tolerance.</summary>
    Equal,

    /// <summary>measured &lt;= target + tolerance.</summary>
    AtMost,

    /// <summary>measured &gt;= target - tolerance.</summary>
    AtLeast,

    /// <summary>measured &lt; target + tolerance, strictly.</summary>
    Below,

    /// <summary>measured &gt; target - tolerance, strictly.</summary>
    Above,
}

/// <summary>One statement and what this run found.</summary>
/// <param name="Statement">The claim in one sentence.</param>
/// <param name="Kind">How it is judged.</param>
/// <param name="Reported">The paper's value, as text ("five times better"), or "-" where the claim is ours.</param>
/// <param name="Source">Where the paper says it (section, figure, table), or "this notebook".</param>
/// <param name="Measured">
/// What this run measured. NaN for <see cref="ClaimKind.ReportedOnly"/>, and where the measurement itself failed: then the
/// claim is not reproduced and <paramref name="Note"/> says so.
/// </param>
/// <param name="Relation">How measured must stand to target.</param>
/// <param name="Target">The value compared with; NaN only for <see cref="ClaimKind.ReportedOnly"/>.</param>
/// <param name="Tolerance">Slack of the relation, not negative.</param>
/// <param name="Unit">Unit of measured and target, or empty.</param>
/// <param name="Note">A short remark: what differs from the paper.</param>
/// <param name="Outcome">Whether it held.</param>
public sealed record Claim(
    string Statement,
    ClaimKind Kind,
    string Reported,
    string Source,
    double Measured,
    Relation Relation,
    double Target,
    double Tolerance,
    string Unit,
    string Note,
    ClaimOutcome Outcome)
{
    /// <summary>The fewest seeds that a statistical claim needs to be believed: 3.</summary>
    public const int FewestSeeds = 3;

    /// <summary>Where it comes from. DEFAULT: what <see cref="OriginOf"/> says of the other members.</summary>
    public ClaimOrigin Origin { get; init; } = OriginOf(Kind, Reported, Source);

    /// <summary>How <see cref="Measured"/> came from <see cref="Values"/>: "median", "mean", "worst", or empty for one measurement.</summary>
    public string Statistic { get; init; } = "";

    /// <summary>One value per run, in the order of the runs; empty for one measurement.</summary>
    public IReadOnlyList<double> Values { get; init; } = [];

    /// <summary>
    /// The seed of each value, or, without values, the seeds that the one measurement was computed over; empty where they
    /// were not stated.
    /// </summary>
    public IReadOnlyList<int> Seeds { get; init; } = [];

    /// <summary>Lowest and highest value over the seeds; null where it was not stated.</summary>
    public (double Low, double High)? Spread { get; init; }

    /// <summary>
    /// Whether the claim belongs to the count of held / stated: exact and statistical claims that were judged do. An
    /// exploratory claim shows its outcome but cannot fail a notebook, and a reported-only claim has none.
    /// </summary>
    public bool IsStated => Kind is ClaimKind.Exact or ClaimKind.Statistical && Outcome != ClaimOutcome.NotJudged;

    /// <summary>Whether it rests on enough different seeds: statistical claims need <see cref="FewestSeeds"/>, others none.</summary>
    public bool HasEnoughSeeds => Kind != ClaimKind.Statistical || Seeds.Distinct().Count() >= FewestSeeds;

    /// <summary>What was measured, in four digits, with its unit, and the seeds with their spread.</summary>
    public string MeasuredText => ClaimText.Measured(this);

    /// <summary>What was required of it ("&lt;= 0.6 of variance"); empty for <see cref="ClaimKind.ReportedOnly"/>.</summary>
    public string RequiredText => ClaimText.Required(this);

    /// <summary>
    /// The origin of a claim that does not say it: a finding where the source is "this notebook" or "this series"; an identity
    /// where the kind is exact or "identity" stands for the paper's value; a finding where the paper has no value ("-"); the
    /// paper otherwise, and always for <see cref="ClaimKind.ReportedOnly"/>.
    /// </summary>
    /// <param name="kind">How the claim is judged.</param>
    /// <param name="reported">The paper's value, or "-".</param>
    /// <param name="source">Where it is stated.</param>
    public static ClaimOrigin OriginOf(ClaimKind kind, string reported, string source) =>
        kind == ClaimKind.ReportedOnly ? ClaimOrigin.Paper
        : IsOurs(source) ? ClaimOrigin.Finding
        : kind == ClaimKind.Exact || reported == "identity" ? ClaimOrigin.Identity
        : HasValue(reported) ? ClaimOrigin.Paper
        : ClaimOrigin.Finding;

    /// <summary>Whether a measured value stands to a target as asked. False when any of them is NaN.</summary>
    /// <param name="measured">The measured value.</param>
    /// <param name="relation">How it must stand to the target.</param>
    /// <param name="target">The value compared with.</param>
    /// <param name="tolerance">Slack, not negative.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="relation"/> is not a member of the enumeration.</exception>
    public static bool Satisfies(double measured, Relation relation, double target, double tolerance) => relation switch
    {
        Relation.Equal => Math.Abs(measured - target) <= tolerance,
        Relation.AtMost => measured <= target + tolerance,
        Relation.AtLeast => measured >= target - tolerance,
        Relation.Below => measured < target + tolerance,
        Relation.Above => measured > target - tolerance,
        _ => throw new ArgumentOutOfRangeException(nameof(relation), relation, "Not a relation."),
    };

    /// <summary>Equality by content, the values of the runs included.</summary>
    /// <param name="other">The other claim.</param>
    public bool Equals(Claim? other) =>
        other is not null
        && (Statement, Kind, Reported, Source) == (other.Statement, other.Kind, other.Reported, other.Source)
        && (Relation, Unit, Note, Outcome, Statistic) == (other.Relation, other.Unit, other.Note, other.Outcome, other.Statistic)
        && Origin == other.Origin && Equals(Spread, other.Spread)
        && Measured.Equals(other.Measured) && Target.Equals(other.Target) && Tolerance.Equals(other.Tolerance)
        && Values.SequenceEqual(other.Values) && Seeds.SequenceEqual(other.Seeds);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Statement, Kind, Origin, Measured, Relation, Target, Outcome);

    internal static bool IsOurs(string source) => source is "this notebook" or "this series";

    internal static bool HasValue(string reported) => !string.IsNullOrWhiteSpace(reported) && reported.Trim() != "-";
}
