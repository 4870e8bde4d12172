using System.Numerics;

namespace Sparseland.Penalties;

/// <summary>
/// A penalty pen(x) on a vector of coefficients, as a solver sees it: its value, its proximal operator and the distance of a
/// gradient to its subdifferential. Solvers combine freely with whatever implements this.
/// </summary>
/// <remarks>
/// Convention of the whole library: prox(z, t) = argmin_x 1/2 ||x - z||^2 + t pen(x), and the strength lambda is part of pen.
/// NaN in gives NaN out, never a silent zero.
/// </remarks>
public interface IPenalty
{
    /// <summary>Name as the field knows it, for tables and legends.</summary>
    string Name { get; }

    /// <summary>lambda, positive.</summary>
    double Strength { get; }

    /// <summary>Whether pen is convex, so that its prox is single-valued and non-expansive.</summary>
    bool IsConvex { get; }

    /// <summary>How many coefficients each call must hold, or null where any number will do (separable penalties).</summary>
    int? Length { get; }

    /// <summary>The same penalty with another lambda.</summary>
    /// <param name="strength">The new lambda, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">lambda is not positive and finite.</exception>
    IPenalty WithStrength(double strength);

    /// <summary>pen(x), summed in double.</summary>
    /// <param name="x">Coefficients.</param>
    double Value<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T>;

    /// <summary>argmin_x 1/2 ||x - z||^2 + step pen(x). Where two minimizers tie, the result is 0.</summary>
    /// <param name="z">The point; may be the same memory as <paramref name="result"/>.</param>
    /// <param name="step">t, positive.</param>
    /// <param name="result">Receives the minimizer; as long as <paramref name="z"/>.</param>
    /// <exception cref="ArgumentException">Lengths differ, or the step breaks a condition of the penalty.</exception>
    void Prox<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T>;

    /// <summary>
    /// The shortest vector of gradient + subdifferential of pen at x, entry by entry as absolute values: all zero exactly where
    /// x is stationary for f + pen, and its Euclidean norm is the distance to stationarity.
    /// </summary>
    /// <remarks>
    /// Non-convex penalties use the limiting subdifferential, which for l0, l1/2 and l2/3 is the whole line at 0: there every
    /// zero is stationary, and <see cref="Optimality.FixedPointResidual{T}"/> is the sharper test.
    /// </remarks>
    /// <param name="x">Coefficients.</param>
    /// <param name="gradient">Gradient of the data fit at x.</param>
    /// <param name="result">Receives the distances; all spans have one length.</param>
    void SubdifferentialDistance<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T>;

    /// <summary>
    /// The smallest lambda for which a proximal gradient step from zero stays at zero: prox(-step gradient, step) = 0. For
    /// convex penalties and those with a finite slope at 0 this is the usual lambda_max, whatever the step.
    /// </summary>
    /// <param name="gradientAtZero">Gradient of the data fit at zero.</param>
    /// <param name="step">t, positive. Default 1.</param>
    double LargestUsefulStrength(ReadOnlySpan<double> gradientAtZero, double step = 1);
}

/// <summary>
/// A penalty that is a sum over coefficients of one even function that grows with |x|. Implemented by small structs, so that a
/// loop generic over the penalty is compiled for each of them.
/// </summary>
public interface ISeparablePenalty : IPenalty
{
    /// <summary>pen of one coefficient.</summary>
    /// <param name="x">The coefficient.</param>
    double Value(double x);

    /// <summary>Scalar proximal operator: argmin_x 1/2 (x - z)^2 + step pen(x); 0 at a tie.</summary>
    /// <param name="z">The point.</param>
    /// <param name="step">t, positive.</param>
    T Prox<T>(T z, double step)
        where T : unmanaged, IFloatingPointIeee754<T>;

    /// <summary>Distance of -gradient to the subdifferential of pen at x.</summary>
    /// <param name="x">The coefficient.</param>
    /// <param name="gradient">Partial derivative of the data fit at x.</param>
    double SubdifferentialDistance(double x, double gradient);
}
