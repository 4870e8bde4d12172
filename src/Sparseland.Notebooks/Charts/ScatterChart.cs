using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

/// <summary>Clouds of points.</summary>
public sealed record ScatterChart : XyChart
{
    internal ScatterChart(IReadOnlyList<Series> series) => Series = series;

    /// <summary>The clouds.</summary>
    public IReadOnlyList<Series> Series { get; }

    /// <summary>Whether the line y = x is drawn.</summary>
    public bool Diagonal { get; init; }

    internal override string Kind => "scatter plot";

    internal override bool XIsTight => false;

    internal override bool VerticalGrid => true;

    internal override IEnumerable<string> Facts() => Series.Select(SeriesFacts.Cloud);

    internal override IEnumerable<string> Remarks()
    {
        int gaps = Series.Sum(s => s.Gaps);
        if (gaps > 0)
            yield return gaps == 1 ? "(1 point is not a finite number: left out.)" : $"({gaps} points are not finite numbers: left out.)";
    }

    internal override IEnumerable<(string Name, IReadOnlyList<double> Values)> XData() => Series.Select(s => (s.Name, s.X));

    internal override IEnumerable<(string Name, IReadOnlyList<double> Values)> YData() => Series.Select(s => (s.Name, s.Y));

    internal override IReadOnlyList<LegendEntry> Legend(double width) =>
        Series.Count == 1 && Series[0].Name.Length == 0 ? [] : [.. Series.Select((s, i) => new LegendEntry(s.Name, i, Sample.Point))];

    internal override void DrawData(Canvas canvas, Plot plot)
    {
        if (Diagonal)
        {
            double low = Math.Max(plot.XAxis.Min, plot.YAxis.Min), high = Math.Min(plot.XAxis.Max, plot.YAxis.Max);
            if (low < high)
                canvas.Line(plot.X(low), plot.Y(low), plot.X(high), plot.Y(high), Theme.AxisLine, 1, "4 3");
        }
        for (int i = 0; i < Series.Count; i++)
            PointCloud.Draw(canvas, plot, Series[i], i, Series.Sum(s => s.Y.Count));
    }

    internal override JsonObject Figure(bool full)
    {
        var data = new JsonArray();
        for (int i = 0; i < Series.Count; i++)
        {
            JsonObject trace = PlotlyJson.Scatter(Series[i].Name, Series[i].X, Series[i].Y, "markers", Theme.Colour(i));
            trace["marker"] = new JsonObject { ["color"] = Theme.Colour(i), ["symbol"] = PlotlyJson.Symbol(i) };
            data.Add(trace);
        }
        JsonObject layout = XyLayout();
        if (Diagonal)
        {
            Axis x = XAxis(), y = YAxis();
            double low = Math.Max(x.Min, y.Min), high = Math.Min(x.Max, y.Max);
            var shapes = layout["shapes"] as JsonArray ?? [];
            shapes.Add(new JsonObject { ["type"] = "line", ["x0"] = low, ["y0"] = low, ["x1"] = high, ["y1"] = high, ["line"] = new JsonObject { ["color"] = Theme.AxisLine, ["dash"] = "dash", ["width"] = 1 } });
            layout["shapes"] = shapes;
        }
        return PlotlyJson.Figure(data, layout);
    }
}
