using System.Numerics;
using Sparseland.Tensors;

namespace Sparseland.Penalties;

/// <summary>
/// Elastic net: lambda1 |x| + (lambda2/2) x^2 (Zou and Hastie 2005). Prox: soft thresholding at t lambda1, divided by
/// 1 + t lambda2. <see cref="Strength"/> is lambda1.
/// </summary>
public readonly record struct ElasticNet : IThresholdPenalty
{
    /// <summary>Creates the penalty.</summary>
    /// <param name="strength">lambda1, positive.</param>
    /// <param name="ridge">lambda2, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">A parameter is not positive and finite.</exception>
    public ElasticNet(double strength, double ridge)
    {
        Strength = Finite.Positive(strength);
        Ridge = Finite.Positive(ridge);
    }

    /// <summary>lambda2.</summary>
    public double Ridge { get; }

    /// <inheritdoc/>
    public double Strength { get; }

    /// <inheritdoc/>
    public string Name => "elastic net";

    /// <inheritdoc/>
    public bool IsConvex => true;

    /// <inheritdoc/>
    public int? Length => null;

    /// <inheritdoc/>
    public IPenalty WithStrength(double strength) => new ElasticNet(strength, Ridge);

    /// <inheritdoc/>
    public double Value(double x) => Strength * Math.Abs(x) + Scaled.Product(Ridge / 2, Math.Abs(x), Math.Abs(x));

    /// <inheritdoc/>
    public T Prox<T>(T z, double step)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(new ShrunkSoftThreshold<T>(Finite.Positive(step) * Strength, step, Ridge), z);

    /// <inheritdoc/>
    public double SubdifferentialDistance(double x, double gradient) => Separable.Distance(x, gradient, Strength + Ridge * Math.Abs(x));

    /// <inheritdoc/>
    public double Value<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.Value(this, x);

    /// <inheritdoc/>
    public void Prox<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(new ShrunkSoftThreshold<T>(Finite.Positive(step) * Strength, step, Ridge), z, result);

    bool IThresholdPenalty.ProxMeetsNaN<T>(ReadOnlySpan<T> z, double step, Span<T> result) => Threshold.Apply(new ShrunkSoftThreshold<T>(Finite.Positive(step) * Strength, step, Ridge), z, result);

    /// <inheritdoc/>
    public void SubdifferentialDistance<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.SubdifferentialDistance(this, x, gradient, result);

    /// <inheritdoc/>
    public double LargestUsefulStrength(ReadOnlySpan<double> gradientAtZero, double step = 1) => Guard.MaxMagnitude(gradientAtZero);
}
