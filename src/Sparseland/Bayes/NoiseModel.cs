using Sparseland.Tensors;

namespace Sparseland.Bayes;

/// <summary>What a Bayesian solver knows of the noise variance: its value, or that it must be learned.</summary>
/// <remarks>
/// A learned variance is updated by expectation maximisation (Wipf and Rao 2004),
/// s2 = (||y - Phi mu||^2 + s2 sum_i (1 - Sigma_ii / gamma_i)) / m, with the gamma of that posterior, and never below
/// <see cref="NoiseEstimate"/>: with fewer measurements than coefficients the evidence alone drives it to zero.
/// </remarks>
public sealed record NoiseModel
{
    private NoiseModel(bool isLearned, double? variance, double? least) => (IsLearned, Variance, Least) = (isLearned, variance, least);

    /// <summary>Whether the variance is updated in every iteration.</summary>
    public bool IsLearned { get; }

    /// <summary>The known variance, or the start of a learned one; null for a start at a tenth of the variance of y.</summary>
    public double? Variance { get; }

    /// <summary>What a learned variance may not fall below; null for <see cref="NoiseEstimate"/>.</summary>
    public double? Least { get; }

    /// <summary>The variance of each measurement's noise is known.</summary>
    /// <param name="variance">Squared units of y, positive. For data without noise take a small share of the signal's power, 1e-10 say.</param>
    /// <exception cref="ArgumentOutOfRangeException">The variance is not positive and finite.</exception>
    public static NoiseModel Known(double variance) => new(false, Finite.Positive(variance), null);

    /// <summary>The variance is learned.</summary>
    /// <param name="start">Its first value; null for 0.1 var(y).</param>
    /// <param name="least">
    /// What it may not fall below, not negative; null, the default, for <see cref="NoiseEstimate"/> of the data. 0 is the published rule, which
    /// is sound only where measurements outnumber coefficients by far.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The start is not positive and finite, or the least value negative or not finite.</exception>
    public static NoiseModel Learn(double? start = null, double? least = null)
    {
        if (least is { } bound) Finite.NotNegative(bound, nameof(least));
        return new(true, Finite.Positive(start), least);
    }
}
