using Sparseland.Selection;

namespace Sparseland.Attention;

/// <summary>Neighbouring keys.</summary>
/// <param name="From">First key.</param>
/// <param name="To">Behind the last key.</param>
public readonly record struct KeyRange(int From, int To)
{
    /// <summary>Keys.</summary>
    public int Length => To - From;
}

/// <summary>
/// What a kernel computes of one head: queries in blocks of neighbours, and for each block ranges of keys and single keys between them. All queries of a block
/// touch all of its keys; later keys are then hidden. Ranges need not lie on a grid. Immutable.
/// </summary>
public sealed class BlockSupport
{
    private readonly KeyRange[][] _ranges;
    private readonly int[][] _columns;

    /// <summary>Takes over ranges and single keys after checking them.</summary>
    /// <param name="tokens">Queries, positive.</param>
    /// <param name="block">Queries of a block, positive; the last block may be shorter.</param>
    /// <param name="ranges">Of each block of queries its ranges of keys, ascending, not touching each other's keys.</param>
    /// <param name="columns">Of each block of queries its single keys, ascending, in no range. Default null, none.</param>
    /// <param name="offset">Tokens before the first query, in a cache. Default 0.</param>
    /// <exception cref="ArgumentException">Another number of blocks, a key out of range or behind the block's last query, or keys named twice: they would count twice.</exception>
    public BlockSupport(int tokens, int block, IReadOnlyList<IReadOnlyList<KeyRange>> ranges, IReadOnlyList<IReadOnlyList<int>>? columns = null, int offset = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(block);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentNullException.ThrowIfNull(ranges);
        (Tokens, Block, Offset) = (tokens, block, offset);
        int n = (int)(((long)tokens + block - 1) / block);
        if (ranges.Count != n) throw new ArgumentException($"{tokens} queries in blocks of {block} are {n} blocks, but there are ranges of {ranges.Count}.", nameof(ranges));
        if (columns is not null && columns.Count != n) throw new ArgumentException($"There are {n} blocks, but single keys of {columns.Count}.", nameof(columns));
        (_ranges, _columns) = ([.. ranges.Select(r => r.ToArray())], columns is null ? [.. Enumerable.Repeat(Array.Empty<int>(), n)] : [.. columns.Select(c => c.ToArray())]);
        for (int row = 0; row < n; row++) Check(row);
    }

    private BlockSupport(int tokens, int block, int offset, KeyRange[][] ranges, int[][] columns) =>
        (Tokens, Block, Offset, _ranges, _columns) = (tokens, block, offset, ranges, columns);

    /// <summary>Queries.</summary>
    public int Tokens { get; }

    /// <summary>Keys: those before the first query and the queries' own.</summary>
    public int Keys => Tokens + Offset;

    /// <summary>Queries of a block.</summary>
    public int Block { get; }

    /// <summary>Tokens before the first query.</summary>
    public int Offset { get; }

    /// <summary>Blocks of queries.</summary>
    public int BlockRows => _ranges.Length;

    /// <summary>Cells that a kernel touches, hidden ones in blocks on the diagonal included.</summary>
    public long Computed
    {
        get
        {
            long cells = 0;
            for (int row = 0; row < BlockRows; row++) cells += (long)RowsOf(row) * KeysOf(row);
            return cells;
        }
    }

    /// <summary>Cells that a query really sees: computed ones without the hidden.</summary>
    public long Visible
    {
        get
        {
            long cells = 0;
            for (int row = 0; row < BlockRows; row++)
            {
                int first = (row * Block) + Offset, rows = RowsOf(row);
                foreach (KeyRange range in _ranges[row])
                {
                    cells += (long)rows * Math.Max(0, Math.Min(range.To, first + 1) - range.From);
                    for (int j = Math.Max(range.From, first + 1); j < range.To; j++) cells += rows - (j - first);
                }

                foreach (int j in _columns[row]) cells += rows - Math.Max(0, j - first);
            }

            return cells;
        }
    }

    /// <summary>Computed cells over those of the causal triangle; a little above 1 is possible, by the hidden halves of diagonal blocks.</summary>
    public double Density => Computed / (double)AttentionSupport.AllowedOf(Tokens, Keys, true, Offset);

    /// <summary>Ranges of keys of a block of queries.</summary>
    /// <param name="blockRow">From 0 to <see cref="BlockRows"/> - 1.</param>
    public ReadOnlySpan<KeyRange> Ranges(int blockRow) => _ranges[blockRow];

    /// <summary>Single keys of a block of queries.</summary>
    /// <param name="blockRow">From 0 to <see cref="BlockRows"/> - 1.</param>
    public ReadOnlySpan<int> Columns(int blockRow) => _columns[blockRow];

    /// <summary>Queries of a block: fewer in the last.</summary>
    /// <param name="blockRow">From 0 to <see cref="BlockRows"/> - 1.</param>
    public int RowsOf(int blockRow) => Math.Min(Block, Tokens - (blockRow * Block));

    /// <summary>Keys that a block of queries touches.</summary>
    /// <param name="blockRow">From 0 to <see cref="BlockRows"/> - 1.</param>
    public int KeysOf(int blockRow)
    {
        int keys = _columns[blockRow].Length;
        foreach (KeyRange range in _ranges[blockRow]) keys += range.Length;
        return keys;
    }

    /// <summary>Every allowed cell.</summary>
    /// <param name="tokens">Queries, positive.</param>
    /// <param name="offset">Tokens before the first query. Default 0.</param>
    /// <param name="block">Queries of a block. Default 64.</param>
    public static BlockSupport Full(int tokens, int offset = 0, int block = 64)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(block);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        int n = (int)(((long)tokens + block - 1) / block);
        return new(tokens, block, offset, [.. Enumerable.Range(0, n).Select(r => new KeyRange[] { new(0, (int)Math.Min(tokens, (r + 1L) * block) + offset) })], [.. Enumerable.Repeat(Array.Empty<int>(), n)]);
    }

    /// <summary>Blocks of a grid, as many keys wide as queries high.</summary>
    /// <param name="tokens">Queries and keys, positive.</param>
    /// <param name="block">Queries and keys of a block, positive.</param>
    /// <param name="blocks">[n, n] with n = ceil(tokens / block); none after its row.</param>
    /// <exception cref="ArgumentException">Another number of blocks, or a block after its row.</exception>
    public static BlockSupport FromBlocks(int tokens, int block, Support blocks)
    {
        ArgumentNullException.ThrowIfNull(blocks);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(block);
        int n = (int)(((long)tokens + block - 1) / block);
        if (blocks.Rows != n || blocks.Columns != n) throw new ArgumentException($"{tokens} tokens in blocks of {block} are {n} x {n} blocks, not {blocks.Rows} x {blocks.Columns}.", nameof(blocks));
        KeyRange[] Row(int r)
        {
            var row = new List<KeyRange>();
            foreach (int b in blocks.Row(r))
            {
                if (b > r) throw new ArgumentException($"Block row {r} keeps block {b}, which comes later.", nameof(blocks));
                var range = new KeyRange(b * block, (int)Math.Min(tokens, (b + 1L) * block));
                if (row.Count > 0 && row[^1].To == range.From) row[^1] = row[^1] with { To = range.To };
                else row.Add(range);
            }

            return [.. row];
        }

        return new(tokens, block, 0, [.. Enumerable.Range(0, n).Select(Row)], [.. Enumerable.Repeat(Array.Empty<int>(), n)]);
    }

    /// <summary>The cells that queries see, one by one.</summary>
    public Support ToSupport()
    {
        int[] offsets = new int[Tokens + 1];
        var columns = new List<int>();
        var row = new List<int>();
        for (int i = 0; i < Tokens; i++)
        {
            int b = i / Block, last = i + Offset;
            row.Clear();
            foreach (KeyRange range in _ranges[b])
            {
                for (int j = range.From; j < Math.Min(range.To, last + 1); j++) row.Add(j);
            }

            row.AddRange(_columns[b].Where(j => j <= last));
            row.Sort();
            columns.AddRange(row);
            offsets[i + 1] = columns.Count;
        }

        return new(Tokens, Keys, offsets, columns.ToArray());
    }

    /// <summary>Shape and cells in one line.</summary>
    public override string ToString() => FormattableString.Invariant($"BlockSupport of {Tokens} queries in blocks of {Block}, {Computed} cells computed ({Density:0.##%} of the causal ones)");

    private void Check(int row)
    {
        // A key behind the block's last query is hidden from all of it.
        int end = Math.Min(Tokens, (row + 1) * Block) + Offset, before = 0;
        foreach (KeyRange range in _ranges[row])
        {
            if (range.From < before || range.To <= range.From || range.To > end)
                throw new ArgumentException($"Block row {row} has the keys {range.From} to {range.To - 1}; ranges ascend, without a key in two, from 0 to {end - 1}.", "ranges");
            before = range.To;
        }

        int at = 0, next = -1;
        foreach (int column in _columns[row])
        {
            if (column <= next || column >= end) throw new ArgumentException($"Block row {row} has the single key {column}; they ascend strictly from 0 to {end - 1}.", "columns");
            next = column;
            while (at < _ranges[row].Length && _ranges[row][at].To <= column) at++;
            if (at < _ranges[row].Length && _ranges[row][at].From <= column)
                throw new ArgumentException($"Block row {row} has the single key {column}, which lies in the range of {_ranges[row][at].From} to {_ranges[row][at].To - 1} too: it would count twice.", "columns");
        }
    }
}
