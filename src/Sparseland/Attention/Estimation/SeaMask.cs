using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Estimation;

/// <summary>
/// From estimated cells to kept columns (SEA, "grouped top-k" in its causal form): a query's cells of all heads compete for one budget, so that a peaked head takes few and a broad one many.
/// </summary>
/// <remarks>
/// A head that wins no cell in a row keeps no column there; its sparse output is then zero. Each row keeps a cell of some head: its budget is at least 1, and its own column is always in one. Cells without a column
/// are never chosen (the released code lets them waste budget), but they had their share of the softmax: in rows of fewer columns than cells a head's chances fall by what its estimate gives to them.
/// Chosen on the CPU, wherever the probabilities are.
/// </remarks>
public static class SeaMask
{
    /// <summary>Cells of all heads together that the budget gives to a row: round(H k K / (i + 1)), from 1 to H K. On average k columns a head.</summary>
    /// <param name="row">Row i, from 0.</param>
    /// <param name="heads">Heads H, positive.</param>
    /// <param name="cells">Cells of a head K, positive.</param>
    /// <param name="columns">Columns of a head k, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static int Budget(int row, int heads, int cells, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(heads);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(cells);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(columns);
        long all = checked((long)heads * cells);
        return checked((int)Math.Clamp(CellGrid.Rounded(checked(all * columns), row + 1L), 1, all));
    }

    /// <summary>Cells that a row keeps: its <see cref="Budget"/>, or all that have a column where those are fewer.</summary>
    /// <param name="row">Row i, from 0.</param>
    /// <param name="heads">Heads H, positive.</param>
    /// <param name="cells">Cells of a head K, positive.</param>
    /// <param name="columns">Columns of a head k, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static int Kept(int row, int heads, int cells, int columns) =>
        Math.Min(Budget(row, heads, cells, columns), checked(heads * Math.Min(row + 1, cells)));

    /// <summary>The chosen cells: of each query the highest of all heads, as many as <see cref="Kept"/> says.</summary>
    /// <param name="probabilities">Estimated attention over cells, rows of sum one [batch, heads, tokens, cells].</param>
    /// <param name="columns">Columns of a head and row, k, on average; positive. It may be another than in training.</param>
    /// <returns>[batch, heads, tokens, cells], Bool, on the CPU.</returns>
    /// <exception cref="ArgumentException">Another shape, rows whose sum is not one, or NaN.</exception>
    public static Tensor Choose(Tensor probabilities, int columns)
    {
        using DisposeScope scope = NewDisposeScope();
        Support kept = Chosen(probabilities, columns);
        long[] s = probabilities.shape;
        return scope.MoveToOuter(kept.ToMask().view(s[0], s[2], s[1], s[3]).permute(0, 2, 1, 3).contiguous());
    }

    /// <summary>The columns of the chosen cells of an estimate.</summary>
    /// <param name="estimate">The estimate.</param>
    /// <param name="columns">As in <see cref="Choose"/>.</param>
    /// <returns>A causal support of batch * heads heads.</returns>
    /// <exception cref="ArgumentException">The budget is not positive, or the estimate not finite.</exception>
    public static AttentionSupport FromCells(SeaEstimate estimate, int columns)
    {
        ArgumentNullException.ThrowIfNull(estimate);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return FromCells(estimate.Probabilities(), columns);
    }

    /// <summary>The columns of the chosen cells. Linear in tokens: cells are kept in compressed rows.</summary>
    /// <param name="probabilities">As in <see cref="Choose"/>.</param>
    /// <param name="columns">As in <see cref="Choose"/>.</param>
    /// <returns>A causal support of batch * heads heads.</returns>
    /// <exception cref="ArgumentException">As for <see cref="Choose"/>.</exception>
    public static AttentionSupport FromCells(Tensor probabilities, int columns)
    {
        Support chosen = Chosen(probabilities, columns);
        (int batch, int heads, int tokens, int cells) = ((int)probabilities.shape[0], (int)probabilities.shape[1], (int)probabilities.shape[2], (int)probabilities.shape[3]);
        List<Support> all = new(batch * heads);
        int[][] offsets = new int[heads][];
        List<int>[] kept = new List<int>[heads];
        for (int b = 0; b < batch; b++)
        {
            for (int h = 0; h < heads; h++) (offsets[h], kept[h]) = (new int[tokens + 1], new(tokens * Math.Min(columns, tokens)));
            for (int row = 0; row < tokens; row++)
            {
                // Ascending places are ascending cells of one head after the other, and those are ascending columns.
                foreach (int place in chosen.Row((b * tokens) + row))
                {
                    (int head, int cell) = Math.DivRem(place, cells);
                    int to = CellGrid.Edge(row, cell + 1, cells);
                    for (int j = CellGrid.Edge(row, cell, cells); j < to; j++) kept[head].Add(j);
                }

                for (int h = 0; h < heads; h++) offsets[h][row + 1] = kept[h].Count;
            }

            for (int h = 0; h < heads; h++) all.Add(new(tokens, tokens, offsets[h], System.Runtime.InteropServices.CollectionsMarshal.AsSpan(kept[h])));
        }

        return new(all);
    }

    /// <summary>[batch * tokens, heads * cells].</summary>
    private static Support Chosen(Tensor probabilities, int columns)
    {
        ArgumentNullException.ThrowIfNull(probabilities);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(columns);
        if (probabilities.dim() != 4 || probabilities.numel() == 0)
            throw new ArgumentException($"probabilities must be [batch, heads, tokens, cells] and not empty, but are [{string.Join(", ", probabilities.shape)}].", nameof(probabilities));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor p = probabilities.detach().cpu();
        (int batch, int heads, int tokens, int cells) = ((int)p.shape[0], (int)p.shape[1], (int)p.shape[2], (int)p.shape[3]);
        double apart = p.sum(-1).sub(1).abs().max().to(ScalarType.Float64).item<double>();

        // Written so that NaN fails too.
        if (!(apart <= 1e-3)) throw new ArgumentException(FormattableString.Invariant($"probabilities must have the sum 1 over the cells of each row; one is {apart} off."), nameof(probabilities));
        int[] row = new int[tokens], counts = new int[checked(batch * tokens)];
        for (int i = 0; i < tokens; i++) row[i] = Kept(i, heads, cells, columns);
        for (int b = 0; b < batch; b++) row.CopyTo(counts, b * tokens);
        Tensor ranked = p.masked_fill(CellGrid.Empty(tokens, cells), double.NegativeInfinity).permute(0, 2, 1, 3).reshape(batch * tokens, heads * cells);
        return Select.TopK(ranked, Selection.Budget.PerRow(counts));
    }
}
