using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Metrics;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders.Metrics;

public class SteeringTests
{
    [Fact]
    public void Effects_equal_a_dense_computation()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = MetricsBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        TokenText text = MetricsBed.Text();
        Steering found = Steering.Of(model, MetricsBed.Site, autoencoder, Density(autoencoder, model, text), text, new() { Latents = 6, Windows = 3, MinDensity = 0.02 });
        Assert.Equal((36L, 6, 6), (found.Tokens, found.Latents.Count, found.Random.Count));
        using IDisposable off = no_grad();
        (Tensor ids, _) = text.Windows([0, 12, 24], 12);
        using var recorder = new ActivationRecorder(MetricsBed.Site);
        Tensor logits = model.Logits(ids, recorder).to(ScalarType.Float64), clean = logits.log_softmax(-1);
        Assert.Equal(recorder[MetricsBed.Site].norm(2).mean().item<float>(), found.MeanNorm, 1e-5);
        Assert.Equal(found.MeanNorm / 4, found.Strength, 1e-12);
        foreach (SteeringEffect effect in found.Latents)
        {
            Tensor step = autoencoder.Decoder[effect.Latent!.Value] * found.Strength;
            Tensor steered = model.Logits(ids, ActivationHook.Replace(MetricsBed.Site, x => x + step)).to(ScalarType.Float64);
            Tensor kl = (clean.exp() * (clean - steered.log_softmax(-1))).sum(-1).mean([1L]), change = (steered - logits).mean([0, 1]);
            Assert.Equal(kl.mean().item<double>(), effect.Divergence.Value, 1e-6);
            Assert.Equal(kl.std().item<double>() / Math.Sqrt(3), effect.Divergence.StandardError, 1e-6);
            Assert.Equal(change.abs().max().item<double>(), Math.Abs(effect.LogitChange), 1e-5);
            Assert.Equal(change[effect.Token].item<double>(), effect.LogitChange, 1e-5);
        }

        Assert.All(found.Random, e => Assert.Null(e.Latent));
        Assert.Equal(found.Latents.Average(e => e.Divergence.Value), found.OfLatents.Mean, 1e-12);
        Assert.InRange(found.OfRandom.Median, found.OfRandom.LowerQuartile, found.OfRandom.UpperQuartile);
        Assert.Contains("OfRandom = ", found.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_moved_changes_nothing_and_a_seed_gives_the_same_draw()
    {
        using TinyLM model = MetricsBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        TokenText text = MetricsBed.Text();
        LatentDensity density = Density(autoencoder, model, text);
        SteeringOptions options = new() { Latents = 5, Windows = 2, MinDensity = 0.01 };
        Steering still = Steering.Of(model, MetricsBed.Site, autoencoder, density, text, options with { Strength = 0 });
        Assert.All(still.Latents.Concat(still.Random), e => Assert.Equal((0, 0), (e.Divergence.Value, e.LogitChange)));
        Steering a = Steering.Of(model, MetricsBed.Site, autoencoder, density, text, options), b = Steering.Of(model, MetricsBed.Site, autoencoder, density, text, options);
        Assert.Equal(a.Latents, b.Latents);
        Assert.Equal(a.Random, b.Random);
        Steering other = Steering.Of(model, MetricsBed.Site, autoencoder, density, text, options with { Seed = 2 });
        Assert.NotEqual(a.Random, other.Random);
        Assert.All(a.Latents, e => Assert.True(density.Density[e.Latent!.Value] > 0.01));
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using TinyLM model = MetricsBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(), other = MetricsBed.Autoencoder(latents: 41), wide = MetricsBed.Autoencoder(width: 17);
        TokenText text = MetricsBed.Text();
        LatentDensity density = Density(autoencoder, model, text);
        Assert.Contains("96 are to be drawn", Assert.Throws<ArgumentException>("options", () => Steering.Of(model, MetricsBed.Site, autoencoder, density, text)).Message, StringComparison.Ordinal);
        SteeringOptions few = new() { Latents = 3 };
        Assert.Throws<ArgumentException>("density", () => Steering.Of(model, MetricsBed.Site, other, density, text, few));
        Assert.Throws<ArgumentException>("autoencoder", () => Steering.Of(model, MetricsBed.Site, wide, density, text, few));
        Assert.Contains("block 9", Assert.Throws<ArgumentException>(() => Steering.Of(model, new(9, Activation.ResidualAfter), autoencoder, density, text, few)).Message, StringComparison.Ordinal);
        foreach (SteeringOptions bad in (SteeringOptions[])[few with { Latents = 0 }, few with { Strength = double.NaN }, few with { Length = 13 }, few with { Windows = 9 }, few with { MinDensity = double.NaN }])
            Assert.Throws<ArgumentException>("options", () => Steering.Of(model, MetricsBed.Site, autoencoder, density, text, bad));
        Assert.Throws<OperationCanceledException>(() => Steering.Of(model, MetricsBed.Site, autoencoder, density, text, few, cancel: new CancellationToken(true)));
        using IDisposable off = no_grad();
        autoencoder.Decoder.fill_(0);
        Assert.Contains("has no direction", Assert.Throws<ArgumentException>("autoencoder", () => Steering.Of(model, MetricsBed.Site, autoencoder, density, text, few)).Message, StringComparison.Ordinal);
        model.Embeddings[text.Ids[14]].fill_(float.NaN);
        Assert.Contains("(ResidualAfter of block 1", Assert.Throws<InvalidDataException>(() => Steering.Of(model, MetricsBed.Site, autoencoder, density, text, few)).Message, StringComparison.Ordinal);
    }

    private static LatentDensity Density(SparseAutoencoder autoencoder, TinyLM model, TokenText text) =>
        LatentDensity.Of(autoencoder, new ModelActivations(model, MetricsBed.Site, text));
}
