namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>How a series shows itself in the legend.</summary>
internal enum Sample
{
    Line,
    Point,
    Box,
}

internal readonly record struct LegendEntry(string Name, int Series, Sample Sample);

/// <summary>Names of series in rows above a plot.</summary>
internal static class Legend
{
    private const double RowHeight = 18;
    private const double SampleWidth = 24;

    public static double Height(IReadOnlyList<LegendEntry> entries, double width) => entries.Count == 0 ? 0 : (Place(entries, width)[^1].Row * RowHeight) + RowHeight + 4;

    /// <summary>Draws the legend at the top of a box; returns the height taken.</summary>
    public static double Draw(Canvas canvas, Box box, IReadOnlyList<LegendEntry> entries)
    {
        var places = Place(entries, box.Width);
        for (int i = 0; i < entries.Count; i++)
        {
            double x = box.X + places[i].X, y = box.Y + (places[i].Row * RowHeight) + 9;
            string colour = Theme.Colour(entries[i].Series);
            switch (entries[i].Sample)
            {
                case Sample.Line:
                    canvas.Line(x, y, x + 20, y, colour, 2, Theme.Dash(entries[i].Series));
                    break;
                case Sample.Point:
                    canvas.Marker(entries[i].Series, x + 12, y, 4.5, colour);
                    break;
                default:
                    canvas.Rect(new Box(x + 6, y - 5.5, 12, 11), colour);
                    break;
            }
            canvas.Text(x + SampleWidth, y + 4, TextMetrics.Fit(entries[i].Name, box.Width - SampleWidth));
        }
        return Height(entries, box.Width);
    }

    private static List<(double X, int Row)> Place(IReadOnlyList<LegendEntry> entries, double width)
    {
        var places = new List<(double, int)>();
        double x = 0;
        int row = 0;
        foreach (LegendEntry entry in entries)
        {
            double needed = SampleWidth + Math.Min(TextMetrics.Width(entry.Name), width - SampleWidth);
            if (x > 0 && x + needed > width)
                (x, row) = (0, row + 1);
            places.Add((x, row));
            x += needed + 16;
        }
        return places;
    }
}
