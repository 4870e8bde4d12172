using static TorchSharp.torch;

namespace Sparseland.Models;

/// <summary>Inputs of layers that stand for a linear one.</summary>
internal static class LayerInput
{
    /// <summary>Throws unless an input has the width and the type of a layer.</summary>
    /// <param name="input">[..., in].</param>
    /// <param name="weight">A tensor of the layer whose last dimension is in.</param>
    /// <param name="name">Name of the argument.</param>
    /// <exception cref="ArgumentException">Another width or type.</exception>
    public static void Check(Tensor input, Tensor weight, string name = "input")
    {
        ArgumentNullException.ThrowIfNull(input, name);
        long width = weight.shape[^1];
        if (input.dim() == 0 || input.shape[^1] != width) throw new ArgumentException($"{name} must be [..., {width}], but is [{string.Join(", ", input.shape)}].", name);
        if (input.dtype != weight.dtype) throw new ArgumentException($"{name} is {input.dtype}; it must be {weight.dtype}.", name);
    }
}
