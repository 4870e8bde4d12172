namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>A range of data, linear or logarithmic, and the ticks on it.</summary>
internal sealed class Axis
{
    // Differences below this, near the smallest number there is, have no digits left to make ticks of.
    public const double Negligible = 1e-290;

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
            return new Axis(Finite(from), Finite(to), log);
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
            return new Axis(Math.Max(Math.Pow(10, low - room), double.Epsilon), Finite(Math.Pow(10, high + room)), true);
        }
        double size = Math.Max(Math.Abs(min), Math.Abs(max));
        if (max - min <= Math.Max(1e-12 * size, Negligible))
        {
            double half = size <= Negligible ? 1 : size / 2;
            return new Axis(Finite(min - half), Finite(max + half), false);
        }
        double margin = (padding * max) - (padding * min);
        // Space below zero would suggest negative values where there are none.
        return new Axis(min >= 0 && min < margin ? 0 : Finite(min - margin), max <= 0 && -max < margin ? 0 : Finite(max + margin), false);
    }

    /// <summary>Where a value lies: 0 at the lower end, 1 at the upper.</summary>
    /// <remarks>Quarters, since the span between the largest numbers of both signs, as a diverging run has them, is no number.</remarks>
    public double Position(double value) => IsLog
        ? (Math.Log10(Math.Max(value, double.Epsilon)) - Math.Log10(Min)) / (Math.Log10(Max) - Math.Log10(Min))
        : ((value / 4) - (Min / 4)) / ((Max / 4) - (Min / 4));

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

    private static double Finite(double value) => Math.Clamp(value, double.MinValue, double.MaxValue);
}
