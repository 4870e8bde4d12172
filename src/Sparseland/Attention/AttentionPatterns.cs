using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention;

/// <summary>
/// Causal patterns of one head, as exact sets of cells: row i is a query, column j a key, j at most i + offset. Distances are counted from the query's own place.
/// </summary>
public static class AttentionPatterns
{
    /// <summary>Every key up to the query.</summary>
    /// <param name="tokens">Queries, positive.</param>
    /// <param name="offset">Tokens before the first query, in a cache. Default 0.</param>
    public static Support Full(int tokens, int offset = 0) => Build(tokens, offset, (at, add) => add(0, at + 1));

    /// <summary>The last keys, the query's own included: 0 &lt;= i - j &lt; window. window T - window (window - 1) / 2 cells.</summary>
    /// <param name="tokens">Queries, positive.</param>
    /// <param name="window">Keys, positive.</param>
    /// <param name="offset">Tokens before the first query. Default 0.</param>
    public static Support Window(int tokens, int window, int offset = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(window);
        return Build(tokens, offset, (at, add) => add(at - window + 1, at + 1));
    }

    /// <summary>The first keys and the last ones ("A-shape"; StreamingLLM, Xiao et al. 2023).</summary>
    /// <param name="tokens">Queries, positive.</param>
    /// <param name="sinks">First keys, not negative.</param>
    /// <param name="window">Last keys, positive.</param>
    /// <param name="offset">Tokens before the first query. Default 0.</param>
    public static Support SinksAndWindow(int tokens, int sinks, int window, int offset = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(sinks);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(window);
        return Build(tokens, offset, (at, add) =>
        {
            int local = Math.Max(0, at - window + 1);
            add(0, Math.Min(sinks, local));
            add(local, at + 1);
        });
    }

    /// <summary>Every step-th of the last keys: i - j &lt; window and a multiple of the step.</summary>
    /// <param name="tokens">Queries, positive.</param>
    /// <param name="window">How far back, positive.</param>
    /// <param name="step">Distance between keys, positive.</param>
    /// <param name="offset">Tokens before the first query. Default 0.</param>
    public static Support Dilated(int tokens, int window, int step, int offset = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(window);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(step);
        return Build(tokens, offset, (at, add) =>
        {
            int last = Math.Min(at, window - 1) / step * step;
            for (int d = last; d >= 0; d -= step) add(at - d, at - d + 1);
        });
    }

    /// <summary>Every step-th key, counted back from the query (Child et al. 2019, who unite it with a window of the step).</summary>
    /// <param name="tokens">Queries, positive.</param>
    /// <param name="step">Distance between keys, positive.</param>
    /// <param name="offset">Tokens before the first query. Default 0.</param>
    public static Support Strided(int tokens, int step, int offset = 0) => Dilated(tokens, tokens + offset, step, offset);

    /// <summary>Some keys for all later queries, and some distances (MInference): j in columns, or i - j in slashes. sum (T - v) + sum (T - d) - #{v + d &lt; T} cells.</summary>
    /// <param name="tokens">Queries, positive.</param>
    /// <param name="columns">Keys, from 0 to the last; each once.</param>
    /// <param name="slashes">Distances, from 0 to the last; each once.</param>
    /// <param name="offset">Tokens before the first query. Default 0.</param>
    /// <exception cref="ArgumentException">A number is out of range or stands twice.</exception>
    public static Support VerticalSlash(int tokens, IReadOnlyList<int> columns, IReadOnlyList<int> slashes, int offset = 0)
    {
        int keys = CheckedKeys(tokens, offset);
        int[] down = Places(columns, keys, nameof(columns)), across = Places(slashes, keys, nameof(slashes));
        Array.Reverse(across);
        int[] row = new int[down.Length + across.Length];
        return Build(tokens, offset, (at, add) =>
        {
            // Both run upwards; what both name is added once.
            int c = 0, s = 0, n = 0;
            while (s < across.Length && across[s] > at) s++;
            while (c < down.Length && down[c] <= at || s < across.Length)
            {
                int one = c < down.Length && down[c] <= at ? down[c] : int.MaxValue, other = s < across.Length ? at - across[s] : int.MaxValue;
                row[n++] = Math.Min(one, other);
                c += one <= other ? 1 : 0;
                s += other <= one ? 1 : 0;
            }

            for (int i = 0; i < n; i++) add(row[i], row[i] + 1);
        });
    }

    /// <summary>Whole blocks of queries and keys; blocks on the diagonal are cut at it, and the last block may be shorter.</summary>
    /// <param name="tokens">Queries, and keys, positive.</param>
    /// <param name="block">Queries and keys of a block, positive.</param>
    /// <param name="blocks">[n, n] with n = ceil(tokens / block).</param>
    /// <exception cref="ArgumentException">The block is larger than the sequence, another number of blocks, or a block after its row.</exception>
    public static Support Blocks(int tokens, int block, Support blocks)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(block);
        ArgumentNullException.ThrowIfNull(blocks);
        if (block > tokens) throw new ArgumentOutOfRangeException(nameof(block), block, $"A block of {block} is longer than the {tokens} tokens.");
        int n = (tokens + block - 1) / block;
        if (blocks.Rows != n || blocks.Columns != n) throw new ArgumentException($"{tokens} tokens in blocks of {block} are {n} x {n} blocks, not {blocks.Rows} x {blocks.Columns}.", nameof(blocks));
        for (int row = 0; row < n; row++)
        {
            ReadOnlySpan<int> kept = blocks.Row(row);
            if (!kept.IsEmpty && kept[^1] > row) throw new ArgumentException($"Block row {row} keeps block {kept[^1]}, which comes later.", nameof(blocks));
        }

        return Build(tokens, 0, (at, add) =>
        {
            foreach (int b in blocks.Row(at / block)) add(b * block, Math.Min((b + 1) * block, at + 1));
        });
    }

    /// <summary>The highest scores of each row, at most as many as the row has keys: the oracle that no other choice of as many keys beats in mass.</summary>
    /// <param name="scores">[tokens, keys]; what stands above the diagonal is not looked at.</param>
    /// <param name="k">Keys of a query, positive.</param>
    /// <exception cref="ArgumentException">Another shape, fewer keys than queries, or NaN below the diagonal.</exception>
    public static Support TopKPerRow(Tensor scores, int k)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(k);
        int offset = CheckScores(scores);
        return TopKPerRow(scores, [.. Enumerable.Range(0, (int)scores.shape[0]).Select(i => Math.Min(k, i + offset + 1))]);
    }

    /// <summary>Of each row its own number of highest scores: the oracle at another pattern's numbers.</summary>
    /// <param name="scores">[tokens, keys]; what stands above the diagonal is not looked at.</param>
    /// <param name="counts">[tokens]: keys of each query, at most as many as it has.</param>
    /// <exception cref="ArgumentException">Another shape, a count above a row's keys, or NaN below the diagonal.</exception>
    public static Support TopKPerRow(Tensor scores, IReadOnlyList<int> counts)
    {
        int offset = CheckScores(scores);
        ArgumentNullException.ThrowIfNull(counts);
        if (counts.Count != scores.shape[0]) throw new ArgumentException($"There are {counts.Count} counts for {scores.shape[0]} queries.", nameof(counts));
        for (int i = 0; i < counts.Count; i++)
        {
            if (counts[i] > i + offset + 1) throw new ArgumentException($"Row {i} shall keep {counts[i]} keys, but has only {i + offset + 1}.", nameof(counts));
        }

        using DisposeScope scope = NewDisposeScope();
        Tensor later = ones(scores.shape, dtype: ScalarType.Bool, device: scores.device).triu(offset + 1);

        // A row keeps no more than it has, so none of these is chosen; -infinity below the diagonal stays above them by its place.
        return Select.TopK(scores.detach().masked_fill(later, double.NegativeInfinity), Budget.PerRow(counts));
    }

    private static int CheckScores(Tensor scores)
    {
        ArgumentNullException.ThrowIfNull(scores);
        if (scores.dim() != 2 || scores.shape[1] < scores.shape[0]) throw new ArgumentException($"scores must be [tokens, keys] with at least as many keys as tokens, but are [{string.Join(", ", scores.shape)}].", nameof(scores));
        return (int)(scores.shape[1] - scores.shape[0]);
    }

    private static int CheckedKeys(int tokens, int offset)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        return checked(tokens + offset);
    }

    /// <summary>Ascending copies of places that are in range and different.</summary>
    internal static int[] Places(IReadOnlyList<int> places, int count, string name)
    {
        ArgumentNullException.ThrowIfNull(places, name);
        int[] sorted = [.. places.Order()];
        for (int i = 0; i < sorted.Length; i++)
        {
            if (sorted[i] < 0 || sorted[i] >= count) throw new ArgumentOutOfRangeException(name, sorted[i], $"{name} has {sorted[i]}; they lie from 0 to {count - 1}.");
            if (i > 0 && sorted[i] == sorted[i - 1]) throw new ArgumentException($"{name} has {sorted[i]} twice.", name);
        }

        return sorted;
    }

    private static Support Build(int tokens, int offset, Action<int, Action<int, int>> row)
    {
        int keys = CheckedKeys(tokens, offset);
        int[] offsets = new int[tokens + 1];
        var columns = new List<int>();
        void Add(int from, int to)
        {
            for (int j = Math.Max(0, from); j < to; j++) columns.Add(j);
        }

        for (int i = 0; i < tokens; i++)
        {
            row(i + offset, Add);
            offsets[i + 1] = columns.Count;
        }

        return new(tokens, keys, offsets, columns.ToArray());
    }
}
