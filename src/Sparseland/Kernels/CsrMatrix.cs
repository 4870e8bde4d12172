using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Sparseland.Kernels;

/// <summary>Compressed sparse rows: of each row the columns, ascending, and the values. Columns take 16 bits where they fit, else 32.</summary>
/// <remarks>Bytes: nnz (4 + i) + 4 (rows + 1), i = 2 up to 65,536 columns and 4 above. A stored zero is an entry.</remarks>
public sealed unsafe class CsrMatrix : ScheduledMatrix
{
    private const int ShortColumns = ushort.MaxValue + 1;
    private readonly float[] _values;
    private readonly ushort[] _short = [];
    private readonly int[] _long = [];

    private CsrMatrix(Support support, float[] values)
        : this(support.Rows, support.Columns, support.RowOffsets.ToArray(), support.ColumnIndices, values)
    {
    }

    private CsrMatrix(int rows, int columns, int[] offsets, ReadOnlySpan<int> indices, float[] values)
        : base(rows, columns, offsets)
    {
        _values = values;
        if (Columns <= ShortColumns) TensorPrimitives.ConvertTruncating(indices, (_short = GC.AllocateUninitializedArray<ushort>(indices.Length)).AsSpan());
        else _long = indices.ToArray();
        for (int row = 0; row < rows; row++) LongestRow = Math.Max(LongestRow, offsets[row + 1] - offsets[row]);
    }

    /// <summary>The stored entries [Count], row after row.</summary>
    public ReadOnlySpan<float> Values => _values;

    /// <summary>Bytes of a stored column: 2 or 4.</summary>
    public int ColumnBytes => Columns <= ShortColumns ? sizeof(ushort) : sizeof(int);

    /// <inheritdoc/>
    public override long Count => _values.Length;

    /// <inheritdoc/>
    public override long Bytes => (Count * (sizeof(float) + ColumnBytes)) + (sizeof(int) * ((long)Rows + 1));

    /// <inheritdoc/>
    public override string Format => "csr";

    private protected override int LongestRow { get; }

    /// <summary>The transpose, by counting: O(nnz + columns), and sorted without a sort.</summary>
    /// <returns>[columns, rows].</returns>
    public CsrMatrix Transpose()
    {
        int[] offsets = new int[Columns + 1], rows = GC.AllocateUninitializedArray<int>(_values.Length), columns = ColumnArray();
        float[] values = GC.AllocateUninitializedArray<float>(_values.Length);
        foreach (int column in columns) offsets[column + 1]++;
        for (int column = 0; column < Columns; column++) offsets[column + 1] += offsets[column];
        int[] next = offsets[..^1];
        for (int row = 0; row < Rows; row++)
        {
            for (int k = RowOffsets[row]; k < RowOffsets[row + 1]; k++)
            {
                int at = next[columns[k]]++;
                (rows[at], values[at]) = (row, _values[k]);
            }
        }

        return new(Columns, Rows, offsets, rows, values);
    }

    /// <summary>Takes a support and its values.</summary>
    /// <param name="support">Places [rows, columns].</param>
    /// <param name="values">[Count] in the order of <see cref="Support.ColumnIndices"/>, Float32; copied.</param>
    /// <exception cref="ArgumentException">A shape or type does not fit.</exception>
    public static CsrMatrix From(Support support, Tensor values) => new(support, Copied(support, values));

    /// <summary>Stores the numbers that are not zero.</summary>
    /// <param name="weight">Float32 [rows, columns], on the CPU.</param>
    /// <exception cref="ArgumentException">Another shape, type or device.</exception>
    public static CsrMatrix FromDense(Tensor weight)
    {
        using DisposeScope scope = NewDisposeScope();
        (Support support, Tensor values) = NonZeros(weight);
        return From(support, values);
    }

    /// <summary>Where the entries stand.</summary>
    public Support ToSupport() => new(Rows, Columns, RowOffsets, ColumnArray());

    /// <summary>Takes arrays that are known to be in order.</summary>
    internal static CsrMatrix Trusted(int rows, int columns, int[] offsets, int[] indices, float[] values) => new(rows, columns, offsets, indices, values);

    /// <summary>Columns of all entries with 32 bits; not to be written.</summary>
    internal int[] ColumnArray()
    {
        if (_long.Length > 0 || _short.Length == 0) return _long;
        int[] columns = GC.AllocateUninitializedArray<int>(_short.Length);
        TensorPrimitives.ConvertTruncating<ushort, int>(_short, columns);
        return columns;
    }

    internal override Dictionary<string, Tensor> Arrays() => new()
    {
        ["row_offsets"] = tensor(RowOffsets.ToArray()),
        ["column_indices"] = Columns <= ShortColumns ? ArrayTensors.Of(_short) : tensor(_long),
        ["values"] = tensor(_values),
    };

    internal static CsrMatrix FromArrays(int rows, int columns, ArrayReader arrays, string rowOffsets = "row_offsets", string columnIndices = "column_indices")
    {
        float[] values = arrays.Get<float>("values");
        int[] indices = columns <= ShortColumns ? Array.ConvertAll(arrays.Get<ushort>(columnIndices, values.Length), column => (int)column) : arrays.Get<int>(columnIndices, values.Length);
        return new(arrays.Checked(() => new Support(rows, columns, arrays.Get<int>(rowOffsets, rows + 1), indices)), values);
    }

    private protected override int ReadRow(int row, int* places, float* values)
    {
        (int from, int to) = (RowOffsets[row], RowOffsets[row + 1]);
        for (int k = from; k < to; k++)
        {
            places[k - from] = _long.Length == 0 ? _short[k] : _long[k];
            values[k - from] = _values[k];
        }

        return to - from;
    }

    private protected override int Width(int vectors) => DenseTile.Width(vectors);

    private protected override void Strips(float* dense, float* result, int width)
    {
        (nint m, nint t) = ((nint)dense, (nint)result);
        EachChunk(width, (from, to) =>
        {
            fixed (int* offsets = RowOffsets)
            fixed (float* v = _values)
            fixed (ushort* s = _short)
            fixed (int* l = _long)
            {
                if (s != null) CsrStrips.Rows(offsets, s, v, (float*)m, (float*)t, width, from, to);
                else CsrStrips.Rows(offsets, l, v, (float*)m, (float*)t, width, from, to);
            }
        });
    }

    private protected override float Part(float* x, float* scratch, int from, int to)
    {
        fixed (float* v = _values)
        fixed (ushort* s = _short)
        fixed (int* l = _long)
            return s != null ? SparseDots.Gather(x, s + from, v + from, to - from, Path) : SparseDots.Gather(x, l + from, v + from, to - from, Path);
    }
}
