using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>One bit per place that says whether a value is stored, and the values in the order of the bits: no indices, and no gather in the product.</summary>
/// <remarks>
/// Bytes: 4 nnz + rows columns / 8, columns rounded up to 16. Where each row's values begin (4 (rows + 1) bytes in memory) is counted from the bits when a file is
/// read. Bit j of word w of a row is column 16 w + j. A stored zero is an entry.
/// </remarks>
public sealed unsafe class BitmapMatrix : SparseMatrix
{
    private const int Lanes = 16;
    private readonly ushort[] _bits;
    private readonly int[] _offsets;

    // Sixteen more than there are: the last ones are read whole.
    private readonly float[] _values;

    private BitmapMatrix(int rows, int columns, ushort[] bits, float[] values)
        : base(rows, columns)
    {
        (_bits, _values, _offsets) = (bits, [.. values, .. new float[Lanes]], new int[rows + 1]);
        for (int row = 0; row < rows; row++)
        {
            int count = 0;
            foreach (ushort word in bits.AsSpan(row * Words, Words)) count += BitOperations.PopCount(word);
            (_offsets[row + 1], LongestRow) = (_offsets[row] + count, Math.Max(LongestRow, count));
        }
    }

    /// <inheritdoc/>
    public override long Count => _values.Length - Lanes;

    /// <inheritdoc/>
    public override long Bytes => (sizeof(float) * Count) + (sizeof(ushort) * (long)_bits.Length);

    /// <inheritdoc/>
    public override string Format => "bitmap";

    private protected override int LongestRow { get; }

    private protected override int ScratchLength => Columns % Lanes == 0 ? 0 : Words * Lanes;

    private int Words => (Columns + Lanes - 1) / Lanes;

    /// <summary>Takes a support and its values.</summary>
    /// <param name="support">Places [rows, columns].</param>
    /// <param name="values">[Count] in the order of <see cref="Support.ColumnIndices"/>, Float32; copied.</param>
    /// <exception cref="ArgumentException">A shape or type does not fit.</exception>
    public static BitmapMatrix From(Support support, Tensor values)
    {
        float[] kept = Copied(support, values);
        int words = (support.Columns + Lanes - 1) / Lanes;
        ushort[] bits = new ushort[checked(support.Rows * words)];
        for (int row = 0; row < support.Rows; row++)
        {
            foreach (int column in support.Row(row)) bits[(row * words) + (column / Lanes)] |= (ushort)(1 << (column % Lanes));
        }

        return new(support.Rows, support.Columns, bits, kept);
    }

    /// <summary>Packs a CSR matrix.</summary>
    /// <param name="matrix">The matrix.</param>
    public static BitmapMatrix FromCsr(CsrMatrix matrix)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        using DisposeScope scope = NewDisposeScope();
        return From(matrix.ToSupport(), tensor(matrix.Values.ToArray()));
    }

    /// <summary>Stores the numbers that are not zero.</summary>
    /// <param name="weight">Float32 [rows, columns], on the CPU.</param>
    /// <exception cref="ArgumentException">Another shape, type or device.</exception>
    public static BitmapMatrix FromDense(Tensor weight)
    {
        using DisposeScope scope = NewDisposeScope();
        (Support support, Tensor values) = NonZeros(weight);
        return From(support, values);
    }

    internal override Dictionary<string, Tensor> Arrays() => new() { ["bits"] = ArrayTensors.Of(_bits), ["values"] = tensor(_values[..^Lanes]) };

    internal static BitmapMatrix FromArrays(int rows, int columns, ArrayReader arrays)
    {
        int words = (columns + Lanes - 1) / Lanes;
        ushort[] bits = arrays.Get<ushort>("bits", (long)rows * words);
        if (columns % Lanes != 0)
        {
            for (int row = 0; row < rows; row++)
            {
                if (bits[(row * words) + words - 1] >> (columns % Lanes) != 0) throw arrays.Misfit($"Row {row} of the bitmap has a bit beyond column {columns - 1}.");
            }
        }

        return new(rows, columns, bits, arrays.Get<float>("values", bits.Sum(word => (long)BitOperations.PopCount(word))));
    }

    private protected override int ReadRow(int row, int* places, float* values)
    {
        int n = 0, from = _offsets[row];
        for (int w = 0; w < Words; w++)
        {
            for (uint word = _bits[(row * Words) + w]; word != 0; word &= word - 1, n++)
            {
                places[n] = (w * Lanes) + BitOperations.TrailingZeroCount(word);
                values[n] = _values[from + n];
            }
        }

        return n;
    }

    private protected override void Prepare(float* x, float* scratch)
    {
        if (scratch != null) new ReadOnlySpan<float>(x, Columns).CopyTo(new(scratch, Columns));
    }

    private protected override void Products(float* x, float* scratch, float* y, int from, int to)
    {
        if (scratch != null) x = scratch;
        fixed (ushort* bits = _bits)
        fixed (float* values = _values)
        {
            for (int row = from; row < to; row++)
            {
                ushort* words = bits + ((long)row * Words);
                y[row] = Path == KernelPath.Vector512 ? Expanded(words, values + _offsets[row], x, Words) : OneByOne(words, values + _offsets[row], x, Words);
            }
        }
    }

    // Values are spread to where their bits stand, so that x is read in order. x is masked as well: what is not stored is not multiplied, be it infinite.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Expanded(ushort* words, float* values, float* x, int n)
    {
        Vector512<int> lanes = Vector512.Create(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768);
        Vector512<float> a = default, b = default;
        int w = 0;
        for (; w + 2 <= n; w += 2)
        {
            a = Add(words[w], values, x + (w * Lanes), lanes, a);
            values += BitOperations.PopCount(words[w]);
            b = Add(words[w + 1], values, x + ((w + 1) * Lanes), lanes, b);
            values += BitOperations.PopCount(words[w + 1]);
        }

        if (w < n) a = Add(words[w], values, x + (w * Lanes), lanes, a);
        return Vector512.Sum(a + b);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Add(ushort word, float* values, float* x, Vector512<int> lanes, Vector512<float> sum)
    {
        Vector512<float> mask = Vector512.Equals(Vector512.Create((int)word) & lanes, lanes).AsSingle();
        Vector512<float> spread = Avx512F.Expand(Vector512<float>.Zero, mask, Vector512.Load(values));
        return Vector512.FusedMultiplyAdd(spread, Vector512.ConditionalSelect(mask, Vector512.Load(x), Vector512<float>.Zero), sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float OneByOne(ushort* words, float* values, float* x, int n)
    {
        float sum = 0;
        for (int w = 0; w < n; w++, x += Lanes)
        {
            for (uint word = words[w]; word != 0; word &= word - 1) sum = MathF.FusedMultiplyAdd(*values++, x[BitOperations.TrailingZeroCount(word)], sum);
        }

        return sum;
    }
}
