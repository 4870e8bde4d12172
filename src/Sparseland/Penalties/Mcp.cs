using System.Numerics;
using Sparseland.Tensors;

namespace Sparseland.Penalties;

/// <summary>
/// MCP, the minimax concave penalty (Zhang 2010): lambda |x| - x^2/(2 gamma) up to gamma lambda, then the constant
/// gamma lambda^2/2. Prox: firm thresholding, for steps t below gamma.
/// </summary>
public readonly record struct Mcp : IThresholdPenalty
{
    /// <summary>Creates the penalty.</summary>
    /// <param name="strength">lambda, positive.</param>
    /// <param name="gamma">Where the penalty turns flat, in units of lambda; must exceed every step. Default 3.</param>
    /// <exception cref="ArgumentOutOfRangeException">A parameter is not positive and finite.</exception>
    public Mcp(double strength, double gamma = 3)
    {
        Strength = Finite.Positive(strength);
        Gamma = Finite.Positive(gamma);
    }

    /// <summary>gamma.</summary>
    public double Gamma { get; }

    /// <inheritdoc/>
    public double Strength { get; }

    /// <inheritdoc/>
    public string Name => "MCP";

    /// <inheritdoc/>
    public bool IsConvex => false;

    /// <inheritdoc/>
    public int? Length => null;

    /// <inheritdoc/>
    public IPenalty WithStrength(double strength) => new Mcp(strength, Gamma);

    /// <inheritdoc/>
    public double Value(double x)
    {
        double a = Math.Abs(x);
        return a <= Gamma * Strength ? (Strength - a / Gamma / 2) * a : Scaled.Product(Gamma / 2, Strength, Strength);
    }

    /// <inheritdoc/>
    public T Prox<T>(T z, double step)
        where T : unmanaged, IFloatingPointIeee754<T> => Threshold.Apply(Rule<T>(step), z);

    /// <inheritdoc/>
    public double SubdifferentialDistance(double x, double gradient) => Separable.Distance(x, gradient, Math.Max(0, Strength - Math.Abs(x) / Gamma));

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

    private FirmThreshold<T> Rule<T>(double step)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (Finite.Positive(step) >= Gamma)
        {
            throw new ArgumentOutOfRangeException(
                nameof(step), step, $"MCP needs gamma > step for a unique prox; gamma is {Gamma}. Take a smaller step or a larger gamma.");
        }

        return new FirmThreshold<T>(step * Strength, 1 / (1 - step / Gamma));
    }
}
