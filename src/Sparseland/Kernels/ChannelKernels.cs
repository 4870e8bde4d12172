using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Kernels;

/// <summary>
/// The same stream as in <see cref="StreamKernels"/> with the outputs of a block in a vector: the M weights of a stored entry are read once and multiplied by the numbers of 8, 4 or 1 positions. Where the positions
/// are not a multiple of that, the last ones are computed twice, alike.
/// </summary>
internal static unsafe class ChannelKernels
{
    private const int Most = 8;

    /// <summary>Runs a part over some positions.</summary>
    /// <param name="rows">M: 8 or 16.</param>
    /// <param name="part">The blocks.</param>
    /// <param name="x">First position in the source of the first stored entry.</param>
    /// <param name="y">First position in output 0 of the whole layer.</param>
    /// <param name="first">First output of the part.</param>
    /// <param name="outputs">Outputs of the layer.</param>
    /// <param name="width">Positions.</param>
    /// <param name="clamp">Where to cut.</param>
    /// <param name="path">Instructions.</param>
    public static void Run(int rows, in StreamPart part, float* x, float* y, int first, int outputs, int width, ConvolutionClamp clamp, KernelPath path)
    {
        if (path == KernelPath.Vector512 && rows == Lanes16.Count) Run<Vector512<float>, Lanes16>(rows, part, x, y, first, outputs, width, clamp);
        else if (path >= KernelPath.Vector256) Run<Vector256<float>, Lanes8>(rows, part, x, y, first, outputs, width, clamp);
        else Run<float, Lanes1>(rows, part, x, y, first, outputs, width, clamp);
    }

    private static void Run<V, L>(int rows, in StreamPart part, float* x, float* y, int first, int outputs, int width, ConvolutionClamp clamp)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        V low = L.Broadcast(clamp.Min), high = L.Broadcast(clamp.Max);
        float* values = part.Values, result = stackalloc float[Most * 16];
        int* differences = part.Differences;
        int together = width >= Most ? Most : width >= 4 ? 4 : 1;
        for (int block = 0; block < part.Blocks; block++)
        {
            int count = part.Counts[block];
            float* next = x;
            for (int r = 0; r < rows; r += L.Count)
            {
                int output = first + (block * rows) + r, there = Math.Min(L.Count, outputs - output);
                for (int at = 0; at < width; at += together)
                {
                    int from = Math.Min(at, width - together);
                    if (together == Most) next = At8<V, L>(values + r, differences, count, rows, x + from, low, high, result) - from;
                    else if (together == 4) next = At4<V, L>(values + r, differences, count, rows, x + from, low, high, result) - from;
                    else next = At1<V, L>(values + r, differences, count, rows, x + from, low, high, result) - from;
                    for (int p = 0; p < together; p++)
                    {
                        for (int o = 0; o < there; o++) y[((output + o) * part.Stride) + from + p] = result[(p * L.Count) + o];
                    }
                }
            }

            x = next;
            values += (long)(count + 1) * rows;
            differences += count;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float* At8<V, L>(float* values, int* differences, int count, int rows, float* x, V low, V high, float* result)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        V s0 = L.Load(values), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
        for (int k = 0; k < count; k++)
        {
            values += rows;
            V w = L.Load(values);
            s0 = L.MultiplyAdd(w, L.Broadcast(*x), s0);
            s1 = L.MultiplyAdd(w, L.Broadcast(x[1]), s1);
            s2 = L.MultiplyAdd(w, L.Broadcast(x[2]), s2);
            s3 = L.MultiplyAdd(w, L.Broadcast(x[3]), s3);
            s4 = L.MultiplyAdd(w, L.Broadcast(x[4]), s4);
            s5 = L.MultiplyAdd(w, L.Broadcast(x[5]), s5);
            s6 = L.MultiplyAdd(w, L.Broadcast(x[6]), s6);
            s7 = L.MultiplyAdd(w, L.Broadcast(x[7]), s7);
            x += differences[k];
        }

        L.Store(result, L.Clamp(s0, low, high));
        L.Store(result + L.Count, L.Clamp(s1, low, high));
        L.Store(result + (2 * L.Count), L.Clamp(s2, low, high));
        L.Store(result + (3 * L.Count), L.Clamp(s3, low, high));
        L.Store(result + (4 * L.Count), L.Clamp(s4, low, high));
        L.Store(result + (5 * L.Count), L.Clamp(s5, low, high));
        L.Store(result + (6 * L.Count), L.Clamp(s6, low, high));
        L.Store(result + (7 * L.Count), L.Clamp(s7, low, high));
        return x;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float* At4<V, L>(float* values, int* differences, int count, int rows, float* x, V low, V high, float* result)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        V s0 = L.Load(values), s1 = s0, s2 = s0, s3 = s0;
        for (int k = 0; k < count; k++)
        {
            values += rows;
            V w = L.Load(values);
            s0 = L.MultiplyAdd(w, L.Broadcast(*x), s0);
            s1 = L.MultiplyAdd(w, L.Broadcast(x[1]), s1);
            s2 = L.MultiplyAdd(w, L.Broadcast(x[2]), s2);
            s3 = L.MultiplyAdd(w, L.Broadcast(x[3]), s3);
            x += differences[k];
        }

        L.Store(result, L.Clamp(s0, low, high));
        L.Store(result + L.Count, L.Clamp(s1, low, high));
        L.Store(result + (2 * L.Count), L.Clamp(s2, low, high));
        L.Store(result + (3 * L.Count), L.Clamp(s3, low, high));
        return x;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float* At1<V, L>(float* values, int* differences, int count, int rows, float* x, V low, V high, float* result)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        V s0 = L.Load(values);
        for (int k = 0; k < count; k++)
        {
            values += rows;
            V w = L.Load(values);
            s0 = L.MultiplyAdd(w, L.Broadcast(*x), s0);
            x += differences[k];
        }

        L.Store(result, L.Clamp(s0, low, high));
        return x;
    }
}
