using System.Numerics;
using System.Runtime.CompilerServices;

namespace Sparseland.AssociativeMemory;

/// <summary>
/// Binary weights, one row per source and one bit per target. The sum of chosen rows, which is the support of every target at once,
/// is counted with carry-save adders over whole words: bit p of 64 counters stands in one word, so one addition serves 64 targets.
/// </summary>
public sealed partial class BitMatrix
{
    internal const int WordBits = 64;

    /// <summary>Rows are padded to this many words, a multiple of every vector width, so that the kernels have no rest.</summary>
    private const int RowAlignment = 8;

    private readonly ulong[] words;

    /// <summary>A matrix of zeros.</summary>
    /// <param name="rows">Sources, at least 1.</param>
    /// <param name="columns">Targets, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is below 1, or the bits do not fit one array.</exception>
    public BitMatrix(int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        Rows = rows;
        Columns = columns;
        Stride = (columns + (WordBits * RowAlignment) - 1) / (WordBits * RowAlignment) * RowAlignment;
        if ((long)rows * Stride > Array.MaxLength)
            throw new ArgumentOutOfRangeException(nameof(rows), rows, $"{rows} x {columns} bits do not fit one array.");
        words = new ulong[(long)rows * Stride];
    }

    /// <summary>Sources.</summary>
    public int Rows { get; }

    /// <summary>Targets.</summary>
    public int Columns { get; }

    /// <summary>Number of ones.</summary>
    public long Count
    {
        get
        {
            long count = 0;
            foreach (ulong word in words) count += BitOperations.PopCount(word);
            return count;
        }
    }

    /// <summary>Share of ones.</summary>
    public double Density => (double)Count / ((long)Rows * Columns);

    /// <summary>Words of one row, the padding included.</summary>
    internal int Stride { get; }

    /// <summary>One bit.</summary>
    /// <param name="row">From 0.</param>
    /// <param name="column">From 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">Outside the matrix.</exception>
    public bool this[int row, int column]
    {
        get
        {
            Check(row, column);
            return (words[((long)row * Stride) + (column / WordBits)] >> (column % WordBits) & 1) != 0;
        }

        set
        {
            Check(row, column);
            ref ulong word = ref words[((long)row * Stride) + (column / WordBits)];
            ulong bit = 1UL << (column % WordBits);
            word = value ? word | bit : word & ~bit;
        }
    }

    /// <summary>How many of the chosen rows have a one, for each column.</summary>
    /// <param name="rows">Row numbers; a row named twice counts twice.</param>
    /// <param name="counts">[columns], overwritten.</param>
    /// <exception cref="ArgumentException">A row is outside the matrix, or the length is not the number of columns.</exception>
    public void CountOver(ReadOnlySpan<int> rows, Span<int> counts)
    {
        CheckRows(rows, counts.Length);
        CountVector(rows, counts);
    }

    /// <summary>The same as <see cref="CountOver"/>, bit by bit: the reference that the vector path is tested against.</summary>
    /// <param name="rows">Row numbers; a row named twice counts twice.</param>
    /// <param name="counts">[columns], overwritten.</param>
    /// <exception cref="ArgumentException">A row is outside the matrix, or the length is not the number of columns.</exception>
    public void CountOverScalar(ReadOnlySpan<int> rows, Span<int> counts)
    {
        CheckRows(rows, counts.Length);
        counts.Clear();
        foreach (int row in rows)
        {
            ReadOnlySpan<ulong> words = Row(row);
            for (int column = 0; column < counts.Length; column++)
                counts[column] += (int)((words[column / WordBits] >> (column % WordBits)) & 1);
        }
    }

    /// <summary>Ones per column.</summary>
    public int[] ColumnCounts()
    {
        var all = new int[Rows];
        for (int row = 0; row < Rows; row++) all[row] = row;
        var counts = new int[Columns];
        CountVector(all, counts);
        return counts;
    }

    /// <summary>The words of one row, column c in bit c % 64 of word c / 64; bits beyond the last column are 0.</summary>
    internal Span<ulong> Row(int row) => words.AsSpan(row * Stride, Stride);

    private void Check(int row, int column)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, Rows);
        ArgumentOutOfRangeException.ThrowIfNegative(column);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(column, Columns);
    }

    private void CheckRows(ReadOnlySpan<int> rows, int length, [CallerArgumentExpression(nameof(rows))] string name = "")
    {
        if (length != Columns) throw new ArgumentException($"There are {length} counts for {Columns} columns.", "counts");
        foreach (int row in rows)
        {
            if ((uint)row >= (uint)Rows) throw new ArgumentOutOfRangeException(name, row, $"Row {row} is outside 0 .. {Rows - 1}.");
        }
    }
}
