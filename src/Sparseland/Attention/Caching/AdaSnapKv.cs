using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Caching;

/// <summary>
/// <see cref="SnapKv"/> with a budget that the heads of a layer share (Ada-KV, Feng et al. 2024; as in the comparison of Nawrot et al. 2025): every head keeps a minimum, the rest goes to the most important
/// tokens of all heads together. A head that looks everywhere then keeps more than one that looks at few.
/// </summary>
public static class AdaSnapKv
{
    /// <summary>The most that any of the last queries spends on each key, in any of the query heads that share it; averaged over neighbours.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim], at least a window of them; they end where the keys end.</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim].</param>
    /// <param name="options">Window and kernel; null for the defaults.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <returns>[batch, keyValueHeads, keys], Float32.</returns>
    /// <exception cref="ArgumentException">Shapes that do not fit, a window longer than the queries, NaN or infinity, or an option out of its range.</exception>
    public static Tensor Importance(Tensor q, Tensor k, SnapKvOptions? options = null, double? scale = null) =>
        SnapKv.Importance(q, k, options ?? new(), scale, weights => weights.amax([2L, 3L]));

    /// <summary>Tokens that every head keeps at least: a share of the capacity, and no fewer than the forced ones.</summary>
    /// <param name="capacity">Tokens of a head in the mean.</param>
    /// <param name="options">Share and forced tokens; null for the defaults.</param>
    /// <exception cref="ArgumentException">A capacity not above the forced tokens, or an option out of its range.</exception>
    public static int LeastOf(int capacity, SnapKvOptions? options = null)
    {
        options ??= new();
        SnapKv.CheckCapacity(capacity, options);
        return Math.Max((int)Math.Floor((options.Least * capacity) + 1e-9), options.First + options.Local);
    }

    /// <summary>The tokens that stay: heads x capacity of a layer's, each sequence for itself, shared out among its heads.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim].</param>
    /// <param name="capacity">Tokens of a head that stay in the mean, more than the forced ones; where there are no more keys than this, all stay.</param>
    /// <param name="options">How tokens are judged; null for the defaults.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <returns>Lists of different lengths.</returns>
    /// <exception cref="ArgumentException">As <see cref="Importance"/>, or a capacity not above the forced tokens.</exception>
    public static CacheSelection Compress(Tensor q, Tensor k, int capacity, SnapKvOptions? options = null, double? scale = null)
    {
        options ??= new();
        int least = LeastOf(capacity, options);
        using DisposeScope scope = NewDisposeScope();
        Tensor scores = SnapKv.Forced(Importance(q, k, options, scale), options).cpu().contiguous();
        (int batch, int heads, int keys) = ((int)scores.shape[0], (int)scores.shape[1], (int)scores.shape[2]);
        if (keys <= capacity) return CacheSelection.All(heads, keys, batch);
        ReadOnlySpan<float> all = TensorMemory.Read<float>(scores);
        int[][] kept = new int[batch * heads][];
        for (int b = 0; b < batch; b++) ShareOut(all.Slice(b * heads * keys, heads * keys), heads, capacity, least).CopyTo(kept, b * heads);
        GC.KeepAlive(scores);
        return CacheSelection.Trusted(heads, keys, kept);
    }

    /// <summary>Of one sequence. Ties go to the lower head, then to the lower place.</summary>
    private static int[][] ShareOut(ReadOnlySpan<float> scores, int heads, int capacity, int least)
    {
        int keys = scores.Length / heads;
        List<int>[] kept = [.. Enumerable.Range(0, heads).Select(_ => new List<int>())];
        var others = new (float Key, int At)[heads * (keys - least)];
        for (int h = 0; h < heads; h++)
        {
            var order = new (float Key, int At)[keys];
            for (int j = 0; j < keys; j++) order[j] = (-scores[(h * keys) + j], (h * keys) + j);
            Array.Sort(order);
            for (int j = 0; j < least; j++) kept[h].Add(order[j].At - (h * keys));
            order.AsSpan(least).CopyTo(others.AsSpan(h * (keys - least)));
        }

        Array.Sort(others);
        foreach ((_, int at) in others.AsSpan(0, heads * (capacity - least))) kept[at / keys].Add(at % keys);
        return [.. kept.Select(k => k.Order().ToArray())];
    }
}
