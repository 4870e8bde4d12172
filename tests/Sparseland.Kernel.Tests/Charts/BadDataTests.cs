using Sparseland.Notebooks.Charts;
using TorchSharp;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>Data that cannot be drawn are refused in words that help; odd data that can be drawn give a sound picture.</summary>
public class BadDataTests
{
    private static readonly double[] One = [1.0];

    private static readonly Dictionary<string, (Func<object> Make, string[] Says)> Refused = new()
    {
        ["no series"] = (() => Chart.Curves([]), ["at least one"]),
        ["empty series"] = (() => Chart.Curves([("empty", Array.Empty<double>())]), ["\"empty\"", "at least one"]),
        ["all gaps"] = (() => Chart.Curve([double.NaN, double.PositiveInfinity]), ["none of its 2 values is a finite number"]),
        ["lengths of x and y"] = (() => Chart.Scatter([("a", new double[] { 1, 2, 3 }, new double[] { 1, 2 })]), ["\"a\"", "3 x and 2 y"]),
        ["x not finite"] = (() => Chart.Scatter([("a", new[] { 1, double.NaN }, new double[] { 1, 2 })]), ["x[1] is NaN"]),
        ["half a band"] = (() => new Series("a", [1], [1], lower: [0]), ["both a lower and an upper"]),
        ["short band"] = (() => new Series("a", [1, 2]).Band([0], [2]), ["2 values", "band of 1 and 1"]),
        ["zero on log y"] = (() => Chart.Curves([("a", new double[] { 1, 0 })], logY: true), ["\"a\"", "y[1] is 0", "logarithmic", "Clip"]),
        ["negative on log x"] = (() => Chart.Scatter([("a", new double[] { -2, 1 }, new double[] { 1, 1 })], logX: true), ["x[0] is -2"]),
        ["band edge on log y"] = (() => Chart.Curves([new Series("a", [1, 1]).Band([0, 1], [2, 2])], logY: true), ["a (lower edge)", "y[0] is 0"]),
        ["zero made log afterwards"] = (() => (Chart.Curve([1, 0]) with { LogY = true }).ToSvg(), ["y[1] is 0"]),
        ["range upside down"] = (() => (Chart.Curve([1, 2]) with { XRange = (2, 1) }).ToSvg(), ["from 2 to 1", "smaller to a larger"]),
        ["range not finite"] = (() => (Chart.Curve([1, 2]) with { YRange = (0, double.PositiveInfinity) }).ToSvg(), ["smaller to a larger finite"]),
        ["log range from zero"] = (() => (Chart.Curves([("", One)], logY: true) with { YRange = (0, 1) }).ToSvg(), ["starts at 0", "positive"]),
        ["line at zero on log"] = (() => Chart.Curves([("", One)], logY: true).WithLine("nothing", y: 0), ["\"nothing\"", "positive"]),
        ["line without place"] = (() => Chart.Curve(One).WithLine("where"), ["exactly one"]),
        ["line with two places"] = (() => Chart.Curve(One).WithLine("where", 1, 1), ["exactly one"]),
        ["line at NaN"] = (() => Chart.Curve(One).WithLine("where", x: double.NaN), ["must be finite, not NaN"]),
        ["corner"] = (() => Chart.Pareto([("a", One, One)], best: (Better)9), ["Not a corner"]),
        ["no sets"] = (() => Chart.Histogram(Array.Empty<(string, Values)>()), ["at least one set"]),
        ["set without numbers"] = (() => Chart.Histogram([double.NaN]), ["no finite value"]),
        ["no bins"] = (() => Chart.Histogram(One, bins: 0), ["from 1 to 1000"]),
        ["histogram range"] = (() => Chart.Histogram(One, range: (1, 1)), ["smaller to a larger"]),
        ["histogram on log x"] = (() => (Chart.Histogram(One) with { LogX = true }).ToSvg(), ["take the logarithm"]),
        ["no categories"] = (() => Chart.Bars([], One), ["at least one category"]),
        ["category twice"] = (() => Chart.Bars(["a", "a"], [1, 2]), ["one name"]),
        ["bars too few"] = (() => Chart.Bars(["a", "b"], One), ["1 values for 2 categories"]),
        ["bar at zero on log"] = (() => Chart.Bars(["a", "b"], [1, 0], logY: true), ["\"b\"", "logarithmic"]),
        ["matrix empty"] = (() => Chart.HeatMap(new double[0, 3]), ["empty (0 x 3)"]),
        ["matrix all NaN"] = (() => Chart.HeatMap(new[,] { { double.NaN } }), ["nothing to draw"]),
        ["ragged rows"] = (() => Chart.HeatMap(new double[][] { [1, 2], [1] }), ["Row 1 has 1 columns, row 0 has 2"]),
        ["row names"] = (() => Chart.HeatMap(new double[2, 2], rowNames: ["a"]), ["1 row names for 2 rows"]),
        ["column names"] = (() => Chart.HeatMap(new double[2, 2], columnNames: ["a"]), ["1 column names for 2 columns"]),
        ["heat map range"] = (() => Chart.HeatMap(new double[2, 2], range: (1, 0)), ["from 1 to 0"]),
        ["tensor of one dimension"] = (() => Chart.HeatMap(torch.ones(3)), ["2 dimensions", "[3]"]),
        ["tensor of three dimensions"] = (() => Chart.Support(torch.ones(2, 3, 4)), ["[2, 3, 4]"]),
        ["complex tensor"] = (() => Chart.Curve(torch.ones(3, dtype: torch.ScalarType.ComplexFloat64)), ["complex", "abs()"]),
        ["patch size"] = (() => Chart.Atoms(new double[2, 10], patchSize: 3), ["10 features", "3 x 3 have 9"]),
        ["atom with NaN"] = (() => Chart.Atoms(new[,] { { 1, 1, 1, 1 }, { 1, double.NaN, 1, 1 } }, patchSize: 2), ["Atom 1", "NaN"]),
        ["sort by too few"] = (() => Chart.Atoms(new double[2, 4], patchSize: 2, sortBy: One), ["1 numbers to sort 2 atoms"]),
        ["no atoms shown"] = (() => Chart.Atoms(new double[2, 4], patchSize: 2, most: 0), ["most"]),
        ["no pictures"] = (() => Chart.Images([]), ["at least one"]),
        ["picture's shape"] = (() => Chart.Images([("p", torch.ones(4, 5, 6))]), ["\"p\"", "[4, 5, 6]", "[3, height, width]"]),
        ["picture without rows"] = (() => Chart.Images([("p", torch.ones(0, 5))]), ["[0, 5]"]),
        ["picture with NaN"] = (() => Chart.Images([("p", new[,] { { 1, double.NaN } })]), ["\"p\"", "NaN at position 1"]),
        ["picture range"] = (() => Chart.Images([("p", new double[2, 2])], range: (1, 1)), ["from 1 to 1"]),
        ["mask of other numbers"] = (() => Chart.Support(new[,] { { 0, 1 }, { .5, 1 } }), ["entry [1, 0] is 0.5"]),
        ["table without columns"] = (() => Chart.Table([], []), ["at least one column"]),
        ["table row"] = (() => Chart.Table(["a", "b"], [[1, 2], [1]]), ["Row 1 has 1 cells for 2 columns"]),
        ["table row missing"] = (() => Chart.Table(["a"], [[1], null!]), ["Row 1", "null"]),
        ["grid of nothing"] = (() => Chart.Row(), ["at least one"]),
        ["grid in grid"] = (() => Chart.Row(Chart.Row(Chart.Curve(One))), ["cannot hold another grid"]),
        ["grid without columns"] = (() => Chart.Grid(0, Chart.Curve(One)), ["columns"]),
        ["bad chart in a grid"] = (() => Chart.Row(Chart.Curve([0, 1]) with { LogY = true }), ["logarithmic"]),
    };

    private static readonly Dictionary<string, Func<Chart>> Odd = new()
    {
        ["one point"] = () => Chart.Curve([3]),
        ["one point on log axes"] = () => Chart.Scatter([("a", One, new[] { 1e-5 })], logX: true, logY: true),
        ["constant"] = () => Chart.Curve([7, 7, 7]),
        ["zero"] = () => Chart.Curve([0, 0]),
        ["nearly constant"] = () => Chart.Curve([1, 1 + 1e-13]),
        ["largest numbers"] = () => Chart.Curve([double.MinValue, 0, double.MaxValue]),
        ["largest number on a log axis"] = () => Chart.Curves([("a", new[] { double.MaxValue, double.MaxValue })], logY: true),
        ["all decades"] = () => Chart.Curves([("a", new[] { double.Epsilon, 1, double.MaxValue })], logY: true),
        ["smallest numbers"] = () => Chart.Curve([0, double.Epsilon, 3e-310]),
        ["diverging run"] = () => Chart.Curve([.. Enumerable.Range(0, 700).Select(i => Math.Pow(-3, i))]),
        ["points outside the range"] = () => Chart.Scatter([("a", new double[] { 0, 1 }, new double[] { 0, 1 })]) with { XRange = (5, 6), YRange = (5, 6) },
        ["range far inside"] = () => Chart.Curve([0, 1e9]) with { XRange = (.5, .5000001) },
        ["x falls"] = () => Chart.Curves([("a", new double[] { 3, 2, 1 }, new double[] { 1, 2, 3 })]),
        ["all values outside the histogram"] = () => Chart.Histogram([1, 2], range: (5, 6)),
        ["all values outside the histogram on a log axis"] = () => Chart.Histogram([1, 2], range: (5, 6), logY: true),
        ["histogram of one value"] = () => Chart.Histogram([4]),
        ["histogram of the largest numbers"] = () => Chart.Histogram([double.MinValue, double.MaxValue], bins: 4),
        ["histogram of neighbours"] = () => Chart.Histogram([1e16, 1e16 + 2]),
        ["bars of zero"] = () => Chart.Bars(["a", "b"], [0, 0]),
        ["bars with a gap"] = () => Chart.Bars(["a", "b"], [double.NaN, -2]),
        ["bars of the largest numbers"] = () => Chart.Bars(["a", "b"], [double.MinValue, double.MaxValue]),
        ["one cell"] = () => Chart.HeatMap(new double[1, 1]),
        ["wide matrix"] = () => Chart.HeatMap(new double[1, 5000]),
        ["tall matrix"] = () => Chart.HeatMap(new double[5000, 1], rowNames: [.. Enumerable.Range(0, 5000).Select(i => "row " + i)]),
        ["signs that cancel in every block"] = () => Chart.HeatMap(Board(200)),
        ["heat map of the largest numbers"] = () => Chart.HeatMap(new[,] { { double.MinValue, double.MaxValue } }),
        ["heat map with infinity"] = () => Chart.HeatMap(new[,] { { 1, double.PositiveInfinity } }),
        ["atoms of nothing"] = () => Chart.Atoms(new double[1, 1], patchSize: 1),
        ["flat picture"] = () => Chart.Images([("", new double[2, 2])]),
        ["more columns than pictures"] = () => Chart.Images([("a", new double[2, 2])], columns: 4),
        ["nothing kept"] = () => Chart.Support(new int[3, 4]),
        ["large support with nothing kept"] = () => Chart.Support(new int[300, 400]),
        ["table without rows"] = () => Chart.Table(["a"], []),
        ["table with null"] = () => Chart.Table(["a", "b"], [[null, double.NaN]]),
        ["forty columns"] = () => Chart.Table([.. Enumerable.Range(0, 40).Select(i => "column " + i)], []),
        ["long words"] = () => Chart.Curves([(new string('w', 300), One), ("b", One)], x: new string('x', 300), y: new string('y', 300), title: new string('t', 300), caption: new string('c', 500)),
        ["thirty series"] = () => Chart.Curves([.. Enumerable.Range(0, 30).Select(i => new Series($"series {i}", [i, i + 1]))]),
        ["narrow"] = () => Samples.Make("curves") with { Width = 160 },
        ["flat"] = () => Samples.Make("curves") with { Height = 40 },
    };

    public static TheoryData<string> RefusedNames => [.. Refused.Keys];

    public static TheoryData<string> OddNames => [.. Odd.Keys];

    [Theory]
    [MemberData(nameof(RefusedNames))]
    public void What_cannot_be_drawn_is_refused_with_the_reason(string name)
    {
        var (make, says) = Refused[name];
        string message = Assert.ThrowsAny<ArgumentException>(make).Message;
        foreach (string part in says)
            Assert.Contains(part, message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(OddNames))]
    public void What_is_odd_is_drawn_soundly(string name)
    {
        Chart chart = Odd[name]();
        SvgPicture.Of(chart).AssertSound();
        Assert.NotEmpty(System.Text.Json.JsonDocument.Parse(chart.ToPlotlyJson()).RootElement.GetProperty("data").EnumerateArray());
        Assert.True(chart.Render().Data.ContainsKey("text/plain"));
    }

    [Fact]
    public void Null_is_refused_by_name()
    {
        Assert.Equal("series", Assert.Throws<ArgumentNullException>(() => Chart.Curves(null!)).ParamName);
        Assert.Equal("matrix", Assert.Throws<ArgumentNullException>(() => Chart.HeatMap(null!)).ParamName);
        Assert.Equal("charts", Assert.Throws<ArgumentNullException>(() => Chart.Row(null!)).ParamName);
        Assert.Equal("values", Assert.Throws<ArgumentNullException>(() => Chart.Curve((double[])null!)).ParamName);
        Assert.Throws<ArgumentException>(() => Chart.Row(Chart.Curve(One), null!));
        Assert.Throws<ArgumentNullException>(() => Chart.Curve(One).WithLine(null!, x: 1));
    }

    [Fact]
    public void Gaps_and_left_out_values_are_told()
    {
        Assert.Contains("1 value is not a finite number: a gap.", Chart.Curve([1, double.NaN]).ToString());
        Assert.Contains("1 point is not a finite number: left out.", Chart.Scatter([("a", new double[] { 1, 2 }, new[] { 1, double.NaN })]).ToString());
        Assert.Contains("2 values are not finite numbers: left out.", Chart.Histogram([1, double.NaN, double.NegativeInfinity]).ToString());
        Assert.Contains("1 cell is not a finite number: grey.", Chart.HeatMap(new[,] { { 1, double.NaN } }).ToString());
    }

    [Fact]
    public void A_chart_keeps_the_numbers_it_was_made_of()
    {
        double[] y = [1, 2, 3];
        double[,] matrix = { { 1, 2 } };
        using var tensor = torch.tensor(y);
        Chart[] charts = [Chart.Curve(y), Chart.HeatMap(matrix), Chart.Curve(tensor)];
        string[] before = [.. charts.Select(c => c.ToSvg())];
        (y[0], matrix[0, 0]) = (9, 9);
        tensor.zero_();
        Assert.Equal(before, charts.Select(c => c.ToSvg()));
    }

    private static double[,] Board(int side)
    {
        var board = new double[side, side];
        for (int row = 0; row < side; row++)
        {
            for (int column = 0; column < side; column++)
                board[row, column] = (row + column) % 2 == 0 ? 1 : -1;
        }
        return board;
    }
}
