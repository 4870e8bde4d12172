using Sparseland.FineTuning;
using Sparseland.LowRank;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

/// <summary>Layers whose places are part of their saved state: they follow a state that is loaded, and refuse one that cannot be theirs.</summary>
public class LoadedStateTests
{
    private static readonly LostOptions s_lost = new() { Rank = 2, Channels = ChannelChoice.Given, Given = [1, 4], Activation = InnerActivation.None };

    [Fact]
    public void Channels_of_a_state_are_taken_over_and_checked()
    {
        using var scope = NewDisposeScope();
        using Linear start = nn.Linear(8, 6);
        using Sequential one = nn.Sequential(("lost", new LowRankChannelLinear(start, s_lost, "mlp.up"))), other = nn.Sequential(("lost", new LowRankChannelLinear(start, s_lost with { Given = [0, 7] }, "mlp.up")));
        Tensor x = randn(3, 8);
        one.load_state_dict(other.state_dict());
        Assert.Equal([0L, 7L], ((LowRankChannelLinear)one[0]).Channels);
        Assert.True(one.call(x).equal(other.call(x)).all().item<bool>());
        foreach (long[] bad in new long[][] { [0, 8], [-1, 3], [4, 4], [5, 2] })
        {
            Dictionary<string, Tensor> state = other.state_dict().ToDictionary(s => s.Key, s => s.Value.clone());
            state["lost.channels"] = tensor(bad);
            one.load_state_dict(state);
            var layer = (LowRankChannelLinear)one[0];
            Assert.Contains("mlp.up", Assert.Throws<InvalidDataException>(() => one.call(x)).Message, StringComparison.Ordinal);
            Assert.Throws<InvalidDataException>(() => layer.Channels);
            Assert.Throws<InvalidDataException>(() => layer.EffectiveWeight());
            Assert.Throws<InvalidDataException>(() => layer.Merge());
        }
    }

    [Theory]
    [InlineData(ForwardMode.FormWeight)]
    [InlineData(ForwardMode.Factored)]
    public void Atoms_are_saved_with_their_coefficients(ForwardMode mode)
    {
        using var scope = NewDisposeScope();
        DenseSparseShape shape = new(12, 8, 4, 6, 2);
        DenseSparseLinear Made(ulong seed)
        {
            using DenseSparseFactors factors = DenseSparse.Factorize(LowRankData.Gaussian(12, 8, seed), shape);
            return new(factors, mode: mode);
        }

        using Sequential one = nn.Sequential(("d", Made(1))), other = nn.Sequential(("d", Made(2)));
        var (layer, like) = ((DenseSparseLinear)one[0], (DenseSparseLinear)other[0]);
        Assert.False(layer.Indices.equal(like.Indices).all().item<bool>());
        Tensor x = LowRankData.Gaussian(5, 8, 3).requires_grad_(), x2 = x.detach().clone().requires_grad_();
        one.load_state_dict(other.state_dict());
        Tensor y = one.call(x), y2 = other.call(x2);
        y.square().sum().backward();
        y2.square().sum().backward();
        Assert.True((y - y2).abs().max().item<double>() < 1e-12);
        Assert.True((x.grad! - x2.grad!).abs().max().item<double>() < 1e-12);
        Assert.True((layer.Values.grad! - like.Values.grad!).abs().max().item<double>() < 1e-12);
        (long last0, long last1) = (like.Indices[0, 5, 0].item<long>(), like.Indices[0, 5, 1].item<long>());
        foreach ((long at0, long at1) in new[] { (0L, 6L), (-1L, 2L), (3L, 3L), (4L, 1L), (last0, last1) })
        {
            // The last are atoms, but of another fingerprint.
            Dictionary<string, Tensor> state = other.state_dict().ToDictionary(part => part.Key, part => part.Value.detach().clone());
            state["d.indices"][0, 5, 0] = at0;
            state["d.indices"][0, 5, 1] = at1;
            state["d.fingerprint"].add_(1);
            one.load_state_dict(state);

            Assert.Throws<InvalidDataException>(() => one.call(x));
            Assert.Throws<InvalidDataException>(() => layer.EffectiveWeight());
        }
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void Half_types_are_factored_in_Float32_and_layers_may_be_moved_to_them(ScalarType half)
    {
        using var scope = NewDisposeScope();
        using Linear wide = nn.Linear(8, 12);
        using Linear linear = (Linear)nn.Linear(8, 12).to(half);
        using (no_grad())
        {
            wide.weight.copy_(LowRankData.Gaussian(12, 8, 4) * 0.3);
            linear.weight.copy_(wide.weight);
            wide.weight.copy_(linear.weight);
            wide.bias!.copy_(linear.bias!);
        }

        DenseSparseShape shape = new(12, 8, 4, 6, 2);
        using DenseSparseLinear layer = DenseSparseLinear.FromDense(linear, shape), reference = DenseSparseLinear.FromDense(wide, shape);
        Assert.Equal(ScalarType.Float32, layer.Bias!.dtype);
        Tensor x = randn(5, 8), expected = reference.call(x);
        Assert.True((expected - layer.call(x)).abs().max().item<float>() < 1e-5);
        layer.Mode = ForwardMode.Factored;
        layer.to(half);
        Assert.False(layer.IsFactored(5));
        Tensor y = layer.call(x.to(half));
        Assert.Equal(half, y.dtype);
        Assert.True((expected - y.to(ScalarType.Float32)).abs().max().item<float>() < 0.1);
        using DenseSparseFactors factors = layer.Factors();
        Assert.Equal(ScalarType.Float32, factors.Basis.dtype);
        Assert.Equal(half, layer.EffectiveWeight().dtype);
        Assert.Throws<ArgumentException>(() => layer.call(x));
    }

    [Theory]
    [InlineData(SliceSide.Input)]
    [InlineData(SliceSide.Output)]
    public void A_slice_follows_the_indices_of_a_state(SliceSide side)
    {
        using var scope = NewDisposeScope();
        using Linear first = nn.Linear(6, 6), second = nn.Linear(6, 6);
        using Sequential one = nn.Sequential(("s", new SliceLinear(first, side, [2, 3], "up"))), other = nn.Sequential(("s", new SliceLinear(second, side, [0, 5], "up")));
        using (no_grad()) ((SliceLinear)other[0]).Delta.copy_(randn(((SliceLinear)other[0]).Delta.shape));
        one.load_state_dict(other.state_dict());
        Tensor x = randn(4, 6);
        Assert.True(one.call(x).equal(other.call(x)).all().item<bool>());
        Assert.Equal([0, 5], ((SliceLinear)one[0]).Indices);
        foreach (long[] bad in new long[][] { [0, 6], [3, 3] })
        {
            Dictionary<string, Tensor> state = other.state_dict().ToDictionary(s => s.Key, s => s.Value.clone());
            state["s.index"] = tensor(bad);
            one.load_state_dict(state);
            Assert.Contains("up", Assert.Throws<InvalidDataException>(() => one.call(x)).Message, StringComparison.Ordinal);
            Assert.Throws<InvalidDataException>(() => ((SliceLinear)one[0]).Indices);
        }
    }

    [Fact]
    public void Spectral_pairs_of_a_state_are_each_there_once()
    {
        using var scope = NewDisposeScope();
        using Linear start = nn.Linear(6, 6);
        using Sequential one = nn.Sequential(("s", new SpectralLinear(start, new() { Rank = 2, Seed = 1 }, name: "up"))), other = nn.Sequential(("s", new SpectralLinear(start, new() { Rank = 2, Seed = 9, Sampling = SpectralSampling.Uniform }, name: "up")));
        one.load_state_dict(other.state_dict());
        Tensor x = randn(4, 6);
        Assert.True(one.call(x).equal(other.call(x)).all().item<bool>());
        Assert.Equal(((SpectralLinear)other[0]).Active, ((SpectralLinear)one[0]).Active);
        foreach (long[] bad in new long[][] { [0, 6, 1, 2, 3, 4], [1, 0, 2, 3, 4, 5], [0, 1, 2, 3, 5, 4], [0, 1, 1, 2, 3, 4] })
        {
            Dictionary<string, Tensor> state = other.state_dict().ToDictionary(s => s.Key, s => s.Value.clone());
            state["s.order"] = tensor(bad);
            one.load_state_dict(state);
            Assert.Contains("up", Assert.Throws<InvalidDataException>(() => one.call(x)).Message, StringComparison.Ordinal);
            Assert.Throws<InvalidDataException>(() => ((SpectralLinear)one[0]).Active);
        }
    }

    [Fact]
    public void Layers_that_share_a_seed_draw_apart()
    {
        using var scope = NewDisposeScope();
        using Linear start = nn.Linear(32, 32);
        Sequential Made(params long[] seeds) => nn.Sequential([.. seeds.Select((seed, i) => ($"l{i}", (nn.Module<Tensor, Tensor>)new SpectralLinear(start, new() { Rank = 8, Seed = seed, Sampling = SpectralSampling.Uniform })))]);
        IReadOnlyList<long>[] Active(Sequential net) => [.. net.modules().OfType<SpectralLinear>().Select(l => l.Active)];
        using Sequential shared = Made(5, 5, 5), own = Made(5, 6, 7);
        IReadOnlyList<long>[] before = Active(shared), alone = Active(own);
        Assert.Equal(before[0], before[1]);
        Tensor x = randn(3, 32), y = shared.call(x);
        using var optimizer = new SstOptimizer(new SgdOptimizer(shared), shared, new() { StepsPerIteration = 2, WarmUp = 1 });
        using var other = new SstOptimizer(new SgdOptimizer(own), own);
        IReadOnlyList<long>[] after = Active(shared);
        Assert.Equal(before[0], after[0]);
        Assert.Equal(3, after.Select(a => string.Join(' ', a)).Distinct().Count());
        Assert.Equal(alone, Active(own));
        Assert.True((shared.call(x) - y).abs().max().item<float>() < 1e-5);

        // A second optimizer, as of a training that is taken up, leaves the draw as it is; later draws are apart too.
        using var again = new SstOptimizer(new SgdOptimizer(shared), shared, new() { StepsPerIteration = 2, WarmUp = 1 });
        Assert.Equal(after, Active(shared));
        for (int step = 0; step < 2; step++)
        {
            shared.zero_grad();
            shared.call(x).square().sum().backward();
            again.Step(1e-4);
        }

        Assert.Equal(3, Active(shared).Select(a => string.Join(' ', a)).Distinct().Count());
    }

    [Fact]
    public void Slices_of_a_matrix_are_a_copy_also_of_one_slice()
    {
        using var scope = NewDisposeScope();
        foreach (MonarchShape shape in new MonarchShape[] { new(6, 4, 1, 1), new(6, 4, 1, 2), new(6, 4, 3, 2) })
        {
            Tensor weight = LowRankData.Gaussian(4, 6, 1), before = weight.clone();
            Tensor slices = Monarch.Slices(weight, shape);
            Assert.Equal(before.sum().item<double>(), slices.sum().item<double>(), 1e-12);
            slices.zero_();
            Assert.True(before.equal(weight).all().item<bool>());
        }
    }
}
