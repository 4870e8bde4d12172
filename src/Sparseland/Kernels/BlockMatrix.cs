using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>Block sparse rows (BSR): blocks of some rows and columns are stored whole or not at all.</summary>
/// <remarks>
/// Bytes: blocks (4 blockRows blockColumns + i) + 4 (rows / blockRows + 1), i = 2 up to 65,536 columns of blocks and 4 above. A block with one kept weight is stored
/// whole, its other weights as zeros, which the product multiplies with x.
/// </remarks>
public sealed unsafe class BlockMatrix : SparseMatrix
{
    private readonly Support _blocks;
    private readonly float[] _values;

    private BlockMatrix(Support blocks, int blockRows, int blockColumns, float[] values)
        : base(blocks.Rows * blockRows, blocks.Columns * blockColumns)
    {
        (_blocks, BlockRows, BlockColumns, _values) = (blocks, blockRows, blockColumns, values);
        LongestRow = blocks.Rows == 0 ? 0 : blocks.CountsPerRow().Max() * blockColumns;
    }

    /// <summary>Rows of a block.</summary>
    public int BlockRows { get; }

    /// <summary>Columns of a block.</summary>
    public int BlockColumns { get; }

    /// <summary>Which blocks are stored, as a support of [rows / blockRows, columns / blockColumns].</summary>
    public Support Blocks => _blocks;

    /// <inheritdoc/>
    public override long Count => _values.Length;

    /// <inheritdoc/>
    public override long Bytes => ((long)_blocks.Count * ((sizeof(float) * BlockRows * BlockColumns) + (Short ? sizeof(ushort) : sizeof(int)))) + (sizeof(int) * ((long)_blocks.Rows + 1));

    /// <inheritdoc/>
    public override string Format => "blocks";

    internal override IReadOnlyDictionary<string, int> Settings => new Dictionary<string, int> { ["block_rows"] = BlockRows, ["block_columns"] = BlockColumns };

    private protected override bool Pads => true;

    private protected override int RowUnit => BlockRows;

    private protected override int LongestRow { get; }

    private bool Short => _blocks.Columns <= ushort.MaxValue + 1;

    /// <summary>Takes a support and its values: blocks with at least one entry are stored.</summary>
    /// <param name="support">Places [rows, columns].</param>
    /// <param name="values">[Count] in the order of <see cref="Support.ColumnIndices"/>, Float32; copied.</param>
    /// <param name="blockRows">Rows of a block; it divides the rows.</param>
    /// <param name="blockColumns">Columns of a block; it divides the columns.</param>
    /// <exception cref="ArgumentException">A shape, type or number does not fit.</exception>
    public static BlockMatrix From(Support support, Tensor values, int blockRows, int blockColumns)
    {
        ArgumentNullException.ThrowIfNull(support);
        Divides(blockRows, support.Rows, nameof(blockRows), "rows");
        Divides(blockColumns, support.Columns, nameof(blockColumns), "columns");
        float[] kept = Copied(support, values);
        Support blocks = BlocksOf(support, blockRows, blockColumns);
        int size = blockRows * blockColumns;
        float[] stored = new float[checked(blocks.Count * size)];
        for (int row = 0, k = 0; row < support.Rows; row++)
        {
            ReadOnlySpan<int> inRow = blocks.Row(row / blockRows);
            int at = 0, first = blocks.RowOffsets[row / blockRows];
            foreach (int column in support.Row(row))
            {
                while (inRow[at] < column / blockColumns) at++;
                stored[((first + at) * size) + (row % blockRows * blockColumns) + (column % blockColumns)] = kept[k++];
            }
        }

        return new(blocks, blockRows, blockColumns, stored);
    }

    /// <summary>Packs a CSR matrix: blocks with at least one entry are stored.</summary>
    /// <param name="matrix">The matrix.</param>
    /// <param name="blockRows">Rows of a block; it divides the rows.</param>
    /// <param name="blockColumns">Columns of a block; it divides the columns.</param>
    /// <exception cref="ArgumentException">As for <see cref="From"/>.</exception>
    public static BlockMatrix FromCsr(CsrMatrix matrix, int blockRows, int blockColumns)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        using DisposeScope scope = NewDisposeScope();
        return From(matrix.ToSupport(), tensor(matrix.Values.ToArray()), blockRows, blockColumns);
    }

    /// <summary>Stores the blocks with a number that is not zero.</summary>
    /// <param name="weight">Float32 [rows, columns], on the CPU.</param>
    /// <param name="blockRows">Rows of a block; it divides the rows.</param>
    /// <param name="blockColumns">Columns of a block; it divides the columns.</param>
    /// <exception cref="ArgumentException">As for <see cref="From"/>.</exception>
    public static BlockMatrix FromDense(Tensor weight, int blockRows, int blockColumns)
    {
        using DisposeScope scope = NewDisposeScope();
        (Support support, Tensor values) = NonZeros(weight);
        return From(support, values, blockRows, blockColumns);
    }

    internal override Dictionary<string, Tensor> Arrays() => new()
    {
        ["row_offsets"] = tensor(_blocks.RowOffsets.ToArray()),
        ["column_indices"] = Short ? ArrayTensors.Of(Array.ConvertAll(_blocks.ColumnIndices.ToArray(), column => (ushort)column)) : tensor(_blocks.ColumnIndices.ToArray()),
        ["values"] = tensor(_values),
    };

    internal static BlockMatrix FromArrays(int rows, int columns, int blockRows, int blockColumns, ArrayReader arrays)
    {
        arrays.Checked(() =>
        {
            Divides(blockRows, rows, nameof(blockRows), "rows");
            Divides(blockColumns, columns, nameof(blockColumns), "columns");
            return true;
        });
        (int down, int across) = (rows / blockRows, columns / blockColumns);
        int[] indices = across <= ushort.MaxValue + 1 ? Array.ConvertAll(arrays.Get<ushort>("column_indices"), column => (int)column) : arrays.Get<int>("column_indices");
        Support blocks = arrays.Checked(() => new Support(down, across, arrays.Get<int>("row_offsets", down + 1), indices));
        return new(blocks, blockRows, blockColumns, arrays.Get<float>("values", (long)blocks.Count * blockRows * blockColumns));
    }

    private protected override int ReadRow(int row, int* places, float* values)
    {
        int n = 0, block = _blocks.RowOffsets[row / BlockRows];
        foreach (int column in _blocks.Row(row / BlockRows))
        {
            long first = ((((long)block++ * BlockRows) + (row % BlockRows)) * BlockColumns);
            for (int c = 0; c < BlockColumns; c++, n++) (places[n], values[n]) = ((column * BlockColumns) + c, _values[first + c]);
        }

        return n;
    }

    private protected override void Products(float* x, float* scratch, float* y, int from, int to)
    {
        ReadOnlySpan<int> offsets = _blocks.RowOffsets;
        fixed (int* columns = _blocks.ColumnIndices)
        fixed (float* values = _values)
        {
            for (int row = from; row < to; row += BlockRows)
            {
                (int first, int count) = (offsets[row / BlockRows], offsets[(row / BlockRows) + 1] - offsets[row / BlockRows]);
                float* blocks = values + ((long)first * BlockRows * BlockColumns);
                if (BlockColumns == 1) Tall(columns + first, blocks, count, BlockRows, x, y + row, Path);
                else for (int r = 0; r < BlockRows; r++) y[row + r] = RowOf(columns + first, blocks + (r * BlockColumns), count, BlockRows * BlockColumns, BlockColumns, x, Path);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float RowOf(int* columns, float* values, int count, int stride, int width, float* x, KernelPath path)
    {
        Vector512<float> wide = default;
        Vector256<float> narrow = default;
        float rest = 0;
        for (int b = 0; b < count; b++, values += stride) SparseDots.Run(values, x + ((long)columns[b] * width), width, path, ref wide, ref narrow, ref rest);
        return path == KernelPath.Scalar ? rest : Vector512.Sum(wide) + Vector256.Sum(narrow) + rest;
    }

    // Blocks of one column: a number of x serves all rows of the block, which lie next to each other.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tall(int* columns, float* values, int count, int height, float* x, float* y, KernelPath path)
    {
        int r = 0;
        for (; path == KernelPath.Vector512 && r + 16 <= height; r += 16)
        {
            Vector512<float> sum = default;
            for (int b = 0; b < count; b++) sum = Vector512.FusedMultiplyAdd(Vector512.Load(values + ((long)b * height) + r), Vector512.Create(x[columns[b]]), sum);
            sum.Store(y + r);
        }

        for (; path >= KernelPath.Vector256 && r + 8 <= height; r += 8)
        {
            Vector256<float> sum = default;
            for (int b = 0; b < count; b++) sum = Vector256.FusedMultiplyAdd(Vector256.Load(values + ((long)b * height) + r), Vector256.Create(x[columns[b]]), sum);
            sum.Store(y + r);
        }

        for (; r < height; r++)
        {
            float sum = 0;
            for (int b = 0; b < count; b++) sum = MathF.FusedMultiplyAdd(values[((long)b * height) + r], x[columns[b]], sum);
            y[r] = sum;
        }
    }

    /// <summary>Blocks that hold at least one place.</summary>
    private static Support BlocksOf(Support support, int blockRows, int blockColumns)
    {
        int down = support.Rows / blockRows, across = support.Columns / blockColumns;
        int[] offsets = new int[down + 1];
        var indices = new List<int>();
        bool[] hit = new bool[across];
        for (int block = 0; block < down; block++)
        {
            Array.Clear(hit);
            for (int row = block * blockRows; row < (block + 1) * blockRows; row++)
            {
                foreach (int column in support.Row(row)) hit[column / blockColumns] = true;
            }

            for (int c = 0; c < across; c++)
            {
                if (hit[c]) indices.Add(c);
            }

            offsets[block + 1] = indices.Count;
        }

        return Support.Trusted(down, across, offsets, [.. indices]);
    }

    private static void Divides(int size, int length, string name, string what)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size, name);
        if (length % size != 0) throw new ArgumentException($"{name} = {size} must divide the {length} {what}.", name);
    }
}
