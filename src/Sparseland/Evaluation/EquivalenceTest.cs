using Sparseland.Tensors;

namespace Sparseland.Evaluation;

/// <summary>
/// Whether two methods differ by less than a margin (two one-sided tests, Schuirmann 1987): a large p-value of a test of difference says nothing of that kind, for few or
/// noisy cases give one as well. Equivalent at level alpha is the same as: the interval of confidence 1 - 2 alpha lies inside the margin.
/// </summary>
/// <param name="Interval">The interval of the mean difference, of confidence 1 - 2 alpha.</param>
/// <param name="Margin">The largest difference that does not matter.</param>
/// <param name="PValue">The larger of the two one-sided p-values.</param>
/// <param name="Alpha">Level of the test.</param>
public sealed record EquivalenceTest(PairedInterval Interval, double Margin, double PValue, double Alpha)
{
    /// <summary>Whether a difference as large as the margin is ruled out.</summary>
    public bool Equivalent => PValue < Alpha;

    /// <summary>Tests paired values.</summary>
    /// <param name="first">One finite value per case, at least two. A case is what was drawn by itself, such as a parent's seed, and not each of its children.</param>
    /// <param name="second">The other method's, in the same order.</param>
    /// <param name="margin">The largest difference that does not matter, positive, fixed before looking.</param>
    /// <param name="alpha">Level, above 0 and below 1/2. Default 0.05.</param>
    /// <exception cref="ArgumentException">Fewer than two cases, unequal numbers, a value that is not finite, or a margin or level out of its range.</exception>
    public static EquivalenceTest Compare(IReadOnlyList<double> first, IReadOnlyList<double> second, double margin, double alpha = 0.05)
    {
        Finite.Positive(margin);
        if (!(alpha is > 0 and < 0.5)) throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "The level must lie above 0 and below 1/2.");
        PairedInterval interval = PairedInterval.Of(first, second, 1 - (2 * alpha));
        return new(interval, margin, Math.Max(Above(interval.Difference + margin), Above(margin - interval.Difference)), alpha);

        // P(T >= distance / error): the chance of such a mean where the true difference is at the margin.
        double Above(double distance) => interval.StandardError == 0 ? (distance > 0 ? 0 : 1) : StudentT.Cdf(-distance / interval.StandardError, interval.Degrees);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
