using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>Whether every activation is finite, and which is not: callers name it by token, window or place.</summary>
internal static class FiniteRows
{
    /// <summary>The first row that holds a value which is not finite; null where there is none.</summary>
    /// <param name="x">[rows, d], Float32 or Float64, on the CPU.</param>
    public static long? FirstBad(Tensor x)
    {
        if (TensorInput.IsFinite(x)) return null;
        using DisposeScope scope = NewDisposeScope();
        return x.isfinite().all(1).logical_not().nonzero()[0, 0].item<long>();
    }
}
