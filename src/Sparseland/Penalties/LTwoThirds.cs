using System.Numerics;
using Sparseland.Tensors;

namespace Sparseland.Penalties;

/// <summary>
/// l2/3: lambda |x|^(2/3). Prox: zero up to 2 (2 t lambda/3)^(3/4), where it jumps to half of that; above it the closed form of
/// Cao, Sun and Xu (2013).
/// </summary>
public readonly record struct LTwoThirds : IThresholdPenalty
{
    /// <summary>Creates the penalty.</summary>
    /// <param name="strength">lambda, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">lambda is not positive and finite.</exception>
    public LTwoThirds(double strength) => Strength = Finite.Positive(strength);

    /// <inheritdoc/>
    public double Strength { get; }

    /// <inheritdoc/>
    public string Name => "l2/3";

    /// <inheritdoc/>
    public bool IsConvex => false;

    /// <inheritdoc/>
    public int? Length => null;

    /// <inheritdoc/>
    public IPenalty WithStrength(double strength) => new LTwoThirds(strength);

    /// <inheritdoc/>
    public double Value(double x) => Strength * Math.Pow(Math.Cbrt(Math.Abs(x)), 2);

    /// <inheritdoc/>
    public T Prox<T>(T z, double step)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(new TwoThirdsThreshold<T>(Finite.Positive(step), Strength), z);

    /// <inheritdoc/>
    public double SubdifferentialDistance(double x, double gradient) => x == 0 ? 0 : Separable.Distance(x, gradient, Strength / (1.5 * Math.Cbrt(Math.Abs(x))));

    /// <inheritdoc/>
    public double Value<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.Value(this, x);

    /// <inheritdoc/>
    public void Prox<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(new TwoThirdsThreshold<T>(Finite.Positive(step), Strength), z, result);

    bool IThresholdPenalty.ProxMeetsNaN<T>(ReadOnlySpan<T> z, double step, Span<T> result) => Threshold.Apply(new TwoThirdsThreshold<T>(Finite.Positive(step), Strength), z, result);

    /// <inheritdoc/>
    public void SubdifferentialDistance<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.SubdifferentialDistance(this, x, gradient, result);

    /// <inheritdoc/>
    public double LargestUsefulStrength(ReadOnlySpan<double> gradientAtZero, double step = 1)
    {
        double half = Guard.MaxMagnitude(gradientAtZero) / 2;
        return 1.5 * half * Math.Cbrt(Finite.Positive(step)) * Math.Cbrt(half);
    }
}
