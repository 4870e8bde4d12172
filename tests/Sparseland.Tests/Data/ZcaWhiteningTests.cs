using Sparseland.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Data;

public class ZcaWhiteningTests
{
    [Fact]
    public void Covariance_becomes_the_identity_and_the_map_inverts()
    {
        using Tensor images = ImagePatches.DeadLeaves(64, seed: 1, count: 4);
        using Tensor patches = ImagePatches.Sample(images, 6, 3000, seed: 2, subtractMean: false);
        using ZcaWhitening zca = ZcaWhitening.Fit(patches, epsilon: 0);
        using Tensor white = zca.Apply(patches);
        using Tensor covariance = white.t().mm(white) / 3000 - eye(36, dtype: ScalarType.Float64);
        Assert.True(covariance.abs().max().item<double>() < 1e-9);
        using Tensor back = zca.Invert(white) - patches;
        Assert.True(back.abs().max().item<double>() < 1e-10);
        using Tensor asymmetry = zca.Matrix - zca.Matrix.t();
        Assert.True(asymmetry.abs().max().item<double>() < 1e-9);
    }

    [Fact]
    public void Map_is_the_inverse_square_root_by_hand()
    {
        // Two directions at 45 degrees with variances 16 and 1.
        double[] data = [4, 4, -4, -4, 1, -1, -1, 1];
        using Tensor X = tensor(data, [4, 2]);
        using ZcaWhitening zca = ZcaWhitening.Fit(X, epsilon: 0);
        Assert.Equal([1, 16], zca.Eigenvalues.data<double>().ToArray().Select(v => Math.Round(v, 10)));
        Assert.Equal(0.625, zca.Matrix[0, 0].item<double>(), 12);
        Assert.Equal(-0.375, zca.Matrix[0, 1].item<double>(), 12);
        Assert.Equal(2.5, zca.Inverse[0, 0].item<double>(), 12);
        Assert.Equal(1.5, zca.Inverse[0, 1].item<double>(), 12);
    }

    [Fact]
    public void Epsilon_is_added_to_every_variance()
    {
        using Tensor images = ImagePatches.DeadLeaves(64, seed: 1, count: 2);
        using Tensor patches = ImagePatches.Sample(images, 5, 500, seed: 2);
        using ZcaWhitening zca = ZcaWhitening.Fit(patches, epsilon: 0.01);
        using Tensor white = zca.Apply(patches);
        using Tensor variances = linalg.eigvalsh(white.t().mm(white) / 500);
        double[] expected = [.. zca.Eigenvalues.data<double>().ToArray().Select(v => v / (v + 0.01)).Order()];
        double[] actual = [.. variances.data<double>()];
        for (int i = 0; i < 25; i++)
            Assert.Equal(expected[i], actual[i], 9);
        using Tensor back = zca.Invert(white) - patches;
        Assert.True(back.abs().max().item<double>() < 1e-10);
    }

    [Fact]
    public void Float32_data_give_a_float32_map()
    {
        using Generator generator = new(1);
        using Tensor X = randn([200, 4], generator: generator);
        using ZcaWhitening zca = ZcaWhitening.Fit(X);
        using Tensor white = zca.Apply(X);
        Assert.Equal(ScalarType.Float32, white.dtype);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using Generator generator = new(1);
        using Tensor X = randn([20, 4], dtype: ScalarType.Float64, generator: generator);
        using Tensor centred = X - X.mean([1], keepdim: true);
        Assert.Contains("without variance", Assert.Throws<ArgumentException>(() => ZcaWhitening.Fit(centred, epsilon: 0)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => ZcaWhitening.Fit(X, epsilon: -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => ZcaWhitening.Fit(X, epsilon: double.NaN));
        using Tensor one = X.narrow(0, 0, 1);
        Assert.Throws<ArgumentException>(() => ZcaWhitening.Fit(one));
        using Tensor broken = X.clone();
        broken[0, 0] = double.PositiveInfinity;
        Assert.Throws<ArgumentException>(() => ZcaWhitening.Fit(broken));
        using ZcaWhitening zca = ZcaWhitening.Fit(X);
        using Tensor narrow = X.narrow(1, 0, 3);
        Assert.Throws<ArgumentException>(() => zca.Apply(narrow));
        using Tensor single = X.to(ScalarType.Float32);
        Assert.Throws<ArgumentException>(() => zca.Invert(single));
    }
}
