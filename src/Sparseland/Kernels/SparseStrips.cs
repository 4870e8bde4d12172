using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Kernels;

/// <summary>
/// One sparse row times a strip of 8, 4 or 1 vectors of a dense matrix, the sums in registers: result = start + sum_k values[k]
/// matrix[places[k], strip], in the order of k. Rows of the matrix are <c>stride</c> numbers apart.
/// </summary>
internal static unsafe class SparseStrips
{
    /// <summary>a b + c in one rounding where the type has it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> MultiplyAdd<T>(Vector512<T> a, Vector512<T> b, Vector512<T> c)
        where T : unmanaged, IFloatingPointIeee754<T>
        => typeof(T) == typeof(double) ? Vector512.FusedMultiplyAdd(a.AsDouble(), b.AsDouble(), c.AsDouble()).As<double, T>()
            : typeof(T) == typeof(float) ? Vector512.FusedMultiplyAdd(a.AsSingle(), b.AsSingle(), c.AsSingle()).As<float, T>()
            : a * b + c;

    /// <summary>One sparse row times all vectors of a dense matrix [., width].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Row<T>(int* places, T* values, int n, T* start, T* dense, T* result, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int step = Vector512<T>.Count, i = 0;
        for (; i + (8 * step) <= width; i += 8 * step) Add8(places, values, n, start + i, dense + i, result + i, width);
        if (i + (4 * step) <= width)
        {
            Add4(places, values, n, start + i, dense + i, result + i, width);
            i += 4 * step;
        }

        for (; i + step <= width; i += step) Add1(places, values, n, start + i, dense + i, result + i, width);
        for (; i < width; i++)
        {
            T sum = start[i];
            for (int k = 0; k < n; k++) sum = T.FusedMultiplyAdd(values[k], dense[((long)places[k] * width) + i], sum);
            result[i] = sum;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Add8<T>(int* places, T* values, int n, T* start, T* matrix, T* result, int stride)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int step = Vector512<T>.Count;
        Vector512<T> s0 = Vector512.Load(start), s1 = Vector512.Load(start + step), s2 = Vector512.Load(start + (2 * step)), s3 = Vector512.Load(start + (3 * step));
        Vector512<T> s4 = Vector512.Load(start + (4 * step)), s5 = Vector512.Load(start + (5 * step)), s6 = Vector512.Load(start + (6 * step)), s7 = Vector512.Load(start + (7 * step));
        for (int k = 0; k < n; k++)
        {
            T* m = matrix + ((long)places[k] * stride);
            Vector512<T> r = Vector512.Create(values[k]);
            s0 = MultiplyAdd(r, Vector512.Load(m), s0);
            s1 = MultiplyAdd(r, Vector512.Load(m + step), s1);
            s2 = MultiplyAdd(r, Vector512.Load(m + (2 * step)), s2);
            s3 = MultiplyAdd(r, Vector512.Load(m + (3 * step)), s3);
            s4 = MultiplyAdd(r, Vector512.Load(m + (4 * step)), s4);
            s5 = MultiplyAdd(r, Vector512.Load(m + (5 * step)), s5);
            s6 = MultiplyAdd(r, Vector512.Load(m + (6 * step)), s6);
            s7 = MultiplyAdd(r, Vector512.Load(m + (7 * step)), s7);
        }

        s0.Store(result);
        s1.Store(result + step);
        s2.Store(result + (2 * step));
        s3.Store(result + (3 * step));
        s4.Store(result + (4 * step));
        s5.Store(result + (5 * step));
        s6.Store(result + (6 * step));
        s7.Store(result + (7 * step));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Add4<T>(int* places, T* values, int n, T* start, T* matrix, T* result, int stride)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int step = Vector512<T>.Count;
        Vector512<T> s0 = Vector512.Load(start), s1 = Vector512.Load(start + step), s2 = Vector512.Load(start + (2 * step)), s3 = Vector512.Load(start + (3 * step));
        for (int k = 0; k < n; k++)
        {
            T* m = matrix + ((long)places[k] * stride);
            Vector512<T> r = Vector512.Create(values[k]);
            s0 = MultiplyAdd(r, Vector512.Load(m), s0);
            s1 = MultiplyAdd(r, Vector512.Load(m + step), s1);
            s2 = MultiplyAdd(r, Vector512.Load(m + (2 * step)), s2);
            s3 = MultiplyAdd(r, Vector512.Load(m + (3 * step)), s3);
        }

        s0.Store(result);
        s1.Store(result + step);
        s2.Store(result + (2 * step));
        s3.Store(result + (3 * step));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Add1<T>(int* places, T* values, int n, T* start, T* matrix, T* result, int stride)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        Vector512<T> sum = Vector512.Load(start);
        for (int k = 0; k < n; k++) sum = MultiplyAdd(Vector512.Create(values[k]), Vector512.Load(matrix + ((long)places[k] * stride)), sum);
        sum.Store(result);
    }
}
