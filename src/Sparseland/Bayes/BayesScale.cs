using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>
/// The scale of y = Phi x + n as powers of two: the solvers work on Phi/2^<paramref name="Phi"/> and y/2^<paramref name="Y"/>, whose largest
/// entries are in [1, 2), so that no square inside overflows or vanishes. Powers of two round nothing, so that undoing them is exact.
/// </summary>
internal readonly record struct BayesScale(int Phi, int Y)
{
    private const int Most = 1000;

    /// <summary>The scale of checked data.</summary>
    /// <exception cref="ArgumentException">A variance of the answer, a square in the units of x or y, is no float64.</exception>
    public static BayesScale Of(Tensor Phi, Tensor y)
    {
        (double columns, double data) = (Largest(Phi), Largest(y));
        var scale = new BayesScale(Math.ILogB(columns), data == 0 ? 0 : Math.ILogB(data));
        if (Math.Abs(2 * scale.Y) > Most)
            throw new ArgumentException($"The largest magnitude of y is {data:g3}; noise variances are in its squared units, so it must be from 1e-150 to 1e150. Scale y.", nameof(y));
        if (Math.Abs(2 * (scale.Y - scale.Phi)) > Most)
        {
            throw new ArgumentException(
                $"The largest magnitudes are {columns:g3} (Phi) and {data:g3} (y); prior variances are squares of y/Phi, which must be from 1e-150 to 1e150. Scale Phi or y.", nameof(Phi));
        }

        return scale;
    }

    /// <summary>Phi in the units of the computation.</summary>
    public Tensor OfPhi(Tensor values) => Shift(values, -Phi);

    /// <summary>y in the units of the computation.</summary>
    public Tensor OfY(Tensor values) => Shift(values, -Y);

    /// <summary>Coefficients or deviations, back in their own units.</summary>
    public double Coefficient => Math.ScaleB(1, Y - Phi);

    /// <summary>A prior or posterior variance, back in squared units of x.</summary>
    public double Variance(double scaled) => Math.ScaleB(scaled, 2 * (Y - Phi));

    /// <summary>A noise variance, back in squared units of y.</summary>
    public double Noise(double scaled) => Math.ScaleB(scaled, 2 * Y);

    /// <summary>A variance of x in the units of the computation.</summary>
    public double OfVariance(double variance, string name) => Finite(variance, Math.ScaleB(variance, 2 * (Phi - Y)), name);

    /// <summary>A noise model in the units of the computation.</summary>
    public NoiseModel Of(NoiseModel noise)
    {
        int shift = -2 * Y;
        double? Shifted(double? value) => value is { } given ? Finite(given, Math.ScaleB(given, shift), nameof(noise)) : null;
        double? least = Shifted(noise.Least), variance = Shifted(noise.Variance);
        return noise.IsLearned ? NoiseModel.Learn(variance, least) : NoiseModel.Known(variance!.Value);
    }

    /// <summary>What log det C gains for each number of y.</summary>
    public double LogUnit => 2 * Y * Math.Log(2);

    /// <summary>
    /// The square of the largest coefficient that one column alone would have, |phi^H y|/||phi||^2: the order of a non-zero's variance. 1 for y = 0.
    /// </summary>
    public static double VarianceOfLargest(Tensor Phi, Tensor y)
    {
        using var scope = NewDisposeScope();
        Tensor power = Phi.abs().square().sum([0]);
        double largest = Phi.mH.mm(y.reshape(y.shape[0], -1)).abs().square().mean([1]).div(power.square()).max().item<double>();
        return largest > 0 && double.IsFinite(largest) ? largest : 1;
    }

    private static double Largest(Tensor values)
    {
        using var scope = NewDisposeScope();
        Tensor real = values.dtype == ScalarType.ComplexFloat64 ? maximum(values.real.abs(), values.imag.abs()) : values.abs();
        return real.max().item<double>();
    }

    /// <summary>In two halves: the power of two itself may be no float64.</summary>
    private static Tensor Shift(Tensor values, int by)
    {
        using Tensor half = values.mul(Math.ScaleB(1, by / 2));
        return half.mul(Math.ScaleB(1, by - (by / 2)));
    }

    private static double Finite(double given, double scaled, string name) => double.IsFinite(scaled) && scaled > 0 == given > 0 ? scaled
        : throw new ArgumentException($"{name} is {given:g3}, which beside the scale of Phi and y is no float64; give it in their squared units.", name);
}
