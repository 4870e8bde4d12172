using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Kernels;

/// <summary>
/// Rows of a CSR matrix times a panel of vectors. A sum waits for its last addition, so several are on the way at once: of four rows where few vectors are multiplied, of several strips of a row where
/// many are. Every sum runs over its row's entries in order.
/// </summary>
internal static unsafe class CsrStrips
{
    private const int Narrow = DenseTile.Narrow;
    private const int Lanes = 16;

    /// <summary>result[from..to] = rows times panel.</summary>
    /// <typeparam name="T">ushort or int, of a column.</typeparam>
    /// <param name="offsets">[rows + 1].</param>
    /// <param name="columns">Columns of all entries.</param>
    /// <param name="values">Values of all entries.</param>
    /// <param name="panel">[columns of the matrix, width].</param>
    /// <param name="result">[rows, width].</param>
    /// <param name="width">8 or a multiple of 16.</param>
    /// <param name="from">First row.</param>
    /// <param name="to">Behind the last row.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Rows<T>(int* offsets, T* columns, float* values, float* panel, float* result, int width, int from, int to)
        where T : unmanaged
    {
        int i = 0;
        if (width == Narrow)
        {
            int row = from;
            for (; row + 4 <= to; row += 4) FourNarrow(offsets + row, columns, values, panel, result + ((long)row * width));
            for (; row < to; row++) Entries8(offsets[row], offsets[row + 1], columns, values, panel, Vector256<float>.Zero).Store(result + ((long)row * width));
            return;
        }

        for (; i + (4 * Lanes) <= width; i += 4 * Lanes)
        {
            for (int row = from; row < to; row++) FourStrips(offsets[row], offsets[row + 1], columns, values, panel + i, result + ((long)row * width) + i, width);
        }

        for (; i < width; i += Lanes)
        {
            int row = from;
            for (; row + 4 <= to; row += 4) FourRows(offsets + row, columns, values, panel + i, result + ((long)row * width) + i, width);
            for (; row < to; row++) Entries16(offsets[row], offsets[row + 1], columns, values, panel + i, width, Vector512<float>.Zero).Store(result + ((long)row * width) + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourNarrow<T>(int* offsets, T* columns, float* values, float* panel, float* result)
        where T : unmanaged
    {
        T* ca = columns + offsets[0], cb = columns + offsets[1], cc = columns + offsets[2], cd = columns + offsets[3];
        float* va = values + offsets[0], vb = values + offsets[1], vc = values + offsets[2], vd = values + offsets[3];
        int n = Shortest(offsets);
        Vector256<float> a = default, b = default, c = default, d = default;
        for (int k = 0; k < n; k++)
        {
            a = Vector256.FusedMultiplyAdd(Vector256.Create(va[k]), Vector256.Load(panel + (Narrow * At(ca, k))), a);
            b = Vector256.FusedMultiplyAdd(Vector256.Create(vb[k]), Vector256.Load(panel + (Narrow * At(cb, k))), b);
            c = Vector256.FusedMultiplyAdd(Vector256.Create(vc[k]), Vector256.Load(panel + (Narrow * At(cc, k))), c);
            d = Vector256.FusedMultiplyAdd(Vector256.Create(vd[k]), Vector256.Load(panel + (Narrow * At(cd, k))), d);
        }

        Entries8(offsets[0] + n, offsets[1], columns, values, panel, a).Store(result);
        Entries8(offsets[1] + n, offsets[2], columns, values, panel, b).Store(result + Narrow);
        Entries8(offsets[2] + n, offsets[3], columns, values, panel, c).Store(result + (2 * Narrow));
        Entries8(offsets[3] + n, offsets[4], columns, values, panel, d).Store(result + (3 * Narrow));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourRows<T>(int* offsets, T* columns, float* values, float* panel, float* result, int width)
        where T : unmanaged
    {
        T* ca = columns + offsets[0], cb = columns + offsets[1], cc = columns + offsets[2], cd = columns + offsets[3];
        float* va = values + offsets[0], vb = values + offsets[1], vc = values + offsets[2], vd = values + offsets[3];
        int n = Shortest(offsets);
        Vector512<float> a = default, b = default, c = default, d = default;
        for (int k = 0; k < n; k++)
        {
            a = Vector512.FusedMultiplyAdd(Vector512.Create(va[k]), Vector512.Load(panel + ((long)width * At(ca, k))), a);
            b = Vector512.FusedMultiplyAdd(Vector512.Create(vb[k]), Vector512.Load(panel + ((long)width * At(cb, k))), b);
            c = Vector512.FusedMultiplyAdd(Vector512.Create(vc[k]), Vector512.Load(panel + ((long)width * At(cc, k))), c);
            d = Vector512.FusedMultiplyAdd(Vector512.Create(vd[k]), Vector512.Load(panel + ((long)width * At(cd, k))), d);
        }

        Entries16(offsets[0] + n, offsets[1], columns, values, panel, width, a).Store(result);
        Entries16(offsets[1] + n, offsets[2], columns, values, panel, width, b).Store(result + width);
        Entries16(offsets[2] + n, offsets[3], columns, values, panel, width, c).Store(result + (2 * (long)width));
        Entries16(offsets[3] + n, offsets[4], columns, values, panel, width, d).Store(result + (3 * (long)width));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourStrips<T>(int from, int to, T* columns, float* values, float* panel, float* result, int width)
        where T : unmanaged
    {
        Vector512<float> a = default, b = default, c = default, d = default;
        for (int k = from; k < to; k++)
        {
            float* p = panel + ((long)width * At(columns, k));
            Vector512<float> v = Vector512.Create(values[k]);
            a = Vector512.FusedMultiplyAdd(v, Vector512.Load(p), a);
            b = Vector512.FusedMultiplyAdd(v, Vector512.Load(p + Lanes), b);
            c = Vector512.FusedMultiplyAdd(v, Vector512.Load(p + (2 * Lanes)), c);
            d = Vector512.FusedMultiplyAdd(v, Vector512.Load(p + (3 * Lanes)), d);
        }

        a.Store(result);
        b.Store(result + Lanes);
        c.Store(result + (2 * Lanes));
        d.Store(result + (3 * Lanes));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Entries8<T>(int from, int to, T* columns, float* values, float* panel, Vector256<float> sum)
        where T : unmanaged
    {
        for (int k = from; k < to; k++) sum = Vector256.FusedMultiplyAdd(Vector256.Create(values[k]), Vector256.Load(panel + ((long)Narrow * At(columns, k))), sum);
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Entries16<T>(int from, int to, T* columns, float* values, float* panel, int width, Vector512<float> sum)
        where T : unmanaged
    {
        for (int k = from; k < to; k++) sum = Vector512.FusedMultiplyAdd(Vector512.Create(values[k]), Vector512.Load(panel + ((long)width * At(columns, k))), sum);
        return sum;
    }

    private static int Shortest(int* offsets) =>
        Math.Min(Math.Min(offsets[1] - offsets[0], offsets[2] - offsets[1]), Math.Min(offsets[3] - offsets[2], offsets[4] - offsets[3]));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long At<T>(T* columns, int k)
        where T : unmanaged => typeof(T) == typeof(ushort) ? ((ushort*)columns)[k] : ((int*)columns)[k];
}
