using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>Checks of the arguments that all Bayesian solvers share.</summary>
internal static class BayesInput
{
    /// <summary>y = Phi x: shapes, one type, finite values, no zero column.</summary>
    public static void CheckSystem(Tensor Phi, Tensor y)
    {
        CheckValues(Phi, nameof(Phi), "[measurements, coefficients]", 2, 2);
        CheckValues(y, nameof(y), "[measurements] or [measurements, snapshots]", 1, 2);
        if (Phi.shape[0] != y.shape[0])
        {
            throw new ArgumentException(
                $"Phi is [{Phi.shape[0]}, {Phi.shape[1]}] (measurements, coefficients) and y has {y.shape[0]} measurements; they must agree.", nameof(y));
        }

        if (Phi.dtype != y.dtype)
            throw new ArgumentException($"Phi is {Phi.dtype} and y {y.dtype}; they must have one type.", nameof(y));
        CheckColumns(Phi, nameof(Phi));
    }

    public static void CheckColumns(Tensor Phi, string name)
    {
        using var scope = NewDisposeScope();
        Tensor largest = Phi.abs().amax([0]);
        long least = largest.argmin().item<long>();
        if (largest[least].item<double>() == 0)
            throw new ArgumentException($"Column {least} of {name} is zero; no measurement says anything about its coefficient.", name);
    }

    public static void CheckValues(Tensor values, string name, string shape, int leastDimensions, int mostDimensions)
    {
        ArgumentNullException.ThrowIfNull(values, name);
        if (values.dim() < leastDimensions || values.dim() > mostDimensions || values.numel() == 0)
            throw new ArgumentException($"{name} must be {shape} and not empty, but is [{string.Join(", ", values.shape)}].", name);
        if (values.dtype is not (ScalarType.Float64 or ScalarType.ComplexFloat64))
            throw new ArgumentException($"{name} is {values.dtype}; it must be Float64 or ComplexFloat64.", name);
        if (values.device_type != DeviceType.CPU)
            throw new ArgumentException($"{name} is on {values.device_type}; move it to the CPU first.", name);
        using var scope = NewDisposeScope();
        if (!TensorInput.IsFinite(values)) throw new ArgumentException($"{name} holds a value that is not finite.", name);
    }

    public static void CheckGamma(IReadOnlyList<double> gamma, long coefficients, string name)
    {
        ArgumentNullException.ThrowIfNull(gamma, name);
        if (gamma.Count != coefficients)
            throw new ArgumentException($"{name} has {gamma.Count} prior variances for {coefficients} coefficients.", name);
        for (int i = 0; i < gamma.Count; i++)
        {
            if (!(gamma[i] >= 0) || !double.IsFinite(gamma[i]))
                throw new ArgumentException($"{name}[{i}] is {gamma[i]}; a prior variance must be finite and not negative.", name);
        }
    }

    public static void CheckLoop(double tolerance, int maxIterations)
    {
        if (!(tolerance >= 0)) throw new ArgumentOutOfRangeException(nameof(tolerance), tolerance, "Tolerance must not be negative.");
        if (maxIterations < 1) throw new ArgumentOutOfRangeException(nameof(maxIterations), maxIterations, "MaxIterations must be at least 1.");
    }

    public static void CheckRatio(double ratio, string name)
    {
        if (!(ratio >= 0 && ratio < 1)) throw new ArgumentOutOfRangeException(name, ratio, $"{name} must be in [0, 1); 0 keeps all.");
    }

    /// <summary>The first noise variance of an iteration.</summary>
    public static double StartOf(NoiseModel noise, Tensor y)
    {
        if (noise.Variance is { } known) return known;
        using var scope = NewDisposeScope();
        double power = MeanSquare(y - y.mean());

        // A constant y has no variance; its power then sets the scale, and 1 that of y = 0.
        if (power == 0) power = MeanSquare(y);
        return power == 0 ? 1 : 0.1 * power;
    }

    /// <summary>
    /// The square of the largest coefficient that one column alone would have, |phi^H y|/||phi||^2: the order of a non-zero's variance. 1 for y = 0.
    /// </summary>
    public static double VarianceOfLargest(Tensor Phi, Tensor y)
    {
        using var scope = NewDisposeScope();
        Tensor correlations = Phi.mH.mm(y.reshape(y.shape[0], -1)).abs().square().mean([1]), powers = Phi.abs().square().sum([0]);
        double largest = correlations.div(powers.square()).max().item<double>();
        return largest > 0 && double.IsFinite(largest) ? largest : 1;
    }

    public static double MeanSquare(Tensor y)
    {
        using var scope = NewDisposeScope();
        return y.abs().square().mean().item<double>();
    }

    /// <summary>The values of a float64 tensor, row-major.</summary>
    public static double[] Doubles(this Tensor values)
    {
        using Tensor flat = values.contiguous();
        return flat.data<double>().ToArray();
    }
}
