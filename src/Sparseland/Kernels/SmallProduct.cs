using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>
/// Products of small float64 matrices that a loop makes by the hundred. libtorch gives each to a team of threads that wait for each other
/// by spinning: beside a busy program, or beside threads of our own, one waits a whole time slice for the other, and a product of 0.1 ms
/// takes 10. These run on the pool's threads, which never spin for each other.
/// </summary>
internal static unsafe class SmallProduct
{
    /// <summary>Multiplications above which a product is libtorch's: it then takes so long that waiting no longer counts.</summary>
    public const long Most = 1L << 24;
    private const long OneThread = 1L << 18;
    private const int RowsPerChunk = 32;
    private const int Step = 8;

    /// <summary>A B, each entry summed in the order of the inner dimension: the result does not depend on the number of threads.</summary>
    /// <param name="a">[m, k], on the CPU; what is not float64 goes to libtorch.</param>
    /// <param name="b">[k, n] of the same type.</param>
    public static Tensor Multiply(Tensor a, Tensor b)
    {
        int m = (int)a.shape[0], k = (int)a.shape[1], n = (int)b.shape[1];
        long work = (long)m * k * n;
        if (work > Most || a.dtype != ScalarType.Float64) return a.mm(b);
        Tensor result = empty([m, n], dtype: ScalarType.Float64);
        using Tensor left = a.contiguous(), right = b.contiguous();
        fixed (byte* pa = left.bytes, pb = right.bytes, pc = result.bytes)
        {
            (nint x, nint y, nint z) = ((nint)pa, (nint)pb, (nint)pc);
            int chunks = (m + RowsPerChunk - 1) / RowsPerChunk;
            void Chunk(long c) => Rows((double*)x, (double*)y, (double*)z, (int)c * RowsPerChunk, Math.Min(m, ((int)c + 1) * RowsPerChunk), k, n);
            if (work <= OneThread) for (int c = 0; c < chunks; c++) Chunk(c);
            else Pieces.Each(chunks, Chunk);
        }

        return result;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows(double* a, double* b, double* c, int from, int to, int k, int n)
    {
        int i = from, whole = n / (2 * Step) * (2 * Step);
        for (; i + 4 <= to; i += 4)
        {
            double* a0 = a + (long)i * k, target = c + (long)i * n;
            for (int j = 0; j < whole; j += 2 * Step) FourByTwo(a0, b + j, target + j, k, n);
        }

        for (int r = from; r < to; r++)
        {
            // The last rows are done whole, the others from where the blocks ended.
            for (int j = r < i ? whole : 0; j < n; j++)
            {
                double sum = 0;
                for (int p = 0; p < k; p++) sum = Math.FusedMultiplyAdd(a[(long)r * k + p], b[(long)p * n + j], sum);
                c[(long)r * n + j] = sum;
            }
        }
    }

    // Four rows of A and sixteen columns of B: eight sums in registers, written once.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourByTwo(double* a, double* b, double* c, int k, int n)
    {
        double* a1 = a + k, a2 = a1 + k, a3 = a2 + k;
        Vector512<double> s00 = default, s01 = default, s10 = default, s11 = default, s20 = default, s21 = default, s30 = default, s31 = default;
        for (int p = 0; p < k; p++, b += n)
        {
            Vector512<double> b0 = Vector512.Load(b), b1 = Vector512.Load(b + Step);
            Vector512<double> r = Vector512.Create(a[p]);
            s00 = Vector512.FusedMultiplyAdd(r, b0, s00);
            s01 = Vector512.FusedMultiplyAdd(r, b1, s01);
            r = Vector512.Create(a1[p]);
            s10 = Vector512.FusedMultiplyAdd(r, b0, s10);
            s11 = Vector512.FusedMultiplyAdd(r, b1, s11);
            r = Vector512.Create(a2[p]);
            s20 = Vector512.FusedMultiplyAdd(r, b0, s20);
            s21 = Vector512.FusedMultiplyAdd(r, b1, s21);
            r = Vector512.Create(a3[p]);
            s30 = Vector512.FusedMultiplyAdd(r, b0, s30);
            s31 = Vector512.FusedMultiplyAdd(r, b1, s31);
        }

        s00.Store(c);
        s01.Store(c + Step);
        s10.Store(c + n);
        s11.Store(c + n + Step);
        s20.Store(c + 2 * (long)n);
        s21.Store(c + 2 * (long)n + Step);
        s30.Store(c + 3 * (long)n);
        s31.Store(c + 3 * (long)n + Step);
    }
}
