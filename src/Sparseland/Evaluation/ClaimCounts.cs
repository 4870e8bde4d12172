namespace Sparseland.Evaluation;

/// <summary>Claims that held out of those stated.</summary>
/// <param name="Held">How many held.</param>
/// <param name="Stated">How many were judged and count.</param>
public readonly record struct HeldOf(int Held, int Stated)
{
    /// <summary>"5 of 6".</summary>
    public override string ToString() => $"{Held} of {Stated}";
}

/// <summary>How many claims held, by where they come from, and how many were not counted.</summary>
/// <param name="Paper">The paper's claims.</param>
/// <param name="Identities">Identities that prove the implementation.</param>
/// <param name="Findings">Findings of the notebook itself.</param>
/// <param name="NotJudged">Measured at a scale too small to judge them.</param>
/// <param name="Exploratory">Exploratory claims that were judged, which never count.</param>
/// <param name="ReportedOnly">The paper's figures that were not measured here.</param>
public sealed record ClaimCounts(HeldOf Paper, HeldOf Identities, HeldOf Findings, int NotJudged, int Exploratory, int ReportedOnly)
{
    /// <summary>All that were judged and count.</summary>
    public int Stated => Paper.Stated + Identities.Stated + Findings.Stated;

    /// <summary>Those of them that held.</summary>
    public int Held => Paper.Held + Identities.Held + Findings.Held;

    /// <summary>The count of one origin.</summary>
    /// <param name="origin">The origin.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is not a member of the enumeration.</exception>
    public HeldOf this[ClaimOrigin origin] => origin switch
    {
        ClaimOrigin.Paper => Paper,
        ClaimOrigin.Identity => Identities,
        ClaimOrigin.Finding => Findings,
        _ => throw new ArgumentOutOfRangeException(nameof(origin), origin, "Not an origin of claims."),
    };

    /// <summary>Counts claims.</summary>
    /// <param name="claims">The claims, of one notebook or of many.</param>
    public static ClaimCounts Of(IEnumerable<Claim> claims)
    {
        ArgumentNullException.ThrowIfNull(claims);
        IReadOnlyList<Claim> all = [.. claims];
        return new ClaimCounts(
            Count(ClaimOrigin.Paper), Count(ClaimOrigin.Identity), Count(ClaimOrigin.Finding),
            all.Count(c => c.Outcome == ClaimOutcome.NotJudged),
            all.Count(c => c.Kind == ClaimKind.Exploratory && c.Outcome != ClaimOutcome.NotJudged),
            all.Count(c => c.Kind == ClaimKind.ReportedOnly));

        HeldOf Count(ClaimOrigin origin) => new(
            all.Count(c => c.Origin == origin && c.IsStated && c.Outcome == ClaimOutcome.Held), all.Count(c => c.Origin == origin && c.IsStated));
    }

    /// <summary>
    /// One line: "paper's claims 5 of 6 held, identities 4 of 4, findings 2 of 2, 1 exploratory, 2 reported only". Origins
    /// without a counted claim are left out; "no claim counted" where all are.
    /// </summary>
    public override string ToString()
    {
        List<string> parts = [.. Enum.GetValues<ClaimOrigin>().Where(o => this[o].Stated > 0).Select(o => $"{ClaimText.Origin(o)} {this[o]}")];
        parts = parts.Count > 0 ? [parts[0] + " held", .. parts[1..]] : ["no claim counted"];
        if (NotJudged > 0)
            parts.Add($"{NotJudged} measured but not judged");
        if (Exploratory > 0)
            parts.Add($"{Exploratory} exploratory");
        if (ReportedOnly > 0)
            parts.Add($"{ReportedOnly} reported only");
        return string.Join(", ", parts);
    }
}
