using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using XPlot.Plotly;

namespace Sparseland.Notebooks;

/// <summary>
/// The figure inside an XPlot chart. XPlot gives its data only as JavaScript ("var data = ...; var layout = ...;"), whose two
/// values are JSON.
/// </summary>
internal static class XPlotFigure
{
    public static JsonObject Of(PlotlyChart chart)
    {
        string script = chart.GetPlottingJS();
        return new JsonObject { ["data"] = After(script, "var data ="), ["layout"] = After(script, "var layout =") };
    }

    private static JsonNode? After(string script, string start)
    {
        int at = script.IndexOf(start, StringComparison.Ordinal);
        if (at < 0)
            return null;
        // The reader stops at the end of the first value, whatever signs the strings inside it contain.
        var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes(script[(at + start.Length)..].TrimStart()), new JsonReaderOptions { AllowTrailingCommas = true });
        return JsonNode.Parse(ref reader);
    }
}
