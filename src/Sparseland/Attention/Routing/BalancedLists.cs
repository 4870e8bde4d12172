using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Routing;

/// <summary>Lists of tokens, all equally long: for each centroid its nearest tokens, not for each token its nearest centroid. A token may be in several lists or in none.</summary>
public static class BalancedLists
{
    /// <summary>For each centroid the tokens with the largest products (Roy et al. 2021, section 4.1), sorted by position.</summary>
    /// <param name="similarity">[..., tokens, clusters].</param>
    /// <param name="window">Tokens of a list, w.</param>
    /// <returns>[..., clusters, window], int64; the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">Another rank, or window is not from 1 to the number of tokens.</exception>
    public static Tensor TopPerCentroid(Tensor similarity, int window)
    {
        ArgumentNullException.ThrowIfNull(similarity);
        if (similarity.dim() < 2 || similarity.numel() == 0) throw new ArgumentException($"similarity must be [..., tokens, clusters] and not empty, but is [{string.Join(", ", similarity.shape)}].", nameof(similarity));
        CheckWindow(window, similarity.shape[^2]);
        using IDisposable off = no_grad();
        using var scope = NewDisposeScope();
        Tensor best = similarity.detach().transpose(-1, -2).topk(window, dim: -1).indexes;
        return scope.MoveToOuter(best.sort(-1).Values);
    }

    /// <summary>Lists of random tokens: the control that costs as much and knows nothing.</summary>
    /// <param name="batch">Sequences.</param>
    /// <param name="heads">Heads.</param>
    /// <param name="clusters">Lists of a head.</param>
    /// <param name="window">Tokens of a list.</param>
    /// <param name="tokens">Tokens of a sequence.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <returns>[batch, heads, clusters, window], int64; the caller's to dispose.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static Tensor Random(int batch, int heads, int clusters, int window, int tokens, long seed = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(heads);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(clusters);
        CheckWindow(window, tokens);
        var random = new SeededRandom(seed, 8_200);
        long[] all = new long[batch * heads * clusters * window];
        long[] order = [.. Enumerable.Range(0, tokens).Select(t => (long)t)];
        for (int at = 0; at < all.Length; at += window)
        {
            for (int i = 0; i < window; i++)
            {
                int j = i + random.NextInt(tokens - i);
                (order[i], order[j]) = (order[j], order[i]);
            }

            order.AsSpan(0, window).CopyTo(all.AsSpan(at));
            all.AsSpan(at, window).Sort();
        }

        return tensor(all, [batch, heads, clusters, window]);
    }

    /// <summary>In how many lists each token stands.</summary>
    /// <param name="lists">[..., clusters, window].</param>
    /// <param name="tokens">Tokens of a sequence.</param>
    /// <returns>[..., tokens], int64; the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">Another rank.</exception>
    public static Tensor Multiplicity(Tensor lists, int tokens)
    {
        ArgumentNullException.ThrowIfNull(lists);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        if (lists.dim() < 2 || lists.dtype != ScalarType.Int64) throw new ArgumentException($"lists must be Int64 [..., clusters, window], but are {lists.dtype} [{string.Join(", ", lists.shape)}].", nameof(lists));
        using var scope = NewDisposeScope();
        Tensor flat = lists.flatten(-2, -1), none = zeros([.. flat.shape[..^1], tokens], dtype: ScalarType.Int64, device: lists.device);
        return scope.MoveToOuter(none.scatter_add(-1, flat, ones_like(flat)));
    }

    /// <summary>Share of tokens that stand in at least one list.</summary>
    /// <param name="lists">[..., clusters, window].</param>
    /// <param name="tokens">Tokens of a sequence.</param>
    /// <exception cref="ArgumentException">Another rank.</exception>
    public static double Cover(Tensor lists, int tokens)
    {
        using var scope = NewDisposeScope();
        return Multiplicity(lists, tokens).gt(0).to(ScalarType.Float64).mean().item<double>();
    }

    private static void CheckWindow(int window, long tokens)
    {
        if (window < 1 || window > tokens) throw new ArgumentOutOfRangeException(nameof(window), window, $"window must be from 1 to the {tokens} tokens.");
    }
}
