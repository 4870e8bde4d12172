using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>What is made of the inputs that a token drops, in place of nothing.</summary>
public interface IDroppedInputs
{
    /// <summary>Inputs of the layer.</summary>
    int Inputs { get; }

    /// <summary>Outputs of the layer.</summary>
    int Outputs { get; }

    /// <summary>Weights that a token reads for it.</summary>
    long Reads { get; }

    /// <summary>What is added to the outputs.</summary>
    /// <param name="dropped">[tokens, in]: the dropped inputs, zero where an input was kept.</param>
    /// <returns>[tokens, out].</returns>
    /// <exception cref="ArgumentException">Another width, type or device than that of the layer it was made for.</exception>
    Tensor Outcome(Tensor dropped);
}
