using System.Runtime.CompilerServices;

namespace Sparseland.Kernels;

// The positions that are left, fewer than a vector. Written out for each M, so that the sums stay in registers.
internal static unsafe partial class StreamKernels
{
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
