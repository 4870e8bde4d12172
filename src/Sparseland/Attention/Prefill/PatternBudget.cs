namespace Sparseland.Attention.Prefill;

/// <summary>Sizes at which patterns select as many cells as others: comparisons at other budgets say nothing.</summary>
public static class PatternBudget
{
    /// <summary>The longest window that selects at most so many cells beside its sinks.</summary>
    /// <param name="tokens">Tokens of the text, positive.</param>
    /// <param name="sinks">First keys, not negative.</param>
    /// <param name="cells">Cells of the causal triangle that may be selected, at least those of the sinks and the queries themselves.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range, or the budget too small.</exception>
    public static AShape Window(int tokens, int sinks, double cells)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        ArgumentOutOfRangeException.ThrowIfNegative(sinks);
        int window = Largest(tokens, w => SinksAndWindow(tokens, sinks, w) <= cells);
        return window > 0 ? new(sinks, window) : throw new ArgumentOutOfRangeException(nameof(cells), cells, $"{cells} cells are fewer than those of {sinks} sinks and each query's own key.");
    }

    /// <summary>The largest number of blocks a block row that selects at most so many cells.</summary>
    /// <param name="tokens">Tokens of the text, positive.</param>
    /// <param name="block">Tokens of a block, positive.</param>
    /// <param name="cells">Cells of the causal triangle that may be selected, at least those of the diagonal blocks.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range, or the budget too small.</exception>
    public static BlockTopK Blocks(int tokens, int block, double cells)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(block);
        int blocks = Largest((int)(((long)tokens + block - 1) / block), t => Cells(tokens, block, t) <= cells);
        return blocks > 0 ? new(blocks) : throw new ArgumentOutOfRangeException(nameof(cells), cells, $"{cells} cells are fewer than those of the diagonal blocks of {block}.");
    }

    /// <summary>Cells of sinks and a window.</summary>
    private static double SinksAndWindow(int tokens, int sinks, int window)
    {
        double cells = 0;
        for (int i = 0; i < tokens; i++) cells += Math.Min(i + 1, window) + Math.Min(sinks, Math.Max(0, i + 1 - window));
        return cells;
    }

    /// <summary>Visible cells of t blocks a block row, the diagonal one halved.</summary>
    private static double Cells(int tokens, int block, int t)
    {
        double cells = 0;
        for (int i = 0; i < tokens; i++) cells += (i % block) + 1 + ((double)block * Math.Min(t - 1, i / block));
        return cells;
    }

    private static int Largest(int most, Func<int, bool> fits)
    {
        int low = 0, high = most;
        while (low < high)
        {
            int middle = (low + high + 1) / 2;
            (low, high) = fits(middle) ? (middle, high) : (low, middle - 1);
        }

        return low;
    }
}
