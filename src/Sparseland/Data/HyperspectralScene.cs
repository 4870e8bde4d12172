using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>A generated hyperspectral image whose materials and mixtures are known. Owns its tensors.</summary>
/// <param name="Pixels">Y [channels, height * width], float64, row after row of the image; not negative.</param>
/// <param name="Endmembers">The true spectra M [channels, endmembers].</param>
/// <param name="Abundances">The true shares A [endmembers, height * width], columns of sum one.</param>
/// <param name="BadChannels">Channels that hold noise instead of the scene, ascending.</param>
/// <param name="Height">Rows of the image.</param>
/// <param name="Width">Columns of the image.</param>
/// <param name="ClippedValues">Values that noise had made negative and that were set to 0, as a detector reports them.</param>
public sealed record HyperspectralScene(
    Tensor Pixels, Tensor Endmembers, Tensor Abundances, IReadOnlyList<int> BadChannels, int Height, int Width, long ClippedValues) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Pixels, Endmembers, Abundances);

    private const double ShortestWave = 0.4, LongestWave = 2.5;

    /// <summary>Centres of the channels in micrometre, evenly from 0.4 to 2.5 as imaging spectrometers have them.</summary>
    public IReadOnlyList<double> Wavelengths
    {
        get
        {
            int channels = (int)Pixels.shape[0];
            return [.. Enumerable.Range(0, channels).Select(l => ShortestWave + ((LongestWave - ShortestWave) * l / (channels - 1)))];
        }
    }

    /// <summary>Channels that show the scene, ascending.</summary>
    public IReadOnlyList<int> GoodChannels => [.. Enumerable.Range(0, (int)Pixels.shape[0]).Except(BadChannels)];

    /// <summary>Pixels of the left half of the image, columns below width / 2.</summary>
    public IReadOnlyList<int> LeftPixels => [.. Enumerable.Range(0, Height * Width).Where(n => n % Width < Width / 2)];

    /// <summary>The other pixels.</summary>
    public IReadOnlyList<int> RightPixels => [.. Enumerable.Range(0, Height * Width).Where(n => n % Width >= Width / 2)];

    /// <summary>Draws a landscape.</summary>
    /// <param name="options">Sizes; null for the defaults.</param>
    /// <param name="seed">Seed; the same gives the same scene.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range.</exception>
    public static HyperspectralScene Landscape(LandscapeSceneOptions? options, long seed)
    {
        options ??= new();
        options.Validate();
        int pixels = options.Height * options.Width, count = options.Endmembers;
        double[][] fields = [.. Enumerable.Range(0, count).Select(k => SmoothField(options, options.Smoothness, new SeededRandom(seed, 10 + k)))];
        double[] warmth = SmoothField(options, 1.5 * options.Smoothness, new SeededRandom(seed, 3));

        // By rank, so that every scene has pixels of every temperature.
        int[] order = [.. Enumerable.Range(0, pixels)];
        Array.Sort(warmth, order);
        double[] abundances = new double[count * pixels];
        for (int rank = 0; rank < pixels; rank++)
        {
            int n = order[rank];
            double share = pixels > 1 ? (double)rank / (pixels - 1) : 0;
            double temperature = options.PureTemperature + ((options.MixedTemperature - options.PureTemperature) * share);
            double highest = fields.Max(f => f[n]), sum = 0;
            for (int k = 0; k < count; k++) sum += abundances[(k * pixels) + n] = Math.Exp((fields[k][n] - highest) / temperature);
            for (int k = 0; k < count; k++) abundances[(k * pixels) + n] /= sum;
        }

        return Observe(options, abundances, seed);
    }

    /// <summary>Draws a scene of two regions, pure on the left and mixed on the right.</summary>
    /// <param name="options">Sizes; null for the defaults.</param>
    /// <param name="seed">Seed; the same gives the same scene.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range.</exception>
    public static HyperspectralScene TwoRegions(TwoRegionSceneOptions? options, long seed)
    {
        options ??= new();
        options.Validate();
        int pixels = options.Height * options.Width, count = options.Endmembers;
        var random = new SeededRandom(seed, 4);
        double[] abundances = new double[count * pixels], shares = new double[count];
        for (int n = 0; n < pixels; n++)
        {
            Array.Clear(shares);
            if (n % options.Width < options.Width / 2)
            {
                int dominant = random.NextInt(count), minor = (dominant + 1 + random.NextInt(count - 1)) % count;
                shares[dominant] = random.NextDouble(options.LeastDominant, 1);
                shares[minor] = 1 - shares[dominant];
            }
            else
            {
                // A gamma variable of whole shape is a sum of exponential ones; divided by their sum they are Dirichlet.
                for (int k = 0; k < count; k++)
                {
                    for (int i = 0; i < options.Concentration; i++) shares[k] -= Math.Log(1 - random.NextDouble());
                }
            }

            double sum = shares.Sum();
            for (int k = 0; k < count; k++) abundances[(k * pixels) + n] = shares[k] / sum;
        }

        return Observe(options, abundances, seed);
    }

    /// <summary>
    /// Spectra like those of minerals: a sloped continuum with five Gaussian absorption features each, 2 to 12 % of the range wide and 10 to 60 %
    /// deep; reflectances of at least 0.02.
    /// </summary>
    private static double[] Spectra(HyperspectralSceneOptions options, SeededRandom random)
    {
        double[] spectra = new double[options.Channels * options.Endmembers];
        for (int k = 0; k < options.Endmembers; k++)
        {
            double level = random.NextDouble(0.35, 0.85), slope = random.NextDouble(-0.35, 0.35);
            var features = new (double Depth, double Centre, double Width)[5];
            for (int i = 0; i < features.Length; i++) features[i] = (random.NextDouble(0.1, 0.6), random.NextDouble(), random.NextDouble(0.02, 0.12));
            for (int l = 0; l < options.Channels; l++)
            {
                double at = (double)l / (options.Channels - 1), value = level + (slope * (at - 0.5));
                foreach (var (depth, centre, width) in features) value *= 1 - (depth * Math.Exp(-(at - centre) * (at - centre) / (2 * width * width)));
                spectra[(l * options.Endmembers) + k] = Math.Max(value, 0.02);
            }
        }

        return spectra;
    }

    private static HyperspectralScene Observe(HyperspectralSceneOptions options, double[] abundances, long seed)
    {
        using var scope = NewDisposeScope();
        int pixels = options.Height * options.Width;
        Tensor A = tensor(abundances).view(options.Endmembers, pixels);
        Tensor M = tensor(Spectra(options, new SeededRandom(seed, 1))).view(options.Channels, options.Endmembers);
        Tensor clean = M.mm(A);
        double deviation = Math.Sqrt(clean.square().mean().item<double>() / Math.Pow(10, options.Snr / 10));
        double[] values = clean.data<double>().ToArray();
        var noise = new SeededRandom(seed, 2);
        for (int i = 0; i < values.Length; i++) values[i] += deviation * noise.NextGaussian();

        var random = new SeededRandom(seed, 5);
        int[] channels = random.Permutation<int>(options.Channels);
        int[] bad = [.. channels[..options.BadChannels].Order()];
        foreach (int l in bad)
        {
            double amplitude = random.NextDouble(0.5, 1.5);
            for (int n = 0; n < pixels; n++) values[(l * pixels) + n] = amplitude * random.NextDouble();
        }

        long clipped = values.LongCount(v => v < 0);
        for (int i = 0; i < values.Length; i++) values[i] = Math.Max(values[i], 0);
        Tensor Y = tensor(values).view(options.Channels, pixels);
        return new(
            Y.MoveToOuterDisposeScope(), M.MoveToOuterDisposeScope(), A.MoveToOuterDisposeScope(), bad, options.Height, options.Width, clipped);
    }

    /// <summary>White noise, blurred by a Gaussian that wraps around the borders, scaled to variance 1.</summary>
    private static double[] SmoothField(HyperspectralSceneOptions options, double blur, SeededRandom random)
    {
        int height = options.Height, width = options.Width;
        double[] field = new double[height * width];
        for (int i = 0; i < field.Length; i++) field[i] = random.NextGaussian();
        field = Blur(field, height, width, 1, width, blur);
        field = Blur(field, width, height, width, 1, blur);
        double mean = field.Average(), deviation = Math.Sqrt(field.Average(v => (v - mean) * (v - mean)));

        // A single pixel has no variance and keeps its one value.
        return deviation > 0 ? Array.ConvertAll(field, v => (v - mean) / deviation) : field;
    }

    /// <summary>Blurs each of <paramref name="lines"/> lines of <paramref name="length"/> values that lie <paramref name="step"/> apart.</summary>
    private static double[] Blur(double[] field, int lines, int length, int step, int lineStep, double blur)
    {
        int reach = (int)Math.Ceiling(4 * blur);
        double[] kernel = [.. Enumerable.Range(-reach, (2 * reach) + 1).Select(d => Math.Exp(-d * (double)d / (2 * blur * blur)))];
        double[] result = new double[field.Length];
        for (int line = 0; line < lines; line++)
        {
            for (int i = 0; i < length; i++)
            {
                double sum = 0;
                for (int d = -reach; d <= reach; d++) sum += kernel[d + reach] * field[(line * lineStep) + (((((i + d) % length) + length) % length) * step)];
                result[(line * lineStep) + (i * step)] = sum;
            }
        }

        return result;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Pixels.Dispose();
        Endmembers.Dispose();
        Abundances.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
