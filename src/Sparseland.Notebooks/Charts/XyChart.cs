using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

/// <summary>A line across a plot that marks a value, such as the paper's figure.</summary>
/// <param name="Value">Where.</param>
/// <param name="Label">What it is.</param>
/// <param name="Vertical">At an x value; otherwise at a y value.</param>
public sealed record ReferenceLine(double Value, string Label, bool Vertical);

/// <summary>A chart with an x and a y axis of numbers.</summary>
public abstract record XyChart : Chart
{
    private protected XyChart()
    {
    }

    /// <summary>Title of the x axis with its unit in brackets: "time [ms]", "iteration".</summary>
    public string XTitle { get; init; } = "";

    /// <summary>Title of the y axis with its unit in brackets.</summary>
    public string YTitle { get; init; } = "";

    /// <summary>Whether the x axis is logarithmic; then all x must be positive.</summary>
    public bool LogX { get; init; }

    /// <summary>Whether the y axis is logarithmic; then all y must be positive or NaN.</summary>
    public bool LogY { get; init; }

    /// <summary>The part of the x axis to show; null for all data.</summary>
    public (double From, double To)? XRange { get; init; }

    /// <summary>The part of the y axis to show; null for all data.</summary>
    public (double From, double To)? YRange { get; init; }

    /// <summary>
    /// Whether a step of one unit is as long on the x axis as on the y axis (of one decade, where both are logarithmic), so
    /// that a circle is round. DEFAULT: false.
    /// </summary>
    public bool EqualAspect { get; init; }

    /// <summary>Marked values.</summary>
    public IReadOnlyList<ReferenceLine> Lines { get; init; } = [];

    /// <summary>The same chart with a marked value.</summary>
    /// <param name="label">What it is, for instance "paper: 0.35".</param>
    /// <param name="x">A vertical line at this x; or</param>
    /// <param name="y">a horizontal line at this y.</param>
    /// <exception cref="ArgumentException">Neither or both places given, or the place is not finite.</exception>
    public XyChart WithLine(string label, double? x = null, double? y = null)
    {
        ArgumentNullException.ThrowIfNull(label);
        if (x is null == y is null)
            throw new ArgumentException("A marked value is either an x or a y: give exactly one of them.", nameof(x));
        double value = x ?? y!.Value;
        if (!double.IsFinite(value))
            throw new ArgumentException($"A marked value must be finite, not {value}.", x is null ? nameof(y) : nameof(x));
        XyChart result = this with { Lines = [.. Lines, new ReferenceLine(value, label, x is not null)] };
        result.Check();
        return result;
    }

    internal abstract IEnumerable<(string Name, IReadOnlyList<double> Values)> XData();

    internal abstract IEnumerable<(string Name, IReadOnlyList<double> Values)> YData();

    internal virtual IReadOnlyList<LegendEntry> Legend(double width) => [];

    internal virtual double RightMargin(double width) => 0;

    internal virtual bool XIsTight => true;

    internal virtual bool VerticalGrid => LogX;

    internal abstract void DrawData(Canvas canvas, Plot plot);

    /// <summary>Drawn beside the plot, outside its clipped area.</summary>
    internal virtual void DrawLabels(Canvas canvas, Plot plot, Box right)
    {
    }

    internal virtual bool HasLegend => Legend(double.MaxValue).Count > 0;

    internal override double ContentHeight(double width) =>
        PlotHeight(width) + Drawing.Legend.Height(Legend(width), width) + (YTitle.Length > 0 ? 24 : 0) + (XTitle.Length > 0 ? 18 : 0);

    internal override void Check()
    {
        base.Check();
        CheckRange(XRange, LogX, nameof(XRange));
        CheckRange(YRange, LogY, nameof(YRange));
        if (LogX)
            RequirePositive(XData(), "x");
        if (LogY)
            RequirePositive(YData(), "y");
        if (EqualAspect && LogX != LogY)
            throw new ArgumentException("Steps of equal length need two axes of one kind: both linear or both logarithmic.", nameof(EqualAspect));
        foreach (ReferenceLine line in Lines)
        {
            if (line.Value <= 0 && (line.Vertical ? LogX : LogY))
                throw new ArgumentException($"The line \"{line.Label}\" at {line.Value} cannot be shown on a log axis, which has positive values only.", nameof(Lines));
        }
    }

    internal override void DrawContent(Canvas canvas, Box box)
    {
        IReadOnlyList<LegendEntry> legend = Legend(box.Width);
        double top = box.Y + Drawing.Legend.Draw(canvas, box, legend);
        if (YTitle.Length > 0)
        {
            canvas.Text(box.X, top + Theme.TextSize, TextMetrics.Fit(YTitle, box.Width), fill: Theme.Muted);
            top += 24;
        }
        else
        {
            top += 6;
        }
        double bottom = box.Bottom - 22 - (XTitle.Length > 0 ? 18 : 0);
        Axis x = XAxis(), y = YAxis();
        IReadOnlyList<Tick> yTicks = y.TicksFor(Math.Max(2, (int)((bottom - top) / 42)));
        double left = yTicks.Count == 0 ? 0 : yTicks.Max(t => TextMetrics.Width(t.Label)) + 8;
        double right = RightMargin(box.Width);
        var area = new Box(box.X + left, top, Math.Max(20, box.Width - left - Math.Max(right, 10)), Math.Max(20, bottom - top));
        if (EqualAspect)
            area = Equalised(area, x, y);
        var plot = new Plot(area, x, y);

        foreach (Tick tick in yTicks)
        {
            double at = plot.Y(tick.Value);
            canvas.Line(area.X, at, area.Right, at, Theme.GridLine);
            canvas.Text(area.X - 6, at + 4, tick.Label, "end", fill: Theme.Muted);
        }
        IReadOnlyList<Tick> xTicks = x.TicksAcross(area.Width);
        foreach (Tick tick in xTicks)
        {
            double at = plot.X(tick.Value);
            if (VerticalGrid)
                canvas.Line(at, area.Y, at, area.Bottom, Theme.GridLine);
            canvas.Line(at, area.Bottom, at, area.Bottom + 4, Theme.AxisLine);
            // The outermost labels stay inside the panel.
            double half = TextMetrics.Width(tick.Label) / 2;
            canvas.Text(Math.Clamp(at, box.X + half, Math.Max(box.X + half, box.Right - half)), area.Bottom + 17, tick.Label, "middle", fill: Theme.Muted);
        }
        canvas.Line(area.X, area.Bottom, area.Right, area.Bottom, Theme.AxisLine);
        canvas.Text(area.CentreX, box.Bottom - 3, TextMetrics.Fit(XTitle, box.Width), "middle", fill: Theme.Muted);

        canvas.BeginClip(area.Inset(-5, -5, -5, -1));
        DrawData(canvas, plot);
        canvas.EndClip();
        DrawLines(canvas, plot);
        DrawLabels(canvas, plot, new Box(area.Right, area.Y, right, area.Height));
    }

    internal virtual Axis XAxis() =>
        Axis.Of(XData().SelectMany(d => d.Values).Concat(Lines.Where(l => l.Vertical).Select(l => l.Value)), LogX, XIsTight ? 0 : .04, XRange);

    internal virtual Axis YAxis() =>
        Axis.Of(YData().SelectMany(d => d.Values).Concat(Lines.Where(l => !l.Vertical).Select(l => l.Value)), LogY, .04, YRange);

    private protected JsonObject XyLayout()
    {
        JsonObject layout = PlotlyJson.Layout(this, PlotlyJson.AxisOf(XTitle, XAxis(), XRange), PlotlyJson.AxisOf(YTitle, YAxis(), YRange), HasLegend);
        if (EqualAspect)
            (layout["xaxis"]!["constrain"], layout["yaxis"]!["constrain"], layout["yaxis"]!["scaleanchor"]) = ("domain", "domain", "x");
        var shapes = new JsonArray();
        JsonArray notes = layout["annotations"] as JsonArray ?? [];
        foreach (ReferenceLine line in Lines)
        {
            string across = line.Vertical ? "y" : "x", along = line.Vertical ? "x" : "y";
            shapes.Add(new JsonObject
            {
                ["type"] = "line",
                [across + "ref"] = across + " domain",
                [across + "0"] = 0,
                [across + "1"] = 1,
                [along + "0"] = line.Value,
                [along + "1"] = line.Value,
                ["line"] = new JsonObject { ["color"] = Theme.Muted, ["dash"] = "dash", ["width"] = 1 },
            });
            bool log = line.Vertical ? LogX : LogY;
            notes.Add(new JsonObject
            {
                [across + "ref"] = across + " domain",
                [across] = 1,
                [along] = log ? Math.Log10(line.Value) : line.Value,
                ["text"] = PlotlyJson.Text(line.Label),
                ["showarrow"] = false,
                // Inside the plot, beside the line: above it stand the names of the series.
                ["yanchor"] = line.Vertical ? "top" : "bottom",
                ["xanchor"] = line.Vertical && XAxis().Position(line.Value) < .8 ? "left" : "right",
            });
        }
        if (Lines.Count > 0)
            (layout["shapes"], layout["annotations"]) = (shapes, notes);
        return layout;
    }

    private double PlotHeight(double width)
    {
        double usual = Math.Clamp(width * .5, 190, 330);
        return EqualAspect ? Math.Clamp((width - 50) / SpanRatio(XAxis(), YAxis()), 120, Math.Max(usual, 400)) : usual;
    }

    // How much longer the x axis is than the y axis, in steps of equal length.
    private static double SpanRatio(Axis x, Axis y) => x.IsLog
        ? (Math.Log10(x.Max) - Math.Log10(x.Min)) / (Math.Log10(y.Max) - Math.Log10(y.Min))
        : ((x.Max / 4) - (x.Min / 4)) / ((y.Max / 4) - (y.Min / 4));

    private static Box Equalised(Box area, Axis x, Axis y)
    {
        double ratio = SpanRatio(x, y), width = Math.Min(area.Width, area.Height * ratio), height = Math.Min(area.Height, area.Width / ratio);
        return new Box(area.X, area.Bottom - height, Math.Max(20, width), Math.Max(20, height));
    }

    private void DrawLines(Canvas canvas, Plot plot)
    {
        Box area = plot.Area;
        foreach (ReferenceLine line in Lines)
        {
            double at = line.Vertical ? plot.X(line.Value) : plot.Y(line.Value);
            if (line.Vertical ? at < area.X - 1 || at > area.Right + 1 : at < area.Y - 1 || at > area.Bottom + 1)
                continue;
            double width = TextMetrics.Width(line.Label);
            if (line.Vertical)
            {
                canvas.Line(at, area.Y, at, area.Bottom, Theme.Muted, 1, "4 3");
                bool left = at + 5 + width > area.Right;
                canvas.HaloText(left ? at - 5 : at + 5, area.Y + 11, line.Label, left ? "end" : "start", Theme.Muted);
            }
            else
            {
                canvas.Line(area.X, at, area.Right, at, Theme.Muted, 1, "4 3");
                canvas.HaloText(area.X + 6, at - area.Y < 16 ? at + 14 : at - 5, line.Label, "start", Theme.Muted);
            }
        }
    }

    private static void CheckRange((double From, double To)? range, bool log, string name)
    {
        if (range is not var (from, to))
            return;
        if (!double.IsFinite(from) || !double.IsFinite(to) || from >= to)
            throw new ArgumentException($"The range goes from {from} to {to}; it must go from a smaller to a larger finite number.", name);
        if (log && from <= 0)
            throw new ArgumentException($"The range starts at {from}; a log axis has positive values only.", name);
    }

    private static void RequirePositive(IEnumerable<(string Name, IReadOnlyList<double> Values)> data, string axis)
    {
        foreach (var (name, values) in data)
        {
            for (int i = 0; i < values.Count; i++)
            {
                if (values[i] <= 0)
                    throw new ArgumentException($"Series \"{name}\": {axis}[{i}] is {values[i].ToString(System.Globalization.CultureInfo.InvariantCulture)}, but the {axis} axis is logarithmic and has positive values only. Clip the values, make them NaN (a gap), or use a linear axis.", "log" + axis.ToUpperInvariant());
            }
        }
    }
}
