using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention;

/// <summary>What the kernels without a matrix of scores check beyond <see cref="AttentionShape"/>, before they compute.</summary>
internal static class HeadInput
{
    /// <summary>Sizes that fit, values that are finite, and in the causal case a key for each query.</summary>
    public static AttentionShape Check(Tensor q, Tensor k, Tensor v, bool causal = false)
    {
        AttentionShape shape = AttentionShape.Of(q, k, v, causal);
        if (causal && shape.Offset > 0) throw new ArgumentException($"There are {shape.Tokens} queries and {shape.Keys} keys; here each query has its own key.", nameof(k));
        AttentionShape.CheckFinite(q, k, v);
        return shape;
    }

    /// <summary>The same where there are no values.</summary>
    public static AttentionShape Check(Tensor q, Tensor k, bool causal = false) => Check(q, k, k, causal);

    /// <summary>Refuses another device than the CPU; shapes have been checked, so that keys and values are where queries are.</summary>
    /// <param name="q">Queries.</param>
    /// <param name="what">Who refuses, for the message.</param>
    public static void OnCpu(Tensor q, string what)
    {
        if (q.device_type != DeviceType.CPU) throw new ArgumentException($"q is on {q.device_type}; {what} works on the CPU only.", nameof(q));
    }

    /// <summary>Refuses results that left the range of their type, although what they were made of was in it.</summary>
    public static void InRange(Tensor q, params ReadOnlySpan<Tensor> results)
    {
        foreach (Tensor result in results)
        {
            if (!TensorInput.IsFinite(result)) throw new ArgumentException($"Queries, keys or values are so large that their features, scores or sums overflow {q.dtype}.", nameof(q));
        }
    }

    /// <summary>Each key and value head as often as query heads share it.</summary>
    public static Tensor Shared(Tensor x, int group) => group == 1 ? x : x.repeat_interleave(group, 1);
}
