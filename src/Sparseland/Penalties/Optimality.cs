using System.Numerics;

namespace Sparseland.Penalties;

/// <summary>Tests of optimality that work for every penalty.</summary>
public static class Optimality
{
    /// <summary>
    /// max |x - prox(x - step gradient, step)|: zero exactly at fixed points of the proximal gradient step. For l0, l1/2 and l2/3
    /// this sees zeros that should be active, which the subdifferential cannot.
    /// </summary>
    /// <param name="penalty">The penalty.</param>
    /// <param name="x">Coefficients.</param>
    /// <param name="gradient">Gradient of the data fit at x.</param>
    /// <param name="step">t, positive.</param>
    /// <exception cref="ArgumentException">Lengths differ.</exception>
    public static double FixedPointResidual<T>(IPenalty penalty, ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, double step)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(penalty);
        Guard.SameLength(x.Length, gradient.Length, nameof(x), nameof(gradient));
        T[] z = new T[x.Length];
        for (int i = 0; i < z.Length; i++) z[i] = x[i] - Guard.To<T>(step) * gradient[i];
        penalty.Prox<T>(z, step, z);
        T max = T.Zero;
        for (int i = 0; i < z.Length; i++) max = T.Max(max, T.Abs(x[i] - z[i]));
        return double.CreateTruncating(max);
    }
}
