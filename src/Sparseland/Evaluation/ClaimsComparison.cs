namespace Sparseland.Evaluation;

/// <summary>Claims of an earlier run against those of a later one.</summary>
public static class ClaimsComparison
{
    /// <summary>
    /// The stated claims that held before and do not hold now, or are no longer there. Claims are matched by their
    /// statement, so rewording a claim that held counts as losing it. What was exploratory before cannot regress, and what is
    /// measured now without being judged has not.
    /// </summary>
    /// <param name="before">Claims of the earlier run.</param>
    /// <param name="after">Claims of the later run.</param>
    /// <returns>The claims as they were before, in their order; empty when nothing regressed.</returns>
    public static IReadOnlyList<Claim> Regressed(IEnumerable<Claim> before, IEnumerable<Claim> after)
    {
        ArgumentNullException.ThrowIfNull(before);
        ArgumentNullException.ThrowIfNull(after);
        HashSet<string> holds = [.. after.Where(c => c.Outcome is ClaimOutcome.Held or ClaimOutcome.NotJudged).Select(c => c.Statement)];
        return [.. before.Where(c => c.IsStated && c.Outcome == ClaimOutcome.Held && !holds.Contains(c.Statement))];
    }
}
