using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Sparseland.Penalties;

/// <summary>sum x_i^2 in double, in a fixed order: float32 numbers are widened first, so that long groups lose no digits.</summary>
internal static class SumOfSquares
{
    public static double Of<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) == typeof(double)) return TensorPrimitives.SumOfSquares(MemoryMarshal.Cast<T, double>(x));
        if (typeof(T) == typeof(float)) return Widened(MemoryMarshal.Cast<T, float>(x));
        double sum = 0;
        foreach (T value in x) sum += Square(value);
        return sum;
    }

    /// <summary>|x|, without overflow or underflow of the squares.</summary>
    public static double Norm<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        double squares = Of(x);
        if (IsSafe(squares)) return Math.Sqrt(squares);
        var norm = default(EuclideanNorm);
        foreach (T value in x) norm.Add(double.CreateTruncating(value));
        return norm.Value;
    }

    /// <summary>Norm of the coefficients at ascending indices.</summary>
    public static double Norm<T>(ReadOnlySpan<T> x, ReadOnlySpan<int> members)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (IsRun(members)) return Norm(x.Slice(members[0], members.Length));
        double squares = 0;
        foreach (int i in members) squares += Square(x[i]);
        if (IsSafe(squares)) return Math.Sqrt(squares);
        var norm = default(EuclideanNorm);
        foreach (int i in members) norm.Add(double.CreateTruncating(x[i]));
        return norm.Value;
    }

    /// <summary>Whether ascending indices are neighbours.</summary>
    public static bool IsRun(ReadOnlySpan<int> members) => members[^1] - members[0] == members.Length - 1;

    // Below, squares may have lost digits or vanished.
    private static bool IsSafe(double squares) => squares > 1e-270 && squares < double.PositiveInfinity;

    private static double Widened(ReadOnlySpan<float> x)
    {
        ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(x);
        Vector<double> low = Vector<double>.Zero, high = Vector<double>.Zero;
        foreach (Vector<float> v in vectors)
        {
            Vector.Widen(v, out Vector<double> a, out Vector<double> b);
            low += a * a;
            high += b * b;
        }

        double sum = Vector.Sum(low + high);
        foreach (float value in x[(vectors.Length * Vector<float>.Count)..]) sum += (double)value * value;
        return sum;
    }

    private static double Square<T>(T value)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        double x = double.CreateTruncating(value);
        return x * x;
    }
}
