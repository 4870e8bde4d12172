using System.Runtime.Intrinsics;

namespace Sparseland.Kernels;

/// <summary>
/// A stream of sparse weights times a strip of neighbouring positions, the sums in registers: for each block of M outputs they begin with the biases; each stored entry reads its
/// positions once and multiplies them by M weights; then the sums are cut and written, and the pointer moves on by the difference that stands in the stream (Elsen et al. 2020).
/// </summary>
/// <remarks>
/// A sum is taken in the order of the stream by one thread whatever M, strip and lanes are: all forms give the same bits. An output without entries leaves the pointer where it is.
/// </remarks>
internal static unsafe partial class StreamKernels
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
}
