using System.Numerics.Tensors;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Sketching;

/// <summary>Checks that the room shares.</summary>
internal static class SketchInput
{
    private const int Chunk = 1 << 17;

    public static void CheckValues(Tensor values, string name, string shape, int leastDimensions, int mostDimensions)
    {
        CheckShape(values, name, shape, leastDimensions, mostDimensions);
        if (!IsFinite(values)) throw new ArgumentException($"{name} holds a value that is not finite.", name);
    }

    public static void CheckShape(Tensor values, string name, string shape, int leastDimensions, int mostDimensions)
    {
        ArgumentNullException.ThrowIfNull(values, name);
        if (values.dim() < leastDimensions || values.dim() > mostDimensions || values.numel() == 0)
            throw new ArgumentException($"{name} must be {shape} and not empty, but is [{string.Join(", ", values.shape)}].", name);
        if (values.dtype != ScalarType.Float64) throw new ArgumentException($"{name} is {values.dtype}; it must be Float64.", name);
        if (values.device_type != DeviceType.CPU) throw new ArgumentException($"{name} is on {values.device_type}; move it to the CPU first.", name);
    }

    public static unsafe bool IsFinite(Tensor values)
    {
        using Tensor flat = values.contiguous();
        long length = flat.numel();
        nint start = (nint)TensorMemory.Address(flat);
        ParallelLoopResult result = Parallel.For(0, (length + Chunk - 1) / Chunk, (c, state) =>
        {
            var part = new ReadOnlySpan<double>((double*)start + (c * Chunk), (int)Math.Min(Chunk, length - (c * Chunk)));
            if (!TensorPrimitives.IsFiniteAll(part)) state.Stop();
        });
        return result.IsCompleted;
    }
}
