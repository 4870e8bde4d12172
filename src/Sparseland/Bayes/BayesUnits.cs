using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>
/// The units of y = Phi x + n: the solvers work on Phi and y in units of their own scales, where every absolute number of an algorithm means the
/// same for all data, and everything that goes in or out is converted here.
/// </summary>
/// <param name="Phi">Scale of Phi.</param>
/// <param name="Y">Scale of y.</param>
internal readonly record struct BayesUnits(PowerOfTwoScale Phi, PowerOfTwoScale Y)
{
    /// <summary>The units of checked data.</summary>
    /// <exception cref="ArgumentException">A variance of the answer, a square in the units of x or y, is no float64.</exception>
    public static BayesUnits Of(Tensor Phi, Tensor y) => Checked(PowerOfTwoScale.Of(Phi), nameof(Phi), y);

    /// <summary>The same for a Kronecker product, whose scale is the product of those of its factors.</summary>
    /// <exception cref="ArgumentException">A variance of the answer is no float64.</exception>
    public static BayesUnits Of(KroneckerDictionary dictionary, Tensor y) =>
        Checked(dictionary.Factors.Select(PowerOfTwoScale.Of).Aggregate((a, b) => a + b), nameof(dictionary), y);

    private static BayesUnits Checked(PowerOfTwoScale phi, string name, Tensor y)
    {
        var units = new BayesUnits(phi, PowerOfTwoScale.Of(y));
        if (!units.Y.Squared.IsInRange)
            throw new ArgumentException($"The largest magnitude of y is about 2^{units.Y.Exponent}; noise variances are in its squared units, so it must be from 1e-150 to 1e150. Scale y.", nameof(y));
        if (!units.X.Squared.IsInRange)
        {
            throw new ArgumentException(
                $"The largest magnitudes are about 2^{phi.Exponent} ({name}) and 2^{units.Y.Exponent} (y); prior variances are squares of y/{name}, which must be from 1e-150 to 1e150. Scale {name} or y.", name);
        }

        return units;
    }

    /// <summary>Scale of the coefficients, y/Phi.</summary>
    private PowerOfTwoScale X => Y - Phi;

    /// <summary>Phi in the units of the computation.</summary>
    public Tensor OfPhi(Tensor values) => Phi.Down(values);

    /// <summary>A dictionary in the units of the computation, each factor in its own; it belongs to the current scope.</summary>
    public static KroneckerDictionary OfPhi(KroneckerDictionary dictionary) => dictionary.With(factor => PowerOfTwoScale.Of(factor).Down(factor));

    /// <summary>y in the units of the computation.</summary>
    public Tensor OfY(Tensor values) => Y.Down(values);

    /// <summary>One coefficient or deviation, back in its own units.</summary>
    public double Coefficient => X.Up(1);

    /// <summary>A prior or posterior variance, back in squared units of x.</summary>
    public double Variance(double scaled) => X.Squared.Up(scaled);

    /// <summary>Factors of prior variances, whose last holds the scale, back in squared units of x.</summary>
    public double[][] Variances(IReadOnlyList<double[]> factors)
    {
        PowerOfTwoScale square = X.Squared;
        return [.. factors.Select((gamma, i) => i == factors.Count - 1 ? gamma.Select(square.Up).ToArray() : [.. gamma])];
    }

    /// <summary>A noise variance, back in squared units of y.</summary>
    public double Noise(double scaled) => Y.Squared.Up(scaled);

    /// <summary>A variance of x in the units of the computation.</summary>
    public double OfVariance(double variance, string name) => Finite(variance, X.Squared.Down(variance), name);

    /// <summary>Factors of prior variances in the units of the computation; the last takes the scale.</summary>
    public double[][] OfVariances(IReadOnlyList<double[]> factors, string name)
    {
        BayesUnits units = this;
        return [.. factors.Select((gamma, i) => i == factors.Count - 1 ? gamma.Select(g => units.OfVariance(g, name)).ToArray() : [.. gamma])];
    }

    /// <summary>A noise variance in the units of the computation.</summary>
    public double OfNoise(double variance, string name) => Finite(variance, Y.Squared.Down(variance), name);

    /// <summary>A noise model in the units of the computation.</summary>
    public NoiseModel Of(NoiseModel noise)
    {
        BayesUnits units = this;
        double? Shifted(double? value) => value is { } given ? units.OfNoise(given, nameof(noise)) : null;
        double? least = Shifted(noise.Least), variance = Shifted(noise.Variance);
        return noise.IsLearned ? NoiseModel.Learn(variance, least) : NoiseModel.Known(variance!.Value);
    }

    /// <summary>What log det C gains for each number of y.</summary>
    public double LogUnit => 2 * Y.Exponent * Math.Log(2);

    private static double Finite(double given, double scaled, string name) => double.IsFinite(scaled) && scaled > 0 == given > 0 ? scaled
        : throw new ArgumentException($"{name} is {given:g3}, which beside the scale of Phi and y is no float64; give it in their squared units.", name);
}
