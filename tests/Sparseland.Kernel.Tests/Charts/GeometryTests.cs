using Sparseland.Notebooks.Charts;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>Whether things stand where their numbers say.</summary>
public class GeometryTests
{
    private static readonly string First = Theme.Colour(0);

    [Fact]
    public void Points_stand_at_the_ticks_of_their_values()
    {
        SvgPicture picture = SvgPicture.Of(Chart.Scatter([("", new double[] { 0, 5, 10 }, new double[] { 0, 50, 100 })]));
        var marks = picture.RoundMarks();
        Assert.Equal(3, marks.Count);
        foreach (var (mark, x, y) in new[] { (marks[0], "0", ""), (marks[1], "5", ""), (marks[2], "10", "100") })
        {
            if (x != "0")
                Assert.Equal(picture.PlaceOf(x).X, mark.X, .11);
            if (y.Length > 0)
                Assert.Equal(picture.PlaceOf(y).Y - 4, mark.Y, .11);
        }
        // Equal steps of the data are equal steps on the page, x to the right and y upwards.
        Assert.Equal(marks[1].X - marks[0].X, marks[2].X - marks[1].X, .21);
        Assert.Equal(marks[1].Y - marks[0].Y, marks[2].Y - marks[1].Y, .21);
        Assert.True(marks[2].X > marks[0].X && marks[2].Y < marks[0].Y);
    }

    [Fact]
    public void A_log_axis_spaces_factors_evenly()
    {
        SvgPicture picture = SvgPicture.Of(Chart.Scatter([("", new[] { 1, 10, 100, 1000.0 }, new[] { .01, .1, 1, 10 })], logX: true, logY: true));
        var marks = picture.RoundMarks();
        for (int i = 1; i < 4; i++)
        {
            Assert.Equal(marks[1].X - marks[0].X, marks[i].X - marks[i - 1].X, .21);
            Assert.Equal(marks[1].Y - marks[0].Y, marks[i].Y - marks[i - 1].Y, .21);
        }
        Assert.Equal(picture.PlaceOf("100").X, marks[2].X, .11);
        Assert.Equal(picture.PlaceOf("0.1").Y - 4, marks[1].Y, .11);
    }

    [Fact]
    public void A_curve_passes_through_its_values_and_its_highest_point_is_its_maximum()
    {
        double[] y = [.. Enumerable.Range(0, 101).Select(i => i == 37 ? 100 : i * .5)];
        SvgPicture picture = SvgPicture.Of(Chart.Curve(y));
        var line = Assert.Single(picture.Strokes(First));
        Assert.Equal(101, line.Count);
        var top = line.MinBy(p => p.Y);
        Assert.Equal(picture.PlaceOf("100", nearestTo: (0, 0)).Y - 4, top.Y, .11);
        double left = line[0].X, right = line[^1].X;
        Assert.Equal(left + ((right - left) * .37), top.X, .11);
        Assert.Equal(right, picture.PlaceOf("100", nearestTo: (right, 1e9)).X, 20.0);
    }

    [Fact]
    public void A_curve_of_few_points_marks_each_and_gaps_break_the_line()
    {
        SvgPicture picture = SvgPicture.Of(Chart.Curve([1, 2, double.NaN, 3, double.PositiveInfinity, 4, 5]));
        Assert.Equal(5, picture.RoundMarks().Count);
        Assert.Equal([2, 1, 2], picture.Strokes(First).Select(s => s.Count));
        Assert.Contains("2 values are not finite numbers: gaps.", picture.Description);
    }

    [Fact]
    public void A_band_reaches_from_its_lower_to_its_upper_edge()
    {
        SvgPicture picture = SvgPicture.Of(Chart.Curves([new Series("a", [0, 1, 2], [5, 5, 5]).Band([0, 0, 0], [10, 10, 10])]));
        var band = picture.PlotPaths().First(p => (string?)p.Attribute("fill") == First);
        double[] heights = [.. SvgPicture.CornersOf(band).Select(c => c.Y)];
        Assert.Equal(picture.PlaceOf("10").Y - 4, heights.Min(), .11);
        Assert.Equal(picture.PlaceOf("0", nearestTo: (0, heights.Max())).Y - 4, heights.Max(), .11);
    }

    [Fact]
    public void Bars_start_at_zero_and_are_as_long_as_their_values()
    {
        IReadOnlyList<Box> bars = SvgPicture.Of(Chart.Bars(["a", "b", "c"], [10, 5, -5])).Rectangles(First);
        Assert.Equal(3, bars.Count);
        Assert.Equal(bars[0].Height, 2 * bars[1].Height, .21);
        Assert.Equal(bars[1].Height, bars[2].Height, .11);
        Assert.Equal(bars[0].Bottom, bars[1].Bottom, .11);
        Assert.Equal(bars[0].Bottom, bars[2].Y, .11);
        string[] names = [.. Enumerable.Range(0, 12).Select(i => $"indivisibleandlongname{i}")];
        IReadOnlyList<Box> lying = SvgPicture.Of(Chart.Bars(names, [.. names.Select((_, i) => i == 0 ? -3.0 : i)])).Rectangles(First);
        Assert.Equal(12, lying.Count);
        Assert.Equal(lying[10].Width, 2 * lying[5].Width, .21);
        Assert.Equal(lying[0].Right, lying[5].X, .11);
        Assert.True(lying[1].Y < lying[2].Y);
    }

    [Fact]
    public void Bars_on_a_log_axis_are_points()
    {
        SvgPicture picture = SvgPicture.Of(Chart.Bars(["a", "b", "c"], [1, 10, 100], logY: true));
        Assert.Empty(picture.Rectangles(First));
        double[] y = [.. picture.RoundMarks(everywhere: true).Select(m => m.Y)];
        Assert.Equal(y[0] - y[1], y[1] - y[2], .21);
    }

    [Fact]
    public void A_histogram_counts_every_value_once_and_borders_belong_to_the_right()
    {
        HistogramChart chart = Chart.Histogram([0, 0, .5, 1, 1, 1, 2], bins: 2);
        Assert.Equal([0, 1, 2], chart.Edges);
        Assert.Equal([3.0, 4.0], chart.Heights[0]);
        IReadOnlyList<Box> bars = SvgPicture.Of(chart).Rectangles(First);
        Assert.Equal(.75, bars[0].Height / bars[1].Height, .01);
        HistogramChart shares = Chart.Histogram([("a", new double[] { 1, 2 }), ("b", new double[] { 1, 1, 1, 2 })], bins: 2, shares: true);
        Assert.Equal([.5, .5], shares.Heights[0]);
        Assert.Equal([.75, .25], shares.Heights[1]);
    }

    [Fact]
    public void Histogram_bins_agree_with_numpy()
    {
        // numpy 1.24: numpy.histogram([0.1 * i * i % 3 for i in range(50)], bins=7, range=(0, 2.2))[0]
        double[] values = [.. Enumerable.Range(0, 50).Select(i => .1 * i * i % 3)];
        HistogramChart chart = Chart.Histogram(values, bins: 7, range: (0, 2.2));
        int[] expected = [9, 9, 3, 3, 2, 7, 10];
        Assert.Equal(expected, chart.Heights[0].Select(h => (int)h));
        Assert.Contains("7 values lie outside the range shown.", chart.ToString());
    }

    [Fact]
    public void The_front_is_the_points_that_none_improves_in_both()
    {
        (string, IEnumerable<double>, IEnumerable<double>) points = ("p", new double[] { 1, 2, 3, 4, 2 }, new double[] { 4, 2, 3, 1, 5 });
        (double, double)[] Front(Better best) => [.. Chart.Pareto([points], best: best).Front().Select(p => (p.X, p.Y))];
        Assert.Equal([(1, 4), (2, 2), (4, 1)], Front(Better.LowerLeft));
        Assert.Equal([(4, 1)], Front(Better.LowerRight));
        Assert.Equal([(1, 4), (2, 5)], Front(Better.UpperLeft));
        Assert.Equal([(2, 5), (3, 3), (4, 1)], Front(Better.UpperRight));
    }

    [Fact]
    public void The_front_is_drawn_in_steps_inside_what_is_known()
    {
        SvgPicture picture = SvgPicture.Of(Chart.Pareto([("", new double[] { 0, 10 }, new double[] { 10, 0 })]));
        var marks = picture.RoundMarks();
        var steps = picture.PlotPaths().First(p => (string?)p.Attribute("stroke-width") == "4");
        var corners = SvgPicture.CornersOf(steps);
        Assert.Equal(3, corners.Count);
        // Less of both is better: between the two points only the upper right corner is known to be reached.
        Assert.Equal(marks.Max(m => m.X), corners[1].X, .11);
        Assert.Equal(marks.Min(m => m.Y), corners[1].Y, .11);
    }

    [Fact]
    public void The_name_of_the_better_corner_never_hides_a_point()
    {
        string svg = Chart.Pareto([("", new double[] { 0, 10 }, new double[] { 10, 0 })], best: Better.UpperLeft).ToSvg();
        Assert.True(svg.IndexOf("↖ better", StringComparison.Ordinal) < svg.IndexOf($"fill=\"{First}\"", StringComparison.Ordinal));
    }

    [Fact]
    public void A_marked_line_stands_at_its_value()
    {
        XyChart chart = Chart.Scatter([("", new double[] { 0, 10 }, new double[] { 0, 10 })]).WithLine("paper", y: 6).WithLine("limit", x: 4);
        SvgPicture picture = SvgPicture.Of(chart);
        var dashed = picture.Root.Descendants().Where(e => e.Name.LocalName == "line" && (string?)e.Attribute("stroke-dasharray") == "4 3").ToArray();
        Assert.Equal(2, dashed.Length);
        Assert.Equal(picture.PlaceOf("6", nearestTo: (0, (double)dashed[0].Attribute("y1")!)).Y - 4, (double)dashed[0].Attribute("y1")!, .11);
        Assert.Equal(picture.PlaceOf("4", nearestTo: ((double)dashed[1].Attribute("x1")!, 1e9)).X, (double)dashed[1].Attribute("x1")!, .11);
    }

    [Fact]
    public void Points_of_a_large_cloud_that_share_a_spot_are_drawn_once_and_none_is_lost()
    {
        double[] x = [.. Enumerable.Range(0, 600).Select(i => (double)(i % 300))];
        SvgPicture picture = SvgPicture.Of(Chart.Scatter([("", x, x)]));
        string dots = (string)picture.PlotPaths().Single().Attribute("d")!;
        Assert.Equal(300, dots.Count(c => c == 'M'));
    }
}
