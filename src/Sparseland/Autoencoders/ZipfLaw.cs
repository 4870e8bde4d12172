using Sparseland.Tensors;

namespace Sparseland.Autoencoders;

/// <summary>
/// The law of Zipf and Mandelbrot for how often latents fire: the latent of rank r (1 for the most frequent) on a share of tokens proportional to
/// (r + b)^(-a).
/// </summary>
public sealed record ZipfLaw
{
    private const int LeastLatents = 10, Offsets = 60;
    private const double LeastDensity = 1e-5, LowestLog = -2, HighestLog = 6;

    /// <summary>Sets the law.</summary>
    /// <param name="exponent">a, positive.</param>
    /// <param name="offset">b, above -1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public ZipfLaw(double exponent, double offset)
    {
        Finite.Positive(exponent);
        if (!(offset > -1) || !double.IsFinite(offset)) throw new ArgumentOutOfRangeException(nameof(offset), offset, "offset must be above -1 and finite.");
        (Exponent, Offset) = (exponent, offset);
    }

    /// <summary>a.</summary>
    public double Exponent { get; }

    /// <summary>b.</summary>
    public double Offset { get; }

    /// <summary>Share of the variance of log density over all fitted ranks that the law explains, every rank counted alike; 1 for a law that was set.</summary>
    public double RSquared { get; private init; } = 1;

    /// <summary>
    /// Fits the law to the densities of a trained autoencoder: those above 1e-5, sorted; for each of 60 offsets with log b from -2 to 6 least squares of
    /// log p_r on (1, -log(r + b)) with weights 1/r, which are even in log rank; the offset with the least weighted error is kept.
    /// </summary>
    /// <param name="density">Share of tokens on which each latent fires [latents], in any order.</param>
    /// <remarks>The fit is good at the head, and the tail of most autoencoders lies below the law: plot both.</remarks>
    /// <exception cref="ArgumentException">A density is no share, fewer than 10 lie above 1e-5, or they do not fall with their rank.</exception>
    public static ZipfLaw Fit(IReadOnlyList<double> density)
    {
        CheckDensity(density);
        double[] y = [.. density.Where(p => p > LeastDensity).OrderDescending().Select(p => Math.Log(p))];
        if (y.Length < LeastLatents) throw new ArgumentException($"{y.Length} of {density.Count} densities lie above {LeastDensity}; a law needs {LeastLatents}.", nameof(density));
        (double Error, double Exponent, double Offset, double Constant) best = (double.PositiveInfinity, 0, 0, 0);
        for (int i = 0; i < Offsets; i++)
        {
            double offset = Math.Exp(LowestLog + (i * (HighestLog - LowestLog) / (Offsets - 1)));
            (double error, double exponent, double constant) = Line(y, offset);
            if (error < best.Error) best = (error, exponent, offset, constant);
        }

        if (!(best.Exponent > 1e-9)) throw new ArgumentException("The densities do not fall with their rank; no law of this form fits them.", nameof(density));
        double mean = y.Average(), total = y.Sum(v => (v - mean) * (v - mean)), left = 0;
        for (int r = 0; r < y.Length; r++) left += Math.Pow(y[r] - best.Constant + (best.Exponent * Math.Log(r + 1 + best.Offset)), 2);
        return new(best.Exponent, best.Offset) { RSquared = 1 - (left / total) };
    }

    /// <summary>Densities that the law gives to each rank.</summary>
    /// <param name="latents">M.</param>
    /// <param name="total">Their sum: the mean number of active latents of a token.</param>
    /// <returns>[latents], falling.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive.</exception>
    public double[] Densities(int latents, double total)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(latents);
        if (!(total > 0)) throw new ArgumentOutOfRangeException(nameof(total), total, "total must be positive.");
        double[] weights = Array.ConvertAll(LogWeights(latents), Math.Exp);
        double scale = total / weights.Sum();
        return Array.ConvertAll(weights, w => w * scale);
    }

    /// <summary>Logarithms of (r + b)^(-a) relative to rank 1: large exponents would leave the range of numbers.</summary>
    internal double[] LogWeights(int latents)
    {
        double[] logs = new double[latents];
        for (int r = 0; r < latents; r++) logs[r] = Exponent * (Math.Log(1 + Offset) - Math.Log(r + 1 + Offset));
        return logs;
    }

    /// <summary>Latents from the most to the least frequent; ties go to the lower index.</summary>
    internal static int[] Order(IReadOnlyList<double> density)
    {
        double[] falling = [.. density.Select(p => -p)];
        int[] order = [.. Enumerable.Range(0, falling.Length)];
        Array.Sort(order, (a, b) => falling[a].CompareTo(falling[b]) is var by && by != 0 ? by : a.CompareTo(b));
        return order;
    }

    internal static void CheckDensity(IReadOnlyList<double> density)
    {
        ArgumentNullException.ThrowIfNull(density);
        for (int i = 0; i < density.Count; i++)
        {
            if (!(density[i] is >= 0 and <= 1)) throw new ArgumentException(FormattableString.Invariant($"density[{i}] is {density[i]}; a share of tokens lies from 0 to 1."), nameof(density));
        }
    }

    private static (double Error, double Exponent, double Constant) Line(double[] y, double offset)
    {
        double weight = 0, meanX = 0, meanY = 0, xx = 0, xy = 0, yy = 0;
        for (int r = 0; r < y.Length; r++)
        {
            double w = 1.0 / (r + 1);
            weight += w;
            meanX -= w * Math.Log(r + 1 + offset);
            meanY += w * y[r];
        }

        (meanX, meanY) = (meanX / weight, meanY / weight);
        for (int r = 0; r < y.Length; r++)
        {
            double w = 1.0 / (r + 1), x = -Math.Log(r + 1 + offset) - meanX, v = y[r] - meanY;
            xx += w * x * x;
            xy += w * x * v;
            yy += w * v * v;
        }

        double exponent = xy / xx;
        return (yy - (exponent * xy), exponent, meanY - (exponent * meanX));
    }
}
