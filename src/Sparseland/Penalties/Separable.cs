using System.Numerics;
using System.Runtime.CompilerServices;

namespace Sparseland.Penalties;

/// <summary>Sums and loops over coefficients for separable penalties, compiled for each penalty type.</summary>
internal static class Separable
{
    public static double Value<TPenalty, T>(in TPenalty penalty, ReadOnlySpan<T> x)
        where TPenalty : struct, ISeparablePenalty
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        double sum = 0;
        foreach (T value in x)
        {
            // Codes are mostly exact zeros, and every penalty is 0 there.
            if (value != T.Zero) sum += penalty.Value(double.CreateTruncating(value));
        }

        return sum;
    }

    public static void SubdifferentialDistance<TPenalty, T>(
        in TPenalty penalty, ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, Span<T> result)
        where TPenalty : struct, ISeparablePenalty
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        Guard.SameLength(x.Length, gradient.Length, nameof(x), nameof(gradient));
        Guard.SameLength(x.Length, result.Length, nameof(x), nameof(result));
        for (int i = 0; i < x.Length; i++)
        {
            result[i] = Guard.To<T>(penalty.SubdifferentialDistance(
                double.CreateTruncating(x[i]), double.CreateTruncating(gradient[i])));
        }
    }

    /// <summary>Distance where pen is differentiable off 0 with slope(|x|) and has the finite slope(0+) at 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Distance(double x, double gradient, double slope)
        => x == 0 ? Above(Math.Abs(gradient), slope) : Math.Abs(gradient + Math.CopySign(slope, x));

    // Not Math.Max(0, ...): that keeps NaN as well, but says less.
    private static double Above(double magnitude, double slope) => magnitude <= slope ? 0 : magnitude - slope;
}
