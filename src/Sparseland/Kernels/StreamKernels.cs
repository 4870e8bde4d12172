using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Kernels;

/// <summary>Some blocks of outputs in a stream of weights, ready to run.</summary>
/// <param name="Value">Address of the weights: of each block the biases of its M outputs, then M weights for each stored entry.</param>
/// <param name="Difference">Address of the differences: from the row of numbers that a stored entry takes to the row of the next one, in numbers.</param>
/// <param name="Count">Address of the counts: stored entries of each block.</param>
/// <param name="Blocks">How many blocks.</param>
/// <param name="Stride">Numbers between two channels of the output.</param>
internal readonly unsafe record struct StreamPart(nint Value, nint Difference, nint Count, int Blocks, long Stride)
{
    public float* Values => (float*)Value;

    public int* Differences => (int*)Difference;

    public int* Counts => (int*)Count;
}

/// <summary>
/// A stream of sparse weights times a strip of neighbouring positions, the sums in registers: for each block of M outputs they begin with the biases; each stored entry reads its
/// positions once and multiplies them by M weights; then the sums are cut and written, and the pointer moves on by the difference that stands in the stream (Elsen et al. 2020).
/// </summary>
/// <remarks>
/// A sum is taken in the order of the stream by one thread whatever M, strip and lanes are: all forms give the same bits. An output without entries leaves the pointer where it is.
/// </remarks>
internal static unsafe class StreamKernels
{
    /// <summary>Most positions of a strip.</summary>
    public const int MostPositions = 64;

    /// <summary>Blocks of M outputs.</summary>
    public static bool Knows(int rows) => rows is 1 or 2 or 4 or 8 or 16;

    /// <summary>Runs a part over some positions.</summary>
    /// <param name="rows">M: 1, 2, 4, 8 or 16.</param>
    /// <param name="part">The blocks.</param>
    /// <param name="x">First position in the row of the first stored entry.</param>
    /// <param name="y">First position in the first output.</param>
    /// <param name="width">Positions.</param>
    /// <param name="clamp">Where to cut.</param>
    /// <param name="path">Instructions.</param>
    public static void Run(int rows, in StreamPart part, float* x, float* y, int width, ConvolutionClamp clamp, KernelPath path)
    {
        if (path == KernelPath.Vector512 && width > Lanes8.Count) Strip<Vector512<float>, Lanes16>(rows, part, x, y, width, clamp);
        else if (path >= KernelPath.Vector256) Strip<Vector256<float>, Lanes8>(rows, part, x, y, width, clamp);
        else Strip<float, Lanes1>(rows, part, x, y, width, clamp);
    }

    private static void Strip<V, L>(int rows, in StreamPart part, float* x, float* y, int width, ConvolutionClamp clamp)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        V low = L.Broadcast(clamp.Min), high = L.Broadcast(clamp.Max);
        int at = 0, step = L.Count;
        for (; rows <= 4 && at + (4 * step) <= width; at += 4 * step)
        {
            if (rows == 1) Rows1By4<V, L>(part, x + at, y + at, low, high);
            else if (rows == 2) Rows2By4<V, L>(part, x + at, y + at, low, high);
            else Rows4By4<V, L>(part, x + at, y + at, low, high);
        }

        for (; rows <= 8 && at + (2 * step) <= width; at += 2 * step)
        {
            if (rows == 1) Rows1By2<V, L>(part, x + at, y + at, low, high);
            else if (rows == 2) Rows2By2<V, L>(part, x + at, y + at, low, high);
            else if (rows == 4) Rows4By2<V, L>(part, x + at, y + at, low, high);
            else Rows8By2<V, L>(part, x + at, y + at, low, high);
        }

        for (; at < width; at += step)
        {
            V mask = L.Mask(width - at);
            if (rows == 1) Rows1Masked<V, L>(part, x + at, y + at, low, high, mask);
            else if (rows == 2) Rows2Masked<V, L>(part, x + at, y + at, low, high, mask);
            else if (rows == 4) Rows4Masked<V, L>(part, x + at, y + at, low, high, mask);
            else if (rows == 8) Rows8Masked<V, L>(part, x + at, y + at, low, high, mask);
            else Rows16Masked<V, L>(part, x + at, y + at, low, high, mask);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows1By4<V, L>(in StreamPart part, float* x, float* y, V low, V high)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        float* values = part.Values;
        int* differences = part.Differences, counts = part.Counts;
        long stride = part.Stride;
        int step = L.Count;
        for (int block = part.Blocks; block > 0; block--)
        {
            V s0a = L.Broadcast(values[0]), s0b = s0a, s0c = s0a, s0d = s0a;
            values += 1;
            for (int k = *counts++; k > 0; k--)
            {
                V xa = L.Load(x), xb = L.Load(x + step), xc = L.Load(x + (2 * step)), xd = L.Load(x + (3 * step));
                V w0 = L.Broadcast(values[0]);
                s0a = L.MultiplyAdd(w0, xa, s0a);
                s0b = L.MultiplyAdd(w0, xb, s0b);
                s0c = L.MultiplyAdd(w0, xc, s0c);
                s0d = L.MultiplyAdd(w0, xd, s0d);
                values += 1;
                x += *differences++;
            }

            L.Store(y, L.Clamp(s0a, low, high));
            L.Store(y + step, L.Clamp(s0b, low, high));
            L.Store(y + (2 * step), L.Clamp(s0c, low, high));
            L.Store(y + (3 * step), L.Clamp(s0d, low, high));
            y += stride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows2By4<V, L>(in StreamPart part, float* x, float* y, V low, V high)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        float* values = part.Values;
        int* differences = part.Differences, counts = part.Counts;
        long stride = part.Stride;
        int step = L.Count;
        for (int block = part.Blocks; block > 0; block--)
        {
            V s0a = L.Broadcast(values[0]), s0b = s0a, s0c = s0a, s0d = s0a;
            V s1a = L.Broadcast(values[1]), s1b = s1a, s1c = s1a, s1d = s1a;
            values += 2;
            for (int k = *counts++; k > 0; k--)
            {
                V xa = L.Load(x), xb = L.Load(x + step), xc = L.Load(x + (2 * step)), xd = L.Load(x + (3 * step));
                V w0 = L.Broadcast(values[0]);
                s0a = L.MultiplyAdd(w0, xa, s0a);
                s0b = L.MultiplyAdd(w0, xb, s0b);
                s0c = L.MultiplyAdd(w0, xc, s0c);
                s0d = L.MultiplyAdd(w0, xd, s0d);
                V w1 = L.Broadcast(values[1]);
                s1a = L.MultiplyAdd(w1, xa, s1a);
                s1b = L.MultiplyAdd(w1, xb, s1b);
                s1c = L.MultiplyAdd(w1, xc, s1c);
                s1d = L.MultiplyAdd(w1, xd, s1d);
                values += 2;
                x += *differences++;
            }

            L.Store(y, L.Clamp(s0a, low, high));
            L.Store(y + step, L.Clamp(s0b, low, high));
            L.Store(y + (2 * step), L.Clamp(s0c, low, high));
            L.Store(y + (3 * step), L.Clamp(s0d, low, high));
            L.Store(y + stride, L.Clamp(s1a, low, high));
            L.Store(y + stride + step, L.Clamp(s1b, low, high));
            L.Store(y + stride + (2 * step), L.Clamp(s1c, low, high));
            L.Store(y + stride + (3 * step), L.Clamp(s1d, low, high));
            y += 2 * stride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows4By4<V, L>(in StreamPart part, float* x, float* y, V low, V high)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        float* values = part.Values;
        int* differences = part.Differences, counts = part.Counts;
        long stride = part.Stride;
        int step = L.Count;
        for (int block = part.Blocks; block > 0; block--)
        {
            V s0a = L.Broadcast(values[0]), s0b = s0a, s0c = s0a, s0d = s0a;
            V s1a = L.Broadcast(values[1]), s1b = s1a, s1c = s1a, s1d = s1a;
            V s2a = L.Broadcast(values[2]), s2b = s2a, s2c = s2a, s2d = s2a;
            V s3a = L.Broadcast(values[3]), s3b = s3a, s3c = s3a, s3d = s3a;
            values += 4;
            for (int k = *counts++; k > 0; k--)
            {
                V xa = L.Load(x), xb = L.Load(x + step), xc = L.Load(x + (2 * step)), xd = L.Load(x + (3 * step));
                V w0 = L.Broadcast(values[0]);
                s0a = L.MultiplyAdd(w0, xa, s0a);
                s0b = L.MultiplyAdd(w0, xb, s0b);
                s0c = L.MultiplyAdd(w0, xc, s0c);
                s0d = L.MultiplyAdd(w0, xd, s0d);
                V w1 = L.Broadcast(values[1]);
                s1a = L.MultiplyAdd(w1, xa, s1a);
                s1b = L.MultiplyAdd(w1, xb, s1b);
                s1c = L.MultiplyAdd(w1, xc, s1c);
                s1d = L.MultiplyAdd(w1, xd, s1d);
                V w2 = L.Broadcast(values[2]);
                s2a = L.MultiplyAdd(w2, xa, s2a);
                s2b = L.MultiplyAdd(w2, xb, s2b);
                s2c = L.MultiplyAdd(w2, xc, s2c);
                s2d = L.MultiplyAdd(w2, xd, s2d);
                V w3 = L.Broadcast(values[3]);
                s3a = L.MultiplyAdd(w3, xa, s3a);
                s3b = L.MultiplyAdd(w3, xb, s3b);
                s3c = L.MultiplyAdd(w3, xc, s3c);
                s3d = L.MultiplyAdd(w3, xd, s3d);
                values += 4;
                x += *differences++;
            }

            L.Store(y, L.Clamp(s0a, low, high));
            L.Store(y + step, L.Clamp(s0b, low, high));
            L.Store(y + (2 * step), L.Clamp(s0c, low, high));
            L.Store(y + (3 * step), L.Clamp(s0d, low, high));
            L.Store(y + stride, L.Clamp(s1a, low, high));
            L.Store(y + stride + step, L.Clamp(s1b, low, high));
            L.Store(y + stride + (2 * step), L.Clamp(s1c, low, high));
            L.Store(y + stride + (3 * step), L.Clamp(s1d, low, high));
            L.Store(y + (2 * stride), L.Clamp(s2a, low, high));
            L.Store(y + (2 * stride) + step, L.Clamp(s2b, low, high));
            L.Store(y + (2 * stride) + (2 * step), L.Clamp(s2c, low, high));
            L.Store(y + (2 * stride) + (3 * step), L.Clamp(s2d, low, high));
            L.Store(y + (3 * stride), L.Clamp(s3a, low, high));
            L.Store(y + (3 * stride) + step, L.Clamp(s3b, low, high));
            L.Store(y + (3 * stride) + (2 * step), L.Clamp(s3c, low, high));
            L.Store(y + (3 * stride) + (3 * step), L.Clamp(s3d, low, high));
            y += 4 * stride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows1By2<V, L>(in StreamPart part, float* x, float* y, V low, V high)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        float* values = part.Values;
        int* differences = part.Differences, counts = part.Counts;
        long stride = part.Stride;
        int step = L.Count;
        for (int block = part.Blocks; block > 0; block--)
        {
            V s0a = L.Broadcast(values[0]), s0b = s0a;
            values += 1;
            for (int k = *counts++; k > 0; k--)
            {
                V xa = L.Load(x), xb = L.Load(x + step);
                V w0 = L.Broadcast(values[0]);
                s0a = L.MultiplyAdd(w0, xa, s0a);
                s0b = L.MultiplyAdd(w0, xb, s0b);
                values += 1;
                x += *differences++;
            }

            L.Store(y, L.Clamp(s0a, low, high));
            L.Store(y + step, L.Clamp(s0b, low, high));
            y += stride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows2By2<V, L>(in StreamPart part, float* x, float* y, V low, V high)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        float* values = part.Values;
        int* differences = part.Differences, counts = part.Counts;
        long stride = part.Stride;
        int step = L.Count;
        for (int block = part.Blocks; block > 0; block--)
        {
            V s0a = L.Broadcast(values[0]), s0b = s0a;
            V s1a = L.Broadcast(values[1]), s1b = s1a;
            values += 2;
            for (int k = *counts++; k > 0; k--)
            {
                V xa = L.Load(x), xb = L.Load(x + step);
                V w0 = L.Broadcast(values[0]);
                s0a = L.MultiplyAdd(w0, xa, s0a);
                s0b = L.MultiplyAdd(w0, xb, s0b);
                V w1 = L.Broadcast(values[1]);
                s1a = L.MultiplyAdd(w1, xa, s1a);
                s1b = L.MultiplyAdd(w1, xb, s1b);
                values += 2;
                x += *differences++;
            }

            L.Store(y, L.Clamp(s0a, low, high));
            L.Store(y + step, L.Clamp(s0b, low, high));
            L.Store(y + stride, L.Clamp(s1a, low, high));
            L.Store(y + stride + step, L.Clamp(s1b, low, high));
            y += 2 * stride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows4By2<V, L>(in StreamPart part, float* x, float* y, V low, V high)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        float* values = part.Values;
        int* differences = part.Differences, counts = part.Counts;
        long stride = part.Stride;
        int step = L.Count;
        for (int block = part.Blocks; block > 0; block--)
        {
            V s0a = L.Broadcast(values[0]), s0b = s0a;
            V s1a = L.Broadcast(values[1]), s1b = s1a;
            V s2a = L.Broadcast(values[2]), s2b = s2a;
            V s3a = L.Broadcast(values[3]), s3b = s3a;
            values += 4;
            for (int k = *counts++; k > 0; k--)
            {
                V xa = L.Load(x), xb = L.Load(x + step);
                V w0 = L.Broadcast(values[0]);
                s0a = L.MultiplyAdd(w0, xa, s0a);
                s0b = L.MultiplyAdd(w0, xb, s0b);
                V w1 = L.Broadcast(values[1]);
                s1a = L.MultiplyAdd(w1, xa, s1a);
                s1b = L.MultiplyAdd(w1, xb, s1b);
                V w2 = L.Broadcast(values[2]);
                s2a = L.MultiplyAdd(w2, xa, s2a);
                s2b = L.MultiplyAdd(w2, xb, s2b);
                V w3 = L.Broadcast(values[3]);
                s3a = L.MultiplyAdd(w3, xa, s3a);
                s3b = L.MultiplyAdd(w3, xb, s3b);
                values += 4;
                x += *differences++;
            }

            L.Store(y, L.Clamp(s0a, low, high));
            L.Store(y + step, L.Clamp(s0b, low, high));
            L.Store(y + stride, L.Clamp(s1a, low, high));
            L.Store(y + stride + step, L.Clamp(s1b, low, high));
            L.Store(y + (2 * stride), L.Clamp(s2a, low, high));
            L.Store(y + (2 * stride) + step, L.Clamp(s2b, low, high));
            L.Store(y + (3 * stride), L.Clamp(s3a, low, high));
            L.Store(y + (3 * stride) + step, L.Clamp(s3b, low, high));
            y += 4 * stride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows8By2<V, L>(in StreamPart part, float* x, float* y, V low, V high)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        float* values = part.Values;
        int* differences = part.Differences, counts = part.Counts;
        long stride = part.Stride;
        int step = L.Count;
        for (int block = part.Blocks; block > 0; block--)
        {
            V s0a = L.Broadcast(values[0]), s0b = s0a;
            V s1a = L.Broadcast(values[1]), s1b = s1a;
            V s2a = L.Broadcast(values[2]), s2b = s2a;
            V s3a = L.Broadcast(values[3]), s3b = s3a;
            V s4a = L.Broadcast(values[4]), s4b = s4a;
            V s5a = L.Broadcast(values[5]), s5b = s5a;
            V s6a = L.Broadcast(values[6]), s6b = s6a;
            V s7a = L.Broadcast(values[7]), s7b = s7a;
            values += 8;
            for (int k = *counts++; k > 0; k--)
            {
                V xa = L.Load(x), xb = L.Load(x + step);
                V w0 = L.Broadcast(values[0]);
                s0a = L.MultiplyAdd(w0, xa, s0a);
                s0b = L.MultiplyAdd(w0, xb, s0b);
                V w1 = L.Broadcast(values[1]);
                s1a = L.MultiplyAdd(w1, xa, s1a);
                s1b = L.MultiplyAdd(w1, xb, s1b);
                V w2 = L.Broadcast(values[2]);
                s2a = L.MultiplyAdd(w2, xa, s2a);
                s2b = L.MultiplyAdd(w2, xb, s2b);
                V w3 = L.Broadcast(values[3]);
                s3a = L.MultiplyAdd(w3, xa, s3a);
                s3b = L.MultiplyAdd(w3, xb, s3b);
                V w4 = L.Broadcast(values[4]);
                s4a = L.MultiplyAdd(w4, xa, s4a);
                s4b = L.MultiplyAdd(w4, xb, s4b);
                V w5 = L.Broadcast(values[5]);
                s5a = L.MultiplyAdd(w5, xa, s5a);
                s5b = L.MultiplyAdd(w5, xb, s5b);
                V w6 = L.Broadcast(values[6]);
                s6a = L.MultiplyAdd(w6, xa, s6a);
                s6b = L.MultiplyAdd(w6, xb, s6b);
                V w7 = L.Broadcast(values[7]);
                s7a = L.MultiplyAdd(w7, xa, s7a);
                s7b = L.MultiplyAdd(w7, xb, s7b);
                values += 8;
                x += *differences++;
            }

            L.Store(y, L.Clamp(s0a, low, high));
            L.Store(y + step, L.Clamp(s0b, low, high));
            L.Store(y + stride, L.Clamp(s1a, low, high));
            L.Store(y + stride + step, L.Clamp(s1b, low, high));
            L.Store(y + (2 * stride), L.Clamp(s2a, low, high));
            L.Store(y + (2 * stride) + step, L.Clamp(s2b, low, high));
            L.Store(y + (3 * stride), L.Clamp(s3a, low, high));
            L.Store(y + (3 * stride) + step, L.Clamp(s3b, low, high));
            L.Store(y + (4 * stride), L.Clamp(s4a, low, high));
            L.Store(y + (4 * stride) + step, L.Clamp(s4b, low, high));
            L.Store(y + (5 * stride), L.Clamp(s5a, low, high));
            L.Store(y + (5 * stride) + step, L.Clamp(s5b, low, high));
            L.Store(y + (6 * stride), L.Clamp(s6a, low, high));
            L.Store(y + (6 * stride) + step, L.Clamp(s6b, low, high));
            L.Store(y + (7 * stride), L.Clamp(s7a, low, high));
            L.Store(y + (7 * stride) + step, L.Clamp(s7b, low, high));
            y += 8 * stride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows1Masked<V, L>(in StreamPart part, float* x, float* y, V low, V high, V mask)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        float* values = part.Values;
        int* differences = part.Differences, counts = part.Counts;
        long stride = part.Stride;
        for (int block = part.Blocks; block > 0; block--)
        {
            V s0a = L.Broadcast(values[0]);
            values += 1;
            for (int k = *counts++; k > 0; k--)
            {
                V xa = L.Load(x, mask);
                s0a = L.MultiplyAdd(L.Broadcast(values[0]), xa, s0a);
                values += 1;
                x += *differences++;
            }

            L.Store(y, mask, L.Clamp(s0a, low, high));
            y += stride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows2Masked<V, L>(in StreamPart part, float* x, float* y, V low, V high, V mask)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        float* values = part.Values;
        int* differences = part.Differences, counts = part.Counts;
        long stride = part.Stride;
        for (int block = part.Blocks; block > 0; block--)
        {
            V s0a = L.Broadcast(values[0]);
            V s1a = L.Broadcast(values[1]);
            values += 2;
            for (int k = *counts++; k > 0; k--)
            {
                V xa = L.Load(x, mask);
                s0a = L.MultiplyAdd(L.Broadcast(values[0]), xa, s0a);
                s1a = L.MultiplyAdd(L.Broadcast(values[1]), xa, s1a);
                values += 2;
                x += *differences++;
            }

            L.Store(y, mask, L.Clamp(s0a, low, high));
            L.Store(y + stride, mask, L.Clamp(s1a, low, high));
            y += 2 * stride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows4Masked<V, L>(in StreamPart part, float* x, float* y, V low, V high, V mask)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        float* values = part.Values;
        int* differences = part.Differences, counts = part.Counts;
        long stride = part.Stride;
        for (int block = part.Blocks; block > 0; block--)
        {
            V s0a = L.Broadcast(values[0]);
            V s1a = L.Broadcast(values[1]);
            V s2a = L.Broadcast(values[2]);
            V s3a = L.Broadcast(values[3]);
            values += 4;
            for (int k = *counts++; k > 0; k--)
            {
                V xa = L.Load(x, mask);
                s0a = L.MultiplyAdd(L.Broadcast(values[0]), xa, s0a);
                s1a = L.MultiplyAdd(L.Broadcast(values[1]), xa, s1a);
                s2a = L.MultiplyAdd(L.Broadcast(values[2]), xa, s2a);
                s3a = L.MultiplyAdd(L.Broadcast(values[3]), xa, s3a);
                values += 4;
                x += *differences++;
            }

            L.Store(y, mask, L.Clamp(s0a, low, high));
            L.Store(y + stride, mask, L.Clamp(s1a, low, high));
            L.Store(y + (2 * stride), mask, L.Clamp(s2a, low, high));
            L.Store(y + (3 * stride), mask, L.Clamp(s3a, low, high));
            y += 4 * stride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows8Masked<V, L>(in StreamPart part, float* x, float* y, V low, V high, V mask)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        float* values = part.Values;
        int* differences = part.Differences, counts = part.Counts;
        long stride = part.Stride;
        for (int block = part.Blocks; block > 0; block--)
        {
            V s0a = L.Broadcast(values[0]);
            V s1a = L.Broadcast(values[1]);
            V s2a = L.Broadcast(values[2]);
            V s3a = L.Broadcast(values[3]);
            V s4a = L.Broadcast(values[4]);
            V s5a = L.Broadcast(values[5]);
            V s6a = L.Broadcast(values[6]);
            V s7a = L.Broadcast(values[7]);
            values += 8;
            for (int k = *counts++; k > 0; k--)
            {
                V xa = L.Load(x, mask);
                s0a = L.MultiplyAdd(L.Broadcast(values[0]), xa, s0a);
                s1a = L.MultiplyAdd(L.Broadcast(values[1]), xa, s1a);
                s2a = L.MultiplyAdd(L.Broadcast(values[2]), xa, s2a);
                s3a = L.MultiplyAdd(L.Broadcast(values[3]), xa, s3a);
                s4a = L.MultiplyAdd(L.Broadcast(values[4]), xa, s4a);
                s5a = L.MultiplyAdd(L.Broadcast(values[5]), xa, s5a);
                s6a = L.MultiplyAdd(L.Broadcast(values[6]), xa, s6a);
                s7a = L.MultiplyAdd(L.Broadcast(values[7]), xa, s7a);
                values += 8;
                x += *differences++;
            }

            L.Store(y, mask, L.Clamp(s0a, low, high));
            L.Store(y + stride, mask, L.Clamp(s1a, low, high));
            L.Store(y + (2 * stride), mask, L.Clamp(s2a, low, high));
            L.Store(y + (3 * stride), mask, L.Clamp(s3a, low, high));
            L.Store(y + (4 * stride), mask, L.Clamp(s4a, low, high));
            L.Store(y + (5 * stride), mask, L.Clamp(s5a, low, high));
            L.Store(y + (6 * stride), mask, L.Clamp(s6a, low, high));
            L.Store(y + (7 * stride), mask, L.Clamp(s7a, low, high));
            y += 8 * stride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows16Masked<V, L>(in StreamPart part, float* x, float* y, V low, V high, V mask)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        float* values = part.Values;
        int* differences = part.Differences, counts = part.Counts;
        long stride = part.Stride;
        for (int block = part.Blocks; block > 0; block--)
        {
            V s0a = L.Broadcast(values[0]);
            V s1a = L.Broadcast(values[1]);
            V s2a = L.Broadcast(values[2]);
            V s3a = L.Broadcast(values[3]);
            V s4a = L.Broadcast(values[4]);
            V s5a = L.Broadcast(values[5]);
            V s6a = L.Broadcast(values[6]);
            V s7a = L.Broadcast(values[7]);
            V s8a = L.Broadcast(values[8]);
            V s9a = L.Broadcast(values[9]);
            V s10a = L.Broadcast(values[10]);
            V s11a = L.Broadcast(values[11]);
            V s12a = L.Broadcast(values[12]);
            V s13a = L.Broadcast(values[13]);
            V s14a = L.Broadcast(values[14]);
            V s15a = L.Broadcast(values[15]);
            values += 16;
            for (int k = *counts++; k > 0; k--)
            {
                V xa = L.Load(x, mask);
                s0a = L.MultiplyAdd(L.Broadcast(values[0]), xa, s0a);
                s1a = L.MultiplyAdd(L.Broadcast(values[1]), xa, s1a);
                s2a = L.MultiplyAdd(L.Broadcast(values[2]), xa, s2a);
                s3a = L.MultiplyAdd(L.Broadcast(values[3]), xa, s3a);
                s4a = L.MultiplyAdd(L.Broadcast(values[4]), xa, s4a);
                s5a = L.MultiplyAdd(L.Broadcast(values[5]), xa, s5a);
                s6a = L.MultiplyAdd(L.Broadcast(values[6]), xa, s6a);
                s7a = L.MultiplyAdd(L.Broadcast(values[7]), xa, s7a);
                s8a = L.MultiplyAdd(L.Broadcast(values[8]), xa, s8a);
                s9a = L.MultiplyAdd(L.Broadcast(values[9]), xa, s9a);
                s10a = L.MultiplyAdd(L.Broadcast(values[10]), xa, s10a);
                s11a = L.MultiplyAdd(L.Broadcast(values[11]), xa, s11a);
                s12a = L.MultiplyAdd(L.Broadcast(values[12]), xa, s12a);
                s13a = L.MultiplyAdd(L.Broadcast(values[13]), xa, s13a);
                s14a = L.MultiplyAdd(L.Broadcast(values[14]), xa, s14a);
                s15a = L.MultiplyAdd(L.Broadcast(values[15]), xa, s15a);
                values += 16;
                x += *differences++;
            }

            L.Store(y, mask, L.Clamp(s0a, low, high));
            L.Store(y + stride, mask, L.Clamp(s1a, low, high));
            L.Store(y + (2 * stride), mask, L.Clamp(s2a, low, high));
            L.Store(y + (3 * stride), mask, L.Clamp(s3a, low, high));
            L.Store(y + (4 * stride), mask, L.Clamp(s4a, low, high));
            L.Store(y + (5 * stride), mask, L.Clamp(s5a, low, high));
            L.Store(y + (6 * stride), mask, L.Clamp(s6a, low, high));
            L.Store(y + (7 * stride), mask, L.Clamp(s7a, low, high));
            L.Store(y + (8 * stride), mask, L.Clamp(s8a, low, high));
            L.Store(y + (9 * stride), mask, L.Clamp(s9a, low, high));
            L.Store(y + (10 * stride), mask, L.Clamp(s10a, low, high));
            L.Store(y + (11 * stride), mask, L.Clamp(s11a, low, high));
            L.Store(y + (12 * stride), mask, L.Clamp(s12a, low, high));
            L.Store(y + (13 * stride), mask, L.Clamp(s13a, low, high));
            L.Store(y + (14 * stride), mask, L.Clamp(s14a, low, high));
            L.Store(y + (15 * stride), mask, L.Clamp(s15a, low, high));
            y += 16 * stride;
        }
    }
}
