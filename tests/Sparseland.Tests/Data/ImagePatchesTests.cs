using Sparseland.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Data;

public class ImagePatchesTests
{
    [Fact]
    public void Standardised_images_have_mean_zero_and_variance_one()
    {
        using Tensor images = DeadLeaves.Generate(3, 1, new DeadLeavesOptions { Height = 32, Width = 48 });
        using Tensor standard = ImagePatches.Standardize(images);
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(0, standard[i].mean().item<double>(), 12);
            Assert.Equal(1, standard[i].square().mean().item<double>(), 12);
        }
    }

    [Fact]
    public void Filter_is_the_formula_over_integer_frequencies()
    {
        using Tensor response = RetinalFilter.Response(16, 16);
        Assert.Equal([16, 9], response.shape);
        double f0 = 0.4 * 16;
        Assert.Equal(0, response[0, 0].item<double>());
        Assert.Equal(5 * Math.Exp(-Math.Pow(5 / f0, 4)), response[3, 4].item<double>(), 14);
        // Row 13 is frequency -3.
        Assert.Equal(5 * Math.Exp(-Math.Pow(5 / f0, 4)), response[13, 4].item<double>(), 14);
        Assert.Equal(Math.Sqrt(128) * Math.Exp(-Math.Pow(Math.Sqrt(128) / f0, 4)), response[8, 8].item<double>(), 14);
        // Twice as wide an image has twice as many bins for the same frequency.
        using Tensor wide = RetinalFilter.Response(16, 32);
        Assert.Equal(response[3, 4].item<double>(), wide[3, 8].item<double>(), 14);
    }

    [Theory]
    [InlineData(16, 16)]
    [InlineData(15, 17)]
    [InlineData(12, 20)]
    public void A_cosine_comes_back_times_the_filter_at_its_frequency(int height, int width)
    {
        double[] wave = new double[height * width];
        for (int i = 0; i < wave.Length; i++)
            wave[i] = 4 + Math.Cos(2 * Math.PI * ((2.0 * (i / width) / height) + (3.0 * (i % width) / width)));
        using Tensor image = tensor(wave, [1, height, width]);
        using Tensor filtered = RetinalFilter.Apply(image, cutoff: 0.3);
        double rho = Math.Sqrt(4 + Math.Pow(3.0 * height / width, 2));
        double gain = rho * Math.Exp(-Math.Pow(rho / (0.3 * height), 4));
        double[] expected = [.. wave.Select(v => gain * (v - 4))];
        double[] actual = [.. filtered.data<double>()];
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], 10);
    }

    [Fact]
    public void Whitening_flattens_the_spectrum()
    {
        // Leaves down to one pixel keep the power law up to high frequencies.
        using Tensor images = DeadLeaves.Generate(8, seed: 1, new DeadLeavesOptions { MinRadius = 1 });
        using Tensor white = ImagePatches.WhitenRetinal(images);
        Assert.Equal(images.shape, white.shape);
        // The mean of each image is zero after the filter, so this is the variance.
        Assert.Equal(0.1, white.square().mean().item<double>(), 12);

        // Highest over lowest power between 6 and 50 cycles: measured 48 before and 1.7 after.
        Assert.True(Range(RadialSpectrum.Of(images)) > 35, $"{Range(RadialSpectrum.Of(images))}");
        Assert.True(Range(RadialSpectrum.Of(white)) < 2, $"{Range(RadialSpectrum.Of(white))}");
        Assert.InRange(RadialSpectrum.Of(white).Slope(6, 50), -0.25, 0.25);

        static double Range(RadialSpectrum spectrum)
        {
            double[] band = [.. spectrum.Power.Zip(spectrum.Frequency).Where(p => p.Second is >= 6 and <= 50).Select(p => p.First)];
            return band.Max() / band.Min();
        }
    }

    [Fact]
    public void Spectrum_of_white_noise_is_its_variance()
    {
        using Generator generator = new(5);
        using Tensor noise = randn([4, 64, 80], dtype: ScalarType.Float64, generator: generator) * 3;
        foreach (bool window in new[] { true, false })
        {
            RadialSpectrum spectrum = RadialSpectrum.Of(noise, window);
            Assert.Equal(32, spectrum.Frequency[^1]);
            Assert.InRange(spectrum.Power.Skip(4).Average(), 8.6, 9.4);
            Assert.InRange(spectrum.Slope(4, 32), -0.1, 0.1);
        }
    }

    [Fact]
    public void Spectrum_finds_a_wave_at_its_frequency()
    {
        double[] wave = new double[64 * 64];
        for (int i = 0; i < wave.Length; i++)
            wave[i] = Math.Cos(2 * Math.PI * ((6.0 * (i / 64)) + (8.0 * (i % 64))) / 64);
        using Tensor image = tensor(wave, [1, 64, 64]);
        RadialSpectrum spectrum = RadialSpectrum.Of(image, window: false);
        Assert.Equal(10, spectrum.Frequency[Array.IndexOf(spectrum.Power, spectrum.Power.Max())]);
        Assert.Throws<ArgumentException>(() => spectrum.Slope(5, 5.5));
    }

    [Fact]
    public void Patches_equal_direct_crops()
    {
        using Tensor images = DeadLeaves.Generate(3, 1, new DeadLeavesOptions { Height = 20, Width = 30, TextureContrast = 0.5 });
        PatchPosition[] positions = ImagePatches.Positions(3, 20, 30, 7, 50, seed: 4);
        using Tensor patches = ImagePatches.Sample(images, 7, 50, seed: 4, subtractMean: false);
        using Tensor centred = ImagePatches.Sample(images, 7, 50, seed: 4);
        Assert.Equal([50, 49], patches.shape);
        for (int i = 0; i < 50; i++)
        {
            (int image, int row, int column) = positions[i];
            using Tensor crop = images[image].narrow(0, row, 7).narrow(1, column, 7).contiguous();
            double[] expected = [.. crop.data<double>()];
            Assert.Equal(expected, patches[i].contiguous().data<double>().ToArray());
            double[] actual = [.. centred[i].contiguous().data<double>()];
            double mean = expected.Average();
            for (int j = 0; j < 49; j++)
                Assert.Equal(expected[j] - mean, actual[j], 12);
        }
    }

    [Fact]
    public void Places_reach_every_corner_and_the_first_do_not_depend_on_the_count()
    {
        PatchPosition[] positions = ImagePatches.Positions(2, 6, 5, 4, 2000, seed: 8);
        Assert.Equal(2 * 3 * 2, positions.Distinct().Count());
        // Twelve equally likely places, 2000 draws: five standard deviations of a binomial are 62.
        Assert.All(positions.CountBy(p => p), place => Assert.InRange(place.Value, 105, 229));
        Assert.Equal(positions.Take(10), ImagePatches.Positions(2, 6, 5, 4, 10, seed: 8));
        Assert.NotEqual(positions.Take(10), ImagePatches.Positions(2, 6, 5, 4, 10, seed: 9));
        Assert.All(ImagePatches.Positions(1, 6, 6, 6, 20, seed: 1), p => Assert.Equal(new PatchPosition(0, 0, 0), p));
    }

    [Fact]
    public void Float32_stays_float32()
    {
        using Tensor images = ImagePatches.DeadLeaves(32, seed: 2, count: 2).to(ScalarType.Float32);
        using Tensor white = ImagePatches.WhitenRetinal(images);
        using Tensor patches = ImagePatches.Sample(white, 8, 5, seed: 1);
        Assert.Equal(ScalarType.Float32, patches.dtype);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using Tensor images = DeadLeaves.Generate(3, seed: 2, new DeadLeavesOptions { Height = 16, Width = 16, MaxRadius = 6 });
        Assert.Equal("patchSize", Assert.Throws<ArgumentOutOfRangeException>(() => ImagePatches.Sample(images, 17, 5, 1)).ParamName);
        Assert.Equal("patchSize", Assert.Throws<ArgumentOutOfRangeException>(() => ImagePatches.Sample(images, 0, 5, 1)).ParamName);
        Assert.Equal("count", Assert.Throws<ArgumentOutOfRangeException>(() => ImagePatches.Sample(images, 8, 0, 1)).ParamName);
        Assert.Throws<ArgumentOutOfRangeException>(() => ImagePatches.Extract(images, 8, [new PatchPosition(0, 9, 0)]));
        Assert.Throws<ArgumentOutOfRangeException>(() => ImagePatches.Extract(images, 8, [new PatchPosition(3, 0, 0)]));
        Assert.Throws<ArgumentException>(() => ImagePatches.Extract(images, 8, []));
        Assert.Throws<ArgumentOutOfRangeException>(() => ImagePatches.WhitenRetinal(images, f0: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => ImagePatches.WhitenRetinal(images, f0: double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => ImagePatches.WhitenRetinal(images, variance: -1));

        using Tensor constant = images.clone();
        constant[1].fill_(0.3);
        Assert.Contains("Image 1 has no variance", Assert.Throws<ArgumentException>(() => ImagePatches.Standardize(constant)).Message);
        using Tensor zero = zeros(2, 4, 4, dtype: ScalarType.Float64);
        Assert.Contains("Image 0 has no variance", Assert.Throws<ArgumentException>(() => ImagePatches.Standardize(zero)).Message);
        Assert.Throws<ArgumentException>(() => ImagePatches.ScaleToVariance(zero));
        using Tensor broken = images.clone();
        broken[2, 3, 4] = double.NaN;
        Assert.Contains("Image 2", Assert.Throws<ArgumentException>(() => ImagePatches.Sample(broken, 8, 5, 1)).Message);
        using Tensor one = images[0];
        Assert.Throws<ArgumentException>(() => ImagePatches.Standardize(one));
        using Tensor whole = images.to(ScalarType.Int64);
        Assert.Throws<ArgumentException>(() => ImagePatches.Standardize(whole));
    }
}
