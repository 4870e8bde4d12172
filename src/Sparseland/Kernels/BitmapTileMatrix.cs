using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>Tiles of 64 columns with a mask of 64 bits per row and the values in the order of the bits: no positions, and nothing to clear when a tile is unpacked.</summary>
/// <remarks>
/// Bytes: v nnz + 8 rows ceil(columns / 64), rows filled up to whole tiles, v = 4 or 2. Where each tile's values begin (4 bytes a tile in memory) is counted from the masks when a file is read. Bit j
/// of a mask is column j of the tile; a stored zero is an entry.
/// </remarks>
public sealed unsafe class BitmapTileMatrix : TileMatrix
{
    private const int Bits = 64;
    private const int Lanes = 16;
    private readonly ulong[] _masks;
    private readonly int[] _offsets;

    // Sixteen more than there are: the last ones are read whole. One of the two holds nothing else.
    private readonly float[] _values;
    private readonly ushort[] _short;

    private BitmapTileMatrix(int rows, int columns, int tileRows, StoredValue kind, ulong[] masks, float[] values, ushort[] half)
        : base(rows, columns, tileRows, Bits)
    {
        (Kind, _masks, _offsets) = (kind, masks, new int[TileCount + 1]);
        (_values, _short) = ([.. values, .. new float[Lanes]], [.. half, .. new ushort[Lanes]]);
        for (int tile = 0; tile < TileCount; tile++)
        {
            int count = 0;
            foreach (ulong mask in masks.AsSpan(tile * tileRows, tileRows)) count += BitOperations.PopCount(mask);
            _offsets[tile + 1] = _offsets[tile] + count;
        }

        for (int row = 0; row < rows; row++)
        {
            int count = 0;
            for (int across = 0; across < TilesAcross; across++) count += BitOperations.PopCount(masks[Mask(row, across)]);
            LongestRow = Math.Max(LongestRow, count);
        }
    }

    /// <summary>How values are stored.</summary>
    public StoredValue Kind { get; }

    /// <summary>One mask per row of a tile, tile after tile.</summary>
    public ReadOnlySpan<ulong> Masks => _masks;

    /// <inheritdoc/>
    public override long Count => _offsets[^1];

    /// <inheritdoc/>
    public override long Bytes => ((Kind == StoredValue.Single ? sizeof(float) : sizeof(ushort)) * Count) + (sizeof(ulong) * (long)_masks.Length);

    /// <inheritdoc/>
    public override string Format => "bitmap_tiles";

    internal override IReadOnlyDictionary<string, int> Settings => new Dictionary<string, int>
    {
        ["tile_rows"] = TileRows,
        ["value_bits"] = Kind == StoredValue.Single ? 32 : 16,
        ["value_exponent"] = Kind == StoredValue.Half ? 5 : 8,
    };

    private protected override int LongestRow { get; }

    /// <summary>Packs a CSR matrix.</summary>
    /// <param name="matrix">The matrix.</param>
    /// <param name="kind">How to store values; 16 bits round to the nearest, ties to even. Default float32.</param>
    /// <param name="tileRows">Rows of a tile, a multiple of 8, at most 1,024. Default 64.</param>
    /// <exception cref="ArgumentException">The tile is out of its range, or a finite value is too large for 16 bits.</exception>
    public static BitmapTileMatrix FromCsr(CsrMatrix matrix, StoredValue kind = StoredValue.Single, int tileRows = 64)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        if (!Enum.IsDefined(kind)) throw new ArgumentOutOfRangeException(nameof(kind), kind, "Values are stored as Single, Half or BFloat16.");
        CheckTile(tileRows, Bits);
        int down = (matrix.Rows + tileRows - 1) / tileRows, across = (matrix.Columns + Bits - 1) / Bits;
        ulong[] masks = new ulong[checked(down * across * tileRows)];
        int[] columns = matrix.ColumnArray();
        bool single = kind == StoredValue.Single;
        float[] values = new float[single ? matrix.Count : 0];
        ushort[] half = new ushort[single ? 0 : matrix.Count];
        int[] next = new int[tileRows];
        int n = 0;
        for (int tile = 0; tile < down * across; tile++)
        {
            int first = tile / across * tileRows, end = (tile % across * Bits) + Bits;
            for (int r = 0; r < Math.Min(tileRows, matrix.Rows - first); r++)
            {
                int row = first + r, k = tile % across == 0 ? matrix.RowOffsets[row] : next[r];
                for (; k < matrix.RowOffsets[row + 1] && columns[k] < end; k++, n++)
                {
                    masks[(tile * tileRows) + r] |= 1UL << (columns[k] % Bits);
                    float value = matrix.Values[k];
                    if (single)
                    {
                        values[n] = value;
                        continue;
                    }

                    half[n] = HalfValues.Pack(value, kind);
                    if (float.IsFinite(value) && !float.IsFinite(HalfValues.Unpack(half[n], kind)))
                        throw new ArgumentException($"The value {value} of row {row}, column {columns[k]} is too large for {kind}.", nameof(matrix));
                }

                next[r] = k;
            }
        }

        return new(matrix.Rows, matrix.Columns, tileRows, kind, masks, values, half);
    }

    /// <summary>Packs the numbers that are not zero.</summary>
    /// <param name="weight">Float32 [rows, columns], on the CPU.</param>
    /// <param name="kind">How to store values. Default float32.</param>
    /// <param name="tileRows">Rows of a tile. Default 64.</param>
    /// <exception cref="ArgumentException">As for <see cref="FromCsr"/>; another shape, type or device.</exception>
    public static BitmapTileMatrix FromDense(Tensor weight, StoredValue kind = StoredValue.Single, int tileRows = 64) => FromCsr(CsrMatrix.FromDense(weight), kind, tileRows);

    /// <summary>Takes a support and its values.</summary>
    /// <param name="support">Places [rows, columns].</param>
    /// <param name="values">[Count], Float32.</param>
    /// <param name="kind">How to store values. Default float32.</param>
    /// <param name="tileRows">Rows of a tile. Default 64.</param>
    /// <exception cref="ArgumentException">As for <see cref="FromCsr"/>; a shape or type does not fit.</exception>
    public static BitmapTileMatrix From(Support support, Tensor values, StoredValue kind = StoredValue.Single, int tileRows = 64) => FromCsr(CsrMatrix.From(support, values), kind, tileRows);

    /// <summary>The transpose, in tiles of the same height.</summary>
    public BitmapTileMatrix Transpose() => FromCsr(ToCsr().Transpose(), Kind, TileRows);

    /// <inheritdoc/>
    public override int[] Occupancy()
    {
        int[] counts = new int[TileCount];
        for (int tile = 0; tile < counts.Length; tile++) counts[tile] = _offsets[tile + 1] - _offsets[tile];
        return counts;
    }

    internal override Dictionary<string, Tensor> Arrays() => new()
    {
        ["masks"] = tensor(MemoryMarshal.Cast<ulong, int>(_masks).ToArray()),
        ["values"] = Kind == StoredValue.Single ? tensor(_values[..^Lanes]) : ArrayTensors.Of(_short[..^Lanes]),
    };

    internal static BitmapTileMatrix FromArrays(int rows, int columns, int tileRows, int valueBits, int valueExponent, ArrayReader arrays)
    {
        StoredValue kind = (valueBits, valueExponent) switch
        {
            (32, 8) => StoredValue.Single,
            (16, 5) => StoredValue.Half,
            (16, 8) => StoredValue.BFloat16,
            _ => throw arrays.Misfit($"Values of {valueBits} bits with an exponent of {valueExponent} are not known; 32 and 8, 16 and 5, 16 and 8 are."),
        };
        arrays.Checked(() =>
        {
            CheckTile(tileRows, Bits);
            return true;
        });
        int across = (columns + Bits - 1) / Bits;
        long down = ((long)rows + tileRows - 1) / tileRows, count = 0;
        ulong[] masks = MemoryMarshal.Cast<int, ulong>(arrays.Get<int>("masks", 2 * down * across * tileRows)).ToArray();
        for (int i = 0; i < masks.Length; i++)
        {
            int tile = i / tileRows, row = (tile / across * tileRows) + (i % tileRows), room = Math.Min(Bits, columns - (tile % across * Bits));
            if (masks[i] != 0 && (row >= rows || (room < Bits && masks[i] >> room != 0))) throw arrays.Misfit($"Mask {i} has a bit at row {row} beyond the matrix of [{rows}, {columns}].");
            count += BitOperations.PopCount(masks[i]);
        }

        return new(rows, columns, tileRows, kind, masks, kind == StoredValue.Single ? arrays.Get<float>("values", count) : [], kind == StoredValue.Single ? [] : arrays.Get<ushort>("values", count));
    }

    internal override void Unpack(int tile, int previous, float* target, float* scratch)
    {
        int count = _offsets[tile + 1] - _offsets[tile];
        fixed (float* single = _values)
        fixed (ushort* half = _short)
        fixed (ulong* masks = _masks)
        {
            float* values = single + _offsets[tile];
            if (Kind != StoredValue.Single)
            {
                HalfValues.Unpack(half + _offsets[tile], scratch, count, Kind);
                values = scratch;
            }

            if (Path == KernelPath.Vector512) Spread(masks + ((long)tile * TileRows), TileRows, values, target);
            else OneByOne(masks + ((long)tile * TileRows), TileRows, values, target);
        }
    }

    private protected override int ReadRow(int row, int* places, float* values)
    {
        int n = 0;
        for (int across = 0; across < TilesAcross; across++)
        {
            int tile = Mask(row, across) / TileRows, at = _offsets[tile];
            for (int r = 0; r < row % TileRows; r++) at += BitOperations.PopCount(_masks[(tile * TileRows) + r]);
            for (ulong mask = _masks[Mask(row, across)]; mask != 0; mask &= mask - 1, n++, at++)
            {
                places[n] = (across * Bits) + BitOperations.TrailingZeroCount(mask);
                values[n] = Kind == StoredValue.Single ? _values[at] : HalfValues.Unpack(_short[at], Kind);
            }
        }

        return n;
    }

    private int Mask(int row, int across) => (((row / TileRows * TilesAcross) + across) * TileRows) + (row % TileRows);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Spread(ulong* masks, int rows, float* values, float* target)
    {
        Vector512<int> lanes = Vector512.Create(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768);
        for (int r = 0; r < rows; r++, target += Bits)
        {
            ulong mask = masks[r];
            Spread((int)mask & 0xffff, values, lanes).StoreAligned(target);
            Spread((int)(mask >> 16) & 0xffff, values + BitOperations.PopCount(mask & 0xffff), lanes).StoreAligned(target + 16);
            Spread((int)(mask >> 32) & 0xffff, values + BitOperations.PopCount((uint)mask), lanes).StoreAligned(target + 32);
            Spread((int)(mask >> 48), values + BitOperations.PopCount(mask & 0xffffffffffff), lanes).StoreAligned(target + 48);
            values += BitOperations.PopCount(mask);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Spread(int word, float* values, Vector512<int> lanes)
    {
        Vector512<float> mask = Vector512.Equals(Vector512.Create(word) & lanes, lanes).AsSingle();
        return Avx512F.Expand(Vector512<float>.Zero, mask, Vector512.Load(values));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OneByOne(ulong* masks, int rows, float* values, float* target)
    {
        new Span<float>(target, rows * Bits).Clear();
        for (int r = 0; r < rows; r++, target += Bits)
        {
            for (ulong mask = masks[r]; mask != 0; mask &= mask - 1) target[BitOperations.TrailingZeroCount(mask)] = *values++;
        }
    }
}
