using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>Tiled-CSL: each tile a list of entries, a float16 value and a 16-bit position in one word (Xia et al. 2023, arXiv 2309.10285, section 4.2).</summary>
/// <remarks>
/// An entry is the value's bits in the low and the position in the high half; position = row tileColumns + (column XOR 8 (row mod 8)), so that eight rows of an unpacked tile begin on different memory
/// banks. A tile is filled up to a multiple of four entries with zeros at places that are zero anyway. Bytes: 4 entries + 4 (tiles + 2): the last tile is empty, so that a pipeline may look ahead.
/// Values are rounded to float16; those that are or become zero are not stored (<see cref="LostZeros"/>).
/// </remarks>
public sealed unsafe class TiledCslMatrix : TileMatrix
{
    /// <summary>Entries of a tile that the registers of the published kernel hold.</summary>
    public const int ReferenceCapacity = 4096;

    internal const int Vector = 4;
    private const int Lanes = 16;
    private readonly int[] _offsets;
    private readonly uint[] _entries;

    private TiledCslMatrix(int rows, int columns, int tileRows, int tileColumns, int[] offsets, uint[] entries, int lostZeros)
        : base(rows, columns, tileRows, tileColumns)
    {
        (_offsets, _entries, LostZeros) = (offsets, entries, lostZeros);
        int[] counts = new int[TileRows];
        for (int down = 0; down < TilesDown; down++)
        {
            Array.Clear(counts);
            foreach (uint entry in entries.AsSpan((Vector * offsets[down * TilesAcross])..(Vector * offsets[(down + 1) * TilesAcross])))
            {
                if (!IsZero(entry)) counts[(int)(entry >> 16) / tileColumns]++;
            }

            LongestRow = Math.Max(LongestRow, counts.Max());
        }
    }

    /// <summary>[tiles + 2]: where each tile begins in <see cref="Entries"/>, counted in vectors of four; the last tile is empty.</summary>
    public ReadOnlySpan<int> TileOffsets => _offsets;

    /// <summary>Value in the low, position in the high 16 bits; tile after tile, padding included.</summary>
    public ReadOnlySpan<uint> Entries => _entries;

    /// <summary>Entries of the source that were zero, or that float16 rounds to zero: they are not stored.</summary>
    public int LostZeros { get; }

    /// <inheritdoc/>
    public override long Count => _entries.Length;

    /// <inheritdoc/>
    public override long Bytes => (sizeof(uint) * Count) + (sizeof(int) * (long)_offsets.Length);

    /// <inheritdoc/>
    public override string Format => "tiled_csl";

    internal override IReadOnlyDictionary<string, int> Settings => new Dictionary<string, int> { ["tile_rows"] = TileRows, ["tile_columns"] = TileColumns };

    private protected override bool Pads => true;

    private protected override int LongestRow { get; }

    /// <summary>Position of a place of a tile: its columns are swizzled in groups of eight.</summary>
    /// <param name="row">Row in the tile.</param>
    /// <param name="column">Column in the tile.</param>
    /// <param name="tileColumns">Columns of the tile. Default 64.</param>
    public static int Position(int row, int column, int tileColumns = 64) => (row * tileColumns) + (column ^ ((row & 7) << 3));

    /// <summary>Packs a CSR matrix.</summary>
    /// <param name="matrix">The matrix.</param>
    /// <param name="options">Settings; null for the defaults.</param>
    /// <exception cref="ArgumentException">A setting is out of its range, a value cannot be stored, or a tile has more entries than the reference holds.</exception>
    public static TiledCslMatrix FromCsr(CsrMatrix matrix, TiledCslOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        options ??= new();
        CheckTile(options.TileRows, options.TileColumns);
        (int tileRows, int tileColumns) = (options.TileRows, options.TileColumns);
        int down = (matrix.Rows + tileRows - 1) / tileRows, across = (matrix.Columns + tileColumns - 1) / tileColumns, lost = 0;
        int[] offsets = new int[checked((down * across) + 2)], columns = matrix.ColumnArray();
        var packed = new List<uint>(checked((int)matrix.Count));
        var tiles = new List<uint>[across];
        for (int a = 0; a < across; a++) tiles[a] = [];
        for (int d = 0; d < down; d++)
        {
            for (int row = d * tileRows; row < Math.Min(matrix.Rows, (d + 1) * tileRows); row++)
            {
                for (int k = matrix.RowOffsets[row]; k < matrix.RowOffsets[row + 1]; k++)
                {
                    Half value = (Half)matrix.Values[k];
                    if (!options.AllowNonFinite && !Half.IsFinite(value))
                        throw new ArgumentException($"The value {matrix.Values[k]} of row {row}, column {columns[k]} is not a finite float16 (at most {Half.MaxValue}); AllowNonFinite stores it as {value}.", nameof(matrix));
                    if (value == Half.Zero) lost++;
                    else tiles[columns[k] / tileColumns].Add(((uint)Position(row % tileRows, columns[k] % tileColumns, tileColumns) << 16) | BitConverter.HalfToUInt16Bits(value));
                }
            }

            for (int a = 0; a < across; a++)
            {
                if (options.Reference && tiles[a].Count > ReferenceCapacity)
                    throw new ArgumentException($"Tile ({d}, {a}) has {tiles[a].Count} entries; the reference holds {ReferenceCapacity} and would lose the others (TiledCslOptions.Reference).", nameof(matrix));
                packed.AddRange(TileOrder.Arrange(tiles[a], tileRows * tileColumns, options.Reorder));
                offsets[(d * across) + a + 1] = packed.Count / Vector;
                tiles[a].Clear();
            }
        }

        offsets[^1] = offsets[^2];
        return new(matrix.Rows, matrix.Columns, tileRows, tileColumns, offsets, [.. packed], lost);
    }

    /// <summary>Packs the numbers that are not zero.</summary>
    /// <param name="weight">Float32 [rows, columns], on the CPU.</param>
    /// <param name="options">Settings; null for the defaults.</param>
    /// <exception cref="ArgumentException">As for <see cref="FromCsr"/>; another shape, type or device.</exception>
    public static TiledCslMatrix FromDense(Tensor weight, TiledCslOptions? options = null) => FromCsr(CsrMatrix.FromDense(weight), options);

    /// <summary>Takes a support and its values.</summary>
    /// <param name="support">Places [rows, columns].</param>
    /// <param name="values">[Count], Float32.</param>
    /// <param name="options">Settings; null for the defaults.</param>
    /// <exception cref="ArgumentException">As for <see cref="FromCsr"/>; a shape or type does not fit.</exception>
    public static TiledCslMatrix From(Support support, Tensor values, TiledCslOptions? options = null) => FromCsr(CsrMatrix.From(support, values), options);

    /// <summary>The transpose, in tiles of the same size and in the order that avoids banks.</summary>
    public TiledCslMatrix Transpose() => FromCsr(ToCsr().Transpose(), new() { TileRows = TileRows, TileColumns = TileColumns, AllowNonFinite = true });

    /// <inheritdoc/>
    public override int[] Occupancy()
    {
        int[] counts = new int[TileCount];
        for (int tile = 0; tile < counts.Length; tile++)
        {
            foreach (uint entry in Tile(tile)) counts[tile] += IsZero(entry) ? 0 : 1;
        }

        return counts;
    }

    /// <summary>Entries of one tile, padding included.</summary>
    /// <param name="tile">Its number, from 0 to below <see cref="TileMatrix.TileCount"/>; that number itself is the empty last tile.</param>
    public ReadOnlySpan<uint> Tile(int tile)
    {
        if (tile < 0 || tile > TileCount) throw new ArgumentOutOfRangeException(nameof(tile), tile, $"Tiles are numbered from 0 to {TileCount}.");
        return _entries.AsSpan((Vector * _offsets[tile])..(Vector * _offsets[tile + 1]));
    }

    internal static bool IsZero(uint entry) => (entry & 0x7fff) == 0;

    internal override Dictionary<string, Tensor> Arrays() => new() { ["tile_offsets"] = tensor(_offsets), ["entries"] = tensor(Array.ConvertAll(_entries, entry => (int)entry)) };

    internal static TiledCslMatrix FromArrays(int rows, int columns, int tileRows, int tileColumns, ArrayReader arrays)
    {
        arrays.Checked(() =>
        {
            CheckTile(tileRows, tileColumns);
            return true;
        });
        int down = (rows + tileRows - 1) / tileRows, across = (columns + tileColumns - 1) / tileColumns;
        int[] offsets = arrays.Get<int>("tile_offsets", ((long)down * across) + 2), bits = arrays.Get<int>("entries");
        if (offsets[0] != 0 || offsets[^1] != offsets[^2] || (long)offsets[^1] * Vector != bits.Length)
            throw arrays.Misfit($"Tile offsets run from 0 to the {bits.Length / Vector} vectors of four entries, the last two alike, not from {offsets[0]} to {offsets[^2]} and {offsets[^1]}.");
        int size = tileRows * tileColumns;
        int[] seen = new int[size];
        for (int tile = 0; tile < down * across; tile++)
        {
            if (offsets[tile + 1] < offsets[tile] || offsets[tile + 1] > offsets[^1]) throw arrays.Misfit($"Tile {tile} ends at vector {offsets[tile + 1]}, before its beginning or behind the last one.");
            for (int i = Vector * offsets[tile]; i < Vector * offsets[tile + 1]; i++)
            {
                int position = (int)((uint)bits[i] >> 16);
                if (position >= size) throw arrays.Misfit($"Entry {i} of tile {tile} has position {position}; positions are below {size}.");
                if (seen[position] == tile + 1) throw arrays.Misfit($"Tile {tile} has position {position} twice.");
                seen[position] = tile + 1;
                (int row, int column) = Place(position, tileColumns);
                if (!IsZero((uint)bits[i]) && ((tile / across * tileRows) + row >= rows || (tile % across * tileColumns) + column >= columns))
                    throw arrays.Misfit($"Entry {i} of tile {tile} is beyond the matrix of [{rows}, {columns}].");
            }
        }

        return new(rows, columns, tileRows, tileColumns, offsets, Array.ConvertAll(bits, entry => (uint)entry), 0);
    }

    internal override void Unpack(int tile, int previous, float* target, float* scratch)
    {
        int size = TileRows * TileColumns, count = Vector * (_offsets[tile + 1] - _offsets[tile]);
        fixed (uint* all = _entries)
        {
            // One store of a register clears sixteen places: what was written is cleared one by one only where that is fewer stores.
            int written = previous < 0 ? size : Vector * (_offsets[previous + 1] - _offsets[previous]);
            if (written < size / Lanes) ClearWritten(all + (Vector * _offsets[previous]), written, target);
            else new Span<float>(target, size).Clear();
            Scatter(all + (Vector * _offsets[tile]), count, target, scratch);
        }
    }

    private protected override int ReadRow(int row, int* places, float* values)
    {
        int n = 0, inTile = row % TileRows;
        float[] line = new float[TileColumns];
        for (int across = 0; across < TilesAcross; across++)
        {
            foreach (uint entry in Tile((row / TileRows * TilesAcross) + across))
            {
                (int r, int c) = Place((int)(entry >> 16), TileColumns);
                if (r == inTile) line[c] = HalfValues.Unpack((ushort)entry, StoredValue.Half);
            }

            for (int c = 0; c < TileColumns; c++)
            {
                if (line[c] == 0) continue;
                (places[n], values[n++]) = ((across * TileColumns) + c, line[c]);
                line[c] = 0;
            }
        }

        return n;
    }

    private static (int Row, int Column) Place(int position, int tileColumns)
    {
        int row = position / tileColumns;
        return (row, (position % tileColumns) ^ ((row & 7) << 3));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ClearWritten(uint* entries, int count, float* target)
    {
        int columns = TileColumns;
        for (int i = 0; i < count; i++)
        {
            (int row, int column) = Place((int)(entries[i] >> 16), columns);
            target[(row * columns) + column] = 0;
        }
    }

    // A processor core has no memory banks that lanes could meet on: the swizzle is taken back on the way.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Scatter(uint* entries, int count, float* target, float* scratch)
    {
        int i = 0, columns = TileColumns, shift = int.Log2(columns);
        if (Path == KernelPath.Vector512)
        {
            int* places = (int*)scratch + Lanes;
            for (; i + Lanes <= count; i += Lanes)
            {
                Vector512<uint> word = Vector512.Load(entries + i), position = word >> 16;
                HalfValues.FromHalf(word & Vector512.Create(0xffffu)).Store(scratch);
                (position ^ (((position >> shift) & Vector512.Create(7u)) << 3)).AsInt32().Store(places);
                for (int lane = 0; lane < Lanes; lane += 4)
                {
                    target[places[lane]] = scratch[lane];
                    target[places[lane + 1]] = scratch[lane + 1];
                    target[places[lane + 2]] = scratch[lane + 2];
                    target[places[lane + 3]] = scratch[lane + 3];
                }
            }
        }

        for (; i < count; i++)
        {
            (int row, int column) = Place((int)(entries[i] >> 16), columns);
            target[(row * columns) + column] = HalfValues.Unpack((ushort)entries[i], StoredValue.Half);
        }
    }
}
