namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>A range of data, linear or logarithmic, and the ticks on it.</summary>
internal sealed class Axis
{
    private Axis(double min, double max, bool log) => (Min, Max, IsLog) = (min, max, log);

    public double Min { get; }

    public double Max { get; }

    public bool IsLog { get; }

    /// <summary>An axis that shows all values.</summary>
    /// <param name="values">Finite values, at least one; positive ones on a log axis.</param>
    /// <param name="log">Logarithmic.</param>
    /// <param name="padding">Share of the range left free at each end.</param>
    /// <param name="fixedRange">The range to show instead.</param>
    public static Axis Of(IEnumerable<double> values, bool log, double padding, (double From, double To)? fixedRange)
    {
        if (fixedRange is var (from, to))
            return new Axis(from, to, log);
        double min = double.PositiveInfinity, max = double.NegativeInfinity;
        foreach (double value in values)
        {
            if (double.IsFinite(value))
                (min, max) = (Math.Min(min, value), Math.Max(max, value));
        }
        if (log)
        {
            double low = Math.Log10(min), high = Math.Log10(max);
            double room = high - low < 1e-9 ? .3 : padding * (high - low);
            return new Axis(Math.Pow(10, low - room), Math.Pow(10, high + room), true);
        }
        double size = Math.Max(Math.Abs(min), Math.Abs(max));
        if (max - min <= 1e-12 * size || max == min)
        {
            double half = size == 0 ? 1 : size / 2;
            return new Axis(min - half, max + half, false);
        }
        double margin = padding * (max - min);
        // Space below zero would suggest negative values where there are none.
        return new Axis(min >= 0 && min < margin ? Math.Min(0, min) : min - margin, max <= 0 && -max < margin ? 0 : max + margin, false);
    }

    /// <summary>Where a value lies: 0 at the lower end, 1 at the upper.</summary>
    public double Position(double value) => IsLog
        ? (Math.Log10(Math.Max(value, double.Epsilon)) - Math.Log10(Min)) / (Math.Log10(Max) - Math.Log10(Min))
        : (value - Min) / (Max - Min);

    public IReadOnlyList<Tick> TicksFor(int target) => IsLog ? Ticks.Log(Min, Max, target) : Ticks.Linear(Min, Max, target);

    /// <summary>As many ticks as fit side by side.</summary>
    public IReadOnlyList<Tick> TicksAcross(double width)
    {
        for (int target = Math.Max(2, (int)(width / 55)); ; target--)
        {
            IReadOnlyList<Tick> ticks = TicksFor(target);
            double needed = ticks.Count == 0 ? 0 : ticks.Max(t => TextMetrics.Width(t.Label)) + 14;
            bool crowded = false;
            for (int i = 1; i < ticks.Count && !crowded; i++)
                crowded = (Position(ticks[i].Value) - Position(ticks[i - 1].Value)) * width < needed;
            if (!crowded || target <= 1)
                return crowded ? [ticks[0], ticks[^1]] : ticks;
        }
    }
}
