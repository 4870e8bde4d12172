using FsCheck;
using FsCheck.Fluent;
using Sparseland.Notebooks.Charts;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>Fewer points, the same picture.</summary>
public class DecimationTests
{
    [Fact]
    public void Every_column_keeps_its_ends_and_extremes()
    {
        Gen<(double[] Y, double Width)> lines =
            from count in Gen.Choose(1, 3000)
            from seed in Gen.Choose(0, 1_000_000)
            from width in Gen.Choose(10, 200)
            let random = new Random(seed)
            select (Enumerable.Range(0, count).Select(_ => random.NextDouble() * random.Next(1, 100)).ToArray(), (double)width);
        Prop.ForAll(lines.ToArbitrary(), line =>
        {
            var (y, width) = line;
            double Place(int k) => width * k / y.Length;
            int[] kept = [.. Decimation.Line(Place, k => y[k], 0, y.Length, 1)];
            Assert.Equal(kept.Order().Distinct(), kept);
            Assert.Equal((0, y.Length - 1), (kept[0], kept[^1]));
            var inside = kept.ToHashSet();
            foreach (var column in Enumerable.Range(0, y.Length).GroupBy(k => Math.Floor(Place(k))))
            {
                int[] here = [.. column.Where(inside.Contains)];
                Assert.Equal(column.Max(k => y[k]), here.Max(k => y[k]));
                Assert.Equal(column.Min(k => y[k]), here.Min(k => y[k]));
                Assert.Contains(column.First(), here);
                Assert.Contains(column.Last(), here);
            }
            Assert.True(kept.Length <= Math.Max(4 * (width + 1), 0) || kept.Length == y.Length);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void One_spike_in_a_hundred_thousand_values_is_drawn()
    {
        double[] y = new double[100_000];
        (y[70_001], y[20_003]) = (1, -1);
        SvgPicture picture = SvgPicture.Of(Chart.Curve(y));
        var line = Assert.Single(picture.Strokes(Theme.Colour(0)));
        Assert.True(line.Count < 5000);
        Assert.Equal(line[0].X + (.70001 * (line[^1].X - line[0].X)), line.MinBy(p => p.Y).X, 1.5);
        Assert.Equal(line[0].X + (.20003 * (line[^1].X - line[0].X)), line.MaxBy(p => p.Y).X, 1.5);
        Assert.True(picture.Text.Length < 60_000, $"{picture.Text.Length} characters");
    }
}
