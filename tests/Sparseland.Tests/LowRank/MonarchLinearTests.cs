using Sparseland.LowRank;
using Sparseland.Models;
using TorchSharp;
using TorchSharp.Modules;
using static Sparseland.Tests.LowRank.MonarchTests;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

public class MonarchLinearTests
{
    private static readonly MonarchShape s_shape = new(24, 36, 4, 6, 3);

    [Theory, InlineData(true), InlineData(false)]
    public void Layer_effective_weight_and_merged_layer_are_one_function(bool bias)
    {
        using DisposeScope scope = NewDisposeScope();
        using var layer = new MonarchLinear(s_shape, 5, bias, dtype: ScalarType.Float64);
        using Linear merged = layer.Merge();
        Tensor x = Normal([2, 7, 24], 1), expected = x.MatMul(layer.EffectiveWeight().t());
        if (bias) expected = expected + layer.Bias!;
        AssertClose(expected, layer.call(x), 1e-12);
        AssertClose(expected, merged.call(x), 1e-12);
        Assert.Equal(bias, merged.bias is not null);
        Assert.Equal(layer.parameters().Sum(p => p.numel()), layer.ParameterCount);
        Assert.Equal(3 * ((6 * 24) + (4 * 36)), layer.MacsPerToken);
        Assert.False(layer.EffectiveWeight().requires_grad);
        Assert.True(merged.weight.requires_grad);
    }

    [Fact]
    public void The_start_has_the_published_variance_or_that_of_a_dense_layer()
    {
        using DisposeScope scope = NewDisposeScope();
        MonarchShape shape = MonarchShape.ForBlocks(256, 512, 4);
        double Variance(bool match) => new MonarchLinear(shape, 1, matchDense: match).EffectiveWeight().square().mean().to(ScalarType.Float64).item<double>() * 256;
        Assert.InRange(Variance(false) * 9, 0.97, 1.03);
        Assert.InRange(Variance(true) * 3, 0.97, 1.03);
    }

    [Fact]
    public void A_seed_is_a_start()
    {
        using var a = new MonarchLinear(s_shape, 5);
        using var b = new MonarchLinear(s_shape, 5);
        using var c = new MonarchLinear(s_shape, 6);
        Assert.True(a.parameters().Zip(b.parameters(), (x, y) => x.equal(y).all().item<bool>()).All(same => same));
        Assert.False(a.Right.equal(c.Right).all().item<bool>());
        Assert.Equal(["bias", "left", "right"], a.named_parameters().Select(p => p.name).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_dense_layer_becomes_its_nearest_and_keeps_its_bias()
    {
        using DisposeScope scope = NewDisposeScope();
        using Linear linear = nn.Linear(24, 36);
        using MonarchLinear near = MonarchLinear.FromDense(linear, s_shape);
        AssertClose(linear.bias!, near.Bias!, 0);
        AssertClose(Monarch.Project(linear.weight, s_shape).Matrix.ToDense(), near.EffectiveWeight(), 1e-6);
        // A layer that is in the class stays what it is.
        using Linear merged = near.Merge();
        using MonarchLinear again = MonarchLinear.FromDense(merged, s_shape);
        AssertClose(near.EffectiveWeight(), again.EffectiveWeight(), 1e-5);
    }

    [Fact]
    public void A_network_goes_to_factors_and_back_without_a_change_of_what_they_compute()
    {
        using DisposeScope scope = NewDisposeScope();
        using var net = nn.Sequential(("a", nn.Linear(24, 36)), ("act", nn.GELU()), ("b", nn.Linear(36, 24)));
        IReadOnlyList<ReplacedLayer> sparse = LinearSlots.Replace(net, (name, linear) => new MonarchLinear(MonarchShape.ForBlocks((int)linear.weight.shape[1], (int)linear.weight.shape[0], 2), 3));
        Tensor x = randn(5, 24), before = net.call(x);
        Assert.Equal(2, sparse.Count);
        foreach (ReplacedLayer layer in sparse) layer.Slot.Put(((MonarchLinear)layer.After).Merge());
        AssertClose(before, net.call(x), 1e-5);
        Assert.All(sparse, layer => Assert.IsType<Linear>(layer.Slot.Module));
    }

    [Fact]
    public void Saved_parameters_load_again()
    {
        using DisposeScope scope = NewDisposeScope();
        using var a = new MonarchLinear(s_shape, 5);
        using var b = new MonarchLinear(s_shape, 6);
        b.load_state_dict(a.state_dict());
        AssertClose(a.EffectiveWeight(), b.EffectiveWeight(), 0);
    }

    [Fact]
    public void Layers_that_do_not_fit_are_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        using Linear linear = nn.Linear(24, 35);
        using var layer = new MonarchLinear(s_shape, 5);
        Assert.Throws<ArgumentException>("weight", () => MonarchLinear.FromDense(linear, s_shape));
        Assert.Throws<ArgumentException>("matrix", () => MonarchLinear.FromMatrix(Monarch.Fourier(16)));
        Assert.Throws<ArgumentException>("bias", () => MonarchLinear.FromMatrix(Monarch.Hadamard(16), zeros(15, dtype: ScalarType.Float64)));
        Assert.Throws<ArgumentException>("dtype", () => new MonarchLinear(s_shape, 5, dtype: ScalarType.Int32));
        Assert.Throws<ArgumentException>("x", () => layer.call(zeros(2, 25)));
    }

    [Fact]
    public void Block_diagonal_layers_are_their_blocks()
    {
        using DisposeScope scope = NewDisposeScope();
        using var layer = new BlockDiagonalLinear(24, 36, 4, 1, dtype: ScalarType.Float64);
        Tensor x = Normal([2, 5, 24], 1), expected = cat([.. Enumerable.Range(0, 4).Select(n => x.narrow(2, 6 * n, 6).MatMul(layer.Blocks[n].t()))], 2) + layer.Bias!;
        AssertClose(expected, layer.call(x), 1e-12);
        using Linear merged = layer.Merge();
        AssertClose(expected, merged.call(x), 1e-12);
        using BlockDiagonalLinear again = BlockDiagonalLinear.FromDense(merged, 4);
        AssertClose(layer.Blocks, again.Blocks, 0);
        Assert.Equal((24 * 36 / 4) + 36, layer.ParameterCount);
        Assert.Equal((24, 36), (layer.Inputs, layer.Outputs));
        // Nested in the Monarch class: with as many runs of inputs as blocks, slices of as many ranks as a block needs hold it exactly.
        Assert.InRange(Monarch.Project(layer.EffectiveWeight(), new(24, 36, 4, 9)).RelativeError, 0, 1e-24);
        Assert.Throws<ArgumentException>("blocks", () => new BlockDiagonalLinear(24, 36, 5, 1));
        Assert.Throws<ArgumentException>("input", () => layer.call(zeros(3, 25, dtype: ScalarType.Float64)));
        Assert.Throws<ArgumentException>("input", () => layer.call(zeros(3, 24)));
    }
}
