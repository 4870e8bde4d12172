using System.Numerics;
using Sparseland.Tensors;

namespace Sparseland.Penalties;

/// <summary>
/// SCAD, the smoothly clipped absolute deviation (Fan and Li 2001): lambda |x| up to lambda, a quadratic up to a lambda, then the
/// constant lambda^2 (a + 1)/2. Prox in three pieces, for steps t with a > 1 + t.
/// </summary>
public readonly record struct Scad : IThresholdPenalty
{
    /// <summary>Creates the penalty.</summary>
    /// <param name="strength">lambda, positive.</param>
    /// <param name="a">Where the penalty turns flat, in units of lambda; above 2, and above 1 + t for every step t. Default 3.7.</param>
    /// <exception cref="ArgumentOutOfRangeException">lambda is not positive, or a is not above 2.</exception>
    public Scad(double strength, double a = 3.7)
    {
        Strength = Finite.Positive(strength);
        A = a > 2 && double.IsFinite(a) ? a : throw new ArgumentOutOfRangeException(nameof(a), a, "SCAD needs a finite a > 2.");
    }

    /// <summary>a.</summary>
    public double A { get; }

    /// <inheritdoc/>
    public double Strength { get; }

    /// <inheritdoc/>
    public string Name => "SCAD";

    /// <inheritdoc/>
    public bool IsConvex => false;

    /// <inheritdoc/>
    public int? Length => null;

    /// <inheritdoc/>
    public IPenalty WithStrength(double strength) => new Scad(strength, A);

    /// <inheritdoc/>
    public double Value(double x)
    {
        double m = Math.Abs(x);
        return m <= Strength ? Strength * m
            : m <= A * Strength ? Strength * m - (m - Strength) * ((m - Strength) / (2 * (A - 1)))
            : Scaled.Product((A + 1) / 2, Strength, Strength);
    }

    /// <inheritdoc/>
    public T Prox<T>(T z, double step)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(Rule<T>(step), z);

    /// <inheritdoc/>
    public double SubdifferentialDistance(double x, double gradient)
    {
        double m = Math.Abs(x);
        return Separable.Distance(x, gradient, m <= Strength ? Strength : Math.Max(0, Strength - (m - Strength) / (A - 1)));
    }

    /// <inheritdoc/>
    public double Value<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.Value(this, x);

    /// <inheritdoc/>
    public void Prox<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(Rule<T>(step), z, result);

    bool IThresholdPenalty.ProxMeetsNaN<T>(ReadOnlySpan<T> z, double step, Span<T> result) => Threshold.Apply(Rule<T>(step), z, result);

    /// <inheritdoc/>
    public void SubdifferentialDistance<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.SubdifferentialDistance(this, x, gradient, result);

    /// <inheritdoc/>
    public double LargestUsefulStrength(ReadOnlySpan<double> gradientAtZero, double step = 1) => Guard.MaxMagnitude(gradientAtZero);

    private ScadThreshold<T> Rule<T>(double step)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (A <= 1 + Finite.Positive(step))
        {
            throw new ArgumentOutOfRangeException(
                nameof(step), step, $"SCAD needs a > 1 + step for a unique prox; a is {A}. Take a smaller step or a larger a.");
        }

        return new ScadThreshold<T>(Strength, A, step);
    }
}
