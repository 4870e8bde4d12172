using System.Text;
using Sparseland.IO;
using Sparseland.Kernels;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

/// <summary>Compressed matrices with input that nobody means to give: numbers that are not finite, odd shapes, files from others.</summary>
public class SparseMatrixTrialTests
{
    private static readonly float[] s_odd = [float.NaN, float.PositiveInfinity, float.NegativeInfinity, 1e38f, -1e38f, 1e-38f, float.Epsilon, -0f, 1e20f, 1e-30f];

    /// <summary>Formats that store every number as it is and multiply nothing else.</summary>
    private static IEnumerable<SparseMatrix> Exact(Support support, Tensor values)
    {
        yield return CsrMatrix.From(support, values);
        yield return CscMatrix.From(support, values);
        yield return SellMatrix.From(support, values);
        yield return BitmapMatrix.From(support, values);
    }

    private static (Support Support, float[] Values) Drawn(int rows, int columns, double density, int seed)
    {
        var random = new Random(seed);
        int[] offsets = new int[rows + 1];
        var places = new List<int>();
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns; column++)
            {
                if (random.NextDouble() < density) places.Add(column);
            }

            offsets[row + 1] = places.Count;
        }

        return (new Support(rows, columns, offsets, [.. places]), [.. places.Select(_ => (float)((random.NextDouble() * 2) - 1))]);
    }

    /// <summary>y = W x in float64 over the stored places alone, and sum |w x|.</summary>
    private static (double Sum, double Size)[] Reference(Support support, float[] values, float[] x)
    {
        var y = new (double Sum, double Size)[support.Rows];
        for (int row = 0, k = 0; row < support.Rows; row++)
        {
            foreach (int column in support.Row(row))
            {
                double product = (double)values[k++] * x[column];
                y[row] = (y[row].Sum + product, y[row].Size + Math.Abs(product));
            }
        }

        return y;
    }

    private static void CheckSum((double Sum, double Size) expected, float given, int terms, string what)
    {
        // Where terms of both signs are beyond all bounds, or a partial sum may be, the order decides; else the sum is that of float64.
        if (double.IsNaN(expected.Sum)) Assert.True(float.IsNaN(given), $"{what}: {given} for NaN");
        else if (double.IsInfinity(expected.Sum)) Assert.Equal((float)expected.Sum, given);
        else if (expected.Size < float.MaxValue) Assert.True(Math.Abs(given - expected.Sum) <= (4 + terms) * 1.2e-7 * expected.Size + 1e-44 * (terms + 1), $"{what}: {given} for {expected}");
    }

    [Theory]
    [InlineData(1, 1, 1.0)]
    [InlineData(5, 16, 0.5)]
    [InlineData(17, 33, 0.4)]
    [InlineData(1, 300, 0.3)]
    [InlineData(40, 1, 0.5)]
    [InlineData(31, 129, 0.06)]
    public void Numbers_that_are_not_finite_pass_where_they_are_stored_and_nowhere_else(int rows, int columns, double density)
    {
        using var scope = NewDisposeScope();
        var random = new Random(rows + columns);
        for (int round = 0; round < 6; round++)
        {
            (Support support, float[] values) = Drawn(rows, columns, density, (100 * rows) + columns + round);
            float[] x = [.. Enumerable.Range(0, columns).Select(_ => (float)((random.NextDouble() * 2) - 1))];
            for (int i = 0; i < round; i++)
            {
                x[random.Next(columns)] = s_odd[random.Next(s_odd.Length)];
                if (values.Length > 0) values[random.Next(values.Length)] = s_odd[random.Next(s_odd.Length)];
            }

            (double Sum, double Size)[] expected = Reference(support, values, x);
            foreach (SparseMatrix matrix in Exact(support, tensor(values)))
            {
                foreach (KernelPath path in KernelPaths.All)
                {
                    matrix.Path = path;
                    float[] y = new float[rows];
                    matrix.Multiply(x, y);
                    float[] panel = matrix.Multiply(tensor(x).expand(20, columns)).select(0, 19).contiguous().data<float>().ToArray();
                    for (int row = 0; row < rows; row++)
                    {
                        CheckSum(expected[row], y[row], columns, $"{matrix}, {path}, row {row}");
                        CheckSum(expected[row], panel[row], columns, $"{matrix}, {path}, panel, row {row}");
                    }
                }

                float[] back = matrix.ToCsr().Values.ToArray();
                Assert.Equal(values.Select(BitConverter.SingleToInt32Bits), back.Select(BitConverter.SingleToInt32Bits));
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(31)]
    [InlineData(65)]
    [InlineData(127)]
    [InlineData(130)]
    public void Every_number_of_vectors_gives_the_products_of_each(int vectors)
    {
        using var scope = NewDisposeScope();
        (Support support, float[] values) = Drawn(37, 70, 0.3, vectors);
        using Generator generator = new((ulong)vectors);
        Tensor X = randn([vectors, 70], generator: generator), B = X.t().contiguous();
        float[] all = X.data<float>().ToArray();
        Tensor W = CsrMatrix.From(support, tensor(values)).ToDense();
        SparseMatrix[] formats = [.. Exact(support, tensor(values)), BlockMatrix.FromDense(W, 1, 7), BlockMatrix.FromDense(W, 37, 1), NofMMatrix.FromDense(W, 7, 7), BitmapTileMatrix.FromDense(W)];
        foreach (SparseMatrix matrix in formats)
        {
            float[] Y = matrix.Multiply(X).data<float>().ToArray(), C = matrix.Times(B).t().contiguous().data<float>().ToArray();
            for (int v = 0; v < vectors; v++)
            {
                (double Sum, double Size)[] expected = Reference(support, values, all[(70 * v)..(70 * (v + 1))]);
                for (int row = 0; row < 37; row++)
                {
                    CheckSum(expected[row], Y[(37 * v) + row], 70, $"{matrix}, vector {v}");
                    CheckSum(expected[row], C[(37 * v) + row], 70, $"{matrix}, column {v}");
                }
            }
        }
    }

    [Fact]
    public void Wide_matrices_with_indices_of_32_bits_are_as_narrow_ones()
    {
        using var scope = NewDisposeScope();
        var support = new Support(3, 70_000, [0, 3, 3, 6], [0, 65_535, 69_999, 1, 65_536, 65_537]);
        Tensor values = tensor(new float[] { 1, 2, 3, 4, 5, 6 });
        float[] x = [.. Enumerable.Range(0, 70_000).Select(i => i % 1000 + 1f)], y = new float[3];
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            foreach (SparseMatrix matrix in Exact(support, values).Append(TiledCslMatrix.From(support, values)).Append(BitmapTileMatrix.From(support, values)).Append(BlockMatrix.From(support, values, 1, 1)))
            {
                matrix.Save(path);
                foreach (SparseMatrix one in new[] { matrix, SparseMatrix.Load(path) })
                {
                    one.Multiply(x, y);
                    Assert.Equal([x[0] + (2 * x[65_535]) + (3 * x[69_999]), 0, (4 * x[1]) + (5 * x[65_536]) + (6 * x[65_537])], y);
                    Assert.Equal([0, 65_535, 69_999, 1, 65_536, 65_537], one.ToCsr().ToSupport().ColumnIndices.ToArray());
                }
            }
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void The_same_product_is_taken_with_views_doubles_refused_and_empty_batches_given_back_empty()
    {
        using var scope = NewDisposeScope();
        (Support support, float[] values) = Drawn(9, 20, 0.4, 5);
        foreach (SparseMatrix matrix in Exact(support, tensor(values)))
        {
            Tensor X = randn(20, 2, 3);
            Tensor view = X.permute(2, 1, 0);
            Assert.Equal([3, 2, 9], matrix.Multiply(view).shape);
            Assert.True(matrix.Multiply(view).equal(matrix.Multiply(view.contiguous())).all().item<bool>());
            Assert.Equal([0, 9], matrix.Multiply(zeros(0, 20)).shape);
            Assert.Equal([4, 0, 9], matrix.Multiply(zeros(4, 0, 20)).shape);
            foreach (ScalarType type in new[] { ScalarType.Float64, ScalarType.Float16, ScalarType.BFloat16, ScalarType.Int32 })
                Assert.Equal("X", Assert.Throws<ArgumentException>(() => matrix.Multiply(zeros([2, 20], dtype: type))).ParamName);
            Assert.Throws<ArgumentException>(() => matrix.Multiply(zeros(21)));
            Assert.Throws<ArgumentException>(() => matrix.Multiply(tensor(1f)));
            Assert.Throws<ArgumentNullException>(() => matrix.Multiply(null!));
            Assert.Throws<ArgumentNullException>(() => matrix.Times(null!));
            Assert.False(matrix.Multiply(zeros([2, 20], requires_grad: true)).requires_grad);
        }

        Assert.Throws<ArgumentNullException>(() => CsrMatrix.FromDense(null!));
        Assert.Throws<ArgumentNullException>(() => CsrMatrix.From(null!, zeros(1)));
        Assert.Throws<ArgumentNullException>(() => BitmapMatrix.From(null!, zeros(1)));
        Assert.Throws<ArgumentNullException>(() => NofMMatrix.From(null!, zeros(1), 1, 2));
        Assert.Throws<ArgumentNullException>(() => BlockMatrix.From(null!, zeros(1), 1, 1));
        Assert.Throws<ArgumentNullException>(() => CsrMatrix.From(support, null!));
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(2, 4)]
    [InlineData(3, 5)]
    [InlineData(16, 16)]
    [InlineData(1, 256)]
    [InlineData(200, 256)]
    public void N_of_m_holds_any_such_matrix(int n, int m)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new((ulong)(n + m));
        for (int groups = 0; groups <= 5; groups++)
        {
            int columns = m * groups;
            Tensor W = randn([3, columns], generator: generator);
            if (groups > 0) W = W * Select.TopK(rand([3 * groups, m], generator: generator), Budget.PerRow(n)).ToMask().view(3, columns);
            NofMMatrix matrix = NofMMatrix.FromDense(W, n, m);
            Assert.True(SparseMatrixTests.Same(matrix.ToDense(), W));
            if (groups > 0) SparseMatrixTests.CheckProducts(matrix, W, generator);
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => NofMMatrix.FromDense(zeros(2, 8), 0, 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => NofMMatrix.FromDense(zeros(2, 8), 5, 4));
        Assert.Throws<ArgumentException>(() => NofMMatrix.FromDense(zeros(2, 9), 2, 4));
        Assert.Contains("Row 1", Assert.Throws<ArgumentException>(() => NofMMatrix.FromDense(tensor(new float[,] { { 0, 0 }, { 1, 1 } }), 1, 2)).Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, string> Broken
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (string fault in new[] { "missing", "short", "long", "type", "rank" })
            {
                foreach (string format in s_formats.Keys) data.Add(format, fault);
            }

            return data;
        }
    }

    private static readonly Dictionary<string, Func<Tensor, SparseMatrix>> s_formats = new()
    {
        ["csr"] = CsrMatrix.FromDense,
        ["csc"] = CscMatrix.FromDense,
        ["sell"] = SellMatrix.FromDense,
        ["bitmap"] = BitmapMatrix.FromDense,
        ["bitmap_tiles"] = W => BitmapTileMatrix.FromDense(W, StoredValue.Half, 16),
        ["tiled_csl"] = W => TiledCslMatrix.FromDense(W),
        ["nofm"] = W => NofMMatrix.FromDense(W, 6, 6),
        ["blocks"] = W => BlockMatrix.FromDense(W, 3, 2),
        ["gqsa"] = W => GroupSparseQuantMatrix.From(W, Support.FromMask(ones([W.shape[0], W.shape[1] / 6], dtype: ScalarType.Bool)), new(4, 6)),
    };

    [Theory]
    [MemberData(nameof(Broken))]
    public void Every_array_that_is_missing_or_of_another_length_or_type_is_named_with_its_file(string format, string fault)
    {
        using var scope = NewDisposeScope();
        SparseMatrix matrix = s_formats[format](SparseFormatTests.Coarse(33, 90, 0.4, 3));
        foreach (string name in matrix.Arrays().Keys)
        {
            Dictionary<string, Tensor> arrays = matrix.Arrays();
            Tensor array = arrays[name];
            switch (fault)
            {
                case "missing": arrays.Remove(name); break;
                case "short": arrays[name] = array.narrow(0, 0, array.shape[0] - 1).clone(); break;
                case "long": arrays[name] = cat([array, array.narrow(0, 0, 1)]); break;
                case "type": arrays[name] = array.to(array.dtype == ScalarType.Float64 ? ScalarType.Float32 : ScalarType.Float64); break;
                default: arrays[name] = array.unsqueeze(0); break;
            }

            Exception error = Record.Exception(() => Read(matrix, arrays))!;
            Assert.True(error is InvalidDataException, $"{format}, {name}, {fault}: {error}");
            Assert.Contains("trial-matrix", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void What_a_file_says_wrongly_is_said_with_its_name()
    {
        using var scope = NewDisposeScope();
        Tensor W = SparseFormatTests.Coarse(33, 90, 0.4, 3);
        (string Format, string Array, Action<Tensor> Damage)[] faults =
        [
            ("csr", "row_offsets", a => a[3] = -1), ("csr", "row_offsets", a => a[33] = 1), ("csr", "column_indices", a => a[0] = 90), ("csr", "column_indices", a => a[1] = a[0]),
            ("csc", "row_indices", a => a[0] = 33), ("sell", "row_order", a => a[0] = -1), ("sell", "row_lengths", a => a[0] = -1), ("sell", "column_indices", a => a[0] = 89),
            ("bitmap", "bits", a => a[5] = -1), ("bitmap", "bits", a => a[0] = ~a[0]), ("bitmap_tiles", "masks", a => a[a.shape[0] - 1] = 1), ("bitmap_tiles", "masks", a => a[0] = ~a[0]),
            ("tiled_csl", "tile_offsets", a => a[0] = 1), ("tiled_csl", "tile_offsets", a => a[1] = 100_000), ("tiled_csl", "tile_offsets", a => a[1] = -5), ("tiled_csl", "entries", a => a[0] = a[1]),
            ("tiled_csl", "entries", a => a[a.shape[0] - 1] = (100 << 22) + 0x3c00), ("nofm", "positions", a => a[0] = 255), ("blocks", "column_indices", a => a[0] = 45), ("blocks", "row_offsets", a => a[1] = -1),
            ("gqsa", "row_index", a => a[1] = -1), ("gqsa", "group_index", a => a[0] = 15), ("gqsa", "scale", a => a[0] = 0), ("gqsa", "scale", a => a[0] = float.NaN),
        ];
        foreach ((string format, string name, Action<Tensor> damage) in faults)
        {
            SparseMatrix matrix = s_formats[format](W);
            Dictionary<string, Tensor> arrays = matrix.Arrays();
            damage(arrays[name]);
            Exception? error = Record.Exception(() => Read(matrix, arrays));
            Assert.True(error is InvalidDataException, $"{format}, {name}: {error}");
            Assert.True(error.Message.Contains("trial-matrix", StringComparison.Ordinal), $"{format}, {name} does not name the file: {error.Message}");
        }
    }

    [Theory]
    [InlineData("{\"version\":1,\"format\":\"csr\",\"rows\":33,\"rows\":33,\"columns\":90}")]
    [InlineData("{\"version\":1,\"format\":\"csr\",\"rows\":1e400,\"columns\":90}")]
    [InlineData("{\"version\":1,\"format\":\"csr\",\"rows\":-1,\"columns\":90}")]
    [InlineData("{\"version\":1,\"format\":\"csr\",\"rows\":2147483647,\"columns\":2147483647}")]
    [InlineData("{\"version\":1,\"format\":\"bitmap\",\"rows\":2147483647,\"columns\":2147483647}")]
    [InlineData("{\"version\":1,\"format\":\"sell\",\"rows\":2147483647,\"columns\":90}")]
    [InlineData("{\"version\":1,\"format\":\"nofm\",\"rows\":33,\"columns\":90,\"n\":0,\"m\":0}")]
    [InlineData("{\"version\":1,\"format\":\"nofm\",\"rows\":33,\"columns\":90}")]
    [InlineData("{\"version\":1,\"format\":\"nofm\",\"rows\":2147483647,\"columns\":2147483647,\"n\":1,\"m\":1}")]
    [InlineData("{\"version\":1,\"format\":\"blocks\",\"rows\":33,\"columns\":90,\"block_rows\":0,\"block_columns\":1}")]
    [InlineData("{\"version\":1,\"format\":\"blocks\",\"rows\":2147483647,\"columns\":90,\"block_rows\":1,\"block_columns\":1}")]
    [InlineData("{\"version\":1,\"format\":\"bitmap_tiles\",\"rows\":2147483647,\"columns\":2147483647,\"tile_rows\":8,\"value_bits\":32,\"value_exponent\":8}")]
    [InlineData("{\"version\":1,\"format\":\"bitmap_tiles\",\"rows\":33,\"columns\":90,\"tile_rows\":7,\"value_bits\":32,\"value_exponent\":8}")]
    [InlineData("{\"version\":1,\"format\":\"bitmap_tiles\",\"rows\":33,\"columns\":90,\"tile_rows\":8,\"value_bits\":31,\"value_exponent\":8}")]
    [InlineData("{\"version\":1,\"format\":\"tiled_csl\",\"rows\":2147483647,\"columns\":2147483647,\"tile_rows\":128,\"tile_columns\":64}")]
    [InlineData("{\"version\":1,\"format\":\"tiled_csl\",\"rows\":33,\"columns\":90,\"tile_rows\":-8,\"tile_columns\":64}")]
    [InlineData("{\"version\":1,\"format\":\"gqsa\",\"rows\":33,\"columns\":90,\"bits\":40,\"group_size\":0}")]
    [InlineData("{\"version\":1,\"format\":\"gqsa\",\"rows\":33,\"columns\":2147483647,\"bits\":4,\"group_size\":1}")]
    [InlineData("{\"version\":\"1\",\"format\":\"csr\",\"rows\":33,\"columns\":90}")]
    [InlineData("{\"version\":1,\"format\":null,\"rows\":33,\"columns\":90}")]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{\"version\":1,\"format\":\"csr\",\"rows\":33,\"columns\":90} x")]
    public void A_note_that_cannot_be_is_refused_with_the_name_of_the_file(string note)
    {
        using var scope = NewDisposeScope();
        string path = Path.Combine(Path.GetTempPath(), "trial-matrix-" + Path.GetRandomFileName());
        try
        {
            // The arrays of all formats, so that only the note is at fault.
            Dictionary<string, Tensor> all = [];
            string asked = s_formats.Keys.FirstOrDefault(f => note.Contains($"\"{f}\"", StringComparison.Ordinal)) ?? "csr";
            foreach ((string name, Tensor array) in s_formats[asked](SparseFormatTests.Coarse(33, 90, 0.4, 3)).Arrays()) all[$"w.{name}"] = array;
            SafeTensors.Save(path, all, new Dictionary<string, string> { ["sparse.w"] = note });
            Exception? error = Record.Exception(() => SparseMatrix.Load(path, "w"));
            Assert.True(error is InvalidDataException, $"{note}: {error}");
            Assert.Contains("trial-matrix", error.Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_file_cut_short_at_any_byte_is_refused()
    {
        using var scope = NewDisposeScope();
        string path = Path.Combine(Path.GetTempPath(), "trial-matrix-" + Path.GetRandomFileName());
        try
        {
            CsrMatrix.FromDense(SparseFormatTests.Coarse(5, 9, 0.4, 3)).Save(path);
            byte[] whole = File.ReadAllBytes(path);
            for (int length = 0; length < whole.Length; length += 7)
            {
                File.WriteAllBytes(path, whole[..length]);
                Exception? error = Record.Exception(() => SparseMatrix.Load(path));
                Assert.True(error is InvalidDataException or FormatException, $"{length} of {whole.Length}: {error}");
            }
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Sixteen_bits_round_as_half_and_bfloat16_do_and_back_on_every_path()
    {
        // All bit patterns of sixteen bits, widened by the runtime and by torch.
        ushort[] bits = [.. Enumerable.Range(0, 65_536).Select(i => (ushort)i)];
        float[] half = new float[bits.Length + 16], brain = new float[bits.Length + 16];
        unsafe
        {
            fixed (ushort* from = bits)
            fixed (float* a = half, b = brain)
            {
                HalfValues.Unpack(from, a, bits.Length, StoredValue.Half);
                HalfValues.Unpack(from, b, bits.Length, StoredValue.BFloat16);
            }
        }

        for (int i = 0; i < bits.Length; i++)
        {
            float h = (float)BitConverter.UInt16BitsToHalf(bits[i]), f = BitConverter.Int32BitsToSingle(i << 16);
            Assert.True(float.IsNaN(h) ? float.IsNaN(half[i]) : BitConverter.SingleToInt32Bits(h) == BitConverter.SingleToInt32Bits(half[i]), $"half {i:x4}: {half[i]} for {h}");
            Assert.True(float.IsNaN(f) ? float.IsNaN(brain[i]) : BitConverter.SingleToInt32Bits(f) == BitConverter.SingleToInt32Bits(brain[i]), $"bfloat16 {i:x4}: {brain[i]} for {f}");
            if (!float.IsNaN(h)) Assert.Equal(bits[i], HalfValues.Pack(h, StoredValue.Half));
            if (!float.IsNaN(f)) Assert.Equal(bits[i], HalfValues.Pack(f, StoredValue.BFloat16));
            else Assert.True(float.IsNaN(HalfValues.Unpack(HalfValues.Pack(f, StoredValue.BFloat16), StoredValue.BFloat16)));
        }

        using var scope = NewDisposeScope();
        float[] some = [1e-8f, 6.1e-5f, 65_504, 65_519, 1.00048828125f, 1.0014648f, -3.3f, 1e20f, 1f / 3, 1.00390625f, 1.01171875f];
        short[] packed = [.. some.Select(v => (short)HalfValues.Pack(v, StoredValue.BFloat16))];
        Assert.Equal(tensor(some).to(ScalarType.BFloat16).to(ScalarType.Float32).data<float>().ToArray(), packed.Select(p => HalfValues.Unpack((ushort)p, StoredValue.BFloat16)));
        Assert.Contains("row 0, column 1", Assert.Throws<ArgumentException>(() => BitmapTileMatrix.FromDense(tensor(new[,] { { 1, 1e6f } }), StoredValue.Half)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => BitmapTileMatrix.FromDense(tensor(new[,] { { float.MaxValue } }), StoredValue.BFloat16));
        Assert.Throws<ArgumentException>(() => TiledCslMatrix.FromDense(tensor(new[,] { { float.NaN } })));
        TiledCslMatrix broken = TiledCslMatrix.FromDense(tensor(new[,] { { float.NaN, 1e6f, 1e-9f, 2 } }), new() { AllowNonFinite = true });
        Assert.Equal(1, broken.LostZeros);
        Assert.Equal([float.NaN, float.PositiveInfinity, 0, 2], broken.ToDense().data<float>().ToArray());
    }

    private static SparseMatrix Read(SparseMatrix matrix, Dictionary<string, Tensor> arrays)
    {
        string path = Path.Combine(Path.GetTempPath(), "trial-matrix-" + Path.GetRandomFileName());
        try
        {
            SafeTensors.Save(path, arrays.ToDictionary(a => $"w.{a.Key}", a => a.Value));
            using SafeTensorsFile file = SafeTensorsFile.Open(path);
            return SparseMatrixFile.Read(SparseMatrixFile.Describe(matrix), file, "w");
        }
        finally
        {
            File.Delete(path);
        }
    }
}
