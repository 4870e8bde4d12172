using System.Text;

namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>Points of a series: shapes where there are few, dots in one path where there are many.</summary>
internal static class PointCloud
{
    private const int FewPoints = 250;

    public static void Draw(Canvas canvas, Plot plot, Series series, int index, int pointsInChart, Func<int, bool>? hollow = null)
    {
        if (pointsInChart <= FewPoints || hollow is not null)
        {
            foreach (int k in Visible(plot, series))
                canvas.Marker(index, plot.X(series.X[k]), plot.Y(series.Y[k]), pointsInChart <= 60 ? 4.5 : 3.5, Theme.Colour(index), hollow?.Invoke(k) ?? false);
            return;
        }
        // A zero-length stroke with round ends is a dot of eight bytes. Dots on the same spot are drawn once.
        double diameter = pointsInChart <= 2000 ? 4.5 : 3;
        double grid = pointsInChart <= 2000 ? .5 : 1;
        var spots = new HashSet<(long, long)>();
        var path = new StringBuilder();
        foreach (int k in Visible(plot, series))
        {
            double x = plot.X(series.X[k]), y = plot.Y(series.Y[k]);
            if (spots.Add(((long)Math.Round(x / grid), (long)Math.Round(y / grid))))
                path.Append($"M{Canvas.N(Math.Round(x / grid) * grid)} {Canvas.N(Math.Round(y / grid) * grid)}h0");
        }
        canvas.Dots(path.ToString(), Theme.Colour(index), diameter);
    }

    private static IEnumerable<int> Visible(Plot plot, Series series) => Enumerable.Range(0, series.Y.Count)
        .Where(k => double.IsFinite(series.Y[k]))
        .Where(k => plot.XAxis.Position(series.X[k]) is >= -.01 and <= 1.01 && plot.YAxis.Position(series.Y[k]) is >= -.01 and <= 1.01);
}
