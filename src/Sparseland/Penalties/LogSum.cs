using System.Numerics;
using Sparseland.Tensors;

namespace Sparseland.Penalties;

/// <summary>
/// Log-sum: lambda log(1 + |x|/epsilon) (Candes, Wakin and Boyd 2008). Prox: a root of a quadratic above a threshold, which is
/// t lambda/epsilon while t lambda &lt;= epsilon^2 (no jump) and lies below that, with a jump, beyond.
/// </summary>
public readonly record struct LogSum : IThresholdPenalty
{
    /// <summary>Creates the penalty.</summary>
    /// <param name="strength">lambda, positive.</param>
    /// <param name="epsilon">Scale at which the logarithm sets in, positive. Default 0.1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A parameter is not positive and finite.</exception>
    public LogSum(double strength, double epsilon = 0.1)
    {
        Strength = Finite.Positive(strength);
        Epsilon = Finite.Positive(epsilon);
    }

    /// <summary>epsilon.</summary>
    public double Epsilon { get; }

    /// <inheritdoc/>
    public double Strength { get; }

    /// <inheritdoc/>
    public string Name => "log-sum";

    /// <inheritdoc/>
    public bool IsConvex => false;

    /// <inheritdoc/>
    public int? Length => null;

    /// <inheritdoc/>
    public IPenalty WithStrength(double strength) => new LogSum(strength, Epsilon);

    /// <inheritdoc/>
    public double Value(double x) => Strength * Scaled.LogOnePlus(Math.Abs(x), Epsilon);

    /// <inheritdoc/>
    public T Prox<T>(T z, double step)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(new LogSumThreshold<T>(Finite.Positive(step), Strength, Epsilon), z);

    /// <inheritdoc/>
    public double SubdifferentialDistance(double x, double gradient) => Separable.Distance(x, gradient, Strength / (Math.Abs(x) + Epsilon));

    /// <inheritdoc/>
    public double Value<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.Value(this, x);

    /// <inheritdoc/>
    public void Prox<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(new LogSumThreshold<T>(Finite.Positive(step), Strength, Epsilon), z, result);

    bool IThresholdPenalty.ProxMeetsNaN<T>(ReadOnlySpan<T> z, double step, Span<T> result) => Threshold.Apply(new LogSumThreshold<T>(Finite.Positive(step), Strength, Epsilon), z, result);

    /// <inheritdoc/>
    public void SubdifferentialDistance<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.SubdifferentialDistance(this, x, gradient, result);

    /// <inheritdoc/>
    public double LargestUsefulStrength(ReadOnlySpan<double> gradientAtZero, double step = 1)
    {
        double max = Guard.MaxMagnitude(gradientAtZero), share = Math.Max(Epsilon / Finite.Positive(step) / max, double.Epsilon);
        if (share >= 1) return max * Epsilon;

        // In units of z = step max: mu = z^2 m, epsilon = z share. The cut grows with m and is at least 2 sqrt(m) - share.
        double m = Bisect(share, (1 + share) * (1 + share) / 4, m => Cut(m, 1, share) < 1);
        return Scaled.Product(m * step, max, max);
    }

    /// <summary>The largest |z| whose prox is 0.</summary>
    internal static double Cut(double step, double strength, double epsilon)
    {
        // In units of sqrt(mu), where there is one number left: r = epsilon/sqrt(mu).
        double unit = Scaled.Root(step, strength), r = epsilon / unit;
        if (r >= 1) return Scaled.Quotient(step, strength, epsilon);

        // With a jump: 0 and the larger root tie at the cut. The root's advantage grows with z, so doubling and bisection find it.
        bool IsZero(double z)
        {
            double sum = z + r, x = (z - r + Math.Sqrt(Math.Max(0, (sum - 2) * (sum + 2)))) / 2;
            return x * (x / 2 - z) + (r > 1e-300 ? Scaled.LogOnePlus(x / r) : Math.Log(x) + Math.Log(unit) - Math.Log(epsilon)) > 0;
        }

        double low = 2 - r, high = low + 1;
        while (IsZero(high)) high *= 2;
        return Bisect(low, high, IsZero) * unit;
    }

    private static double Bisect(double low, double high, Func<double, bool> isBelow)
    {
        for (int i = 0; i < 200; i++)
        {
            double middle = low + (high - low) / 2;
            if (middle <= low || middle >= high) break;
            if (isBelow(middle)) low = middle;
            else high = middle;
        }

        return low;
    }
}
