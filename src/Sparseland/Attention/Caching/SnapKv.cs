using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Caching;

/// <summary>
/// Once a prompt is read, keeps the tokens that its last queries look at, as many in every head, and forgets the others (SnapKV, Li et al. 2024; as in the comparison of Nawrot et al. 2025).
/// Whether the question stands among those last queries decides what the rest is good for.
/// </summary>
public static class SnapKv
{
    /// <summary>What the last queries of a prompt spend on each key: the sum over the queries of the softmax weights, the mean over the query heads that share the key; then averaged over neighbours.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim], at least a window of them; they end where the keys end.</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim].</param>
    /// <param name="options">Window and kernel; null for the defaults.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <returns>[batch, keyValueHeads, keys], Float32.</returns>
    /// <exception cref="ArgumentException">Shapes that do not fit, a window longer than the queries, NaN or infinity, or an option out of its range.</exception>
    public static Tensor Importance(Tensor q, Tensor k, SnapKvOptions? options = null, double? scale = null) =>
        Importance(q, k, options ?? new(), scale, weights => weights.sum(3).mean([2L]));

    /// <summary>The tokens that stay: first and last ones, and of the others the most important, <paramref name="capacity"/> in every head.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim].</param>
    /// <param name="capacity">Tokens of a head that stay, more than the forced ones; where there are no more keys than this, all stay.</param>
    /// <param name="options">How tokens are judged; null for the defaults.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <returns>As many places in each key-value head.</returns>
    /// <exception cref="ArgumentException">As <see cref="Importance(Tensor, Tensor, SnapKvOptions?, double?)"/>, or a capacity not above the forced tokens.</exception>
    public static CacheSelection Compress(Tensor q, Tensor k, int capacity, SnapKvOptions? options = null, double? scale = null)
    {
        options ??= new();
        CheckCapacity(capacity, options);
        using DisposeScope scope = NewDisposeScope();
        Tensor scores = Forced(Importance(q, k, options, scale), options);
        int heads = (int)scores.shape[1], keys = (int)scores.shape[2];
        return CacheSelection.Of(Select.TopK(scores.view(-1, keys), Budget.PerRow(Math.Min(capacity, keys))), heads);
    }

    /// <summary>Weights of the window, gathered to one number for each key by a rule, and averaged over neighbours.</summary>
    // gather: from weights [batch, keyValueHeads, group, window, keys] to [batch, keyValueHeads, keys].
    internal static Tensor Importance(Tensor q, Tensor k, SnapKvOptions options, double? scale, Func<Tensor, Tensor> gather)
    {
        options.Validate();
        AttentionShape shape = AttentionShape.Of(q, k, k, causal: true);
        if (options.Window > shape.Tokens) throw new ArgumentException($"A window of {options.Window} queries is longer than the {shape.Tokens} that there are.", nameof(options));
        AttentionShape.CheckFinite(q, k, k);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor last = q.detach().narrow(2, shape.Tokens - options.Window, options.Window).to(ScalarType.Float32);
        Tensor weights = ExactAttention.Pattern(last, k.detach().to(ScalarType.Float32), scale: scale).view(shape.Batch, shape.KeyValueHeads, shape.Group, options.Window, shape.Keys);

        // Zeros at both ends count as neighbours, as in the released code: the ends are forced anyway.
        return scope.MoveToOuter(nn.functional.avg_pool1d(gather(weights), options.Kernel, stride: 1, padding: options.Kernel / 2));
    }

    /// <summary>Forced tokens above all others.</summary>
    internal static Tensor Forced(Tensor importance, SnapKvOptions options)
    {
        long keys = importance.shape[2], first = Math.Min(keys, options.First), local = Math.Min(keys, options.Local);
        if (first > 0) importance.narrow(2, 0, first).fill_(double.PositiveInfinity);
        if (local > 0) importance.narrow(2, keys - local, local).fill_(double.PositiveInfinity);
        return importance;
    }

    internal static void CheckCapacity(int capacity, SnapKvOptions options)
    {
        options.Validate();
        if (capacity <= options.First + options.Local)
            throw new ArgumentOutOfRangeException(nameof(capacity), capacity, $"capacity must be more than the {options.First} first and {options.Local} last tokens, which are forced.");
    }
}
