namespace Sparseland.Evaluation;

/// <summary>
/// Student's paired t test of two methods on the same cases: whether the mean difference could be 0 where differences are normal. Beside
/// <see cref="PairedBootstrap"/>, since papers report it.
/// </summary>
/// <param name="Difference">Mean over cases of first minus second.</param>
/// <param name="T">Difference over its standard error; infinite where all cases differ by the same, 0 where none differs.</param>
/// <param name="Degrees">Degrees of freedom: cases minus 1.</param>
/// <param name="PValue">Two-sided.</param>
public sealed record PairedTTest(double Difference, double T, int Degrees, double PValue)
{
    /// <summary>Compares paired values.</summary>
    /// <param name="first">One finite value per case, at least two.</param>
    /// <param name="second">The other method's, in the same order.</param>
    /// <exception cref="ArgumentException">Fewer than two cases, unequal numbers, or a value that is not finite.</exception>
    public static PairedTTest Compare(IReadOnlyList<double> first, IReadOnlyList<double> second)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        if (first.Count != second.Count) throw new ArgumentException($"Paired values: {first.Count} of the first, {second.Count} of the second.", nameof(second));
        if (first.Count < 2) throw new ArgumentException($"At least two cases, not {first.Count}.", nameof(first));
        double[] differences = [.. first.Zip(second, (a, b) => a - b)];
        int bad = Array.FindIndex(differences, d => !double.IsFinite(d));
        if (bad >= 0) throw new ArgumentException($"Case {bad} has {first[bad]} and {second[bad]}; values must be finite.", nameof(first));

        int cases = differences.Length, degrees = cases - 1;
        if (Array.TrueForAll(differences, d => d == differences[0])) return Alike(differences[0], degrees);
        double mean = differences.Average(), error = Math.Sqrt(differences.Sum(d => (d - mean) * (d - mean)) / degrees / cases);
        double t = mean / error;
        return new(mean, t, degrees, Math.Min(1, 2 * StudentT.Cdf(-Math.Abs(t), degrees)));
    }

    // Without spread the statistic is 0 / 0 or infinite.
    private static PairedTTest Alike(double difference, int degrees) =>
        difference == 0 ? new(0, 0, degrees, 1) : new(difference, difference > 0 ? double.PositiveInfinity : double.NegativeInfinity, degrees, 0);
}
