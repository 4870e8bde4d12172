using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Coding;

/// <summary>Products of one sparse row with a dense matrix.</summary>
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

    /// <summary>a b + c in one rounding where the type has it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> MultiplyAdd<T>(Vector512<T> a, Vector512<T> b, Vector512<T> c)
        where T : unmanaged, IFloatingPointIeee754<T>
        => typeof(T) == typeof(double) ? Vector512.FusedMultiplyAdd(a.AsDouble(), b.AsDouble(), c.AsDouble()).As<double, T>()
            : typeof(T) == typeof(float) ? Vector512.FusedMultiplyAdd(a.AsSingle(), b.AsSingle(), c.AsSingle()).As<float, T>()
            : a * b + c;

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
            Vector512<T> sum = MultiplyAdd(r0, Vector512.Load(m0 + i), Vector512.Load(source + i));
            sum = MultiplyAdd(r1, Vector512.Load(m1 + i), sum);
            sum = MultiplyAdd(r2, Vector512.Load(m2 + i), sum);
            MultiplyAdd(r3, Vector512.Load(m3 + i), sum).Store(result + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Add1<T>(T* source, T factor, T* matrix, T* result, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        Vector512<T> r = Vector512.Create(factor);
        for (int i = 0; i < width; i += Vector512<T>.Count)
            MultiplyAdd(r, Vector512.Load(matrix + i), Vector512.Load(source + i)).Store(result + i);
    }
}
