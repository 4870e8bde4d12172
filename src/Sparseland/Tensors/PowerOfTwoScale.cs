using TorchSharp;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Sparseland.Tensors;

/// <summary>
/// The power of two, 2^<paramref name="Exponent"/>, in whose units the largest of some numbers is in [1, 2), so that their squares stay within the
/// range of double. Multiplying by powers of two rounds nothing: a result in the middle of the range is the same to the last bit with and without,
/// and the way back is exact.
/// </summary>
internal readonly record struct PowerOfTwoScale(int Exponent)
{
    // Beyond these the sum of squares has lost numbers to underflow or is close to infinity.
    private const double Least = 1e-280, Most = 1e280;

    // Of a power of two: what is left to the range of double is room for sums and products near one.
    private const int MostExponent = 1000;

    /// <summary>The largest magnitude whose square, summed and multiplied with its like, stays in the range of double.</summary>
    public const double LargestSafe = 1e140;

    /// <summary>The smallest magnitude of that kind.</summary>
    public const double SmallestSafe = 1e-140;

    /// <summary>Whether data of this largest magnitude can be squared: zero, or within the safe range.</summary>
    public static bool IsSafe(double largest) => largest is 0 or (>= SmallestSafe and <= LargestSafe);

    /// <summary>The scale of numbers whose largest magnitude this is; 2^0 for zero.</summary>
    public static PowerOfTwoScale Of(double largest) => new(largest == 0 ? 0 : Math.ILogB(largest));

    /// <summary>The scale of the values of a float64 or complex128 tensor that is not empty.</summary>
    public static PowerOfTwoScale Of(Tensor values) => Of(Largest(values));

    /// <summary>The largest magnitude; of complex values that of a real or imaginary part, which cannot overflow.</summary>
    public static double Largest(Tensor values)
    {
        using var scope = NewDisposeScope();
        Tensor real = values.dtype == ScalarType.ComplexFloat64 ? maximum(values.real.abs(), values.imag.abs()) : values.abs();
        return real.max().item<double>();
    }

    /// <summary>The scale of products of the two.</summary>
    public static PowerOfTwoScale operator +(PowerOfTwoScale a, PowerOfTwoScale b) => new(a.Exponent + b.Exponent);

    /// <summary>The scale of quotients of the two.</summary>
    public static PowerOfTwoScale operator -(PowerOfTwoScale a, PowerOfTwoScale b) => new(a.Exponent - b.Exponent);

    /// <summary>The scale of squares.</summary>
    public PowerOfTwoScale Squared => new(2 * Exponent);

    /// <summary>Whether numbers of about this size are float64s with room around them.</summary>
    public bool IsInRange => Math.Abs(Exponent) <= MostExponent;

    /// <summary>A number in units of the scale, back in its own.</summary>
    public double Up(double scaled) => Math.ScaleB(scaled, Exponent);

    /// <summary>A number in the units of the scale.</summary>
    public double Down(double value) => Math.ScaleB(value, -Exponent);

    /// <summary>Values in the units of the scale, in two halves: the power of two itself may be no float64.</summary>
    public Tensor Down(Tensor values)
    {
        using Tensor half = values.mul(Math.ScaleB(1, -Exponent / 2));
        return half.mul(Math.ScaleB(1, -Exponent - (-Exponent / 2)));
    }

    /// <summary>2^-e with largest 2^-e in [1, 2); 1 for zero. Clamped to 2^-1000 .. 2^1000.</summary>
    public static double ToOne(double largest) => Math.ScaleB(1, Math.Clamp(-Of(largest).Exponent, -MostExponent, MostExponent));

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
