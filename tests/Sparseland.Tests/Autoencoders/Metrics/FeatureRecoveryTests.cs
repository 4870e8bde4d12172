using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders.Metrics;

public class FeatureRecoveryTests
{
    [Fact]
    public void Features_are_found_where_they_were_planted()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = new(16, 40, new TopKRule(3), type: ScalarType.Float64);
        Tensor features = MetricsBed.Gaussian(12, 16, 9);
        using (no_grad())
        {
            // Row 7 is feature 2, whatever its length; row 8 the opposite of feature 5; row 9 has a cosine of 0.8 with feature 3; row 10 points nowhere.
            Tensor across = features[4] - (features[4].dot(features[3]) / features[3].square().sum() * features[3]);
            autoencoder.Decoder[7].copy_(0.3 * features[2]);
            autoencoder.Decoder[8].copy_(-features[5]);
            autoencoder.Decoder[9].copy_((0.8 * features[3] / features[3].norm()) + (0.6 * across / across.norm()));
            autoencoder.Decoder[10].zero_();
        }

        FeatureRecovery found = FeatureRecovery.Of(autoencoder, features, 0.79);
        Tensor unit = autoencoder.Decoder.detach() / autoencoder.Decoder.detach().norm(1, keepdim: true).clamp_min(1e-30);
        Tensor cosines = (features / features.norm(1, keepdim: true)).mm(unit.t());
        for (int i = 0; i < 12; i++) Assert.Equal(cosines[i].max().item<double>(), found.Cosine[i], 1e-12);
        Assert.Equal((7, 9), (found.Latent[2], found.Latent[3]));
        Assert.NotEqual(8, found.Latent[5]);
        Assert.Equal(1, found.Cosine[2], 1e-12);
        Assert.Equal(0.8, found.Cosine[3], 1e-12);
        Assert.Equal(found.Cosine.Count(c => c > 0.79) / 12.0, found.Share, 1e-12);
        Assert.Equal(1, found.ShareOf(2, 2));
        Assert.Equal(0.5, FeatureRecovery.Of(autoencoder, features).ShareOf(2, 2));
        Assert.Equal([.. Enumerable.Range(0, 3).Select(g => found.ShareOf(4 * g, 4))], found.ByRank(3));
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        FeatureRecovery found = FeatureRecovery.Of(autoencoder, MetricsBed.Gaussian(12, 16));
        Assert.Throws<ArgumentOutOfRangeException>(() => found.ByRank(5));
        Assert.Throws<ArgumentOutOfRangeException>(() => found.ShareOf(10, 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => found.ShareOf(-1, 3));
        Assert.Throws<ArgumentException>(() => FeatureRecovery.Of(autoencoder, MetricsBed.Gaussian(12, 15)));
        Assert.Throws<ArgumentOutOfRangeException>(() => FeatureRecovery.Of(autoencoder, MetricsBed.Gaussian(12, 16), 1.1));
        Tensor zero = MetricsBed.Gaussian(12, 16);
        zero[4].zero_();
        Assert.Contains("Feature 4 is zero", Assert.Throws<ArgumentException>(() => FeatureRecovery.Of(autoencoder, zero)).Message, StringComparison.Ordinal);
    }
}
