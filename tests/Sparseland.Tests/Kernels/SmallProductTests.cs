using Sparseland.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

public class SmallProductTests
{
    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(3, 5, 7)]
    [InlineData(4, 9, 16)]
    [InlineData(5, 64, 33)]
    [InlineData(67, 31, 50)]
    [InlineData(256, 64, 256)]
    [InlineData(32, 256, 64)]
    [InlineData(700, 300, 120)]
    public void It_is_the_product_of_libtorch(int m, int k, int n)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        Tensor a = randn([m, k], dtype: ScalarType.Float64, generator: generator), b = randn([k, n], dtype: ScalarType.Float64, generator: generator);
        Tensor ours = SmallProduct.Multiply(a, b), theirs = a.mm(b);
        Assert.Equal(theirs.shape, ours.shape);
        Assert.InRange(ours.sub(theirs).abs().max().item<double>(), 0, 1e-11);
    }

    [Fact]
    public void Views_and_single_precision_work_too()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(2);
        Tensor a = randn([40, 30], dtype: ScalarType.Float64, generator: generator);
        Assert.InRange(SmallProduct.Multiply(a.narrow(0, 3, 20), a.t()).sub(a.narrow(0, 3, 20).mm(a.t())).abs().max().item<double>(), 0, 1e-12);
        Tensor single = a.to(ScalarType.Float32);
        Assert.Equal(ScalarType.Float32, SmallProduct.Multiply(single, single.t()).dtype);
    }

    [Fact]
    public void A_value_that_is_not_finite_stays_visible()
    {
        using var scope = NewDisposeScope();
        Tensor a = ones([5, 4], dtype: ScalarType.Float64), b = ones([4, 20], dtype: ScalarType.Float64);
        b[2, 17] = double.NaN;
        Tensor product = SmallProduct.Multiply(a, b);
        Assert.True(product.select(1, 17).isnan().all().item<bool>());
        Assert.Equal(95, product.isfinite().sum().item<long>());
    }
}
