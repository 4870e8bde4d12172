using Sparseland.Bayes.Networks;
using Sparseland.Models;
using Sparseland.Models.Vision;
using Sparseland.Tests.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Bayes.Networks;

public sealed class BayesLayerTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Fact]
    public void Mean_and_variance_of_an_output_are_those_of_numpy_and_masked_weights_have_no_part()
    {
        // numpy: mu @ x and sigma**2 @ x**2 with the masked places 0.
        BayesLinear layer = Layer([[0.5, -1.0, 7], [0.2, 0.3, -0.4]], [[0.1, 0.2, 9], [0.3, 0.05, 0.15]]);
        layer.SetMask(tensor(new[] { true, true, false, true, true, true }).reshape(2, 3));
        (Tensor mean, Tensor variance) = layer.Moments(tensor(new[] { 1, -2, 0.5f }));
        Assert.Equal([2.5, -0.6], TrainingData.Numbers(mean).Select(v => Math.Round(v, 6)));
        Assert.Equal([0.17, 0.105625], TrainingData.Numbers(variance).Select(v => Math.Round(v, 6)));
        Assert.Equal(0, layer.Mu[0, 2].item<float>());
        Assert.Equal(0, layer.Rho[0, 2].item<float>());
        Assert.Equal(0, layer.Sigma()[0, 2].item<float>());
    }

    [Fact]
    public void Drawn_weights_have_the_mean_and_the_variance_of_the_local_reparameterisation()
    {
        const int Draws = 20_000;
        BayesLinear layer = Random(5, 4, 0.3);
        layer.SetMask(rand(new long[] { 4, 5 }, generator: new Generator(8)).gt(0.4));
        Tensor x = randn(new long[] { 5 }, generator: new Generator(9));
        (Tensor mean, Tensor variance) = layer.Moments(x);
        Tensor weights = layer.Mu.detach() + (layer.Sigma().detach() * randn(new long[] { Draws, 4, 5 }, generator: new Generator(10)));
        Tensor drawn = (weights * x).sum(2L) + layer.Bias!.detach();
        Tensor error = (drawn.mean([0]) - mean) / (variance / Draws).sqrt();
        Assert.True(error.abs().max().item<float>() < 4);
        // The standard error of a variance of normal draws is variance sqrt(2/n).
        Assert.True(((drawn.var(0) / variance) - 1).abs().max().item<float>() < 4 * Math.Sqrt(2.0 / Draws));

        layer.SeedNoise(4);
        Tensor outputs = layer.call(x.expand(Draws, 5)).detach();
        Assert.True(((outputs.mean([0]) - mean) / (variance / Draws).sqrt()).abs().max().item<float>() < 4);
        Assert.True(((outputs.var(0) / variance) - 1).abs().max().item<float>() < 4 * Math.Sqrt(2.0 / Draws));
    }

    [Fact]
    public void A_convolution_has_the_moments_of_the_same_convolution_of_squares()
    {
        Conv2d plain = nn.Conv2d(2, 4, 3, stride: 2, padding: 1, groups: 2);
        using BayesConv2d layer = new(plain, 0.2);
        Tensor images = randn(new long[] { 2, 2, 7, 7 }, generator: new Generator(1));
        (Tensor mean, Tensor variance) = layer.Moments(images);
        Assert.True(mean.Same(plain.call(images).detach()));
        Tensor expected = nn.functional.conv2d(images.square(), full_like(plain.weight.detach(), 0.04), null, [2L, 2], [1L, 1], [1L, 1], 2);
        Assert.True((variance - expected).abs().max().item<float>() < 1e-6);
        layer.Deterministic = true;
        Assert.True(layer.call(images).detach().Same(mean));
        Assert.Throws<ArgumentException>(() => new BayesConv2d(nn.Conv2d(1, 1, 3, padding: 1, padding_mode: PaddingModes.Reflect)));
    }

    [Fact]
    public void The_divergence_is_the_closed_form_over_active_weights_with_its_gradients()
    {
        // numpy: log(0.3/s) + (s*s + mu*mu)/(2*0.09) - 0.5 for (0.3, 0.5), (-1.2, 0.4), (0.02, 0.7).
        BayesLinear layer = Layer([[0.3, -1.2], [0.02, 99]], [[0.5, 0.4], [0.7, 0.1]]);
        layer.SetMask(tensor(new[] { true, true, true, false }).reshape(2, 2));
        Tensor kl = layer.Kl(0.3);
        Assert.Equal(0.8780632651228981 + 8.101206816437108 + 1.377146584057241, kl.item<double>(), 1e-5);
        kl.backward();
        Assert.Equal(-1.2 / 0.09, layer.Mu.grad![0, 1].item<float>(), 1e-4);
        // d/d sigma = sigma/prior^2 - 1/sigma, d sigma/d rho = 1 - e^-sigma.
        Assert.Equal(((0.5 / 0.09) - 2) * (1 - Math.Exp(-0.5)), layer.Rho.grad![0, 0].item<float>(), 1e-4);
        Assert.Equal(0, layer.Rho.grad![1, 1].item<float>());
        Assert.Equal(0, layer.Mu.grad![1, 1].item<float>());
    }

    [Theory]
    [InlineData(1e-25), InlineData(1e-18), InlineData(1e25)]
    public void The_divergence_to_a_tiny_or_huge_prior_is_its_number(double prior)
    {
        BayesLinear layer = Layer([[0.3, -1.2], [0.02, 99]], [[0.5, 0.4], [0.7, 0.1]]);
        layer.SetMask(tensor(new[] { true, true, true, false }).reshape(2, 2));
        double expected = new[] { (0.3, 0.5), (-1.2, 0.4), (0.02, 0.7) }
            .Sum(p => Math.Log(prior / p.Item2) + ((Math.Pow(p.Item2 / prior, 2) + Math.Pow(p.Item1 / prior, 2)) / 2) - 0.5);
        Assert.Equal(1, layer.Kl(prior).item<double>() / expected, 1e-5);
    }

    [Theory]
    [InlineData(1e-12), InlineData(6e-4), InlineData(0.0099), InlineData(0.0101), InlineData(0.6), InlineData(29), InlineData(31)]
    public void Softplus_of_rho_is_sigma(double sigma)
    {
        double rho = BayesLayer.RhoOf(sigma);
        // log(1 + e^rho) by its series where e^rho is small.
        double back = rho > -20 ? Math.Log(1 + Math.Exp(rho)) : Math.Exp(rho);
        Assert.Equal(1, back / sigma, 1e-8);
    }

    [Fact]
    public void The_same_seed_draws_the_same_and_layers_draw_apart()
    {
        Sequential network = BayesNetwork.Convert(SmallClassifiers.Mlp([6, 6, 6], 1), 0.5);
        Tensor X = randn(new long[] { 3, 6 }, generator: new Generator(2));
        Tensor Draw(long seed, long number)
        {
            BayesNetwork.SeedNoise(network, seed, number);
            return network.call(X).detach();
        }

        Assert.True(Draw(1, 5).Same(Draw(1, 5)));
        Assert.False(Draw(1, 5).Same(Draw(1, 6)));
        Assert.False(Draw(1, 5).Same(Draw(2, 5)));
        IReadOnlyList<(string Weight, BayesLayer Layer)> layers = BayesNetwork.LayersOf(network);
        Assert.Equal(["fc1.weight", "head.weight"], layers.Select(l => l.Weight));
        layers[1].Layer.SetMask(layers[0].Layer.Mask);
        BayesNetwork.SeedNoise(network, 1, 5);
        Tensor zero = zeros(1, 6);
        Assert.False((layers[0].Layer.call(zero) / Math.Sqrt(BayesLayer.VarianceFloor)).detach().Same((layers[1].Layer.call(zero) / Math.Sqrt(BayesLayer.VarianceFloor)).detach()));
        BayesNetwork.SetDeterministic(network, true);
        Assert.True(network.call(X).detach().Same(SmallClassifiers.Mlp([6, 6, 6], 1).call(X).detach()));
    }

    [Fact]
    public void Convolutions_and_heads_are_converted_and_parameters_keep_their_names()
    {
        Sequential network = BayesNetwork.Convert(SmallClassifiers.Cnn(8, [3], 4, 1), 0.1);
        Assert.Equal(["conv1.weight", "head.weight"], BayesNetwork.LayersOf(network).Select(l => l.Weight).Order());
        Assert.Contains("conv1.rho", network.named_parameters().Select(p => p.name));
        Assert.Equal([2, 4], network.call(randn(2, 1, 8, 8)).shape);
        Assert.Equal(0.1, BayesNetwork.Quantiles(network).Median, 1e-6);
        ResNet residual = BayesNetwork.Convert(new ResNet(new() { Widths = [4, 6], Blocks = 1 }), 0.1);
        Assert.Equal(7, BayesNetwork.LayersOf(residual).Count);
        Assert.Equal([2, 10], residual.call(rand(2, 3, 8, 8)).shape);
        Assert.Throws<ArgumentException>(() => BayesNetwork.Convert(nn.Sequential(nn.ReLU())));
        Assert.Throws<ArgumentException>(() => BayesNetwork.LayersOf(SmallClassifiers.Mlp([2, 2], 1)));
        Assert.Throws<ArgumentOutOfRangeException>(() => BayesNetwork.Convert(SmallClassifiers.Mlp([2, 2], 1), 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => BayesNetwork.Kl(network, -1));
        Assert.Throws<ArgumentException>(() => BayesNetwork.LayersOf(network)[0].Layer.SetMask(ones(2, dtype: ScalarType.Bool)));
    }

    private static BayesLinear Layer(double[][] mu, double[][] sigma)
    {
        using IDisposable off = no_grad();
        BayesLinear layer = Random(mu[0].Length, mu.Length, 0.1);
        layer.Bias!.zero_();
        for (int i = 0; i < mu.Length; i++)
        {
            for (int j = 0; j < mu[i].Length; j++)
            {
                layer.Mu[i, j] = (float)mu[i][j];
                layer.Rho[i, j] = (float)BayesLayer.RhoOf(sigma[i][j]);
            }
        }

        return layer;
    }

    private static BayesLinear Random(int inputs, int outputs, double sigma)
    {
        using IDisposable off = no_grad();
        Linear linear = nn.Linear(inputs, outputs);
        linear.weight!.copy_(randn(new long[] { outputs, inputs }, generator: new Generator(7)));
        return new BayesLinear(linear, sigma);
    }
}
