using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using Sparseland.Selection;

namespace Sparseland.Attention.Frontier;

/// <summary>Patterns of exactly so many cells: lines or blocks are added, best first, as long as they fit; the last one is cut to its last rows.</summary>
internal static class ExactCells
{
    /// <summary>Given slashes, and columns in their order until the cells are used up.</summary>
    /// <param name="tokens">Tokens.</param>
    /// <param name="columns">All columns, best first.</param>
    /// <param name="slashes">Slashes that are taken, in any order.</param>
    /// <param name="cells">Cells, at least those of the slashes.</param>
    public static Support Columns(int tokens, ReadOnlySpan<int> columns, ReadOnlySpan<int> slashes, long cells)
    {
        byte[] down = new byte[tokens], along = new byte[tokens];
        int[] sorted = slashes.ToArray();
        Array.Sort(sorted);
        long left = cells;
        foreach (int d in sorted)
        {
            along[tokens - 1 - d] = 1;
            left -= tokens - d;
        }

        foreach (int v in columns)
        {
            long added = Added(tokens, v, sorted);
            if (added > left)
            {
                int from = tokens;
                for (long rest = left; rest > 0;) rest -= along[tokens - 1 - (--from - v)] == 0 ? 1 : 0;
                return Build(tokens, cells, down, along, (i, row) =>
                {
                    if (i >= from) row[v] = 1;
                });
            }

            left -= added;
            down[v] = 1;
        }

        return Build(tokens, cells, down, along, (_, _) => { });
    }

    /// <summary>First keys, and distances from 0 on until the cells are used up.</summary>
    public static Support SinksAndWindow(int tokens, int sinks, long cells)
    {
        byte[] down = new byte[tokens], along = new byte[tokens];
        down.AsSpan(0, Math.Min(sinks, tokens)).Fill(1);
        long left = cells;
        for (int v = 0; v < Math.Min(sinks, tokens); v++) left -= tokens - v;
        for (int d = 0; d < tokens; d++)
        {
            // Rows in which the key at this distance is no sink.
            long added = Math.Max(0, tokens - sinks - d);
            if (added > left)
            {
                (int distance, long from) = (d, tokens - left);
                return Build(tokens, cells, down, along, (i, row) =>
                {
                    if (i >= from) row[i - distance] = 1;
                });
            }

            left -= added;
            along[tokens - 1 - d] = 1;
        }

        return Build(tokens, cells, down, along, (_, _) => { });
    }

    /// <summary>Of each row of blocks the diagonal one and others by their scores; what is left over goes to one more block of the last rows.</summary>
    /// <param name="tokens">Tokens, a multiple of the block.</param>
    /// <param name="block">Tokens of a block.</param>
    /// <param name="scores">[n, n] with n = tokens / block.</param>
    /// <param name="cells">Cells, at least those of the diagonal blocks.</param>
    public static Support Blocks(int tokens, int block, ReadOnlySpan<float> scores, long cells)
    {
        int n = tokens / block, top = 1;
        long area = (long)block * block, diagonal = (long)n * block * (block + 1) / 2;
        long Cells(int t) => diagonal + (area * (AttentionBudget.BlockCells(n, t) - n));
        while (top < n && Cells(top + 1) <= cells) top++;
        long rest = cells - Cells(top), whole = rest / area, part = rest % area;
        int[][] kept = new int[n][];
        int[] next = new int[n];
        for (int r = 0; r < n; r++)
        {
            var order = new (float Key, int Block)[r];
            for (int c = 0; c < r; c++) order[c] = (-scores[(r * n) + c], c);
            Array.Sort(order);
            int others = Math.Min(r, top - 1 + (r >= n - whole ? 1 : 0));
            kept[r] = [.. order.Take(others).Select(o => o.Block)];
            next[r] = others < r ? order[others].Block : -1;
        }

        int cut = n - 1 - (int)whole;
        return Build(tokens, cells, null, null, (i, row) =>
        {
            int r = i / block;
            foreach (int c in kept[r]) row.Slice(c * block, block).Fill(1);
            row[(r * block)..(i + 1)].Fill(1);
            if (r != cut || part == 0) return;

            // From the last row of the block upwards: full rows of it, then its last keys.
            long above = (long)(block - 1 - (i % block)) * block, here = Math.Clamp(part - above, 0, block);
            row.Slice((next[r] * block) + block - (int)here, (int)here).Fill(1);
        });
    }

    /// <summary>Cells of columns and slashes.</summary>
    public static long Count(int tokens, ReadOnlySpan<int> columns, ReadOnlySpan<int> slashes)
    {
        int[] sorted = slashes.ToArray();
        Array.Sort(sorted);
        long cells = 0;
        foreach (int d in sorted) cells += tokens - d;
        foreach (int v in columns) cells += Added(tokens, v, sorted);
        return cells;
    }

    /// <summary>Cells of a column that lie on no slash.</summary>
    private static long Added(int tokens, int column, int[] slashes)
    {
        int at = Array.BinarySearch(slashes, tokens - column);
        return tokens - column - (at >= 0 ? at : ~at);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static Support Build(int tokens, long cells, byte[]? down, byte[]? along, RowWriter write)
    {
        int[] offsets = new int[tokens + 1], columns = new int[cells];
        byte[] row = new byte[tokens];
        int at = 0;
        for (int i = 0; i < tokens; i++)
        {
            Span<byte> seen = row.AsSpan(0, i + 1);
            if (down is null || along is null) seen.Clear();
            else TensorPrimitives.BitwiseOr<byte>(down.AsSpan(0, i + 1), along.AsSpan(tokens - 1 - i, i + 1), seen);
            write(i, seen);
            for (int j = 0; j <= i; j++)
            {
                if (seen[j] != 0) columns[at++] = j;
            }

            offsets[i + 1] = at;
        }

        return at == cells ? new(tokens, tokens, offsets, columns) : throw new InvalidOperationException($"{at} cells in place of {cells}.");
    }

    private delegate void RowWriter(int row, Span<byte> seen);
}
