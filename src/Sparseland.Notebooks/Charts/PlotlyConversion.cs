using System.Text.Json.Nodes;
using DynamicObj;
using Plotly.NET;
using Plotly.NET.LayoutObjects;

namespace Sparseland.Notebooks.Charts;

/// <summary>
/// Charts as objects of Plotly.NET and back. A class of its own: nothing else in this assembly mentions a type of Plotly.NET,
/// so a host that cannot load it (it needs FSharp.Core 10.1) still shows every chart.
/// </summary>
public static class PlotlyConversion
{
    /// <summary>The chart as a Plotly.NET object with the same data, to go on with.</summary>
    /// <exception cref="IOException">This host cannot load Plotly.NET.</exception>
    public static GenericChart ToPlotly(this Chart chart)
    {
        ArgumentNullException.ThrowIfNull(chart);
        var figure = (JsonObject)JsonNode.Parse(chart.ToPlotlyJson())!;
        Layout layout = Fill(new Layout(), (JsonObject)figure["layout"]!);
        GenericChart[] traces = [.. ((JsonArray)figure["data"]!).Select(t => GenericChart.ofTraceObject(false, Trace((JsonObject)t!)))];
        return GenericChart.setLayout(layout, traces.Length == 1 ? traces[0] : GenericChart.combine(traces));
    }

    /// <summary>The figure of a Plotly.NET object as JSON with data and layout.</summary>
    internal static JsonObject FigureOf(GenericChart chart) => (JsonObject)JsonNode.Parse(GenericChart.toFigureJson(chart))!;

    private static Trace Trace(JsonObject json)
    {
        var trace = new Trace(json["type"]!.GetValue<string>());
        return Fill(trace, json);
    }

    private static T Fill<T>(T target, JsonObject json)
        where T : DynamicObj.DynamicObj
    {
        foreach (var (name, node) in json)
        {
            if (node is not null && name != "type" || target is not Plotly.NET.Trace)
                target.SetProperty(name, Value(name, node, target));
        }
        return target;
    }

    // Axes and titles get their own types, so that functions such as Chart.withXAxisStyle find and extend them.
    private static object? Value(string name, JsonNode? node, object parent) => node switch
    {
        null => null,
        JsonObject o when parent is Layout && (name.StartsWith("xaxis", StringComparison.Ordinal) || name.StartsWith("yaxis", StringComparison.Ordinal)) => Fill(new LinearAxis(), o),
        JsonObject o when name == "title" => Fill(new Title(), o),
        JsonObject o => Fill(new DynamicObj.DynamicObj(), o),
        JsonArray a => a.Select(item => Value("", item, a)).ToArray(),
        JsonValue v when v.TryGetValue(out string? text) => text,
        JsonValue v when v.TryGetValue(out bool flag) => flag,
        JsonValue v => v.GetValue<double>(),
        _ => throw new InvalidOperationException($"A figure holds no {node.GetType().Name}."),
    };
}
