using Sparseland.Evaluation;
using Sparseland.Kernel.Running;

namespace Notebooks.Tests;

/// <summary>What the stored claims of every notebook must say, so that their counts mean something.</summary>
public class StoredClaimsTests
{
    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public void A_counted_statistical_claim_rests_on_three_stated_seeds(string path)
    {
        var few = StoredClaims.Of(Series.Load(path)).Where(c => c.IsStated && !c.HasEnoughSeeds)
            .Select(c => $"{c.Statement}: {(c.Seeds.Count == 0 ? "no seed stated" : c.MeasuredText)}");
        Assert.True(!few.Any(), $"{path}: fewer than {Claim.FewestSeeds} seeds:\n{string.Join('\n', few)}");
    }

    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public void Stored_claims_are_judged_and_say_their_scale(string path)
    {
        Assert.All(StoredClaims.Lists(Series.Load(path)), claims =>
        {
            Assert.True(claims.Scale == "lesson", $"{claims.Title}: the scale is \"{claims.Scale}\"; claims made by lesson.Claims(...) and stored at lesson scale say \"lesson\".");
            Assert.DoesNotContain(claims, c => c.Outcome == ClaimOutcome.NotJudged);
        });
    }

    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public void Every_origin_fits_its_claim(string path)
    {
        Assert.All(StoredClaims.Of(Series.Load(path)), c =>
        {
            // The paper's claims have the paper's value; an identity is proved, not measured over draws alone.
            Assert.False(c.Origin == ClaimOrigin.Paper && (c.Reported.Trim() == "-" || c.Source.StartsWith("this ", StringComparison.Ordinal)), c.Statement);
            Assert.False(c.Origin == ClaimOrigin.Identity && c.Kind == ClaimKind.Exploratory, c.Statement);
        });
    }
}
