using System.Numerics;
using Sparseland.Tensors;

namespace Sparseland.Penalties;

/// <summary>
/// CEL0, the continuous exact relaxation of l0 (Soubies, Blanc-Feraud and Aubert 2015):
/// lambda - (c^2/2)(|x| - sqrt(2 lambda)/c)^2 up to sqrt(2 lambda)/c, then lambda, with c the norm of the coefficient's atom.
/// Prox: firm thresholding where t c^2 &lt; 1, else hard thresholding at sqrt(2 t lambda).
/// </summary>
/// <remarks>The same function as MCP with lambda_mcp = c sqrt(2 lambda), gamma = 1/c^2. Never above lambda |x|_0.</remarks>
public readonly record struct Cel0 : IThresholdPenalty
{
    /// <summary>Creates the penalty.</summary>
    /// <param name="strength">lambda, positive: the price of one active coefficient, as in l0.</param>
    /// <param name="atomNorm">c, Euclidean norm of the atoms, positive. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A parameter is not positive and finite.</exception>
    public Cel0(double strength, double atomNorm = 1)
    {
        Strength = Finite.Positive(strength);
        AtomNorm = Finite.Positive(atomNorm);
    }

    /// <summary>c.</summary>
    public double AtomNorm { get; }

    /// <summary>sqrt(2 lambda)/c, the magnitude from which a coefficient costs lambda in full.</summary>
    public double Knee => Slope / AtomNorm;

    /// <summary>sqrt(2 lambda): the slope at 0 in units of c.</summary>
    private double Slope => Scaled.Root(2, Strength);

    /// <inheritdoc/>
    public double Strength { get; }

    /// <inheritdoc/>
    public string Name => "CEL0";

    /// <inheritdoc/>
    public bool IsConvex => false;

    /// <inheritdoc/>
    public int? Length => null;

    /// <inheritdoc/>
    public IPenalty WithStrength(double strength) => new Cel0(strength, AtomNorm);

    /// <inheritdoc/>
    public double Value(double x)
    {
        // lambda - (c^2/2)(knee - |x|)^2, multiplied out: it loses no digits near 0.
        double a = AtomNorm * Math.Abs(x);
        return a >= Slope ? Strength : a * (Slope - a / 2);
    }

    /// <inheritdoc/>
    public T Prox<T>(T z, double step)
        where T : unmanaged, IFloatingPointIeee754<T> => step * AtomNorm * AtomNorm < 1
            ? Threshold.Apply(Firm<T>(step), z)
            : Threshold.Apply(new HardThreshold<T>(Scaled.Root(2 * Finite.Positive(step), Strength)), z);

    /// <inheritdoc/>
    public double SubdifferentialDistance(double x, double gradient) => Separable.Distance(x, gradient, AtomNorm * Math.Max(0, Slope - AtomNorm * Math.Abs(x)));

    /// <inheritdoc/>
    public double Value<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.Value(this, x);

    /// <inheritdoc/>
    public void Prox<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Apply(z, step, result);

    bool IThresholdPenalty.ProxMeetsNaN<T>(ReadOnlySpan<T> z, double step, Span<T> result) => Apply(z, step, result);

    /// <inheritdoc/>
    public void SubdifferentialDistance<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => Separable.SubdifferentialDistance(this, x, gradient, result);

    /// <inheritdoc/>
    public double LargestUsefulStrength(ReadOnlySpan<double> gradientAtZero, double step = 1)
    {
        double max = Guard.MaxMagnitude(gradientAtZero);
        return Finite.Positive(step) * AtomNorm * AtomNorm < 1 ? max / AtomNorm * (max / AtomNorm / 2) : Scaled.Product(step / 2, max, max);
    }

    private bool Apply<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => step * AtomNorm * AtomNorm < 1
            ? Threshold.Apply(Firm<T>(step), z, result)
            : Threshold.Apply(new HardThreshold<T>(Scaled.Root(2 * Finite.Positive(step), Strength)), z, result);

    private FirmThreshold<T> Firm<T>(double step)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        return new FirmThreshold<T>(Scaled.Product(Finite.Positive(step), AtomNorm, Slope), 1 / (1 - step * AtomNorm * AtomNorm));
    }
}
