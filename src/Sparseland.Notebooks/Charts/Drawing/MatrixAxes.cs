using System.Globalization;

namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>Row and column labels of pictures of matrices. Labels stand at the middle of their cells.</summary>
internal static class MatrixAxes
{
    public static double RowLabelWidth(int rows, IReadOnlyList<string>? names) =>
        (names?.Max(n => TextMetrics.Width(n)) ?? TextMetrics.Width((rows - 1).ToString("N0", CultureInfo.InvariantCulture))) + 10;

    public static void Rows(Canvas canvas, Box image, int rows, IReadOnlyList<string>? names, double labelWidth)
    {
        double height = image.Height / rows;
        foreach (var (index, label) in Labels(rows, names, (int)(image.Height / 15)))
        {
            double y = image.Y + ((index + .5) * height);
            canvas.Line(image.X - 3, y, image.X, y, Theme.AxisLine);
            canvas.Text(image.X - 6, y + 4, TextMetrics.Fit(label, labelWidth - 8), "end", fill: Theme.Muted);
        }
    }

    public static void Columns(Canvas canvas, Box image, int columns, IReadOnlyList<string>? names, Box bounds)
    {
        double width = image.Width / columns;
        double widest = names?.Max(n => TextMetrics.Width(n)) ?? TextMetrics.Width(columns.ToString("N0", CultureInfo.InvariantCulture));
        int fitting = Math.Max(1, (int)(image.Width / (widest + 8)));
        // Names that do not fit side by side are cut, since leaving some out would leave cells without a name.
        bool cut = names is not null && fitting < columns && width >= 24;
        foreach (var (index, label) in Labels(columns, names, cut ? columns : fitting))
        {
            double x = image.X + ((index + .5) * width);
            string shown = cut ? TextMetrics.Fit(label, width - 3) : label;
            double half = TextMetrics.Width(shown) / 2;
            canvas.Line(x, image.Bottom, x, image.Bottom + 3, Theme.AxisLine);
            canvas.Text(Math.Clamp(x, bounds.X + half, Math.Max(bounds.X + half, bounds.Right - half)), image.Bottom + 16, shown, "middle", fill: Theme.Muted);
        }
    }

    private static IEnumerable<(int Index, string Label)> Labels(int count, IReadOnlyList<string>? names, int fitting)
    {
        if (names is not null)
        {
            int every = ((count - 1) / Math.Max(1, fitting)) + 1;
            return Enumerable.Range(0, count).Where(i => i % every == 0).Select(i => (i, names[i]));
        }
        if (count == 1)
            return [(0, "0")];
        int target = Math.Clamp(fitting, 1, 10);
        return Ticks.Linear(0, count - 1, Math.Min(target, count), wholeNumbers: true).Select(t => ((int)t.Value, t.Label));
    }
}
