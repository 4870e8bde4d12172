using System.Buffers;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Sparseland.Kernels;

namespace Sparseland.Coding;

/// <summary>Products of sparse rows with a dense matrix.</summary>
internal static unsafe class SparseRows
{
    /// <summary>result = start + sum over the non-zeros of row of row[j] matrix[j, :]. Everything is <paramref name="width"/> wide.</summary>
    /// <param name="row">Mostly zeros.</param>
    /// <param name="start">What the sum begins with.</param>
    /// <param name="matrix">[width, width], row after row.</param>
    /// <param name="result">Not the same memory as row.</param>
    /// <param name="width">A multiple of the vector length.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Accumulate<T>(T* row, T* start, T* matrix, T* result, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int* active = stackalloc int[4];
        int held = 0, step = Vector512<T>.Count;
        T* source = start;
        for (int i = 0; i < width; i += step)
        {
            ulong bits = ~Vector512.Equals(Vector512.Load(row + i), Vector512<T>.Zero).ExtractMostSignificantBits() & ((1UL << step) - 1);
            while (bits != 0)
            {
                active[held++] = i + BitOperations.TrailingZeroCount(bits);
                bits &= bits - 1;
                if (held < 4) continue;
                Add4(source, row, matrix, active, result, width);
                source = result;
                held = 0;
            }
        }

        for (int k = 0; k < held; k++)
        {
            Add1(source, row[active[k]], matrix + (long)active[k] * width, result, width);
            source = result;
        }

        if (source == start) new ReadOnlySpan<T>(start, width).CopyTo(new Span<T>(result, width));
    }

    /// <summary>
    /// The same for many rows: a strip of columns after the other, whose part of the matrix stays in the cache for all rows and whose sums stay
    /// in registers. Each number is summed in the order of one row alone.
    /// </summary>
    /// <param name="rows">[count, inner], mostly zeros.</param>
    /// <param name="start">[count, width].</param>
    /// <param name="matrix">[inner, width], row after row.</param>
    /// <param name="result">[count, width]; not the same memory as rows.</param>
    /// <param name="skip">Rows whose result is left as it is.</param>
    /// <param name="inner">A multiple of the vector length.</param>
    /// <param name="width">A multiple of the vector length.</param>
    public static void Accumulate<T>(T* rows, T* start, T* matrix, T* result, ReadOnlySpan<bool> skip, int inner, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int count = skip.Length;
        int[] places = ArrayPool<int>.Shared.Rent(count * inner), ends = ArrayPool<int>.Shared.Rent(count);
        T[] values = ArrayPool<T>.Shared.Rent(count * inner);
        fixed (int* place = places)
        fixed (T* value = values)
        {
            for (int r = 0, end = 0; r < count; r++)
            {
                if (!skip[r]) end = Gather(rows + ((long)r * inner), place, value, end, inner);
                ends[r] = end;
            }

            int step = Vector512<T>.Count;
            for (int i = 0; i < width;)
            {
                int strip = width - i >= 8 * step ? 8 : width - i >= 4 * step ? 4 : 1;
                for (int r = 0, from = 0; r < count; from = ends[r++])
                {
                    if (skip[r]) continue;
                    long at = ((long)r * width) + i;
                    int n = ends[r] - from;
                    if (strip == 8) SparseStrips.Add8(place + from, value + from, n, start + at, matrix + i, result + at, width);
                    else if (strip == 4) SparseStrips.Add4(place + from, value + from, n, start + at, matrix + i, result + at, width);
                    else SparseStrips.Add1(place + from, value + from, n, start + at, matrix + i, result + at, width);
                }

                i += strip * step;
            }
        }

        ArrayPool<T>.Shared.Return(values);
        ArrayPool<int>.Shared.Return(ends);
        ArrayPool<int>.Shared.Return(places);
    }

    // Four rows at a time: one load and store of the sum instead of four.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Add4<T>(T* source, T* row, T* matrix, int* active, T* result, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T* m0 = matrix + (long)active[0] * width, m1 = matrix + (long)active[1] * width;
        T* m2 = matrix + (long)active[2] * width, m3 = matrix + (long)active[3] * width;
        Vector512<T> r0 = Vector512.Create(row[active[0]]), r1 = Vector512.Create(row[active[1]]);
        Vector512<T> r2 = Vector512.Create(row[active[2]]), r3 = Vector512.Create(row[active[3]]);
        for (int i = 0; i < width; i += Vector512<T>.Count)
        {
            Vector512<T> sum = SparseStrips.MultiplyAdd(r0, Vector512.Load(m0 + i), Vector512.Load(source + i));
            sum = SparseStrips.MultiplyAdd(r1, Vector512.Load(m1 + i), sum);
            sum = SparseStrips.MultiplyAdd(r2, Vector512.Load(m2 + i), sum);
            SparseStrips.MultiplyAdd(r3, Vector512.Load(m3 + i), sum).Store(result + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Add1<T>(T* source, T factor, T* matrix, T* result, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        Vector512<T> r = Vector512.Create(factor);
        for (int i = 0; i < width; i += Vector512<T>.Count)
            SparseStrips.MultiplyAdd(r, Vector512.Load(matrix + i), Vector512.Load(source + i)).Store(result + i);
    }

    /// <summary>Writes the places and values of the non-zeros of a row behind the first <paramref name="held"/>; returns how many there are then.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Gather<T>(T* row, int* places, T* values, int held, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int step = Vector512<T>.Count;
        for (int i = 0; i < width; i += step)
        {
            ulong bits = ~Vector512.Equals(Vector512.Load(row + i), Vector512<T>.Zero).ExtractMostSignificantBits() & ((1UL << step) - 1);
            for (; bits != 0; bits &= bits - 1)
            {
                int j = i + BitOperations.TrailingZeroCount(bits);
                (places[held], values[held]) = (j, row[j]);
                held++;
            }
        }

        return held;
    }
}
