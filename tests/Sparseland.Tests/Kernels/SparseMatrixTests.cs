using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

public class SparseMatrixTests
{
    /// <summary>Formats that a matrix of any pattern fits into.</summary>
    private static IEnumerable<SparseMatrix> Formats(Tensor weight)
    {
        yield return CsrMatrix.FromDense(weight);
        yield return BitmapMatrix.FromDense(weight);
        foreach ((int rows, int columns) in new[] { (1, 16), (4, 1), (16, 1), (2, 2), (1, 1), (3, 5), (2, 40) })
        {
            if (weight.shape[0] % rows == 0 && weight.shape[1] % columns == 0) yield return BlockMatrix.FromDense(weight, rows, columns);
        }

        if (weight.shape[1] % 4 == 0) yield return NofMMatrix.FromDense(weight, 4, 4);
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(16, 48, 0.5)]
    [InlineData(33, 100, 0.3)]
    [InlineData(48, 320, 0.05)]
    [InlineData(7, 65, 0.9)]
    [InlineData(12, 40, 0)]
    [InlineData(64, 1024, 0.5)]
    public void Every_format_gives_the_matrix_back_and_its_products_on_every_path(int rows, int columns, double density)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new((ulong)(rows + columns));
        Tensor W = randn([rows, columns], generator: generator) * rand([rows, columns], generator: generator).lt(density);
        foreach (SparseMatrix matrix in Formats(W))
        {
            Assert.True(Same(matrix.ToDense(), W), matrix.ToString());
            CheckProducts(matrix, W, generator);
        }
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(2, 4)]
    [InlineData(4, 8)]
    [InlineData(3, 16)]
    [InlineData(16, 64)]
    public void N_of_m_is_stored_at_its_bits(int n, int m)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new((ulong)m);
        Tensor scores = randn([24, 192], generator: generator), W = scores * Select.TopK(scores.abs(), Budget.NofM(n, m)).ToMask();
        NofMMatrix matrix = NofMMatrix.FromDense(W, n, m);
        Assert.True(Same(matrix.ToDense(), W));
        CheckProducts(matrix, W, generator);
        int bits = m switch { 2 => 1, 4 => 2, 8 or 16 => 4, _ => 8 }, kept = 24 * 192 * n / m;
        Assert.Equal((4 * kept) + (24 * (((192 / m * n * bits) + 7) / 8)), matrix.Bytes);

        // A group that keeps fewer is filled, a group that keeps more is refused where it stands.
        W[3, 5] = 0;
        Assert.True(Same(NofMMatrix.FromDense(W, n, m).ToDense(), W));
        W[7].fill_(1);
        ArgumentException error = Assert.Throws<ArgumentException>(() => NofMMatrix.FromDense(W, n, m));
        Assert.Contains("Row 7", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bytes_are_those_of_the_formulas()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(3);
        Tensor W = randn([64, 512], generator: generator) * rand([64, 512], generator: generator).lt(0.25);
        long nnz = W.ne(0).sum().item<long>();
        Assert.Equal((nnz * 6) + (4 * 65), CsrMatrix.FromDense(W).Bytes);
        Assert.Equal((nnz * 4) + (64 * 512 / 8), BitmapMatrix.FromDense(W).Bytes);
        Tensor pairs = randn([64, 512], generator: generator);
        pairs *= Select.TopK(pairs.abs(), Budget.NofM(2, 4)).ToMask();
        Assert.Equal((2 * 64 * 512) + (64 * 512 / 8), NofMMatrix.FromDense(pairs, 2, 4).Bytes);
        BlockMatrix blocks = BlockMatrix.FromDense(W, 16, 1);
        Assert.Equal((blocks.Blocks.Count * (64 + 2)) + (4 * 5), blocks.Bytes);

        // Above 65,536 columns an index takes 32 bits.
        Tensor wide = zeros(2, 70_000);
        wide[1, 69_999] = 3;
        CsrMatrix far = CsrMatrix.FromDense(wide);
        Assert.Equal((4, 8 + (4 * 3)), (far.ColumnBytes, far.Bytes));
        Assert.True(Same(far.ToDense(), wide));
        Assert.Equal(6, far.Multiply(full(70_000, 2f))[1].item<float>());
    }

    [Fact]
    public void Every_array_holds_as_many_bytes_as_said()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(4);
        Tensor W = randn([32, 96], generator: generator) * rand([32, 96], generator: generator).lt(0.5);
        GroupSparseQuantMatrix groups = GroupSparseQuantMatrix.From(W, Support.FromMask(rand([32, 6], generator: generator).lt(0.4)));
        foreach (SparseMatrix matrix in Formats(W).Append(groups))
            Assert.Equal(matrix.Bytes, matrix.Arrays().Values.Sum(t => t.numel() * t.element_size()));
    }

    [Fact]
    public void What_is_not_stored_is_not_multiplied()
    {
        using var scope = NewDisposeScope();
        Tensor W = zeros(3, 40), x = ones(40);
        W[0, 1] = 2;
        W[2, 39] = 1;
        (x[0], x[2], x[38]) = (tensor(float.PositiveInfinity), tensor(float.NaN), tensor(float.NegativeInfinity));
        foreach (SparseMatrix matrix in (SparseMatrix[])[CsrMatrix.FromDense(W), BitmapMatrix.FromDense(W), BlockMatrix.FromDense(W, 1, 1)])
        {
            foreach (KernelPath path in KernelPaths.All)
            {
                matrix.Path = path;
                Assert.Equal([2f, 0f, 1f], matrix.Multiply(x).data<float>().ToArray());
                Assert.True(matrix.Multiply(x.expand(20, 40)).isfinite().all().item<bool>());
            }
        }

        // What is stored is, as IEEE says.
        x[1] = float.PositiveInfinity;
        Assert.Equal(float.PositiveInfinity, BitmapMatrix.FromDense(W).Multiply(x)[0].item<float>());
    }

    [Fact]
    public void Threads_change_no_bit()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(5);
        Tensor W = randn([700, 512], generator: generator) * rand([700, 512], generator: generator).lt(0.5), X = randn([9, 512], generator: generator);
        GroupSparseQuantMatrix groups = GroupSparseQuantMatrix.From(W, Support.FromMask(rand([700, 32], generator: generator).lt(0.6)));
        foreach (SparseMatrix matrix in (SparseMatrix[])[CsrMatrix.FromDense(W), BitmapMatrix.FromDense(W), NofMMatrix.FromDense(W, 4, 4), BlockMatrix.FromDense(W, 4, 1), groups])
        {
            (Tensor one, Tensor all) = (matrix.Multiply(X[0]), matrix.Multiply(X));
            (Tensor lonely, Tensor alone) = OnOneThread(() => (matrix.Multiply(X[0]), matrix.Multiply(X)));
            Assert.True(Same(one, lonely) && Same(all, alone), matrix.ToString());
        }
    }

    [Fact]
    public void Wrong_input_is_named()
    {
        using var scope = NewDisposeScope();
        Tensor W = ones(4, 8);
        CsrMatrix matrix = CsrMatrix.FromDense(W);
        Support support = matrix.ToSupport();
        Assert.Throws<ArgumentException>(() => matrix.Multiply(ones(7)));
        Assert.Throws<ArgumentException>(() => matrix.Multiply(ones(2, 8, dtype: ScalarType.Float64)));
        Assert.Throws<ArgumentException>(() => matrix.Multiply(new float[8], new float[3]));
        float[] shared = new float[8];
        Assert.Throws<ArgumentException>(() => matrix.Multiply(shared, shared.AsSpan(0, 4)));
        Assert.Throws<ArgumentException>(() => CsrMatrix.From(support, ones(31)));
        Assert.Throws<ArgumentException>(() => CsrMatrix.From(support, ones(32, dtype: ScalarType.Int32)));
        Assert.Throws<ArgumentException>(() => CsrMatrix.FromDense(ones(4)));
        Assert.Contains("3", Assert.Throws<ArgumentException>(() => BlockMatrix.FromDense(W, 1, 3)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => BlockMatrix.FromDense(W, 3, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => BlockMatrix.FromDense(W, 0, 1));
        Assert.Throws<ArgumentException>(() => NofMMatrix.FromDense(W, 2, 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => NofMMatrix.FromDense(W, 5, 4));
        Assert.Equal(0, CsrMatrix.FromDense(zeros(0, 8)).Multiply(ones(3, 8)).numel());
    }

    [Fact]
    public void Views_are_read_as_they_are()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(6);
        Tensor W = randn([40, 30], generator: generator).t(), X = randn([40, 12], generator: generator).t();
        foreach (SparseMatrix matrix in Formats(W))
            Assert.True((matrix.Multiply(X) - X.mm(W.t())).abs().max().item<float>() < 1e-4);
    }

    internal static void CheckProducts(SparseMatrix matrix, Tensor W, Generator generator)
    {
        foreach (KernelPath path in KernelPaths.All)
        {
            matrix.Path = path;
            foreach (long[] shape in (long[][])[[W.shape[1]], [1, W.shape[1]], [2, 3, W.shape[1]], [17, W.shape[1]], [150, W.shape[1]]])
            {
                using var scope = NewDisposeScope();
                Tensor X = randn(shape, generator: generator), flat = X.reshape(-1, W.shape[1]).to(ScalarType.Float64);

                // Per number: the rounding of a sum of so many products, whatever their order.
                Tensor expected = flat.mm(W.t().to(ScalarType.Float64)), bound = flat.abs().mm(W.t().abs().to(ScalarType.Float64)) * 1e-5 + 1e-12;
                Tensor Y = matrix.Multiply(X);
                Assert.Equal([.. shape[..^1], W.shape[0]], Y.shape);
                Assert.True((Y.reshape(-1, W.shape[0]) - expected).abs().le(bound).all().item<bool>(), $"{matrix}, {path}, [{string.Join(", ", shape)}]");
            }
        }
    }

    internal static bool Same(Tensor a, Tensor b) => a.eq(b).all().item<bool>();

    internal static T OnOneThread<T>(Func<T> work)
    {
        int threads = get_num_threads();
        try
        {
            set_num_threads(1);
            return work();
        }
        finally
        {
            set_num_threads(threads);
        }
    }
}
