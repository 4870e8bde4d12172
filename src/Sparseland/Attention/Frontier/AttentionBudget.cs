namespace Sparseland.Attention.Frontier;

/// <summary>One number for all methods: cells computed over causal cells while a prompt is read, tokens read over tokens held while tokens are written. From a sparsity to what a method may spend.</summary>
public static class AttentionBudget
{
    /// <summary>Cells of one head that a prefill method computes: the same number for every method, so that only their places differ.</summary>
    /// <param name="method">A method of the prefill phase.</param>
    /// <param name="tokens">Tokens of the text.</param>
    /// <param name="sparsity">Share of the causal triangle that is left out, from 0 to below 1.</param>
    /// <param name="options">What the method is forced to compute; null for the defaults.</param>
    /// <returns>floor((1 - sparsity) tokens (tokens + 1) / 2).</returns>
    /// <exception cref="ArgumentException">A method of the other phase, a number out of its range, or fewer cells than the method is forced to compute.</exception>
    public static long ForPrefillSparsity(FrontierMethod method, int tokens, double sparsity, FrontierOptions? options = null)
    {
        options ??= new();
        options.Validate();
        CheckSparsity(sparsity);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        long cells = Floor((1 - sparsity) * AttentionCost.Cells(tokens));
        long forced = method switch
        {
            FrontierMethod.SinksAndWindow => CellsOf(tokens, options.First, 1),
            FrontierMethod.VerticalSlash => CellsOf(tokens, options.First, options.Slashes),
            FrontierMethod.FlexPrefill => CellsOf(tokens, options.First, options.Near),
            FrontierMethod.BlockSparse => tokens % options.Block == 0
                ? (long)(tokens / options.Block) * options.Block * (options.Block + 1) / 2
                : throw new ArgumentException($"{tokens} tokens are no whole blocks of {options.Block}.", nameof(tokens)),
            _ => throw new ArgumentException($"{method} is not sparse while a prompt is read.", nameof(method)),
        };
        return cells >= forced ? cells : throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, $"{method} is forced to compute {forced} cells of {tokens} tokens; sparsity {sparsity} leaves {cells}.");
    }

    /// <summary>Tokens of the prompt that each later token may read, beside all that came after the prompt: so that over all later tokens the share of tokens read is at most 1 - sparsity, and no other number comes nearer.</summary>
    /// <param name="method">A method of the decode phase.</param>
    /// <param name="prompt">Tokens of the prompt.</param>
    /// <param name="tokens">Tokens in the end: more than those of the prompt.</param>
    /// <param name="sparsity">Share of the cache that is left out, from 0 to below 1.</param>
    /// <param name="options">What the method is forced to read; null for the defaults.</param>
    /// <returns>From 1 to prompt.</returns>
    /// <exception cref="ArgumentException">A method of the other phase, a number out of its range, or fewer tokens than the method is forced to read.</exception>
    public static int ForDecodeSparsity(FrontierMethod method, int prompt, int tokens, double sparsity, FrontierOptions? options = null)
    {
        options ??= new();
        options.Validate();
        CheckSparsity(sparsity);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(prompt);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(tokens, prompt);
        int forced = method switch
        {
            FrontierMethod.Window or FrontierMethod.Oracle => 1,
            FrontierMethod.Quest => options.Block,
            FrontierMethod.SnapKv or FrontierMethod.AdaSnapKv => options.First + 1,
            FrontierMethod.SnapKvBefore => options.First + options.Local + 1,
            _ => throw new ArgumentException($"{method} is not sparse while tokens are written.", nameof(method)),
        };

        // The query at place p reads n + (p - prompt + 1) of p + 1 tokens.
        long later = tokens - prompt, held = AttentionCost.Cells(later, prompt), since = AttentionCost.Cells(later);
        long budget = Floor((((1 - sparsity) * held) - since) / later);
        return budget >= forced ? (int)Math.Min(prompt, budget)
            : throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, $"{method} must read at least {forced} tokens of the prompt; sparsity {sparsity} of {prompt} + {later} tokens leaves {budget}.");
    }

    /// <summary>Blocks that are computed where each row of blocks has the t best ones: t (t + 1) / 2 + (n - t) t.</summary>
    /// <param name="blocks">n, rows of blocks, positive.</param>
    /// <param name="top">t, from 1 to n.</param>
    public static long BlockCells(int blocks, int top)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(blocks);
        if (top < 1 || top > blocks) throw new ArgumentOutOfRangeException(nameof(top), top, $"top must be from 1 to {blocks}.");
        return ((long)top * (top + 1) / 2) + ((long)(blocks - top) * top);
    }

    /// <summary>The largest number of blocks a row that leaves out at least a share of the blocks, by bisection; never fewer than <paramref name="least"/>.</summary>
    /// <param name="blocks">n, rows of blocks, positive.</param>
    /// <param name="sparsity">Share of the n (n + 1) / 2 blocks that is left out, from 0 to below 1.</param>
    /// <param name="least">Fewest blocks of a row. Default 3.</param>
    public static int BlocksForSparsity(int blocks, double sparsity, int least = 3)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(blocks);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(least);
        CheckSparsity(sparsity);
        double may = (1 - sparsity) * AttentionCost.Cells(blocks);
        int low = Math.Min(least, blocks), high = blocks;
        while (low < high)
        {
            int middle = (low + high + 1) / 2;
            (low, high) = BlockCells(blocks, middle) <= may + 1e-9 ? (middle, high) : (low, middle - 1);
        }

        return low;
    }

    internal static void CheckSparsity(double sparsity)
    {
        if (!(sparsity >= 0 && sparsity < 1)) throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, "sparsity must be from 0 to below 1.");
    }

    /// <summary>Cells of some first keys and as many nearest distances.</summary>
    private static long CellsOf(int tokens, int first, int slashes)
    {
        long cells = 0;
        for (int i = 0; i < tokens; i++) cells += Math.Min(i + 1, first + slashes);
        return cells;
    }

    // 1 - 0.9 is a little more than a tenth.
    private static long Floor(double x) => (long)Math.Floor(x + 1e-6);
}
