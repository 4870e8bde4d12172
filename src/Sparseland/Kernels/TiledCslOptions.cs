namespace Sparseland.Kernels;

/// <summary>Settings of a <see cref="TiledCslMatrix"/>.</summary>
public sealed record TiledCslOptions
{
    /// <summary>Rows of a tile, a multiple of 8. Default 128, as in the paper.</summary>
    public int TileRows { get; init; } = 128;

    /// <summary>Columns of a tile, a power of two from 64. Default 64, as in the paper; rows times columns are at most 65,536.</summary>
    public int TileColumns { get; init; } = 64;

    /// <summary>Whether the entries of a tile are put into the order in which 32 lanes rarely meet on a memory bank. Default true; false for row order.</summary>
    public bool Reorder { get; init; } = true;

    /// <summary>
    /// Whether the capacity of the published kernel holds: its registers take <see cref="TiledCslMatrix.ReferenceCapacity"/> entries of a tile, and it loses the others without a word. With true a
    /// fuller tile is refused by its name. Default false: tiles of any number.
    /// </summary>
    public bool Reference { get; init; }

    /// <summary>Whether infinities, NaN and magnitudes that float16 has only as infinity are stored. Default false: refused with their place.</summary>
    public bool AllowNonFinite { get; init; }
}
