using System.Runtime.CompilerServices;
using Sparseland.Kernels;

namespace Sparseland.Attention;

/// <summary>The two small products that attention is made of: six rows by two vectors at a time, so that twelve sums stay in registers.</summary>
/// <typeparam name="V">The numbers together.</typeparam>
/// <typeparam name="L">What is done with them.</typeparam>
internal static unsafe class ScoreTiles<V, L>
    where V : unmanaged
    where L : struct, ILanes<V>
{
    /// <summary>Rows of a product.</summary>
    public const int Rows = 6;

    /// <summary>Columns of a product.</summary>
    public static int Columns
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2 * L.Count;
    }

    /// <summary>c[r] = sum over k of rows[r][k] * b[k]: rows wherever they lie.</summary>
    /// <param name="rows">Six rows of depth numbers.</param>
    /// <param name="depth">Numbers of a row.</param>
    /// <param name="b">[depth, columns] at a distance of <paramref name="stride"/>.</param>
    /// <param name="stride">From one row of b to the next.</param>
    /// <param name="c">[6, columns], overwritten.</param>
    /// <param name="cStride">From one row of c to the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ByRows(float** rows, int depth, float* b, long stride, float* c, int cStride)
    {
        float* r0 = rows[0], r1 = rows[1], r2 = rows[2], r3 = rows[3], r4 = rows[4], r5 = rows[5];
        V a0 = default, a1 = default, b0 = default, b1 = default, c0 = default, c1 = default, d0 = default, d1 = default, e0 = default, e1 = default, f0 = default, f1 = default;
        for (int k = 0; k < depth; k++, b += stride)
        {
            V left = L.Load(b), right = L.Load(b + L.Count);
            V x = L.Broadcast(r0[k]);
            a0 = L.MultiplyAdd(x, left, a0);
            a1 = L.MultiplyAdd(x, right, a1);
            x = L.Broadcast(r1[k]);
            b0 = L.MultiplyAdd(x, left, b0);
            b1 = L.MultiplyAdd(x, right, b1);
            x = L.Broadcast(r2[k]);
            c0 = L.MultiplyAdd(x, left, c0);
            c1 = L.MultiplyAdd(x, right, c1);
            x = L.Broadcast(r3[k]);
            d0 = L.MultiplyAdd(x, left, d0);
            d1 = L.MultiplyAdd(x, right, d1);
            x = L.Broadcast(r4[k]);
            e0 = L.MultiplyAdd(x, left, e0);
            e1 = L.MultiplyAdd(x, right, e1);
            x = L.Broadcast(r5[k]);
            f0 = L.MultiplyAdd(x, left, f0);
            f1 = L.MultiplyAdd(x, right, f1);
        }

        Write(c, a0, a1);
        Write(c += cStride, b0, b1);
        Write(c += cStride, c0, c1);
        Write(c += cStride, d0, d1);
        Write(c += cStride, e0, e1);
        Write(c + cStride, f0, f1);
    }

    /// <summary>c[r] += sum over k of a[k][r] * rows[k]: six neighbouring numbers of each row of a, rows of b wherever they lie.</summary>
    /// <param name="a">[depth, 6] at a distance of <paramref name="aStride"/>.</param>
    /// <param name="aStride">From one row of a to the next.</param>
    /// <param name="depth">Rows of a and of b.</param>
    /// <param name="rows">Where each row of b begins.</param>
    /// <param name="shift">First column of b that is taken.</param>
    /// <param name="c">[6, columns], added to.</param>
    /// <param name="cStride">From one row of c to the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ByColumns(float* a, int aStride, int depth, float** rows, int shift, float* c, int cStride)
    {
        float* at = c;
        V a0 = L.Load(at), a1 = L.Load(at + L.Count);
        at += cStride;
        V b0 = L.Load(at), b1 = L.Load(at + L.Count);
        at += cStride;
        V c0 = L.Load(at), c1 = L.Load(at + L.Count);
        at += cStride;
        V d0 = L.Load(at), d1 = L.Load(at + L.Count);
        at += cStride;
        V e0 = L.Load(at), e1 = L.Load(at + L.Count);
        at += cStride;
        V f0 = L.Load(at), f1 = L.Load(at + L.Count);
        for (int k = 0; k < depth; k++, a += aStride)
        {
            float* row = rows[k] + shift;
            V left = L.Load(row), right = L.Load(row + L.Count);
            V x = L.Broadcast(a[0]);
            a0 = L.MultiplyAdd(x, left, a0);
            a1 = L.MultiplyAdd(x, right, a1);
            x = L.Broadcast(a[1]);
            b0 = L.MultiplyAdd(x, left, b0);
            b1 = L.MultiplyAdd(x, right, b1);
            x = L.Broadcast(a[2]);
            c0 = L.MultiplyAdd(x, left, c0);
            c1 = L.MultiplyAdd(x, right, c1);
            x = L.Broadcast(a[3]);
            d0 = L.MultiplyAdd(x, left, d0);
            d1 = L.MultiplyAdd(x, right, d1);
            x = L.Broadcast(a[4]);
            e0 = L.MultiplyAdd(x, left, e0);
            e1 = L.MultiplyAdd(x, right, e1);
            x = L.Broadcast(a[5]);
            f0 = L.MultiplyAdd(x, left, f0);
            f1 = L.MultiplyAdd(x, right, f1);
        }

        Write(c, a0, a1);
        Write(c += cStride, b0, b1);
        Write(c += cStride, c0, c1);
        Write(c += cStride, d0, d1);
        Write(c += cStride, e0, e1);
        Write(c + cStride, f0, f1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Write(float* to, V left, V right)
    {
        L.Store(to, left);
        L.Store(to + L.Count, right);
    }
}
