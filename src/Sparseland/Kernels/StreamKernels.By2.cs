using System.Runtime.CompilerServices;

namespace Sparseland.Kernels;

// Two vectors of positions at once. Written out for each M, so that the sums stay in registers.
internal static unsafe partial class StreamKernels
{
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
}
