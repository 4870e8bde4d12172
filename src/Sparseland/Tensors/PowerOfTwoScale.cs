using System.Numerics.Tensors;

namespace Sparseland.Tensors;

/// <summary>
/// Powers of two that bring numbers near one, so that their squares stay within the range of double. Multiplying by them rounds nothing, so a
/// result in the middle of the range is the same to the last bit with and without.
/// </summary>
internal static class PowerOfTwoScale
{
    // Beyond these the sum of squares has lost numbers to underflow or is close to infinity.
    private const double Least = 1e-280, Most = 1e280;

    /// <summary>The largest magnitude whose square, summed and multiplied with its like, stays in the range of double.</summary>
    public const double LargestSafe = 1e140;

    /// <summary>The smallest magnitude of that kind.</summary>
    public const double SmallestSafe = 1e-140;

    /// <summary>Whether data of this largest magnitude can be squared: zero, or within the safe range.</summary>
    public static bool IsSafe(double largest) => largest is 0 or (>= SmallestSafe and <= LargestSafe);

    /// <summary>2^-e with largest 2^-e in [1, 2); 1 for zero. Clamped to 2^-1000 .. 2^1000.</summary>
    public static double ToOne(double largest) => largest == 0 ? 1 : Math.ScaleB(1, Math.Clamp(-Math.ILogB(largest), -1000, 1000));

    /// <summary>2^-e for the largest magnitude of the values.</summary>
    public static double ToOne(ReadOnlySpan<double> values) => values.IsEmpty ? 1 : ToOne(Math.Abs(TensorPrimitives.MaxMagnitude(values)));

    /// <summary>||values||_2 without underflow or overflow on the way.</summary>
    public static double Norm(ReadOnlySpan<double> values)
    {
        double squares = TensorPrimitives.SumOfSquares(values);
        if (squares is (>= Least and <= Most) || double.IsNaN(squares)) return Math.Sqrt(squares);
        double scale = ToOne(values);
        if (!double.IsFinite(scale)) return squares;
        double sum = 0;
        foreach (double value in values) sum += value * scale * (value * scale);
        return Math.Sqrt(sum) / scale;
    }
}
