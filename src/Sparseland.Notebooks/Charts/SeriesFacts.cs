using System.Globalization;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

/// <summary>The main numbers of series in words, for readers who get no picture.</summary>
internal static class SeriesFacts
{
    public static string Curve(Series s, string xTitle)
    {
        int first = FirstFinite(s.Y), last = LastFinite(s.Y);
        int low = Extreme(s.Y, (a, b) => a < b), high = Extreme(s.Y, (a, b) => a > b);
        string at = xTitle.Length > 0 ? Bare(xTitle) + " " : "";
        return string.Create(CultureInfo.InvariantCulture, $"{Label(s.Name)}{s.Y.Count} {(s.Y.Count == 1 ? "point" : "points")}, from {Ticks.Short(s.Y[first])} to {Ticks.Short(s.Y[last])}, ")
            + $"lowest {Ticks.Short(s.Y[low])} at {at}{Ticks.Short(s.X[low])}, highest {Ticks.Short(s.Y[high])} at {at}{Ticks.Short(s.X[high])}";
    }

    public static string Cloud(Series s)
    {
        double[] y = [.. s.Y.Where(double.IsFinite)];
        return $"{Label(s.Name)}{s.Y.Count} {(s.Y.Count == 1 ? "point" : "points")}, x from {Ticks.Short(s.X.Min())} to {Ticks.Short(s.X.Max())}, y from {Ticks.Short(y.Min())} to {Ticks.Short(y.Max())}";
    }

    public static IEnumerable<string> Gaps(IReadOnlyList<Series> series)
    {
        int gaps = series.Sum(s => s.Gaps);
        if (gaps > 0)
            yield return gaps == 1 ? "(1 value is not a finite number: a gap.)" : $"({gaps} values are not finite numbers: gaps.)";
    }

    /// <summary>An axis title without its unit.</summary>
    public static string Bare(string title) => title.IndexOf('[') is > 0 and var at ? title[..at].TrimEnd() : title;

    public static string Label(string name) => name.Length > 0 ? name + ": " : "";

    private static int FirstFinite(IReadOnlyList<double> y) => Enumerable.Range(0, y.Count).First(k => double.IsFinite(y[k]));

    private static int LastFinite(IReadOnlyList<double> y) => Enumerable.Range(0, y.Count).Last(k => double.IsFinite(y[k]));

    private static int Extreme(IReadOnlyList<double> y, Func<double, double, bool> better)
    {
        int best = FirstFinite(y);
        for (int k = best + 1; k < y.Count; k++)
        {
            if (double.IsFinite(y[k]) && better(y[k], y[best]))
                best = k;
        }
        return best;
    }
}
