using Sparseland.Kernels;
using Sparseland.Models;
using Sparseland.Selection;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models;

/// <summary>Against a dense layer whose weight is multiplied by a mask, with libtorch's own gradients.</summary>
public class FixedSupportLinearTests
{
    [Theory]
    [InlineData(0.05, ScalarType.Float32, 1e-5)]
    [InlineData(0.05, ScalarType.Float64, 1e-12)]
    [InlineData(0.5, ScalarType.Float32, 1e-5)]
    [InlineData(0.0, ScalarType.Float64, 1e-12)]
    [InlineData(1.0, ScalarType.Float64, 1e-12)]
    public void Gradients_are_those_of_a_masked_dense_layer(double density, ScalarType type, double tolerance)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(3);
        Tensor mask = rand([70, 90], generator: generator).lt(density), start = randn([70, 90], dtype: type, generator: generator), b = randn([70], dtype: type, generator: generator);
        Support support = Support.FromMask(mask);
        using var layer = new FixedSupportLinear(support, support.Gather(start), b);
        Tensor weight = start.clone().requires_grad_(), bias = b.clone().requires_grad_();
        foreach (long[] shape in (long[][])[[90], [5, 90], [2, 3, 90], [0, 90]])
        {
            Tensor x = randn(shape, dtype: type, generator: generator), pull = randn([.. shape[..^1], 70], dtype: type, generator: generator);
            Tensor ours = x.clone().requires_grad_(), theirs = x.clone().requires_grad_();
            layer.zero_grad();
            (weight.grad, bias.grad) = (null, null);
            Tensor y = layer.forward(ours), expected = nn.functional.linear(theirs, weight * mask, bias);
            Close(y, expected, tolerance);
            (y * pull).sum().backward();
            (expected * pull).sum().backward();
            Close(ours.grad!, theirs.grad!, tolerance);
            Close(layer.Values.grad!, support.Gather(weight.grad!), tolerance);
            Close(layer.Bias!.grad!, bias.grad!, tolerance);
            Assert.Equal(support.Count, layer.Values.grad!.numel());
        }
    }

    [Fact]
    public void Training_keeps_the_places_and_goes_where_the_masked_layer_goes()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(4);
        Tensor mask = rand([20, 30], generator: generator).lt(0.1), x = randn([64, 30], dtype: ScalarType.Float64, generator: generator), target = randn([64, 20], dtype: ScalarType.Float64, generator: generator);
        Support support = Support.FromMask(mask);
        Tensor start = randn([20, 30], dtype: ScalarType.Float64, generator: generator);
        using var layer = new FixedSupportLinear(support, support.Gather(start));
        var weight = new Parameter(start.clone());
        using var ours = optim.Adam(layer.parameters(), 0.05);
        using var theirs = optim.Adam([weight], 0.05);
        for (int step = 0; step < 30; step++)
        {
            using var inner = NewDisposeScope();
            ours.zero_grad();
            layer.forward(x).sub(target).square().mean().backward();
            ours.step();
            weight.grad = null;
            nn.functional.linear(x, weight * mask).sub(target).square().mean().backward();
            theirs.step();
        }

        Close(layer.Values, support.Gather(weight.detach()), 1e-9);
        using SparseLinear fast = new FixedSupportLinear(support, layer.Values.to(ScalarType.Float32)).ToSparse(BitmapMatrix.FromCsr);
        using Linear dense = layer.ToLinear();
        Close(fast.forward(x.to(ScalarType.Float32)).to(ScalarType.Float64), dense.forward(x), 1e-5);
        Assert.Equal(support, Support.FromMask(dense.weight.ne(0)));
        using FixedSupportLinear again = FixedSupportLinear.Of(dense, support);
        Close(again.Values, layer.Values, 0);
    }

    [Fact]
    public void No_gradient_is_asked_for_in_vain_and_nothing_is_kept()
    {
        using var scope = NewDisposeScope();
        Support support = new(2, 3, [0, 1, 2], [0, 2]);
        using var layer = new FixedSupportLinear(support, ones(2));
        Assert.Single(layer.parameters());
        using (no_grad()) Assert.False(layer.forward(ones(4, 3)).requires_grad);
        Tensor x = ones(4, 3);
        layer.forward(x).sum().backward();
        Assert.Null(x.grad);
        Assert.Equal([4f, 4f], layer.Values.grad!.data<float>().ToArray());

        // Views are read as they are.
        Tensor turned = arange(12, dtype: ScalarType.Float32).view(3, 4).t();
        Close(layer.forward(turned), stack([turned.select(1, 0), turned.select(1, 2)], 1), 0);
    }

    [Fact]
    public void Wrong_input_is_named()
    {
        using var scope = NewDisposeScope();
        Support support = new(2, 3, [0, 1, 2], [0, 2]);
        Assert.Throws<ArgumentException>(() => new FixedSupportLinear(support, ones(3)));
        Assert.Throws<ArgumentException>(() => new FixedSupportLinear(support, ones(2, dtype: ScalarType.Int32)));
        Assert.Throws<ArgumentException>(() => new FixedSupportLinear(support, ones(2), ones(3)));
        using var layer = new FixedSupportLinear(support, ones(2));
        Assert.Throws<ArgumentException>(() => layer.forward(ones(4)));
        Assert.Throws<ArgumentException>(() => layer.forward(ones(3, dtype: ScalarType.Float64)));
        using Linear linear = nn.Linear(4, 2);
        Assert.Throws<ArgumentException>(() => FixedSupportLinear.Of(linear, support));
        using var wide = new FixedSupportLinear(support, ones(2, dtype: ScalarType.Float64));
        Assert.Throws<InvalidOperationException>(() => wide.ToSparse());
    }

    private static void Close(Tensor a, Tensor b, double tolerance)
    {
        Assert.Equal(b.shape, a.shape);
        if (b.numel() == 0) return;
        double off = (a - b).abs().max().to(ScalarType.Float64).item<double>(), size = b.abs().max().to(ScalarType.Float64).item<double>();
        Assert.True(off <= tolerance * Math.Max(1, size), $"{off} of {size}");
    }
}
