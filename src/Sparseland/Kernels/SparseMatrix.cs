using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>
/// A weight matrix W [rows, columns] in a compressed format, for inference: y = W x and Y = X W^T without the dense matrix ever being there. Immutable; its arrays
/// are managed memory, so there is nothing to dispose.
/// </summary>
/// <remarks>
/// Values are float32 and so are sums. Each number of a result is summed by one thread in an order that the matrix alone sets: results do not depend on the number
/// of threads, which is libtorch's. One vector and a batch of them are summed in different orders and agree up to rounding. Places that are not stored are not multiplied, whatever
/// stands there in x; padding (see the formats) is.
/// </remarks>
public abstract unsafe class SparseMatrix
{
    // So many multiplications are worth handing to another thread.
    private const long OneThread = 1 << 16;
    private const int MostChunks = 256;
    private const int Strip = 16;
    private const int MostPanel = 8 * Strip;

    private protected SparseMatrix(int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        (Rows, Columns) = (rows, columns);
    }

    /// <summary>Rows: outputs of the layer.</summary>
    public int Rows { get; }

    /// <summary>Columns: inputs of the layer.</summary>
    public int Columns { get; }

    /// <summary>Weights that are stored, padding included.</summary>
    public abstract long Count { get; }

    /// <summary>Bytes of the arrays that hold the matrix in a file; each format says its formula.</summary>
    public abstract long Bytes { get; }

    /// <summary>Name of the format, as files have it: csr, csc, sell, bitmap, bitmap_tiles, tiled_csl, nofm, blocks, gqsa.</summary>
    public abstract string Format { get; }

    /// <summary>Which instructions are used; the widest by default.</summary>
    internal KernelPath Path { get; set; } = KernelPaths.Widest;

    /// <summary>Rows that are computed together and never cut between threads.</summary>
    private protected virtual int RowUnit => 1;

    /// <summary>Entries of the longest row.</summary>
    private protected abstract int LongestRow { get; }

    /// <summary>Whether zeros stand in for places that are not stored, so that a stored zero cannot be told from them.</summary>
    private protected virtual bool Pads => false;

    /// <summary>Numbers that <see cref="Prepare"/> makes of x.</summary>
    private protected virtual int ScratchLength => 0;

    // Up to so many vectors go one by one; without AVX-512 a panel of four costs no more than two vectors.
    private int FewVectors => KernelPaths.Widest != KernelPath.Vector512 && Width(2) < Strip ? 1 : 3;

    /// <summary>y = W x.</summary>
    /// <param name="x">[columns].</param>
    /// <param name="y">[rows]; overwritten, and apart from x.</param>
    /// <exception cref="ArgumentException">A length does not fit, or the two overlap.</exception>
    public void Multiply(ReadOnlySpan<float> x, Span<float> y)
    {
        CheckVectors(x, y);
        float[] scratch = new float[ScratchLength];
        fixed (float* px = x, py = y, ps = scratch)
        {
            (nint ax, nint ay, nint s) = ((nint)px, (nint)py, (nint)ps);
            Prepare(px, ps);
            EachChunk(1, (from, to) => Products((float*)ax, (float*)s, (float*)ay, from, to));
        }
    }

    /// <summary>Y = X W^T, the product of a linear layer. No gradient is recorded.</summary>
    /// <param name="X">[..., columns], Float32, on the CPU.</param>
    /// <returns>[..., rows].</returns>
    /// <exception cref="ArgumentException">Another width, type or device.</exception>
    public Tensor Multiply(Tensor X)
    {
        CheckInput(X);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        long[] shape = [.. X.shape[..^1], Rows];
        long vectors = 1;
        foreach (long length in X.shape[..^1]) vectors *= length;
        Tensor rows = X.detach().reshape(vectors, Columns).contiguous();
        if (vectors <= FewVectors)
        {
            Tensor few = empty([vectors, Rows], dtype: ScalarType.Float32);
            for (int i = 0; i < vectors && Rows > 0; i++) Multiply(TensorMemory.Part<float>(TensorMemory.StartOf(rows), (long)i * Columns, Columns), TensorMemory.Part<float>(TensorMemory.StartOf(few), (long)i * Rows, Rows));
            return few.reshape(shape).MoveToOuterDisposeScope();
        }

        var parts = new List<Tensor>();
        for (long from = 0; from < vectors; from += MostPanel) parts.Add(Panel(rows.narrow(0, from, Math.Min(MostPanel, vectors - from))));
        return (parts.Count == 1 ? parts[0] : cat(parts, 0)).reshape(shape).MoveToOuterDisposeScope();
    }

    /// <summary>C = W B: the matrix times each column of B. No gradient is recorded.</summary>
    /// <param name="B">[columns, n], Float32, on the CPU.</param>
    /// <returns>[rows, n]; each number is summed in ascending order of the columns of W, one fused multiplication and addition after the other.</returns>
    /// <exception cref="ArgumentException">Another height, type or device.</exception>
    public Tensor Times(Tensor B)
    {
        CheckProduct(B, nameof(B));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        int n = checked((int)B.shape[1]), width = Width(n);
        Tensor dense = B.detach();
        if (width != n)
        {
            dense = zeros([Columns, width], dtype: ScalarType.Float32);
            dense.narrow(1, 0, n).copy_(B);
        }

        dense = dense.contiguous();
        Tensor result = empty([Rows, width], dtype: ScalarType.Float32);
        if (n > 0) Strips((float*)TensorMemory.Address(dense), (float*)TensorMemory.Address(result), width);
        return result.narrow(1, 0, n).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>The same matrix as compressed sparse rows. Formats that pad (tiled_csl, nofm, blocks) leave zeros out; the others keep stored ones.</summary>
    public CsrMatrix ToCsr()
    {
        if (this is CsrMatrix same) return same;
        int[] offsets = new int[Rows + 1], places = new int[LongestRow];
        float[] values = new float[LongestRow];
        List<int> columns = [];
        List<float> kept = [];
        fixed (int* p = places)
        fixed (float* v = values)
        {
            for (int row = 0; row < Rows; row++)
            {
                for (int k = 0, n = ReadRow(row, p, v); k < n; k++)
                {
                    if (Pads && v[k] == 0) continue;
                    columns.Add(p[k]);
                    kept.Add(v[k]);
                }

                offsets[row + 1] = columns.Count;
            }
        }

        return CsrMatrix.Trusted(Rows, Columns, offsets, [.. columns], [.. kept]);
    }

    /// <summary>Writes the matrix alone as a safetensors file: its arrays under NAME.ARRAY, format and shape as a note.</summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <param name="name">NAME. Default "weight".</param>
    /// <exception cref="ArgumentException">No path or no name.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path, string name = "weight") => SparseMatrixFile.Save(this, path, name);

    /// <summary>Reads a matrix that <see cref="Save"/> wrote, in its format.</summary>
    /// <param name="path">The file.</param>
    /// <param name="name">NAME. Default "weight".</param>
    /// <exception cref="ArgumentException">No path or no name.</exception>
    /// <exception cref="InvalidDataException">The file has no such matrix, or its arrays do not fit together.</exception>
    public static SparseMatrix Load(string path, string name = "weight") => SparseMatrixFile.Load(path, name);

    /// <summary>The dense matrix.</summary>
    /// <returns>Float32 [rows, columns], zero where nothing is stored.</returns>
    public Tensor ToDense()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor dense = zeros([Rows, Columns], dtype: ScalarType.Float32);
        int[] places = new int[LongestRow];
        float[] values = new float[LongestRow];
        float* start = (float*)TensorMemory.Address(dense);
        fixed (int* p = places)
        fixed (float* v = values)
        {
            for (int row = 0; row < Rows; row++)
            {
                float* line = start + ((long)row * Columns);
                for (int k = 0, n = ReadRow(row, p, v); k < n; k++) line[p[k]] = v[k];
            }
        }

        return dense.MoveToOuterDisposeScope();
    }

    /// <summary>Format, shape, stored weights and bytes in one line.</summary>
    public override string ToString() => FormattableString.Invariant($"{Format} [{Rows}, {Columns}], {Count} stored, {Bytes} bytes");

    /// <summary>The arrays of a file by name: bytes, 16-bit and 32-bit integers, float16 and float32. New tensors, the caller's.</summary>
    internal abstract Dictionary<string, Tensor> Arrays();

    /// <summary>What a reader must know besides the arrays: sizes of groups and the like.</summary>
    internal virtual IReadOnlyDictionary<string, int> Settings => new Dictionary<string, int>();

    /// <summary>Places and values of one row, ascending; gives their number.</summary>
    private protected abstract int ReadRow(int row, int* places, float* values);

    /// <summary>y[from..to] = W[from..to] x.</summary>
    private protected abstract void Products(float* x, float* scratch, float* y, int from, int to);

    /// <summary>What is computed of x once, for all rows.</summary>
    private protected virtual void Prepare(float* x, float* scratch)
    {
    }

    private protected void CheckVectors(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        if (x.Length != Columns) throw new ArgumentException($"x must have {Columns} numbers, one per column, but has {x.Length}.", nameof(x));
        if (y.Length != Rows) throw new ArgumentException($"y must have room for {Rows} numbers, one per row, but has {y.Length}.", nameof(y));
        if (x.Overlaps(y)) throw new ArgumentException("x and y share memory, so x would change while it is read.", nameof(y));
    }

    /// <summary>Weights of a matrix as a checked contiguous float32 tensor of the caller's scope.</summary>
    private protected static Tensor Dense(Tensor weight, string name)
    {
        ArgumentNullException.ThrowIfNull(weight, name);
        if (weight.dim() != 2) throw new ArgumentException($"{name} must be [rows, columns], but is [{string.Join(", ", weight.shape)}].", name);
        if (weight.dtype != ScalarType.Float32) throw new ArgumentException($"{name} is {weight.dtype}; it must be Float32.", name);
        if (weight.device_type != DeviceType.CPU) throw new ArgumentException($"{name} is on {weight.device_type}; move it to the CPU first.", name);
        return weight.detach().contiguous();
    }

    /// <summary>Values of a support as an array.</summary>
    private protected static float[] Copied(Support support, Tensor values)
    {
        ArgumentNullException.ThrowIfNull(support);
        ArgumentNullException.ThrowIfNull(values);
        if (values.dtype != ScalarType.Float32) throw new ArgumentException($"values are {values.dtype}; they must be Float32.", nameof(values));
        if (values.dim() != 1 || values.shape[0] != support.Count)
            throw new ArgumentException($"values must be [{support.Count}], one per entry of the support, but are [{string.Join(", ", values.shape)}].", nameof(values));
        using DisposeScope scope = NewDisposeScope();
        return TensorMemory.Read<float>(values.detach().cpu().contiguous()).ToArray();
    }

    /// <summary>The support of the numbers that are not zero, and those numbers.</summary>
    private protected static (Support Support, Tensor Values) NonZeros(Tensor weight)
    {
        Tensor dense = Dense(weight, nameof(weight));
        Support support = Support.FromMask(dense.ne(0));
        return (support, support.Gather(dense));
    }

    /// <summary>All tokens of a panel at once: a row is unpacked once and multiplied with a strip of vectors.</summary>
    private Tensor Panel(Tensor rows)
    {
        int vectors = (int)rows.shape[0], width = Width(vectors);
        Tensor turned = zeros([Columns, width], dtype: ScalarType.Float32), result = empty([Rows, width], dtype: ScalarType.Float32);
        turned.narrow(1, 0, vectors).copy_(rows.t());
        Strips((float*)TensorMemory.Address(turned), (float*)TensorMemory.Address(result), width);
        return result.narrow(1, 0, vectors).t().contiguous();
    }

    /// <summary>result [rows, width] = W dense, dense [columns, width], width a <see cref="Width"/>.</summary>
    private protected virtual void Strips(float* dense, float* result, int width)
    {
        float[] zero = new float[width];
        fixed (float* start = zero)
        {
            (nint m, nint t, nint s) = ((nint)dense, (nint)result, (nint)start);
            EachChunk(width, (from, to) =>
            {
                int[] places = new int[LongestRow];
                float[] values = new float[LongestRow];
                fixed (int* p = places)
                fixed (float* v = values)
                {
                    for (int row = from; row < to; row++)
                        SparseStrips.Row(p, v, ReadRow(row, p, v), (float*)s, (float*)m, (float*)t + ((long)row * width), width);
                }
            });
        }
    }

    /// <summary>Vectors that are computed together, for so many wanted: whole registers.</summary>
    private protected virtual int Width(int vectors) => (vectors + Strip - 1) / Strip * Strip;

    /// <summary>Checks the X of Y = X W^T.</summary>
    internal void CheckInput(Tensor X)
    {
        ArgumentNullException.ThrowIfNull(X);
        if (X.dim() == 0 || X.shape[^1] != Columns) throw new ArgumentException($"X must be [..., {Columns}], but is [{string.Join(", ", X.shape)}].", nameof(X));
        if (X.dtype != ScalarType.Float32) throw new ArgumentException($"X is {X.dtype}; it must be Float32.", nameof(X));
        if (X.device_type != DeviceType.CPU) throw new ArgumentException($"X is on {X.device_type}; move it to the CPU first.", nameof(X));
    }

    /// <summary>Checks the right side of C = W B.</summary>
    internal void CheckProduct(Tensor dense, string name)
    {
        ArgumentNullException.ThrowIfNull(dense, name);
        if (dense.dim() != 2 || dense.shape[0] != Columns) throw new ArgumentException($"{name} must be [{Columns}, n], one row per column of the matrix, but is [{string.Join(", ", dense.shape)}].", name);
        if (dense.dtype != ScalarType.Float32) throw new ArgumentException($"{name} is {dense.dtype}; it must be Float32.", name);
        if (dense.device_type != DeviceType.CPU) throw new ArgumentException($"{name} is on {dense.device_type}; move it to the CPU first.", name);
    }

    private protected void EachChunk(int width, Action<int, int> work)
    {
        int units = (Rows + RowUnit - 1) / RowUnit, chunks = (int)Math.Clamp(Count * width / OneThread, 1, Math.Max(1, Math.Min(MostChunks, units)));
        int At(int chunk) => (int)Math.Min(Rows, (long)units * chunk / chunks * RowUnit);
        EachPiece(chunks, c => work(At(c), At(c + 1)));
    }

    /// <summary>Pieces of work on as many threads as libtorch has here, so that one setting holds for both.</summary>
    internal static void EachPiece(int pieces, Action<int> work, int threads = 0)
    {
        threads = Math.Min(pieces, threads == 0 ? get_num_threads() : threads);
        if (threads > 1) Parallel.For(0, pieces, new ParallelOptions { MaxDegreeOfParallelism = threads }, work);
        else for (int piece = 0; piece < pieces; piece++) work(piece);
    }
}
