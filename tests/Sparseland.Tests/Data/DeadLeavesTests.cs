using Sparseland.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Data;

public class DeadLeavesTests
{
    [Theory]
    [InlineData(3.0, 3.0, 80.0)]
    [InlineData(1.0, 2.0, 50.0)]
    [InlineData(0.0, 5.0, 9.0)]
    [InlineData(2.5, 0.5, 200.0)]
    public void Radii_follow_the_truncated_power_law(double alpha, double low, double high)
    {
        var options = new DeadLeavesOptions { Alpha = alpha, MinRadius = low, MaxRadius = high };
        double[] radii = [.. DeadLeaves.Disks(options, seed: 7).Take(20_000).Select(d => d.Radius).Order()];

        // Kolmogorov-Smirnov against the distribution function written out from the density, not from the quantiles.
        double worst = radii.Select((r, i) => Math.Max(Math.Abs(Cdf(r) - ((i + 1.0) / radii.Length)), Math.Abs(Cdf(r) - ((double)i / radii.Length)))).Max();
        Assert.True(worst < 1.63 / Math.Sqrt(radii.Length), $"KS statistic {worst}, 1% bound {1.63 / Math.Sqrt(radii.Length)}");

        double Cdf(double r) => alpha == 1 ? Math.Log(r / low) / Math.Log(high / low)
            : (Math.Pow(low, 1 - alpha) - Math.Pow(r, 1 - alpha)) / (Math.Pow(low, 1 - alpha) - Math.Pow(high, 1 - alpha));
    }

    [Fact]
    public void Radius_quantile_meets_the_cut_offs()
    {
        foreach (double alpha in new[] { 0, 0.5, 1, 1 + 1e-12, 3, 10 })
        {
            var options = new DeadLeavesOptions { Alpha = alpha };
            Assert.Equal(3, DeadLeaves.RadiusQuantile(0, options), 9);
            Assert.Equal(80, DeadLeaves.RadiusQuantile(1, options), 6);
        }
        Assert.Equal(4, DeadLeaves.RadiusQuantile(0.3, new DeadLeavesOptions { MinRadius = 4, MaxRadius = 4 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => DeadLeaves.RadiusQuantile(double.NaN, new DeadLeavesOptions()));
    }

    [Fact]
    public void Two_points_share_a_leaf_as_often_as_the_theory_says_at_the_border_too()
    {
        // In a stationary dead-leaves model two points at distance h lie on one leaf with probability
        // K(h) / (2 K(0) - K(h)), K(h) the mean area of a disk and its shift by h in common (Matheron 1968).
        var options = new DeadLeavesOptions { Height = 64, Width = 64, MinRadius = 2, MaxRadius = 40 };
        const int images = 400;
        double[] pixels = new double[64 * 64];
        var shared = new Dictionary<(int Distance, bool Border), (double Same, double All)>();
        for (int image = 0; image < images; image++)
        {
            DeadLeaves.Render(pixels, options, seed: 11, image);
            foreach (int h in new[] { 1, 4, 12, 30 })
            {
                for (int y = 0; y < 64; y += 3)
                {
                    for (int x = 0; x + h < 64; x += 3)
                    {
                        (int, bool) key = (h, y < 6 || y >= 58);
                        (double same, double all) = shared.GetValueOrDefault(key);
                        shared[key] = (same + (pixels[(y * 64) + x] == pixels[(y * 64) + x + h] ? 1 : 0), all + 1);
                    }
                }
            }
        }
        foreach (((int h, bool border), (double same, double all)) in shared)
        {
            double expected = Common(h) / ((2 * Common(0)) - Common(h));
            // Pairs of one image are far from independent: the bound is three standard errors of `images` samples.
            double bound = 3 * Math.Sqrt(expected * (1 - expected) / images) * (border ? 1 : 0.5);
            Assert.True(Math.Abs((same / all) - expected) < bound, $"distance {h}, border {border}: {same / all} against {expected} +- {bound}");
        }

        double Common(double h) => Enumerable.Range(0, 20_000).Average(i =>
        {
            double r = DeadLeaves.RadiusQuantile((i + 0.5) / 20_000, options);
            return h >= 2 * r ? 0 : (2 * r * r * Math.Acos(h / (2 * r))) - (h / 2 * Math.Sqrt((4 * r * r) - (h * h)));
        });
    }

    [Fact]
    public void Greys_are_uniform()
    {
        // One pixel of each of many images: independent greys.
        var options = new DeadLeavesOptions { Height = 4, Width = 4, MaxRadius = 12 };
        double[] pixels = new double[16];
        int[] bins = new int[10];
        for (int image = 0; image < 4000; image++)
        {
            DeadLeaves.Render(pixels, options, seed: 3, image);
            bins[(int)(pixels[5] * 10)]++;
        }
        double chiSquare = bins.Sum(b => (b - 400.0) * (b - 400.0) / 400);
        Assert.True(chiSquare < 21.67, $"chi-square {chiSquare} with 9 degrees of freedom, 1% bound 21.67");
    }

    [Fact]
    public void Every_pixel_shows_the_foremost_disk_over_its_centre()
    {
        var options = new DeadLeavesOptions { Height = 40, Width = 56, MaxRadius = 20 };
        double[] pixels = new double[40 * 56];
        long count = DeadLeaves.Render(pixels, options, seed: 5, index: 2);
        Disk[] disks = [.. DeadLeaves.Disks(options, seed: 5, index: 2).Take((int)count)];
        for (int y = 0; y < 40; y++)
        {
            for (int x = 0; x < 56; x++)
            {
                Disk front = disks.First(d => Square(x + 0.5 - d.X) + Square(y + 0.5 - d.Y) <= Square(d.Radius));
                Assert.Equal(front.Grey, pixels[(y * 56) + x]);
            }
        }
        // The last disk was needed: without it a pixel would be bare.
        Assert.Contains(disks[^1].Grey, pixels);

        static double Square(double value) => value * value;
    }

    [Fact]
    public void Same_seed_same_images_whatever_the_number_of_images_and_threads()
    {
        var options = new DeadLeavesOptions { Height = 32, Width = 32, MaxRadius = 16, TextureContrast = 0.3 };
        using Tensor eight = DeadLeaves.Generate(8, seed: 42, options), again = DeadLeaves.Generate(8, seed: 42, options);
        using Tensor three = DeadLeaves.Generate(3, seed: 42, options), other = DeadLeaves.Generate(3, seed: 43, options);
        Assert.Equal(eight.data<double>().ToArray(), again.data<double>().ToArray());
        using Tensor first = eight.narrow(0, 0, 3).contiguous();
        Assert.Equal(first.data<double>().ToArray(), three.data<double>().ToArray());
        Assert.NotEqual(three.data<double>().ToArray(), other.data<double>().ToArray());

        double[] alone = new double[32 * 32];
        DeadLeaves.Render(alone, options, seed: 42, index: 7);
        using Tensor last = eight[7].contiguous();
        Assert.Equal(alone, last.data<double>().ToArray());
    }

    [Fact]
    public void Supersampling_averages_the_finer_image()
    {
        var coarse = new DeadLeavesOptions { Height = 20, Width = 24, MinRadius = 2, MaxRadius = 10, Supersampling = 4 };
        var fine = new DeadLeavesOptions { Height = 80, Width = 96, MinRadius = 8, MaxRadius = 40 };
        double[] smooth = new double[20 * 24], sharp = new double[80 * 96];
        DeadLeaves.Render(smooth, coarse, seed: 1);
        DeadLeaves.Render(sharp, fine, seed: 1);
        for (int i = 0; i < smooth.Length; i++)
        {
            int top = 4 * (i / 24), left = 4 * (i % 24);
            double mean = Enumerable.Range(0, 16).Average(j => sharp[((top + (j / 4)) * 96) + left + (j % 4)]);
            Assert.Equal(mean, smooth[i], 12);
        }
    }

    [Fact]
    public void Texture_varies_within_a_leaf_and_stays_within_its_contrast()
    {
        var plain = new DeadLeavesOptions { Height = 64, Width = 64 };
        DeadLeavesOptions textured = plain with { TextureContrast = 0.2 };
        double[] flat = new double[64 * 64], rough = new double[64 * 64];
        long disks = DeadLeaves.Render(flat, plain, seed: 9);
        Assert.Equal(disks, DeadLeaves.Render(rough, textured, seed: 9));
        double[] difference = [.. flat.Zip(rough, (a, b) => b - a)];
        Assert.All(difference, d => Assert.True(Math.Abs(d) <= 0.1 + 1e-12));
        Assert.All(rough, v => Assert.InRange(v, 0, 1));
        Assert.True(difference.Distinct().Count() > 3000);
        // Measured 0.031: a visible but low contrast.
        Assert.InRange(Math.Sqrt(difference.Average(d => d * d)), 0.015, 0.06);
    }

    [Fact]
    public void Spectrum_is_near_one_over_f_squared()
    {
        using Tensor images = DeadLeaves.Generate(8, seed: 1);
        Assert.Equal([8, 256, 256], images.shape);
        // Measured -2.11. Beyond 256 / (2 pi 3) = 14 cycles the smallest leaves no longer fill in detail and the spectrum
        // bends towards the 1/f^3 of bare edges; with leaves of radius 1 it stays near 1/f^2 for longer, measured -1.92.
        Assert.InRange(RadialSpectrum.Of(images).Slope(4, 30), -2.3, -1.9);
        using Tensor fine = DeadLeaves.Generate(8, seed: 1, new DeadLeavesOptions { MinRadius = 1 });
        Assert.InRange(RadialSpectrum.Of(fine).Slope(4, 80), -2.1, -1.75);
    }

    [Fact]
    public void Progress_tells_every_image_and_cancelling_stops()
    {
        var told = new List<ProgressReport>();
        var options = new DeadLeavesOptions { Height = 16, Width = 16, MaxRadius = 8 };
        using Tensor images = DeadLeaves.Generate(5, seed: 1, options, new Listener(told));
        Assert.Equal([1, 2, 3, 4, 5], told.Select(r => r.Done));
        Assert.All(told, r => Assert.Equal(5, r.Total));

        using var source = new CancellationTokenSource();
        source.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => DeadLeaves.Generate(5, 1, options, cancellation: source.Token));
    }

    public static TheoryData<string, DeadLeavesOptions> Refused() => new()
    {
        { "Height", new() { Height = 0 } },
        { "Width", new() { Width = -3 } },
        { "MinRadius", new() { MinRadius = 0.1 } },
        { "MinRadius", new() { MinRadius = double.NaN } },
        { "MaxRadius", new() { MaxRadius = 2 } },
        { "MaxRadius", new() { MaxRadius = double.PositiveInfinity } },
        { "MaxRadius", new() { MaxRadius = 1e6 } },
        { "Alpha", new() { Alpha = -1 } },
        { "Alpha", new() { Alpha = double.NaN } },
        { "TextureContrast", new() { TextureContrast = 1.5 } },
        { "TextureContrast", new() { TextureContrast = double.NaN } },
        { "Supersampling", new() { Supersampling = 0 } },
        { "Height", new() { Height = 50_000, Width = 50_000 } },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void Options_without_meaning_are_refused_by_name(string name, DeadLeavesOptions options)
    {
        var error = Assert.Throws<ArgumentOutOfRangeException>(() => DeadLeaves.Generate(1, 1, options));
        Assert.Equal(name, error.ParamName);
    }

    [Fact]
    public void Counts_and_lengths_are_checked()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => DeadLeaves.Generate(0, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => DeadLeaves.Generate(int.MaxValue, 1));
        Assert.Throws<ArgumentException>(() => DeadLeaves.Render(new double[5], new DeadLeavesOptions(), 1));
    }

    private sealed class Listener(List<ProgressReport> told) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => told.Add(value);
    }
}
