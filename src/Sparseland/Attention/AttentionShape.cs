using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention;

/// <summary>Sizes of queries, keys and values that fit each other.</summary>
/// <param name="Batch">Sequences.</param>
/// <param name="Heads">Query heads.</param>
/// <param name="KeyValueHeads">Key and value heads; divides <paramref name="Heads"/>.</param>
/// <param name="Tokens">Queries of a head.</param>
/// <param name="Keys">Keys of a head.</param>
/// <param name="HeadDim">Width of queries and keys.</param>
/// <param name="ValueDim">Width of values.</param>
internal readonly record struct AttentionShape(int Batch, int Heads, int KeyValueHeads, int Tokens, int Keys, int HeadDim, int ValueDim)
{
    /// <summary>Query heads that share keys.</summary>
    public int Group => Heads / KeyValueHeads;

    /// <summary>Tokens that stand before the first query.</summary>
    public int Offset => Keys - Tokens;

    /// <summary>Reads and checks the sizes.</summary>
    /// <param name="q">[batch, heads, tokens, headDim].</param>
    /// <param name="k">[batch, keyValueHeads, keys, headDim].</param>
    /// <param name="v">[batch, keyValueHeads, keys, valueDim].</param>
    /// <param name="causal">Whether each query stands among the keys, the last query at the last key.</param>
    public static AttentionShape Of(Tensor q, Tensor k, Tensor v, bool causal)
    {
        ArgumentNullException.ThrowIfNull(q);
        ArgumentNullException.ThrowIfNull(k);
        ArgumentNullException.ThrowIfNull(v);
        foreach ((string name, Tensor x) in new[] { (nameof(q), q), (nameof(k), k), (nameof(v), v) })
        {
            if (x.dim() != 4) throw new ArgumentException($"{name} must be [batch, heads, tokens, headDim], but is [{Said(x)}].", name);
            if (x.numel() == 0) throw new ArgumentException($"{name} is empty: [{Said(x)}].", name);
            if (x.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"{name} is {x.dtype}; it must be Float32 or Float64.", name);
            if (x.dtype != q.dtype) throw new ArgumentException($"{name} is {x.dtype}, but q is {q.dtype}.", name);
            if (x.device_type != q.device_type) throw new ArgumentException($"{name} is on {x.device_type}, but q on {q.device_type}.", name);
        }

        long[] a = q.shape, b = k.shape, c = v.shape;
        if (b[3] != a[3]) throw new ArgumentException($"Queries are {a[3]} wide and keys {b[3]}; their headDim must agree.", nameof(k));
        if (b[0] != a[0] || c[0] != a[0]) throw new ArgumentException($"q has {a[0]} sequences, k {b[0]}, v {c[0]}; they must agree.", nameof(k));
        if (c[1] != b[1] || c[2] != b[2]) throw new ArgumentException($"k is [{Said(k)}] and v [{Said(v)}]; their heads and tokens must agree.", nameof(v));
        if (a[1] % b[1] != 0) throw new ArgumentException($"{a[1]} query heads are no multiple of {b[1]} key and value heads.", nameof(k));
        if (causal && b[2] < a[2]) throw new ArgumentException($"{a[2]} queries have only {b[2]} keys; in a causal attention each query has a key of its own.", nameof(k));
        return new((int)a[0], (int)a[1], (int)b[1], checked((int)a[2]), checked((int)b[2]), (int)a[3], (int)c[3]);
    }

    /// <summary>The factor of the products: as given, or 1 / sqrt(headDim). In Float32 it must be a number of full precision there: 1e-46 would be 0 and make all keys equal.</summary>
    public double Scale(double? given, ScalarType type)
    {
        double scale = given ?? 1 / Math.Sqrt(HeadDim);
        if (!(scale > 0 && double.IsFinite(scale))) throw new ArgumentOutOfRangeException("scale", scale, "scale must be positive and finite.");
        return type != ScalarType.Float32 || float.IsNormal((float)scale) ? scale
            : throw new ArgumentOutOfRangeException("scale", scale, "scale leaves the range of Float32; give q, k and v as Float64, or fold a part of the factor into q.");
    }

    /// <summary>
    /// Refuses infinite queries and keys by name, at the cost of a sum each. A result need not show them: a product of -infinity is a weight of 0, as if the key were hidden.
    /// </summary>
    public static void CheckSums(Tensor q, Tensor k)
    {
        using DisposeScope scope = NewDisposeScope();

        // A sum that is not finite may have left the range by itself.
        if (!double.IsFinite((q.detach().sum().to(ScalarType.Float64) + k.detach().sum().to(ScalarType.Float64)).item<double>())) CheckFinite(q, k, k);
    }

    /// <summary>Refuses what is not finite, by name; called where a result shows that something is not.</summary>
    public static void CheckFinite(Tensor q, Tensor k, Tensor v)
    {
        foreach ((string name, Tensor x) in new[] { (nameof(q), q), (nameof(k), k), (nameof(v), v) })
        {
            if (!TensorInput.IsFinite(x)) throw new ArgumentException($"{name} holds NaN or infinity.", name);
        }
    }

    private static string Said(Tensor x) => string.Join(", ", x.shape);
}
