namespace Sparseland.Evaluation;

/// <summary>What sort of statement a claim is, and so how it may be tested.</summary>
public enum ClaimKind
{
    /// <summary>An identity or bound that must hold to rounding.</summary>
    Exact,

    /// <summary>A median or mean over stated seeds, with a margin.</summary>
    Statistical,

    /// <summary>A finding worth showing that the paper does not state or that our scale cannot settle.</summary>
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

/// <summary>One statement of a paper and what this run found.</summary>
/// <param name="Statement">The claim in one sentence.</param>
/// <param name="Kind">How it may be tested.</param>
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
    /// <summary>How <see cref="Measured"/> came from <see cref="Values"/>: "median", "mean", or empty for one measurement.</summary>
    public string Statistic { get; init; } = "";

    /// <summary>One value per run, in the order of the runs; empty for one measurement.</summary>
    public IReadOnlyList<double> Values { get; init; } = [];

    /// <summary>The seed of each value; empty where they were not stated.</summary>
    public IReadOnlyList<int> Seeds { get; init; } = [];

    /// <summary>
    /// Whether the claim belongs to the count of held / stated: exact and statistical claims do. An exploratory claim shows
    /// its outcome but cannot fail a notebook, and a reported-only claim has none.
    /// </summary>
    public bool IsStated => Kind is ClaimKind.Exact or ClaimKind.Statistical;

    /// <summary>What was measured, in four digits, with its unit and, over seeds, its range and their number.</summary>
    public string MeasuredText => ClaimText.Measured(this);

    /// <summary>What was required of it ("&lt;= 0.6 of variance"); empty for <see cref="ClaimKind.ReportedOnly"/>.</summary>
    public string RequiredText => ClaimText.Required(this);

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
        && Measured.Equals(other.Measured) && Target.Equals(other.Target) && Tolerance.Equals(other.Tolerance)
        && Values.SequenceEqual(other.Values) && Seeds.SequenceEqual(other.Seeds);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Statement, Kind, Measured, Relation, Target, Outcome);
}
