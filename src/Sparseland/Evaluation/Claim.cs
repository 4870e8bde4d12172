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
/// <param name="Measured">What this run measured; NaN only for <see cref="ClaimKind.ReportedOnly"/>.</param>
/// <param name="Relation">How measured must stand to target.</param>
/// <param name="Target">The value compared with.</param>
/// <param name="Tolerance">Slack of the relation, not negative.</param>
/// <param name="Unit">Unit of measured and target, or empty.</param>
/// <param name="Note">A short remark: seeds, what differs from the paper.</param>
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
    ClaimOutcome Outcome);
