using Sparseland.Evaluation;
using static TorchSharp.torch;

namespace Sparseland.Tests.Evaluation;

public class FrechetDistanceTests
{
    private static TorchSharp.torch.Tensor Made(int rows, Func<int, int, double> value) => tensor((double[])[.. from i in Enumerable.Range(0, rows) from j in Enumerable.Range(0, 3) select value(i, j)], [rows, 3]);

    /// <summary>The value of numpy's means and covariances with scipy.linalg.sqrtm.</summary>
    [Fact]
    public void It_is_scipys()
    {
        using var scope = NewDisposeScope();
        Tensor a = Made(8, (i, j) => ((7 * i * i) + (3 * i * j) + (5 * j)) % 11 / 3.0), b = Made(9, (i, j) => ((5 * i * i) + (2 * i * j) + (3 * j * j) + 1) % 13 / 4.0);
        Assert.Equal(1.4954643325818093, FrechetDistance.Of(a, b), 1e-9);
        Assert.Equal(FrechetDistance.Of(b, a), FrechetDistance.Of(a, b), 1e-9);
    }

    [Fact]
    public void Of_shifted_and_scaled_data_it_is_the_shift_and_the_scale()
    {
        using var scope = NewDisposeScope();
        Tensor a = Made(8, (i, j) => ((7 * i * i) + (3 * i * j) + (5 * j)) % 11 / 3.0);
        Assert.Equal(0, FrechetDistance.Of(a, a.clone()), 1e-7);
        Assert.Equal(3 * 4, FrechetDistance.Of(a, a + 2), 1e-7);
        Tensor centred = a - a.mean([0]);
        Assert.Equal(centred.square().sum().item<double>() / 7, FrechetDistance.Of(centred, centred * 2), 1e-7);

        // Fewer samples than features: covariances without full rank.
        Assert.InRange(FrechetDistance.Of(a[..2], a[2..5]), 0.01, 100);
    }

    [Theory]
    [InlineData(1e-150)]
    [InlineData(1e100)]
    [InlineData(1e150)]
    public void Features_of_any_size_are_taken(double size)
    {
        using var scope = NewDisposeScope();
        Tensor a = Made(8, (i, j) => ((7 * i * i) + (3 * i * j) + (5 * j)) % 11 / 3.0), b = Made(9, (i, j) => ((5 * i * i) + (2 * i * j) + (3 * j * j) + 1) % 13 / 4.0);
        Assert.Equal(1.4954643325818093, FrechetDistance.Of(a * size, b * size) / size / size, 1e-9);
        Assert.Equal(double.PositiveInfinity, FrechetDistance.Of(a * 1e250, b * 1e250));
    }

    [Fact]
    public void Bad_features_are_refused()
    {
        using var scope = NewDisposeScope();
        Assert.Throws<ArgumentException>(() => FrechetDistance.Of(zeros(1, 3), zeros(4, 3)));
        Assert.Throws<ArgumentException>(() => FrechetDistance.Of(zeros(4, 2), zeros(4, 3)));
        Assert.Throws<ArgumentException>(() => FrechetDistance.Of(zeros(4), zeros(4, 3)));
        Assert.Throws<ArgumentException>(() => FrechetDistance.Of(zeros(4, 3).div(0), zeros(4, 3)));
    }
}
