using System.Globalization;

namespace Sparseland.Autoencoders.Metrics;

/// <summary>A figure with its standard error over windows of text. Tokens of a window depend on each other, so windows are the independent cases.</summary>
/// <param name="Value">The figure.</param>
/// <param name="StandardError">Its standard error; NaN for fewer than two windows.</param>
/// <param name="Windows">Over how many windows.</param>
public readonly record struct WindowEstimate(double Value, double StandardError, int Windows)
{
    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Value:G5} +- {StandardError:G2} ({Windows} windows)");

    /// <summary>Mean of one figure per window, windows of equal length.</summary>
    internal static WindowEstimate Mean(IReadOnlyList<double> figures)
    {
        double mean = figures.Average();
        return new(mean, Math.Sqrt(figures.Sum(f => (f - mean) * (f - mean)) / (figures.Count - 1) / figures.Count), figures.Count);
    }

    /// <summary>Ratio of two sums over windows; its error is that of the ratio made linear at its value.</summary>
    internal static WindowEstimate Ratio(IReadOnlyList<double> above, IReadOnlyList<double> below)
    {
        int n = above.Count;
        double whole = below.Sum(), ratio = above.Sum() / whole, squares = 0;
        for (int w = 0; w < n; w++) squares += Math.Pow(above[w] - (ratio * below[w]), 2);
        return new(ratio, n < 2 ? double.NaN : Math.Sqrt(squares * n / (n - 1)) / Math.Abs(whole), n);
    }
}
