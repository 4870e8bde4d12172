using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes.Networks;

/// <summary>Checks of means and deviations.</summary>
internal static class PosteriorInput
{
    /// <summary>Same shape, finite, no negative deviation.</summary>
    public static void Check(Tensor mu, Tensor sigma)
    {
        ArgumentNullException.ThrowIfNull(mu);
        ArgumentNullException.ThrowIfNull(sigma);
        if (!mu.shape.SequenceEqual(sigma.shape))
            throw new ArgumentException($"mu is [{string.Join(", ", mu.shape)}], sigma [{string.Join(", ", sigma.shape)}]; they must have one shape.", nameof(sigma));
        using DisposeScope scope = NewDisposeScope();
        if (!TensorInput.IsFinite(mu)) throw new ArgumentException("A mean is not finite.", nameof(mu));
        if (!sigma.isfinite().logical_and(sigma.ge(0)).all().item<bool>()) throw new ArgumentException("A deviation is negative or not finite.", nameof(sigma));
    }
}
