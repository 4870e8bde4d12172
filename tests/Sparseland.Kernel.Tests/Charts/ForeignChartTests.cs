using System.Text.Json.Nodes;
using Microsoft.Data.Analysis;
using Microsoft.DotNet.Interactive.Formatting;
using Sparseland.Notebooks;
using Sparseland.Notebooks.Charts;
using Sparseland.Notebooks.Charts.Drawing;
using Sparseland.Notebooks.Hosting;
using Plot = Plotly.NET.CSharp.Chart;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>Charts of Plotly.NET and XPlot, and data frames, through the formatters that a notebook registers.</summary>
public class ForeignChartTests
{
    private static readonly double[] X = [0, 5, 10];
    private static readonly double[] Y = [1, 4, 2];

    public ForeignChartTests() => NotebookFormatters.Register();

    [Fact]
    public void All_formatters_are_there() => Assert.Empty(NotebookFormatters.Missing);

    [Fact]
    public void A_line_of_Plotly_NET_has_a_static_picture_of_its_points()
    {
        Plotly.NET.GenericChart chart = Plot.Line<double, double, string>(X, Y, Name: "loss", ShowMarkers: false);
        var layout = new Plotly.NET.Layout();
        layout.SetProperty("title", "Training");
        chart = Plotly.NET.GenericChart.addLayout(layout, chart);
        (SvgPicture picture, MimeBundle bundle) = Shown(chart);
        Assert.Contains("Training", picture.Texts);
        Assert.Contains("loss", picture.Texts);
        Assert.Equal(3, picture.RoundMarks().Count);
        Assert.Contains("Plotly.NET chart: Training (curves)", bundle.Data["text/plain"].GetValue<string>());
        Assert.Equal(3, bundle.Data[InteractiveCharts.MimeType]["data"]![0]!["y"]!.AsArray().Count);
        Assert.Null(bundle.Data[InteractiveCharts.MimeType]["layout"]!["template"]);
    }

    [Fact]
    public void Points_bars_histograms_and_heat_maps_of_Plotly_NET_have_pictures()
    {
        Assert.Equal(3, Shown(Plot.Point<double, double, string>(X, Y)).Picture.RoundMarks().Count);
        Assert.Equal(2, Shown(Plot.Column<double, string, string>([1.0, 2.0], Keys: new(["a", "b"], true))).Picture.Rectangles(Theme.Colour(0)).Count);
        Assert.Contains("count", Shown(Plot.Histogram<double, double, string>(X: new(X, true))).Picture.Texts);
        double[][] rows = [[0, 1], [2, 3]];
        Pixmap pixels = Shown(Plot.Heatmap<double, string, string, string>(zData: rows)).Picture.Image("2 x 2 cells");
        // Plotly draws the first row at the bottom.
        Assert.Equal(ColourMap.Sequential.At(0), pixels[1, 0]);
        Assert.Equal(ColourMap.Sequential.At(1), pixels[0, 1]);
    }

    [Fact]
    public void Our_chart_and_back_is_the_same_picture()
    {
        foreach (string name in new[] { "curves", "scatter", "bars" })
        {
            Chart chart = Samples.Make(name);
            SvgPicture picture = Shown(chart.ToPlotly()).Picture;
            Assert.Equal(chart.Title, picture.Title);
            Assert.Equal(SvgPicture.Of(chart).PlotPaths().Count(), picture.PlotPaths().Count());
        }
    }

    [Fact]
    public void An_XPlot_chart_has_a_static_picture_whatever_signs_its_texts_contain()
    {
        var chart = XPlot.Plotly.Chart.Plot(new XPlot.Plotly.Scatter { x = X, y = Y, mode = "markers", name = "a; var layout = {\"b\": 1};" });
        chart.WithTitle("Points");
        chart.WithXTitle("step");
        (SvgPicture picture, MimeBundle bundle) = Shown(chart);
        Assert.Equal("Points", picture.Title);
        Assert.Contains("step", picture.Texts);
        Assert.Contains("a; var layout = {\"b\": 1};", picture.Texts);
        Assert.Equal(3, picture.RoundMarks().Count);
        Assert.StartsWith("XPlot chart: ", bundle.Data["text/plain"].GetValue<string>());
    }

    [Fact]
    public void Missing_numbers_are_gaps_in_foreign_charts_too()
    {
        Assert.Contains("1 value is not a finite number", Shown(Plot.Line<double, double, string>(X, [1, double.NaN, 2])).Picture.Description);
        Assert.Contains("1 value is not a finite number", Shown(XPlot.Plotly.Chart.Plot(new XPlot.Plotly.Scatter { x = X, y = new[] { 1, double.NaN, 2 }, mode = "lines" })).Picture.Description);
    }

    [Theory]
    [InlineData("""{"data":[],"layout":{}}""", "it has no data")]
    [InlineData("""{"data":[{"type":"pie","values":[1,2]}],"layout":{}}""", "a trace of type pie")]
    [InlineData("""{"data":[{"y":[1]},{"type":"bar","y":[1]}],"layout":{}}""", "it mixes scatter and bar")]
    [InlineData("""{"data":[{"y":[1]},{"y":[1],"xaxis":"x2"}],"layout":{}}""", "several pairs of axes")]
    [InlineData("""{"data":[{"x":["2020-01-01"],"y":[1]}],"layout":{}}""", "its x has values that are not numbers")]
    [InlineData("""{"data":[{"y":[0]}],"layout":{"yaxis":{"type":"log"}}}""", "logarithmic")]
    [InlineData("""{"data":[{"type":"bar","x":["a"],"y":[1]}],"layout":{"barmode":"stack"}}""", "stacked")]
    [InlineData("""{"data":[{"type":"histogram","y":[1]}],"layout":{}}""", "lying histogram")]
    [InlineData("""{"data":[{"type":"heatmap","z":5}],"layout":{}}""", "no matrix")]
    [InlineData("""{"data":[{"type":"heatmap","z":[]}],"layout":{}}""", "empty")]
    [InlineData("""{"data":[{"type":"heatmap","z":[],"x":["a"]}],"layout":{}}""", "empty")]
    [InlineData("""{"data":[{"type":"heatmap","z":[[1]]},{"type":"heatmap","z":[[1]]}]}""", "several heat maps")]
    [InlineData("""{"data":[{"x":[1,2],"y":[1]}]}""", "2 x and 1 y")]
    public void What_has_no_static_picture_says_why_and_keeps_its_figure(string figure, string why)
    {
        MimeBundle bundle = ForeignCharts.Render((JsonObject)JsonNode.Parse(figure)!, "A chart");
        Assert.Contains("no static picture", bundle.Data["text/plain"].GetValue<string>());
        Assert.Contains(why, bundle.Data["text/plain"].GetValue<string>());
        Assert.Contains("no static picture", bundle.Data["text/html"].GetValue<string>());
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(figure), bundle.Data[InteractiveCharts.MimeType]));
    }

    [Fact]
    public void A_data_frame_is_a_table_of_its_first_rows()
    {
        var frame = new DataFrame(
            new PrimitiveDataFrameColumn<double>("NMSE [1]", Enumerable.Range(0, 25).Select(i => i / 3.0)),
            new StringDataFrameColumn("method", Enumerable.Range(0, 25).Select(i => i == 1 ? "<b>" : i == 2 ? null! : "m" + i)),
            new PrimitiveDataFrameColumn<int>("steps", Enumerable.Range(0, 25).Select(i => i == 0 ? (int?)null : i * 1000)));
        MimeBundle bundle = ValueFormatting.Format(frame);
        string html = bundle.Data["text/html"].GetValue<string>(), plain = bundle.Data["text/plain"].GetValue<string>();
        Assert.Equal(21, html.Split("<tr>").Length - 1);
        foreach (string part in new[] { "NMSE [1]", "0.3333", "m19", "19,000", "25 rows, 3 columns; the first 20 rows shown" })
        {
            Assert.Contains(part, html);
            Assert.Contains(part, plain);
        }
        Assert.Contains("&lt;b&gt;", html);
        Assert.DoesNotContain("m20", html);
        Assert.DoesNotContain("<script", html);
    }

    [Fact]
    public void An_empty_data_frame_and_a_wide_one_are_shown()
    {
        Assert.Contains("0 rows, 1 columns", ValueFormatting.Format(new DataFrame(new PrimitiveDataFrameColumn<double>("a"))).Data["text/plain"].GetValue<string>());
        Assert.Contains("0 rows, 0 columns", ValueFormatting.Format(new DataFrame()).Data["text/plain"].GetValue<string>());
        var wide = new DataFrame(Enumerable.Range(0, 50).Select(c => (DataFrameColumn)new PrimitiveDataFrameColumn<int>("c" + c, [c])));
        Assert.Contains("the first 30 columns shown", ValueFormatting.Format(wide).Data["text/html"].GetValue<string>());
    }

    [Fact]
    public void Hosts_that_know_only_the_formatters_show_the_same()
    {
        Chart chart = Samples.Make("curves");
        Assert.Equal(chart.Render().Data["text/html"].GetValue<string>(), chart.ToDisplayString("text/html"));
        Assert.Equal(chart.ToString(), chart.ToDisplayString("text/plain"));
        Assert.Equal(["text/html", "text/plain"], Formatter.GetPreferredMimeTypesFor(chart.GetType()));
        Assert.Equal(Exercise.Check("e", 1, 1).ToString(), Exercise.Check("e", 1, 1).ToDisplayString("text/plain"));
        Assert.Contains("<img src=\"data:image/svg+xml", Plot.Line<double, double, string>(X, Y).ToDisplayString("text/html"), StringComparison.Ordinal);
        JsonNode figure = JsonNode.Parse(Plot.Line<double, double, string>(X, Y).ToDisplayString(InteractiveCharts.MimeType))!;
        Assert.Single(figure["data"]!.AsArray());
    }

    private static (SvgPicture Picture, MimeBundle Bundle) Shown(object chart)
    {
        MimeBundle bundle = ValueFormatting.Format(chart);
        string html = bundle.Data["text/html"].GetValue<string>();
        Assert.DoesNotContain("<script", html, StringComparison.OrdinalIgnoreCase);
        SvgPicture picture = SvgPicture.InHtml(html);
        picture.AssertSound();
        return (picture, bundle);
    }
}
