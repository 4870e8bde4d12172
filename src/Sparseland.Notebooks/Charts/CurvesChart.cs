using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

/// <summary>Lines over a common x axis, with bands where a series has them.</summary>
public sealed record CurvesChart : XyChart
{
    private const double LabelHeight = 15;

    // Points of all series together; a point takes about ten bytes in the SVG.
    private const int PointBudget = 4000;

    internal CurvesChart(IReadOnlyList<Series> series) => Series = series;

    /// <summary>The lines.</summary>
    public IReadOnlyList<Series> Series { get; }

    internal override string Kind => "curves";

    internal override IEnumerable<string> Facts() => Series.Select(s => SeriesFacts.Curve(s, XTitle));

    internal override IEnumerable<string> Remarks() => SeriesFacts.Gaps(Series);

    internal override IEnumerable<(string Name, IReadOnlyList<double> Values)> XData() => Series.Select(s => (s.Name, s.X));

    internal override IEnumerable<(string Name, IReadOnlyList<double> Values)> YData() =>
        Series.SelectMany(s => new[] { (s.Name, s.Y), (s.Name + " (lower edge)", s.Lower ?? []), (s.Name + " (upper edge)", s.Upper ?? []) });

    internal override IReadOnlyList<LegendEntry> Legend(double width) =>
        HasEndLabels(width) || (Series.Count == 1 && Series[0].Name.Length == 0) ? [] : [.. Series.Select((s, i) => new LegendEntry(s.Name, i, Sample.Line))];

    internal override bool HasLegend => Series.Count > 1 || Series[0].Name.Length > 0;

    internal override double RightMargin(double width) => HasEndLabels(width) ? LabelWidth() + 14 : 0;

    internal override void DrawData(Canvas canvas, Plot plot)
    {
        for (int i = 0; i < Series.Count; i++)
            DrawBand(canvas, plot, Series[i], i);
        for (int i = 0; i < Series.Count; i++)
            DrawLine(canvas, plot, Series[i], i);
    }

    internal override void DrawLabels(Canvas canvas, Plot plot, Box right)
    {
        if (right.Width < 20)
            return;
        var ends = Series.Select(s => Enumerable.Range(0, s.Y.Count).Last(k => double.IsFinite(s.Y[k]))).ToArray();
        double[] wished = [.. Series.Select((s, i) => Math.Clamp(plot.Y(s.Y[ends[i]]), plot.Area.Y, plot.Area.Bottom))];
        double[] places = EndLabels.Spread(wished, LabelHeight, right.Y + 2, right.Bottom - 2);
        for (int i = 0; i < Series.Count; i++)
        {
            double endX = Math.Clamp(plot.X(Series[i].X[ends[i]]), plot.Area.X, plot.Area.Right);
            if (plot.Area.Right - endX > 8 || Math.Abs(places[i] - wished[i]) > 5)
                canvas.Path(new PathData().Move(endX + 4, wished[i]).To(Math.Max(plot.Area.Right, endX) + 2, wished[i]).To(right.X + 10, places[i]).ToString(), "none", Theme.Colour(i), .8, "1 2");
            canvas.Text(right.X + 12, places[i] + 4, Series[i].Name, fill: Theme.TextColour(i));
        }
    }

    internal override JsonObject Figure(bool full)
    {
        var data = new JsonArray();
        double columns = Columns();
        for (int i = 0; i < Series.Count; i++)
        {
            Series s = Series[i];
            IReadOnlyList<int> keep = full || s.Y.Count <= 400 ? [.. Enumerable.Range(0, s.Y.Count)] : Thinned(s, columns);
            string colour = Theme.Colour(i);
            if (s.Lower is not null)
            {
                var (r, g, b) = Theme.Parse(colour);
                JsonObject lower = PlotlyJson.Scatter(s.Name + " (lower)", keep.Select(k => s.X[k]), keep.Select(k => s.Lower[k]), "lines", colour);
                JsonObject upper = PlotlyJson.Scatter(s.Name + " (upper)", keep.Select(k => s.X[k]), keep.Select(k => s.Upper![k]), "lines", colour);
                (upper["fill"], upper["fillcolor"]) = ("tonexty", Invariant($"rgba({r:0},{g:0},{b:0},0.15)"));
                foreach (JsonObject edge in new[] { lower, upper })
                {
                    (edge["showlegend"], edge["hoverinfo"]) = (false, "skip");
                    edge["line"] = new JsonObject { ["width"] = 0, ["color"] = colour };
                    data.Add(edge);
                }
            }
            JsonObject line = PlotlyJson.Scatter(s.Name, keep.Select(k => s.X[k]), keep.Select(k => s.Y[k]), s.Y.Count <= 30 ? "lines+markers" : "lines", colour);
            ((JsonObject)line["line"]!)["dash"] = PlotlyJson.Dash(i);
            line["marker"] = new JsonObject { ["color"] = colour, ["symbol"] = PlotlyJson.Symbol(i), ["size"] = 8 };
            data.Add(line);
        }
        return PlotlyJson.Figure(data, XyLayout());
    }

    private bool HasEndLabels(double width) =>
        (Series.Count > 1 || Series[0].Name.Length > 0)
        && Series.Count <= 8
        && Series.Count * LabelHeight <= (Height ?? 190)
        && LabelWidth() <= .3 * width;

    private double LabelWidth() => Series.Max(s => TextMetrics.Width(s.Name));

    private double Columns() => Math.Max(40, PointBudget / (3.0 * Series.Sum(s => s.Lower is null ? 1 : 2)));

    private void DrawLine(Canvas canvas, Plot plot, Series s, int index)
    {
        string colour = Theme.Colour(index);
        double columnWidth = Math.Max(1, plot.Area.Width / Columns());
        bool ordered = Decimation.IsIncreasing(s.X);
        var path = new PathData();
        var alone = new List<int>();
        foreach (var (start, end) in Runs(k => double.IsFinite(s.Y[k]), s.Y.Count))
        {
            if (end - start == 1)
                alone.Add(start);
            IReadOnlyList<int> keep = ordered
                ? Decimation.Line(k => plot.X(s.X[k]), k => s.Y[k], start, end, columnWidth)
                : [.. Enumerable.Range(start, end - start)];
            path.Move(plot.X(s.X[keep[0]]), plot.Y(s.Y[keep[0]]));
            foreach (int k in keep.Skip(1))
                path.To(plot.X(s.X[k]), plot.Y(s.Y[k]));
        }
        canvas.Path(path.ToString(), "none", colour, 2, Theme.Dash(index));
        IEnumerable<int> marked = s.Y.Count <= 30 ? Enumerable.Range(0, s.Y.Count).Where(k => double.IsFinite(s.Y[k])) : alone.Take(200);
        foreach (int k in marked)
            canvas.Marker(index, plot.X(s.X[k]), plot.Y(s.Y[k]), 4, colour);
    }

    private void DrawBand(Canvas canvas, Plot plot, Series s, int index)
    {
        if (s.Lower is null || s.Upper is null)
            return;
        double columnWidth = Math.Max(1, plot.Area.Width / Columns());
        bool ordered = Decimation.IsIncreasing(s.X);
        foreach (var (start, end) in Runs(k => double.IsFinite(s.Lower[k]) && double.IsFinite(s.Upper[k]), s.Y.Count))
        {
            IReadOnlyList<int> all = [.. Enumerable.Range(start, end - start)];
            IReadOnlyList<int> top = ordered ? Decimation.Line(k => plot.X(s.X[k]), k => s.Upper[k], start, end, columnWidth) : all;
            IReadOnlyList<int> bottom = ordered ? Decimation.Line(k => plot.X(s.X[k]), k => s.Lower[k], start, end, columnWidth) : all;
            var path = new PathData().Move(plot.X(s.X[top[0]]), plot.Y(s.Upper[top[0]]));
            foreach (int k in top.Skip(1))
                path.To(plot.X(s.X[k]), plot.Y(s.Upper[k]));
            foreach (int k in bottom.Reverse())
                path.To(plot.X(s.X[k]), plot.Y(s.Lower[k]));
            canvas.Path(path.Close().ToString(), Theme.Colour(index), opacity: .16);
        }
    }

    private IReadOnlyList<int> Thinned(Series s, double columns)
    {
        if (!Decimation.IsIncreasing(s.X))
            return [.. Enumerable.Range(0, s.Y.Count)];
        Axis axis = XAxis();
        // One missing value stays after each run: without it Plotly would draw a line across the gap.
        return [.. Runs(k => double.IsFinite(s.Y[k]), s.Y.Count)
            .SelectMany(run => Decimation.Line(k => columns * axis.Position(s.X[k]), k => s.Y[k], run.Start, run.End, 4)
                .Concat(run.End < s.Y.Count ? [run.End] : []))];
    }

    private static IEnumerable<(int Start, int End)> Runs(Func<int, bool> present, int count)
    {
        int start = 0;
        while (start < count)
        {
            while (start < count && !present(start))
                start++;
            int end = start;
            while (end < count && present(end))
                end++;
            if (end > start)
                yield return (start, end);
            start = end;
        }
    }
}
