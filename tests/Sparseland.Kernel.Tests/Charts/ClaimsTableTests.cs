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
        Assert.Equal(5, html.Split("<tr").Length - 1);
        foreach (string part in new[] { "A paper: 1 of 2 held; 1 not reproduced; 1 exploratory; 1 reported only", "Someone et al. &amp; others", "the gap closes", "a &lt;b&gt; note", "Fig. 3" })
            Assert.Contains(part, html, StringComparison.Ordinal);
        Assert.Equal((2, 1, 1), (html.Split(" held<").Length - 1, html.Split(" not reproduced<").Length - 1, html.Split(" not tested<").Length - 1));
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
        Assert.Contains("A paper: 0 of 0 held; 1 reported only", html);
    }

    [Fact]
    public void Null_is_refused() => Assert.Throws<ArgumentNullException>(() => ClaimsTable.Render(null!));

    private static Claims Stated()
    {
        var claims = new Claims("A paper", "Someone et al. & others");
        claims.Check("the gap closes", ClaimKind.Exact, "0", "Fig. 3", measured: 1e-12, Relation.AtMost, target: 0, tolerance: 1e-9);
        claims.CheckMedian("twice as sparse", "2", "Table 1", [1.2, 1.4, 1.3], Relation.AtLeast, 2, note: "a <b> note");
        claims.Check("also on noise", ClaimKind.Exploratory, "-", "this notebook", 1, Relation.Above, 0);
        claims.Report("trains in a day", "1.2 days", "Table 9");
        return claims;
    }
}
