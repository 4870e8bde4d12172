using Sparseland.Data;
using Sparseland.Evaluation;
using Sparseland.Unmixing;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Data;

public class HyperspectralSceneTests
{
    [Fact]
    public void A_scene_is_what_its_options_say()
    {
        using var scope = NewDisposeScope();
        foreach (HyperspectralScene scene in new[] { HyperspectralScene.Landscape(null, 3), HyperspectralScene.TwoRegions(new() { Snr = 30 }, 3) })
        {
            using (scene)
            {
                Tensor clean = scene.Endmembers.mm(scene.Abundances), noise = scene.Pixels - clean;
                Assert.InRange((scene.Abundances.sum([0L]) - 1).abs().max().item<double>(), 0, 1e-14);
                Assert.True(scene.Abundances.min().item<double>() >= 0 && scene.Endmembers.min().item<double>() >= 0.02 && scene.Pixels.min().item<double>() >= 0);
                Tensor good = tensor(scene.GoodChannels.Select(l => (long)l).ToArray());
                double snr = 10 * Math.Log10(clean.square().mean().item<double>() / noise.index_select(0, good).square().mean().item<double>());
                Assert.InRange(snr, 29.7, 30.3);

                // A bad channel knows nothing of the scene.
                foreach (int l in scene.BadChannels) Assert.InRange(Math.Abs(Correlation(scene.Pixels[l], clean[l])), 0, 0.15);
                Assert.Equal(scene.Pixels.shape[0], scene.BadChannels.Count + scene.GoodChannels.Count);
                Assert.Equal((0.4, 2.5), (scene.Wavelengths[0], Math.Round(scene.Wavelengths[^1], 12)));
            }
        }

        using HyperspectralScene landscape = HyperspectralScene.Landscape(null, 1);
        Assert.Equal([120L, 1600L], landscape.Pixels.shape);
        Assert.Equal([4L, 1600L], landscape.Abundances.shape);
        Assert.Equal(12, landscape.BadChannels.Count);
    }

    private static double Correlation(Tensor a, Tensor b)
    {
        Tensor p = a - a.mean(), q = b - b.mean();
        return (p * q).sum().item<double>() / Math.Sqrt(p.square().sum().item<double>() * q.square().sum().item<double>());
    }

    [Fact]
    public void Landscapes_are_smooth_and_go_from_pure_to_mixed()
    {
        using var scope = NewDisposeScope();
        using HyperspectralScene scene = HyperspectralScene.Landscape(null, 2);
        double[] purity = GuidanceMap.Learn(scene.Abundances, cap: 0.999);
        Assert.True(purity.Max() > 0.99 && purity.Min() < 0.4);
        Tensor image = scene.Abundances.view(4, 40, 40);
        double step = (image.narrow(2, 1, 39) - image.narrow(2, 0, 39)).square().mean().item<double>(), spread = (image - image.mean([1, 2], keepdim: true)).square().mean().item<double>();
        Assert.True(step < 0.2 * spread);

        // A higher temperature mixes more.
        using HyperspectralScene hot = HyperspectralScene.Landscape(new() { PureTemperature = 1.25 }, 2);
        Assert.True(GuidanceMap.Learn(hot.Abundances).Average() < purity.Average() - 0.1);
    }

    [Fact]
    public void Regions_are_pure_and_mixed()
    {
        using HyperspectralScene scene = HyperspectralScene.TwoRegions(null, 4);
        double[,] shares = new double[6, 900];
        for (int k = 0; k < 6; k++)
        {
            for (int n = 0; n < 900; n++) shares[k, n] = scene.Abundances[k, n].item<double>();
        }

        double[] Column(int n) => [.. Enumerable.Range(0, 6).Select(k => shares[k, n])];
        Assert.Equal((450, 450), (scene.LeftPixels.Count, scene.RightPixels.Count));
        foreach (int n in scene.LeftPixels)
        {
            Assert.True(Column(n).Max() >= 0.7);
            Assert.Equal(2, Column(n).Count(a => a > 0));
        }

        // Dirichlet(4): mean 1/6, variance (1/6)(5/6)/25 of every share.
        double[] mixed = [.. scene.RightPixels.SelectMany(Column)];
        Assert.InRange(mixed.Average(a => (a - (1.0 / 6)) * (a - (1.0 / 6))), 0.9 * 5 / 900, 1.1 * 5 / 900);
        Assert.All(scene.RightPixels, n => Assert.Equal(6, Column(n).Count(a => a > 0)));
    }

    [Fact]
    public void A_seed_makes_the_scene()
    {
        using var scope = NewDisposeScope();
        LandscapeSceneOptions options = new() { Height = 6, Width = 9, Channels = 20 };
        using HyperspectralScene a = HyperspectralScene.Landscape(options, 5), b = HyperspectralScene.Landscape(options, 5), c = HyperspectralScene.Landscape(options, 6);
        Assert.Equal(0, (a.Pixels - b.Pixels).abs().max().item<double>());
        Assert.Equal(a.BadChannels, b.BadChannels);
        Assert.True((a.Endmembers - c.Endmembers).abs().max().item<double>() > 0.05);
        Assert.True((a.Abundances - c.Abundances).abs().max().item<double>() > 0.05);

        // Noise does not change what it is added to.
        using HyperspectralScene loud = HyperspectralScene.Landscape(options with { Snr = 0 }, 5);
        Assert.Equal(0, (a.Abundances - loud.Abundances).abs().max().item<double>());
        Assert.True(loud.ClippedValues > 0);
    }

    [Fact]
    public void Bad_options_are_named()
    {
        void Throws(string text, LandscapeSceneOptions options) =>
            Assert.Contains(text, Assert.Throws<ArgumentOutOfRangeException>(() => HyperspectralScene.Landscape(options, 1)).Message, StringComparison.Ordinal);
        Throws("Height", new() { Height = 0 });
        Throws("Width", new() { Width = -1 });
        Throws("Channels", new() { Channels = 1 });
        Throws("Channels", new() { Height = 50000, Width = 50000 });
        Throws("Endmembers", new() { Endmembers = 1 });
        Throws("Endmembers", new() { Channels = 10, Endmembers = 11 });
        Throws("Snr", new() { Snr = double.NaN });
        Throws("BadChannels", new() { BadChannels = 120 });
        Throws("PureTemperature", new() { PureTemperature = 0 });
        Throws("MixedTemperature", new() { MixedTemperature = 0.01 });
        Throws("Smoothness", new() { Smoothness = 0 });
        Assert.Throws<ArgumentOutOfRangeException>(() => HyperspectralScene.TwoRegions(new() { Width = 1 }, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => HyperspectralScene.TwoRegions(new() { LeastDominant = 0.4 }, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => HyperspectralScene.TwoRegions(new() { Concentration = 0 }, 1));
    }
}
