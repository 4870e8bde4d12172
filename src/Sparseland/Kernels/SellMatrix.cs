using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>
/// Sliced ELL, SELL-C-sigma (Kreutzer et al. 2013, arXiv 1307.6209): slices of C = 16 rows, as wide as their longest, stored column after column, so that a register holds one entry of each of sixteen
/// rows. Rows are sorted by length within windows of sigma = 256, so that those of a slice are about equally long.
/// </summary>
/// <remarks>
/// Bytes: padded entries (4 + i) + 8 rows, i = 2 up to 65,536 columns and 4 above; rows in the order of the slices and their lengths are kept, where slices begin follows from them. Padding is value 0 with
/// the row's last column, or 0: an index that can be read; its products are left out. A stored zero is an entry.
/// </remarks>
public sealed unsafe class SellMatrix : SparseMatrix
{
    /// <summary>C: rows of a slice.</summary>
    public const int SliceRows = 16;

    /// <summary>Sigma: rows that are sorted by length among each other.</summary>
    public const int SortWindow = 256;

    private readonly int[] _order;
    private readonly int[] _lengths;
    private readonly int[] _places;
    private readonly int[] _offsets;
    private readonly ushort[] _short = [];
    private readonly int[] _long = [];
    private readonly float[] _values;

    private SellMatrix(int rows, int columns, int[] order, int[] lengths, int[] offsets, int[] indices, float[] values)
        : base(rows, columns)
    {
        (_order, _lengths, _offsets, _values, _places) = (order, lengths, offsets, values, new int[rows]);
        for (int at = 0; at < rows; at++) _places[order[at]] = at;
        if (columns <= ushort.MaxValue + 1) _short = Array.ConvertAll(indices, column => (ushort)column);
        else _long = indices;
        LongestRow = lengths.Length == 0 ? 0 : lengths.Max();
        foreach (int length in lengths) Stored += length;
    }

    /// <summary>[rows]: the row that stands at each place of the slices.</summary>
    public ReadOnlySpan<int> RowOrder => _order;

    /// <summary>[slices + 1]: where each slice begins, counted in columns of sixteen entries, and the end.</summary>
    public ReadOnlySpan<int> SliceOffsets => _offsets;

    /// <summary>Entries without padding.</summary>
    public long Stored { get; }

    /// <inheritdoc/>
    public override long Count => _values.Length;

    /// <inheritdoc/>
    public override long Bytes => (Count * (sizeof(float) + (Columns <= ushort.MaxValue + 1 ? sizeof(ushort) : sizeof(int)))) + (2 * sizeof(int) * (long)Rows);

    /// <inheritdoc/>
    public override string Format => "sell";

    private protected override int RowUnit => SliceRows;

    private protected override int LongestRow { get; }

    /// <summary>Packs a CSR matrix.</summary>
    /// <param name="matrix">The matrix.</param>
    public static SellMatrix FromCsr(CsrMatrix matrix)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        int[] lengths = new int[matrix.Rows], columns = matrix.ColumnArray(), order = new int[matrix.Rows];
        for (int row = 0; row < matrix.Rows; row++) lengths[row] = matrix.RowOffsets[row + 1] - matrix.RowOffsets[row];
        for (int first = 0; first < matrix.Rows; first += SortWindow)
        {
            int[] window = [.. Enumerable.Range(first, Math.Min(SortWindow, matrix.Rows - first)).OrderByDescending(row => lengths[row])];
            window.CopyTo(order, first);
        }

        int[] ordered = Array.ConvertAll(order, row => lengths[row]), offsets = Offsets(ordered);
        int[] indices = new int[checked(offsets[^1] * SliceRows)];
        float[] values = new float[indices.Length];
        for (int slice = 0; slice + 1 < offsets.Length; slice++)
        {
            for (int lane = 0; lane < SliceRows && (slice * SliceRows) + lane < matrix.Rows; lane++)
            {
                int row = order[(slice * SliceRows) + lane], from = matrix.RowOffsets[row];
                for (int j = 0; j < offsets[slice + 1] - offsets[slice]; j++)
                {
                    int at = ((offsets[slice] + j) * SliceRows) + lane;
                    if (j < lengths[row]) (indices[at], values[at]) = (columns[from + j], matrix.Values[from + j]);
                    else if (lengths[row] > 0) indices[at] = columns[from + lengths[row] - 1];
                }
            }
        }

        return new(matrix.Rows, matrix.Columns, order, ordered, offsets, indices, values);
    }

    /// <summary>Stores the numbers that are not zero.</summary>
    /// <param name="weight">Float32 [rows, columns], on the CPU.</param>
    /// <exception cref="ArgumentException">Another shape, type or device.</exception>
    public static SellMatrix FromDense(Tensor weight) => FromCsr(CsrMatrix.FromDense(weight));

    /// <summary>Takes a support and its values.</summary>
    /// <param name="support">Places [rows, columns].</param>
    /// <param name="values">[Count] in the order of <see cref="Support.ColumnIndices"/>, Float32.</param>
    /// <exception cref="ArgumentException">A shape or type does not fit.</exception>
    public static SellMatrix From(Support support, Tensor values) => FromCsr(CsrMatrix.From(support, values));

    /// <summary>The transpose.</summary>
    public SellMatrix Transpose() => FromCsr(ToCsr().Transpose());

    internal override Dictionary<string, Tensor> Arrays() => new()
    {
        ["row_order"] = tensor(_order),
        ["row_lengths"] = tensor(_lengths),
        ["column_indices"] = _long.Length == 0 && Columns <= ushort.MaxValue + 1 ? ArrayTensors.Of(_short) : tensor(_long),
        ["values"] = tensor(_values),
    };

    internal static SellMatrix FromArrays(int rows, int columns, ArrayReader arrays)
    {
        int[] order = arrays.Get<int>("row_order", rows), lengths = arrays.Get<int>("row_lengths", rows);
        bool[] seen = new bool[rows];
        for (int at = 0; at < rows; at++)
        {
            if (order[at] < 0 || order[at] >= rows || seen[order[at]]) throw arrays.Misfit($"Row order has {order[at]} at {at}: it holds each row from 0 to {rows - 1} once.");
            seen[order[at]] = true;
            if (lengths[at] < 0 || lengths[at] > columns) throw arrays.Misfit($"Row {order[at]} has {lengths[at]} entries of {columns}.");
        }

        int[] offsets = arrays.Checked(() => Offsets(lengths));
        float[] values = arrays.Get<float>("values", (long)offsets[^1] * SliceRows);
        int[] indices = columns <= ushort.MaxValue + 1 ? Array.ConvertAll(arrays.Get<ushort>("column_indices", values.Length), column => (int)column) : arrays.Get<int>("column_indices", values.Length);
        for (int slice = 0; slice + 1 < offsets.Length; slice++)
        {
            for (int lane = 0; lane < SliceRows; lane++)
            {
                int place = (slice * SliceRows) + lane, length = place < rows ? lengths[place] : 0, last = 0;
                for (int j = 0; j < offsets[slice + 1] - offsets[slice]; j++)
                {
                    int at = ((offsets[slice] + j) * SliceRows) + lane, column = indices[at];
                    if (j < length ? (j > 0 && column <= last) || column < 0 || column >= columns : column != last || values[at] != 0)
                        throw arrays.Misfit($"Slice {slice} has column {column} and value {values[at]} at place {j} of lane {lane}: columns of a row ascend within 0 to {columns - 1}, and padding is 0 with the last of them.");
                    last = column;
                }
            }
        }

        return new(rows, columns, order, lengths, offsets, indices, values);
    }

    private protected override int ReadRow(int row, int* places, float* values)
    {
        int place = _places[row], first = (_offsets[place / SliceRows] * SliceRows) + (place % SliceRows);
        for (int j = 0; j < _lengths[place]; j++)
        {
            int at = first + (j * SliceRows);
            (places[j], values[j]) = (_long.Length == 0 ? _short[at] : _long[at], _values[at]);
        }

        return _lengths[place];
    }

    private protected override void Products(float* x, float* scratch, float* y, int from, int to)
    {
        // From and to are places of the order: y is written through it.
        fixed (float* values = _values)
        fixed (ushort* shorts = _short)
        fixed (int* longs = _long, lengths = _lengths)
        {
            float* sums = stackalloc float[SliceRows];
            for (int first = from; first < to; first += SliceRows)
            {
                int slice = first / SliceRows, begin = _offsets[slice] * SliceRows, width = _offsets[slice + 1] - _offsets[slice], rows = Math.Min(SliceRows, to - first);

                // Columns in which every lane has an entry need no mask.
                int full = rows < SliceRows ? 0 : Shortest(lengths + first);
                if (Path == KernelPath.Scalar) OneByOne(begin, lengths + first, rows, x, sums);
                else if (shorts != null) Slice(shorts + begin, values + begin, full, width, lengths + first, rows, x, sums);
                else Slice(longs + begin, values + begin, full, width, lengths + first, rows, x, sums);
                for (int lane = 0; lane < rows; lane++) y[_order[first + lane]] = sums[lane];
            }
        }
    }

    private static int Shortest(int* lengths)
    {
        int least = lengths[0];
        for (int lane = 1; lane < SliceRows; lane++) least = Math.Min(least, lengths[lane]);
        return least;
    }

    private void OneByOne(int begin, int* lengths, int rows, float* x, float* sums)
    {
        for (int lane = 0; lane < rows; lane++)
        {
            float sum = 0;
            for (int j = 0, at = begin + lane; j < lengths[lane]; j++, at += SliceRows) sum = MathF.FusedMultiplyAdd(_values[at], x[_long.Length == 0 ? _short[at] : _long[at]], sum);
            sums[lane] = sum;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Slice<T>(T* columns, float* values, int full, int width, int* lengths, int rows, float* x, float* sums)
        where T : unmanaged
    {
        Vector256<float> low = default, high = default;
        Vector256<int> shortLow = default, shortHigh = default;
        for (int lane = 0; lane < rows; lane++)
        {
            if (lane < 8) shortLow = shortLow.WithElement(lane, lengths[lane]);
            else shortHigh = shortHigh.WithElement(lane - 8, lengths[lane]);
        }

        int j = 0;
        for (; j < full; j++, columns += SliceRows, values += SliceRows)
        {
            low = Vector256.FusedMultiplyAdd(Vector256.Load(values), SparseDots.Gather8(x, columns), low);
            high = Vector256.FusedMultiplyAdd(Vector256.Load(values + 8), SparseDots.Gather8(x, columns + 8), high);
        }

        for (; j < width; j++, columns += SliceRows, values += SliceRows)
        {
            Vector256<float> here = Vector256.GreaterThan(shortLow, Vector256.Create(j)).AsSingle(), there = Vector256.GreaterThan(shortHigh, Vector256.Create(j)).AsSingle();
            low = Vector256.FusedMultiplyAdd(Vector256.Load(values), SparseDots.Gather8(x, columns) & here, low);
            high = Vector256.FusedMultiplyAdd(Vector256.Load(values + 8), SparseDots.Gather8(x, columns + 8) & there, high);
        }

        low.Store(sums);
        high.Store(sums + 8);
    }

    /// <summary>Where slices begin: each is as wide as its longest row.</summary>
    private static int[] Offsets(int[] lengths)
    {
        int[] offsets = new int[((lengths.Length + SliceRows - 1) / SliceRows) + 1];
        for (int slice = 0; slice + 1 < offsets.Length; slice++)
        {
            int first = slice * SliceRows;
            offsets[slice + 1] = checked(offsets[slice] + lengths.AsSpan(first, Math.Min(SliceRows, lengths.Length - first)).ToArray().Max());
        }

        return offsets;
    }
}
