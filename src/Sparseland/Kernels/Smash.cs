using System.Diagnostics;
using Sparseland.Tensors;
using TorchSharp;

namespace Sparseland.Kernels;

/// <summary>
/// Sparse times sparse with every product merged the moment it is born, in a hash table that stays in fast memory (SMASH, Shivdikar 2021): phase 0 cuts the rows into windows that fit
/// (<see cref="SpGemmWindows"/>), phase 1 hashes the products of a window, phase 2 writes its rows back in order. The thesis' three versions are settings. To multiply, take <see cref="SpGemm"/>, which
/// chooses what collects each row; this one is for looking at the steps.
/// </summary>
/// <remarks>With a table for each thread, values have the bits of <see cref="SpGemm"/>, whatever the settings.</remarks>
public static unsafe class Smash
{
    /// <summary>C = A B.</summary>
    /// <param name="a">[rows, inner].</param>
    /// <param name="b">[inner, columns].</param>
    /// <param name="options">Null for the defaults.</param>
    /// <param name="cancel">Checked after each window.</param>
    /// <returns>C [rows, columns] and what was counted.</returns>
    /// <exception cref="ArgumentException">The inner sizes differ, an option is out of its range, or the product has more than 2^31 - 1 entries.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static SmashResult Multiply(CsrMatrix a, CsrMatrix b, SmashOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        (options ??= new()).Validate();
        IReadOnlyList<SpGemmWindow> windows = SpGemmWindows.Of(a, b, options.Capacity);
        WindowRows[] done = new WindowRows[windows.Count];
        int[] aColumns = a.ColumnArray(), bColumns = b.ColumnArray();
        int threads = options.Threads == 0 ? torch.get_num_threads() : options.Threads;
        if (options.SharedTable) threads = 1;
        threads = Math.Clamp(threads, 1, Math.Max(1, windows.Count));
        SmashTable[] tables = new SmashTable[threads];
        fixed (int* ac = aColumns, bc = bColumns, ao = a.RowOffsets, bo = b.RowOffsets)
        fixed (float* av = a.Values, bv = b.Values)
        {
            CsrArrays left = new((nint)ao, (nint)ac, (nint)av), right = new((nint)bo, (nint)bc, (nint)bv);
            int next = -1;
            void Work(int thread)
            {
                SmashTable table = tables[thread] = new(left, right, options);
                for (int w = options.Deal == WindowDeal.Turns ? thread : Interlocked.Increment(ref next); w < windows.Count; w = options.Deal == WindowDeal.Turns ? w + threads : Interlocked.Increment(ref next))
                {
                    cancel.ThrowIfCancellationRequested();
                    done[w] = table.Make(windows[w]);
                }
            }

            FirstFailure.Of(() => SparseMatrix.EachPiece(threads, Work, threads));
        }

        long products = windows.Sum(w => w.Products), inserted = tables.Sum(t => t.Insertions);
        return new(
            Assemble(a.Rows, b.Columns, done, inserted), products, inserted, products - inserted, tables.Sum(t => t.ExtraProbes), windows.Count,
            tables.Sum(t => Seconds(t.HashTicks)), tables.Sum(t => Seconds(t.WriteBackTicks)));
    }

    private static double Seconds(long ticks) => (double)ticks / Stopwatch.Frequency;

    /// <summary>Windows stand in order of rows, and those of one long row in order of columns: C is one after another.</summary>
    private static CsrMatrix Assemble(int rows, int width, WindowRows[] windows, long total)
    {
        if (total > int.MaxValue) throw new ArgumentException($"The product has {total} entries, more than {int.MaxValue}; multiply fewer than {rows} rows at a time.", nameof(rows));
        int[] offsets = new int[rows + 1], columns = GC.AllocateUninitializedArray<int>((int)total);
        float[] values = GC.AllocateUninitializedArray<float>((int)total);
        int at = 0;
        foreach (WindowRows window in windows)
        {
            for (int i = 0; i < window.Counts.Length; i++) offsets[window.Window.FromRow + i + 1] += window.Counts[i];
            window.Columns.CopyTo(columns, at);
            window.Values.CopyTo(values, at);
            at += window.Columns.Length;
        }

        for (int row = 0; row < rows; row++) offsets[row + 1] += offsets[row];
        return CsrMatrix.Trusted(rows, width, offsets, columns, values);
    }
}
