using System.Runtime.CompilerServices;

namespace Sparseland.Kernels;

// Four vectors of positions at once. Written out for each M, so that the sums stay in registers.
internal static unsafe partial class StreamKernels
{
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
}
