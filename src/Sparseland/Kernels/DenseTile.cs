using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Kernels;

/// <summary>Products of one dense tile that lies in the fast memory of a core. Every sum runs over ascending columns, one fused multiplication and addition after the other.</summary>
internal static unsafe class DenseTile
{
    /// <summary>Vectors of the narrowest panel: half a register, for half the arithmetic.</summary>
    public const int Narrow = 8;
    private const int Lanes = 16;
    private const int Together = 8;

    /// <summary>Vectors that are computed for so many wanted: 8 or a multiple of 16.</summary>
    public static int Width(int vectors) => vectors <= Narrow ? Narrow : (vectors + Lanes - 1) / Lanes * Lanes;

    /// <summary>sums += tile panel.</summary>
    /// <param name="tile">[rows, columns], row after row.</param>
    /// <param name="rows">Rows, a multiple of 8.</param>
    /// <param name="columns">Columns of the tile.</param>
    /// <param name="depth">Rows of the panel that there are; at most the columns.</param>
    /// <param name="panel">[depth, width].</param>
    /// <param name="sums">[rows, width].</param>
    /// <param name="width">8 or a multiple of 16.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Add(float* tile, int rows, int columns, int depth, float* panel, float* sums, int width)
    {
        for (int r = 0; r < rows; r += Together, tile += Together * columns, sums += Together * width)
        {
            int i = 0;
            if (width == Narrow)
            {
                EightByHalf(tile, columns, depth, panel, sums);
                continue;
            }

            for (; i + (2 * Lanes) <= width; i += 2 * Lanes) EightByTwo(tile, columns, depth, panel + i, sums + i, width);
            if (i < width) EightByOne(tile, columns, depth, panel + i, sums + i, width);
        }
    }

    /// <summary>sums[r] += tile[r] * x in sixteen parts each, for rows of a multiple of 16 columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddVector(float* tile, int rows, int columns, float* x, float* sums)
    {
        for (int r = 0; r < rows; r++, tile += columns, sums += Lanes)
        {
            Vector512<float> sum = Vector512.Load(sums);
            for (int k = 0; k < columns; k += Lanes) sum = Vector512.FusedMultiplyAdd(Vector512.Load(tile + k), Vector512.Load(x + k), sum);
            sum.Store(sums);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void EightByHalf(float* t0, int columns, int depth, float* panel, float* sums)
    {
        float* t1 = t0 + columns, t2 = t1 + columns, t3 = t2 + columns, t4 = t3 + columns, t5 = t4 + columns, t6 = t5 + columns, t7 = t6 + columns;
        Vector256<float> a = Vector256.Load(sums), b = Vector256.Load(sums + Narrow), c = Vector256.Load(sums + (2 * Narrow)), d = Vector256.Load(sums + (3 * Narrow));
        Vector256<float> e = Vector256.Load(sums + (4 * Narrow)), f = Vector256.Load(sums + (5 * Narrow)), g = Vector256.Load(sums + (6 * Narrow)), h = Vector256.Load(sums + (7 * Narrow));
        for (int k = 0; k < depth; k++, panel += Narrow)
        {
            Vector256<float> p = Vector256.Load(panel);
            a = Vector256.FusedMultiplyAdd(Vector256.Create(t0[k]), p, a);
            b = Vector256.FusedMultiplyAdd(Vector256.Create(t1[k]), p, b);
            c = Vector256.FusedMultiplyAdd(Vector256.Create(t2[k]), p, c);
            d = Vector256.FusedMultiplyAdd(Vector256.Create(t3[k]), p, d);
            e = Vector256.FusedMultiplyAdd(Vector256.Create(t4[k]), p, e);
            f = Vector256.FusedMultiplyAdd(Vector256.Create(t5[k]), p, f);
            g = Vector256.FusedMultiplyAdd(Vector256.Create(t6[k]), p, g);
            h = Vector256.FusedMultiplyAdd(Vector256.Create(t7[k]), p, h);
        }

        a.Store(sums);
        b.Store(sums + Narrow);
        c.Store(sums + (2 * Narrow));
        d.Store(sums + (3 * Narrow));
        e.Store(sums + (4 * Narrow));
        f.Store(sums + (5 * Narrow));
        g.Store(sums + (6 * Narrow));
        h.Store(sums + (7 * Narrow));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void EightByOne(float* t0, int columns, int depth, float* panel, float* sums, int width)
    {
        float* t1 = t0 + columns, t2 = t1 + columns, t3 = t2 + columns, t4 = t3 + columns, t5 = t4 + columns, t6 = t5 + columns, t7 = t6 + columns;
        Vector512<float> a = Vector512.Load(sums), b = Vector512.Load(sums + width), c = Vector512.Load(sums + (2 * width)), d = Vector512.Load(sums + (3 * width));
        Vector512<float> e = Vector512.Load(sums + (4 * width)), f = Vector512.Load(sums + (5 * width)), g = Vector512.Load(sums + (6 * width)), h = Vector512.Load(sums + (7 * width));
        for (int k = 0; k < depth; k++, panel += width)
        {
            Vector512<float> p = Vector512.Load(panel);
            a = Vector512.FusedMultiplyAdd(Vector512.Create(t0[k]), p, a);
            b = Vector512.FusedMultiplyAdd(Vector512.Create(t1[k]), p, b);
            c = Vector512.FusedMultiplyAdd(Vector512.Create(t2[k]), p, c);
            d = Vector512.FusedMultiplyAdd(Vector512.Create(t3[k]), p, d);
            e = Vector512.FusedMultiplyAdd(Vector512.Create(t4[k]), p, e);
            f = Vector512.FusedMultiplyAdd(Vector512.Create(t5[k]), p, f);
            g = Vector512.FusedMultiplyAdd(Vector512.Create(t6[k]), p, g);
            h = Vector512.FusedMultiplyAdd(Vector512.Create(t7[k]), p, h);
        }

        a.Store(sums);
        b.Store(sums + width);
        c.Store(sums + (2 * width));
        d.Store(sums + (3 * width));
        e.Store(sums + (4 * width));
        f.Store(sums + (5 * width));
        g.Store(sums + (6 * width));
        h.Store(sums + (7 * width));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void EightByTwo(float* t0, int columns, int depth, float* panel, float* sums, int width)
    {
        float* t1 = t0 + columns, t2 = t1 + columns, t3 = t2 + columns, t4 = t3 + columns, t5 = t4 + columns, t6 = t5 + columns, t7 = t6 + columns;
        float* other = sums + Lanes;
        Vector512<float> a = Vector512.Load(sums), b = Vector512.Load(sums + width), c = Vector512.Load(sums + (2 * width)), d = Vector512.Load(sums + (3 * width));
        Vector512<float> e = Vector512.Load(sums + (4 * width)), f = Vector512.Load(sums + (5 * width)), g = Vector512.Load(sums + (6 * width)), h = Vector512.Load(sums + (7 * width));
        Vector512<float> i = Vector512.Load(other), j = Vector512.Load(other + width), l = Vector512.Load(other + (2 * width)), m = Vector512.Load(other + (3 * width));
        Vector512<float> n = Vector512.Load(other + (4 * width)), o = Vector512.Load(other + (5 * width)), q = Vector512.Load(other + (6 * width)), r = Vector512.Load(other + (7 * width));
        for (int k = 0; k < depth; k++, panel += width)
        {
            Vector512<float> p = Vector512.Load(panel), s = Vector512.Load(panel + Lanes), w = Vector512.Create(t0[k]);
            a = Vector512.FusedMultiplyAdd(w, p, a);
            i = Vector512.FusedMultiplyAdd(w, s, i);
            w = Vector512.Create(t1[k]);
            b = Vector512.FusedMultiplyAdd(w, p, b);
            j = Vector512.FusedMultiplyAdd(w, s, j);
            w = Vector512.Create(t2[k]);
            c = Vector512.FusedMultiplyAdd(w, p, c);
            l = Vector512.FusedMultiplyAdd(w, s, l);
            w = Vector512.Create(t3[k]);
            d = Vector512.FusedMultiplyAdd(w, p, d);
            m = Vector512.FusedMultiplyAdd(w, s, m);
            w = Vector512.Create(t4[k]);
            e = Vector512.FusedMultiplyAdd(w, p, e);
            n = Vector512.FusedMultiplyAdd(w, s, n);
            w = Vector512.Create(t5[k]);
            f = Vector512.FusedMultiplyAdd(w, p, f);
            o = Vector512.FusedMultiplyAdd(w, s, o);
            w = Vector512.Create(t6[k]);
            g = Vector512.FusedMultiplyAdd(w, p, g);
            q = Vector512.FusedMultiplyAdd(w, s, q);
            w = Vector512.Create(t7[k]);
            h = Vector512.FusedMultiplyAdd(w, p, h);
            r = Vector512.FusedMultiplyAdd(w, s, r);
        }

        a.Store(sums);
        b.Store(sums + width);
        c.Store(sums + (2 * width));
        d.Store(sums + (3 * width));
        e.Store(sums + (4 * width));
        f.Store(sums + (5 * width));
        g.Store(sums + (6 * width));
        h.Store(sums + (7 * width));
        i.Store(other);
        j.Store(other + width);
        l.Store(other + (2 * width));
        m.Store(other + (3 * width));
        n.Store(other + (4 * width));
        o.Store(other + (5 * width));
        q.Store(other + (6 * width));
        r.Store(other + (7 * width));
    }
}
