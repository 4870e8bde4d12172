using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Notebooks;

/// <summary>
/// Charts made with Plotly.NET or XPlot.Plotly: their figure, and a static picture of it drawn by our own charts where it
/// consists of what these can draw (lines, points, bars, histograms, heat maps).
/// </summary>
internal static class ForeignCharts
{
    /// <summary>All forms of a figure.</summary>
    /// <param name="figure">Data and layout of Plotly.</param>
    /// <param name="what">What to call it in text.</param>
    public static MimeBundle Render(JsonObject figure, string what)
    {
        // The default template of Plotly.NET is 6 KB of colours that every page with Plotly knows already.
        (figure["layout"] as JsonObject)?.Remove("template");
        string json = figure.ToJsonString();
        string html, plain;
        try
        {
            Chart chart = Convert(figure);
            (html, plain) = (chart.Html(null), $"{what}: {chart}");
        }
        catch (NotSupportedException e)
        {
            plain = $"{what}: no static picture, since {e.Message}. It shows where Plotly runs.";
            html = $"<figure class=\"{InteractiveCharts.FigureClass}\" style=\"margin:0 0 .6em 0\">{Markup.Escape(plain)}</figure>";
        }
        if (InteractiveCharts.Enabled)
            html = InteractiveCharts.Mark(html, json);
        return new MimeBundle(new Dictionary<string, JsonNode>
        {
            ["text/html"] = JsonValue.Create(html),
            ["text/plain"] = JsonValue.Create(plain),
            [InteractiveCharts.MimeType] = JsonNode.Parse(json)!,
        });
    }

    /// <summary>Our chart of the same data.</summary>
    /// <exception cref="NotSupportedException">The figure has something that our charts do not draw; the message says what.</exception>
    internal static Chart Convert(JsonObject figure)
    {
        JsonObject[] traces = [.. (figure["data"] as JsonArray ?? []).OfType<JsonObject>()];
        if (traces.Length == 0)
            throw new NotSupportedException("it has no data");
        var layout = figure["layout"] as JsonObject ?? [];
        string[] kinds = [.. traces.Select(Kind).Distinct()];
        if (kinds.Length > 1)
            throw new NotSupportedException($"it mixes {string.Join(" and ", kinds)}");
        if (traces.Any(t => Text(t["xaxis"]) is not ("" or "x") || Text(t["yaxis"]) is not ("" or "y")))
            throw new NotSupportedException("it has several pairs of axes");
        try
        {
            return kinds[0] switch
            {
                "scatter" or "scattergl" => Scatter(traces, layout),
                "bar" => Bars(traces, layout),
                "histogram" => Histogram(traces, layout),
                "heatmap" => HeatMap(traces, layout),
                var other => throw new NotSupportedException($"a trace of type {other} is none of scatter, bar, histogram and heatmap"),
            };
        }
        catch (ArgumentException e)
        {
            // What our charts refuse (nothing finite, a zero on a log axis) has no static picture either.
            throw new NotSupportedException(e.Message.TrimEnd('.'), e);
        }
    }

    private static Chart Scatter(JsonObject[] traces, JsonObject layout)
    {
        Series[] series = [.. traces.Select((t, i) =>
        {
            double[] y = Numbers(t["y"], "y");
            return new Series(Name(t, i, traces.Length), t["x"] is null ? [.. Enumerable.Range(0, y.Length).Select(k => (double)k)] : Numbers(t["x"], "x"), y);
        })];
        bool markersOnly = traces.All(t => Text(t["mode"]) is "markers" or "markers+text");
        return markersOnly
            ? Chart.Scatter(series, AxisTitle(layout, "xaxis"), AxisTitle(layout, "yaxis"), Title(layout), logX: IsLog(layout, "xaxis"), logY: IsLog(layout, "yaxis"))
            : Chart.Curves(series, AxisTitle(layout, "xaxis"), AxisTitle(layout, "yaxis"), Title(layout), logX: IsLog(layout, "xaxis"), logY: IsLog(layout, "yaxis"));
    }

    private static BarsChart Bars(JsonObject[] traces, JsonObject layout)
    {
        if (Text(layout["barmode"]) is "stack" or "relative")
            throw new NotSupportedException("its bars are stacked");
        bool lying = traces.Any(t => Text(t["orientation"]) == "h");
        var (names, values) = lying ? ("y", "x") : ("x", "y");
        string[] categories = [.. traces.SelectMany(t => Texts(t[names], Numbers(t[values], values).Length)).Distinct()];
        Series[] series = [.. traces.Select((t, i) =>
        {
            double[] heights = Numbers(t[values], values);
            string[] own = Texts(t[names], heights.Length);
            return new Series(Name(t, i, traces.Length), [.. categories.Select((_, k) => (double)k)], [.. categories.Select(c => Array.IndexOf(own, c) is >= 0 and var at ? heights[at] : double.NaN)]);
        })];
        var (x, y) = lying ? ("yaxis", "xaxis") : ("xaxis", "yaxis");
        return Chart.Bars(categories, series, AxisTitle(layout, x), AxisTitle(layout, y), Title(layout), logY: IsLog(layout, y));
    }

    private static HistogramChart Histogram(JsonObject[] traces, JsonObject layout)
    {
        if (traces.Any(t => t["x"] is null))
            throw new NotSupportedException("a lying histogram has no picture here");
        int? bins = traces[0]["nbinsx"] is JsonValue v && v.TryGetValue(out double n) ? (int)n : null;
        return Chart.Histogram([.. traces.Select((t, i) => (Name(t, i, traces.Length), (Values)Numbers(t["x"], "x")))], AxisTitle(layout, "xaxis"), bins, title: Title(layout));
    }

    private static HeatMapChart HeatMap(JsonObject[] traces, JsonObject layout)
    {
        if (traces.Length > 1)
            throw new NotSupportedException("it has several heat maps");
        // Plotly draws row 0 at the bottom unless told otherwise; ours is at the top.
        double[][] rows = [.. (traces[0]["z"] as JsonArray ?? throw new NotSupportedException("its z is no matrix")).Select(r => Numbers(r, "z"))];
        string[]? rowNames = traces[0]["y"] is null ? null : Texts(traces[0]["y"], rows.Length);
        if (Text((layout["yaxis"] as JsonObject)?["autorange"]) != "reversed")
        {
            rowNames ??= [.. Enumerable.Range(0, rows.Length).Select(i => i.ToString(CultureInfo.InvariantCulture))];
            Array.Reverse(rows);
            Array.Reverse(rowNames);
        }
        string[]? columnNames = traces[0]["x"] is null || rows.Length == 0 ? null : Texts(traces[0]["x"], rows[0].Length);
        return Chart.HeatMap(rows, AxisTitle(layout, "xaxis"), AxisTitle(layout, "yaxis"), title: Title(layout), rowNames: rowNames, columnNames: columnNames);
    }

    private static string Kind(JsonObject trace) => Text(trace["type"]) is { Length: > 0 } kind ? kind : "scatter";

    private static string Name(JsonObject trace, int index, int count) =>
        Text(trace["name"]) is { Length: > 0 } name ? name : count == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $"trace {index}");

    private static double[] Numbers(JsonNode? node, string what)
    {
        if (node is not JsonArray array)
            throw new NotSupportedException($"its {what} is no list of numbers");
        return [.. array.Select(item => item switch
        {
            null => double.NaN,
            JsonValue v when v.GetValueKind() == JsonValueKind.Number => v.GetValue<JsonElement>().GetDouble(),
            JsonValue v when v.GetValueKind() == JsonValueKind.String && double.TryParse(v.GetValue<string>(), NumberStyles.Float, CultureInfo.InvariantCulture, out double number) => number,
            _ => throw new NotSupportedException($"its {what} has values that are not numbers"),
        })];
    }

    private static string[] Texts(JsonNode? node, int count) => node is JsonArray array
        ? [.. array.Select(item => item is JsonValue v && v.GetValueKind() == JsonValueKind.String ? v.GetValue<string>() : item?.ToJsonString() ?? "")]
        : [.. Enumerable.Range(0, count).Select(i => i.ToString(CultureInfo.InvariantCulture))];

    // A title is a text, or an object with one.
    private static string Title(JsonObject layout) => layout["title"] is JsonObject o ? Text(o["text"]) : Text(layout["title"]);

    private static string AxisTitle(JsonObject layout, string axis) => layout[axis] is JsonObject o ? Title(o) : "";

    private static bool IsLog(JsonObject layout, string axis) => layout[axis] is JsonObject o && Text(o["type"]) == "log";

    private static string Text(JsonNode? node) => node is JsonValue v && v.GetValueKind() == JsonValueKind.String ? v.GetValue<string>() : "";
}
