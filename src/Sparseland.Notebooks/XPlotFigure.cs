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
        byte[] script = Encoding.UTF8.GetBytes(chart.GetPlottingJS());
        int at = 0;
        // In their order: a text inside the data may read like the start of the layout.
        return new JsonObject { ["data"] = After(script, "var data ="u8, ref at), ["layout"] = After(script, "var layout ="u8, ref at) };
    }

    private static JsonNode? After(ReadOnlySpan<byte> script, ReadOnlySpan<byte> start, ref int at)
    {
        int found = script[at..].IndexOf(start);
        if (found < 0)
            return null;
        at += found + start.Length;
        // The reader stops at the end of the first value, whatever signs the strings inside it contain.
        var reader = new Utf8JsonReader(script[at..], new JsonReaderOptions { AllowTrailingCommas = true, AllowMultipleValues = true });
        JsonNode? value = JsonNode.Parse(ref reader);
        at += (int)reader.BytesConsumed;
        return value;
    }
}
