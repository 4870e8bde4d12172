using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

/// <summary>Pieces of Plotly figures as plain JSON, so that they need nothing of Plotly.NET, which some hosts cannot load.</summary>
internal static partial class PlotlyJson
{
    /// <summary>Name of the note that holds the caption.</summary>
    public const string CaptionName = "sl-caption";

    // Margins of the plot itself, without title and caption.
    private const int Side = 60;
    private const int Top = 20;
    private const int Bottom = 56;

    // The names of the series between title and plot.
    private const int Legend = 22;

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
            array.Add(JsonValue.Create(Text(value)));
        return array;
    }

    public static JsonObject Scatter(string name, IEnumerable<double> x, IEnumerable<double> y, string mode, string colour) => new()
    {
        ["type"] = "scatter",
        ["name"] = Text(name),
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

    /// <summary>
    /// The layout of a chart: its title, its caption as a note below the plot, and in <c>meta</c> both again for pages whose
    /// script sets them as text around the plot, where they wrap with the page.
    /// </summary>
    /// <param name="chart">The chart.</param>
    /// <param name="x">The x axis.</param>
    /// <param name="y">The y axis.</param>
    /// <param name="legend">Whether the series are named beside the plot.</param>
    /// <param name="caption">Caption to show; null for the chart's own.</param>
    public static JsonObject Layout(Chart chart, JsonObject? x, JsonObject? y, bool legend = false, string? caption = null)
    {
        caption ??= chart.FullCaption;
        double inner = chart.Width - Side - 20;
        IReadOnlyList<string> title = TextMetrics.Wrap(chart.Title, chart.Width - 40, Theme.TitleSize, bold: true), lines = TextMetrics.Wrap(caption, inner);
        double plot = Math.Round(chart.Height ?? chart.ContentHeight(chart.Width - 28)) + 40;
        double above = title.Count == 0 ? 0 : (title.Count * 20) + 10, below = lines.Count == 0 ? 0 : (lines.Count * 16) + 10;
        var layout = new JsonObject
        {
            ["height"] = plot + above + below + (legend ? Legend : 0),
            ["margin"] = new JsonObject { ["l"] = Side, ["r"] = 20, ["t"] = Top + above + (legend ? Legend : 0), ["b"] = Bottom + below },
            ["paper_bgcolor"] = Theme.Paper,
            ["plot_bgcolor"] = Theme.Paper,
            ["font"] = new JsonObject { ["size"] = 12, ["color"] = Theme.Ink },
            ["hovermode"] = "closest",
            ["showlegend"] = legend,
            ["legend"] = new JsonObject { ["orientation"] = "h", ["x"] = 0, ["xanchor"] = "left", ["y"] = 1.02, ["yanchor"] = "bottom" },
            ["meta"] = new JsonObject { ["sparseland"] = new JsonObject { ["title"] = chart.Title, ["caption"] = caption, ["height"] = plot, ["top"] = Top, ["bottom"] = Bottom } },
        };
        if (x is not null)
            layout["xaxis"] = x;
        if (y is not null)
            layout["yaxis"] = y;
        if (title.Count > 0)
        {
            layout["title"] = new JsonObject
            {
                ["text"] = string.Join("<br>", title.Select(Text)), ["x"] = 0.02, ["xanchor"] = "left", ["y"] = 1, ["yref"] = "container", ["yanchor"] = "top",
                ["pad"] = new JsonObject { ["t"] = 14 }, ["font"] = new JsonObject { ["size"] = Theme.TitleSize },
            };
        }
        if (lines.Count > 0)
            layout["annotations"] = new JsonArray(Note(lines, x));
        return layout;
    }

    /// <summary>An axis with a title, numbers written as the static picture writes them.</summary>
    /// <param name="title">Title with its unit, or empty.</param>
    /// <param name="scale">The axis of the static picture; null where no numbers stand on it.</param>
    /// <param name="range">The part shown; null for all data.</param>
    public static JsonObject AxisOf(string title, Axis? scale = null, (double From, double To)? range = null)
    {
        var axis = new JsonObject { ["title"] = new JsonObject { ["text"] = Text(title), ["standoff"] = 8, ["font"] = new JsonObject { ["size"] = 12, ["color"] = Theme.Muted } }, ["gridcolor"] = Theme.GridLine, ["zeroline"] = false, ["automargin"] = true };
        bool log = scale is { IsLog: true };
        if (log)
            axis["type"] = "log";
        if (scale is not null)
            Format(axis, scale);
        if (range is var (from, to))
            axis["range"] = log ? Numbers([Math.Log10(from), Math.Log10(to)]) : Numbers([from, to]);
        return axis;
    }

    /// <summary>An axis along the rows or columns of a matrix: whole numbers, or a name for each.</summary>
    /// <param name="title">Title, or empty.</param>
    /// <param name="count">How many rows or columns.</param>
    /// <param name="downwards">Whether row 0 is at the top.</param>
    public static JsonObject IndexAxis(string title, int count, bool downwards)
    {
        JsonObject axis = AxisOf(title);
        (axis["showgrid"], axis["tickformat"]) = (false, ",d");
        if (count <= 14)
            axis["dtick"] = 1;
        if (downwards)
            axis["autorange"] = "reversed";
        return axis;
    }

    /// <summary>
    /// Makes Plotly write numbers as the static picture does: no letters for powers of a thousand, plain numbers where the
    /// picture has plain ones and powers of ten where it has those.
    /// </summary>
    /// <param name="target">An axis or a colour bar.</param>
    /// <param name="scale">The axis of the static picture.</param>
    public static void Format(JsonObject target, Axis scale)
    {
        const int Wished = 7;
        IReadOnlyList<Tick> ticks = scale.TicksFor(Wished);
        (target["exponentformat"], target["separatethousands"]) = ("power", true);
        if (!scale.IsLog)
        {
            target["minexponent"] = ticks.Any(t => t.Label.Contains('×', StringComparison.Ordinal)) ? 2 : 6;
            return;
        }
        double decades = Math.Log10(scale.Max) - Math.Log10(scale.Min);
        bool plain = !ticks.Any(t => t.Label.Contains("10⁻", StringComparison.Ordinal) || t.Label.Any(c => "⁰¹²³⁴⁵⁶⁷⁸⁹".Contains(c, StringComparison.Ordinal)));
        if (plain)
            target["tickformat"] = ",~g";
        if (decades >= 3)
        {
            // Plotly puts small 2s and 5s between decades that are less than 0.7 of a tick apart.
            target["nticks"] = Math.Clamp((int)(decades / .75), 2, 8);
        }
        else if (plain)
        {
            // And labels at all of 1 to 9 below 0.3 of a tick.
            target["nticks"] = Math.Max(3, (int)(decades / .31));
        }
        else
        {
            target["tickmode"] = "array";
            target["tickvals"] = Numbers(ticks.Select(t => t.Value));
            target["ticktext"] = Texts(ticks.Select(t => t.Label));
        }
    }

    /// <summary>Text that Plotly shows as it is: it would take tags and entities in it for markup.</summary>
    public static string Text(string text) => Markup().IsMatch(text)
        ? text.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal).Replace(">", "&gt;", StringComparison.Ordinal)
        : text;

    private static JsonObject Note(IReadOnlyList<string> lines, JsonObject? x) => new()
    {
        ["name"] = CaptionName,
        ["text"] = string.Join("<br>", lines.Select(Text)),
        ["xref"] = "paper",
        ["yref"] = "paper",
        ["x"] = 0,
        ["y"] = 0,
        ["xanchor"] = "left",
        ["yanchor"] = "top",
        ["yshift"] = (string?)x?["title"]?["text"] is { Length: > 0 } ? -46 : -26,
        ["align"] = "left",
        ["showarrow"] = false,
        ["font"] = new JsonObject { ["color"] = Theme.Muted },
    };

    [GeneratedRegex("<[^<>]*>|&#?\\w+;")]
    private static partial Regex Markup();
}
