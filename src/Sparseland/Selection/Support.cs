using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Selection;

/// <summary>
/// Which entries of a matrix stay: compressed rows of column indices (the index part of CSR). Within a row the indices
/// ascend; they are not in the order of the scores. Immutable.
/// </summary>
/// <remarks>
/// An SAE reads its code as <c>Gather(scores)</c> (the values, in the same order) beside <see cref="ColumnIndices"/>;
/// under <see cref="Budget.PerRow(int)"/> both are [rows, k] when viewed so.
/// </remarks>
public sealed partial class Support : IEquatable<Support>
{
    // So many places of a mask are worth handing to another thread.
    private const int OneThread = 1 << 17;

    private readonly int[] _rowOffsets;
    private readonly long[]? _shape;

    // Whole groups of neighbours are kept as such until somebody asks for the indices, which are size times as many.
    private readonly Support? _groups;
    private int[]? _columnIndices;

    /// <summary>Takes over compressed rows after checking them; the spans are copied.</summary>
    /// <param name="rows">Number of rows, not negative.</param>
    /// <param name="columns">Number of columns, not negative.</param>
    /// <param name="rowOffsets">rows + 1 numbers: row r has the indices from rowOffsets[r] to before rowOffsets[r + 1].</param>
    /// <param name="columnIndices">Column indices, strictly ascending within each row.</param>
    /// <exception cref="ArgumentException">Offsets or indices break a rule; the message says which and where.</exception>
    public Support(int rows, int columns, ReadOnlySpan<int> rowOffsets, ReadOnlySpan<int> columnIndices)
        : this(rows, columns, rowOffsets.ToArray(), columnIndices.ToArray(), trusted: false)
    {
    }

    private Support(int rows, int columns, int[] rowOffsets, int[] columnIndices, bool trusted, long[]? shape = null)
    {
        _shape = shape;
        Rows = rows;
        Columns = columns;
        _rowOffsets = rowOffsets;
        _columnIndices = columnIndices;
        if (!trusted)
            Check();
    }

    private Support(Support groups, int size, long[]? shape)
    {
        (_shape, _groups) = (shape, groups);
        (Rows, Columns) = (groups.Rows, groups.Columns * size);
        _rowOffsets = Array.ConvertAll(groups._rowOffsets, offset => offset * size);
    }

    /// <summary>
    /// Shape of the tensor it was chosen from, whose leading dimensions together are the rows; [rows, columns] where there was none.
    /// Two supports are equal by rows, columns and entries alone.
    /// </summary>
    public IReadOnlyList<long> Shape => _shape ?? [Rows, Columns];

    /// <summary>Number of rows of the matrix.</summary>
    public int Rows { get; }

    /// <summary>Number of columns of the matrix.</summary>
    public int Columns { get; }

    /// <summary>Number of entries that stay.</summary>
    public int Count => _columnIndices?.Length ?? _rowOffsets[^1];

    /// <summary>Share of entries that stay, from 0 to 1; 0 for an empty matrix.</summary>
    public double Density => Rows == 0 || Columns == 0 ? 0 : (double)Count / ((double)Rows * Columns);

    /// <summary>[rows + 1]: where each row starts in <see cref="ColumnIndices"/>, and the end.</summary>
    public ReadOnlySpan<int> RowOffsets => _rowOffsets;

    /// <summary>[Count]: column indices, row after row, ascending within a row.</summary>
    public ReadOnlySpan<int> ColumnIndices => Indices;

    /// <summary>Column indices of one row, ascending.</summary>
    /// <param name="row">From 0 to <see cref="Rows"/> - 1.</param>
    public ReadOnlySpan<int> Row(int row)
    {
        CheckIndex(row, Rows, nameof(row));
        return Indices.AsSpan(_rowOffsets[row].._rowOffsets[row + 1]);
    }

    /// <summary>A support with nothing in it.</summary>
    /// <param name="rows">Number of rows, not negative.</param>
    /// <param name="columns">Number of columns, not negative.</param>
    public static Support Empty(int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        return new Support(rows, columns, new int[rows + 1], [], trusted: true);
    }

    /// <summary>The true entries of a mask.</summary>
    /// <param name="mask">Boolean tensor [..., columns], on any device; the leading dimensions together are the rows.</param>
    /// <exception cref="ArgumentException">Another element type, or no dimension.</exception>
    public static Support FromMask(Tensor mask)
    {
        ArgumentNullException.ThrowIfNull(mask);
        if (mask.dtype != ScalarType.Bool)
            throw new ArgumentException($"A mask is a tensor of Bool, this one is of {mask.dtype}.", nameof(mask));
        using DisposeScope scope = NewDisposeScope();
        (int rows, int columns) = Select.ShapeOf(mask, nameof(mask));
        Tensor own = mask.detach().cpu().contiguous();
        nint start = TensorMemory.StartOf(own);
        int[] offsets = new int[rows + 1];
        EachRow(rows, columns, row => offsets[row + 1] = columns - Line(row).Count((byte)0));
        for (int row = 0; row < rows; row++) offsets[row + 1] += offsets[row];
        int[] indices = GC.AllocateUninitializedArray<int>(offsets[rows]);
        EachRow(rows, columns, row => Places(Line(row), indices.AsSpan(offsets[row]..offsets[row + 1])));
        return Trusted(rows, columns, offsets, indices).Of(mask.shape);

        ReadOnlySpan<byte> Line(int row) => TensorMemory.Part<byte>(start, (long)row * columns, columns);
    }

    /// <summary>Work on each row of a mask, shared out to threads where there is enough of it.</summary>
    private static void EachRow(int rows, int columns, Action<int> work)
    {
        Pieces.For(rows, Math.Max(1, OneThread / Math.Max(1, columns)), (from, count) =>
        {
            for (int row = (int)from; row < from + count; row++) work(row);
        });
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Places(ReadOnlySpan<byte> line, Span<int> places)
    {
        int n = 0, from = 0, width = Vector512<byte>.Count;
        for (; from <= line.Length - width; from += width)
        {
            for (ulong hits = ~Vector512.Equals(Vector512.Create(line.Slice(from, width)), Vector512<byte>.Zero).ExtractMostSignificantBits(); hits != 0; hits &= hits - 1)
                places[n++] = from + BitOperations.TrailingZeroCount(hits);
        }

        for (; from < line.Length; from++)
        {
            if (line[from] != 0) places[n++] = from;
        }
    }

    /// <summary>How many entries stay in each row.</summary>
    /// <returns>[rows].</returns>
    public int[] CountsPerRow()
    {
        int[] counts = new int[Rows];
        for (int row = 0; row < counts.Length; row++)
            counts[row] = _rowOffsets[row + 1] - _rowOffsets[row];
        return counts;
    }

    /// <summary>How many entries stay in each column.</summary>
    /// <returns>[columns].</returns>
    public int[] CountsPerColumn()
    {
        int[] counts = new int[Columns];
        foreach (int column in Indices)
            counts[column]++;
        return counts;
    }

    /// <summary>Whether an entry stays.</summary>
    /// <param name="row">From 0 to <see cref="Rows"/> - 1.</param>
    /// <param name="column">From 0 to <see cref="Columns"/> - 1.</param>
    public bool Contains(int row, int column)
    {
        CheckIndex(column, Columns, nameof(column));
        return Row(row).BinarySearch(column) >= 0;
    }

    /// <summary>Whether both have the same shape and the same entries.</summary>
    /// <param name="other">The other support.</param>
    public bool Equals(Support? other) =>
        other is not null && Rows == other.Rows && Columns == other.Columns
        && RowOffsets.SequenceEqual(other.RowOffsets) && ColumnIndices.SequenceEqual(other.ColumnIndices);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Support);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        hash.Add(Rows);
        hash.Add(Columns);
        foreach (int column in Indices.AsSpan(0, Math.Min(Count, 64)))
            hash.Add(column);
        hash.Add(Count);
        return hash.ToHashCode();
    }

    /// <summary>Shape, count and density in one line.</summary>
    public override string ToString() => FormattableString.Invariant($"Support [{Rows}, {Columns}], {Count} kept ({Density:0.###%})");

    /// <summary>For results that are valid by construction; takes the arrays over.</summary>
    internal static Support Trusted(int rows, int columns, int[] rowOffsets, int[] columnIndices) =>
        new(rows, columns, rowOffsets, columnIndices, trusted: true);

    /// <summary>The same entries with a tensor's shape.</summary>
    internal Support Of(long[] shape) =>
        shape.Length == 2 ? this
        : _groups is null ? new Support(Rows, Columns, _rowOffsets, Indices, trusted: true, shape)
        : new Support(_groups, GroupSize, shape);

    /// <summary>Whole groups of neighbours: a support over the groups, each of that many columns. Their number of entries must fit an int.</summary>
    internal static Support OfGroups(Support groups, int size) => new(groups, size, shape: null);

    // Threads that ask at the same time expand the same, and the first to be done is kept.
    private int[] Indices => _columnIndices ?? Interlocked.CompareExchange(ref _columnIndices, Expanded(), null) ?? _columnIndices;

    private int GroupSize => Columns / Math.Max(1, _groups!.Columns);

    private int[] Expanded()
    {
        int size = GroupSize, n = 0;
        int[] indices = GC.AllocateUninitializedArray<int>(Count);
        foreach (int group in _groups!.ColumnIndices)
        {
            int first = group * size, end = n + size;
            Vector<int> run = Vector<int>.Indices + new Vector<int>(first);
            for (int start = n; n <= end - Vector<int>.Count; n += Vector<int>.Count)
                (run + new Vector<int>(n - start)).CopyTo(indices, n);
            for (; n < end; n++)
                indices[n] = first + size - (end - n);
        }
        return indices;
    }

    private static void CheckIndex(int index, int length, string name)
    {
        if ((uint)index >= (uint)length)
            throw new ArgumentOutOfRangeException(name, index, $"A {name} index is from 0 to {length - 1}.");
    }

    private void Check()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(Rows, "rows");
        ArgumentOutOfRangeException.ThrowIfNegative(Columns, "columns");
        if (_rowOffsets.Length != (long)Rows + 1)
            throw new ArgumentException($"{Rows} rows need {(long)Rows + 1} offsets, not {_rowOffsets.Length}.", "rowOffsets");
        if (_rowOffsets[0] != 0 || _rowOffsets[^1] != Count)
            throw new ArgumentException($"Offsets run from 0 to {Count} (the number of indices), not from {_rowOffsets[0]} to {_rowOffsets[^1]}.", "rowOffsets");
        for (int row = 0; row < Rows; row++)
        {
            if (_rowOffsets[row + 1] < _rowOffsets[row] || _rowOffsets[row + 1] > Count)
                throw new ArgumentException($"Offset {_rowOffsets[row + 1]} after row {row} is less than the one before it or more than {Count}.", "rowOffsets");
        }
        for (int row = 0; row < Rows; row++)
        {
            int previous = -1;
            foreach (int column in Indices.AsSpan(_rowOffsets[row].._rowOffsets[row + 1]))
            {
                if (column <= previous || column >= Columns)
                    throw new ArgumentException($"Row {row} has column {column} after {previous}: indices ascend strictly within 0 to {Columns - 1}.", "columnIndices");
                previous = column;
            }
        }
    }
}
