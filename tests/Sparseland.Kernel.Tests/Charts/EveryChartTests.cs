using System.Globalization;
using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>What holds for a chart of any kind.</summary>
public class EveryChartTests
{
    public static TheoryData<string> Names => Samples.Names;

    [Theory]
    [MemberData(nameof(Names))]
    public void The_picture_is_sound_and_shows_its_words(string name)
    {
        Chart chart = Samples.Make(name);
        SvgPicture picture = SvgPicture.Of(chart);
        picture.AssertSound();
        Assert.Equal(chart.Title, picture.Title);
        Assert.Contains(chart.Title, picture.Texts);
        foreach (string word in Samples.Shows(name))
            Assert.Contains(word, picture.Texts);
        Assert.True(picture.Description.Length > 15, picture.Description);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void No_label_is_cut_off_or_overlaps_another(string name)
    {
        SvgPicture.Of(Samples.Make(name)).AssertReadable();
        if (name is not "row")
            SvgPicture.Of(Samples.Make(name) with { Width = name == "grid" ? 700 : 420 }).AssertReadable();
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_same_data_give_the_same_text(string name)
    {
        Chart first = Samples.Make(name), second = Samples.Make(name);
        Assert.Equal(first.ToSvg(), second.ToSvg());
        Assert.Equal(first.ToPlotlyJson(), second.ToPlotlyJson());
        Assert.Equal(first.ToString(), second.ToString());
        Assert.Equal(first.Render().Data["text/html"].ToJsonString(), first.Render().Data["text/html"].ToJsonString());
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_decimal_comma_of_the_machine_changes_nothing(string name)
    {
        string Everything(Chart chart) => chart.ToSvg() + chart.ToPlotlyJson() + chart + chart.Render().Data["text/html"];
        string expected = Everything(Samples.Make(name));
        CultureInfo before = CultureInfo.CurrentCulture;
        var comma = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        (comma.NumberFormat.NumberDecimalSeparator, comma.NumberFormat.NumberGroupSeparator, comma.NumberFormat.NegativeSign) = (",", ".", "~");
        try
        {
            foreach (CultureInfo culture in (CultureInfo[])[comma, new("de-DE"), new("tr-TR"), new("ar-SA")])
            {
                CultureInfo.CurrentCulture = culture;
                Assert.Equal(expected, Everything(Samples.Make(name)));
            }
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_bundle_has_html_and_text_and_a_figure_only_where_it_is_small(string name)
    {
        Chart chart = Samples.Make(name);
        MimeBundle bundle = chart.Render();
        string html = bundle.Data["text/html"].GetValue<string>();
        Assert.DoesNotContain("<script", html, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("http", html.Replace("http://www.w3.org/2000/svg", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Equal(chart.ToString(), bundle.Data["text/plain"].GetValue<string>());
        Assert.Contains(chart.Title, chart.ToString());
        if (chart is TableChart)
            Assert.Contains("<table", html, StringComparison.Ordinal);
        else
            Assert.Equal(chart.ToSvg(), SvgPicture.InHtml(html).Text);
        bool interactive = chart is not (TableChart or AtomsChart or ImagesChart or ChartGrid);
        Assert.Equal(interactive, bundle.Data.ContainsKey(InteractiveCharts.MimeType));
        if (interactive)
        {
            string figure = bundle.Data[InteractiveCharts.MimeType].ToJsonString();
            Assert.True(figure.Length <= Chart.LargestStoredFigure);
            Assert.NotEmpty(JsonNode.Parse(figure)!["data"]!.AsArray());
        }
    }

    [Fact]
    public void A_large_figure_stays_out_of_the_bundle_but_ToPlotlyJson_has_it()
    {
        double[] many = [.. Enumerable.Range(0, 20_000).Select(i => Math.Sin(i * .7))];
        Chart cloud = Chart.Scatter([("points", many, many)]);
        Assert.False(cloud.Render().Data.ContainsKey(InteractiveCharts.MimeType));
        Assert.Equal(20_000, JsonNode.Parse(cloud.ToPlotlyJson())!["data"]![0]!["x"]!.AsArray().Count);
        // A line is thinned to what the picture can show, so it stays small enough.
        Chart line = Chart.Curve(many);
        Assert.True(line.Render().Data[InteractiveCharts.MimeType].ToJsonString().Length <= Chart.LargestStoredFigure);
        Assert.Equal(20_000, JsonNode.Parse(line.ToPlotlyJson())!["data"]![0]!["y"]!.AsArray().Count);
    }

    [Fact]
    public void Words_with_markup_and_forbidden_characters_are_text()
    {
        const string Wild = "<script>alert('x')</script> & \"quotes\" \u0001 \uD800 ünï 𝛼";
        Chart chart = Chart.Curves([(Wild, new double[] { 1, 2 }), ("b", new double[] { 2, 1 })], x: Wild, y: Wild, title: Wild, caption: Wild) with { Width = 2000 };
        SvgPicture picture = SvgPicture.Of(chart);
        picture.AssertSound();
        Assert.Contains("<script>alert('x')</script>", picture.Title);
        Assert.DoesNotContain("<script", chart.Render().Data["text/html"].GetValue<string>(), StringComparison.Ordinal);
        Assert.DoesNotContain("<script", Chart.Table([Wild], [[Wild]], Wild, Wild).Render().Data["text/html"].GetValue<string>(), StringComparison.Ordinal);
    }

    [Fact]
    public void Two_different_charts_of_a_page_have_different_identities()
    {
        string[] ids = [.. new[] { Chart.Curve([1, 2]), Chart.Curve([2, 1]) }.Select(c => (string)SvgPicture.Of(c).Root.Attribute("aria-labelledby")!)];
        Assert.NotEqual(ids[0], ids[1]);
    }

    [Fact]
    public void SaveSvg_writes_what_ToSvg_gives_and_makes_the_folder()
    {
        string folder = Directory.CreateTempSubdirectory("sparseland charts ä ").FullName;
        try
        {
            string path = Path.Combine(folder, "new", "chart.svg");
            Chart chart = Samples.Make("curves");
            chart.SaveSvg(path);
            Assert.Equal(chart.ToSvg(), File.ReadAllText(path));
            Assert.Throws<ArgumentException>(() => chart.SaveSvg(" "));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Width_and_height_are_checked_and_used()
    {
        Chart chart = Samples.Make("curves");
        SvgPicture picture = SvgPicture.Of(chart with { Width = 500, Height = 300 });
        Assert.Equal(500, picture.Width);
        Assert.InRange(picture.Height, 300, 400);
        foreach (double bad in new[] { 0, 159, 4001, double.NaN, double.PositiveInfinity, -720 })
            Assert.Contains("from 160 to 4000", Assert.Throws<ArgumentOutOfRangeException>(() => (chart with { Width = bad }).ToSvg()).Message);
        foreach (double bad in new[] { 0, 39, 8001, double.NaN, -1 })
            Assert.Contains("from 40 to 8000", Assert.Throws<ArgumentOutOfRangeException>(() => (chart with { Height = bad }).ToSvg()).Message);
    }
}
