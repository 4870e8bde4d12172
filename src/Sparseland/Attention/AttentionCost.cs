namespace Sparseland.Attention;

/// <summary>What attention costs, counted: multiply-adds count two.</summary>
public static class AttentionCost
{
    /// <summary>Cells of a causal head: tokens (tokens + 1) / 2, and all of what stands in a cache before.</summary>
    /// <param name="tokens">Queries, positive.</param>
    /// <param name="cached">Tokens before the first query. Default 0.</param>
    public static long Cells(long tokens, long cached = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        ArgumentOutOfRangeException.ThrowIfNegative(cached);
        return checked((tokens * (tokens + 1) / 2) + (tokens * cached));
    }

    /// <summary>Floating-point operations of both products of some cells: 4 headDim heads cells.</summary>
    /// <param name="cells">Cells of a head.</param>
    /// <param name="heads">Query heads.</param>
    /// <param name="headDim">Width of a head.</param>
    public static double Flops(double cells, int heads, int headDim) => 4.0 * headDim * heads * cells;

    /// <summary>Floating-point operations of estimating a pattern from the last queries: 2 headDim heads queries tokens.</summary>
    /// <param name="queries">Last queries.</param>
    /// <param name="tokens">Keys.</param>
    /// <param name="heads">Query heads.</param>
    /// <param name="headDim">Width of a head.</param>
    public static double EstimationFlops(long queries, long tokens, int heads, int headDim) => 2.0 * headDim * heads * queries * tokens;

    /// <summary>Bytes of the keys and values of a text: 2 layers keyValueHeads tokens headDim bytes. Reading them is what a new token costs.</summary>
    /// <param name="layers">Blocks.</param>
    /// <param name="keyValueHeads">Key and value heads.</param>
    /// <param name="tokens">Tokens held.</param>
    /// <param name="headDim">Width of a head.</param>
    /// <param name="bytes">Bytes of a number. Default 4.</param>
    public static long CacheBytes(int layers, int keyValueHeads, long tokens, int headDim, int bytes = 4) => checked(2L * layers * keyValueHeads * tokens * headDim * bytes);
}
