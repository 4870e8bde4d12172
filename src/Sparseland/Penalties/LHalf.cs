using System.Numerics;
using Sparseland.Tensors;

namespace Sparseland.Penalties;

/// <summary>
/// l1/2: lambda |x|^(1/2). Prox: half thresholding, zero up to 1.5 (t lambda)^(2/3), where it jumps to (t lambda)^(2/3)
/// (Xu, Chang, Xu and Zhang 2012).
/// </summary>
/// <remarks>
/// The paper minimizes (x - z)^2 + lambda' |x|^(1/2), so its lambda' is 2 t lambda here and its threshold
/// (54^(1/3)/4) lambda'^(2/3) is the same number.
/// </remarks>
public readonly record struct LHalf : IThresholdPenalty
{
    /// <summary>Creates the penalty.</summary>
    /// <param name="strength">lambda, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">lambda is not positive and finite.</exception>
    public LHalf(double strength) => Strength = Finite.Positive(strength);

    /// <inheritdoc/>
    public double Strength { get; }

    /// <inheritdoc/>
    public string Name => "l1/2";

    /// <inheritdoc/>
    public bool IsConvex => false;

    /// <inheritdoc/>
    public int? Length => null;

    /// <inheritdoc/>
    public IPenalty WithStrength(double strength) => new LHalf(strength);

    /// <inheritdoc/>
    public double Value(double x) => Strength * Math.Sqrt(Math.Abs(x));

    /// <inheritdoc/>
    public T Prox<T>(T z, double step)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(new HalfThreshold<T>(Finite.Positive(step), Strength), z);

    /// <inheritdoc/>
    public double SubdifferentialDistance(double x, double gradient) => x == 0 ? 0 : Separable.Distance(x, gradient, Strength / (2 * Math.Sqrt(Math.Abs(x))));

    /// <inheritdoc/>
    public double Value<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.Value(this, x);

    /// <inheritdoc/>
    public void Prox<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(new HalfThreshold<T>(Finite.Positive(step), Strength), z, result);

    bool IThresholdPenalty.ProxMeetsNaN<T>(ReadOnlySpan<T> z, double step, Span<T> result) => Threshold.Apply(new HalfThreshold<T>(Finite.Positive(step), Strength), z, result);

    /// <inheritdoc/>
    public void SubdifferentialDistance<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.SubdifferentialDistance(this, x, gradient, result);

    /// <inheritdoc/>
    public double LargestUsefulStrength(ReadOnlySpan<double> gradientAtZero, double step = 1)
    {
        double third = Guard.MaxMagnitude(gradientAtZero) / 1.5;
        return third * Scaled.Root(Finite.Positive(step), third);
    }
}
