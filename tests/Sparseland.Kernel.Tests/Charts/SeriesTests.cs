using Sparseland.Notebooks;
using Sparseland.Notebooks.Charts;
using TorchSharp;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>What a notebook has at hand becomes a series, a matrix or HTML by itself.</summary>
public class SeriesTests
{
    [Fact]
    public void Runs_give_their_median_and_a_band_from_lowest_to_highest()
    {
        Series series = Series.Over("runs", new[,] { { 1, 9, double.NaN }, { 3, double.NaN, double.NaN }, { 2, 5, 4 }, { 8, 7, double.NaN } });
        Assert.Equal([2.5, 7, 4], series.Y);
        Assert.Equal([1, 5, 4], series.Lower!);
        Assert.Equal([8, 9, 4], series.Upper!);
        Assert.Equal([0, 1, 2], series.X);
        Assert.Equal([10, 20, 30], Series.Over("runs", new double[1, 3], x: [10, 20, 30]).X);
    }

    [Fact]
    public void Arrays_lists_and_tensors_are_the_same_numbers()
    {
        double[] expected = [1, 2, 3];
        Series[] all =
        [
            ("a", new double[] { 1, 2, 3 }), ("a", new[] { 1f, 2, 3 }), ("a", new[] { 1, 2, 3 }), ("a", new List<double> { 1, 2, 3 }),
            ("a", torch.tensor(new[] { 1f, 2, 3 })), ("a", torch.tensor(new long[] { 1, 2, 3 })), ("a", torch.tensor(new[] { 1f, 2, 3 }, dtype: torch.ScalarType.BFloat16)),
            ("a", torch.tensor(new[] { 1f, 2, 3 }, requires_grad: true)), ("a", torch.arange(1, 4).reshape(1, 3)),
        ];
        Assert.All(all, s => Assert.Equal(expected, s.Y));
        Assert.Equal([1, 4, 2, 5, 3, 6], Values.OfTensor(torch.tensor(new double[,] { { 1, 2, 3 }, { 4, 5, 6 } }).t()).Items);
    }

    [Fact]
    public void Matrices_come_from_arrays_rows_tensors_and_masks()
    {
        Grid2D[] all = [new double[,] { { 1, 0 }, { 0, 1 } }, new[,] { { 1f, 0 }, { 0, 1 } }, new[,] { { 1, 0 }, { 0, 1 } }, new[,] { { true, false }, { false, true } }, new double[][] { [1, 0], [0, 1] }, torch.eye(2), torch.eye(2).to_type(torch.ScalarType.Bool)];
        Assert.All(all, g => Assert.Equal((2, 2, 1.0, 0.0, 1.0), (g.Rows, g.Columns, g[0, 0], g[0, 1], g[1, 1])));
    }

    [Fact]
    public void Making_a_chart_of_a_tensor_leaves_no_tensor_behind()
    {
        using var scope = torch.NewDisposeScope();
        torch.Tensor matrix = torch.rand(4, 4);
        long before = scope.DisposablesCount;
        _ = Chart.HeatMap(matrix).ToSvg();
        _ = Chart.Images([("p", matrix)]).ToSvg();
        Assert.Equal(before, scope.DisposablesCount);
    }

    [Fact]
    public void Markup_escapes_text_and_reads_html_as_text()
    {
        Assert.Equal("<span>a &lt; b</span>", Markup.Text("a < b").Render().Data["text/html"].GetValue<string>());
        Assert.Equal("a < b", Markup.Text("a < b").ToString());
        Assert.Equal("Title and a < b", Markup.Html("<style>p{}</style><h1>Title</h1>\n and <b>a</b> &lt; b<script>x()</script>").Plain);
    }
}
