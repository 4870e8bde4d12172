using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using F = System.Runtime.Intrinsics.Vector512<float>;

namespace Sparseland.Kernels;

/// <summary>
/// Transforms of 2, 4, 8 and 16 points over the rows of [n, columns], sixteen columns in the lanes: no shuffles. All are forward; the inverse is the forward one with real and imaginary
/// parts exchanged.
/// </summary>
internal static unsafe class FftButterflies
{
    private const int Lanes = 16;
    private const float Half = 0.70710678f, Cos = 0.92387953f, Sin = 0.38268343f;

    /// <summary>Transform, then twiddle factors: a stage on the way to the spectrum.</summary>
    /// <param name="re">[factor, columns]; overwritten.</param>
    /// <param name="im">As re.</param>
    /// <param name="stage">Its factor is 2, 4, 8 or 16 and its columns a multiple of 16.</param>
    /// <param name="rows">The first rows, which are not zero; no others are read.</param>
    public static void Forward(float* re, float* im, FftStage stage, int rows)
    {
        fixed (float* tr = stage.TwiddleRe, ti = stage.TwiddleIm)
        {
            bool half = stage.Factor > 2 && 2 * rows <= stage.Factor;
            if (!half && rows < stage.Factor)
            {
                new Span<float>(re + ((long)rows * stage.Columns), (stage.Factor - rows) * stage.Columns).Clear();
                new Span<float>(im + ((long)rows * stage.Columns), (stage.Factor - rows) * stage.Columns).Clear();
            }
            else if (half && 2 * rows < stage.Factor)
            {
                new Span<float>(re + ((long)rows * stage.Columns), ((stage.Factor / 2) - rows) * stage.Columns).Clear();
                new Span<float>(im + ((long)rows * stage.Columns), ((stage.Factor / 2) - rows) * stage.Columns).Clear();
            }

            switch (stage.Factor)
            {
                case 2: Two(re, im, tr, ti, stage.Columns, before: false); break;
                case 4: Four(re, im, tr, ti, stage.Columns, before: false, half); break;
                case 8: Eight(re, im, tr, ti, stage.Columns, before: false, half); break;
                default: Sixteen(re, im, tr, ti, stage.Columns, before: false, half); break;
            }
        }
    }

    /// <summary>Twiddle factors, then transform: a stage on the way back, with <paramref name="re"/> and <paramref name="im"/> exchanged by the caller.</summary>
    public static void Backward(float* re, float* im, FftStage stage)
    {
        fixed (float* tr = stage.TwiddleRe, ti = stage.TwiddleIm)
        {
            switch (stage.Factor)
            {
                case 2: Two(re, im, tr, ti, stage.Columns, before: true); break;
                case 4: Four(re, im, tr, ti, stage.Columns, before: true, half: false); break;
                case 8: Eight(re, im, tr, ti, stage.Columns, before: true, half: false); break;
                default: Sixteen(re, im, tr, ti, stage.Columns, before: true, half: false); break;
            }
        }
    }

    /// <summary>Sixteen rows of sixteen numbers become sixteen columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Transpose(float* from, float* to)
    {
        if (!Avx512F.IsSupported)
        {
            for (int i = 0; i < Lanes; i++)
            {
                for (int j = 0; j < Lanes; j++) to[(j * Lanes) + i] = from[(i * Lanes) + j];
            }

            return;
        }

        float* part = stackalloc float[Lanes * Lanes];
        for (int i = 0; i < 4; i++)
        {
            float* row = from + (4 * i * Lanes);
            F a = Vector512.Load(row), b = Vector512.Load(row + Lanes), c = Vector512.Load(row + (2 * Lanes)), d = Vector512.Load(row + (3 * Lanes));
            Vector512<double> low = Avx512F.UnpackLow(a, b).AsDouble(), high = Avx512F.UnpackHigh(a, b).AsDouble(), low2 = Avx512F.UnpackLow(c, d).AsDouble(), high2 = Avx512F.UnpackHigh(c, d).AsDouble();
            Avx512F.UnpackLow(low, low2).AsSingle().Store(part + (4 * i * Lanes));
            Avx512F.UnpackHigh(low, low2).AsSingle().Store(part + (((4 * i) + 1) * Lanes));
            Avx512F.UnpackLow(high, high2).AsSingle().Store(part + (((4 * i) + 2) * Lanes));
            Avx512F.UnpackHigh(high, high2).AsSingle().Store(part + (((4 * i) + 3) * Lanes));
        }

        for (int c = 0; c < 4; c++)
        {
            F p = Vector512.Load(part + (c * Lanes)), q = Vector512.Load(part + ((4 + c) * Lanes)), r = Vector512.Load(part + ((8 + c) * Lanes)), s = Vector512.Load(part + ((12 + c) * Lanes));
            F even = Avx512F.Shuffle4x128(p, q, 0x88), odd = Avx512F.Shuffle4x128(p, q, 0xdd), even2 = Avx512F.Shuffle4x128(r, s, 0x88), odd2 = Avx512F.Shuffle4x128(r, s, 0xdd);
            Avx512F.Shuffle4x128(even, even2, 0x88).Store(to + (c * Lanes));
            Avx512F.Shuffle4x128(odd, odd2, 0x88).Store(to + ((4 + c) * Lanes));
            Avx512F.Shuffle4x128(even, even2, 0xdd).Store(to + ((8 + c) * Lanes));
            Avx512F.Shuffle4x128(odd, odd2, 0xdd).Store(to + ((12 + c) * Lanes));
        }
    }

    /// <summary>Sixteen points over sixteen columns, no twiddle factors after.</summary>
    public static void Sixteen(float* re, float* im) => Sixteen(re, im, null, null, Lanes, before: false, half: false);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Two(float* re, float* im, float* tr, float* ti, int columns, bool before)
    {
        for (int b = 0; b < columns; b += Lanes)
        {
            F r0 = Vector512.Load(re + b), i0 = Vector512.Load(im + b), r1 = Vector512.Load(re + columns + b), i1 = Vector512.Load(im + columns + b);
            if (before) Turn(ref r1, ref i1, tr + columns + b, ti + columns + b);
            (F s, F t) = (r0 - r1, i0 - i1);
            (r0 + r1).Store(re + b);
            (i0 + i1).Store(im + b);
            if (!before) Turn(ref s, ref t, tr + columns + b, ti + columns + b);
            s.Store(re + columns + b);
            t.Store(im + columns + b);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Four(float* re, float* im, float* tr, float* ti, int columns, bool before, bool half)
    {
        int n = columns;
        for (int b = 0; b < columns; b += Lanes)
        {
            F r0 = Vector512.Load(re + b), i0 = Vector512.Load(im + b), r1 = Vector512.Load(re + n + b), i1 = Vector512.Load(im + n + b), r2 = default, i2 = default, r3 = default, i3 = default;
            if (!half)
            {
                (r2, i2, r3, i3) = (Vector512.Load(re + (2 * n) + b), Vector512.Load(im + (2 * n) + b), Vector512.Load(re + (3 * n) + b), Vector512.Load(im + (3 * n) + b));
                if (before)
                {
                    Turn(ref r1, ref i1, tr + n + b, ti + n + b);
                    Turn(ref r2, ref i2, tr + (2 * n) + b, ti + (2 * n) + b);
                    Turn(ref r3, ref i3, tr + (3 * n) + b, ti + (3 * n) + b);
                }
            }

            Fourth(ref r0, ref i0, ref r1, ref i1, ref r2, ref i2, ref r3, ref i3);
            Put(r0, i0, re + b, im + b, null, null);
            Put(r1, i1, re + n + b, im + n + b, before ? null : tr + n + b, ti + n + b);
            Put(r2, i2, re + (2 * n) + b, im + (2 * n) + b, before ? null : tr + (2 * n) + b, ti + (2 * n) + b);
            Put(r3, i3, re + (3 * n) + b, im + (3 * n) + b, before ? null : tr + (3 * n) + b, ti + (3 * n) + b);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Eight(float* re, float* im, float* tr, float* ti, int columns, bool before, bool half)
    {
        int n = columns;
        for (int b = 0; b < columns; b += Lanes)
        {
            F r0 = Vector512.Load(re + b), i0 = Vector512.Load(im + b), r1 = Vector512.Load(re + n + b), i1 = Vector512.Load(im + n + b);
            F r2 = Vector512.Load(re + (2 * n) + b), i2 = Vector512.Load(im + (2 * n) + b), r3 = Vector512.Load(re + (3 * n) + b), i3 = Vector512.Load(im + (3 * n) + b);
            F r4 = default, i4 = default, r5 = default, i5 = default, r6 = default, i6 = default, r7 = default, i7 = default;
            if (!half)
            {
                (r4, i4, r5, i5) = (Vector512.Load(re + (4 * n) + b), Vector512.Load(im + (4 * n) + b), Vector512.Load(re + (5 * n) + b), Vector512.Load(im + (5 * n) + b));
                (r6, i6, r7, i7) = (Vector512.Load(re + (6 * n) + b), Vector512.Load(im + (6 * n) + b), Vector512.Load(re + (7 * n) + b), Vector512.Load(im + (7 * n) + b));
                if (before)
                {
                    Turn(ref r1, ref i1, tr + n + b, ti + n + b);
                    Turn(ref r2, ref i2, tr + (2 * n) + b, ti + (2 * n) + b);
                    Turn(ref r3, ref i3, tr + (3 * n) + b, ti + (3 * n) + b);
                    Turn(ref r4, ref i4, tr + (4 * n) + b, ti + (4 * n) + b);
                    Turn(ref r5, ref i5, tr + (5 * n) + b, ti + (5 * n) + b);
                    Turn(ref r6, ref i6, tr + (6 * n) + b, ti + (6 * n) + b);
                    Turn(ref r7, ref i7, tr + (7 * n) + b, ti + (7 * n) + b);
                }
            }

            Fourth(ref r0, ref i0, ref r2, ref i2, ref r4, ref i4, ref r6, ref i6);
            Fourth(ref r1, ref i1, ref r3, ref i3, ref r5, ref i5, ref r7, ref i7);

            // Even halves e0 to e3 stand in 0, 2, 4, 6 and odd ones in 1, 3, 5, 7; these are turned by eighths of a circle.
            F h = Vector512.Create(Half);
            (r3, i3) = ((r3 + i3) * h, (i3 - r3) * h);
            (r5, i5) = (i5, -r5);
            (r7, i7) = ((i7 - r7) * h, -(r7 + i7) * h);
            Put(r0 + r1, i0 + i1, re + b, im + b, null, null);
            Put(r2 + r3, i2 + i3, re + n + b, im + n + b, before ? null : tr + n + b, ti + n + b);
            Put(r4 + r5, i4 + i5, re + (2 * n) + b, im + (2 * n) + b, before ? null : tr + (2 * n) + b, ti + (2 * n) + b);
            Put(r6 + r7, i6 + i7, re + (3 * n) + b, im + (3 * n) + b, before ? null : tr + (3 * n) + b, ti + (3 * n) + b);
            Put(r0 - r1, i0 - i1, re + (4 * n) + b, im + (4 * n) + b, before ? null : tr + (4 * n) + b, ti + (4 * n) + b);
            Put(r2 - r3, i2 - i3, re + (5 * n) + b, im + (5 * n) + b, before ? null : tr + (5 * n) + b, ti + (5 * n) + b);
            Put(r4 - r5, i4 - i5, re + (6 * n) + b, im + (6 * n) + b, before ? null : tr + (6 * n) + b, ti + (6 * n) + b);
            Put(r6 - r7, i6 - i7, re + (7 * n) + b, im + (7 * n) + b, before ? null : tr + (7 * n) + b, ti + (7 * n) + b);
        }
    }

    /// <summary>Sixteen as four times four; what stands between fits the first cache. No twiddle factors where tr is null.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Sixteen(float* re, float* im, float* tr, float* ti, int columns, bool before, bool half)
    {
        float* pr = stackalloc float[Lanes * Lanes], pi = stackalloc float[Lanes * Lanes];
        int n = columns;
        for (int b = 0; b < columns; b += Lanes)
        {
            for (int q = 0; q < 4; q++)
            {
                int a0 = (q * n) + b, a1 = ((4 + q) * n) + b, a2 = ((8 + q) * n) + b, a3 = ((12 + q) * n) + b;
                F r0 = Vector512.Load(re + a0), i0 = Vector512.Load(im + a0), r1 = Vector512.Load(re + a1), i1 = Vector512.Load(im + a1), r2 = default, i2 = default, r3 = default, i3 = default;
                if (!half) (r2, i2, r3, i3) = (Vector512.Load(re + a2), Vector512.Load(im + a2), Vector512.Load(re + a3), Vector512.Load(im + a3));
                if (before)
                {
                    Turn(ref r0, ref i0, tr + a0, ti + a0);
                    Turn(ref r1, ref i1, tr + a1, ti + a1);
                    Turn(ref r2, ref i2, tr + a2, ti + a2);
                    Turn(ref r3, ref i3, tr + a3, ti + a3);
                }

                Fourth(ref r0, ref i0, ref r1, ref i1, ref r2, ref i2, ref r3, ref i3);
                switch (q)
                {
                    case 1:
                        Turn(ref r1, ref i1, Cos, -Sin);
                        Turn(ref r2, ref i2, Half, -Half);
                        Turn(ref r3, ref i3, Sin, -Cos);
                        break;
                    case 2:
                        Turn(ref r1, ref i1, Half, -Half);
                        (r2, i2) = (i2, -r2);
                        Turn(ref r3, ref i3, -Half, -Half);
                        break;
                    case 3:
                        Turn(ref r1, ref i1, Sin, -Cos);
                        Turn(ref r2, ref i2, -Half, -Half);
                        Turn(ref r3, ref i3, -Cos, Sin);
                        break;
                }

                Put(r0, i0, pr + (q * Lanes), pi + (q * Lanes), null, null);
                Put(r1, i1, pr + ((4 + q) * Lanes), pi + ((4 + q) * Lanes), null, null);
                Put(r2, i2, pr + ((8 + q) * Lanes), pi + ((8 + q) * Lanes), null, null);
                Put(r3, i3, pr + ((12 + q) * Lanes), pi + ((12 + q) * Lanes), null, null);
            }

            for (int k = 0; k < 4; k++)
            {
                float* qr = pr + (4 * k * Lanes), qi = pi + (4 * k * Lanes);
                F r0 = Vector512.Load(qr), i0 = Vector512.Load(qi), r1 = Vector512.Load(qr + Lanes), i1 = Vector512.Load(qi + Lanes);
                F r2 = Vector512.Load(qr + (2 * Lanes)), i2 = Vector512.Load(qi + (2 * Lanes)), r3 = Vector512.Load(qr + (3 * Lanes)), i3 = Vector512.Load(qi + (3 * Lanes));
                Fourth(ref r0, ref i0, ref r1, ref i1, ref r2, ref i2, ref r3, ref i3);
                int a0 = (k * n) + b, a1 = ((4 + k) * n) + b, a2 = ((8 + k) * n) + b, a3 = ((12 + k) * n) + b;
                float* t = before ? null : tr;
                Put(r0, i0, re + a0, im + a0, t == null ? null : t + a0, ti + a0);
                Put(r1, i1, re + a1, im + a1, t == null ? null : t + a1, ti + a1);
                Put(r2, i2, re + a2, im + a2, t == null ? null : t + a2, ti + a2);
                Put(r3, i3, re + a3, im + a3, t == null ? null : t + a3, ti + a3);
            }
        }
    }

    /// <summary>Four points in place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Fourth(ref F r0, ref F i0, ref F r1, ref F i1, ref F r2, ref F i2, ref F r3, ref F i3)
    {
        F sr = r0 + r2, si = i0 + i2, dr = r0 - r2, di = i0 - i2, tr = r1 + r3, ti = i1 + i3, er = r1 - r3, ei = i1 - i3;
        (r0, i0) = (sr + tr, si + ti);
        (r2, i2) = (sr - tr, si - ti);
        (r1, i1) = (dr + ei, di - er);
        (r3, i3) = (dr - ei, di + er);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Turn(ref F r, ref F i, float* tr, float* ti)
    {
        F c = Vector512.Load(tr), s = Vector512.Load(ti), old = r;
        r = Vector512.FusedMultiplyAdd(-i, s, old * c);
        i = Vector512.FusedMultiplyAdd(old, s, i * c);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Turn(ref F r, ref F i, float c, float s)
    {
        F cos = Vector512.Create(c), sin = Vector512.Create(s), old = r;
        r = Vector512.FusedMultiplyAdd(-i, sin, old * cos);
        i = Vector512.FusedMultiplyAdd(old, sin, i * cos);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(F r, F i, float* re, float* im, float* tr, float* ti)
    {
        if (tr != null) Turn(ref r, ref i, tr, ti);
        r.Store(re);
        i.Store(im);
    }
}
