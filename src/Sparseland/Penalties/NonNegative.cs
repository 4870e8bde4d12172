using System.Numerics;

namespace Sparseland.Penalties;

/// <summary>Any penalty with the constraint x >= 0: pen(x) where no coefficient is negative, infinite elsewhere.</summary>
/// <remarks>
/// Prox: the inner prox of max(z, 0). This is exact for every penalty of this library, because each depends only on the
/// magnitudes |x_i| and does not fall when one of them grows: where z_i &lt; 0 both terms of the objective grow with x_i >= 0, so x_i
/// is 0, and with z_i = 0 in its place the unconstrained minimizer is already non-negative. It is not exact for a penalty that is
/// not even or couples coefficients otherwise (a difference penalty, say).
/// </remarks>
public sealed record NonNegative : IPenalty
{
    /// <summary>Adds the constraint.</summary>
    /// <param name="inner">The penalty.</param>
    public NonNegative(IPenalty inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        Inner = inner;
    }

    /// <summary>The penalty without the constraint.</summary>
    public IPenalty Inner { get; }

    /// <inheritdoc/>
    public string Name => $"non-negative {Inner.Name}";

    /// <inheritdoc/>
    public double Strength => Inner.Strength;

    /// <inheritdoc/>
    public bool IsConvex => Inner.IsConvex;

    /// <inheritdoc/>
    public int? Length => Inner.Length;

    /// <inheritdoc/>
    public IPenalty WithStrength(double strength) => new NonNegative(Inner.WithStrength(strength));

    /// <inheritdoc/>
    public double Value<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        foreach (T value in x)
        {
            if (value < T.Zero) return double.PositiveInfinity;
        }

        return Inner.Value(x);
    }

    /// <inheritdoc/>
    public void Prox<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        Guard.SameLength(z.Length, result.Length, nameof(z), nameof(result));
        for (int i = 0; i < z.Length; i++) result[i] = z[i] < T.Zero ? T.Zero : z[i];
        Inner.Prox(result, step, result);
    }

    /// <inheritdoc/>
    public void SubdifferentialDistance<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        Guard.SameLength(x.Length, gradient.Length, nameof(x), nameof(gradient));
        Guard.SameLength(x.Length, result.Length, nameof(x), nameof(result));

        // At x_i = 0 the constraint absorbs a gradient that would push x_i below 0.
        T[] free = new T[x.Length];
        for (int i = 0; i < x.Length; i++) free[i] = x[i] == T.Zero && gradient[i] > T.Zero ? T.Zero : gradient[i];
        Inner.SubdifferentialDistance(x, free, result);
        for (int i = 0; i < x.Length; i++)
        {
            if (x[i] < T.Zero) result[i] = T.PositiveInfinity;
        }
    }

    /// <inheritdoc/>
    public double LargestUsefulStrength(ReadOnlySpan<double> gradientAtZero, double step = 1)
    {
        double[] pushing = new double[gradientAtZero.Length];
        for (int i = 0; i < pushing.Length; i++) pushing[i] = gradientAtZero[i] > 0 ? 0 : gradientAtZero[i];
        return Inner.LargestUsefulStrength(pushing, step);
    }
}
