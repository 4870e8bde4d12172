using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Kernels;

/// <summary>
/// A matrix whose entries are stored tile by tile, to be loaded as sparse and computed as dense: a core unpacks a tile into its own fast memory, zeros included, and multiplies it as a dense one (Xia
/// et al. 2023, arXiv 2309.10285, section 4).
/// </summary>
/// <remarks>Unlike the other formats, all products here multiply what is not stored as a zero: an infinite or NaN activation makes every output of its tile rows NaN. Tiles stand row after row.</remarks>
public abstract unsafe class TileMatrix : SparseMatrix
{
    private const int Lanes = 16;

    private protected TileMatrix(int rows, int columns, int tileRows, int tileColumns)
        : base(rows, columns)
    {
        (TileRows, TileColumns) = (tileRows, tileColumns);
        (TilesDown, TilesAcross) = ((int)(((long)rows + tileRows - 1) / tileRows), (int)(((long)columns + tileColumns - 1) / tileColumns));
    }

    /// <summary>Rows of a tile; those of the last tiles that lie beyond the matrix are empty.</summary>
    public int TileRows { get; }

    /// <summary>Columns of a tile.</summary>
    public int TileColumns { get; }

    /// <summary>Rows of tiles.</summary>
    public int TilesDown { get; }

    /// <summary>Columns of tiles.</summary>
    public int TilesAcross { get; }

    /// <summary>Tiles of the matrix.</summary>
    public int TileCount => TilesDown * TilesAcross;

    private protected override int RowUnit => TileRows;

    private protected override int ScratchLength => TilesAcross * TileColumns;

    /// <summary>Weights that are not padding, of each tile.</summary>
    /// <returns>[tiles].</returns>
    public abstract int[] Occupancy();

    /// <summary>Writes a tile as a dense one.</summary>
    /// <param name="tile">Its number.</param>
    /// <param name="previous">The tile whose numbers are in the target, -1 where they are unknown.</param>
    /// <param name="target">[tileRows, tileColumns], aligned.</param>
    /// <param name="scratch">As long as the target and 16 more, aligned.</param>
    internal abstract void Unpack(int tile, int previous, float* target, float* scratch);

    private protected static void CheckTile(int tileRows, int tileColumns)
    {
        if (tileRows < 8 || tileRows % 8 != 0) throw new ArgumentOutOfRangeException(nameof(tileRows), tileRows, "Rows of a tile are a positive multiple of 8.");
        if (tileColumns < 64 || (tileColumns & (tileColumns - 1)) != 0) throw new ArgumentOutOfRangeException(nameof(tileColumns), tileColumns, "Columns of a tile are a power of two from 64.");
        if ((long)tileRows * tileColumns > 1 << 16) throw new ArgumentOutOfRangeException(nameof(tileRows), tileRows, $"A tile of {tileRows} x {tileColumns} has more than the 65,536 positions that 16 bits can say.");
    }

    private protected override void Prepare(float* x, float* scratch) => new ReadOnlySpan<float>(x, Columns).CopyTo(new(scratch, Columns));

    private protected override int Width(int vectors) => DenseTile.Width(vectors);

    private protected override void Strips(float* dense, float* result, int width) => LoadAsSparse.Run(this, dense, result, width, 1, 0);

    private protected override void Products(float* x, float* scratch, float* y, int from, int to)
    {
        using var room = new TileRoom(TileRows, TileColumns, Lanes);
        for (int first = from; first < to; first += TileRows)
        {
            room.ClearSums();
            int previous = -1;
            for (int across = 0; across < TilesAcross; across++)
            {
                int tile = (first / TileRows * TilesAcross) + across;
                Unpack(tile, previous, room.Tile, room.Scratch);
                previous = tile;
                DenseTile.AddVector(room.Tile, TileRows, TileColumns, scratch + ((long)across * TileColumns), room.Sums);
            }

            for (int r = 0; r < Math.Min(TileRows, to - first); r++) y[first + r] = Vector512.Sum(Vector512.Load(room.Sums + (r * Lanes)));
        }
    }
}

/// <summary>What one thread needs to unpack tiles and sum their products.</summary>
internal sealed unsafe class TileRoom : IDisposable
{
    private const nuint Line = 64;
    private readonly long _sums;

    public TileRoom(int tileRows, int tileColumns, int width)
    {
        (long tile, long sums) = ((long)tileRows * tileColumns, (long)tileRows * width);
        _sums = sums;
        Tile = (float*)NativeMemory.AlignedAlloc((nuint)(sizeof(float) * ((2 * tile) + 16 + sums)), Line);
        Scratch = Tile + tile;
        Sums = Scratch + tile + 16;
    }

    public float* Tile { get; }

    public float* Scratch { get; }

    public float* Sums { get; }

    public void ClearSums() => NativeMemory.Clear(Sums, (nuint)(sizeof(float) * _sums));

    public void Dispose() => NativeMemory.AlignedFree(Tile);
}
