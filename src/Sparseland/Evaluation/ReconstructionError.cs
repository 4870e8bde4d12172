using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Evaluation;

/// <summary>How far an estimate is from the data it stands for. All sums run in float64.</summary>
public static class ReconstructionError
{
    /// <summary>Normalised mean squared error, ||estimate - truth||^2 / ||truth||^2, over all entries together.</summary>
    /// <param name="truth">Any shape, not all zero.</param>
    /// <param name="estimate">The same shape.</param>
    /// <returns>0 when equal, 1 for an estimate of zeros; NaN or infinite when the estimate is.</returns>
    /// <exception cref="ArgumentException">The shapes differ, or the truth is zero or not finite.</exception>
    public static double Nmse(Tensor truth, Tensor estimate) => Relative(truth, estimate, centre: false);

    /// <summary>The same in decibel, 10 log10.</summary>
    /// <param name="truth">Any shape, not all zero.</param>
    /// <param name="estimate">The same shape.</param>
    /// <returns>Negative infinity when equal.</returns>
    /// <exception cref="ArgumentException">The shapes differ, or the truth is zero or not finite.</exception>
    public static double NmseDecibel(Tensor truth, Tensor estimate) => 10 * Math.Log10(Nmse(truth, estimate));

    /// <summary>
    /// Fraction of variance unexplained: ||estimate - X||^2 / ||X - mean over samples||^2, over all features together, as
    /// sparse autoencoders are judged.
    /// </summary>
    /// <param name="X">[samples, features], with some variance.</param>
    /// <param name="estimate">[samples, features].</param>
    /// <exception cref="ArgumentException">The shapes differ or are not matrices, or the data have no variance or are not finite.</exception>
    public static double FractionOfVarianceUnexplained(Tensor X, Tensor estimate)
    {
        ArgumentNullException.ThrowIfNull(X);
        if (X.dim() != 2)
            throw new ArgumentException($"Data are [samples, features], not [{string.Join(", ", X.shape)}].", nameof(X));
        return Relative(X, estimate, centre: true);
    }

    /// <summary>1 - <see cref="FractionOfVarianceUnexplained"/>; negative when the estimate is worse than the mean.</summary>
    /// <param name="X">[samples, features], with some variance.</param>
    /// <param name="estimate">[samples, features].</param>
    /// <exception cref="ArgumentException">The shapes differ or are not matrices, or the data have no variance or are not finite.</exception>
    public static double ExplainedVariance(Tensor X, Tensor estimate) => 1 - FractionOfVarianceUnexplained(X, estimate);

    private static double Relative(Tensor truth, Tensor estimate, bool centre)
    {
        ArgumentNullException.ThrowIfNull(truth);
        ArgumentNullException.ThrowIfNull(estimate);
        if (!truth.shape.SequenceEqual(estimate.shape))
            throw new ArgumentException($"The data are [{string.Join(", ", truth.shape)}], the estimate [{string.Join(", ", estimate.shape)}].", nameof(estimate));
        using DisposeScope scope = NewDisposeScope();
        Tensor data = truth.detach().to(ScalarType.Float64);
        Tensor error = estimate.detach().to(ScalarType.Float64).to(data.device) - data;
        Tensor reference = centre ? data - data.mean([0], keepdim: true) : data;
        double energy = reference.square().sum().item<double>();
        if (!(energy > 0) || !double.IsFinite(energy))
            throw new ArgumentException($"The data's {(centre ? "variance" : "energy")} is {energy}; a relative error needs it finite and above 0.", nameof(truth));
        return error.square().sum().item<double>() / energy;
    }
}
