using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

// The Plotly figure: bars upright or lying as the static picture has them at its width, points on stems on a log axis.
public sealed partial record BarsChart
{
    internal override JsonObject Figure(bool full)
    {
        bool lying = IsHorizontal(Width - 28);
        Axis scale = ValueAxis();
        var data = new JsonArray();
        for (int i = 0; i < Series.Count; i++)
        {
            if (LogY)
                data.Add(Stems(i, lying, scale.Min));
        }
        for (int i = 0; i < Series.Count; i++)
            data.Add(LogY ? Points(i, lying) : Bars(i, lying));

        JsonObject values = PlotlyJson.AxisOf(YTitle, scale), names = PlotlyJson.AxisOf(XTitle);
        // Room for the numbers beyond the ends of the bars, which Plotly leaves out of its own range.
        double room = .06 * (scale.Max - scale.Min);
        if (!LogY)
            values["range"] = PlotlyJson.Numbers([scale.Min < 0 ? scale.Min - room : scale.Min, scale.Max > 0 ? scale.Max + room : scale.Max]);
        if (LogY)
        {
            values["range"] = PlotlyJson.Numbers([Math.Log10(scale.Min), Math.Log10(scale.Max)]);
            names["tickmode"] = "array";
            names["tickvals"] = PlotlyJson.Numbers(Enumerable.Range(0, Categories.Count).Select(c => (double)c));
            names["ticktext"] = TickTexts(lying);
            names["range"] = PlotlyJson.Numbers(lying ? [Categories.Count - .5, -.5] : [-.5, Categories.Count - .5]);
        }
        else
        {
            names["tickmode"] = "array";
            names["tickvals"] = PlotlyJson.Texts(Categories);
            names["ticktext"] = TickTexts(lying);
            if (lying)
                names["autorange"] = "reversed";
        }
        JsonObject layout = PlotlyJson.Layout(this, lying ? values : names, lying ? names : values, Entries().Count > 0);
        layout["barmode"] = "group";
        return PlotlyJson.Figure(data, layout);
    }

    // Names under upright bars go over several lines, as in the static picture.
    private JsonArray TickTexts(bool lying) => lying
        ? PlotlyJson.Texts(Categories)
        : [.. Categories.Select(c => JsonValue.Create(string.Join("<br>", TextMetrics.Wrap(c, Math.Max(10, Slot(Width - 28) - 4)).Select(PlotlyJson.Text))))];

    private JsonObject Bars(int series, bool lying)
    {
        Series s = Series[series];
        var trace = new JsonObject
        {
            ["type"] = "bar",
            ["name"] = PlotlyJson.Text(s.Name),
            [lying ? "y" : "x"] = PlotlyJson.Texts(Categories),
            [lying ? "x" : "y"] = PlotlyJson.Numbers(s.Y),
            ["marker"] = new JsonObject { ["color"] = Theme.Colour(series) },
        };
        if (lying)
            trace["orientation"] = "h";
        // Beyond the end of a bar stands its band, where it has one.
        WithNumbers(trace, s, s.Lower is null ? "outside" : "inside");
        if (s.Lower is not null)
            (trace["insidetextanchor"], trace["textangle"]) = ("start", 0);
        return WithSpread(trace, s, lying);
    }

    private JsonObject Points(int series, bool lying)
    {
        Series s = Series[series];
        var trace = new JsonObject
        {
            ["type"] = "scatter",
            ["mode"] = "markers+text",
            ["name"] = PlotlyJson.Text(s.Name),
            [lying ? "y" : "x"] = PlotlyJson.Numbers(Places(series)),
            [lying ? "x" : "y"] = PlotlyJson.Numbers(s.Y),
            ["marker"] = new JsonObject { ["color"] = Theme.Colour(series), ["symbol"] = PlotlyJson.Symbol(series), ["size"] = 10 },
        };
        WithNumbers(trace, s, lying == s.Lower is null ? "middle right" : "top center");
        return WithSpread(trace, s, lying);
    }

    // From the end of the axis to the point, so that no point floats without its name.
    private JsonObject Stems(int series, bool lying, double floor)
    {
        double[] along = [.. Places(series).SelectMany(p => new[] { p, p, double.NaN })];
        double[] up = [.. Series[series].Y.SelectMany(v => new[] { floor, v, double.NaN })];
        JsonObject trace = PlotlyJson.Scatter("", lying ? up : along, lying ? along : up, "lines", Theme.Colour(series));
        trace["line"]!["width"] = StemWidth;
        (trace["showlegend"], trace["hoverinfo"]) = (false, "skip");
        return trace;
    }

    // Side by side within the space of a category, as bars would stand.
    private IEnumerable<double> Places(int series) => Enumerable.Range(0, Categories.Count).Select(c => c + ((series - ((Series.Count - 1) / 2.0)) * .78 / Series.Count));

    private static void WithNumbers(JsonObject trace, Series s, string place)
    {
        trace["text"] = PlotlyJson.Texts(s.Y.Select(v => double.IsFinite(v) ? Ticks.Short(v) : ""));
        (trace["textposition"], trace["cliponaxis"], trace["hoverinfo"]) = (place, false, "x+y+name");
        trace["textfont"] = place == "inside" ? new JsonObject { ["size"] = 11 } : new JsonObject { ["color"] = Theme.Muted, ["size"] = 11 };
    }

    private static JsonObject WithSpread(JsonObject trace, Series s, bool lying)
    {
        if (s.Lower is not null)
        {
            trace[lying ? "error_x" : "error_y"] = new JsonObject
            {
                ["type"] = "data",
                ["symmetric"] = false,
                ["array"] = PlotlyJson.Numbers(s.Y.Select((y, k) => s.Upper![k] - y)),
                ["arrayminus"] = PlotlyJson.Numbers(s.Y.Select((y, k) => y - s.Lower[k])),
            };
        }
        return trace;
    }
}
