using Sparseland.IO;
using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

/// <summary>Formats by column, by slice and by tile.</summary>
public class SparseFormatTests
{
    /// <summary>Values that float16 and bfloat16 hold exactly: eighths up to two.</summary>
    internal static Tensor Coarse(int rows, int columns, double density, ulong seed)
    {
        using Generator generator = new(seed);
        Tensor values = randint(1, 17, [rows, columns], dtype: ScalarType.Float32, generator: generator) / 8 * (rand([rows, columns], generator: generator).lt(0.5).to(ScalarType.Float32) * 2 - 1);
        return values * rand([rows, columns], generator: generator).lt(density);
    }

    internal static IEnumerable<SparseMatrix> Formats(Tensor W)
    {
        yield return CscMatrix.FromDense(W);
        yield return SellMatrix.FromDense(W);
        yield return TiledCslMatrix.FromDense(W);
        yield return TiledCslMatrix.FromDense(W, new() { TileRows = 64, TileColumns = 128, Reorder = false });
        foreach (StoredValue kind in Enum.GetValues<StoredValue>())
        {
            yield return BitmapTileMatrix.FromDense(W, kind);
            yield return BitmapTileMatrix.FromDense(W, kind, 16);
        }
    }

    public static TheoryData<int, int, double> Shapes => new()
    {
        { 1, 1, 1 }, { 16, 48, 0.5 }, { 33, 100, 0.3 }, { 300, 320, 0.05 }, { 7, 65, 0.9 }, { 12, 40, 0 }, { 128, 64, 1 }, { 130, 200, 0.2 }, { 64, 1024, 0.01 }, { 0, 8, 0.5 }, { 8, 0, 0.5 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Every_format_gives_the_matrix_back_and_its_products_on_every_path(int rows, int columns, double density)
    {
        using var scope = NewDisposeScope();
        Tensor W = Coarse(rows, columns, density, (ulong)(rows + columns));
        CsrMatrix csr = CsrMatrix.FromDense(W);
        using Generator generator = new(1);
        foreach (SparseMatrix matrix in Formats(W))
        {
            Assert.True(SparseMatrixTests.Same(matrix.ToDense(), W), matrix.ToString());
            CheckSame(csr, matrix.ToCsr());
            if (W.numel() > 0) SparseMatrixTests.CheckProducts(matrix, W, generator);
            else Assert.Equal(zeros(5, rows), matrix.Multiply(ones(5, columns)));
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void The_transpose_is_the_transpose(int rows, int columns, double density)
    {
        using var scope = NewDisposeScope();
        Tensor W = Coarse(rows, columns, density, 7), turned = W.t().contiguous();
        SparseMatrix[] transposes = [CscMatrix.FromDense(W).Transpose(), CscMatrix.FromDense(W).TransposedCsr(), SellMatrix.FromDense(W).Transpose(), TiledCslMatrix.FromDense(W).Transpose(), BitmapTileMatrix.FromDense(W, StoredValue.BFloat16).Transpose()];
        foreach (SparseMatrix matrix in transposes) Assert.True(SparseMatrixTests.Same(matrix.ToDense(), turned), matrix.ToString());
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void A_file_gives_back_the_same_matrix(int rows, int columns, double density)
    {
        using var scope = NewDisposeScope();
        Tensor W = Coarse(rows, columns, density, 11);
        foreach (SparseMatrix matrix in Formats(W).Append(CsrMatrix.FromDense(W)).Append(BitmapMatrix.FromDense(W)))
        {
            SparseMatrix read = Reread(matrix);
            Assert.Equal((matrix.Format, matrix.Rows, matrix.Columns, matrix.Count, matrix.Bytes), (read.Format, read.Rows, read.Columns, read.Count, read.Bytes));
            Assert.True(SparseMatrixTests.Same(read.ToDense(), W), matrix.ToString());
            foreach ((string name, Tensor array) in matrix.Arrays()) Assert.True(SparseMatrixTests.Same(array, read.Arrays()[name]), $"{matrix}, {name}");
            Assert.Equal(matrix.Bytes, matrix.Arrays().Values.Sum(t => t.numel() * t.element_size()));
        }
    }

    [Fact]
    public void A_stored_zero_and_what_is_not_finite_go_through_where_they_can()
    {
        using var scope = NewDisposeScope();
        var support = new Support(3, 70, [0, 2, 2, 4], [0, 69, 3, 5]);
        Tensor values = tensor([0f, float.NaN, float.PositiveInfinity, 1e30f]);
        CsrMatrix csr = CsrMatrix.From(support, values);
        foreach (SparseMatrix matrix in (SparseMatrix[])[CscMatrix.From(support, values), SellMatrix.From(support, values), BitmapTileMatrix.From(support, values), BitmapMatrix.FromCsr(csr)])
        {
            CheckSame(csr, matrix.ToCsr());
            CheckSame(csr, Reread(matrix).ToCsr());
        }

        // What is not stored is not multiplied.
        Tensor x = ones(70);
        (x[1], x[68]) = (tensor(float.NaN), tensor(float.PositiveInfinity));
        foreach (SparseMatrix matrix in (SparseMatrix[])[CscMatrix.From(support, ones(4)), SellMatrix.From(support, ones(4))])
        {
            foreach (KernelPath path in KernelPaths.All)
            {
                matrix.Path = path;
                Assert.Equal([2f, 0f, 2f], matrix.Multiply(x).data<float>().ToArray());
            }
        }

        // A row that ends before its neighbours of a slice meets its last column again as padding.
        x[69] = float.PositiveInfinity;
        var uneven = new Support(2, 70, [0, 1, 4], [69, 0, 2, 3]);
        Assert.Equal([float.PositiveInfinity, 3f], SellMatrix.From(uneven, ones(4)).Multiply(x).data<float>().ToArray());
    }

    [Fact]
    public void New_values_go_where_the_old_ones_stood()
    {
        using var scope = NewDisposeScope();
        CsrMatrix csr = SparseMatrices.Uniform(90, 70, 700, seed: 3);
        CscMatrix csc = CscMatrix.FromCsr(csr);
        float[] values = [.. Enumerable.Range(0, 700).Select(i => i + 1f)];
        CscMatrix changed = csc.WithValues(values);
        CheckSame(CsrMatrix.From(csr.ToSupport(), tensor(values)), changed.ToCsr());
        for (int k = 0; k < values.Length; k++) Assert.Equal(values[k], changed.Values[csc.FromCsrPositions[k]]);
        Assert.Throws<ArgumentException>(() => csc.WithValues(values.AsSpan(1)));
    }

    [Fact]
    public void Sliced_rows_are_sorted_within_their_window_and_padded_with_a_valid_column()
    {
        SellMatrix matrix = SellMatrix.FromCsr(SparseMatrices.RMat(9, 4000, seed: 5));
        Assert.Equal([.. Enumerable.Range(0, 512)], matrix.RowOrder.ToArray().Order());
        for (int first = 0; first < 512; first += SellMatrix.SortWindow) Assert.All(matrix.RowOrder.Slice(first, SellMatrix.SortWindow).ToArray(), row => Assert.InRange(row, first, first + SellMatrix.SortWindow - 1));
        Assert.Equal(4000, matrix.Stored);

        // Sorting is what keeps the padding small: without it each slice is as wide as its longest row.
        CsrMatrix csr = matrix.ToCsr();
        long plain = Enumerable.Range(0, 32).Sum(slice => 16L * Enumerable.Range(16 * slice, 16).Max(row => csr.RowOffsets[row + 1] - csr.RowOffsets[row]));
        Assert.True(matrix.Count < plain, $"{matrix.Count} against {plain}");
    }

    [Fact]
    public void Columns_and_products_of_columns_agree_in_every_format()
    {
        using var scope = NewDisposeScope();
        Tensor W = Coarse(140, 200, 0.3, 13), B = Coarse(200, 21, 1, 14);
        Tensor expected = W.to(ScalarType.Float64).mm(B.to(ScalarType.Float64)).to(ScalarType.Float32);
        foreach (SparseMatrix matrix in Formats(W).Append(CsrMatrix.FromDense(W)).Append(BitmapMatrix.FromDense(W)))
        {
            foreach (int n in new[] { 0, 1, 8, 16, 21 })
            {
                // Eighths: every sum is exact.
                Assert.True(SparseMatrixTests.Same(matrix.Times(B.narrow(1, 0, n)), expected.narrow(1, 0, n)), $"{matrix}, {n}");
            }

            Assert.Throws<ArgumentException>(() => matrix.Times(B.t()));
            Assert.Throws<ArgumentException>(() => matrix.Times(B.to(ScalarType.Float64)));
        }
    }

    [Fact]
    public void A_broken_file_is_named()
    {
        using var scope = NewDisposeScope();
        Tensor W = Coarse(130, 70, 0.3, 17);
        (SparseMatrix Matrix, string Array, Action<Tensor> Damage, string Says)[] faults =
        [
            (SellMatrix.FromDense(W), "row_order", a => a[0] = a[1], "once"),
            (SellMatrix.FromDense(W), "row_lengths", a => a[0] = 71, "71"),
            (SellMatrix.FromDense(W), "column_indices", a => a[0] = 69, "ascend"),
            (CscMatrix.FromDense(W), "row_indices", a => a[0] = 130, "130"),
            (CscMatrix.FromDense(W), "column_offsets", a => a[1] = -1, "offset"),
            (TiledCslMatrix.FromDense(W), "tile_offsets", a => a[0] = 1, "offsets"),
            (TiledCslMatrix.FromDense(W), "entries", a => a[0] = a[1], "twice"),
            (TiledCslMatrix.FromDense(W, new() { TileRows = 8 }), "entries", a => a[0] = 512 << 16, "512"),
            (TiledCslMatrix.FromDense(W), "entries", a => a[a.shape[0] - 1] = (100 << 22) + 0x3c00, "beyond"),
            (BitmapTileMatrix.FromDense(W), "masks", a => a[a.shape[0] - 1] = 1, "beyond"),
            (BitmapTileMatrix.FromDense(W), "masks", a => a[0] = ~a[0], "numbers"),
        ];
        foreach ((SparseMatrix matrix, string array, Action<Tensor> damage, string says) in faults)
        {
            InvalidDataException error = Assert.Throws<InvalidDataException>(() => Reread(matrix, array, damage));
            Assert.Contains(says, error.Message, StringComparison.OrdinalIgnoreCase);
        }
    }

    [Fact]
    public void A_matrix_is_a_file_of_its_own()
    {
        using var scope = NewDisposeScope();
        Tensor W = Coarse(66, 128, 0.2, 19);
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            foreach (SparseMatrix matrix in Formats(W).Append(CsrMatrix.FromDense(W)).Append(BitmapMatrix.FromDense(W)).Append(BlockMatrix.FromDense(W, 2, 4)).Append(NofMMatrix.FromDense(W, 4, 4)))
            {
                matrix.Save(path, "layer");
                SparseMatrix read = SparseMatrix.Load(path, "layer");
                Assert.Equal(matrix.GetType(), read.GetType());
                Assert.True(SparseMatrixTests.Same(read.ToDense(), W), matrix.ToString());
            }

            Assert.Contains("sparse.weight", Assert.Throws<InvalidDataException>(() => SparseMatrix.Load(path)).Message, StringComparison.Ordinal);
            foreach (string note in new[] { "{", "[]", "{\"format\":\"csr\",\"rows\":66}", "{\"version\":2,\"format\":\"csr\",\"rows\":66,\"columns\":128}", "{\"version\":1,\"format\":\"coo\",\"rows\":66,\"columns\":128}", "{\"version\":1,\"format\":\"csr\",\"rows\":65,\"columns\":128}" })
            {
                SafeTensors.Save(path, CsrMatrix.FromDense(W).Arrays().ToDictionary(a => $"w.{a.Key}", a => a.Value), new Dictionary<string, string> { ["sparse.w"] = note });
                Assert.Throws<InvalidDataException>(() => SparseMatrix.Load(path, "w"));
            }

            Assert.Throws<ArgumentException>(() => SparseMatrix.Load(path, ""));
            Assert.Throws<ArgumentException>(() => CsrMatrix.FromDense(W).Save(""));
        }
        finally
        {
            File.Delete(path);
        }
    }

    internal static void CheckSame(CsrMatrix a, CsrMatrix b)
    {
        Assert.Equal((a.Rows, a.Columns), (b.Rows, b.Columns));
        Assert.Equal(a.RowOffsets.ToArray(), b.RowOffsets.ToArray());
        Assert.Equal(a.ToSupport().ColumnIndices.ToArray(), b.ToSupport().ColumnIndices.ToArray());
        Assert.Equal(a.Values.ToArray(), b.Values.ToArray());
    }

    private static SparseMatrix Reread(SparseMatrix matrix, string? array = null, Action<Tensor>? damage = null)
    {
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            Dictionary<string, Tensor> arrays = matrix.Arrays();
            if (array is not null) damage!(arrays[array]);
            SafeTensors.Save(path, arrays.Select(a => KeyValuePair.Create($"w.{a.Key}", a.Value)).ToDictionary());
            using SafeTensorsFile file = SafeTensorsFile.Open(path);
            return SparseMatrixFile.Read(SparseMatrixFile.Describe(matrix), file, "w");
        }
        finally
        {
            File.Delete(path);
        }
    }
}
