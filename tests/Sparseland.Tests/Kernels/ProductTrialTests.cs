using Sparseland.Kernels;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

/// <summary>Products of sparse codes, of chosen inputs and outputs, of tiles of bits and by the chooser, with hostile input; references are plain loops in float64.</summary>
public class ProductTrialTests
{
    [Theory]
    [InlineData(0.05)]
    [InlineData(0.14)]
    [InlineData(0.16)]
    [InlineData(0.6)]
    [InlineData(1.0)]
    public void What_is_not_stored_is_not_multiplied_however_full_a_code_is(double density)
    {
        // The kernels' rule: a place that is not stored does not multiply, so that an infinite row of a dictionary reaches the codes that use it and no others.
        using var scope = NewDisposeScope();
        const int rows = 64, columns = 80, width = 9;
        using Generator generator = new(3);
        Tensor F = randn([rows, columns], generator: generator) * rand([rows, columns], generator: generator).lt(density), D = randn([columns, width], generator: generator);
        Support support = Support.FromMask(F.ne(0));
        foreach (ScalarType type in new[] { ScalarType.Float32, ScalarType.Float64 })
        {
            Tensor dense = D.to(type).clone(), values = support.Gather(F).to(type);
            dense[7, 2] = float.PositiveInfinity;
            dense[11, 4] = float.NaN;
            Tensor added = zeros([rows, width], dtype: type);
            SparseProduct.AddTo(support, values, dense, added);
            double[] f = F.to(ScalarType.Float64).data<double>().ToArray(), d = dense.to(ScalarType.Float64).data<double>().ToArray();
            foreach (Tensor given in new[] { SparseProduct.Multiply(support, values, dense), added })
            {
                double[] y = given.to(ScalarType.Float64).data<double>().ToArray();
                for (int row = 0; row < rows; row++)
                {
                    for (int w = 0; w < width; w++)
                    {
                        double sum = 0, size = 0;
                        foreach (int k in support.Row(row)) (sum, size) = (sum + (f[(row * columns) + k] * d[(k * width) + w]), size + Math.Abs(f[(row * columns) + k] * d[(k * width) + w]));
                        if (double.IsFinite(sum)) Assert.True(Math.Abs(sum - y[(row * width) + w]) <= 1e-5 * size + 1e-30, $"{density}, {type}, ({row}, {w}): {y[(row * width) + w]} for {sum}");
                        else Assert.Equal(sum, y[(row * width) + w]);
                    }
                }
            }
        }
    }

    [Theory]
    [InlineData(0, 5, 3)]
    [InlineData(4, 0, 3)]
    [InlineData(4, 5, 0)]
    [InlineData(1, 1, 1)]
    public void Empty_codes_and_widths(int rows, int columns, int width)
    {
        using var scope = NewDisposeScope();
        var none = new Support(rows, columns, new int[rows + 1], []);
        Tensor D = ones(columns, width), bias = full([width], 2f);
        Assert.True(SparseProduct.Multiply(none, zeros(0), D, bias).equal(full([rows, width], 2f)).all().item<bool>());
        Assert.Equal([rows, width], SparseProduct.Multiply(none, zeros(0), D).shape);
        Assert.Equal([0], SparseProduct.Sampled(none, ones(rows, width), D).shape);
        Assert.Equal([rows, columns], SparseProduct.ToDense(none, zeros(0)).shape);
    }

    [Theory]
    [InlineData(1, 1, 0)]
    [InlineData(5, 3, 5)]
    [InlineData(7, 33, 6)]
    [InlineData(40, 1025, 11)]
    [InlineData(64, 2049, 64)]
    [InlineData(300, 1000, 290)]
    public void Chosen_inputs_and_outputs_give_the_sums_of_the_formula_on_every_path(int inputs, int outputs, int kept)
    {
        using var scope = NewDisposeScope();
        var random = new Random(inputs);
        float[] W = [.. Enumerable.Range(0, inputs * outputs).Select(_ => (float)random.NextDouble() - 0.5f)], x = [.. Enumerable.Range(0, inputs).Select(_ => (float)random.NextDouble() - 0.5f)];
        int[] places = [.. Enumerable.Range(0, inputs).OrderBy(_ => random.Next()).Take(kept).Order()];
        for (int i = 0; i < inputs; i++)
        {
            // What is not kept may be anything.
            if (Array.BinarySearch(places, i) < 0) x[i] = i % 2 == 0 ? float.NaN : float.PositiveInfinity;
        }

        double[] expected = new double[outputs];
        foreach (int k in places)
        {
            for (int j = 0; j < outputs; j++) expected[j] += (double)x[k] * W[(k * outputs) + j];
        }

        Tensor Wt = tensor(W, [inputs, outputs]), X = tensor(x);
        var support = new Support(1, inputs, [0, kept], places);
        int[]? bits = null;
        foreach (KernelPath path in KernelPaths.All)
        {
            float[] y = SparseColumns.Multiply(Wt, X, support, path).data<float>().ToArray();
            for (int j = 0; j < outputs; j++) Assert.Equal(expected[j], y[j], 1e-5);
            bits ??= [.. y.Select(BitConverter.SingleToInt32Bits)];
            Assert.Equal(bits, y.Select(BitConverter.SingleToInt32Bits));
        }

        // Views of the weight, and the sum onto what is there.
        Assert.True(SparseColumns.Multiply(tensor(W, [inputs, outputs]).t().contiguous().t(), X, support).equal(SparseColumns.Multiply(Wt, X, support)).all().item<bool>());
        float[] onto = [.. Enumerable.Repeat(1f, outputs)];
        SparseColumns.AddTo(W, x, places, onto);
        for (int j = 0; j < outputs; j++) Assert.Equal(expected[j] + 1, onto[j], 1e-5);

        // Rows: the same matrix read as [out, in] by rows.
        float[] z = [.. Enumerable.Range(0, outputs).Select(_ => (float)random.NextDouble() - 0.5f)], rows = new float[inputs];
        Array.Fill(rows, -7);
        SparseRows.Multiply(W, z, places, rows);
        for (int i = 0; i < inputs; i++)
        {
            double sum = -7;
            if (Array.BinarySearch(places, i) >= 0) sum = Enumerable.Range(0, outputs).Sum(j => (double)z[j] * W[(i * outputs) + j]);
            Assert.Equal(sum, rows[i], 1e-4);
        }
    }

    [Fact]
    public void Places_out_of_order_and_shared_memory_are_refused()
    {
        float[] W = new float[12], x = new float[3], y = new float[4];
        foreach (int[] bad in new int[][] { [0, 0], [2, 1], [3], [-1], [0, 1, 2, 3] })
            Assert.Throws<ArgumentException>(() => SparseColumns.AddTo(W, x, bad, y));
        foreach (int[] bad in new int[][] { [0, 0], [2, 1], [4], [-1] })
            Assert.Throws<ArgumentException>(() => SparseRows.Multiply(W, x, bad, y));
        Assert.Throws<ArgumentException>(() => SparseColumns.AddTo(W, x, [0], y.AsSpan(1)));
        Assert.Throws<ArgumentException>(() => SparseColumns.AddTo(W, x, [0], W.AsSpan(0, 4)));
        Assert.Throws<ArgumentException>(() => SparseRows.Multiply(W, x, [0], W.AsSpan(0, 4)));
        SparseColumns.AddTo(W, x, [], y);
        SparseRows.Multiply([], [], [], []);
    }

    [Fact]
    public void Tiles_of_bits_give_the_same_sums_on_every_path_whatever_the_factors_are()
    {
        var random = new Random(5);
        float[] numbers = new float[64 * 12];
        for (int i = 0; i < numbers.Length; i++) numbers[i] = random.NextDouble() < 0.4 ? (float)random.NextDouble() - 0.5f : 0;
        numbers[64] = -0f;
        numbers.AsSpan(5 * 64, 64).Clear();
        numbers.AsSpan(6 * 64, 64).Fill(2);
        foreach (float odd in new[] { 1f, 1e30f, float.PositiveInfinity, float.NegativeInfinity, float.NaN })
        {
            float[] factors = [.. Enumerable.Range(0, 4).Select(i => i == 2 ? odd : i + 0.5f)];
            double[] expected = new double[64];
            for (int i = 0; i < 4; i++)
            {
                // Tiles 1, 4, 7, 10; a zero is not stored, so it is not multiplied.
                for (int lane = 0; lane < 64; lane++)
                {
                    float number = numbers[((1 + (3 * i)) * 64) + lane];
                    if (BitConverter.SingleToInt32Bits(number) != 0) expected[lane] += (double)factors[i] * number;
                }
            }

            foreach (KernelPath path in KernelPaths.All)
            {
                var tiles = new BitmapTiles { Path = path };
                tiles.Append(numbers);
                float[] sums = new float[64], back = new float[64];
                tiles.AddTo(1, 3, factors, sums);
                for (int lane = 0; lane < 64; lane++)
                {
                    if (double.IsFinite(expected[lane])) Assert.True(Math.Abs(expected[lane] - sums[lane]) <= 1e-6 * (1 + Math.Abs(expected[lane])), $"{path}, {odd}, {lane}: {sums[lane]} for {expected[lane]}");
                    else Assert.Equal((float)expected[lane], sums[lane]);
                }

                for (int tile = 0; tile < 12; tile++)
                {
                    tiles.Unpack(tile, back);
                    Assert.Equal(numbers.AsSpan(tile * 64, 64).ToArray().Select(BitConverter.SingleToInt32Bits), back.Select(BitConverter.SingleToInt32Bits));
                }

                Assert.Throws<ArgumentException>(() => tiles.AddTo(10, 3, factors, sums));
                Assert.Throws<ArgumentOutOfRangeException>(() => tiles.AddTo(0, 0, factors, sums));
                Assert.Throws<ArgumentOutOfRangeException>(() => tiles.Unpack(12, back));
            }
        }
    }

    [Fact]
    public void The_chooser_refuses_the_same_whatever_it_chooses()
    {
        using var scope = NewDisposeScope();
        CsrMatrix matrix = SparseMatrices.Uniform(20, 30, 300);
        foreach (ProductKernel kernel in Enum.GetValues<ProductKernel>())
        {
            foreach (Tensor bad in new[] { zeros(4, 31), zeros([4, 30], dtype: ScalarType.Float64), tensor(1f), zeros([4, 30], dtype: ScalarType.Int64) })
                Assert.True(Record.Exception(() => ProductChooser.Multiply(matrix, bad, kernel)) is ArgumentException, $"{kernel}: {Record.Exception(() => ProductChooser.Multiply(matrix, bad, kernel))}");
            Assert.Equal([0, 20], ProductChooser.Multiply(matrix, zeros(0, 30), kernel).shape);
            Assert.True((ProductChooser.Multiply(matrix, ones(5, 30), kernel) - ProductChooser.Multiply(matrix, ones(5, 30))).abs().max().item<float>() < 0.02);
        }

        Assert.Throws<ArgumentNullException>(() => ProductChooser.Multiply(matrix, null!));
        Assert.Throws<ArgumentNullException>(() => ProductChooser.Multiply(null!, ones(1)));
        Assert.Throws<ArgumentException>(() => ProductChooser.Multiply(matrix, ones(5, 30), (ProductKernel)77));
        Assert.Throws<ArgumentException>(() => ProductChooser.Parse("3"));
        Assert.Throws<ArgumentException>(() => ProductChooser.Parse(""));
        foreach (double density in new[] { -0.1, 1.1, double.NaN }) Assert.Throws<ArgumentOutOfRangeException>(() => ProductChooser.Choose(density, 1));
        foreach (int vectors in new[] { 1, 2, 3, 4, 8, 9, 16, 17, 32, 33, int.MaxValue })
        {
            foreach (double density in new[] { 0, 0.3, 0.5, 0.85, 1 }) Assert.True(Enum.IsDefined(ProductChooser.Choose(density, vectors)));
        }
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(4, 7, 16)]
    [InlineData(5, 9, 17)]
    [InlineData(33, 40, 31)]
    [InlineData(70, 3, 100)]
    public void Small_products_are_sums_of_float64(int m, int k, int n)
    {
        using var scope = NewDisposeScope();
        Tensor a = randn([k, m], dtype: ScalarType.Float64).t(), b = randn([n, k], dtype: ScalarType.Float64).t();
        Assert.True((SmallProduct.Multiply(a, b) - a.mm(b)).abs().max().item<double>() < 1e-12 * k + 1e-13);
        Tensor wrong = a.clone();
        wrong[0, 0] = double.NaN;
        Assert.True(SmallProduct.Multiply(wrong, b)[0].isnan().all().item<bool>());
    }

    [Fact]
    public void Empty_small_products_are_zeros()
    {
        using var scope = NewDisposeScope();
        foreach ((int m, int k, int n) in new[] { (0, 3, 2), (3, 0, 2), (3, 2, 0) })
        {
            Tensor product = SmallProduct.Multiply(zeros([m, k], dtype: ScalarType.Float64), zeros([k, n], dtype: ScalarType.Float64));
            Assert.Equal([m, n], product.shape);
            Assert.True(product.eq(0).all().item<bool>());
        }
    }

    [Fact]
    public void A_group_quantiser_takes_an_empty_weight_and_refuses_what_is_not_finite()
    {
        using var scope = NewDisposeScope();
        var quantizer = new GroupQuantizer(4, 16);
        (Tensor scales, Tensor zeros0) = quantizer.Ranges(zeros(0, 32));
        Assert.Equal([0, 2], scales.shape);
        Assert.Equal([0, 2], zeros0.shape);
        Assert.Equal([5, 0], quantizer.Ranges(zeros(5, 0)).Scales.shape);
        GroupSparseQuantMatrix none = GroupSparseQuantMatrix.From(zeros(0, 32), new Support(0, 2, [0], []));
        Assert.Equal([3, 0], none.Multiply(ones(3, 32)).shape);
        foreach (float bad in new[] { float.NaN, float.PositiveInfinity, 3e38f })
        {
            Tensor weight = ones(2, 16);
            weight[1, 3] = bad;
            Assert.Throws<ArgumentException>(() => quantizer.Ranges(weight));
        }
    }

    [Theory]
    [InlineData(2, 4)]
    [InlineData(3, 8)]
    [InlineData(4, 16)]
    [InlineData(4, 32)]
    [InlineData(5, 16)]
    [InlineData(8, 5)]
    public void Quantised_groups_multiply_as_their_formula_says_on_every_path(int bits, int size)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new((ulong)(bits + size));
        Tensor W = randn([23, 12 * size], generator: generator);
        Support groups = Select.TopK(rand([23, 12], generator: generator), Budget.Global(150));
        var quantizer = new GroupQuantizer(bits, size);
        GroupSparseQuantMatrix matrix = GroupSparseQuantMatrix.From(W, groups, quantizer);
        QuantizedGroups back = matrix.Unpack();
        float[] x = randn([12 * size], generator: generator).data<float>().ToArray(), y = new float[23];
        double[] expected = new double[23];
        for (int row = 0, g = 0; row < 23; row++)
        {
            foreach (int group in groups.Row(row))
            {
                for (int k = 0; k < size; k++) expected[row] += (back.Integers[(g * size) + k] - back.Zeros[g]) * (double)back.Scales[g] * x[(group * size) + k];
                g++;
            }
        }

        foreach (KernelPath path in KernelPaths.All)
        {
            matrix.Path = path;
            matrix.Multiply(x, y);
            for (int row = 0; row < 23; row++) Assert.Equal(expected[row], y[row], 1e-3);
            foreach (Schedule schedule in new[] { Schedule.RowSplit, Schedule.TaskCentric })
            {
                foreach (int workers in new[] { 0, 1, 2, 7, 400 })
                {
                    Array.Fill(y, float.NaN);
                    matrix.Multiply(x, y, schedule, workers);
                    for (int row = 0; row < 23; row++) Assert.Equal(expected[row], y[row], 1e-3);
                }
            }
        }
    }

    [Fact]
    public void Models_of_bytes_refuse_what_is_no_number()
    {
        foreach (double bad in new[] { -0.1, 1.1, double.NaN })
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => BandwidthModel.Csr(bad));
            Assert.Throws<ArgumentOutOfRangeException>(() => BandwidthModel.Bitmap(bad));
            Assert.Throws<ArgumentOutOfRangeException>(() => SkinnyProductModel.PairRatio(bad));
        }

        var limits = new MachineLimits(1, 1e10, 1e11, 1e11, 1e9);
        Assert.Throws<ArgumentNullException>(() => SkinnyProductModel.Crossing(null!, 1, 1, 0.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => SkinnyProductModel.Crossing(limits, 0, 1, 0.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => SkinnyProductModel.Intensity(1, 1, double.NaN));
        foreach (double bad in new[] { -1, double.NaN })
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => limits.LeastSeconds(bad));
            Assert.Throws<ArgumentOutOfRangeException>(() => limits.LeastSeconds(1, bad));
        }

        Assert.Equal(1e-3, limits.LeastSeconds(1e7, 1e7, 1e5), 1e-12);
    }
}
