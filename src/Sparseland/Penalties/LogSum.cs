using System.Numerics;

namespace Sparseland.Penalties;

/// <summary>
/// Log-sum: lambda log(1 + |x|/epsilon) (Candes, Wakin and Boyd 2008). Prox: a root of a quadratic above a threshold, which is
/// t lambda/epsilon while t lambda &lt;= epsilon^2 (no jump) and lies below that, with a jump, beyond.
/// </summary>
public readonly record struct LogSum : ISeparablePenalty
{
    /// <summary>Creates the penalty.</summary>
    /// <param name="strength">lambda, positive.</param>
    /// <param name="epsilon">Scale at which the logarithm sets in, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">A parameter is not positive and finite.</exception>
    public LogSum(double strength, double epsilon = 0.1)
    {
        Strength = Guard.Positive(strength);
        Epsilon = Guard.Positive(epsilon);
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
    public double Value(double x) => Strength * double.LogP1(Math.Abs(x) / Epsilon);

    /// <inheritdoc/>
    public T Prox<T>(T z, double step)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(new LogSumThreshold<T>(Guard.Step(step) * Strength, Epsilon), z);

    /// <inheritdoc/>
    public double SubdifferentialDistance(double x, double gradient) => Separable.Distance(x, gradient, Strength / (Math.Abs(x) + Epsilon));

    /// <inheritdoc/>
    public double Value<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.Value(this, x);

    /// <inheritdoc/>
    public void Prox<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(new LogSumThreshold<T>(Guard.Step(step) * Strength, Epsilon), z, result);

    /// <inheritdoc/>
    public void SubdifferentialDistance<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.SubdifferentialDistance(this, x, gradient, result);

    /// <inheritdoc/>
    public double LargestUsefulStrength(ReadOnlySpan<double> gradientAtZero, double step = 1)
    {
        double z = Guard.Step(step) * Guard.MaxMagnitude(gradientAtZero);
        double low = z * Epsilon;
        if (z <= Epsilon) return low / step;

        // The cut grows with mu and is at least 2 sqrt(mu) - epsilon.
        double high = (z + Epsilon) * (z + Epsilon) / 4;
        double epsilon = Epsilon;
        return Bisect(low, high, mu => Cut(mu, epsilon) < z) / step;
    }

    /// <summary>The largest |z| whose prox is 0.</summary>
    internal static double Cut(double mu, double epsilon)
    {
        double slope = mu / epsilon;
        if (mu <= epsilon * epsilon) return slope;

        // With a jump: 0 and the larger root tie at the cut. The root's advantage grows with z, so bisection finds it.
        return Bisect(2 * Math.Sqrt(mu) - epsilon, slope, z =>
        {
            double sum = z + epsilon;
            double x = (z - epsilon + Math.Sqrt(Math.Max(0, sum * sum - 4 * mu))) / 2;
            return x * (x / 2 - z) + mu * double.LogP1(x / epsilon) > 0;
        });
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
