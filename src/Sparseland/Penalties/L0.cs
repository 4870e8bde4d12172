using System.Numerics;
using Sparseland.Tensors;

namespace Sparseland.Penalties;

/// <summary>l0: lambda where x is not 0. Prox: hard thresholding at sqrt(2 t lambda).</summary>
/// <remarks>Zero is always a local minimizer, so the subdifferential at 0 is the whole line.</remarks>
public readonly record struct L0 : IThresholdPenalty
{
    /// <summary>Creates the penalty.</summary>
    /// <param name="strength">lambda, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">lambda is not positive and finite.</exception>
    public L0(double strength) => Strength = Finite.Positive(strength);

    /// <inheritdoc/>
    public double Strength { get; }

    /// <inheritdoc/>
    public string Name => "l0";

    /// <inheritdoc/>
    public bool IsConvex => false;

    /// <inheritdoc/>
    public int? Length => null;

    /// <inheritdoc/>
    public IPenalty WithStrength(double strength) => new L0(strength);

    /// <inheritdoc/>
    public double Value(double x) => x == 0 ? 0 : Strength;

    /// <inheritdoc/>
    public T Prox<T>(T z, double step)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(new HardThreshold<T>(Scaled.Root(2 * Finite.Positive(step), Strength)), z);

    /// <inheritdoc/>
    public double SubdifferentialDistance(double x, double gradient) => x == 0 ? 0 : Math.Abs(gradient);

    /// <inheritdoc/>
    public double Value<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.Value(this, x);

    /// <inheritdoc/>
    public void Prox<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(new HardThreshold<T>(Scaled.Root(2 * Finite.Positive(step), Strength)), z, result);

    bool IThresholdPenalty.ProxMeetsNaN<T>(ReadOnlySpan<T> z, double step, Span<T> result) => Threshold.Apply(new HardThreshold<T>(Scaled.Root(2 * Finite.Positive(step), Strength)), z, result);

    /// <inheritdoc/>
    public void SubdifferentialDistance<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.SubdifferentialDistance(this, x, gradient, result);

    /// <inheritdoc/>
    public double LargestUsefulStrength(ReadOnlySpan<double> gradientAtZero, double step = 1)
    {
        double max = Guard.MaxMagnitude(gradientAtZero);
        return Scaled.Product(Finite.Positive(step) / 2, max, max);
    }
}
