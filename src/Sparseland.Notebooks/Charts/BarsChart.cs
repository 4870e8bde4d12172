using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

/// <summary>
/// Values of a few named things, grouped where there are several series, with error bars where a series has a band. Bars
/// start at zero; on a log axis, which has no zero, the values are points on thin stems instead.
/// </summary>
public sealed partial record BarsChart : Chart
{
    internal BarsChart(IReadOnlyList<string> categories, IReadOnlyList<Series> series) => (Categories, Series) = (categories, series);

    private const double StemWidth = 1.5;

    /// <summary>Names along the axis.</summary>
    public IReadOnlyList<string> Categories { get; }

    /// <summary>One value per category; a band is drawn as error bars.</summary>
    public IReadOnlyList<Series> Series { get; }

    /// <summary>What the categories are.</summary>
    public string XTitle { get; init; } = "";

    /// <summary>What the values are, with the unit.</summary>
    public string YTitle { get; init; } = "";

    /// <summary>Logarithmic values.</summary>
    public bool LogY { get; init; }

    internal override string Kind => "bars";

    internal override IEnumerable<string> Facts() => Series.Select(s =>
        SeriesFacts.Label(s.Name) + string.Join(", ", Categories.Select((c, i) => $"{c} {Ticks.Short(s.Y[i])}{Spread(s, i)}")));

    internal override IEnumerable<string> Remarks() => SeriesFacts.Gaps(Series);

    internal override void Check()
    {
        base.Check();
        foreach (Series s in Series)
        {
            if (s.Y.Count != Categories.Count)
                throw new ArgumentException($"Series \"{s.Name}\" has {s.Y.Count} values for {Categories.Count} categories.", nameof(Series));
            int bad = LogY ? s.Y.Concat(s.Lower ?? []).ToList().FindIndex(v => v <= 0) : -1;
            if (bad >= 0)
                throw new ArgumentException($"Series \"{s.Name}\" has a value or an edge at or below 0 (\"{Categories[bad % Categories.Count]}\"), but the axis is logarithmic and has positive values only.", nameof(LogY));
        }
    }

    internal override double ContentHeight(double width)
    {
        double legend = Legend.Height(Entries(), width);
        return IsHorizontal(width)
            ? legend + (Categories.Count * (Math.Max(1, Series.Count) * 15.0 + 10)) + 26 + (YTitle.Length > 0 ? 18 : 0) + (XTitle.Length > 0 ? 20 : 0)
            : legend + Math.Clamp(width * .42, 180, 290) + (LabelLines(width) * 15) + (YTitle.Length > 0 ? 20 : 6) + (XTitle.Length > 0 ? 18 : 0);
    }

    internal override void DrawContent(Canvas canvas, Box box)
    {
        box = box.Inset(0, Legend.Draw(canvas, box, Entries()), 0, 0);
        Axis axis = ValueAxis();
        if (IsHorizontal(box.Width))
            DrawHorizontal(canvas, box, axis);
        else
            DrawVertical(canvas, box, axis);
    }

    private static string Spread(Series s, int i) => s.Lower is null ? "" : $" ({Ticks.Short(s.Lower[i])} to {Ticks.Short(s.Upper![i])})";

    private IReadOnlyList<LegendEntry> Entries() =>
        Series.Count == 1 ? [] : [.. Series.Select((s, i) => new LegendEntry(s.Name, i, LogY ? Sample.Point : Sample.Box))];

    private Axis ValueAxis()
    {
        IEnumerable<double> values = Series.SelectMany(s => s.Y.Concat(s.Lower ?? []).Concat(s.Upper ?? [])).Where(double.IsFinite);
        if (LogY)
            return Axis.Of(values, log: true, .08, null);
        double low = Math.Min(0, values.Min()), high = Math.Max(0, values.Max());
        double room = low == high ? 1 : (.08 * high) - (.08 * low);
        return Axis.Of([], log: false, 0, (low < 0 ? low - room : 0, high > 0 || low == 0 ? high + room : 0));
    }

    private double Slot(double width) => (width - 60) / Categories.Count;

    // Upright bars while every word of every name fits under its bars; lying ones otherwise, where names have a line each.
    private bool IsHorizontal(double width) =>
        Categories.SelectMany(c => c.Split(' ')).Max(word => TextMetrics.Width(word)) > Slot(width) - 4 || LabelLines(width) > 3;

    private int LabelLines(double width) => Categories.Max(c => Math.Max(1, TextMetrics.Wrap(c, Math.Max(10, Slot(width) - 4)).Count));

    private void DrawVertical(Canvas canvas, Box box, Axis axis)
    {
        double top = box.Y + (YTitle.Length > 0 ? 20 : 6);
        canvas.Text(box.X, box.Y + Theme.TextSize, TextMetrics.Fit(YTitle, box.Width), fill: Theme.Muted);
        double bottom = box.Bottom - (LabelLines(box.Width) * 15) - 6 - (XTitle.Length > 0 ? 18 : 0);
        IReadOnlyList<Tick> ticks = axis.TicksFor(Math.Max(2, (int)((bottom - top) / 42)));
        double left = ticks.Max(t => TextMetrics.Width(t.Label)) + 8;
        var area = new Box(box.X + left, top, box.Width - left, bottom - top);
        double At(double value) => area.Bottom - (area.Height * axis.Position(value));
        foreach (Tick tick in ticks)
        {
            canvas.Line(area.X, At(tick.Value), area.Right, At(tick.Value), Theme.GridLine);
            canvas.Text(area.X - 6, At(tick.Value) + 4, tick.Label, "end", fill: Theme.Muted);
        }
        double slot = area.Width / Categories.Count;
        double bar = Math.Min(64, slot * .78 / Series.Count);
        double zero = LogY ? area.Bottom : At(0);
        for (int c = 0; c < Categories.Count; c++)
        {
            double centre = area.X + ((c + .5) * slot);
            canvas.Lines(centre, area.Bottom + 15, TextMetrics.Wrap(Categories[c], Math.Max(10, slot - 4)), fill: Theme.Ink, anchor: "middle");
            for (int i = 0; i < Series.Count; i++)
            {
                double value = Series[i].Y[c];
                if (!double.IsFinite(value))
                    continue;
                double x = centre + ((i - ((Series.Count - 1) / 2.0)) * bar), y = At(value);
                if (LogY)
                {
                    canvas.Line(x, area.Bottom, x, y, Theme.Colour(i), StemWidth);
                    canvas.Marker(i, x, y, 5, Theme.Colour(i));
                }
                else
                    canvas.Rect(new Box(x - (bar * .46), Math.Min(y, zero), bar * .92, Math.Max(1, Math.Abs(y - zero))), Theme.Colour(i));
                double labelY = y;
                if (Series[i].Lower is { } lower && double.IsFinite(lower[c]) && double.IsFinite(Series[i].Upper![c]))
                {
                    double low = At(lower[c]), high = At(Series[i].Upper![c]);
                    canvas.Path(new PathData().Move(x, low).To(x, high).Move(x - 4, low).To(x + 4, low).Move(x - 4, high).To(x + 4, high).ToString(), "none", Theme.Ink, 1.3);
                    labelY = value < 0 ? Math.Max(low, high) : Math.Min(low, high);
                }
                string text = Ticks.Short(value);
                if (TextMetrics.Width(text, 11) <= (Series.Count == 1 ? slot : bar))
                    canvas.HaloText(x, value < 0 && !LogY ? labelY + 13 : labelY - (LogY ? 9 : 5), text, "middle", Theme.Muted, 11);
            }
        }
        canvas.Line(area.X, zero, area.Right, zero, Theme.AxisLine);
        canvas.Text(area.CentreX, box.Bottom - 3, TextMetrics.Fit(XTitle, box.Width), "middle", fill: Theme.Muted);
    }

    private void DrawHorizontal(Canvas canvas, Box box, Axis axis)
    {
        double top = box.Y + (XTitle.Length > 0 ? 20 : 4);
        canvas.Text(box.X, box.Y + Theme.TextSize, TextMetrics.Fit(XTitle, box.Width), fill: Theme.Muted);
        double bottom = box.Bottom - 22 - (YTitle.Length > 0 ? 18 : 0);
        double names = Math.Min(.42 * box.Width, Categories.Max(c => TextMetrics.Width(c))) + 10;
        var area = new Box(box.X + names, top, box.Width - names - 46, bottom - top);
        double At(double value) => area.X + (area.Width * axis.Position(value));
        foreach (Tick tick in axis.TicksAcross(area.Width))
        {
            canvas.Line(At(tick.Value), area.Y, At(tick.Value), area.Bottom, Theme.GridLine);
            canvas.Text(At(tick.Value), area.Bottom + 16, tick.Label, "middle", fill: Theme.Muted);
        }
        double slot = area.Height / Categories.Count;
        double bar = Math.Min(18, slot * .8 / Series.Count);
        double zero = LogY ? area.X : At(0);
        for (int c = 0; c < Categories.Count; c++)
        {
            double centre = area.Y + ((c + .5) * slot);
            canvas.Text(area.X - 8, centre + 4, TextMetrics.Fit(Categories[c], names - 8), "end");
            for (int i = 0; i < Series.Count; i++)
            {
                double value = Series[i].Y[c];
                if (!double.IsFinite(value))
                    continue;
                double y = centre + ((i - ((Series.Count - 1) / 2.0)) * bar), x = At(value);
                if (LogY)
                {
                    canvas.Line(area.X, y, x, y, Theme.Colour(i), StemWidth);
                    canvas.Marker(i, x, y, 4.5, Theme.Colour(i));
                }
                else
                    canvas.Rect(new Box(Math.Min(x, zero), y - (bar * .45), Math.Max(1, Math.Abs(x - zero)), bar * .9), Theme.Colour(i));
                double labelX = Math.Max(x, zero);
                if (Series[i].Lower is { } lower && double.IsFinite(lower[c]) && double.IsFinite(Series[i].Upper![c]))
                {
                    double low = At(lower[c]), high = At(Series[i].Upper![c]);
                    canvas.Path(new PathData().Move(low, y).To(high, y).Move(low, y - 3).To(low, y + 3).Move(high, y - 3).To(high, y + 3).ToString(), "none", Theme.Ink, 1.3);
                    labelX = Math.Max(labelX, high);
                }
                if (bar >= 11)
                    canvas.HaloText(labelX + (LogY ? 9 : 5), y + 4, Ticks.Short(value), "start", Theme.Muted, 11);
            }
        }
        canvas.Line(zero, area.Y, zero, area.Bottom, Theme.AxisLine);
        canvas.Text(area.CentreX, box.Bottom - 3, TextMetrics.Fit(YTitle, box.Width), "middle", fill: Theme.Muted);
    }
}
