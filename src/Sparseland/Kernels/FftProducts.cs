using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using F = System.Runtime.Intrinsics.Vector512<float>;

namespace Sparseland.Kernels;

/// <summary>Small transforms as products with dense DFT matrices, for any factors: the form of the paper.</summary>
internal static unsafe class FftProducts
{
    private const int Lanes = 16;

    /// <summary>Numbers of scratch memory that a stage needs.</summary>
    public static int Scratch(int factor) => 2 * Lanes * factor;

    /// <summary>Over the rows of [n, columns]: forward, the product and then twiddle factors; backward, with real and imaginary parts exchanged by the caller, twiddle factors and then the product.</summary>
    /// <param name="re">[n, columns]; overwritten.</param>
    /// <param name="im">As re.</param>
    /// <param name="stage">The stage.</param>
    /// <param name="rowsIn">The first rows, which are not zero: no others are multiplied.</param>
    /// <param name="rowsOut">The first rows of the result that are wanted.</param>
    /// <param name="before">Twiddle factors first.</param>
    /// <param name="scratch">Room.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Stage(float* re, float* im, FftStage stage, int rowsIn, int rowsOut, bool before, float* scratch)
    {
        int n = stage.Factor, columns = stage.Columns;
        float* xr = scratch, xi = scratch + (Lanes * n);
        fixed (float* mr = stage.Matrix.Re, mi = stage.Matrix.Im, tr = stage.TwiddleRe, ti = stage.TwiddleIm)
        {
            for (int b = 0; b < columns; b += Lanes)
            {
                int width = Math.Min(Lanes, columns - b);
                for (int a = 0; a < rowsIn; a++)
                {
                    long at = ((long)a * columns) + b;
                    F r = Get(re + at, width), i = Get(im + at, width);
                    if (before) (r, i) = Turned(r, i, Get(tr + at, width), Get(ti + at, width));
                    r.Store(xr + (a * Lanes));
                    i.Store(xi + (a * Lanes));
                }

                for (int k = 0; k < rowsOut; k += 2)
                {
                    int second = Math.Min(k + 1, n - 1);
                    F r0 = default, i0 = default, r1 = default, i1 = default;
                    float* m0 = mr + ((long)k * n), n0 = mi + ((long)k * n), m1 = mr + ((long)second * n), n1 = mi + ((long)second * n);
                    for (int a = 0; a < rowsIn; a++)
                    {
                        F r = Vector512.Load(xr + (a * Lanes)), i = Vector512.Load(xi + (a * Lanes));
                        F c0 = Vector512.Create(m0[a]), s0 = Vector512.Create(n0[a]), c1 = Vector512.Create(m1[a]), s1 = Vector512.Create(n1[a]);
                        r0 = Vector512.FusedMultiplyAdd(-i, s0, Vector512.FusedMultiplyAdd(r, c0, r0));
                        i0 = Vector512.FusedMultiplyAdd(r, s0, Vector512.FusedMultiplyAdd(i, c0, i0));
                        r1 = Vector512.FusedMultiplyAdd(-i, s1, Vector512.FusedMultiplyAdd(r, c1, r1));
                        i1 = Vector512.FusedMultiplyAdd(r, s1, Vector512.FusedMultiplyAdd(i, c1, i1));
                    }

                    for (int line = k; line < Math.Min(k + 2, rowsOut); line++)
                    {
                        long at = ((long)line * columns) + b;
                        (F r, F i) = line == k ? (r0, i0) : (r1, i1);
                        if (!before) (r, i) = Turned(r, i, Get(tr + at, width), Get(ti + at, width));
                        Put(r, re + at, width);
                        Put(i, im + at, width);
                    }
                }
            }
        }
    }

    /// <summary>[rows, n] times a matrix [n, out].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Rows(float* re, float* im, int rows, int n, FftMatrix matrix, int outputs, float* toRe, float* toIm)
    {
        fixed (float* mr = matrix.Re, mi = matrix.Im)
        {
            for (int row = 0; row < rows; row++)
            {
                float* xr = re + ((long)row * n), xi = im + ((long)row * n), yr = toRe + ((long)row * outputs), yi = toIm + ((long)row * outputs);
                int k = 0;
                for (; k + Lanes <= outputs; k += Lanes)
                {
                    F r = default, i = default;
                    for (int b = 0; b < n; b++)
                    {
                        F c = Vector512.Load(mr + ((long)b * outputs) + k), s = Vector512.Load(mi + ((long)b * outputs) + k), x = Vector512.Create(xr[b]), y = Vector512.Create(xi[b]);
                        r = Vector512.FusedMultiplyAdd(-y, s, Vector512.FusedMultiplyAdd(x, c, r));
                        i = Vector512.FusedMultiplyAdd(x, s, Vector512.FusedMultiplyAdd(y, c, i));
                    }

                    r.Store(yr + k);
                    i.Store(yi + k);
                }

                for (; k < outputs; k++)
                {
                    float r = 0, i = 0;
                    for (int b = 0; b < n; b++)
                    {
                        (float c, float s) = (mr[((long)b * outputs) + k], mi[((long)b * outputs) + k]);
                        r = MathF.FusedMultiplyAdd(-xi[b], s, MathF.FusedMultiplyAdd(xr[b], c, r));
                        i = MathF.FusedMultiplyAdd(xr[b], s, MathF.FusedMultiplyAdd(xi[b], c, i));
                    }

                    (yr[k], yi[k]) = (r, i);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (F Re, F Im) Turned(F r, F i, F cos, F sin) => (Vector512.FusedMultiplyAdd(-i, sin, r * cos), Vector512.FusedMultiplyAdd(r, sin, i * cos));

    /// <summary>Sixteen numbers, or fewer and zeros.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static F Get(float* from, int width)
    {
        if (width == Lanes) return Vector512.Load(from);
        float* few = stackalloc float[Lanes];
        for (int lane = 0; lane < Lanes; lane++) few[lane] = lane < width ? from[lane] : 0;
        return Vector512.Load(few);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(F x, float* to, int width)
    {
        if (width == Lanes) x.Store(to);
        else for (int lane = 0; lane < width; lane++) to[lane] = x[lane];
    }
}
