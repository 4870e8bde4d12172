using Sparseland.Tensors;
using TorchSharp;

namespace Sparseland.Kernels;

/// <summary>
/// Sparse times sparse, C = A B, row by row (Gustavson 1978): row i of C is the sum of A[i, k] times row k of B over the stored k. Two passes, columns first and values into exactly as
/// much memory; rows are cut into pieces of equal numbers of multiplications.
/// </summary>
/// <remarks>
/// Columns of a row ascend. An entry is stored wherever two stored entries meet, also where its sum is zero, as in scipy and GraphBLAS. Each value is summed from zero in the order of A's entries
/// by one thread: the bits do not depend on threads or accumulators. NaN and infinities go by IEEE, where both factors are stored.
/// </remarks>
public static unsafe class SpGemm
{
    private const int PiecesPerThread = 8;
    private const long OneThread = 1 << 15;
    private const int MergedRows = 2;

    // Products that may be larger than this are counted before any of their columns is kept.
    private const long Large = 1L << 28;

    // A number per column up to 8 MB a thread; beyond, a table is smaller than what it would have to touch.
    private const int DenseColumns = 1 << 21;
    private const int DenseShare = 16;

    /// <summary>C = A B.</summary>
    /// <param name="a">[rows, inner].</param>
    /// <param name="b">[inner, columns].</param>
    /// <param name="options">Accumulator and threads; null for the defaults.</param>
    /// <param name="cancel">Checked after each piece of rows.</param>
    /// <returns>[rows, columns].</returns>
    /// <exception cref="ArgumentException">The inner sizes differ, or the product has more than 2^31 - 1 entries; no memory has been taken for it then.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static CsrMatrix Multiply(CsrMatrix a, CsrMatrix b, SpGemmOptions? options = null, CancellationToken cancel = default)
    {
        long[] work = Work(a, b);
        (options ??= new()).Validate();
        int threads = options.Threads == 0 ? torch.get_num_threads() : options.Threads, rows = a.Rows;
        if (work[rows] < OneThread) threads = 1;
        int[] aColumns = a.ColumnArray(), bColumns = b.ColumnArray();
        int[] cut = Cut(work, threads == 1 ? 1 : threads * PiecesPerThread), offsets = new int[rows + 1];
        int[]?[] structures = new int[cut.Length - 1][];
        var all = new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancel };
        fixed (int* ac = aColumns, bc = bColumns, ao = a.RowOffsets, bo = b.RowOffsets)
        fixed (float* av = a.Values, bv = b.Values)
        {
            CsrArrays left = new((nint)ao, (nint)ac, (nint)av), right = new((nint)bo, (nint)bc, (nint)bv);
            if (work[rows] > Large)
            {
                long found = 0;
                Each(piece => accumulators =>
                {
                    if (Interlocked.Add(ref found, Count(left, cut[piece], cut[piece + 1], work, accumulators, Interlocked.Read(ref found), cancel)) > int.MaxValue) TooLarge(a);
                });
            }

            Each(piece =>
            {
                // Room for as many columns as there are multiplications, in chunks that rows fill one after another; kept as they are.
                (int from, int to) = (cut[piece], cut[piece + 1]);
                return accumulators => structures[piece] = Structure(left, from, to, work, accumulators, offsets);
            });
            long total = 0;
            for (int row = 0; row < rows; row++)
            {
                total += offsets[row + 1];
                offsets[row + 1] = (int)total;
            }

            int[] columns = GC.AllocateUninitializedArray<int>((int)total);
            float[] values = GC.AllocateUninitializedArray<float>((int)total);
            fixed (int* cc = columns)
            fixed (float* cv = values)
            {
                (nint c, nint v) = ((nint)cc, (nint)cv);
                Each(piece =>
                {
                    structures[piece].AsSpan(0, offsets[cut[piece + 1]] - offsets[cut[piece]]).CopyTo(columns.AsSpan(offsets[cut[piece]]));
                    return accumulators => Values(left, cut[piece], cut[piece + 1], accumulators, offsets, (int*)c, (float*)v);
                });
            }

            return CsrMatrix.Trusted(rows, b.Columns, offsets, columns, values);

            void Each(Func<int, Action<Accumulators>> work)
            {
                if (cut.Length == 2)
                {
                    using var one = new Accumulators(right, b.Columns, options.Accumulator);
                    work(0)(one);
                    cancel.ThrowIfCancellationRequested();
                    return;
                }

                FirstFailure.Of(() => Parallel.For(0, cut.Length - 1, all, () => new Accumulators(right, b.Columns, options.Accumulator), (piece, _, own) =>
                {
                    work(piece)(own);
                    return own;
                }, own => own.Dispose()));
            }
        }
    }

    /// <summary>Multiplications of each row of A B, and their sum: f_i = sum of the entries of B's rows that row i of A names, an upper bound for the entries of row i of the product.</summary>
    /// <param name="a">[rows, inner].</param>
    /// <param name="b">[inner, columns].</param>
    /// <returns>[rows + 1], running sums from 0.</returns>
    /// <exception cref="ArgumentException">The inner sizes differ.</exception>
    public static long[] Work(CsrMatrix a, CsrMatrix b)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        if (a.Columns != b.Rows) throw new ArgumentException($"A is [{a.Rows}, {a.Columns}] and B [{b.Rows}, {b.Columns}]: A's columns must be B's rows.", nameof(b));
        long[] sums = new long[a.Rows + 1];
        int[] columns = a.ColumnArray();
        ReadOnlySpan<int> at = a.RowOffsets, rows = b.RowOffsets;
        for (int row = 0; row < a.Rows; row++)
        {
            long f = 0;
            foreach (int k in columns.AsSpan(at[row], at[row + 1] - at[row])) f += rows[k + 1] - rows[k];
            sums[row + 1] = sums[row] + f;
        }

        return sums;
    }

    /// <summary>The accumulator that <see cref="Accumulator.Auto"/> takes for a row: a merge for two rows of B, a number per column where these fit the caches or the row touches many of them, else a table.</summary>
    /// <param name="entries">Entries of A's row.</param>
    /// <param name="multiplications">f_i of <see cref="Work"/>.</param>
    /// <param name="columns">Columns of B.</param>
    public static Accumulator Choose(int entries, long multiplications, int columns) =>
        entries <= MergedRows ? Accumulator.Merge : columns <= DenseColumns || multiplications > columns / DenseShare ? Accumulator.Dense : Accumulator.Hash;

    private static void TooLarge(CsrMatrix a) => throw new ArgumentException($"The product has more than {int.MaxValue} entries; multiply fewer than {a.Rows} rows at a time.", nameof(a));

    /// <summary>Entries of some rows of the product; stops early where they are too many with those that are known.</summary>
    private static long Count(CsrArrays a, int from, int to, long[] work, Accumulators own, long known, CancellationToken cancel)
    {
        long count = 0;
        int[] room = new int[Enumerable.Range(from, to - from).Max(row => Math.Min(work[row + 1] - work[row], own.Columns))];
        fixed (int* columns = room)
        {
            for (int row = from; row < to && known + count <= int.MaxValue; row++)
            {
                if ((row & 255) == 0) cancel.ThrowIfCancellationRequested();
                int n = a.At[row + 1] - a.At[row];
                count += own.For(n, Math.Min(work[row + 1] - work[row], own.Columns)).Structure(a.Column + a.At[row], n, columns);
            }
        }

        return count;
    }

    private static int[] Structure(CsrArrays a, int from, int to, long[] work, Accumulators own, int[] offsets)
    {
        int[] found = new int[(int)Math.Min(Array.MaxLength, Math.Max(16, (work[to] - work[from]) / 2))];
        int count = 0;
        for (int row = from; row < to; row++)
        {
            long most = Math.Min(work[row + 1] - work[row], own.Columns);
            if (count + most > found.Length)
            {
                if (count + most > Array.MaxLength) throw new ArgumentException($"Rows {from} to {row} of the product may have more than {Array.MaxLength} entries; multiply fewer rows at a time.", nameof(a));
                Array.Resize(ref found, (int)Math.Min(Array.MaxLength, Math.Max(count + most, 2L * found.Length)));
            }

            int n = a.At[row + 1] - a.At[row];
            int* rows = a.Column + a.At[row];
            fixed (int* room = found) offsets[row + 1] = own.For(n, most).Structure(rows, n, room + count);
            count += offsets[row + 1];
        }

        return found;
    }

    private static void Values(CsrArrays a, int from, int to, Accumulators own, int[] offsets, int* columns, float* values)
    {
        for (int row = from; row < to; row++)
        {
            int n = a.At[row + 1] - a.At[row], count = offsets[row + 1] - offsets[row];
            own.For(n, own.MostOf(a.Column + a.At[row], n)).Values(a.Column + a.At[row], a.Value + a.At[row], n, columns + offsets[row], count, values + offsets[row]);
        }
    }

    /// <summary>Rows where pieces begin, and the end: pieces of equal numbers of multiplications.</summary>
    private static int[] Cut(long[] work, int pieces)
    {
        var cut = new List<int> { 0 };
        for (int piece = 1; piece < pieces; piece++)
        {
            int row = Array.BinarySearch(work, work[^1] * piece / pieces);
            row = Math.Min(row < 0 ? ~row : row, work.Length - 1);
            if (row > cut[^1]) cut.Add(row);
        }

        if (cut[^1] < work.Length - 1 || cut.Count == 1) cut.Add(work.Length - 1);
        return [.. cut];
    }

    /// <summary>One thread's accumulators; each is made when a row first needs it.</summary>
    private sealed class Accumulators(CsrArrays b, int columns, Accumulator forced) : IDisposable
    {
        private RowAccumulator? _dense, _hash, _merge;

        public int Columns => columns;

        public RowAccumulator For(int entries, long multiplications) => (forced == Accumulator.Auto ? Choose(entries, multiplications, columns) : forced) switch
        {
            Accumulator.Dense => _dense ??= new DenseAccumulator(b, columns),
            Accumulator.Hash => _hash ??= new HashAccumulator(b, columns),
            _ => _merge ??= new MergeAccumulator(b),
        };

        public long MostOf(int* rows, int n)
        {
            long most = 0;
            for (int k = 0; k < n; k++) most += b.At[rows[k] + 1] - b.At[rows[k]];
            return Math.Min(most, columns);
        }

        public void Dispose()
        {
            _dense?.Dispose();
            _hash?.Dispose();
            _merge?.Dispose();
        }
    }
}
