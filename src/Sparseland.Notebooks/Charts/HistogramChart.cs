using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

/// <summary>How often values occur: one set as bars, several as outlines over the same bins.</summary>
public sealed record HistogramChart : XyChart
{
    private readonly double[][] counts;

    internal HistogramChart(IReadOnlyList<(string Name, Values Values)> sets, int? bins, (double From, double To)? range, bool shares)
    {
        Sets = [.. sets.Select(s => (s.Name, s.Values.Items))];
        IsShare = shares;
        double[][] finite = [.. sets.Select(s => s.Values.Array.Where(double.IsFinite).ToArray())];
        Edges = MakeEdges(finite, bins, range);
        counts = [.. finite.Select(values => Count(values, shares))];
        Outside = range is null ? 0 : finite.Sum(values => values.Count(v => v < Edges[0] || v > Edges[^1]));
    }

    /// <summary>The named sets of values.</summary>
    public IReadOnlyList<(string Name, IReadOnlyList<double> Values)> Sets { get; }

    /// <summary>Borders of the bins, one more than bins. A value on a border belongs to the bin on its right.</summary>
    public IReadOnlyList<double> Edges { get; }

    /// <summary>Whether heights are shares of each set rather than counts.</summary>
    public bool IsShare { get; }

    /// <summary>Heights per set and bin.</summary>
    public IReadOnlyList<IReadOnlyList<double>> Heights => counts;

    internal int Outside { get; }

    internal override string Kind => "histogram";

    internal override IEnumerable<string> Facts() => Sets.Select(s =>
    {
        double[] v = [.. s.Values.Where(double.IsFinite)];
        double mean = v.Average(), spread = Math.Sqrt(v.Average(x => (x - mean) * (x - mean)));
        return $"{SeriesFacts.Label(s.Name)}{v.Length} values, mean {Ticks.Short(mean)}, standard deviation {Ticks.Short(spread)}, from {Ticks.Short(v.Min())} to {Ticks.Short(v.Max())}";
    });

    internal override IEnumerable<string> Remarks()
    {
        int missing = Sets.Sum(s => s.Values.Count(v => !double.IsFinite(v)));
        if (missing > 0)
            yield return missing == 1 ? "(1 value is not a finite number: left out.)" : $"({missing} values are not finite numbers: left out.)";
        if (Outside > 0)
            yield return Outside == 1 ? "(1 value lies outside the range shown.)" : $"({Outside} values lie outside the range shown.)";
    }

    internal override IEnumerable<(string Name, IReadOnlyList<double> Values)> XData() => [("edges", Edges)];

    internal override IEnumerable<(string Name, IReadOnlyList<double> Values)> YData() => counts.Select((c, i) => (Sets[i].Name, (IReadOnlyList<double>)[.. c.Where(v => v > 0)]));

    internal override IReadOnlyList<LegendEntry> Legend(double width) =>
        Sets.Count == 1 && Sets[0].Name.Length == 0 ? [] : [.. Sets.Select((s, i) => new LegendEntry(s.Name, i, Sets.Count == 1 ? Sample.Box : Sample.Line))];

    internal override void Check()
    {
        base.Check();
        if (EqualAspect)
            throw new ArgumentException("The heights of a histogram have another unit than its values, so no steps of equal length.", nameof(EqualAspect));
        if (LogX)
            throw new ArgumentException("A histogram has bins of one width, which a log axis would distort: take the logarithm of the values instead.", nameof(LogX));
    }

    internal override Axis YAxis()
    {
        double top = counts.Max(c => c.Max()) is > 0 and var most ? most : 1;
        double smallest = counts.SelectMany(c => c).Where(v => v > 0).DefaultIfEmpty(1).Min();
        return Axis.Of([], LogY, 0, YRange ?? (LogY ? (smallest / 2, top * 1.5) : (0, top * 1.06)));
    }

    internal override void DrawData(Canvas canvas, Plot plot)
    {
        for (int i = 0; i < counts.Length; i++)
        {
            string colour = Theme.Colour(i);
            if (counts.Length == 1)
            {
                for (int b = 0; b < counts[0].Length; b++)
                {
                    double x = plot.X(Edges[b]), right = plot.X(Edges[b + 1]), y = Top(plot, counts[0][b]);
                    if (counts[0][b] > 0)
                        canvas.Rect(new Box(x, y, Math.Max(.5, right - x - (right - x > 4 ? 1 : 0)), plot.Area.Bottom - y), colour);
                }
                continue;
            }
            var outline = new PathData().Move(plot.X(Edges[0]), plot.Area.Bottom);
            for (int b = 0; b < counts[i].Length; b++)
                outline.To(plot.X(Edges[b]), Top(plot, counts[i][b])).To(plot.X(Edges[b + 1]), Top(plot, counts[i][b]));
            outline.To(plot.X(Edges[^1]), plot.Area.Bottom);
            canvas.Path(outline.ToString(), colour, colour, 2, Theme.Dash(i), .12);
        }
    }

    internal override JsonObject Figure(bool full)
    {
        var data = new JsonArray();
        for (int i = 0; i < counts.Length; i++)
        {
            data.Add(new JsonObject
            {
                ["type"] = "bar",
                ["name"] = PlotlyJson.Text(Sets[i].Name),
                ["x"] = PlotlyJson.Numbers(counts[i].Select((_, b) => (Edges[b] + Edges[b + 1]) / 2)),
                ["y"] = PlotlyJson.Numbers(counts[i]),
                ["width"] = PlotlyJson.Number(Edges[1] - Edges[0]),
                ["opacity"] = counts.Length == 1 ? 1 : .5,
                ["marker"] = new JsonObject { ["color"] = Theme.Colour(i) },
            });
        }
        JsonObject layout = XyLayout();
        layout["barmode"] = "overlay";
        return PlotlyJson.Figure(data, layout);
    }

    private static double Top(Plot plot, double height) => height > 0 ? Math.Min(plot.Area.Bottom, plot.Y(height)) : plot.Area.Bottom;

    private static double[] MakeEdges(double[][] sets, int? bins, (double From, double To)? range)
    {
        double low = range?.From ?? sets.Min(v => v.Min()), high = range?.To ?? sets.Max(v => v.Max());
        if (low == high)
            (low, high) = (low - .5, high + .5);
        int count = bins ?? FreedmanDiaconis(sets, low, high);
        // The span between the largest numbers of both signs is no number itself; quarters of it are.
        double quarter = (high / 4) - (low / 4);
        return [.. Enumerable.Range(0, count + 1).Select(i => i == count ? high : double.IsFinite(high - low) ? low + ((high - low) * i / count) : low + (quarter / count * i * 2) + (quarter / count * i * 2))];
    }

    /// <summary>Freedman and Diaconis (1981): bins of width 2 IQR / n^(1/3), here at least 10 and at most 60.</summary>
    private static int FreedmanDiaconis(double[][] sets, double low, double high)
    {
        double width = double.PositiveInfinity;
        foreach (double[] values in sets)
        {
            double[] sorted = [.. values.Order()];
            double spread = sorted[(int)(.75 * (sorted.Length - 1))] - sorted[(int)(.25 * (sorted.Length - 1))];
            if (spread > 0)
                width = Math.Min(width, 2 * spread / Math.Cbrt(sorted.Length));
        }
        return double.IsInfinity(width) ? 30 : (int)Math.Clamp(Math.Ceiling((high / width) - (low / width)), 10, 60);
    }

    private double[] Count(double[] values, bool shares)
    {
        double[] edges = [.. Edges];
        int bins = edges.Length - 1;
        var result = new double[bins];
        foreach (double value in values)
        {
            if (value < edges[0] || value > edges[^1])
                continue;
            int at = Array.BinarySearch(edges, value);
            result[Math.Clamp(at >= 0 ? at : ~at - 1, 0, bins - 1)]++;
        }
        if (shares)
        {
            for (int b = 0; b < bins; b++)
                result[b] /= values.Length;
        }
        return result;
    }
}
