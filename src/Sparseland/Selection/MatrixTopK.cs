using System.Buffers;
using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Sparseland.Tensors;

namespace Sparseland.Selection;

/// <summary>Applies every budget to row-major scores, through the row kernel. Rows are shared out in fixed chunks.</summary>
internal sealed unsafe class MatrixTopK<T>(SimdWidth width)
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Scores in a chunk that one thread takes: enough to hide the cost of handing it out.</summary>
    private const int ChunkScores = 1 << 17;

    /// <summary>Columns that are gathered together: they share cache lines.</summary>
    private const int ColumnTile = 16;

    private delegate int RowWork(int row, ReadOnlySpan<T> entries, RowKernel<T>.IScratch scratch);

    private readonly RowKernel<T> _kernel = RowKernel<T>.For(width);

    internal static MatrixTopK<T> Widest { get; } = new(RowKernel<T>.Widest);

    /// <summary>The budget must fit the shape (<see cref="Budget.CountFor"/> has been called).</summary>
    internal Support Select(ReadOnlySpan<T> scores, int rows, int columns, Budget budget) => budget switch
    {
        PerRowBudget b => PerRow(scores, rows, columns, b.K),
        RowCountsBudget b => RowCounts(scores, rows, columns, OffsetsOf(b.Counts)),
        PerColumnBudget b => PerColumn(scores, rows, columns, EvenOffsets(columns, b.M)),
        ColumnCountsBudget b => PerColumn(scores, rows, columns, OffsetsOf(b.Counts)),
        GlobalBudget b => Global(scores, rows, columns, b.K),
        NofMBudget b => NofM(scores, rows, columns, b),
        BlocksBudget { Rows: 1, PerBlockRow: true } b => Groups(scores, rows, columns, b),
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

    private Support RowCounts(ReadOnlySpan<T> scores, int rows, int columns, int[] offsets)
    {
        int[] selected = GC.AllocateUninitializedArray<int>(offsets[^1]);
        ForRows(scores, rows, columns, null, columns, (row, entries, scratch) =>
            _kernel.Select(entries, offsets[row + 1] - offsets[row], selected.AsSpan(offsets[row]..offsets[row + 1]), scratch));
        return Support.Trusted(rows, columns, offsets, selected);
    }

    private Support Global(ReadOnlySpan<T> scores, int rows, int columns, int k)
    {
        int[] selected = GC.AllocateUninitializedArray<int>(k);
        SelectRows(scores, 1, scores.Length, k, selected, columns);
        return FromFlat(selected, rows, columns);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private Support NofM(ReadOnlySpan<T> scores, int rows, int columns, NofMBudget budget)
    {
        int runs = columns / budget.M;
        int[] offsets = EvenOffsets(rows, runs * budget.N);
        int[] selected = GC.AllocateUninitializedArray<int>(offsets[^1]);
        if (budget.M <= ShortRuns<T>.MaximumLength)
        {
            ForRows(scores, rows, columns, 0, columns, (row, entries, _) =>
            {
                ShortRuns<T>.Select(entries, budget, selected.AsSpan(offsets[row], runs * budget.N));
                return _kernel.FirstNaN(entries);
            });
            return Support.Trusted(rows, columns, offsets, selected);
        }

        SelectRows(scores, rows * runs, budget.M, budget.N, selected, columns);
        // Counted from the start of the run so far; a support counts from the start of the row.
        for (int run = 0; run < rows * runs; run++)
        {
            foreach (ref int index in selected.AsSpan(run * budget.N, budget.N))
                index += run % runs * budget.M;
        }
        return Support.Trusted(rows, columns, offsets, selected);
    }

    /// <summary>The mask of k of each row, or of n of m in short runs, without a support in between.</summary>
    internal void Mask(ReadOnlySpan<T> scores, int rows, int columns, Budget budget, byte* mask)
    {
        if (budget is NofMBudget runs) NofMMask(scores, columns, runs, mask);
        else PerRowMask(scores, rows, columns, ((PerRowBudget)budget).K, mask);
    }

    private void PerRowMask(ReadOnlySpan<T> scores, int rows, int columns, int k, byte* mask) => ForRows(scores, rows, columns, k, columns, (row, entries, scratch) =>
    {
        int[] selected = ArrayPool<int>.Shared.Rent(k);
        Span<int> chosen = selected.AsSpan(0, k);
        int nan = _kernel.Select(entries, k, chosen, scratch);
        Span<byte> line = new(mask + ((long)row * columns), columns);
        line.Clear();
        if (nan == RowKernel<T>.NoNaN)
        {
            foreach (int column in chosen) line[column] = 1;
        }

        ArrayPool<int>.Shared.Return(selected);
        return nan;
    });

    private void NofMMask(ReadOnlySpan<T> scores, int columns, NofMBudget budget, byte* mask)
    {
        long count = scores.Length, firstNaN = long.MaxValue;
        int size = ChunkScores / budget.M * budget.M, chunk = size - (size % (budget.M * Vector512<T>.Count));
        var gate = new Lock();
        fixed (T* address = scores)
        {
            T* source = address;
            ForChunks((int)((count + chunk - 1) / chunk), 1, (first, last) =>
            {
                long from = (long)first * chunk, to = Math.Min(count, (long)last * chunk);
                if (!ShortRuns<T>.Mask(source, count, from, to, budget, mask, width != SimdWidth.Scalar)) return;
                long nan = from;
                while (!T.IsNaN(source[nan])) nan++;
                lock (gate) firstNaN = Math.Min(firstNaN, nan);
            });
        }

        if (firstNaN != long.MaxValue) throw Selection.Select.NaNAt(firstNaN, columns);
    }

    /// <summary>Groups of a row compete in that row alone, so each row goes from its scores to its groups while it is in the cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private Support Groups(ReadOnlySpan<T> scores, int rows, int columns, BlocksBudget budget)
    {
        int size = budget.Cols, across = columns / size;
        int[] offsets = EvenOffsets(rows, budget.K), selected = GC.AllocateUninitializedArray<int>(offsets[^1]);
        _ = checked(offsets[^1] * size);
        RowKernel<double> kernel = RowKernel<double>.For(width);
        long firstNaN = long.MaxValue, firstUndefined = long.MaxValue;
        var gate = new Lock();
        fixed (T* address = scores)
        {
            T* source = address;
            ForChunks(rows, Math.Max(1, ChunkScores / Math.Max(1, columns)), (from, to) =>
            {
                using RowKernel<double>.IScratch scratch = kernel.Rent(across, budget.K);
                double[] sums = ArrayPool<double>.Shared.Rent(across);
                Span<double> used = sums.AsSpan(0, across);
                for (int row = from; row < to; row++)
                {
                    var entries = new ReadOnlySpan<T>(source + ((long)row * columns), columns);
                    used.Clear();
                    AddSums(entries, size, used);
                    int undefined = kernel.Select(used, budget.K, selected.AsSpan(row * budget.K, budget.K), scratch);
                    if (undefined == RowKernel<double>.NoNaN)
                        continue;

                    // A NaN makes its sum NaN; so do opposite infinities, which are said only where there is no NaN.
                    int nan = _kernel.FirstNaN(entries);
                    lock (gate)
                    {
                        if (nan == RowKernel<T>.NoNaN) firstUndefined = Math.Min(firstUndefined, ((long)row * across) + undefined);
                        else firstNaN = Math.Min(firstNaN, ((long)row * columns) + nan);
                    }
                }

                ArrayPool<double>.Shared.Return(sums);
            });
        }

        if (firstNaN != long.MaxValue)
            throw Selection.Select.NaNAt(firstNaN, columns);
        if (firstUndefined != long.MaxValue)
            throw UndefinedSum(firstUndefined / across, firstUndefined % across);
        return Support.OfGroups(Support.Trusted(rows, across, offsets, selected), size);
    }

    private Support Blocks(ReadOnlySpan<T> scores, int rows, int columns, BlocksBudget budget)
    {
        int down = rows / budget.Rows, across = columns / budget.Cols;
        double[] sums = ArrayPool<double>.Shared.Rent(down * across);
        Span<double> used = sums.AsSpan(0, down * across);
        BlockSums(scores, rows, columns, budget, sums);
        int undefined = RowKernel<double>.For(width).FirstNaN(used);
        if (undefined != RowKernel<double>.NoNaN)
            throw UndefinedSum(undefined / across, undefined % across);
        Support blocks = budget.PerBlockRow
            ? new MatrixTopK<double>(width).PerRow(used, down, across, budget.K)
            : new MatrixTopK<double>(width).Global(used, down, across, budget.K);
        ArrayPool<double>.Shared.Return(sums);
        return ExpandBlocks(blocks, rows, columns, budget);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private Support PerColumn(ReadOnlySpan<T> scores, int rows, int columns, int[] starts)
    {
        int[] byColumn = GC.AllocateUninitializedArray<int>(starts[^1]);
        int wide = Math.Max(1, Math.Min(ColumnTile, columns));
        int tiles = (columns + wide - 1) / wide;

        // A vector more than whole vectors: columns that lie a power of two apart would share few places of the cache.
        int length = (((rows + Vector512<T>.Count - 1) / Vector512<T>.Count) + 1) * Vector512<T>.Count;
        long firstNaN = long.MaxValue;
        var gate = new Lock();
        fixed (T* address = scores)
        {
            T* source = address;
            ForChunks(tiles, Math.Max(1, ChunkScores / Math.Max(1, rows * wide)), (firstTile, lastTile) =>
            {
                using RowKernel<T>.IScratch scratch = _kernel.RentForAny(rows);
                T[] gathered = new T[wide * length];
                for (int tile = firstTile; tile < lastTile; tile++)
                {
                    int first = tile * wide, count = Math.Min(wide, columns - first);
                    for (int row = 0; row < rows; row++)
                    {
                        T* line = source + (long)row * columns + first;
                        for (int c = 0; c < count; c++)
                            gathered[c * length + row] = line[c];
                    }
                    for (int c = 0; c < count; c++)
                    {
                        int from = starts[first + c], m = starts[first + c + 1] - from;
                        int nan = _kernel.Select(gathered.AsSpan(c * length, rows), m, byColumn.AsSpan(from, m), scratch);
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
        return FromColumns(byColumn, rows, columns, starts);
    }

    /// <summary>k of each row into selected[row * k ...]; columns as for <see cref="ForRows"/>.</summary>
    private void SelectRows(ReadOnlySpan<T> scores, int rows, int length, int k, int[] selected, int columns) =>
        ForRows(scores, rows, length, k, columns, (row, entries, scratch) => _kernel.Select(entries, k, selected.AsSpan(row * k, k), scratch));

    /// <summary>
    /// Works on each row, in chunks of rows shared out to threads; k is the most that a row selects, null for any number. The work returns the index of the row's first NaN;
    /// the first of all is refused by its place in a matrix of that many columns.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ForRows(ReadOnlySpan<T> scores, int rows, int length, int? k, int columns, RowWork work)
    {
        long firstNaN = long.MaxValue;
        var gate = new Lock();
        fixed (T* address = scores)
        {
            T* source = address;
            ForChunks(rows, Math.Max(1, ChunkScores / Math.Max(1, length)), (from, to) =>
            {
                using RowKernel<T>.IScratch scratch = k is { } most ? _kernel.Rent(length, most) : _kernel.RentForAny(length);
                for (int row = from; row < to; row++)
                {
                    long start = (long)row * length;
                    int nan = work(row, new ReadOnlySpan<T>(source + start, length), scratch);
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

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void BlockSums(ReadOnlySpan<T> scores, int rows, int columns, BlocksBudget budget, double[] sums)
    {
        int across = columns / budget.Cols;
        ForRows(scores, rows / budget.Rows, budget.Rows * columns, 0, columns, (blockRow, entries, _) =>
        {
            Span<double> target = sums.AsSpan(blockRow * across, across);
            target.Clear();
            for (int row = 0; row < budget.Rows; row++)
                AddSums(entries.Slice(row * columns, columns), budget.Cols, target);
            // A NaN makes its sum NaN; so do opposite infinities.
            return TensorPrimitives.IsNaNAny<double>(target) ? _kernel.FirstNaN(entries) : RowKernel<T>.NoNaN;
        });
    }

    /// <summary>Eight running sums, in an order that no machine changes: one alone would wait for itself.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddSums(ReadOnlySpan<T> line, int width, Span<double> sums)
    {
        ref T source = ref MemoryMarshal.GetReference(line);
        for (int block = 0, start = 0; block < sums.Length; block++, start += width)
        {
            Vector512<double> eight = Vector512<double>.Zero;
            int i = 0;
            for (; i <= width - 8; i += 8)
                eight += WidenEight(ref Unsafe.Add(ref source, start + i));
            Vector256<double> four = eight.GetLower() + eight.GetUpper();
            if (i <= width - 4)
            {
                four += WidenFour(ref Unsafe.Add(ref source, start + i));
                i += 4;
            }
            double s0 = four[0];
            for (; i < width; i++)
                s0 += Widen(Unsafe.Add(ref source, start + i));
            sums[block] += s0 + four[1] + (four[2] + four[3]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<double> WidenEight(ref T first) => typeof(T) == typeof(float)
        ? Vector512.WidenLower(Vector256.LoadUnsafe(ref Unsafe.As<T, float>(ref first)).ToVector512Unsafe())
        : Vector512.LoadUnsafe(ref Unsafe.As<T, double>(ref first));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<double> WidenFour(ref T first) => typeof(T) == typeof(float)
        ? Vector256.WidenLower(Vector128.LoadUnsafe(ref Unsafe.As<T, float>(ref first)).ToVector256Unsafe())
        : Vector256.LoadUnsafe(ref Unsafe.As<T, double>(ref first));

    /// <summary>The generic conversion is not inlined, and costs more than the sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static double Widen(T x) =>
        typeof(T) == typeof(float) ? Unsafe.BitCast<T, float>(x) : Unsafe.BitCast<T, double>(x);

    internal static ArgumentException UndefinedSum(long blockRow, long blockColumn) =>
        new($"Block ({blockRow}, {blockColumn}) holds both +Inf and -Inf, so the sum of its scores is undefined.", "scores");

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
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
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
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

    /// <summary>Where each column's part begins when it has so many entries, and the end.</summary>
    internal static int[] OffsetsOf(IReadOnlyList<int> counts)
    {
        int[] offsets = new int[counts.Count + 1];
        for (int i = 0; i < counts.Count; i++)
            offsets[i + 1] = checked(offsets[i] + counts[i]);
        return offsets;
    }

    /// <summary>Support from the row indices of each column, column after column.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static Support FromColumns(int[] byColumn, int rows, int columns, int[] starts)
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
            foreach (int row in byColumn.AsSpan(starts[column], starts[column + 1] - starts[column]))
                selected[next[row]++] = column;
        }
        return Support.Trusted(rows, columns, offsets, selected);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static int[] EvenOffsets(int rows, int perRow)
    {
        int[] offsets = new int[rows + 1];
        for (int row = 0; row <= rows; row++)
            offsets[row] = checked(row * perRow);
        return offsets;
    }

    private static void ForChunks(int count, int size, Action<int, int> body) => Pieces.For(count, size, (from, some) => body((int)from, (int)from + some));
}
