using System.Globalization;

namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>A labelled place on an axis.</summary>
internal readonly record struct Tick(double Value, string Label);

/// <summary>Round numbers for axes, and how they are written.</summary>
internal static class Ticks
{
    private const string Superscripts = "⁰¹²³⁴⁵⁶⁷⁸⁹";

    /// <summary>Multiples of 1, 2, 2.5 or 5 times a power of ten inside [min, max], about <paramref name="target"/> of them.</summary>
    public static IReadOnlyList<Tick> Linear(double min, double max, int target, bool wholeNumbers = false)
    {
        // Of quarters, since the span itself may be larger than any number; no step leaves the range in which powers of ten exist.
        double rough = Math.Clamp(((max / 4) - (min / 4)) / Math.Max(1, target), 1e-300, 1e307) * 4;
        int power = (int)Math.Floor(Math.Log10(rough));
        double factor = rough / Math.Pow(10, power);
        double unit = factor <= 1.0000001 ? 1 : factor <= 2 ? 2 : factor <= 2.5 ? 2.5 : factor <= 5 ? 5 : 10;
        if (wholeNumbers && power <= 0)
            (unit, power) = power < 0 ? (1, 0) : (unit == 2.5 ? 2 : unit, 0);
        double step = Scaled(unit, power);
        long first = (long)Math.Ceiling((min / step) - 1e-9), last = (long)Math.Floor((max / step) + 1e-9);
        double[] values = [.. Enumerable.Range(0, (int)(last - first + 1)).Select(k => Scaled((first + k) * unit, power))];
        double largest = Math.Max(Math.Abs(min), Math.Abs(max));
        return [.. values.Select(v => new Tick(v, Label(v, step, largest)))];
    }

    /// <summary>Powers of ten inside [min, max], thinned where there are too many, with 2 and 5 between where there are few.</summary>
    public static IReadOnlyList<Tick> Log(double min, double max, int target)
    {
        int low = (int)Math.Ceiling(Math.Log10(min) - 1e-9), high = (int)Math.Floor(Math.Log10(max) + 1e-9);
        int decades = high - low + 1;
        bool plain = min >= .99e-3 && max <= 1.01e5;
        if (decades >= 3)
        {
            int every = Math.Max(1, (int)Math.Ceiling(decades / (double)Math.Max(2, target)));
            int start = low + ((((-low) % every) + every) % every);
            if (start + every > high)
                start = low;
            return [.. Enumerable.Range(0, decades).Select(k => start + (k * every)).Where(e => e <= high).Select(e => new Tick(Math.Pow(10, e), plain ? Plain(e) : e == 0 ? "1" : Power(e)))];
        }
        double[] steps = [1, 2, 5];
        List<Tick> fine = [.. from e in Enumerable.Range(low - 1, decades + 2)
                              from s in steps
                              let v = s * Math.Pow(10, e)
                              where double.IsFinite(v) && v >= min * (1 - 1e-9) && v <= max * (1 + 1e-9)
                              select new Tick(v, plain ? Short(v) : Scientific(s, e))];
        if (fine.Count >= 3)
            return fine;
        // Fewer than two ticks would not say that the axis is logarithmic.
        IReadOnlyList<Tick> even;
        int wished = Math.Max(2, target);
        do
            even = Linear(min, max, wished++);
        while (even.Count < 2 && wished < 20);
        return even;
    }

    /// <summary>A number for a label or a sentence: four significant digits, thousands separated.</summary>
    public static string Short(double value)
    {
        if (double.IsNaN(value))
            return "NaN";
        if (double.IsInfinity(value))
            return value > 0 ? "∞" : "−∞";
        if (value == 0)
            return "0";
        double size = Math.Abs(value);
        if (size is >= 1e6 or < 1e-4)
        {
            string[] parts = value.ToString("0.##E0", CultureInfo.InvariantCulture).Split('E');
            return Scientific(double.Parse(parts[0], CultureInfo.InvariantCulture), int.Parse(parts[1], CultureInfo.InvariantCulture));
        }
        int digits = Math.Max(0, 3 - (int)Math.Floor(Math.Log10(size)));
        return Minus(value.ToString("#,##0." + new string('#', digits), CultureInfo.InvariantCulture));
    }

    // A quotient of whole numbers is rounded once: 3 / 10 is 0.3, but 3 * 0.1 is not.
    private static double Scaled(double value, int power) => power >= 0 ? value * Math.Pow(10, power) : value / Math.Pow(10, -power);

    internal static string Label(double value, double step, double largest)
    {
        if (value == 0)
            return "0";
        int stepPower = (int)Math.Floor(Math.Log10(step) + 1e-9);
        int extra = Math.Abs((step / Math.Pow(10, stepPower)) - 2.5) < 1e-6 ? 1 : 0;
        if (largest >= 1e6 || step < .9e-4)
        {
            int exponent = (int)Math.Floor(Math.Log10(largest) + 1e-9);
            int digits = Math.Clamp(exponent - stepPower + extra, 0, 12);
            string mantissa = Scaled(value, -exponent).ToString("F" + digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
            return exponent == 0 ? Minus(mantissa) : Minus(mantissa) + "×" + Power(exponent);
        }
        int decimals = Math.Max(0, -stepPower + extra);
        return Minus(value.ToString("N" + decimals.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture));
    }

    private static string Plain(int exponent) => exponent >= 0
        ? Math.Pow(10, exponent).ToString("N0", CultureInfo.InvariantCulture)
        : Math.Pow(10, exponent).ToString("F" + (-exponent).ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    private static string Power(int exponent)
    {
        string digits = string.Concat(Math.Abs(exponent).ToString(CultureInfo.InvariantCulture).Select(c => Superscripts[c - '0']));
        return "10" + (exponent < 0 ? "⁻" : "") + digits;
    }

    private static string Scientific(double mantissa, int exponent) => mantissa == 1
        ? Power(exponent)
        : Minus(mantissa.ToString("0.##", CultureInfo.InvariantCulture)) + "×" + Power(exponent);

    private static string Minus(string text) => text.Replace('-', '−');
}
