using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>Compressed sparse columns: of each column the rows, ascending, and the values. It is CSR of the transpose, and keeps where each entry of CSR went, so that new values are taken over without sorting again.</summary>
/// <remarks>Bytes: nnz (4 + i) + 4 (columns + 1), i = 2 up to 65,536 rows and 4 above. A stored zero is an entry.</remarks>
public sealed unsafe class CscMatrix : SparseMatrix
{
    // Each piece of rows walks all columns: few pieces.
    private const int Pieces = 8;
    private readonly CsrMatrix _turned;
    private readonly int[] _rows;
    private readonly Support _byRow;
    private readonly int[] _positions;

    private CscMatrix(CsrMatrix turned)
        : base(turned.Columns, turned.Rows)
    {
        (_turned, _rows) = (turned, turned.ColumnArray());
        _byRow = turned.ToSupport().Transpose(out _positions);
        LongestRow = Rows == 0 ? 0 : _byRow.CountsPerRow().Max();
    }

    private CscMatrix(CscMatrix places, float[] values)
        : base(places.Rows, places.Columns)
    {
        (_rows, _byRow, _positions, LongestRow) = (places._rows, places._byRow, places._positions, places.LongestRow);
        _turned = CsrMatrix.Trusted(Columns, Rows, places.ColumnOffsets.ToArray(), _rows, values);
    }

    /// <summary>[columns + 1]: where each column's entries begin, and the end.</summary>
    public ReadOnlySpan<int> ColumnOffsets => _turned.RowOffsets;

    /// <summary>[nnz]: rows, column after column, ascending within a column.</summary>
    public ReadOnlySpan<int> RowIndices => _rows;

    /// <summary>The stored entries [nnz], column after column.</summary>
    public ReadOnlySpan<float> Values => _turned.Values;

    /// <summary>[nnz]: of each entry in the order of CSR, its position here.</summary>
    public ReadOnlySpan<int> FromCsrPositions => _positions;

    /// <inheritdoc/>
    public override long Count => _turned.Count;

    /// <inheritdoc/>
    public override long Bytes => _turned.Bytes;

    /// <inheritdoc/>
    public override string Format => "csc";

    private protected override int RowUnit => Math.Max(1, (Rows + Pieces - 1) / Pieces);

    private protected override int LongestRow { get; }

    /// <summary>Turns a CSR matrix, by counting: O(nnz + columns).</summary>
    /// <param name="matrix">The matrix.</param>
    public static CscMatrix FromCsr(CsrMatrix matrix)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        return new(matrix.Transpose());
    }

    /// <summary>Stores the numbers that are not zero.</summary>
    /// <param name="weight">Float32 [rows, columns], on the CPU.</param>
    /// <exception cref="ArgumentException">Another shape, type or device.</exception>
    public static CscMatrix FromDense(Tensor weight) => FromCsr(CsrMatrix.FromDense(weight));

    /// <summary>Takes a support and its values.</summary>
    /// <param name="support">Places [rows, columns].</param>
    /// <param name="values">[Count] in the order of <see cref="Support.ColumnIndices"/>, Float32; copied.</param>
    /// <exception cref="ArgumentException">A shape or type does not fit.</exception>
    public static CscMatrix From(Support support, Tensor values) => FromCsr(CsrMatrix.From(support, values));

    /// <summary>The same places with other values: O(nnz), nothing is sorted.</summary>
    /// <param name="csrValues">[nnz] in the order of CSR.</param>
    /// <exception cref="ArgumentException">Another number of values.</exception>
    public CscMatrix WithValues(ReadOnlySpan<float> csrValues)
    {
        if (csrValues.Length != Count) throw new ArgumentException($"There are {csrValues.Length} values for {Count} entries.", nameof(csrValues));
        float[] values = GC.AllocateUninitializedArray<float>(csrValues.Length);
        for (int k = 0; k < _positions.Length; k++) values[_positions[k]] = csrValues[k];
        return new(this, values);
    }

    /// <summary>The transpose: the same arrays, read as rows.</summary>
    /// <returns>CSC of [columns, rows].</returns>
    public CscMatrix Transpose() => FromCsr(_turned);

    /// <summary>The transpose as CSR: the same arrays.</summary>
    /// <returns>[columns, rows].</returns>
    public CsrMatrix TransposedCsr() => _turned;

    internal override Dictionary<string, Tensor> Arrays()
    {
        Dictionary<string, Tensor> arrays = _turned.Arrays();
        return new() { ["column_offsets"] = arrays["row_offsets"], ["row_indices"] = arrays["column_indices"], ["values"] = arrays["values"] };
    }

    internal static CscMatrix FromArrays(int rows, int columns, ArrayReader arrays) => new(CsrMatrix.FromArrays(columns, rows, arrays, "column_offsets", "row_indices"));

    private protected override int ReadRow(int row, int* places, float* values)
    {
        int from = _byRow.RowOffsets[row];
        ReadOnlySpan<int> columns = _byRow.Row(row);
        for (int k = 0; k < columns.Length; k++) (places[k], values[k]) = (columns[k], _turned.Values[_positions[from + k]]);
        return columns.Length;
    }

    private protected override void Products(float* x, float* scratch, float* y, int from, int to)
    {
        new Span<float>(y + from, to - from).Clear();
        ReadOnlySpan<int> offsets = ColumnOffsets, rows = _rows;
        ReadOnlySpan<float> values = _turned.Values;
        bool whole = from == 0 && to == Rows;
        for (int column = 0; column < Columns; column++)
        {
            ReadOnlySpan<int> own = rows[offsets[column]..offsets[column + 1]];
            int k = whole ? 0 : First(own, from);
            for (; k < own.Length && own[k] < to; k++) y[own[k]] = MathF.FusedMultiplyAdd(values[offsets[column] + k], x[column], y[own[k]]);
        }
    }

    private static int First(ReadOnlySpan<int> ascending, int from)
    {
        int at = ascending.BinarySearch(from);
        return at < 0 ? ~at : at;
    }
}
