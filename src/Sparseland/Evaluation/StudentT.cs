using Sparseland.Tensors;

namespace Sparseland.Evaluation;

/// <summary>Student's t distribution, through the regularised incomplete beta function.</summary>
public static class StudentT
{
    // Lanczos (1964) with g = 7 and nine terms: 15 digits for x > 0.
    private static readonly double[] s_lanczos =
    [
        0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
        12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
    ];

    /// <summary>P(T &lt;= x).</summary>
    /// <param name="x">Any number, infinities included.</param>
    /// <param name="degrees">Degrees of freedom, positive and finite.</param>
    /// <exception cref="ArgumentException">x is NaN, or the degrees are not positive.</exception>
    public static double Cdf(double x, double degrees)
    {
        CheckDegrees(degrees);
        if (double.IsNaN(x)) throw new ArgumentException("x is not a number.", nameof(x));
        if (double.IsInfinity(x)) return x > 0 ? 1 : 0;

        // The tail from whichever form does not subtract nearly equal numbers.
        double square = x * x, share = square / (degrees + square);
        double tail = share < 0.5
            ? 0.5 * (1 - RegularizedIncompleteBeta(0.5, degrees / 2, share))
            : 0.5 * RegularizedIncompleteBeta(degrees / 2, 0.5, degrees / (degrees + square));
        return x > 0 ? 1 - tail : tail;
    }

    /// <summary>The x with P(T &lt;= x) = share, to rounding, by bisection.</summary>
    /// <param name="share">In (0, 1).</param>
    /// <param name="degrees">Degrees of freedom, positive and finite.</param>
    /// <exception cref="ArgumentOutOfRangeException">Outside.</exception>
    public static double Quantile(double share, double degrees)
    {
        CheckDegrees(degrees);
        if (!(share > 0 && share < 1)) throw new ArgumentOutOfRangeException(nameof(share), share, "A share must be in (0, 1).");
        if (share == 0.5) return 0;
        double low = -1, high = 1;
        while (Cdf(low, degrees) > share) low *= 2;
        while (Cdf(high, degrees) < share) high *= 2;
        while (true)
        {
            double middle = low + ((high - low) / 2);
            if (middle <= low || middle >= high) return middle;
            if (Cdf(middle, degrees) < share) low = middle;
            else high = middle;
        }
    }

    /// <summary>I_x(a, b), the share of the beta function's integral below x.</summary>
    /// <param name="a">Positive and finite.</param>
    /// <param name="b">Positive and finite.</param>
    /// <param name="x">In [0, 1].</param>
    /// <exception cref="ArgumentOutOfRangeException">Outside.</exception>
    public static double RegularizedIncompleteBeta(double a, double b, double x)
    {
        Finite.Positive(a);
        Finite.Positive(b);
        if (!(x >= 0 && x <= 1)) throw new ArgumentOutOfRangeException(nameof(x), x, "x must be in [0, 1].");
        if (x is 0 or 1) return x;

        // The continued fraction converges fast below the mean; above it the mirrored one does.
        return x < (a + 1) / (a + b + 2) ? Fraction(a, b, x) : 1 - Fraction(b, a, 1 - x);
    }

    /// <summary>log Gamma(x).</summary>
    /// <param name="x">Positive and finite.</param>
    /// <exception cref="ArgumentOutOfRangeException">Outside.</exception>
    public static double LogGamma(double x)
    {
        Finite.Positive(x);
        if (x < 0.5) return Math.Log(Math.PI / Math.Sin(Math.PI * x)) - LogGamma(1 - x);
        double sum = s_lanczos[0], shifted = x + 6.5;
        for (int i = 1; i < s_lanczos.Length; i++) sum += s_lanczos[i] / (x - 1 + i);
        return (0.5 * Math.Log(2 * Math.PI)) + ((x - 0.5) * Math.Log(shifted)) - shifted + Math.Log(sum);
    }

    // The continued fraction 26.5.8 of Abramowitz and Stegun by the method of Lentz (1976).
    private static double Fraction(double a, double b, double x)
    {
        const double Tiny = 1e-300;
        double front = Math.Exp(LogGamma(a + b) - LogGamma(a) - LogGamma(b) + (a * Math.Log(x)) + (b * Math.Log(1 - x))) / a;
        double Kept(double v) => Math.Abs(v) < Tiny ? Tiny : v;
        double c = 1, d = 1 / Kept(1 - ((a + b) * x / (a + 1))), value = d;
        for (int k = 1; k <= 10_000; k++)
        {
            double even = k * (b - k) * x / ((a + (2 * k) - 1) * (a + (2 * k)));
            d = 1 / Kept(1 + (even * d));
            c = Kept(1 + (even / c));
            value *= d * c;
            double odd = -(a + k) * (a + b + k) * x / ((a + (2 * k)) * (a + (2 * k) + 1));
            d = 1 / Kept(1 + (odd * d));
            c = Kept(1 + (odd / c));
            double step = d * c;
            value *= step;
            if (Math.Abs(step - 1) < 1e-16) break;
        }

        return front * value;
    }

    private static void CheckDegrees(double degrees)
    {
        if (!(degrees > 0) || !double.IsFinite(degrees))
            throw new ArgumentOutOfRangeException(nameof(degrees), degrees, "The degrees of freedom must be positive and finite.");
    }
}
