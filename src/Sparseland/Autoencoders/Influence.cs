using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>How much the model's loss at a token moves along each latent's direction, to first order.</summary>
public static class Influence
{
    /// <summary>
    /// a_i = |&lt;W_d[i], g&gt;| for each token and latent, divided by its mean over the batch: the gradients' own scale depends on units, on sums or means
    /// and on the model. Not by its mean over a token: tokens with large gradients are those where influence should count.
    /// </summary>
    /// <param name="gradients">g [tokens, d], of the loss at the activations.</param>
    /// <param name="decoder">Directions W_d [latents, d] of the same type.</param>
    /// <returns>[tokens, latents], not negative, of mean one.</returns>
    /// <exception cref="ArgumentException">A shape or type does not fit, a value is not finite, or all gradients are zero.</exception>
    public static Tensor Of(Tensor gradients, Tensor decoder)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor sizes, double mean) = Sizes(gradients, decoder);
        return sizes.div_(mean).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The choice of a <see cref="GradientTopKRule"/> by given influences, whatever they come from: labels, the model's own distribution, an average over
    /// tokens. Scores are relu(z) (1 + beta a); values stay z.
    /// </summary>
    /// <param name="pre">z [tokens, latents], Float32 or Float64.</param>
    /// <param name="influence">a of the same shape and type, not negative; or [1, latents], the same for all tokens.</param>
    /// <param name="k">Most active latents of a token.</param>
    /// <param name="beta">Weight of the influence, not negative. Default 1.</param>
    /// <exception cref="ArgumentException">A shape or type does not fit, an influence is negative or not finite, or k is out of its range.</exception>
    public static SparseCode Choose(Tensor pre, Tensor influence, int k, double beta = 1)
    {
        TensorInput.CheckMatrix(pre, nameof(pre), "[tokens, latents]");
        TensorInput.CheckMatrix(influence, nameof(influence), "[tokens, latents]");
        Finite.NotNegative(beta);
        if (influence.dtype != pre.dtype || influence.shape[1] != pre.shape[1] || (influence.shape[0] != pre.shape[0] && influence.shape[0] != 1))
            throw new ArgumentException($"influence is {influence.dtype} [{string.Join(", ", influence.shape)}], z {pre.dtype} [{string.Join(", ", pre.shape)}]; they must agree, or influence have one row.", nameof(influence));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        if (influence.lt(0).any().item<bool>()) throw new ArgumentException("An influence is negative; it is a size.", nameof(influence));
        SparseCode code = CodeRule.Positive(Select.TopK(influence.mul(beta).add_(1).mul(pre.relu()), Budget.PerRow(k)), pre);
        code.Values.MoveToOuterDisposeScope();
        return code;
    }

    /// <summary>|&lt;W_d[i], g&gt;| and its mean: who weighs by it divides where it multiplies anyway.</summary>
    internal static (Tensor Sizes, double Mean) Sizes(Tensor gradients, Tensor decoder)
    {
        TensorInput.CheckMatrix(gradients, nameof(gradients), "[tokens, d]");
        TensorInput.CheckMatrix(decoder, nameof(decoder), "[latents, d]");
        if (gradients.shape[1] != decoder.shape[1] || gradients.dtype != decoder.dtype)
            throw new ArgumentException($"gradients are {gradients.dtype} [{string.Join(", ", gradients.shape)}], the decoder {decoder.dtype} [{string.Join(", ", decoder.shape)}]; widths and types must agree.", nameof(gradients));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor sizes = gradients.mm(decoder.t()).abs_();

        // Rows in their own precision, then in float64: the whole matrix in float64 would be a copy of twice its size.
        double mean = sizes.mean([1L]).to(ScalarType.Float64).mean().item<double>();
        if (!(mean > 0) || !double.IsFinite(mean))
            throw new ArgumentException($"The mean influence is {mean}: the gradients are zero, or zero along all directions. They are so where a hook's value was detached from the graph, or the loss does not use the place.", nameof(gradients));
        return (sizes.MoveToOuterDisposeScope(), mean);
    }
}
