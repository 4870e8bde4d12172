using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Recommendation;

/// <summary>An embedding table of which only the active weights are stored: for each row its columns, in 16 bits, and their values. Managed memory.</summary>
public sealed class SparseEmbedding
{
    private readonly int[] _offsets;
    private readonly ushort[] _columns;
    private readonly float[] _values;

    private SparseEmbedding(int width, int[] offsets, ushort[] columns, float[] values) => (Width, _offsets, _columns, _values) = (width, offsets, columns, values);

    /// <summary>Takes the active weights of a table.</summary>
    /// <param name="table">[rows, width], Float32, at most 65,536 wide.</param>
    /// <param name="mask">Boolean [rows, width]; null, the default, for the weights that are not zero.</param>
    /// <exception cref="ArgumentException">Another shape or type.</exception>
    public static SparseEmbedding Of(Tensor table, Tensor? mask = null)
    {
        ArgumentNullException.ThrowIfNull(table);
        if (table.dim() != 2 || table.dtype != ScalarType.Float32 || table.shape[1] > 65_536)
            throw new ArgumentException($"table must be Float32 [rows, width] and at most 65,536 wide, but is {table.dtype} [{string.Join(", ", table.shape)}].", nameof(table));
        if (mask is not null && (mask.dtype != ScalarType.Bool || !mask.shape.SequenceEqual(table.shape)))
            throw new ArgumentException($"mask must be Bool [{string.Join(", ", table.shape)}], but is {mask.dtype} [{string.Join(", ", mask.shape)}].", nameof(mask));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Selection.Support places = Selection.Support.FromMask(mask ?? table.ne(0));
        ushort[] columns = Array.ConvertAll(places.ColumnIndices.ToArray(), column => (ushort)column);
        return new((int)table.shape[1], places.RowOffsets.ToArray(), columns, places.Gather(table.detach().cpu()).data<float>().ToArray());
    }

    /// <summary>Rows of the table.</summary>
    public int Rows => _offsets.Length - 1;

    /// <summary>Columns of the table.</summary>
    public int Width { get; }

    /// <summary>Active weights.</summary>
    public int Count => _values.Length;

    /// <summary>Bytes stored: 4 for a value and 2 for its column, 4 for the start of each row.</summary>
    public long Bytes => (6L * Count) + (4L * _offsets.Length);

    /// <summary>Bytes of the table with all its zeros.</summary>
    public long DenseBytes => 4L * Rows * Width;

    /// <summary>Columns and values of a row.</summary>
    /// <param name="row">From 0 to <see cref="Rows"/> - 1.</param>
    /// <param name="columns">Columns, ascending.</param>
    /// <returns>Values, one for each column.</returns>
    public ReadOnlySpan<float> Row(int row, out ReadOnlySpan<ushort> columns)
    {
        if (row < 0 || row >= Rows) throw new ArgumentOutOfRangeException(nameof(row), row, $"A row is from 0 to {Rows - 1}.");
        columns = _columns.AsSpan(_offsets[row].._offsets[row + 1]);
        return _values.AsSpan(_offsets[row].._offsets[row + 1]);
    }

    /// <summary>Scores of one row with all rows from one to another: the work is one multiplication for each active weight of those.</summary>
    /// <param name="row">The row.</param>
    /// <param name="first">First of the other rows.</param>
    /// <param name="count">How many.</param>
    /// <exception cref="ArgumentOutOfRangeException">There are no such rows.</exception>
    public float[] Scores(int row, int first, int count)
    {
        ReadOnlySpan<float> values = Row(row, out ReadOnlySpan<ushort> columns);
        if (first < 0 || count < 0 || first + (long)count > Rows) throw new ArgumentOutOfRangeException(nameof(first), first, $"Rows {first} to {first + (long)count - 1} are not all among the {Rows}.");
        float[] query = new float[Width], scores = new float[count];
        for (int i = 0; i < values.Length; i++) query[columns[i]] = values[i];
        for (int other = 0; other < count; other++)
        {
            for (int at = _offsets[first + other]; at < _offsets[first + other + 1]; at++) scores[other] += _values[at] * query[_columns[at]];
        }

        return scores;
    }

    /// <summary>The table with its zeros.</summary>
    /// <returns>[rows, width]; the caller disposes it.</returns>
    public Tensor ToDense()
    {
        float[] table = new float[Rows * Width];
        for (int row = 0; row < Rows; row++)
        {
            for (int at = _offsets[row]; at < _offsets[row + 1]; at++) table[(row * Width) + _columns[at]] = _values[at];
        }

        return tensor(table, [Rows, Width]);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
