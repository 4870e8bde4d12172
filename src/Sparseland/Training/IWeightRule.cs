using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>How a layer makes the weight that it computes with, V, from the one that the optimizer owns, W: see <see cref="EffectiveWeight"/>.</summary>
public interface IWeightRule
{
    /// <summary>What is kept of W at present.</summary>
    /// <param name="raw">W, [out, in] or [out, in, kh, kw].</param>
    /// <returns>Bool, of the shape of W.</returns>
    Tensor Mask(Tensor raw);

    /// <summary>V.</summary>
    /// <param name="raw">W.</param>
    /// <param name="mask">What <see cref="Mask"/> gave; constant in the backward pass.</param>
    /// <returns>Of the shape of W, with the rule's own gradient for W.</returns>
    Tensor Effective(Tensor raw, Tensor mask);
}
