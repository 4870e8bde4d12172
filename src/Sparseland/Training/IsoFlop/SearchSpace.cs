using Sparseland.Evaluation;

namespace Sparseland.Training.IsoFlop;

/// <summary>How many masks there are.</summary>
public static class SearchSpace
{
    /// <summary>log10 of the number of masks with k of n places, the binomial coefficient.</summary>
    /// <param name="n">Places, not negative.</param>
    /// <param name="k">Active ones, from 0 to n.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is outside.</exception>
    public static double Log10Masks(long n, long k)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(n);
        if (k < 0 || k > n) throw new ArgumentOutOfRangeException(nameof(k), k, $"From 0 to {n} places can be active.");
        return k == 0 || k == n ? 0 : (StudentT.LogGamma(n + 1) - StudentT.LogGamma(k + 1) - StudentT.LogGamma(n - k + 1)) / Math.Log(10);
    }
}
