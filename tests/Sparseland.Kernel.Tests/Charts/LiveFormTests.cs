using System.Net;
using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>The live (Plotly) form of a chart says all that its static picture says.</summary>
public class LiveFormTests
{
    private static readonly double[] Turn = [.. Enumerable.Range(0, 73).Select(i => i * Math.PI / 36)];

    // Beside one chart of each kind, the settings in which the two forms could part.
    private static readonly Dictionary<string, Func<Chart>> Special = new()
    {
        ["round"] = () => Chart.Curves([("circle", Turn.Select(Math.Cos).ToArray(), Turn.Select(Math.Sin).ToArray()), ("half", Turn.Select(t => Math.Cos(t) / 2).ToArray(), Turn.Select(Math.Sin).ToArray())], x: "x1", y: "x2", title: "Round", caption: "A circle is round.", equalAspect: true),
        ["round cloud"] = () => Chart.Scatter([("a", Turn, Turn)], x: "true [1]", y: "estimate [1]", diagonal: true, equalAspect: true),
        ["log bars"] = () => Chart.Bars(["dense", "sparse"], [new Series("CPU", [.001, 120]).Band([.0005, 100], [.002, 150]), new Series("GPU", [3, 4])], x: "format", y: "time [ms]", title: "Speed", caption: "Points on stems.", logY: true),
        ["lying log bars"] = () => Chart.Bars([.. Enumerable.Range(0, 12).Select(i => $"a name that is too long, number {i}")], Enumerable.Range(1, 12).Select(i => Math.Pow(10, i - 6)).ToArray(), x: "method", y: "time [s]", logY: true),
        ["log histogram"] = () => Chart.Histogram(Turn.Select(Math.Exp).ToArray(), x: "value [1]", logY: true, caption: "Many small ones."),
        ["tiny"] = () => Chart.Curve([1e-6, 2e-5, 3e-6], x: "step", y: "error [1]"),
        ["huge"] = () => Chart.Curve([1, 2_000_000, 5], x: "step", y: "count"),
        ["wild"] = () => Chart.Curves([("<b>a</b> &amp; b", new double[] { 1, 2 }), ("b", new double[] { 2, 1 })], x: "<i>x</i>", y: "y < z", title: "A <b>title</b>", caption: "p < q & <sub>r</sub>"),
        ["long"] = () => Chart.Curve([1, 2], title: string.Join(' ', Enumerable.Repeat("title", 40)), caption: string.Join(' ', Enumerable.Repeat("caption", 60))),
    };

    public static TheoryData<string> Names => [.. Samples.Kinds.Concat(Special.Keys)];

    [Theory, MemberData(nameof(Names))]
    public void Title_and_caption_are_there_word_for_word(string name)
    {
        Chart chart = Make(name);
        JsonNode layout = Figure(chart)["layout"]!;
        Assert.Equal(chart.Title, Plain((string?)layout["title"]?["text"]));
        string caption = Plain((string?)Notes(layout).SingleOrDefault(n => (string?)n["name"] == "sl-caption")?["text"]);
        JsonNode own = layout["meta"]!["sparseland"]!;
        Assert.Equal((chart.Title, caption), ((string)own["title"]!, (string)own["caption"]!));
        // Of charts side by side each keeps its own.
        Chart[] all = chart is ChartGrid grid ? [grid, .. grid.Charts] : [chart];
        Assert.All(all.Select(c => c.FullCaption), part => Assert.Contains(part, caption));
        if (chart is not ChartGrid)
            Assert.Equal(chart.FullCaption, caption);
    }

    [Theory, MemberData(nameof(Names))]
    public void Axes_have_the_same_titles_and_scales(string name)
    {
        Chart chart = Make(name);
        JsonNode figure = Figure(chart);
        string[] titles = [.. Axes(figure).Select(a => Plain((string?)a["title"]?["text"])), .. Traces(figure).Select(t => Plain((string?)t["colorbar"]?["title"]?["text"]))];
        foreach (Chart part in Parts(chart))
        {
            var (x, y, value, logX, logY) = part switch
            {
                XyChart xy => (xy.XTitle, xy.YTitle, "", xy.LogX, xy.LogY),
                BarsChart bars => (bars.XTitle, bars.YTitle, "", false, bars.LogY),
                HeatMapChart map => (map.XTitle, map.YTitle, map.ValueTitle, false, false),
                SupportChart support => (support.XTitle, support.YTitle, "", false, false),
                _ => ("", "", "", false, false),
            };
            foreach (string title in new[] { x, y, value }.Where(t => t.Length > 0))
                Assert.Contains(title, titles);
            Assert.Equal(logX, Axes(figure).Any(a => (string?)a["type"] == "log" && Plain((string?)a["title"]!["text"]) == x) && logX);
            Assert.Equal(logY, Axes(figure).Any(a => (string?)a["type"] == "log" && Plain((string?)a["title"]!["text"]) == y) && logY);
        }
        if (!Parts(chart).Any(p => p is XyChart { LogX: true } or XyChart { LogY: true } or BarsChart { LogY: true }))
            Assert.DoesNotContain(Axes(figure), a => (string?)a["type"] == "log");
    }

    [Theory, MemberData(nameof(Names))]
    public void The_series_are_the_same_with_their_names_and_points(string name)
    {
        Chart chart = Make(name);
        if (chart is ChartGrid)
            return;
        JsonNode figure = Figure(chart);
        (string Name, int Points)[] wanted = chart switch
        {
            CurvesChart curves => [.. curves.Series.Select(s => (s.Name, s.Y.Count))],
            ScatterChart cloud => [.. cloud.Series.Select(s => (s.Name, s.Y.Count))],
            ParetoChart front => [.. front.Series.Select(s => (s.Name, s.Y.Count))],
            BarsChart bars => [.. bars.Series.Select(s => (s.Name, s.Y.Count))],
            HistogramChart histogram => [.. histogram.Sets.Select((s, i) => (s.Name, histogram.Heights[i].Count))],
            _ => [],
        };
        var shown = Traces(figure).Where(t => wanted.Length > 0 && t["showlegend"] is null).Select(t => (Plain((string?)t["name"]), t["y"]!.AsArray().Count));
        Assert.Equal(wanted, shown);

        // Named in the picture is named in the figure: beside the plot, or in a legend.
        IReadOnlyList<string> texts = SvgPicture.Of(chart).Texts;
        bool named = wanted.Length > 0 && wanted.Any(s => s.Name.Length > 0) && wanted.All(s => texts.Contains(s.Name));
        Assert.Equal(named, (bool)figure["layout"]!["showlegend"]!);
    }

    [Theory, MemberData(nameof(Names))]
    public void Numbers_are_written_as_in_the_picture(string name)
    {
        foreach (Chart part in Parts(Make(name)).Where(p => p is XyChart or BarsChart or HeatMapChart))
        {
            JsonNode figure = Figure(part);
            // Letters for powers of a thousand ("100µ", "2k") stand nowhere.
            JsonObject[] numbered = [.. Axes(figure).Where(a => a["tickvals"] is null && (string?)a["tickformat"] != ",d"), .. Traces(figure).Select(t => t["colorbar"]).OfType<JsonObject>()];
            Assert.All(numbered, a => Assert.Equal("power", (string?)a["exponentformat"]));
            bool powers = SvgPicture.Of(part).Texts.Any(t => t.Contains("10⁻") || t.Contains("×10"));
            if (part is XyChart { LogY: true })
                Assert.Equal(powers, figure["layout"]!["yaxis"]!["tickformat"] is null);
            if (part is XyChart { LogY: false } and not HistogramChart)
                Assert.Equal(powers ? 2 : 6, (int)figure["layout"]!["yaxis"]!["minexponent"]!);
        }
    }

    [Theory, MemberData(nameof(Names))]
    public void What_is_round_is_round_in_both_forms(string name)
    {
        Chart chart = Make(name);
        JsonNode layout = Figure(chart)["layout"]!;
        if (chart is XyChart xy)
            Assert.Equal(xy.EqualAspect ? "x" : null, (string?)layout["yaxis"]!["scaleanchor"]);
    }

    [Fact]
    public void A_circle_is_as_wide_as_high_in_the_picture()
    {
        foreach (double width in new[] { 390, 720, 1100.0 })
        {
            SvgPicture picture = SvgPicture.Of(Special["round"]() with { Width = width });
            picture.AssertReadable();
            var corners = picture.Strokes(Theme.Colour(0)).Single();
            double across = corners.Max(c => c.X) - corners.Min(c => c.X), up = corners.Max(c => c.Y) - corners.Min(c => c.Y);
            Assert.InRange(across, 100, width);
            Assert.Equal(across, up, 0.5);
        }
    }

    [Fact]
    public void Steps_of_equal_length_need_axes_of_one_kind()
    {
        Assert.Contains("EqualAspect", Assert.Throws<ArgumentException>(() => (Chart.Curve([1, 2], logY: true) with { EqualAspect = true }).ToSvg()).Message);
        Assert.Contains("EqualAspect", Assert.Throws<ArgumentException>(() => (Chart.Histogram([1, 2]) with { EqualAspect = true }).ToSvg()).Message);
    }

    [Fact]
    public void Values_on_a_log_axis_stand_on_stems_in_both_forms_and_series_side_by_side()
    {
        Chart chart = Make("log bars");
        JsonNode figure = Figure(chart);
        JsonNode[] stems = [.. Traces(figure).Where(t => (string?)t["mode"] == "lines")];
        Assert.Equal(2, stems.Length);
        double floor = Math.Pow(10, (double)figure["layout"]!["yaxis"]!["range"]![0]!);
        Assert.Equal(floor, (double)stems[0]["y"]![0]!, floor * 1e-5);
        Assert.Equal(.001, (double)stems[0]["y"]![1]!);
        double[] places = [.. Traces(figure).Where(t => (string?)t["mode"] == "markers+text").Select(t => (double)t["x"]![0]!)];
        Assert.True(places[0] < 0 && places[1] > 0 && places[0] > -.5 && places[1] < .5);
        Assert.Equal(["dense", "sparse"], figure["layout"]!["xaxis"]!["ticktext"]!.AsArray().Select(t => (string)t!));

        SvgPicture picture = SvgPicture.Of(chart);
        double bottom = picture.Root.Descendants().Where(e => e.Name.LocalName == "line" && (string?)e.Attribute("stroke") == Theme.Colour(0)).Select(e => (double)e.Attribute("y1")!).Distinct().Single();
        Assert.True(bottom > picture.PlaceOf("1").Y);
    }

    [Fact]
    public void A_marked_value_has_its_label_inside_the_plot()
    {
        JsonObject[] notes = [.. Notes(Figure(Chart.Curve([1, 2, 3]).WithLine("early", x: 0.2).WithLine("late", x: 2).WithLine("level", y: 2))["layout"]!)];
        Assert.Equal(
            [("early", "top", "left"), ("late", "top", "right"), ("level", "bottom", "right")],
            notes.Select(n => ((string)n["text"]!, (string)n["yanchor"]!, (string)n["xanchor"]!)));
    }

    [Fact]
    public void Long_names_lie_in_both_forms()
    {
        JsonNode figure = Figure(Make("lying bars"));
        JsonNode trace = Assert.Single(Traces(figure));
        Assert.Equal(("h", "reversed"), ((string?)trace["orientation"], (string?)figure["layout"]!["yaxis"]!["autorange"]));
        Assert.Equal(("time [ms]", "method"), ((string?)figure["layout"]!["xaxis"]!["title"]!["text"], (string?)figure["layout"]!["yaxis"]!["title"]!["text"]));
    }

    [Fact]
    public void Points_off_the_front_are_hollow_in_both_forms()
    {
        JsonNode relu = Traces(Figure(Make("pareto"))).Single(t => (string?)t["name"] == "ReLU");
        Assert.Equal(["square-open", "square-open", "square-open", "square"], relu["marker"]!["symbol"]!.AsArray().Select(s => (string)s!));
        Assert.Contains(Notes(Figure(Make("pareto"))["layout"]!), n => (string?)n["text"] == "↙ better");
    }

    [Fact]
    public void Averaged_cells_stand_where_their_cells_are()
    {
        Chart map = Chart.HeatMap(Samples.Matrix(400, 360), x: "column", y: "row");
        JsonNode trace = map.Figure(full: false)["data"]![0]!;
        int block = (int)trace["dx"]!;
        Assert.True(block > 1);
        Assert.Equal((block - 1) / 2.0, (double)trace["x0"]!);
        Assert.Equal(((400 - 1) / block) + 1, trace["z"]!.AsArray().Count);
        Assert.Null(map.Figure(full: true)["data"]![0]!["dx"]);
    }

    private static Chart Make(string name) => Special.TryGetValue(name, out Func<Chart>? make) ? make() : Samples.Make(name);

    private static IEnumerable<Chart> Parts(Chart chart) => chart is ChartGrid grid ? grid.Charts : [chart];

    private static JsonNode Figure(Chart chart) => JsonNode.Parse(chart.ToPlotlyJson())!;

    private static IEnumerable<JsonNode> Traces(JsonNode figure) => figure["data"]!.AsArray().Select(t => t!);

    private static IEnumerable<JsonObject> Notes(JsonNode layout) => (layout["annotations"]?.AsArray() ?? []).Select(n => n!.AsObject());

    private static IEnumerable<JsonObject> Axes(JsonNode figure) => figure["layout"]!.AsObject()
        .Where(e => (e.Key.StartsWith("xaxis", StringComparison.Ordinal) || e.Key.StartsWith("yaxis", StringComparison.Ordinal)) && (bool?)e.Value!["visible"] != false)
        .Select(e => e.Value!.AsObject());

    // As a page shows it: lines joined, entities read, tags that Plotly would take for markup absent.
    private static string Plain(string? text)
    {
        string joined = (text ?? "").Replace("<br>", " ", StringComparison.Ordinal);
        Assert.DoesNotMatch("<[^<>]*>", joined);
        return joined.Contains("&lt;", StringComparison.Ordinal) || joined.Contains("&amp;", StringComparison.Ordinal) ? WebUtility.HtmlDecode(joined) : joined;
    }
}
