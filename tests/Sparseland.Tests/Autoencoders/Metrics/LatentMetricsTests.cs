using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders.Metrics;

public class LatentMetricsTests
{
    [Fact]
    public void Densities_equal_a_dense_count()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(type: ScalarType.Float64);
        using (no_grad())
        {
            autoencoder.EncoderBias[4] = -100;
            autoencoder.EncoderBias[5] = 100;
        }

        Tensor x = MetricsBed.Gaussian(8_400, 16);
        LatentDensity found = LatentDensity.Of(autoencoder, new MetricsBed.Windowed(x, 7));
        using SparseCode code = autoencoder.Encode(x);
        Tensor active = code.ToDense().gt(0).to(ScalarType.Float64);
        Close(active.mean([0L]), found.Density, 1e-12);
        Close(active.view(1_200, 7, 40).mean([1L]).std(0) / Math.Sqrt(1_200), found.StandardError, 1e-12);
        Assert.Equal((8_400L, 1_200), (found.Tokens, found.Windows));
        Assert.Equal((0, 1), (found.Active[4], found.Density[5]));
        Assert.Equal(found.Density.Count(d => d == 0) / 40.0, found.DeadShare);
        Assert.Equal(found.Density.Count(d => d > 0.1) / 40.0, found.DenseShare);
        Assert.Equal(code.L0, found.L0, 1e-12);
        (double[] edges, int[] counts) = found.Histogram();
        Assert.Equal(40 - found.Dead, counts.Sum());
        Assert.Equal(-0.25, edges[^1]);
        for (int b = 0; b + 1 < counts.Length; b++) Assert.Equal(found.Density.Count(d => d >= Math.Pow(10, edges[b]) && d < Math.Pow(10, edges[b] + 0.25)), counts[b]);
        Assert.Contains("DeadShare = ", found.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Nearest_directions_equal_the_whole_matrix()
    {
        using var scope = NewDisposeScope();

        // More than two tiles, and some latents dead.
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(width: 8, latents: 2_300, k: 20, type: ScalarType.Float64);
        using (no_grad())
        {
            autoencoder.Encoder.add_(0.1 * MetricsBed.Gaussian(2_300, 8));
            autoencoder.Decoder.mul_(linspace(0.1, 2, 2_300, dtype: ScalarType.Float64).unsqueeze(1));
            autoencoder.EncoderBias.narrow(0, 100, 300).fill_(-100);
            autoencoder.Decoder[7].copy_(autoencoder.Decoder[2_100] * 3);
            autoencoder.EncoderBias[7] = 3;
            autoencoder.EncoderBias[2_100] = 3;
        }

        LatentDensity density = LatentDensity.Of(autoencoder, new TensorActivations(MetricsBed.Gaussian(3_000, 8)));
        DecoderSimilarity found = DecoderSimilarity.Of(autoencoder, density);
        Tensor unit = autoencoder.Decoder / autoencoder.Decoder.norm(1, keepdim: true);
        Tensor cosines = unit.mm(unit.t()).detach();
        bool[] alive = [.. density.Active.Select(n => n > 0)];
        Assert.Equal(alive.Count(a => a), found.Alive);
        Assert.InRange(found.Alive, 1_100, 2_000);
        cosines.diagonal().fill_(-2);
        cosines.masked_fill_(tensor(alive).logical_not().unsqueeze(0), -2);
        double[] best = cosines.amax([1L]).data<double>().ToArray();
        double weighted = 0;
        for (int i = 0; i < alive.Length; i++)
        {
            if (!alive[i])
            {
                Assert.Equal((-1, true), (found.Nearest[i], double.IsNaN(found.NearestCosine[i])));
                continue;
            }

            Assert.Equal(best[i], found.NearestCosine[i], 1e-12);
            Assert.Equal(best[i], cosines[i, found.Nearest[i]].item<double>(), 1e-12);
            weighted += density.Density[i] * best[i];
        }

        double mean = weighted / density.Density.Sum();
        Assert.Equal(mean, found.FiringWeighted, 1e-12);
        double squares = Enumerable.Range(0, alive.Length).Where(i => alive[i]).Sum(i => density.Density[i] * Math.Pow(best[i] - mean, 2));
        Assert.Equal(Math.Sqrt(squares / density.Density.Sum()), found.FiringWeightedDeviation, 1e-12);
        Assert.Equal((2_100, 7), (found.Nearest[7], found.Nearest[2_100]));
        Close(nn.functional.cosine_similarity(autoencoder.Encoder, autoencoder.Decoder, 1).detach(), found.EncoderDecoder, 1e-9);
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(), other = MetricsBed.Autoencoder(latents: 41);
        LatentDensity density = LatentDensity.Of(autoencoder, new TensorActivations(MetricsBed.Gaussian(30, 16)));
        Assert.Contains("41", Assert.Throws<ArgumentException>("density", () => DecoderSimilarity.Of(other, density)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("source", () => LatentDensity.Of(autoencoder, new TensorActivations(zeros(3, 4))));
        Assert.Throws<OperationCanceledException>(() => DecoderSimilarity.Of(autoencoder, density, cancel: new CancellationToken(true)));
        using (no_grad()) autoencoder.EncoderBias.fill_(-1_000);
        LatentDensity dead = LatentDensity.Of(autoencoder, new TensorActivations(MetricsBed.Gaussian(30, 16)));
        Assert.Equal(1, dead.DeadShare);
        Assert.Empty(dead.Histogram().Latents);
        Assert.True(double.IsNaN(DecoderSimilarity.Of(autoencoder, dead).FiringWeighted));
    }

    private static void Close(Tensor wanted, double[] found, double tolerance)
    {
        double[] values = wanted.data<double>().ToArray();
        Assert.Equal(values.Length, found.Length);
        for (int i = 0; i < values.Length; i++) Assert.Equal(values[i], found[i], tolerance);
    }
}
