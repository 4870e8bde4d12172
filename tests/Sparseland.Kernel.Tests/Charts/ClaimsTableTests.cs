using System.Text.Json.Nodes;
using Microsoft.DotNet.Interactive.Formatting;
using Sparseland.Evaluation;
using Sparseland.Notebooks;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>Claims on a cell's last line: a table to read, and JSON for the runner.</summary>
public class ClaimsTableTests
{
    public ClaimsTableTests() => NotebookFormatters.Register();

    [Fact]
    public void Claims_show_as_table_and_text_and_JSON()
    {
        Claims claims = Stated();
        MimeBundle bundle = ValueFormatting.Format(claims);
        string html = bundle.Data["text/html"].GetValue<string>();
        // The head, three groups and four claims.
        Assert.Equal(8, html.Split("<tr").Length - 1);
        Assert.DoesNotContain("findings 0", html, StringComparison.Ordinal);
        foreach (string part in new[] { "A paper: paper&#39;s claims 0 of 1 held, identities 1 of 1, 1 exploratory, 1 reported only", "own findings<", "The paper&#39;s claims: 0 of 1 held", "median of 3 seeds: 1-3; range 1.2 to 1.4", "Someone et al. &amp; others", "the gap closes", "a &lt;b&gt; note", "Fig. 3" })
            Assert.Contains(part, html, StringComparison.Ordinal);
        Assert.Equal((2, 1, 1), (html.Split("✓ held<").Length - 1, html.Split(" not reproduced<").Length - 1, html.Split(" not tested<").Length - 1));
        Assert.Equal(claims.ToString(), bundle.Data["text/plain"].GetValue<string>());
        JsonNode json = bundle.Data[Claims.MimeType];
        Assert.IsType<JsonObject>(json);
        Assert.Equal(claims, Claims.FromJson(json.ToJsonString()));
    }

    [Fact]
    public void Hosts_that_know_only_the_formatters_get_all_three()
    {
        Claims claims = Stated();
        Assert.Equal(["text/html", "text/plain", Claims.MimeType], Formatter.GetPreferredMimeTypesFor(typeof(Claims)));
        Assert.Equal(ClaimsTable.ToHtml(claims), claims.ToDisplayString("text/html"));
        Assert.Equal(claims, Claims.FromJson(claims.ToDisplayString(Claims.MimeType)));
    }

    [Fact]
    public void What_was_not_run_shows_no_measured_value()
    {
        var claims = new Claims("A paper", "Someone");
        claims.Report("trains in a day", "1.2 days", "Table 9");
        string html = ClaimsTable.ToHtml(claims);
        Assert.Contains("not tested", html);
        Assert.DoesNotContain("NaN", html);
        Assert.Contains("A paper: no claim counted, 1 reported only", html);
    }

    [Fact]
    public void Claims_are_grouped_by_origin_the_papers_first()
    {
        string html = ClaimsTable.ToHtml(Stated());
        int[] places = [.. new[] { "The paper&#39;s claims", "twice as sparse", "trains in a day", "Identities", "the gap closes", "own findings", "also on noise" }.Select(t => html.IndexOf(t, StringComparison.Ordinal))];
        Assert.DoesNotContain(-1, places);
        Assert.Equal(places.Order(), places);
    }

    [Fact]
    public void At_quick_scale_the_table_says_so_and_shows_no_cross()
    {
        var claims = new Claims("A paper", "Someone") { Scale = "quick", JudgesOnlyExact = true, Read = PaperRead.AbstractOnly };
        claims.FromPaper("twice as sparse", "2", "Table 1", [1.2, 1.4, 1.3], [1, 2, 3], Relation.AtLeast, 2);
        string html = ClaimsTable.ToHtml(claims);
        Assert.Contains(Sparseland.Notebooks.Markup.Escape(claims.Remark), html, StringComparison.Ordinal);
        Assert.Contains("Measured at quick scale", html, StringComparison.Ordinal);
        Assert.Contains("Only the abstract of the paper could be read", html, StringComparison.Ordinal);
        Assert.Contains("– not judged", html, StringComparison.Ordinal);
        Assert.Contains("1.3", html, StringComparison.Ordinal);
        Assert.DoesNotContain("✗", html, StringComparison.Ordinal);
        Assert.DoesNotContain("of 1", html, StringComparison.Ordinal);
    }

    [Fact]
    public void Null_is_refused() => Assert.Throws<ArgumentNullException>(() => ClaimsTable.Render(null!));

    private static Claims Stated()
    {
        var claims = new Claims("A paper", "Someone et al. & others");
        claims.Identity("the gap closes", "Fig. 3", measured: 1e-12, Relation.AtMost, target: 0, tolerance: 1e-9);
        claims.CheckMedian("twice as sparse", "2", "Table 1", [1.2, 1.4, 1.3], Relation.AtLeast, 2, note: "a <b> note", seeds: [1, 2, 3]);
        claims.Check("also on noise", ClaimKind.Exploratory, "-", "this notebook", 1, Relation.Above, 0);
        claims.Report("trains in a day", "1.2 days", "Table 9");
        return claims;
    }
}
