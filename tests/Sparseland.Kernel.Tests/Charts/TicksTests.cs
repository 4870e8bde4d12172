using FsCheck;
using FsCheck.Fluent;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>Ticks: round numbers inside the range, ascending, told apart by their labels.</summary>
public class TicksTests
{
    private static readonly Arbitrary<(double Min, double Max, int Target)> Ranges =
        (from power in Gen.Choose(-18, 18)
         from start in Gen.Choose(-5000, 5000)
         from span in Gen.Choose(1, 9999)
         from target in Gen.Choose(2, 12)
         let unit = Math.Pow(10, power)
         select (start * unit, (start + span) * unit, target)).ToArbitrary();

    [Fact]
    public void Linear_ticks_cover_the_range_in_equal_round_steps()
    {
        Prop.ForAll(Ranges, range =>
        {
            var (min, max, target) = range;
            double[] at = [.. Ticks.Linear(min, max, target).Select(t => t.Value)];
            double span = max - min, slack = 1e-9 * Math.Max(span, 1e-3 * Math.Max(Math.Abs(min), Math.Abs(max)));
            Assert.InRange(at.Length, Math.Max(1, target / 2), target + 1);
            Assert.All(at, v => Assert.InRange(v, min - slack, max + slack));
            if (at.Length < 2)
                return;
            double step = (at[^1] - at[0]) / (at.Length - 1), mantissa = step / Math.Pow(10, Math.Floor(Math.Log10(step) + 1e-9));
            Assert.Contains(new[] { 1, 2, 2.5, 5, 10 }, nice => Math.Abs(mantissa - nice) < 1e-6);
            // Nothing is left out at either end, all steps are one step, and every tick is a multiple of it.
            Assert.True(at[0] - step < min + slack && at[^1] + step > max - slack);
            for (int i = 0; i < at.Length; i++)
            {
                Assert.Equal(at[0] + (i * step), at[i], slack + (1e-12 * Math.Abs(at[i])));
                Assert.Equal(Math.Round(at[i] / step), at[i] / step, 1e-6);
            }
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Labels_of_linear_ticks_differ_and_say_their_values()
    {
        Prop.ForAll(Ranges, range =>
        {
            IReadOnlyList<Tick> ticks = Ticks.Linear(range.Min, range.Max, range.Target);
            Assert.Equal(ticks.Count, ticks.Select(t => t.Label).Distinct().Count());
            double step = ticks.Count > 1 ? ticks[1].Value - ticks[0].Value : Math.Abs(ticks[0].Value);
            Assert.All(ticks, t => Assert.Equal(t.Value, Value(t.Label), .02 * step));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Log_ticks_lie_inside_ascend_and_say_their_values()
    {
        Gen<(double, double, int)> ranges =
            from low in Gen.Choose(-3000, 2000)
            from decades in Gen.Choose(20, 3000)
            from target in Gen.Choose(2, 10)
            select (Math.Pow(10, low / 100.0), Math.Pow(10, (low + decades) / 100.0), target);
        Prop.ForAll(ranges.ToArbitrary(), range =>
        {
            var (min, max, target) = range;
            IReadOnlyList<Tick> ticks = Ticks.Log(min, max, target);
            Assert.True(ticks.Count >= 2, $"{ticks.Count} ticks");
            Assert.All(ticks, t => Assert.InRange(t.Value, min * (1 - 1e-8), max * (1 + 1e-8)));
            for (int i = 1; i < ticks.Count; i++)
                Assert.True(ticks[i].Value > ticks[i - 1].Value);
            Assert.Equal(ticks.Count, ticks.Select(t => t.Label).Distinct().Count());
            Assert.All(ticks, t => Assert.Equal(t.Value, Value(t.Label), .02 * t.Value));
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(-0.0, "0")]
    [InlineData(double.NaN, "NaN")]
    [InlineData(double.PositiveInfinity, "∞")]
    [InlineData(double.NegativeInfinity, "−∞")]
    [InlineData(.03125, "0.03125")]
    [InlineData(1 / 3.0, "0.3333")]
    [InlineData(-12345.678, "−12,346")]
    [InlineData(999999.9, "1,000,000")]
    [InlineData(9.999e6, "10⁷")]
    [InlineData(-2.5e-7, "−2.5×10⁻⁷")]
    [InlineData(1e21, "10²¹")]
    [InlineData(double.MaxValue, "1.8×10³⁰⁸")]
    [InlineData(double.Epsilon, "4.94×10⁻³²⁴")]
    public void Short_numbers_read_as_a_person_writes_them(double value, string expected) => Assert.Equal(expected, Ticks.Short(value));

    [Fact]
    public void Short_numbers_are_right_to_half_a_percent()
    {
        Gen<double> numbers = from mantissa in Gen.Choose(-99999, 99999) from power in Gen.Choose(-20, 20) select mantissa * Math.Pow(10, power);
        Prop.ForAll(numbers.ToArbitrary(), v => Math.Abs(Value(Ticks.Short(v)) - v) <= .005 * Math.Abs(v)).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Linear_ticks_have_the_round_values_themselves()
    {
        Assert.Equal([0, .1, .2, .3, .4, .5], Ticks.Linear(0, .5, 5).Select(t => t.Value));
        Assert.Equal(["0", "0.1", "0.2", "0.3", "0.4", "0.5"], Ticks.Linear(0, .5, 5).Select(t => t.Label));
        Assert.Equal([0, 2.5e-15, 5e-15, 7.5e-15, 1e-14], Ticks.Linear(0, 1e-14, 4).Select(t => t.Value));
        Assert.Equal(["0", "1×10⁶", "2×10⁶"], Ticks.Linear(0, 2e6, 2).Select(t => t.Label));
        Assert.Equal(["0", "2", "4"], Ticks.Linear(0, 5, 2, wholeNumbers: true).Select(t => t.Label).Take(3));
    }

    [Fact]
    public void As_many_ticks_as_fit_stand_side_by_side()
    {
        foreach (double width in new double[] { 60, 120, 300, 700 })
        {
            foreach (bool log in new[] { false, true })
            {
                Axis axis = Axis.Of([1, 123456], log, 0, null);
                IReadOnlyList<Tick> ticks = axis.TicksAcross(width);
                Assert.True(ticks.Count >= (width < 200 ? 1 : 2), $"{ticks.Count} ticks at width {width}");
                for (int i = 1; i < ticks.Count && width > 60; i++)
                {
                    double gap = (axis.Position(ticks[i].Value) - axis.Position(ticks[i - 1].Value)) * width;
                    Assert.True(gap > (TextMetrics.Width(ticks[i].Label) + TextMetrics.Width(ticks[i - 1].Label)) / 2, $"{ticks[i - 1].Label} and {ticks[i].Label} touch at width {width}");
                }
            }
        }
    }

    /// <summary>The number that a label says.</summary>
    private static double Value(string label)
    {
        string text = label.Replace('−', '-').Replace(",", "", StringComparison.Ordinal);
        int ten = text.IndexOf("10", StringComparison.Ordinal), power = text.IndexOfAny([.. "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"]);
        if (power < 0)
            return double.Parse(text, System.Globalization.CultureInfo.InvariantCulture);
        string exponent = string.Concat(text[power..].Select(c => c == '⁻' ? '-' : (char)('0' + "⁰¹²³⁴⁵⁶⁷⁸⁹".IndexOf(c))));
        string mantissa = text[..(power - 2)].TrimEnd('×');
        double factor = mantissa is "" ? 1 : mantissa is "-" ? -1 : double.Parse(mantissa, System.Globalization.CultureInfo.InvariantCulture);
        return factor * Math.Pow(10, int.Parse(exponent, System.Globalization.CultureInfo.InvariantCulture));
    }
}
