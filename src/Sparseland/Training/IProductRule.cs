using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>A rule that also says by which weight the gradient of a layer's input is computed: not the one of the forward pass.</summary>
public interface IProductRule : IWeightRule
{
    /// <summary>What a linear layer computes, with the rule's own gradients.</summary>
    /// <param name="input">[..., in].</param>
    /// <param name="raw">W [out, in].</param>
    /// <param name="bias">b [out]; null for none.</param>
    /// <param name="mask">What <see cref="IWeightRule.Mask"/> gave.</param>
    /// <returns>[..., out].</returns>
    Tensor Linear(Tensor input, Tensor raw, Tensor? bias, Tensor mask);

    /// <summary>The weight by which a convolution's input gradient is computed.</summary>
    /// <param name="raw">W [out, in, kh, kw].</param>
    /// <param name="mask">What <see cref="IWeightRule.Mask"/> gave.</param>
    /// <returns>Of the shape of W, without gradients.</returns>
    Tensor Backward(Tensor raw, Tensor mask);
}
