using System.IO.Compression;
using System.Text;
using System.Text.RegularExpressions;
using Sparseland.Notebooks;
using Sparseland.Notebooks.Charts;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>Zooming and hovering where a page can: plotly.js comes along once, packed, and nothing is fetched.</summary>
[Collection(nameof(WholeProcess))]
public sealed partial class InteractiveChartsTests : IDisposable
{
    public void Dispose() => InteractiveCharts.Disable();

    [Fact]
    public void The_page_script_carries_plotly_once_and_names_no_address()
    {
        string script = InteractiveCharts.PageScript();
        Match packed = Assert.Single(Packed().Matches(script));
        using var gzip = new GZipStream(new MemoryStream(Convert.FromBase64String(packed.Groups[1].Value)), CompressionMode.Decompress);
        string source = new StreamReader(gzip, Encoding.UTF8).ReadToEnd();
        Assert.Contains("plotly.js v", source[..300]);
        string loader = script.Replace(packed.Value, "", StringComparison.Ordinal);
        Assert.True(loader.Length < 3000);
        foreach (string address in new[] { "http", "//", "src=", ".src", "import", "require(", "fetch(" })
            Assert.DoesNotContain(address, loader, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("</script", script, StringComparison.OrdinalIgnoreCase);
        Assert.True(script.Length < 2_200_000, $"{script.Length} characters");
        Assert.Equal(script, InteractiveCharts.PageScript());
    }

    [Fact]
    public void Charts_are_static_by_default()
    {
        Assert.False(InteractiveCharts.Enabled);
        Assert.DoesNotContain("data-sl-plotly", Html(Chart.Curve([1, 2])));
    }

    [Fact]
    public void Once_enabled_a_chart_carries_its_figure_and_never_the_script()
    {
        MimeBundle shown = InteractiveCharts.Enable().Render();
        Assert.Single(Regex.Matches(shown.Data["text/html"].GetValue<string>(), "<script>"));
        Assert.True(shown.Data["text/plain"].GetValue<string>().Length < 200);
        string[] charts =
        [
            Html(Chart.Curve([1, 2], title: "\"quoted\" & <b>")),
            Html(Chart.Histogram([1, 2, 3])),
            ForeignCharts.Render(PlotlyConversion.FigureOf(Chart.Curve([1, 2]).ToPlotly()), "x").Data["text/html"].GetValue<string>(),
        ];
        foreach (string html in charts)
        {
            Assert.DoesNotContain("<script", html, StringComparison.OrdinalIgnoreCase);
            string json = System.Net.WebUtility.HtmlDecode(Assert.Single(Figure().Matches(html)).Groups[1].Value);
            Assert.NotEmpty(System.Text.Json.JsonDocument.Parse(json).RootElement.GetProperty("data").EnumerateArray());
            SvgPicture.InHtml(html).AssertSound();
        }
        Assert.DoesNotContain("data-sl-plotly", Html(Chart.Table(["a"], [[1]])));
        InteractiveCharts.Disable();
        Assert.DoesNotContain("data-sl-plotly", Html(Chart.Curve([1, 2])));
    }

    [Fact]
    public void Marking_stored_html_is_the_same_as_rendering_with_the_figure()
    {
        Chart chart = Samples.Make("curves");
        string still = Html(chart), figure = chart.Render().Data[InteractiveCharts.MimeType].ToJsonString();
        string marked = InteractiveCharts.Mark(still, figure);
        Assert.Contains("data-sl-plotly", marked);
        Assert.Equal(marked, InteractiveCharts.Mark(marked, figure));
        Assert.Equal("<p>no chart</p>", InteractiveCharts.Mark("<p>no chart</p>", figure));
        Assert.Throws<ArgumentNullException>(() => InteractiveCharts.Mark(null!, figure));
    }

    private static string Html(Chart chart) => chart.Render().Data["text/html"].GetValue<string>();

    [GeneratedRegex("atob\\(\"([A-Za-z0-9+/=]{100000,})\"\\)")]
    private static partial Regex Packed();

    [GeneratedRegex("data-sl-plotly=\"([^\"]*)\"")]
    private static partial Regex Figure();
}
