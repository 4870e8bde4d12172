using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Estimation;

/// <summary>
/// Cells of a causal row (SEA, Lee et al. 2024): the i + 1 columns of row i in K cells, cell b from round(b (i + 1) / K) up to before round((b + 1) (i + 1) / K), halves to the even number. Cells
/// grow with the row, so that an estimate of K numbers fits every row and depends on no later token. In rows of fewer than K columns some cells are empty.
/// </summary>
public static class CellGrid
{
    /// <summary>Where the cells of a row begin, and where the last one ends.</summary>
    /// <param name="row">Row i, from 0.</param>
    /// <param name="cells">Cells K, positive.</param>
    /// <returns>K + 1 columns, from 0 to i + 1; cell b is empty where two neighbours agree.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static int[] Edges(int row, int cells)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(cells);
        int[] edges = new int[cells + 1];
        for (int b = 0; b <= cells; b++) edges[b] = Edge(row, b, cells);
        return edges;
    }

    /// <summary>The cell of each column of each row.</summary>
    /// <param name="tokens">Rows and columns T, positive.</param>
    /// <param name="cells">Cells K, positive.</param>
    /// <returns>[T, T], Int64; -1 above the diagonal.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static Tensor CellOf(int tokens, int cells)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(cells);
        long[] of = new long[checked(tokens * tokens)];
        for (int row = 0; row < tokens; row++)
        {
            Span<long> line = of.AsSpan(row * tokens, tokens);
            line[(row + 1)..].Fill(-1);
            for (int b = 0; b < cells; b++) line[Edge(row, b, cells)..Edge(row, b + 1, cells)].Fill(b);
        }

        return tensor(of, [tokens, tokens]);
    }

    /// <summary>Cells without a column.</summary>
    /// <param name="tokens">Rows T, positive.</param>
    /// <param name="cells">Cells K, positive.</param>
    /// <returns>[T, K], Bool.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static Tensor Empty(int tokens, int cells)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(cells);
        bool[] empty = new bool[checked(tokens * cells)];

        // From row K - 1 on every cell has a column.
        for (int row = 0; row < Math.Min(tokens, cells - 1); row++)
        {
            for (int b = 0; b < cells; b++) empty[(row * cells) + b] = Edge(row, b, cells) == Edge(row, b + 1, cells);
        }

        return tensor(empty, [tokens, cells]);
    }

    /// <summary>Each column with the number of its cell: what makes a map of tokens times cells one of tokens times tokens. Quadratic; for training and pictures.</summary>
    /// <param name="x">[..., T, K].</param>
    /// <param name="above">What stands above the diagonal. Default -infinity, for scores.</param>
    /// <returns>[..., T, T], with gradients.</returns>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public static Tensor Stretch(Tensor x, double above = double.NegativeInfinity)
    {
        CheckMap(x, nameof(x));
        using DisposeScope scope = NewDisposeScope();
        Tensor of = CellOf((int)x.shape[^2], (int)x.shape[^1]).to(x.device);
        return scope.MoveToOuter(Stretched(x, of.clamp_min(0), of.lt(0), above));
    }

    /// <summary>The sum of each cell's columns: of true attention weights, what an estimate should say.</summary>
    /// <param name="pattern">[..., T, T]; what stands above the diagonal is not looked at.</param>
    /// <param name="cells">Cells K, positive.</param>
    /// <returns>[..., T, K].</returns>
    /// <exception cref="ArgumentException">Another shape, or K not positive.</exception>
    public static Tensor Mass(Tensor pattern, int cells)
    {
        CheckMap(pattern, nameof(pattern));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(cells);
        if (pattern.shape[^1] != pattern.shape[^2]) throw new ArgumentException($"pattern must be [..., tokens, tokens], but is [{string.Join(", ", pattern.shape)}].", nameof(pattern));
        using DisposeScope scope = NewDisposeScope();
        Tensor of = CellOf((int)pattern.shape[^1], cells).to(pattern.device);
        long[] shape = [.. pattern.shape[..^1], cells];
        return scope.MoveToOuter(zeros(shape, dtype: pattern.dtype, device: pattern.device).scatter_add(-1, of.clamp_min(0).expand(pattern.shape), pattern.masked_fill(of.lt(0), 0)));
    }

    /// <summary><see cref="Stretch"/> with the grid at hand; in the current scope.</summary>
    internal static Tensor Stretched(Tensor x, Tensor cellOf, Tensor later, double above)
    {
        long[] shape = [.. x.shape[..^1], x.shape[^2]];
        return x.gather(-1, cellOf.expand(shape)).masked_fill(later, above);
    }

    /// <summary>First column of a cell.</summary>
    internal static int Edge(int row, int cell, int cells) => (int)Rounded((long)cell * (row + 1L), cells);

    /// <summary>a / b, halves to the even number, without rounding on the way.</summary>
    internal static long Rounded(long a, long b)
    {
        (long whole, long rest) = Math.DivRem(a, b);
        long twice = rest * 2;
        return twice > b || (twice == b && (whole & 1) == 1) ? whole + 1 : whole;
    }

    private static void CheckMap(Tensor x, string name)
    {
        ArgumentNullException.ThrowIfNull(x, name);
        if (x.dim() < 2 || x.numel() == 0) throw new ArgumentException($"{name} must be [..., tokens, width] and not empty, but is [{string.Join(", ", x.shape)}].", name);
    }
}
