using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention;

/// <summary>Checks of queries, keys and values [batch, heads, tokens, headDim] that the kernels of this room share.</summary>
internal static class HeadInput
{
    /// <summary>Shapes, types and values; gives how many query heads share a key and value head.</summary>
    public static int Check(Tensor q, Tensor k, Tensor v)
    {
        int group = Check(q, k);
        Shape(v, nameof(v));
        Same(k, v, nameof(v));
        if (v.shape[1] != k.shape[1] || v.shape[2] != k.shape[2])
            throw new ArgumentException($"v is [{string.Join(", ", v.shape)}] and k [{string.Join(", ", k.shape)}]; batch, heads and tokens must agree.", nameof(v));
        Finite(v, nameof(v));
        return group;
    }

    /// <summary>The same without values.</summary>
    public static int Check(Tensor q, Tensor k)
    {
        Shape(q, nameof(q));
        Shape(k, nameof(k));
        Same(q, k, nameof(k));
        if (q.shape[3] != k.shape[3]) throw new ArgumentException($"The queries have a headDim of {q.shape[3]}, the keys one of {k.shape[3]}; they must agree.", nameof(k));
        if (q.shape[1] % k.shape[1] != 0)
            throw new ArgumentException($"{q.shape[1]} query heads cannot share {k.shape[1]} key and value heads evenly.", nameof(k));
        Finite(q, nameof(q));
        Finite(k, nameof(k));
        return (int)(q.shape[1] / k.shape[1]);
    }

    /// <summary>Causal kernels here have a key for each query.</summary>
    public static void CheckCausal(Tensor q, Tensor k)
    {
        if (q.shape[2] != k.shape[2]) throw new ArgumentException($"There are {q.shape[2]} queries and {k.shape[2]} keys; in causal mode each query has its own key.", nameof(k));
    }

    /// <summary>The factor of the products, 1 / sqrt(headDim) where none is given.</summary>
    public static double Scale(double? scale, Tensor q)
    {
        if (scale is { } given && !(given > 0 && double.IsFinite(given))) throw new ArgumentOutOfRangeException(nameof(scale), given, "scale must be positive and finite.");
        return scale ?? 1 / Math.Sqrt(q.shape[3]);
    }

    /// <summary>Each key and value head as often as query heads share it.</summary>
    public static Tensor Shared(Tensor x, int group) => group == 1 ? x : x.repeat_interleave(group, 1);

    /// <summary>Every number is finite.</summary>
    public static void Finite(Tensor x, string name)
    {
        using Tensor finite = x.detach().isfinite().all();
        if (!finite.item<bool>()) throw new ArgumentException($"{name} holds a value that is not finite.", name);
    }

    private static void Shape(Tensor x, string name)
    {
        ArgumentNullException.ThrowIfNull(x, name);
        if (x.dim() != 4 || x.numel() == 0)
            throw new ArgumentException($"{name} must be [batch, heads, tokens, headDim] and not empty, but is [{string.Join(", ", x.shape)}].", name);
        if (x.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"{name} is {x.dtype}; it must be Float32 or Float64.", name);
    }

    private static void Same(Tensor a, Tensor b, string name)
    {
        if (a.dtype != b.dtype) throw new ArgumentException($"{name} is {b.dtype} where {a.dtype} is needed; queries, keys and values have one type.", name);
        if (a.shape[0] != b.shape[0]) throw new ArgumentException($"{name} has a batch of {b.shape[0]}, not of {a.shape[0]}.", name);
    }
}
