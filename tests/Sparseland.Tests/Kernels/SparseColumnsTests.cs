using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

public class SparseColumnsTests
{
    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(5, 3, 5)]
    [InlineData(40, 65, 7)]
    [InlineData(64, 1024, 32)]
    [InlineData(33, 2100, 22)]
    [InlineData(300, 1040, 150)]
    public void Every_path_gives_the_bits_of_the_plain_sum(int inputs, int outputs, int kept)
    {
        using var scope = NewDisposeScope();
        (Tensor Wt, Tensor x, Support support) = Case(inputs, outputs, kept);
        float[] expected = Plain(Wt, x, support);
        foreach (KernelPath path in KernelPaths.All)
            Assert.Equal(expected, SparseColumns.Multiply(Wt, x, support, path).data<float>().ToArray());
        float[] y = new float[outputs];
        SparseColumns.AddTo(Wt.data<float>().ToArray(), x.data<float>().ToArray(), support.Row(0), y);
        Assert.Equal(expected, y);
    }

    [Fact]
    public void Any_number_of_threads_gives_the_same_bits()
    {
        using var scope = NewDisposeScope();
        (Tensor Wt, Tensor x, Support support) = Case(1024, 2064, 700);
        int threads = get_num_threads();
        try
        {
            float[][] results = [.. new[] { 1, 2, 3, 5 }.Select(n =>
            {
                set_num_threads(n);
                return SparseColumns.Multiply(Wt, x, support).data<float>().ToArray();
            })];
            Assert.All(results, result => Assert.Equal(results[0], result));
            Assert.Equal(Plain(Wt, x, support), results[0]);
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    [Fact]
    public void It_is_the_dense_product_of_the_masked_input_token_by_token()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(3);
        Tensor W = randn([48, 70], generator: generator), x = randn([5, 70], generator: generator);
        Support kept = Select.TopK(x.abs(), Budget.PerRow(20));

        // W.t() is a view with other strides: it must be read as what it says.
        Tensor result = SparseColumns.Multiply(W.t(), x, kept);
        Assert.True(result.allclose((x * kept.ToMask()).mm(W.t()), 1e-5, 1e-5));
        Assert.Equal([5L, 48L], result.shape);
        Tensor one = SparseColumns.Multiply(W.t(), x[2], Select.TopK(x[2].abs(), Budget.PerRow(20)));
        Assert.True(one.equal(result[2]).all().item<bool>());
    }

    [Fact]
    public void What_is_not_kept_is_not_multiplied()
    {
        using var scope = NewDisposeScope();
        Tensor Wt = ones(3, 20), x = tensor(new[] { 2f, float.NaN, 3f });
        Wt[1] = tensor(float.PositiveInfinity);
        Support kept = new(1, 3, [0, 2], [0, 2]);
        Assert.All(SparseColumns.Multiply(Wt, x, kept).data<float>().ToArray(), value => Assert.Equal(5, value));
        Support broken = new(1, 3, [0, 1], [1]);
        Assert.All(SparseColumns.Multiply(Wt, x, broken).data<float>().ToArray(), value => Assert.True(float.IsNaN(value)));
    }

    [Fact]
    public void Sums_begin_with_what_y_holds_and_nothing_kept_changes_nothing()
    {
        float[] y = [1, 2];
        SparseColumns.AddTo([1, 10, 2, 20], [3, 4], [1], y);
        Assert.Equal([9, 82], y);
        SparseColumns.AddTo([1, 10, 2, 20], [3, 4], [], y);
        Assert.Equal([9, 82], y);
        SparseColumns.AddTo([], [], [], y);
        Assert.Equal([9, 82], y);
        using Tensor Wt = ones(4, 3), x = ones(4), empty = SparseColumns.Multiply(Wt, x, Support.Empty(1, 4));
        Assert.Equal([0, 0, 0], empty.data<float>().ToArray());
    }

    [Fact]
    public void What_does_not_fit_is_refused_by_name()
    {
        using var scope = NewDisposeScope();
        Tensor Wt = ones(4, 3), x = ones(4);
        Support kept = Support.Empty(1, 4);
        Assert.Contains("Wt must be", Assert.Throws<ArgumentException>(() => SparseColumns.Multiply(ones(4), x, kept)).Message, StringComparison.Ordinal);
        Assert.Contains("[4]", Assert.Throws<ArgumentException>(() => SparseColumns.Multiply(Wt, ones(5), kept)).Message, StringComparison.Ordinal);
        Assert.Contains("Float64", Assert.Throws<ArgumentException>(() => SparseColumns.Multiply(Wt, ones(4, dtype: ScalarType.Float64), kept)).Message, StringComparison.Ordinal);
        Assert.Contains("a row for each token", Assert.Throws<ArgumentException>(() => SparseColumns.Multiply(Wt, ones(2, 4), kept)).Message, StringComparison.Ordinal);
        Assert.Contains("ascend strictly", Assert.Throws<ArgumentException>(() => SparseColumns.AddTo(new float[4], new float[2], [1, 1], new float[2])).Message, StringComparison.Ordinal);
        Assert.Contains("ascend strictly", Assert.Throws<ArgumentException>(() => SparseColumns.AddTo(new float[4], new float[2], [2], new float[2])).Message, StringComparison.Ordinal);
        Assert.Contains("2 x 2", Assert.Throws<ArgumentException>(() => SparseColumns.AddTo(new float[5], new float[2], [], new float[2])).Message, StringComparison.Ordinal);
        float[] shared = new float[4];
        Assert.Contains("shares memory", Assert.Throws<ArgumentException>(() => SparseColumns.AddTo(shared, new float[2], [], shared.AsSpan(0, 2))).Message, StringComparison.Ordinal);
    }

    private static (Tensor Wt, Tensor X, Support Kept) Case(int inputs, int outputs, int kept)
    {
        using Generator generator = new((ulong)(inputs + outputs));
        Tensor Wt = randn([inputs, outputs], generator: generator), x = randn([inputs], generator: generator);
        return (Wt, x, Select.TopK(x.abs(), Budget.PerRow(kept)));
    }

    private static float[] Plain(Tensor Wt, Tensor x, Support kept)
    {
        float[] w = Wt.data<float>().ToArray(), input = x.data<float>().ToArray(), y = new float[Wt.shape[1]];
        foreach (int k in kept.Row(0))
        {
            for (int i = 0; i < y.Length; i++) y[i] = MathF.FusedMultiplyAdd(input[k], w[(k * y.Length) + i], y[i]);
        }

        return y;
    }
}
