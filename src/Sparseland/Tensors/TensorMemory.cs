using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tensors;

/// <summary>A CPU tensor's own memory, without copies.</summary>
internal static unsafe class TensorMemory
{
    /// <summary>
    /// Address of the first element of a contiguous CPU tensor. Valid while the tensor lives: keep it alive.
    /// </summary>
    internal static byte* Address(Tensor tensor)
    {
        if (tensor.NumberOfElements == 0)
            return null;
        // Tensor.bytes gives no more than 2 GiB, so ask for the first element alone.
        using Tensor flat = tensor.view(-1), first = flat.narrow(0, 0, 1);
        fixed (byte* address = first.bytes)
            return address;
    }

    /// <summary>Whether a tensor's memory holds its numbers as they are: on the CPU, contiguous, and no view that conjugates or negates what is read.</summary>
    internal static bool IsPlain(Tensor tensor) => tensor.device_type == DeviceType.CPU && tensor.is_contiguous() && !tensor.is_conj() && !tensor.is_neg();

    /// <summary>
    /// Says whether two tensors begin at the same number: wrappers of one parameter have different handles, and the same identity. 0 for an
    /// empty tensor.
    /// </summary>
    internal static nint Identity(Tensor tensor)
    {
        if (tensor.NumberOfElements == 0) return 0;
        using DisposeScope scope = NewDisposeScope();
        Tensor first = tensor;
        while (first.dim() > 0) first = first.select(0, 0);
        return (nint)Address(first);
    }

    /// <summary><see cref="Address"/> in a form that lambdas and safe code can hold.</summary>
    internal static nint StartOf(Tensor tensor) => (nint)Address(tensor);

    /// <summary>Some elements from an <see cref="StartOf"/> on, for writing; threads take an address where a span cannot go.</summary>
    internal static Span<T> Part<T>(nint address, long first, int count)
        where T : unmanaged =>
        new((T*)address + first, count);

    /// <summary>Elements of a contiguous CPU tensor of at most 2^31 - 1 elements, for reading.</summary>
    internal static ReadOnlySpan<T> Read<T>(Tensor tensor)
        where T : unmanaged =>
        new(Address(tensor), checked((int)tensor.NumberOfElements));
}
