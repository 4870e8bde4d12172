using System.Globalization;
using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

/// <summary>Pieces of Plotly figures as plain JSON, so that they need nothing of Plotly.NET, which some hosts cannot load.</summary>
internal static class PlotlyJson
{
    private static readonly string[] Dashes = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
    private static readonly string[] Symbols = ["circle", "square", "triangle-up", "diamond", "triangle-down", "x"];

    public static string Dash(int series) => Dashes[series % Dashes.Length];

    public static string Symbol(int series) => Symbols[series % Symbols.Length];

    public static JsonObject Figure(JsonArray data, JsonObject layout) => new() { ["data"] = data, ["layout"] = layout };

    /// <summary>Numbers of seven significant digits; what is not finite becomes null, which Plotly leaves out.</summary>
    public static JsonArray Numbers(IEnumerable<double> values)
    {
        var array = new JsonArray();
        foreach (double value in values)
            array.Add(Number(value));
        return array;
    }

    public static JsonNode? Number(double value) => double.IsFinite(value)
        ? JsonValue.Create(double.Parse(value.ToString("G7", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture))
        : null;

    public static JsonArray Texts(IEnumerable<string> values)
    {
        var array = new JsonArray();
        foreach (string value in values)
            array.Add(JsonValue.Create(value));
        return array;
    }

    public static JsonObject Scatter(string name, IEnumerable<double> x, IEnumerable<double> y, string mode, string colour) => new()
    {
        ["type"] = "scatter",
        ["name"] = name,
        ["mode"] = mode,
        ["x"] = Numbers(x),
        ["y"] = Numbers(y),
        ["line"] = new JsonObject { ["color"] = colour, ["width"] = 2 },
    };

    public static JsonArray Scale(ColourMap map)
    {
        var scale = new JsonArray();
        foreach (var (place, colour) in map.Scale())
            scale.Add(new JsonArray(JsonValue.Create(Math.Round(place, 4)), JsonValue.Create(colour)));
        return scale;
    }

    public static JsonObject Layout(Chart chart, string xTitle, string yTitle, bool logX = false, bool logY = false, (double From, double To)? xRange = null, (double From, double To)? yRange = null)
    {
        var layout = new JsonObject
        {
            ["height"] = Math.Round(chart.TotalHeight(chart.Width)),
            ["margin"] = new JsonObject { ["l"] = 60, ["r"] = 20, ["t"] = chart.Title.Length > 0 ? 50 : 20, ["b"] = 50 },
            ["paper_bgcolor"] = Theme.Paper,
            ["plot_bgcolor"] = Theme.Paper,
            ["font"] = new JsonObject { ["size"] = 12, ["color"] = Theme.Ink },
            ["hovermode"] = "closest",
            ["xaxis"] = AxisOf(xTitle, logX, xRange),
            ["yaxis"] = AxisOf(yTitle, logY, yRange),
        };
        if (chart.Title.Length > 0)
            layout["title"] = new JsonObject { ["text"] = chart.Title, ["x"] = 0.02, ["font"] = new JsonObject { ["size"] = 15 } };
        return layout;
    }

    private static JsonObject AxisOf(string title, bool log, (double From, double To)? range)
    {
        var axis = new JsonObject { ["title"] = new JsonObject { ["text"] = title }, ["gridcolor"] = Theme.GridLine, ["zeroline"] = false, ["automargin"] = true };
        if (log)
            axis["type"] = "log";
        if (range is var (from, to))
            axis["range"] = log ? Numbers([Math.Log10(from), Math.Log10(to)]) : Numbers([from, to]);
        return axis;
    }
}
