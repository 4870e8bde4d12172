using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Sketching;

/// <summary>Checks that the room shares.</summary>
internal static class SketchInput
{
    public static void CheckValues(Tensor values, string name, string shape, int leastDimensions, int mostDimensions)
    {
        CheckShape(values, name, shape, leastDimensions, mostDimensions);
        if (!TensorInput.IsFinite(values)) throw new ArgumentException($"{name} holds a value that is not finite.", name);
    }

    public static void CheckShape(Tensor values, string name, string shape, int leastDimensions, int mostDimensions)
    {
        ArgumentNullException.ThrowIfNull(values, name);
        if (values.dim() < leastDimensions || values.dim() > mostDimensions || values.numel() == 0)
            throw new ArgumentException($"{name} must be {shape} and not empty, but is [{string.Join(", ", values.shape)}].", name);
        if (values.dtype != ScalarType.Float64) throw new ArgumentException($"{name} is {values.dtype}; it must be Float64.", name);
        if (values.device_type != DeviceType.CPU) throw new ArgumentException($"{name} is on {values.device_type}; move it to the CPU first.", name);
    }
}
