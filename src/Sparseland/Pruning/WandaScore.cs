using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>Score |w_ij| ||x_j||: the size of a weight times the norm of its input (Sun et al. 2023, eq. 1).</summary>
public static class WandaScore
{
    /// <summary>Scores of a layer's weight.</summary>
    /// <param name="weight">[out, in].</param>
    /// <param name="inputs">What is known of its inputs.</param>
    /// <returns>[out, in] of the weight's type, at least float32, and float64 where products could leave float32's range; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">Statistics of another width, or that have seen nothing.</exception>
    public static Tensor Of(Tensor weight, ActivationStatistics inputs)
    {
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(inputs);
        inputs.RequireFor(weight, nameof(weight));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();

        Tensor norms = tensor(inputs.Norms());

        // 16 bits are too few for any product. In float64 where one of float32 would overflow, or so many vanish that they tie.
        Tensor size = weight.to(weight.dtype is ScalarType.Float16 or ScalarType.BFloat16 ? ScalarType.Float32 : weight.dtype).abs();
        if (size.dtype == ScalarType.Float32 && size.numel() > 0)
        {
            double norm = norms.max().item<double>(), product = norm * size.max().item<float>();
            if (norm is > 1e18 or < 1e-18 || product is > 1e37 or < 1e-20) size = size.to(ScalarType.Float64);
        }

        return scope.MoveToOuter(size.mul(norms.to(size.dtype).to(size.device)));
    }
}
