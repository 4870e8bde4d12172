using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

/// <summary>Which corner of a trade-off is the better one.</summary>
public enum Better
{
    /// <summary>Less of both.</summary>
    LowerLeft,

    /// <summary>More x, less y.</summary>
    LowerRight,

    /// <summary>Less x, more y.</summary>
    UpperLeft,

    /// <summary>More of both.</summary>
    UpperRight,
}

/// <summary>A trade-off between two quantities: points of several methods and the front that no point improves in both.</summary>
public sealed record ParetoChart : XyChart
{
    internal ParetoChart(IReadOnlyList<Series> series) => Series = series;

    /// <summary>One series per method, one point per setting.</summary>
    public IReadOnlyList<Series> Series { get; }

    /// <summary>The better corner.</summary>
    public Better Best { get; init; } = Better.LowerLeft;

    /// <summary>The points on the front, from left to right.</summary>
    public IReadOnlyList<(string Name, double X, double Y)> Front()
    {
        var all = Series.SelectMany(s => Enumerable.Range(0, s.Y.Count).Where(k => double.IsFinite(s.Y[k])).Select(k => (s.Name, X: s.X[k], Y: s.Y[k]))).ToArray();
        return [.. all.Where(p => !all.Any(other => Dominates(other.X, other.Y, p.X, p.Y))).OrderBy(p => p.X).ThenBy(p => p.Y)];
    }

    internal override string Kind => "trade-off";

    internal override bool XIsTight => false;

    internal override bool VerticalGrid => true;

    internal override IEnumerable<string> Facts()
    {
        var front = Front();
        return Series.Select(s => $"{SeriesFacts.Cloud(s)}; {front.Count(p => p.Name == s.Name)} on the front");
    }

    internal override IEnumerable<string> Remarks()
    {
        yield return "(Filled: on the front, where no other point is better in both. Hollow: improved on by another.)";
        foreach (string gap in SeriesFacts.Gaps(Series))
            yield return gap;
    }

    internal override IEnumerable<(string Name, IReadOnlyList<double> Values)> XData() => Series.Select(s => (s.Name, s.X));

    internal override IEnumerable<(string Name, IReadOnlyList<double> Values)> YData() => Series.Select(s => (s.Name, s.Y));

    internal override IReadOnlyList<LegendEntry> Legend(double width) =>
        Series.Count == 1 && Series[0].Name.Length == 0 ? [] : [.. Series.Select((s, i) => new LegendEntry(s.Name, i, Sample.Point))];

    internal override void DrawData(Canvas canvas, Plot plot)
    {
        // First, so that it never hides a point that stands in the better corner.
        DrawCorner(canvas, plot);
        var front = Front();
        var path = new PathData().Move(plot.X(front[0].X), plot.Y(front[0].Y));
        for (int k = 1; k < front.Count; k++)
        {
            // What lies beyond a point is known only up to that point, so the front goes in steps, never straight through.
            bool acrossFirst = Best is Better.LowerLeft or Better.UpperLeft;
            path.To(plot.X(acrossFirst ? front[k].X : front[k - 1].X), plot.Y(acrossFirst ? front[k - 1].Y : front[k].Y));
            path.To(plot.X(front[k].X), plot.Y(front[k].Y));
        }
        canvas.Path(path.ToString(), "none", "#aab4bf", 4);
        var on = front.Select(p => (p.X, p.Y)).ToHashSet();
        for (int i = 0; i < Series.Count; i++)
        {
            Series s = Series[i];
            PointCloud.Draw(canvas, plot, s, i, Series.Sum(t => t.Y.Count), k => !on.Contains((s.X[k], s.Y[k])));
        }
    }

    private void DrawCorner(Canvas canvas, Plot plot)
    {
        var (text, atRight, atTop) = Corner();
        canvas.Text(atRight ? plot.Area.Right - 6 : plot.Area.X + 6, atTop ? plot.Area.Y + 14 : plot.Area.Bottom - 8, text, atRight ? "end" : "start", fill: Theme.Muted);
    }

    private (string Text, bool AtRight, bool AtTop) Corner()
    {
        bool atRight = Best is Better.LowerRight or Better.UpperRight, atTop = Best is Better.UpperLeft or Better.UpperRight;
        string text = (atRight, atTop) switch
        {
            (false, false) => "↙ better",
            (true, false) => "better ↘",
            (false, true) => "↖ better",
            _ => "better ↗",
        };
        return (text, atRight, atTop);
    }

    internal override JsonObject Figure(bool full)
    {
        var data = new JsonArray();
        var front = Front();
        JsonObject steps = PlotlyJson.Scatter("front", front.Select(p => p.X), front.Select(p => p.Y), "lines", "#aab4bf");
        ((JsonObject)steps["line"]!)["shape"] = Best is Better.LowerLeft or Better.UpperLeft ? "hv" : "vh";
        (steps["showlegend"], steps["hoverinfo"]) = (false, "skip");
        data.Add(steps);
        var on = front.Select(p => (p.X, p.Y)).ToHashSet();
        for (int i = 0; i < Series.Count; i++)
        {
            JsonObject trace = PlotlyJson.Scatter(Series[i].Name, Series[i].X, Series[i].Y, "markers", Theme.Colour(i));
            var (s, symbol) = (Series[i], PlotlyJson.Symbol(i));
            trace["marker"] = new JsonObject
            {
                ["color"] = Theme.Colour(i),
                ["symbol"] = PlotlyJson.Texts(Enumerable.Range(0, s.Y.Count).Select(k => on.Contains((s.X[k], s.Y[k])) ? symbol : symbol + "-open")),
                ["size"] = 9,
            };
            data.Add(trace);
        }
        JsonObject layout = XyLayout();
        JsonArray notes = layout["annotations"] as JsonArray ?? [];
        var (text, atRight, atTop) = Corner();
        notes.Add(new JsonObject
        {
            ["text"] = text, ["xref"] = "x domain", ["yref"] = "y domain", ["x"] = atRight ? .99 : .01, ["y"] = atTop ? .99 : .01,
            ["xanchor"] = atRight ? "right" : "left", ["yanchor"] = atTop ? "top" : "bottom", ["showarrow"] = false, ["font"] = new JsonObject { ["color"] = Theme.Muted },
        });
        layout["annotations"] = notes;
        return PlotlyJson.Figure(data, layout);
    }

    private bool Dominates(double x, double y, double otherX, double otherY)
    {
        double dx = Best is Better.LowerLeft or Better.UpperLeft ? otherX - x : x - otherX;
        double dy = Best is Better.LowerLeft or Better.LowerRight ? otherY - y : y - otherY;
        return dx >= 0 && dy >= 0 && (dx > 0 || dy > 0);
    }
}
