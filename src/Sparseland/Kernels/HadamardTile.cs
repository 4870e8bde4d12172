using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Kernels;

/// <summary>Butterflies of the Walsh-Hadamard transform on numbers that lie in the cache.</summary>
internal static unsafe class HadamardTile
{
    private const int Unit = 8;

    /// <summary>Rows of <paramref name="width"/> numbers, <paramref name="pitch"/> apart: copied to the buffer, transformed, copied back.</summary>
    /// <remarks>Rows a power of two apart would fall into the same few sets of the cache and push each other out; a copy does not.</remarks>
    public static void Strided<T>(T* x, long pitch, int rows, int width, T* buffer)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (pitch == width)
        {
            Rows(x, rows, width);
            return;
        }

        for (int r = 0; r < rows; r++) new ReadOnlySpan<T>(x + (r * pitch), width).CopyTo(new(buffer + ((long)r * width), width));
        Rows(buffer, rows, width);
        for (int r = 0; r < rows; r++) new ReadOnlySpan<T>(buffer + ((long)r * width), width).CopyTo(new(x + (r * pitch), width));
    }

    /// <summary>[rows, width] along the rows, contiguous; three levels at a time.</summary>
    public static void Rows<T>(T* x, int rows, int width)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        long half = width, length = (long)rows * width;
        switch (BitOperations.Log2((uint)rows) % 3)
        {
            case 1:
                for (T* start = x; start < x + length; start += 2 * half) Two(start, half);
                half *= 2;
                break;
            case 2:
                for (T* start = x; start < x + length; start += 4 * half) Four(start, half);
                half *= 4;
                break;
        }

        for (; half < length; half *= 8)
        {
            for (T* start = x; start < x + length; start += 8 * half) Eight(start, half);
        }
    }

    /// <summary>One vector: units of eight, then along the rows of [n / 8, 8].</summary>
    public static void Run<T>(T* x, int length)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (length < Unit)
        {
            Rows(x, length, 1);
            return;
        }

        for (T* start = x; start < x + length; start += Unit) EightNumbers(start, 1);
        Rows(x, length / Unit, Unit);
    }

    private static void Two<T>(T* x, long half)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        long i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            for (; i <= half - Vector512<T>.Count; i += Vector512<T>.Count)
            {
                Vector512<T> a = Vector512.Load(x + i), b = Vector512.Load(x + half + i);
                (a + b).Store(x + i);
                (a - b).Store(x + half + i);
            }
        }

        for (; i <= half - Vector256<T>.Count; i += Vector256<T>.Count)
        {
            Vector256<T> a = Vector256.Load(x + i), b = Vector256.Load(x + half + i);
            (a + b).Store(x + i);
            (a - b).Store(x + half + i);
        }

        for (; i < half; i++) (x[i], x[half + i]) = (x[i] + x[half + i], x[i] - x[half + i]);
    }

    private static void Four<T>(T* x, long half)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T* x1 = x + half, x2 = x1 + half, x3 = x2 + half;
        long i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            for (; i <= half - Vector512<T>.Count; i += Vector512<T>.Count)
            {
                Vector512<T> a = Vector512.Load(x + i), b = Vector512.Load(x1 + i), c = Vector512.Load(x2 + i), d = Vector512.Load(x3 + i);
                (a, b, c, d) = (a + b, a - b, c + d, c - d);
                (a + c).Store(x + i);
                (b + d).Store(x1 + i);
                (a - c).Store(x2 + i);
                (b - d).Store(x3 + i);
            }
        }

        for (; i <= half - Vector256<T>.Count; i += Vector256<T>.Count)
        {
            Vector256<T> a = Vector256.Load(x + i), b = Vector256.Load(x1 + i), c = Vector256.Load(x2 + i), d = Vector256.Load(x3 + i);
            (a, b, c, d) = (a + b, a - b, c + d, c - d);
            (a + c).Store(x + i);
            (b + d).Store(x1 + i);
            (a - c).Store(x2 + i);
            (b - d).Store(x3 + i);
        }

        for (; i < half; i++)
        {
            (T a, T b, T c, T d) = (x[i] + x1[i], x[i] - x1[i], x2[i] + x3[i], x2[i] - x3[i]);
            (x[i], x1[i], x2[i], x3[i]) = (a + c, b + d, a - c, b - d);
        }
    }

    private static void Eight<T>(T* x, long half)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        long i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            for (; i <= half - Vector512<T>.Count; i += Vector512<T>.Count)
            {
                T* p = x + i;
                Vector512<T> a = Vector512.Load(p), b = Vector512.Load(p + half), c = Vector512.Load(p + (2 * half)), d = Vector512.Load(p + (3 * half));
                Vector512<T> e = Vector512.Load(p + (4 * half)), f = Vector512.Load(p + (5 * half)), g = Vector512.Load(p + (6 * half)), h = Vector512.Load(p + (7 * half));
                Vector512<T> ab = a + b, ba = a - b, cd = c + d, dc = c - d, ef = e + f, fe = e - f, gh = g + h, hg = g - h;
                a = ab + cd;
                b = ba + dc;
                c = ab - cd;
                d = ba - dc;
                e = ef + gh;
                f = fe + hg;
                g = ef - gh;
                h = fe - hg;
                (a + e).Store(p);
                (b + f).Store(p + half);
                (c + g).Store(p + (2 * half));
                (d + h).Store(p + (3 * half));
                (a - e).Store(p + (4 * half));
                (b - f).Store(p + (5 * half));
                (c - g).Store(p + (6 * half));
                (d - h).Store(p + (7 * half));
            }
        }

        for (; i <= half - Vector256<T>.Count; i += Vector256<T>.Count)
        {
            T* p = x + i;
            Vector256<T> a = Vector256.Load(p), b = Vector256.Load(p + half), c = Vector256.Load(p + (2 * half)), d = Vector256.Load(p + (3 * half));
            Vector256<T> e = Vector256.Load(p + (4 * half)), f = Vector256.Load(p + (5 * half)), g = Vector256.Load(p + (6 * half)), h = Vector256.Load(p + (7 * half));
            Vector256<T> ab = a + b, ba = a - b, cd = c + d, dc = c - d, ef = e + f, fe = e - f, gh = g + h, hg = g - h;
            a = ab + cd;
            b = ba + dc;
            c = ab - cd;
            d = ba - dc;
            e = ef + gh;
            f = fe + hg;
            g = ef - gh;
            h = fe - hg;
            (a + e).Store(p);
            (b + f).Store(p + half);
            (c + g).Store(p + (2 * half));
            (d + h).Store(p + (3 * half));
            (a - e).Store(p + (4 * half));
            (b - f).Store(p + (5 * half));
            (c - g).Store(p + (6 * half));
            (d - h).Store(p + (7 * half));
        }

        for (; i < half; i++) EightNumbers(x + i, half);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void EightNumbers<T>(T* p, long half)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T a = p[0], b = p[half], c = p[2 * half], d = p[3 * half], e = p[4 * half], f = p[5 * half], g = p[6 * half], h = p[7 * half];
        T ab = a + b, ba = a - b, cd = c + d, dc = c - d, ef = e + f, fe = e - f, gh = g + h, hg = g - h;
        a = ab + cd;
        b = ba + dc;
        c = ab - cd;
        d = ba - dc;
        e = ef + gh;
        f = fe + hg;
        g = ef - gh;
        h = fe - hg;
        p[0] = a + e;
        p[half] = b + f;
        p[2 * half] = c + g;
        p[3 * half] = d + h;
        p[4 * half] = a - e;
        p[5 * half] = b - f;
        p[6 * half] = c - g;
        p[7 * half] = d - h;
    }
}
