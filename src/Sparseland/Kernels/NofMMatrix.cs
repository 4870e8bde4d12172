using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>N values of every M consecutive columns of a row, and where in the M each stands: 2:4, 4:8, 16:64.</summary>
/// <remarks>
/// Bytes: rows columns N / M (4 + b / 8) with b = 1, 2, 4 or 8, the least that holds M - 1, rounded up to bytes per row: 2:4 takes 2 bits a value. Positions ascend
/// within M columns; where fewer than N are kept, value 0 at a free position stands in, which the product multiplies with x.
/// </remarks>
public sealed unsafe class NofMMatrix : SparseMatrix
{
    private readonly float[] _values;
    private readonly byte[] _positions;

    private NofMMatrix(int rows, int columns, int n, int m, float[] values, byte[] positions)
        : base(rows, columns) => (N, M, _values, _positions) = (n, m, values, positions);

    /// <summary>Values of M columns.</summary>
    public int N { get; }

    /// <summary>Columns that N values are stored of.</summary>
    public int M { get; }

    /// <summary>Bits of a stored position.</summary>
    public int PositionBits => BitsFor(M);

    /// <inheritdoc/>
    public override long Count => _values.Length;

    /// <inheritdoc/>
    public override long Bytes => (sizeof(float) * Count) + _positions.Length;

    /// <inheritdoc/>
    public override string Format => "nofm";

    private protected override bool Pads => true;

    internal override IReadOnlyDictionary<string, int> Settings => new Dictionary<string, int> { ["n"] = N, ["m"] = M };

    private protected override int LongestRow => Columns / M * N;

    private int RowBytes => BytesOfRow(Columns, N, M);

    /// <summary>Takes a support and its values.</summary>
    /// <param name="support">Places [rows, columns], at most n in every m consecutive columns.</param>
    /// <param name="values">[Count] in the order of <see cref="Support.ColumnIndices"/>, Float32; copied.</param>
    /// <param name="n">N, from 1 to m.</param>
    /// <param name="m">M, from 2 to 256; it divides the columns.</param>
    /// <exception cref="ArgumentException">A shape, type or number does not fit, or more than n of m columns are kept somewhere.</exception>
    public static NofMMatrix From(Support support, Tensor values, int n, int m)
    {
        Check(support?.Columns ?? throw new ArgumentNullException(nameof(support)), n, m);
        float[] kept = Copied(support, values);
        int perRow = support.Columns / m * n, rowBytes = BytesOfRow(support.Columns, n, m), bits = BitsFor(m);
        float[] packed = new float[checked(support.Rows * perRow)];
        byte[] positions = new byte[checked(support.Rows * rowBytes)];
        Span<int> chosen = stackalloc int[m];
        for (int row = 0, k = 0; row < support.Rows; row++)
        {
            ReadOnlySpan<int> columns = support.Row(row);
            int at = 0;
            for (int group = 0; group < support.Columns / m; group++)
            {
                int first = at;
                while (at < columns.Length && columns[at] < (group + 1) * m) at++;
                if (at - first > n) throw new ArgumentException($"Row {row} keeps {at - first} of columns {group * m} to {((group + 1) * m) - 1}; {n}:{m} holds {n} at most.", nameof(support));
                int count = Complete(columns[first..at], group * m, n, chosen);
                for (int i = 0, next = first; i < count; i++)
                {
                    int slot = (group * n) + i;
                    positions[(row * rowBytes) + (slot * bits / 8)] |= (byte)(chosen[i] << (slot * bits % 8));
                    if (next < at && columns[next] == (group * m) + chosen[i]) packed[(row * perRow) + slot] = kept[k + next++];
                }
            }

            k += columns.Length;
        }

        return new(support.Rows, support.Columns, n, m, packed, positions);
    }

    /// <summary>Packs a CSR matrix.</summary>
    /// <param name="matrix">The matrix, with at most n entries in every m consecutive columns.</param>
    /// <param name="n">N, from 1 to m.</param>
    /// <param name="m">M, from 2 to 256; it divides the columns.</param>
    /// <exception cref="ArgumentException">As for <see cref="From"/>.</exception>
    public static NofMMatrix FromCsr(CsrMatrix matrix, int n, int m)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        using DisposeScope scope = NewDisposeScope();
        return From(matrix.ToSupport(), tensor(matrix.Values.ToArray()), n, m);
    }

    /// <summary>Stores the numbers that are not zero.</summary>
    /// <param name="weight">Float32 [rows, columns], on the CPU, at most n of every m consecutive columns not zero.</param>
    /// <param name="n">N, from 1 to m.</param>
    /// <param name="m">M, from 2 to 256; it divides the columns.</param>
    /// <exception cref="ArgumentException">As for <see cref="From"/>.</exception>
    public static NofMMatrix FromDense(Tensor weight, int n, int m)
    {
        using DisposeScope scope = NewDisposeScope();
        (Support support, Tensor values) = NonZeros(weight);
        return From(support, values, n, m);
    }

    internal override Dictionary<string, Tensor> Arrays() => new() { ["values"] = tensor(_values), ["positions"] = tensor(_positions) };

    internal static NofMMatrix FromArrays(int rows, int columns, int n, int m, ArrayReader arrays)
    {
        arrays.Checked(() =>
        {
            Check(columns, n, m);
            return true;
        });
        var matrix = new NofMMatrix(rows, columns, n, m, arrays.Get<float>("values", (long)rows * (columns / m) * n), arrays.Get<byte>("positions", (long)rows * BytesOfRow(columns, n, m)));
        for (int row = 0; row < rows; row++)
        {
            for (int slot = 0; slot < matrix.LongestRow; slot++)
            {
                int position = matrix.Position(row, slot);
                if (position >= m || (slot % n > 0 && position <= matrix.Position(row, slot - 1)))
                    throw arrays.Misfit($"Row {row} has position {position} at {slot}; positions of {n}:{m} ascend within 0 to {m - 1}.");
            }
        }

        return matrix;
    }

    private protected override int ReadRow(int row, int* places, float* values)
    {
        int perRow = LongestRow;
        for (int slot = 0; slot < perRow; slot++)
        {
            places[slot] = (slot / N * M) + Position(row, slot);
            values[slot] = _values[((long)row * perRow) + slot];
        }

        return perRow;
    }

    private protected override void Products(float* x, float* scratch, float* y, int from, int to)
    {
        int perRow = LongestRow;
        int[]? places = (N, M) == (2, 4) ? null : new int[perRow];
        float[]? copy = places is null ? null : new float[perRow];
        fixed (int* p = places)
        fixed (float* c = copy)
        fixed (float* values = _values)
        fixed (byte* positions = _positions)
        {
            for (int row = from; row < to; row++)
            {
                if (places is null) y[row] = TwoOfFour(x, values + ((long)row * perRow), positions + ((long)row * RowBytes), perRow, Path);
                else y[row] = SparseDots.Gather(x, p, values + ((long)row * perRow), ReadRow(row, p, c), Path);
            }
        }
    }

    // Sixteen values stand for 32 columns: one permutation of two vectors of x picks all of them.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float TwoOfFour(float* x, float* values, byte* positions, int n, KernelPath path)
    {
        int k = 0;
        float sum = 0;
        if (path == KernelPath.Vector512)
        {
            Vector512<uint> shifts = Vector512.Create(0u, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), three = Vector512.Create(3u);
            Vector512<uint> first = Vector512.Create(0u, 0, 4, 4, 8, 8, 12, 12, 16, 16, 20, 20, 24, 24, 28, 28);
            Vector512<float> wide = default;
            for (; k + 16 <= n; k += 16)
            {
                Vector512<uint> at = first + (Avx512F.ShiftRightLogicalVariable(Vector512.Create(*(uint*)(positions + (k / 4))), shifts) & three);
                Vector512<float> picked = Avx512F.PermuteVar16x32x2(Vector512.Load(x + (2 * k)), at.AsInt32(), Vector512.Load(x + (2 * k) + 16));
                wide = Vector512.FusedMultiplyAdd(Vector512.Load(values + k), picked, wide);
            }

            sum = Vector512.Sum(wide);
        }

        if (path >= KernelPath.Vector256)
        {
            Vector256<uint> shifts = Vector256.Create(0u, 2, 4, 6, 8, 10, 12, 14), three = Vector256.Create(3u), first = Vector256.Create(0u, 0, 4, 4, 8, 8, 12, 12);
            Vector256<float> narrow = default;
            for (; k + 8 <= n; k += 8)
            {
                Vector256<uint> at = first + (Avx2.ShiftRightLogicalVariable(Vector256.Create((uint)*(ushort*)(positions + (k / 4))), shifts) & three);
                narrow = Vector256.FusedMultiplyAdd(Vector256.Load(values + k), Avx2.GatherVector256(x + (2 * k), at.AsInt32(), sizeof(float)), narrow);
            }

            sum += Vector256.Sum(narrow);
        }

        for (; k < n; k++) sum = MathF.FusedMultiplyAdd(values[k], x[(k / 2 * 4) + ((positions[k / 4] >> (2 * (k % 4))) & 3)], sum);
        return sum;
    }

    /// <summary>The kept positions of a group and the lowest free ones, n in all, ascending.</summary>
    private static int Complete(ReadOnlySpan<int> columns, int first, int n, Span<int> chosen)
    {
        int count = 0, free = n - columns.Length, next = 0;
        for (int position = 0; count < n; position++)
        {
            if (next < columns.Length && columns[next] == first + position) next++;
            else if (free-- <= 0) continue;
            chosen[count++] = position;
        }

        return count;
    }

    private int Position(int row, int slot) => (_positions[((long)row * RowBytes) + (slot * PositionBits / 8)] >> (slot * PositionBits % 8)) & ((1 << PositionBits) - 1);

    internal static int BitsFor(int m) => m <= 2 ? 1 : m <= 4 ? 2 : m <= 16 ? 4 : 8;

    private static int BytesOfRow(int columns, int n, int m) => ((columns / m * n * BitsFor(m)) + 7) / 8;

    private static void Check(int columns, int n, int m)
    {
        if (m is < 2 or > 256) throw new ArgumentOutOfRangeException(nameof(m), m, "m must be from 2 to 256.");
        if (n < 1 || n > m) throw new ArgumentOutOfRangeException(nameof(n), n, $"n must be from 1 to m = {m}.");
        if (columns % m != 0) throw new ArgumentException($"m = {m} must divide the {columns} columns.", nameof(m));
    }
}
