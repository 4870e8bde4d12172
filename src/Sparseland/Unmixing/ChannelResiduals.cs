using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using Sparseland.Tensors;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Unmixing;

/// <summary>
/// ||(Y - M A)_l||^2 for every channel without storing the residual: a block of pixels stays in the first-level cache while all endmembers are
/// taken from it. Each channel is summed by itself and in one order, so the number of threads cannot matter.
/// </summary>
internal static unsafe class ChannelResiduals
{
    private const int Block = 1024;
    private const long ParallelFrom = 1 << 17;

    /// <summary>All three contiguous, float64.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double[] Squares(Tensor Y, Tensor M, Tensor A)
    {
        int channels = (int)Y.shape[0], pixels = (int)Y.shape[1], endmembers = (int)M.shape[1];
        var (y, m, a) = ((IntPtr)TensorMemory.Address(Y), (IntPtr)TensorMemory.Address(M), (IntPtr)TensorMemory.Address(A));
        double[] squares = new double[channels];
        void Channel(int l) => squares[l] = Square((double*)y + ((long)l * pixels), (double*)m + ((long)l * endmembers), (double*)a, pixels, endmembers);
        if ((long)channels * pixels * endmembers >= ParallelFrom) Pieces.Each(channels, l => Channel((int)l));
        else for (int l = 0; l < channels; l++) Channel(l);
        return squares;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double Square(double* y, double* m, double* a, int pixels, int endmembers)
    {
        Span<double> buffer = stackalloc double[Block];
        double sum = 0;
        for (int start = 0; start < pixels; start += Block)
        {
            int count = Math.Min(Block, pixels - start);
            Span<double> rest = buffer[..count];
            new ReadOnlySpan<double>(y + start, count).CopyTo(rest);
            for (int k = 0; k < endmembers; k++)
                TensorPrimitives.MultiplyAdd(new ReadOnlySpan<double>(a + ((long)k * pixels) + start, count), -m[k], rest, rest);
            sum += TensorPrimitives.SumOfSquares<double>(rest);
        }

        return sum;
    }
}
