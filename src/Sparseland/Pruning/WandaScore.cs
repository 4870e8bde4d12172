using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>Score |w_ij| ||x_j||: the size of a weight times the norm of its input (Sun et al. 2023, eq. 1).</summary>
public static class WandaScore
{
    /// <summary>Scores of a layer's weight.</summary>
    /// <param name="weight">[out, in].</param>
    /// <param name="inputs">What is known of its inputs.</param>
    /// <returns>[out, in] of the weight's type, float64 where norms are beyond 1e18; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">Statistics of another width, or that have seen nothing.</exception>
    public static Tensor Of(Tensor weight, ActivationStatistics inputs)
    {
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(inputs);
        inputs.RequireFor(weight, nameof(weight));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();

        Tensor norms = tensor(inputs.Norms());

        // In float64 where a product of float32 would overflow; 16 bits are too few for any.
        ScalarType type = weight.dtype is ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Float32 ? norms.max().item<double>() > 1e18 ? ScalarType.Float64 : ScalarType.Float32 : weight.dtype;
        Tensor size = weight.to(type).abs();
        return scope.MoveToOuter(size.mul(norms.to(size.dtype).to(size.device)));
    }
}
