namespace Sparseland.Kernels;

/// <summary>Rows of C that are made together in a scratchpad, or a range of columns of one that is too long for it.</summary>
/// <param name="FromRow">First row.</param>
/// <param name="ToRow">Behind the last row.</param>
/// <param name="FromColumn">First column of C.</param>
/// <param name="ToColumn">Behind the last column.</param>
/// <param name="Products">Multiplications.</param>
public readonly record struct SpGemmWindow(int FromRow, int ToRow, int FromColumn, int ToColumn, long Products);

/// <summary>The windows of a product C = A B: phase 0 of SMASH (Shivdikar 2021).</summary>
public static class SpGemmWindows
{
    /// <summary>
    /// Cuts the rows: a window takes consecutive rows while their multiplications fit the capacity. A row that has more than fit is halved by columns until its parts fit, or are so narrow
    /// that their columns do.
    /// </summary>
    /// <param name="a">[rows, inner].</param>
    /// <param name="b">[inner, columns].</param>
    /// <param name="capacity">Most multiplications of a window: a power of two.</param>
    /// <exception cref="ArgumentException">The inner sizes differ, or the capacity is no power of two.</exception>
    public static IReadOnlyList<SpGemmWindow> Of(CsrMatrix a, CsrMatrix b, int capacity)
    {
        long[] work = SpGemm.Work(a, b);
        if (capacity < 1 || (capacity & (capacity - 1)) != 0) throw new ArgumentException($"A capacity is a power of two, not {capacity}.", nameof(capacity));
        int[] ka = a.ColumnArray(), kb = b.ColumnArray();
        var windows = new List<SpGemmWindow>();
        int from = 0;
        for (int row = 0; row < a.Rows; row++)
        {
            long own = work[row + 1] - work[row];
            if (own > capacity)
            {
                Close(row);
                Halve(row, 0, b.Columns, own);
                from = row + 1;
            }
            else if (work[row + 1] - work[from] > capacity)
            {
                Close(row);
            }
        }

        Close(a.Rows);
        return windows;

        void Close(int to)
        {
            if (work[to] > work[from]) windows.Add(new(from, to, 0, b.Columns, work[to] - work[from]));
            from = to;
        }

        void Halve(int row, int low, int high, long products)
        {
            if (products == 0) return;
            if (products <= capacity || high - low <= capacity)
            {
                windows.Add(new(row, row + 1, low, high, products));
                return;
            }

            int middle = low + ((high - low) / 2);
            long left = Between(row, low, middle);
            Halve(row, low, middle, left);
            Halve(row, middle, high, products - left);
        }

        // Multiplications of a row that fall into a range of columns.
        long Between(int row, int low, int high)
        {
            long count = 0;
            for (int k = a.RowOffsets[row]; k < a.RowOffsets[row + 1]; k++)
            {
                ReadOnlySpan<int> columns = kb.AsSpan(b.RowOffsets[ka[k]], b.RowOffsets[ka[k] + 1] - b.RowOffsets[ka[k]]);
                count += Below(columns, high) - Below(columns, low);
            }

            return count;
        }
    }

    internal static int Below(ReadOnlySpan<int> sorted, int bound)
    {
        int at = sorted.BinarySearch(bound);
        return at < 0 ? ~at : at;
    }
}
