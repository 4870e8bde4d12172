namespace Sparseland.Penalties;

/// <summary>Products and roots that leave the range of double only where their result does.</summary>
internal static class Scaled
{
    /// <summary>a b c for factors that are not negative: the largest meets the smallest first where the plain order leaves the range.</summary>
    public static double Product(double a, double b, double c)
    {
        double plain = a * b * c;
        if (double.IsNormal(plain) || a == 0 || b == 0 || c == 0) return plain;
        double max = Math.Max(a, Math.Max(b, c)), min = Math.Min(a, Math.Min(b, c));
        double middle = Math.Max(Math.Min(a, b), Math.Min(Math.Max(a, b), c));
        return max * min * middle;
    }

    /// <summary>sqrt(a b).</summary>
    public static double Root(double a, double b)
        => double.IsNormal(a * b) ? Math.Sqrt(a * b) : Math.Sqrt(a) * Math.Sqrt(b);

    /// <summary>(a b)^(2/3).</summary>
    public static double TwoThirds(double a, double b)
    {
        double root = double.IsNormal(a * b) ? Math.Cbrt(a * b) : Math.Cbrt(a) * Math.Cbrt(b);
        return root * root;
    }

    /// <summary>(a b)^(3/4).</summary>
    public static double ThreeQuarters(double a, double b)
    {
        double root = Root(a, b);
        return root * Math.Sqrt(root);
    }

    /// <summary>a b/c.</summary>
    public static double Quotient(double a, double b, double c)
        => double.IsNormal(a * b) ? a * b / c : Root(a, b) * (Root(a, b) / c);

    /// <summary>log(1 + a/b) for a >= 0 and b > 0.</summary>
    public static double LogOnePlus(double a, double b)
    {
        double ratio = a / b;
        return double.IsFinite(ratio) ? LogOnePlus(ratio) : Math.Log(a) - Math.Log(b);
    }

    /// <summary>log(1 + x) for x >= 0 to all digits; double.LogP1 takes the logarithm of the rounded sum, and loses small x.</summary>
    public static double LogOnePlus(double x)
    {
        double sum = 1 + x;
        if (sum == 1) return x;

        // The rounding error of the sum cancels in the quotient (Higham 2002, section 1.14.1).
        return double.IsFinite(sum) ? Math.Log(sum) * (x / (sum - 1)) : double.PositiveInfinity;
    }
}

/// <summary>
/// Euclidean norm, number by number (Blue 1978): very large and very small numbers have sums of their own, scaled by a power of two,
/// so that no square leaves the range.
/// </summary>
internal struct EuclideanNorm
{
    private const double Large = 1e145, Small = 1e-145;
    private static readonly double s_down = Math.ScaleB(1, -600), s_up = Math.ScaleB(1, 600);
    private double _large, _middle, _small;

    /// <summary>The norm of what was added.</summary>
    public readonly double Value
    {
        get
        {
            if (_large > 0) return Math.Sqrt(_large + (_middle * s_down * s_down)) * s_up;
            return _middle == 0 ? Math.Sqrt(_small) * s_down : Math.Sqrt(_middle + (_small * s_down * s_down));
        }
    }

    /// <summary>Adds a number; NaN and infinity stay what they are.</summary>
    public void Add(double x)
    {
        double size = Math.Abs(x);
        if (size > Large) _large += (x * s_down) * (x * s_down);
        else if (size < Small) _small += (x * s_up) * (x * s_up);
        else _middle += x * x;
    }
}
