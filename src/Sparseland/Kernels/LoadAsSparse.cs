using System.Runtime.CompilerServices;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>Settings of <see cref="LoadAsSparse"/>.</summary>
public sealed record LoadAsSparseOptions
{
    /// <summary>Parts that the columns of the matrix are cut into, for matrices of few rows; their products are added in order by a second pass, so another number may change last bits. Default 1.</summary>
    public int SplitK { get; init; } = 1;

    /// <summary>Threads; 0, the default, for as many as libtorch has. They change no bit.</summary>
    public int Threads { get; init; }

    /// <summary>Checks the settings for a matrix.</summary>
    /// <param name="matrix">The matrix.</param>
    /// <exception cref="ArgumentOutOfRangeException">A setting is out of its range.</exception>
    public void Validate(TileMatrix matrix)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        if (SplitK < 1 || SplitK > Math.Max(1, matrix.TilesAcross)) throw new ArgumentOutOfRangeException(nameof(SplitK), SplitK, $"SplitK is from 1 to the {matrix.TilesAcross} tiles that stand beside each other.");
        ArgumentOutOfRangeException.ThrowIfNegative(Threads);
    }
}

/// <summary>
/// C = A B with A stored sparse and multiplied dense (Xia et al. 2023, arXiv 2309.10285): few bytes are read, and the multiplications by zero are made. <see cref="TiledCslMatrix"/> is unpacked by
/// scattering, <see cref="BitmapTileMatrix"/> by spreading values to the bits of a mask. The competitor that skips zeros is <see cref="SparseMatrix.Times"/> of a <see cref="CsrMatrix"/>.
/// </summary>
public static unsafe class LoadAsSparse
{
    // So many multiplications are done before another thread has begun.
    private const long OneThread = 1 << 18;

    /// <summary>C = A B. Without a split each number is summed in ascending order of the columns, one fused multiplication and addition after the other: all formats of the same values, and the dense loop, give the same bits.</summary>
    /// <param name="matrix">A [M, K].</param>
    /// <param name="dense">B [K, N], Float32, on the CPU.</param>
    /// <param name="options">Settings; null for the defaults.</param>
    /// <returns>[M, N].</returns>
    /// <exception cref="ArgumentException">B or a setting does not fit.</exception>
    public static Tensor Multiply(TileMatrix matrix, Tensor dense, LoadAsSparseOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        options ??= new();
        options.Validate(matrix);
        matrix.CheckProduct(dense, nameof(dense));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        int n = checked((int)dense.shape[1]), width = DenseTile.Width(n);
        Tensor panel = dense.detach();
        if (width != n)
        {
            panel = zeros([matrix.Columns, width], dtype: ScalarType.Float32);
            panel.narrow(1, 0, n).copy_(dense);
        }

        panel = panel.contiguous();
        Tensor result = empty([matrix.Rows, width], dtype: ScalarType.Float32);
        if (n > 0) Run(matrix, (float*)TensorMemory.Address(panel), (float*)TensorMemory.Address(result), width, options.SplitK, options.Threads);
        return result.narrow(1, 0, n).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>result [rows, width] = A panel, panel [columns, width], width a <see cref="DenseTile.Width"/>.</summary>
    internal static void Run(TileMatrix matrix, float* panel, float* result, int width, int split, int threads)
    {
        if (matrix.Rows == 0) return;
        if ((long)matrix.Rows * matrix.Columns * width <= OneThread) threads = 1;
        long size = (long)matrix.Rows * width;
        using Tensor? parts = split == 1 ? null : empty([split, size], dtype: ScalarType.Float32);
        (nint p, nint t) = ((nint)panel, parts is null ? (nint)result : TensorMemory.StartOf(parts));
        SparseMatrix.EachPiece(matrix.TilesDown * split, piece => Part(matrix, (float*)p, (float*)t + (piece % split * size), width, piece / split, piece % split, split), threads);
        if (parts is null) return;
        nint y = (nint)result;
        SparseMatrix.EachPiece(matrix.TilesDown, down =>
        {
            long from = (long)down * matrix.TileRows * width, to = Math.Min(size, from + ((long)matrix.TileRows * width));
            for (long i = from; i < to; i++)
            {
                float sum = ((float*)t)[i];
                for (int part = 1; part < split; part++) sum += ((float*)t)[(part * size) + i];
                ((float*)y)[i] = sum;
            }
        }, threads);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Part(TileMatrix matrix, float* panel, float* result, int width, int down, int part, int split)
    {
        using var room = new TileRoom(matrix.TileRows, matrix.TileColumns, width);
        room.ClearSums();
        int first = (int)((long)matrix.TilesAcross * part / split), end = (int)((long)matrix.TilesAcross * (part + 1) / split), previous = -1;
        for (int across = first; across < end; across++)
        {
            int tile = (down * matrix.TilesAcross) + across, from = across * matrix.TileColumns;
            matrix.Unpack(tile, previous, room.Tile, room.Scratch);
            previous = tile;
            DenseTile.Add(room.Tile, matrix.TileRows, matrix.TileColumns, Math.Min(matrix.TileColumns, matrix.Columns - from), panel + ((long)from * width), room.Sums, width);
        }

        int rows = Math.Min(matrix.TileRows, matrix.Rows - (down * matrix.TileRows));
        new ReadOnlySpan<float>(room.Sums, rows * width).CopyTo(new(result + ((long)down * matrix.TileRows * width), rows * width));
    }
}
