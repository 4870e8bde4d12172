using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

public class SparseProductTests
{
    public static TheoryData<int, int, int, double> Shapes() => new()
    {
        { 1, 1, 1, 1 }, { 3, 5, 7, 0.5 }, { 16, 33, 16, 0.1 }, { 40, 300, 100, 0.05 }, { 64, 512, 192, 0.02 }, { 200, 90, 129, 0.1 }, { 33, 200, 257, 0.4 }, { 70, 128, 64, 0 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void All_products_are_those_of_the_dense_matrix(int rows, int columns, int width, double share)
    {
        foreach (ScalarType type in (ScalarType[])[ScalarType.Float32, ScalarType.Float64])
        {
            using var scope = NewDisposeScope();
            double tolerance = type == ScalarType.Float32 ? 2e-4 : 1e-12;
            using Generator generator = new((ulong)(rows + width));
            Tensor mask = rand([rows, columns], generator: generator).lt(share), F = randn([rows, columns], type, generator: generator) * mask;
            Tensor W = randn([columns, width], type, generator: generator), G = randn([rows, width], type, generator: generator), b = randn(width, type, generator: generator);
            Support support = Support.FromMask(mask);
            Tensor values = support.Gather(F);
            Close(F.mm(W), SparseProduct.Multiply(support, values, W), tolerance);
            Close(F.mm(W) + b, SparseProduct.Multiply(support, values, W, b), tolerance);
            Close(F, SparseProduct.ToDense(support, values), 0);
            Close(support.Gather(G.mm(W.t())), SparseProduct.Sampled(support, G, W), tolerance);

            Support turned = support.Transpose(out int[] order);
            Tensor along = values.index_select(0, tensor(order.Select(e => (long)e).ToArray()));
            Assert.Equal(Support.FromMask(mask.t()), turned);
            Close(F.t().mm(G), SparseProduct.Multiply(turned, along, G), tolerance);
            Tensor target = W.clone();
            SparseProduct.AddTo(turned, along, G, target);
            Close(W + F.t().mm(G), target, tolerance);
        }
    }

    // Matrices that are written past the cache, and those beside them that are not.
    [Theory]
    [InlineData(600, 4096, ScalarType.Float32)]
    [InlineData(1200, 1024, ScalarType.Float64)]
    [InlineData(300, 8192, ScalarType.Float64)]
    [InlineData(2500, 1001, ScalarType.Float32)]
    public void A_large_matrix_has_its_values_in_their_places_and_zeros_elsewhere(int rows, int columns, ScalarType type)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(5);
        Tensor mask = rand([rows, columns], generator: generator).lt(0.05), F = randn([rows, columns], type, generator: generator).masked_fill(mask.logical_not(), 0);
        F[3] = 0;
        Support support = Support.FromMask(F.ne(0));
        for (int again = 0; again < 3; again++)
        {
            using Tensor dense = SparseProduct.ToDense(support, support.Gather(F));
            Assert.True(dense.equal(F).all().item<bool>());
            dense.fill_(double.NaN);
        }
    }

    [Fact]
    public void Views_are_read_as_they_are()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(3);
        Tensor F = randn([20, 40], generator: generator) * rand([20, 40], generator: generator).lt(0.1), W = randn([30, 40], generator: generator).t();
        Support support = Support.FromMask(F.ne(0));
        Close(F.mm(W), SparseProduct.Multiply(support, support.Gather(F), W), 1e-4);
        Tensor G = randn([30, 20], generator: generator).t();
        Close(support.Gather(G.mm(W.t())), SparseProduct.Sampled(support, G, W), 1e-4);
    }

    [Fact]
    public void The_number_of_threads_changes_no_bit()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(4);
        Tensor z = randn([256, 900], generator: generator), W = randn([900, 70], generator: generator);
        Support support = Select.TopK(z, Budget.PerRow(9));
        Tensor values = support.Gather(z);
        Tensor Once() => SparseProduct.Multiply(support, values, W);
        int threads = get_num_threads();
        Tensor several = Once();
        for (int i = 0; i < 5; i++) Assert.True(several.eq(Once()).all().item<bool>());
        Assert.Equal(threads, get_num_threads());
        for (int row = 0; row < 256; row++)
        {
            Support alone = Select.TopK(z.narrow(0, row, 1), Budget.PerRow(9));
            Assert.True(several[row].eq(SparseProduct.Multiply(alone, alone.Gather(z.narrow(0, row, 1)), W)[0]).all().item<bool>());
        }
    }

    [Fact]
    public void What_does_not_fit_is_refused_by_name()
    {
        using var scope = NewDisposeScope();
        Support support = Select.TopK(rand(4, 6), Budget.PerRow(2));
        Tensor values = ones(8), W = ones(6, 3);
        Throws("values must be [8]", () => SparseProduct.Multiply(support, ones(7), W));
        Throws("dense must be [6, width]", () => SparseProduct.Multiply(support, values, ones(5, 3)));
        Throws("dense is Float64, the others are Float32", () => SparseProduct.Multiply(support, values, ones([6, 3], ScalarType.Float64)));
        Throws("values is Int64", () => SparseProduct.Multiply(support, ones(8, ScalarType.Int64), W));
        Throws("bias must be [3]", () => SparseProduct.Multiply(support, values, W, ones(4)));
        Throws("their widths must agree", () => SparseProduct.Sampled(support, ones(4, 3), ones(6, 2)));
        Throws("left must be [4, width]", () => SparseProduct.Sampled(support, ones(5, 3), ones(6, 3)));
        Throws("target must be [4, 3] and contiguous", () => SparseProduct.AddTo(support, values, W, ones(3, 4).t()));
        static void Throws(string text, Action action) => Assert.Contains(text, Assert.ThrowsAny<ArgumentException>(action).Message, StringComparison.Ordinal);
    }

    private static void Close(Tensor expected, Tensor actual, double tolerance)
    {
        Assert.Equal(expected.shape, actual.shape);
        if (expected.numel() > 0) Assert.InRange((expected - actual).abs().max().to(ScalarType.Float64).item<double>(), 0, tolerance * (1 + expected.abs().max().to(ScalarType.Float64).item<double>()));
    }
}
