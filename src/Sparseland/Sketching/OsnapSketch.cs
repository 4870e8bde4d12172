using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Sketching;

/// <summary>
/// OSNAP (Nelson and Nguyen 2013, block construction): the m rows are s blocks of m/s, and every column has one random +-1/sqrt(s) in each
/// block. S X costs s additions per number of X.
/// </summary>
public class OsnapSketch : Sketch
{
    private const int ChunkColumns = 32;
    private readonly int[] _rows;
    private readonly ulong[] _signs;
    private readonly double _scale;

    /// <summary>Fixes the draw.</summary>
    /// <param name="rows">m, a multiple of s.</param>
    /// <param name="inputs">n, at least 1.</param>
    /// <param name="perColumn">s, non-zeros in each column.</param>
    /// <param name="seed">Seed.</param>
    /// <exception cref="ArgumentException">A size below 1, or s does not divide m.</exception>
    public OsnapSketch(int rows, int inputs, int perColumn, long seed)
        : base(rows, inputs)
    {
        if (perColumn < 1 || perColumn > rows || rows % perColumn != 0)
            throw new ArgumentOutOfRangeException(nameof(perColumn), perColumn, $"The non-zeros per column must divide the {rows} rows into equal blocks.");
        if ((long)inputs * perColumn > int.MaxValue)
            throw new ArgumentOutOfRangeException(nameof(inputs), inputs, $"{inputs} columns of {perColumn} non-zeros are more than 2^31 - 1 entries.");
        PerColumn = perColumn;
        var random = new SeededRandom(seed, SketchDraws.Rows);
        int block = rows / perColumn;
        _rows = new int[inputs * perColumn];
        for (int at = 0; at < _rows.Length;)
        {
            for (int k = 0; k < perColumn; k++, at++) _rows[at] = (k * block) + random.NextInt(block);
        }

        _signs = SketchDraws.SignBits(_rows.Length, seed, SketchDraws.Signs);
        _scale = 1 / Math.Sqrt(perColumn);
    }

    /// <inheritdoc/>
    public override string Name => $"OSNAP({PerColumn})";

    /// <summary>s, non-zeros in each column.</summary>
    public int PerColumn { get; }

    /// <summary>The rows of a column's non-zeros, one in each block.</summary>
    /// <param name="j">Which column.</param>
    public ReadOnlySpan<int> RowsOf(int j) => _rows.AsSpan(j * PerColumn, PerColumn);

    // A thread has some columns and walks all rows: every sum has one order, whatever the number of threads.
    private protected override unsafe void Multiply(Tensor X, Tensor result)
    {
        int columns = (int)X.shape[1], chunks = (columns + ChunkColumns - 1) / ChunkColumns;
        nint from = (nint)TensorMemory.Address(X), to = (nint)TensorMemory.Address(result);
        Pieces.Each(chunks, c =>
        {
            int first = (int)(c * columns / chunks), width = (int)((c + 1) * columns / chunks) - first;
            for (int j = 0, at = 0; j < Inputs; j++)
            {
                double* row = (double*)from + ((long)j * columns) + first;
                for (int k = 0; k < PerColumn; k++, at++)
                    SrhtSketch.Add(row, (double*)to + ((long)_rows[at] * columns) + first, width, _scale * SketchDraws.Sign(_signs, at));
            }
        });
    }

    private protected override void Transposed(ReadOnlySpan<double> r, Span<double> q)
    {
        for (int j = 0, at = 0; j < Inputs; j++)
        {
            for (int k = 0; k < PerColumn; k++, at++) q[j] += _scale * SketchDraws.Sign(_signs, at) * r[_rows[at]];
        }
    }

    private protected override void Column(int j, Span<double> column)
    {
        for (int at = j * PerColumn; at < (j + 1) * PerColumn; at++) column[_rows[at]] = _scale * SketchDraws.Sign(_signs, at);
    }
}

/// <summary>CountSketch (Clarkson and Woodruff 2013): one random row and sign for every column, OSNAP with s = 1. S X costs one addition per number.</summary>
public sealed class CountSketch : OsnapSketch
{
    /// <summary>Fixes the draw.</summary>
    /// <param name="rows">m, at least 1.</param>
    /// <param name="inputs">n, at least 1.</param>
    /// <param name="seed">Seed.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size below 1.</exception>
    public CountSketch(int rows, int inputs, long seed)
        : base(rows, inputs, 1, seed)
    {
    }

    /// <inheritdoc/>
    public override string Name => "CountSketch";
}
