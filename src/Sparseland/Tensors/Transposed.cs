using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tensors;

/// <summary>Transposes of matrices in tiles of registers: sparse products want what is summed together side by side, and a copy by strides takes as long as they do.</summary>
internal static unsafe class Transposed
{
    private const int Tile = 8, Strip = 64;

    /// <summary>A contiguous transpose, a copy of its own.</summary>
    /// <param name="matrix">[rows, columns].</param>
    /// <returns>[columns, rows], without a gradient's graph where the matrix is Float32 on the CPU.</returns>
    public static Tensor Of(Tensor matrix)
    {
        using DisposeScope scope = NewDisposeScope();
        if (matrix.dtype != ScalarType.Float32 || matrix.device_type != DeviceType.CPU || matrix.is_neg() || !Avx.IsSupported)
        {
            Tensor view = matrix.t();
            return (view.is_contiguous() ? view.clone() : view.contiguous()).MoveToOuterDisposeScope();
        }

        using IDisposable off = no_grad();
        Tensor from = matrix.detach().contiguous(), to = empty([matrix.shape[1], matrix.shape[0]]);
        long rows = matrix.shape[0], columns = matrix.shape[1], strips = (columns + Strip - 1) / Strip;
        if (rows == 0 || columns == 0) return to.MoveToOuterDisposeScope();
        (nint source, nint target) = (TensorMemory.StartOf(from), TensorMemory.StartOf(to));
        void Part(long strip) => Columns((float*)source, (float*)target, rows, columns, strip * Strip, Math.Min(columns, (strip + 1) * Strip));
        if (rows * columns < 1 << 15) for (long strip = 0; strip < strips; strip++) Part(strip);
        else Pieces.Each(strips, Part);
        return to.MoveToOuterDisposeScope();
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Columns(float* from, float* to, long rows, long columns, long first, long end)
    {
        long row = 0;
        for (; row + Tile <= rows; row += Tile)
        {
            long column = first;
            for (; column + Tile <= end; column += Tile) Turn(from + (row * columns) + column, columns, to + (column * rows) + row, rows);
            for (; column < end; column++)
                for (int r = 0; r < Tile; r++) to[(column * rows) + row + r] = from[((row + r) * columns) + column];
        }

        for (; row < rows; row++)
            for (long column = first; column < end; column++) to[(column * rows) + row] = from[(row * columns) + column];
    }

    // Eight rows of eight: pairs, fours, then halves change places.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Turn(float* from, long step, float* to, long turned)
    {
        Vector256<float> a = Avx.LoadVector256(from), b = Avx.LoadVector256(from + step), c = Avx.LoadVector256(from + (2 * step)), d = Avx.LoadVector256(from + (3 * step));
        Vector256<float> e = Avx.LoadVector256(from + (4 * step)), f = Avx.LoadVector256(from + (5 * step)), g = Avx.LoadVector256(from + (6 * step)), h = Avx.LoadVector256(from + (7 * step));
        Vector256<float> ab = Avx.UnpackLow(a, b), ba = Avx.UnpackHigh(a, b), cd = Avx.UnpackLow(c, d), dc = Avx.UnpackHigh(c, d);
        Vector256<float> ef = Avx.UnpackLow(e, f), fe = Avx.UnpackHigh(e, f), gh = Avx.UnpackLow(g, h), hg = Avx.UnpackHigh(g, h);
        Vector256<float> a0 = Avx.Shuffle(ab, cd, 0x44), a1 = Avx.Shuffle(ab, cd, 0xee), a2 = Avx.Shuffle(ba, dc, 0x44), a3 = Avx.Shuffle(ba, dc, 0xee);
        Vector256<float> b0 = Avx.Shuffle(ef, gh, 0x44), b1 = Avx.Shuffle(ef, gh, 0xee), b2 = Avx.Shuffle(fe, hg, 0x44), b3 = Avx.Shuffle(fe, hg, 0xee);
        Avx.Store(to, Avx.Permute2x128(a0, b0, 0x20));
        Avx.Store(to + turned, Avx.Permute2x128(a1, b1, 0x20));
        Avx.Store(to + (2 * turned), Avx.Permute2x128(a2, b2, 0x20));
        Avx.Store(to + (3 * turned), Avx.Permute2x128(a3, b3, 0x20));
        Avx.Store(to + (4 * turned), Avx.Permute2x128(a0, b0, 0x31));
        Avx.Store(to + (5 * turned), Avx.Permute2x128(a1, b1, 0x31));
        Avx.Store(to + (6 * turned), Avx.Permute2x128(a2, b2, 0x31));
        Avx.Store(to + (7 * turned), Avx.Permute2x128(a3, b3, 0x31));
    }
}
