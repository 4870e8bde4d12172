using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tensors;

/// <summary>Checks of tensor arguments that all rooms share.</summary>
internal static class TensorInput
{
    /// <summary>A matrix on the CPU, Float32 or Float64, not empty, every value finite.</summary>
    public static void CheckMatrix(Tensor matrix, string name, string shape)
    {
        CheckShape(matrix, name, shape);
        using var scope = NewDisposeScope();
        if (!matrix.isfinite().all().item<bool>()) throw new ArgumentException($"{name} holds a value that is not finite.", name);
    }

    /// <summary>All of <see cref="CheckMatrix"/> but the values.</summary>
    public static void CheckShape(Tensor matrix, string name, string shape)
    {
        ArgumentNullException.ThrowIfNull(matrix, name);
        if (matrix.dim() != 2 || matrix.numel() == 0)
            throw new ArgumentException($"{name} must be a matrix {shape} that is not empty, but is [{string.Join(", ", matrix.shape)}].", name);
        if (matrix.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"{name} is {matrix.dtype}; it must be Float32 or Float64.", name);
        if (matrix.device_type != DeviceType.CPU)
            throw new ArgumentException($"{name} is on {matrix.device_type}; move it to the CPU first.", name);
    }
}
