namespace Sparseland.Bayes;

/// <summary>What a Bayesian solver knows of the noise variance: its value, or that it must be learned.</summary>
/// <remarks>
/// A learned variance is updated by expectation maximisation (Wipf and Rao 2004),
/// s2 = (||y - Phi mu||^2 + s2 sum_i (1 - Sigma_ii / gamma_i)) / m, with the gamma of that posterior.
/// </remarks>
public sealed record NoiseModel
{
    private NoiseModel(bool isLearned, double? variance) => (IsLearned, Variance) = (isLearned, variance);

    /// <summary>Whether the variance is updated in every iteration.</summary>
    public bool IsLearned { get; }

    /// <summary>The known variance, or the start of a learned one; null for a start at a tenth of the variance of y.</summary>
    public double? Variance { get; }

    /// <summary>The variance of each measurement's noise is known.</summary>
    /// <param name="variance">Squared units of y, positive. For data without noise take a small share of the signal's power, 1e-10 say.</param>
    /// <exception cref="ArgumentOutOfRangeException">The variance is not positive and finite.</exception>
    public static NoiseModel Known(double variance) => new(false, Positive(variance, nameof(variance)));

    /// <summary>The variance is learned.</summary>
    /// <param name="start">Its first value; null for 0.1 var(y).</param>
    /// <exception cref="ArgumentOutOfRangeException">The start is not positive and finite.</exception>
    public static NoiseModel Learn(double? start = null) => new(true, start is { } value ? Positive(value, nameof(start)) : null);

    internal static double Positive(double variance, string name) => variance > 0 && double.IsFinite(variance) ? variance
        : throw new ArgumentOutOfRangeException(name, variance, "A noise variance must be positive and finite.");
}
