using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders.Metrics;

public class FeatureAbsorptionTests
{
    [Fact]
    public void By_hand()
    {
        using var scope = NewDisposeScope();

        // Main latent 0 is the probe e_0; latent 1 carries 0.8 of it, latent 2 none.
        using SparseAutoencoder autoencoder = new(3, 3, new TopKRule(2), type: ScalarType.Float64);
        using (no_grad())
        {
            autoencoder.Decoder.copy_(tensor(new[,] { { 1.0, 0, 0 }, { 0.8, 0.6, 0 }, { 0, 0, 1.0 } }));
            autoencoder.Encoder.copy_(tensor(new[,] { { 1.0, -1, 0 }, { 0, 1.0, 0 }, { 0, 0, 1.0 } }));
        }

        // z = W_e x: token by token (2, 0, 0), (-1, 2, 0), (0.5, 1.5, 0), (-3, 4, 0), (0, 0, 5); the last two with P = 1 and -1.
        Tensor x = tensor(new[,] { { 2.0, 0, 0 }, { 1, 2, 0 }, { 2, 1.5, 0 }, { 10, 13, 0 }, { -1, 0, 5 } });

        // Token 0: main carries all. Token 1: main silent, 1.6 >= 0.4: full, fraction 1. Token 2: main 0.5, other 1.2, P 2: 1.2/1.7.
        // Token 3: main silent, 13 * 0.8 = 10.4: full. Token 4: P < 0, left out.
        FeatureAbsorption found = FeatureAbsorption.Of(autoencoder, x, tensor(new[] { 3.0, 0, 0 }), [0]);
        Assert.Equal((4, 1), (found.Tokens, found.LeftOut));
        Assert.Equal(0.5, found.Full);
        Assert.Equal(0.5, found.Detected);
        Assert.Equal((0 + 1 + (1.2 / 1.7) + 1) / 4, found.Fraction, 1e-12);
        Assert.Equal(0.25, found.FullError, 1e-12);
        Assert.Equal([1], found.Absorbing);
        Assert.Equal([2], found.AbsorbingTokens);
        Assert.Contains("Fraction = ", found.ToString(), StringComparison.Ordinal);

        // The carried share is too small for a demand of everything and a half, and nobody is left when both carry the concept themselves.
        FeatureAbsorption strict = FeatureAbsorption.Of(autoencoder, x, tensor(new[] { 1.0, 0, 0 }), [0], new() { LeastShare = 1.7 });
        Assert.Equal((0, 0), (strict.Full, strict.Fraction));
        FeatureAbsorption both = FeatureAbsorption.Of(autoencoder, x, tensor(new[] { 1.0, 0, 0 }), [0, 1]);
        Assert.Equal((0, 0, 1), (both.Full, both.Fraction, both.Detected));
        FeatureAbsorption aslant = FeatureAbsorption.Of(autoencoder, x, tensor(new[] { 1.0, 0, 0 }), [0], new() { FullCosine = 0.81, FractionCosine = 0.81 });
        Assert.Equal((0, 0), (aslant.Full, aslant.Fraction));
    }

    [Fact]
    public void Figures_equal_a_dense_computation()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(width: 6, latents: 30, k: 8, type: ScalarType.Float64);
        Tensor x = MetricsBed.Gaussian(5_000, 6), probe = MetricsBed.Gaussian(6, 1, seed: 3).squeeze(1);
        int[] main = [2, 9];
        FeatureAbsorption found = FeatureAbsorption.Of(autoencoder, x, probe, main);
        using IDisposable off = no_grad();
        Tensor p = probe / probe.norm(), cosine = autoencoder.Decoder.mv(p);
        using SparseCode code = autoencoder.Encode(x);
        Tensor codes = code.ToDense(), carried = codes * cosine, projection = x.mv(p), isMain = zeros(30).to(ScalarType.Bool);
        foreach (int i in main) isMain[i] = true;
        Tensor keep = projection.gt(0), mainSum = carried.masked_fill(isMain.logical_not(), 0).sum(1), silent = codes.masked_fill(isMain.logical_not(), 0).sum(1).eq(0);
        (Tensor largest, Tensor latent) = carried.masked_fill(codes.eq(0).logical_or(isMain), double.NegativeInfinity).max(1);
        Tensor full = silent.logical_and(largest.ge(0.4 * projection)).logical_and(cosine[latent].ge(0.025)).logical_and(keep);
        Tensor three = carried.masked_fill(isMain.logical_or(cosine.lt(0.1)), 0).topk(3, 1).values.sum(1), least = minimum(three, projection - mainSum);
        Tensor fraction = where(mainSum.le(0), ones_like(mainSum), least / (least + mainSum));
        fraction = where(three.lt(0.4 * projection).logical_or(mainSum.ge(projection)), zeros_like(fraction), fraction)[keep];
        double kept = keep.sum().item<long>();
        Assert.Equal(kept, found.Tokens);
        Assert.Equal(full.sum().item<long>() / kept, found.Full, 1e-12);
        Assert.InRange(found.Full, 0.05, 0.95);
        Assert.Equal(fraction.mean().item<double>(), found.Fraction, 1e-12);
        Assert.Equal(fraction.std().item<double>() / Math.Sqrt(kept), found.FractionError, 1e-12);
        Assert.Equal(1 - (silent.logical_and(keep).sum().item<long>() / kept), found.Detected, 1e-12);
        Assert.Equal(full.sum().item<long>(), found.AbsorbingTokens.Sum());
        Assert.Equal(latent[full].eq(found.Absorbing[0]).sum().item<long>(), found.AbsorbingTokens[0]);
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(type: ScalarType.Float64);
        Tensor x = MetricsBed.Gaussian(6, 16), probe = x[0];
        Assert.Throws<ArgumentException>("x", () => FeatureAbsorption.Of(autoencoder, zeros(6, 15), probe, [0]));
        Assert.Throws<ArgumentException>("x", () => FeatureAbsorption.Of(autoencoder, zeros(0, 16), probe, [0]));
        Assert.Throws<ArgumentException>("probe", () => FeatureAbsorption.Of(autoencoder, x, zeros(16), [0]));
        Assert.Throws<ArgumentException>("probe", () => FeatureAbsorption.Of(autoencoder, x, zeros(15), [0]));
        Assert.Contains("wrong sign", Assert.Throws<ArgumentException>("probe", () => FeatureAbsorption.Of(autoencoder, x.narrow(0, 0, 1), -probe, [0])).Message, StringComparison.Ordinal);
        foreach (int[] main in (int[][])[[], [40], [-1], [3, 3]]) Assert.Throws<ArgumentException>("mainLatents", () => FeatureAbsorption.Of(autoencoder, x, probe, main));
        foreach (FeatureAbsorptionOptions bad in (FeatureAbsorptionOptions[])[new() { LeastShare = 0 }, new() { FullCosine = 2 }, new() { FractionCosine = double.NaN }, new() { MostAbsorbing = 0 }])
            Assert.Throws<ArgumentException>("options", () => FeatureAbsorption.Of(autoencoder, x, probe, [0], bad));
        Assert.Throws<OperationCanceledException>(() => FeatureAbsorption.Of(autoencoder, x, probe, [0], cancel: new CancellationToken(true)));
    }
}
