using System.Numerics;
using System.Runtime.InteropServices;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>
/// The Hadamard matrix of Sylvester, H_1 = [1], H_2n = [[H_n, H_n], [H_n, -H_n]], and the fast Walsh-Hadamard transform x := H x in
/// O(n log n) additions. H is symmetric, its entries are +-1 and H H = n I; H / sqrt(n) is a rotation that spreads any single entry evenly.
/// </summary>
/// <remarks>
/// Not scaled, in natural (Sylvester) order. A block is cut into tiles that fit the second-level cache; as many butterfly levels as a tile
/// holds are done in one trip to memory, two trips where a plain loop needs 17. A tile is computed whole by one thread: the result does
/// not depend on the number of threads.
/// </remarks>
public static unsafe class Hadamard
{
    private const int TileBytes = 1 << 17;
    private const int SegmentBytes = 256;
    private const int RunBytes = 1 << 16;

    /// <summary>H_ij = (-1)^popcount(i and j): +1 or -1, the same for every size that holds i and j.</summary>
    /// <param name="i">Row, from 0.</param>
    /// <param name="j">Column, from 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">Negative.</exception>
    public static int Entry(long i, long j)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(i);
        ArgumentOutOfRangeException.ThrowIfNegative(j);
        return 1 - (2 * (BitOperations.PopCount((ulong)(i & j)) & 1));
    }

    /// <summary>The smallest power of two that is at least <paramref name="length"/>: the length to pad to.</summary>
    /// <param name="length">From 1 to 2^30.</param>
    /// <exception cref="ArgumentOutOfRangeException">Outside.</exception>
    public static int PaddedLength(int length)
    {
        if (length is < 1 or > 1 << 30) throw new ArgumentOutOfRangeException(nameof(length), length, "The length must be from 1 to 2^30.");
        return (int)BitOperations.RoundUpToPowerOf2((uint)length);
    }

    /// <summary>x := H x.</summary>
    /// <typeparam name="T">float or double.</typeparam>
    /// <param name="x">[n], n a power of two.</param>
    /// <exception cref="ArgumentException">The length is no power of two.</exception>
    public static void TransformInPlace<T>(Span<T> x)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> => TransformRowsInPlace(x, x.Length, 1);

    /// <summary>X := H X: every column of a row-major block is transformed, along its rows.</summary>
    /// <typeparam name="T">float or double.</typeparam>
    /// <param name="block">[rows, columns] row-major.</param>
    /// <param name="rows">A power of two.</param>
    /// <param name="columns">At least 1.</param>
    /// <exception cref="ArgumentException">The number of rows is no power of two, or the block has another size.</exception>
    public static void TransformRowsInPlace<T>(Span<T> block, int rows, int columns)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        CheckBlock(block.Length, rows, columns);
        fixed (T* x = block) Transform(x, rows, columns);
    }

    /// <summary>Transforms a tensor along one dimension, in its own memory.</summary>
    /// <param name="x">float32 or float64, contiguous, on the CPU, no gradient; the dimension's length is a power of two.</param>
    /// <param name="dimension">Which; negative counts from the end. Default 0.</param>
    /// <exception cref="ArgumentException">Type, layout or length do not fit.</exception>
    public static void TransformInPlace(Tensor x, int dimension = 0)
    {
        ArgumentNullException.ThrowIfNull(x);
        int at = dimension < 0 ? dimension + (int)x.dim() : dimension;
        if (at < 0 || at >= x.dim())
            throw new ArgumentOutOfRangeException(nameof(dimension), dimension, $"x has {x.dim()} dimensions.");
        if (x.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"x is {x.dtype}; it must be Float32 or Float64.", nameof(x));
        if (x.device_type != DeviceType.CPU) throw new ArgumentException($"x is on {x.device_type}; move it to the CPU first.", nameof(x));
        if (!x.is_contiguous()) throw new ArgumentException("x is not contiguous; a transform in place needs its numbers one after another.", nameof(x));
        if (x.requires_grad) throw new ArgumentException("x requires a gradient, which a transform in place does not record.", nameof(x));
        long rows = x.shape[at], inner = 1, outer = 1;
        for (int d = at + 1; d < x.dim(); d++) inner *= x.shape[d];
        for (int d = 0; d < at; d++) outer *= x.shape[d];
        CheckLength(rows, nameof(x));
        if (inner * outer == 0) return;
        nint start = (nint)TensorMemory.Address(x);
        bool single = x.dtype == ScalarType.Float32;
        Pieces.Each(outer, o =>
        {
            if (single) Transform((float*)start + (o * rows * inner), rows, inner);
            else Transform((double*)start + (o * rows * inner), rows, inner);
        });
        GC.KeepAlive(x);
    }

    /// <summary>The textbook's loop, one butterfly after another: what the fast transform is tested against.</summary>
    /// <typeparam name="T">float or double.</typeparam>
    /// <param name="block">[rows, columns] row-major.</param>
    /// <param name="rows">A power of two.</param>
    /// <param name="columns">At least 1.</param>
    /// <exception cref="ArgumentException">The number of rows is no power of two, or the block has another size.</exception>
    public static void TransformRowsByLoop<T>(Span<T> block, int rows, int columns)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        CheckBlock(block.Length, rows, columns);
        for (int half = columns; half < block.Length; half *= 2)
        {
            for (int start = 0; start < block.Length; start += 2 * half)
            {
                for (int i = start; i < start + half; i++)
                    (block[i], block[i + half]) = (block[i] + block[i + half], block[i] - block[i + half]);
            }
        }
    }

    private static void Transform<T>(T* x, long rows, long columns)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (columns * sizeof(T) >= SegmentBytes || rows == 1)
        {
            TransformRows(x, rows, columns);
            return;
        }

        // Narrow blocks and vectors: H_n = H_(n/q) (x) H_q, so that long strides move whole runs of q rows, then every run by itself.
        long run = Math.Min(rows, (long)BitOperations.RoundUpToPowerOf2((ulong)(RunBytes / sizeof(T) / columns) + 1) / 2);
        nint start = (nint)x;
        if (run < rows) TransformRows(x, rows / run, run * columns);
        Pieces.Each(rows / run, r =>
        {
            T* at = (T*)start + (r * run * columns);
            if (columns == 1) HadamardTile.Run(at, (int)run);
            else HadamardTile.Rows(at, (int)run, (int)columns);
        });
    }

    private static void TransformRows<T>(T* x, long rows, long columns)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (rows * columns * sizeof(T) <= TileBytes)
        {
            HadamardTile.Rows(x, (int)rows, (int)columns);
            return;
        }

        long chunks = (columns + (SegmentBytes / sizeof(T)) - 1) / (SegmentBytes / sizeof(T));
        int widest = (int)((columns + chunks - 1) / chunks), levels = BitOperations.Log2((ulong)rows);
        int most = BitOperations.Log2((uint)(TileBytes / sizeof(T) / widest)), trips = (levels + most - 1) / most;
        nint start = (nint)x;
        for (int trip = 0, done = 0; trip < trips; trip++)
        {
            int now = (levels - done + trips - trip - 1) / (trips - trip), tileRows = 1 << now;
            long stride = 1L << done;
            Parallel.For(
                0, (rows >> now) * chunks, new ParallelOptions { MaxDegreeOfParallelism = torch.get_num_threads() },
                () => (nint)NativeMemory.AlignedAlloc(TileBytes, 64),
                (tile, _, memory) =>
                {
                    (long group, long chunk) = (tile / chunks, tile % chunks);
                    long from = chunk * columns / chunks, first = (group / stride * (stride << now)) + (group % stride);
                    int width = (int)(((chunk + 1) * columns / chunks) - from);
                    HadamardTile.Strided((T*)start + (first * columns) + from, stride * columns, tileRows, width, (T*)memory);
                    return memory;
                },
                memory => NativeMemory.AlignedFree((void*)memory));
            done += now;
        }
    }

    private static void CheckBlock(int length, int rows, int columns)
    {
        CheckLength(rows, nameof(rows));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(columns);
        if (length != (long)rows * columns)
            throw new ArgumentException($"The block holds {length} numbers, but {rows} rows of {columns} are {(long)rows * columns}.", "block");
    }

    private static void CheckLength(long length, string name)
    {
        if (length < 1 || !BitOperations.IsPow2(length))
            throw new ArgumentException($"A Hadamard transform has a power of two as its length, not {length}; pad with zeros to it.", name);
    }
}
