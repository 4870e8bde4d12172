using Sparseland.Tensors;

namespace Sparseland.Evaluation;

/// <summary>
/// Two methods on the same cases (seeds, queries, documents): the mean difference with a percentile interval and a
/// two-sided p-value, by drawing cases with replacement (Efron and Tibshirani 1993, chapters 13 and 16).
/// </summary>
/// <param name="Difference">Mean over cases of first minus second.</param>
/// <param name="Low">Lower end of the interval.</param>
/// <param name="High">Upper end of the interval.</param>
/// <param name="PValue">
/// Share of resamples of the differences, shifted to mean zero, whose mean is at least as far from zero as the observed
/// one; the observed one counts as a resample, so it is never 0.
/// </param>
/// <param name="Confidence">Confidence of the interval.</param>
/// <param name="Resamples">Number of resamples.</param>
public sealed record PairedBootstrap(double Difference, double Low, double High, double PValue, double Confidence, int Resamples)
{
    /// <summary>Compares paired values.</summary>
    /// <param name="first">One finite value per case, at least two.</param>
    /// <param name="second">The other method's, in the same order.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="resamples">Number of resamples, at least 100. Default 10_000.</param>
    /// <param name="confidence">Strictly between 0 and 1. Default 0.95.</param>
    /// <param name="cancellation">Stops between resamples.</param>
    /// <exception cref="ArgumentException">Fewer than two cases, unequal numbers, or a value that is not finite.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The number of resamples or the confidence is out of its range.</exception>
    public static PairedBootstrap Compare(
        IReadOnlyList<double> first, IReadOnlyList<double> second, int seed, int resamples = 10_000, double confidence = 0.95,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        if (first.Count != second.Count)
            throw new ArgumentException($"Paired values: {first.Count} of the first, {second.Count} of the second.", nameof(second));
        if (first.Count < 2)
            throw new ArgumentException($"At least two cases, not {first.Count}.", nameof(first));
        ArgumentOutOfRangeException.ThrowIfLessThan(resamples, 100);
        if (!(confidence is > 0 and < 1))
            throw new ArgumentOutOfRangeException(nameof(confidence), confidence, "A confidence lies strictly between 0 and 1.");
        double[] differences = [.. first.Zip(second, (a, b) => a - b)];
        int bad = Array.FindIndex(differences, d => !double.IsFinite(d));
        if (bad >= 0)
            throw new ArgumentException($"Case {bad} has {first[bad]} and {second[bad]}; values must be finite.", nameof(first));

        double observed = differences.Average();
        double[] means = new double[resamples];
        var random = new SeededRandom(seed);
        int asFar = 0;
        for (int sample = 0; sample < resamples; sample++)
        {
            if ((sample & 255) == 0)
                cancellation.ThrowIfCancellationRequested();
            double sum = 0;
            for (int i = 0; i < differences.Length; i++)
                sum += differences[random.NextInt(differences.Length)];
            means[sample] = sum / differences.Length;
            if (Math.Abs(means[sample] - observed) >= Math.Abs(observed))
                asFar++;
        }
        Array.Sort(means);
        double tail = (1 - confidence) / 2;
        return new PairedBootstrap(observed, Quantile(means, tail), Quantile(means, 1 - tail), (asFar + 1.0) / (resamples + 1.0), confidence, resamples);
    }

    /// <summary>Linear between the order statistics, as numpy's default.</summary>
    private static double Quantile(double[] sorted, double share)
    {
        double place = share * (sorted.Length - 1);
        int below = (int)place;
        int above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + ((place - below) * (sorted[above] - sorted[below]));
    }
}
