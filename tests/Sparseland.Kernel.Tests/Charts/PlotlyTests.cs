using System.Text.Json.Nodes;
using Plotly.NET.LayoutObjects;
using Sparseland.Notebooks.Charts;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>The same data as figures of Plotly.</summary>
public class PlotlyTests
{
    public static TheoryData<string> Names => Samples.Names;

    [Theory]
    [MemberData(nameof(Names))]
    public void A_figure_is_data_and_layout_and_every_axis_named_in_it_exists(string name)
    {
        JsonNode figure = JsonNode.Parse(Samples.Make(name).ToPlotlyJson())!;
        JsonObject layout = figure["layout"]!.AsObject();
        JsonArray data = figure["data"]!.AsArray();
        Assert.NotEmpty(data);
        foreach (JsonNode? trace in data)
        {
            Assert.NotEmpty(trace!["type"]!.GetValue<string>());
            foreach (string axis in new[] { "xaxis", "yaxis" })
            {
                if (trace[axis]?.GetValue<string>() is { } at)
                    Assert.True(layout.ContainsKey(axis + at[1..]), $"{axis} {at} is not in the layout");
            }
        }
    }

    [Fact]
    public void A_figure_has_all_points_titles_and_log_axes()
    {
        JsonNode figure = JsonNode.Parse(Chart.Curves([("a", new[] { 1, double.NaN, 100 })], x: "step", y: "error [1]", title: "T", logY: true).ToPlotlyJson())!;
        JsonArray y = figure["data"]![0]!["y"]!.AsArray();
        Assert.Equal([1.0, null, 100.0], y.Select(v => (double?)v));
        Assert.Equal("log", (string?)figure["layout"]!["yaxis"]!["type"]);
        Assert.Null(figure["layout"]!["xaxis"]!["type"]);
        Assert.Equal(("step", "error [1]", "T"), (
            (string)figure["layout"]!["xaxis"]!["title"]!["text"]!, (string)figure["layout"]!["yaxis"]!["title"]!["text"]!, (string)figure["layout"]!["title"]!["text"]!));
    }

    [Fact]
    public void A_thinned_figure_keeps_its_extremes_and_its_gaps()
    {
        double[] y = [.. Enumerable.Range(0, 10_000).Select(i => i is >= 4000 and < 5000 ? double.NaN : Math.Sin(i * .01))];
        (y[2222], y[8888]) = (7, -7);
        JsonArray shown = Chart.Curve(y).Figure(full: false)["data"]![0]!["y"]!.AsArray();
        double?[] values = [.. shown.Select(v => (double?)v)];
        Assert.InRange(values.Length, 10, 5000);
        Assert.Equal((7, -7), (values.Max(), values.Min()));
        Assert.Contains(null, values);
    }

    [Fact]
    public void A_heat_map_has_row_0_on_top_and_nulls_for_what_is_missing()
    {
        JsonNode figure = JsonNode.Parse(Chart.HeatMap(new[,] { { 1, 2 }, { double.NaN, 4 } }, rowNames: ["a", "b"]).ToPlotlyJson())!;
        Assert.Equal("[[1,2],[null,4]]", figure["data"]![0]!["z"]!.ToJsonString());
        Assert.Equal("reversed", (string?)figure["layout"]!["yaxis"]!["autorange"]);
        Assert.Equal("[\"a\",\"b\"]", figure["data"]![0]!["y"]!.ToJsonString());
    }

    [Fact]
    public void A_marked_line_is_in_the_figure_at_its_value()
    {
        JsonNode layout = JsonNode.Parse(Chart.Curves([("a", new[] { 1.0, 100 })], logY: true).WithLine("paper", y: 10).ToPlotlyJson())!["layout"]!;
        Assert.Equal(10, (double)layout["shapes"]![0]!["y0"]!);
        // Plotly takes shapes on a log axis at their values but annotations at the logarithm.
        Assert.Equal(1, (double)layout["annotations"]![0]!["y"]!);
        Assert.Equal("paper", (string?)layout["annotations"]![0]!["text"]);
    }

    [Fact]
    public void A_grid_puts_every_chart_on_axes_of_its_own()
    {
        JsonNode figure = JsonNode.Parse(Chart.Grid(2, Chart.Curve([1, 2], title: "first"), Chart.Curve([3, 4], title: "second"), Chart.Table(["a"], [[1]])).ToPlotlyJson())!;
        JsonArray data = figure["data"]!.AsArray();
        Assert.Equal(["x", "x2", null], data.Select(t => (string?)t!["xaxis"]));
        Assert.Equal("table", (string?)data[2]!["type"]);
        double[] left = Domain(figure, "xaxis"), right = Domain(figure, "xaxis2");
        Assert.True(left[1] <= right[0]);
        Assert.Contains("first", figure.ToJsonString(), StringComparison.Ordinal);
        Assert.Contains("second", figure.ToJsonString(), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Plotly_NET_has_the_same_figure(string name)
    {
        Chart chart = Samples.Make(name);
        JsonNode ours = JsonNode.Parse(chart.ToPlotlyJson())!;
        JsonNode theirs = PlotlyConversion.FigureOf(chart.ToPlotly());
        Assert.Equal(ours["data"]!.AsArray().Count, theirs["data"]!.AsArray().Count);
        foreach (var (trace, copy) in ours["data"]!.AsArray().Zip(theirs["data"]!.AsArray()))
            Assert.Equal(Plain(trace)!.ToJsonString(), Plain(copy)!.ToJsonString());
    }

    [Fact]
    public void Plotly_NET_can_go_on_with_the_figure()
    {
        Plotly.NET.GenericChart chart = Plotly.NET.CSharp.GenericChartExtensions.WithXAxisStyle<string, string, string>(Chart.Curve([1, 2, 3], x: "old").ToPlotly(), TitleText: "new");
        JsonNode figure = PlotlyConversion.FigureOf(chart);
        Assert.Equal("new", (string?)figure["layout"]!["xaxis"]!["title"]!["text"]);
        Assert.Equal("[1,2,3]", Plain(figure["data"]![0]!["y"])!.ToJsonString());
        Assert.Throws<ArgumentNullException>(() => PlotlyConversion.ToPlotly(null!));
    }

    private static double[] Domain(JsonNode figure, string axis) => [.. figure["layout"]![axis]!["domain"]!.AsArray().Select(v => (double)v!)];

    // 1 and 1.0 are one number but two texts.
    private static JsonNode? Plain(JsonNode? node) => node switch
    {
        JsonObject o => new JsonObject(o.Where(e => e.Value is not null).OrderBy(e => e.Key, StringComparer.Ordinal).Select(e => KeyValuePair.Create(e.Key, Plain(e.Value)))),
        JsonArray a => new JsonArray([.. a.Select(Plain)]),
        JsonValue v when v.GetValueKind() == System.Text.Json.JsonValueKind.Number => JsonValue.Create(double.Parse(v.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture)),
        null => null,
        _ => node.DeepClone(),
    };
}
