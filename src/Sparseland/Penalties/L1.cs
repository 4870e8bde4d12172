using System.Numerics;
using Sparseland.Tensors;

namespace Sparseland.Penalties;

/// <summary>l1: lambda |x|. Prox: soft thresholding at t lambda.</summary>
public readonly record struct L1 : IThresholdPenalty
{
    /// <summary>Creates the penalty.</summary>
    /// <param name="strength">lambda, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">lambda is not positive and finite.</exception>
    public L1(double strength) => Strength = Finite.Positive(strength);

    /// <inheritdoc/>
    public double Strength { get; }

    /// <inheritdoc/>
    public string Name => "l1";

    /// <inheritdoc/>
    public bool IsConvex => true;

    /// <inheritdoc/>
    public int? Length => null;

    /// <inheritdoc/>
    public IPenalty WithStrength(double strength) => new L1(strength);

    /// <inheritdoc/>
    public double Value(double x) => Strength * Math.Abs(x);

    /// <inheritdoc/>
    public T Prox<T>(T z, double step)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(new SoftThreshold<T>(Finite.Positive(step) * Strength), z);

    /// <inheritdoc/>
    public double SubdifferentialDistance(double x, double gradient) => Separable.Distance(x, gradient, Strength);

    /// <inheritdoc/>
    public double Value<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.Value(this, x);

    /// <inheritdoc/>
    public void Prox<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(new SoftThreshold<T>(Finite.Positive(step) * Strength), z, result);

    bool IThresholdPenalty.ProxMeetsNaN<T>(ReadOnlySpan<T> z, double step, Span<T> result) => Threshold.Apply(new SoftThreshold<T>(Finite.Positive(step) * Strength), z, result);

    /// <inheritdoc/>
    public void SubdifferentialDistance<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.SubdifferentialDistance(this, x, gradient, result);

    /// <inheritdoc/>
    public double LargestUsefulStrength(ReadOnlySpan<double> gradientAtZero, double step = 1) => Guard.MaxMagnitude(gradientAtZero);
}
