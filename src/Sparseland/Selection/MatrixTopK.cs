using System.Numerics;

namespace Sparseland.Selection;

/// <summary>Applies every budget to row-major scores, through the row kernel. Rows are shared out in fixed chunks.</summary>
internal sealed unsafe class MatrixTopK<T>(SimdWidth width)
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Scores in a chunk that one thread takes: enough to hide the cost of handing it out.</summary>
    private const int ChunkScores = 1 << 17;

    /// <summary>Columns that are gathered together: they share cache lines.</summary>
    private const int ColumnTile = 16;

    /// <summary>Runs up to here are ranked by comparing all pairs.</summary>
    private const int ShortRun = 16;

    private readonly RowKernel<T> _kernel = RowKernel<T>.For(width);

    internal static MatrixTopK<T> Widest { get; } = new(RowKernel<T>.Widest);

    /// <summary>The budget must fit the shape (<see cref="Budget.CountFor"/> has been called).</summary>
    internal Support Select(ReadOnlySpan<T> scores, int rows, int columns, Budget budget) => budget switch
    {
        PerRowBudget b => PerRow(scores, rows, columns, b.K),
        PerColumnBudget b => PerColumn(scores, rows, columns, b.M),
        GlobalBudget b => Global(scores, rows, columns, b.K),
        NofMBudget b => NofM(scores, rows, columns, b),
        BlocksBudget b => Blocks(scores, rows, columns, b),
        AndBudget b => Select(scores, rows, columns, b.First).Intersect(Select(scores, rows, columns, b.Second)),
        _ => throw new ArgumentException($"Unknown budget {budget}.", nameof(budget)),
    };

    private Support PerRow(ReadOnlySpan<T> scores, int rows, int columns, int k)
    {
        int[] offsets = EvenOffsets(rows, k);
        int[] selected = GC.AllocateUninitializedArray<int>(offsets[^1]);
        SelectRows(scores, rows, columns, k, selected, columns);
        return Support.Trusted(rows, columns, offsets, selected);
    }

    private Support Global(ReadOnlySpan<T> scores, int rows, int columns, int k)
    {
        int[] selected = GC.AllocateUninitializedArray<int>(k);
        SelectRows(scores, 1, scores.Length, k, selected, columns);
        return FromFlat(selected, rows, columns);
    }

    private Support NofM(ReadOnlySpan<T> scores, int rows, int columns, NofMBudget budget)
    {
        int runs = columns / budget.M;
        int[] offsets = EvenOffsets(rows, runs * budget.N);
        int[] selected = GC.AllocateUninitializedArray<int>(offsets[^1]);
        if (budget.M > ShortRun)
            SelectRows(scores, rows * runs, budget.M, budget.N, selected, columns);
        else
            SelectShortRuns(scores, rows * runs, budget, selected, columns);

        // Both count from the start of the run; a support counts from the start of the row.
        for (int run = 0; run < rows * runs; run++)
        {
            foreach (ref int index in selected.AsSpan(run * budget.N, budget.N))
                index += run % runs * budget.M;
        }
        return Support.Trusted(rows, columns, offsets, selected);
    }

    private Support Blocks(ReadOnlySpan<T> scores, int rows, int columns, BlocksBudget budget)
    {
        int down = rows / budget.Rows, across = columns / budget.Cols;
        double[] sums = BlockSums(scores, rows, columns, budget);
        Support blocks = budget.PerBlockRow
            ? new MatrixTopK<double>(width).PerRow(sums, down, across, budget.K)
            : new MatrixTopK<double>(width).Global(sums, down, across, budget.K);
        return ExpandBlocks(blocks, rows, columns, budget);
    }

    private Support PerColumn(ReadOnlySpan<T> scores, int rows, int columns, int m)
    {
        int[] byColumn = GC.AllocateUninitializedArray<int>(checked(columns * m));
        int wide = Math.Max(1, Math.Min(ColumnTile, columns));
        int tiles = (columns + wide - 1) / wide;
        long firstNaN = long.MaxValue;
        var gate = new Lock();
        fixed (T* address = scores)
        {
            T* source = address;
            ForChunks(tiles, Math.Max(1, ChunkScores / Math.Max(1, rows * wide)), (from, to) =>
            {
                using RowKernel<T>.IScratch scratch = _kernel.Rent(rows, m);
                T[] gathered = new T[wide * rows];
                for (int tile = from; tile < to; tile++)
                {
                    int first = tile * wide, count = Math.Min(wide, columns - first);
                    for (int row = 0; row < rows; row++)
                    {
                        T* line = source + (long)row * columns + first;
                        for (int c = 0; c < count; c++)
                            gathered[c * rows + row] = line[c];
                    }
                    for (int c = 0; c < count; c++)
                    {
                        int nan = _kernel.Select(gathered.AsSpan(c * rows, rows), m, byColumn.AsSpan((first + c) * m, m), scratch);
                        if (nan == RowKernel<T>.NoNaN)
                            continue;
                        lock (gate)
                            firstNaN = Math.Min(firstNaN, (long)nan * columns + first + c);
                    }
                }
            });
        }
        if (firstNaN != long.MaxValue)
            throw Selection.Select.NaNAt(firstNaN, columns);
        return FromColumns(byColumn, rows, columns, m);
    }

    /// <summary>k of each row into selected[row * k ...]; refuses a NaN by its place in a matrix of that many columns.</summary>
    private void SelectRows(ReadOnlySpan<T> scores, int rows, int length, int k, int[] selected, int columns)
    {
        long firstNaN = long.MaxValue;
        var gate = new Lock();
        fixed (T* address = scores)
        {
            T* source = address;
            ForChunks(rows, Math.Max(1, ChunkScores / Math.Max(1, length)), (from, to) =>
            {
                using RowKernel<T>.IScratch scratch = _kernel.Rent(length, k);
                for (int row = from; row < to; row++)
                {
                    long start = (long)row * length;
                    int nan = _kernel.Select(new ReadOnlySpan<T>(source + start, length), k, selected.AsSpan(row * k, k), scratch);
                    if (nan == RowKernel<T>.NoNaN)
                        continue;
                    lock (gate)
                        firstNaN = Math.Min(firstNaN, start + nan);
                    return;
                }
            });
        }
        if (firstNaN != long.MaxValue)
            throw Selection.Select.NaNAt(firstNaN, columns);
    }

    /// <summary>An entry of a short run stays when fewer than n entries of the run beat it.</summary>
    private static void SelectShortRuns(ReadOnlySpan<T> scores, int runs, NofMBudget budget, int[] selected, int columns)
    {
        int position = 0;
        for (int run = 0; run < runs; run++)
        {
            ReadOnlySpan<T> entries = scores.Slice(run * budget.M, budget.M);
            for (int i = 0; i < entries.Length; i++)
            {
                T x = entries[i];
                if (T.IsNaN(x))
                    throw Selection.Select.NaNAt(run * budget.M + i, columns);
                int better = 0;
                for (int j = 0; j < i; j++)
                    better += entries[j] >= x ? 1 : 0;
                for (int j = i + 1; j < entries.Length; j++)
                    better += entries[j] > x ? 1 : 0;
                if (better < budget.N)
                    selected[position++] = i;
            }
        }
    }

    private static double[] BlockSums(ReadOnlySpan<T> scores, int rows, int columns, BlocksBudget budget)
    {
        int across = columns / budget.Cols;
        double[] sums = new double[rows / budget.Rows * across];
        for (int row = 0; row < rows; row++)
        {
            ReadOnlySpan<T> line = scores.Slice(row * columns, columns);
            Span<double> target = sums.AsSpan(row / budget.Rows * across, across);
            for (int block = 0; block < across; block++)
            {
                double sum = 0;
                foreach (T x in line.Slice(block * budget.Cols, budget.Cols))
                    sum += double.CreateTruncating(x);
                target[block] += sum;
            }
        }
        int undefined = Array.FindIndex(sums, double.IsNaN);
        if (undefined < 0)
            return sums;
        for (int i = 0; i < scores.Length; i++)
        {
            if (T.IsNaN(scores[i]))
                throw Selection.Select.NaNAt(i, columns);
        }
        throw UndefinedSum(undefined / across, undefined % across);
    }

    internal static ArgumentException UndefinedSum(long blockRow, long blockColumn) =>
        new($"Block ({blockRow}, {blockColumn}) holds both +Inf and -Inf, so the sum of its scores is undefined.", "scores");

    internal static Support ExpandBlocks(Support blocks, int rows, int columns, BlocksBudget budget)
    {
        int[] offsets = new int[rows + 1];
        int[] selected = GC.AllocateUninitializedArray<int>(checked(blocks.Count * budget.Rows * budget.Cols));
        int count = 0;
        for (int row = 0; row < rows; row++)
        {
            foreach (int block in blocks.Row(row / budget.Rows))
            {
                for (int c = 0; c < budget.Cols; c++)
                    selected[count++] = block * budget.Cols + c;
            }
            offsets[row + 1] = count;
        }
        return Support.Trusted(rows, columns, offsets, selected);
    }

    /// <summary>Support from ascending row-major indices, which are turned into column indices in place.</summary>
    internal static Support FromFlat(int[] flat, int rows, int columns)
    {
        int[] offsets = new int[rows + 1];
        int n = 0;
        for (int row = 0; row < rows; row++)
        {
            int start = row * columns;
            for (; n < flat.Length && flat[n] - start < columns; n++)
                flat[n] -= start;
            offsets[row + 1] = n;
        }
        return Support.Trusted(rows, columns, offsets, flat);
    }

    /// <summary>Support from m row indices of each column.</summary>
    internal static Support FromColumns(int[] byColumn, int rows, int columns, int m)
    {
        int[] offsets = new int[rows + 1];
        foreach (int row in byColumn)
            offsets[row + 1]++;
        for (int row = 0; row < rows; row++)
            offsets[row + 1] += offsets[row];

        int[] next = offsets[..rows];
        int[] selected = GC.AllocateUninitializedArray<int>(byColumn.Length);
        for (int column = 0; column < columns; column++)
        {
            foreach (int row in byColumn.AsSpan(column * m, m))
                selected[next[row]++] = column;
        }
        return Support.Trusted(rows, columns, offsets, selected);
    }

    internal static int[] EvenOffsets(int rows, int perRow)
    {
        int[] offsets = new int[rows + 1];
        for (int row = 0; row <= rows; row++)
            offsets[row] = checked(row * perRow);
        return offsets;
    }

    private static void ForChunks(int count, int size, Action<int, int> body)
    {
        int chunks = (int)(((long)count + size - 1) / size);
        if (chunks <= 1 || Environment.ProcessorCount == 1)
            body(0, count);
        else
            Parallel.For(0, chunks, chunk => body(chunk * size, (int)Math.Min((long)count, ((long)chunk + 1) * size)));
    }
}
