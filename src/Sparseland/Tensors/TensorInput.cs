using System.Numerics;
using System.Numerics.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Tensors;

/// <summary>Checks of tensor arguments that all rooms share.</summary>
internal static class TensorInput
{
    private const int PieceLength = 1 << 17;

    /// <summary>A matrix on the CPU, Float32 or Float64, not empty, every value finite; gives its largest magnitude.</summary>
    public static double CheckMatrix(Tensor matrix, string name, string shape)
    {
        CheckShape(matrix, name, shape);
        double largest = LargestMagnitude(matrix);
        if (!double.IsFinite(largest)) throw new ArgumentException($"{name} holds a value that is not finite.", name);
        return largest;
    }

    /// <summary>max |x| of a CPU tensor that is not empty, fastest in Float32 and Float64; NaN where it holds one.</summary>
    public static double LargestMagnitude(Tensor tensor)
    {
        using Tensor dense = tensor.contiguous();
        if (dense.NumberOfElements > int.MaxValue || dense.dtype is not (ScalarType.Float32 or ScalarType.Float64))
        {
            using Tensor sizes = dense.abs(), largest = sizes.max(), top = largest.to(ScalarType.Float64);
            return top.item<double>();
        }

        return dense.dtype == ScalarType.Float64
            ? Math.Abs(TensorPrimitives.MaxMagnitude(TensorMemory.Read<double>(dense)))
            : Math.Abs(TensorPrimitives.MaxMagnitude(TensorMemory.Read<float>(dense)));
    }

    /// <summary>Whether every value is finite, on any device and of any type of floating point; true where there is none.</summary>
    public static bool IsFinite(Tensor tensor)
    {
        if (tensor.numel() == 0) return true;
        if (tensor.device_type == DeviceType.CPU && tensor.dtype == ScalarType.Float32) return IsFinite<float>(tensor);
        if (tensor.device_type == DeviceType.CPU && tensor.dtype == ScalarType.Float64) return IsFinite<double>(tensor);
        using Tensor finite = tensor.isfinite(), all = finite.all();
        return all.item<bool>();
    }

    private static bool IsFinite<T>(Tensor tensor)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        using Tensor dense = tensor.contiguous();
        (nint start, int broken) = (TensorMemory.StartOf(dense), 0);
        Pieces.For(dense.numel(), PieceLength, (from, count) =>
        {
            if (Volatile.Read(ref broken) == 0 && !TensorPrimitives.IsFiniteAll<T>(TensorMemory.Part<T>(start, from, count))) Volatile.Write(ref broken, 1);
        });
        return broken == 0;
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
