using Sparseland.LowRank;
using TorchSharp;
using TorchSharp.Modules;
using static Sparseland.Tests.LowRank.MonarchTests;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

public class LowRankChannelLinearTests
{
    private static readonly LostOptions s_plain = new() { Rank = 4, KeptShare = 0.2, Gamma = 0.6, Activation = InnerActivation.None };

    [Theory, InlineData(0, 256, ResidualTail.Leading), InlineData(5, 256, ResidualTail.Leading), InlineData(5, 3, ResidualTail.Leading), InlineData(5, 3, ResidualTail.Last), InlineData(11, 1, ResidualTail.Leading)]
    public void Scores_are_the_column_norms_of_the_residual(int rank, int components, ResidualTail tail)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor W = Normal([12, 20], 1);
        (Tensor u, Tensor s, Tensor vt) = linalg.svd(W, fullMatrices: false);
        int q = Math.Min(components, 12 - rank), from = tail == ResidualTail.Leading ? rank : 12 - q;
        Tensor R = (u.narrow(1, from, q) * s.narrow(0, from, q)).mm(vt.narrow(0, from, q)), scores = ChannelScores.Residual(W, rank, components, tail);
        AssertClose(R.square().sum([0L]).sqrt(), scores, 1e-12);
        double energy = s.narrow(0, from, q).square().sum().item<double>();
        Assert.Equal(energy, scores.square().sum().item<double>(), 1e-9 * energy);
    }

    [Theory, InlineData(true), InlineData(false)]
    public void Without_activation_the_start_is_what_the_formula_says(bool bias)
    {
        using DisposeScope scope = NewDisposeScope();
        using Linear start = Start(20, 12, bias);
        using var layer = new LowRankChannelLinear(start, s_plain);
        (Tensor u, Tensor s, Tensor vt) = linalg.svd(start.weight.detach(), fullMatrices: false);
        Tensor expected = (u.narrow(1, 0, 4) * s.narrow(0, 0, 4)).mm(vt.narrow(0, 0, 4)) * 0.6;
        foreach (long c in layer.Channels) expected.select(1, c).add_(start.weight.detach().select(1, c) * 0.4);
        AssertClose(expected, layer.EffectiveWeight(), 1e-10);
        Tensor x = Normal([2, 5, 20], 3), y = x.MatMul(expected.t());
        if (bias) y = y + start.bias!;
        AssertClose(y, layer.call(x), 1e-10);
        using Linear merged = layer.Merge();
        AssertClose(y, merged.call(x), 1e-10);
        Assert.Equal(layer.parameters().Sum(p => p.numel()), layer.ParameterCount);
        Assert.Equal((4 * (20 + 12)) + (4 * 12), layer.MacsPerToken);
    }

    [Fact]
    public void Channels_are_the_largest_of_the_residual_and_not_of_the_weight()
    {
        using DisposeScope scope = NewDisposeScope();
        using Linear start = Start(20, 12, false);
        using (no_grad())
        {
            // One loud channel that rank one explains; it is the loudest of the weight and the quietest of the rest.
            start.weight.mul_(0.1);
            start.weight.select(1, 7).fill_(5);
        }

        using var layer = new LowRankChannelLinear(start, s_plain);
        double[] scores = ChannelScores.Residual(start.weight, 4).data<double>().ToArray();
        Assert.Equal(Enumerable.Range(0, 20).OrderByDescending(c => scores[c]).Take(4).Order().Select(c => (long)c), layer.Channels);
        Assert.DoesNotContain(7L, layer.Channels);
    }

    [Fact]
    public void Gradients_are_those_of_the_formula_and_the_rank_stays_bounded_while_training()
    {
        using DisposeScope scope = NewDisposeScope();
        using Linear start = Start(20, 12, true);
        using var layer = new LowRankChannelLinear(start, s_plain);
        Tensor x = Normal([9, 20], 3), target = Normal([9, 12], 4);
        using var optimizer = optim.SGD(layer.parameters(), 0.001);
        for (int step = 0; step < 4; step++)
        {
            optimizer.zero_grad();
            Tensor y = layer.call(x);
            (y - target).square().sum().backward();
            Tensor G = (2 * (y - target)).detach().t().mm(x), index = tensor(layer.Channels.ToArray());
            AssertClose(G.mm(layer.A.t()) * 0.6, layer.B.grad!, 1e-10);
            AssertClose(layer.B.t().mm(G) * 0.6, layer.A.grad!, 1e-10);
            AssertClose(G.index_select(1, index) * 0.4, layer.Values!.grad!, 1e-10);
            optimizer.step();
        }

        double[] s = TruncatedSvd.SingularValues(layer.EffectiveWeight());
        Assert.InRange(s[8] / s[0], 0, 1e-12);
        Assert.InRange(s[7] / s[0], 1e-6, 1);
    }

    [Fact]
    public void An_activation_makes_the_layer_another_function_and_refuses_to_merge()
    {
        using DisposeScope scope = NewDisposeScope();
        using Linear start = Start(20, 12, false);
        using var layer = new LowRankChannelLinear(start, s_plain with { Activation = InnerActivation.Silu });
        Tensor x = Normal([5, 20], 3), index = tensor(layer.Channels.ToArray());
        Tensor expected = nn.functional.silu(x.mm(layer.A.t())).mm(layer.B.t()) * 0.6 + x.index_select(1, index).mm(layer.Values!.t()) * 0.4;
        AssertClose(expected, layer.call(x), 1e-12);
        Assert.Contains("Silu", Assert.Throws<InvalidOperationException>(() => layer.Merge()).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => layer.EffectiveWeight());
    }

    /// <summary>With an activation a pair and its negative are different functions: the sign is a matter of convention, so it must be one.</summary>
    [Fact]
    public void The_largest_entry_of_each_left_vector_is_positive()
    {
        using DisposeScope scope = NewDisposeScope();
        using Linear start = Start(20, 12, false), negative = Start(20, 12, false);
        using (no_grad()) negative.weight.neg_();
        foreach (Linear linear in new[] { start, negative })
        {
            using var layer = new LowRankChannelLinear(linear, s_plain);
            Tensor at = layer.B.abs().argmax(0, keepdim: true);
            Assert.True((layer.B.gather(0, at) > 0).all().item<bool>());
        }
    }

    [Fact]
    public void Channels_may_be_drawn_given_or_left_out()
    {
        using DisposeScope scope = NewDisposeScope();
        using Linear start = Start(40, 12, false);
        LowRankChannelLinear Made(LostOptions options) => new(start, options);
        LostOptions random = s_plain with { Channels = ChannelChoice.Random, KeptShare = 0.1, Seed = 3 };
        Assert.Equal(Made(random).Channels, Made(random).Channels);
        Assert.NotEqual(Made(random).Channels, Made(random with { Seed = 4 }).Channels);
        Assert.Equal(4, Made(random).Channels.Distinct().Count());
        Assert.Equal([3L, 5, 31], Made(s_plain with { Channels = ChannelChoice.Given, Given = [31, 3, 5] }).Channels);
        LowRankChannelLinear none = Made(s_plain with { Channels = ChannelChoice.None });
        Assert.Null(none.Values);
        Assert.Empty(none.Channels);
        AssertClose(none.B.mm(none.A) * 0.6, none.EffectiveWeight(), 1e-12);
        Assert.Single(Made(s_plain with { KeptShare = 1e-6 }).Channels);
    }

    [Fact]
    public void The_channels_travel_with_the_values()
    {
        using DisposeScope scope = NewDisposeScope();
        using Linear start = Start(40, 12, false);
        using var a = new LowRankChannelLinear(start, s_plain);
        using var b = new LowRankChannelLinear(start, s_plain with { Channels = ChannelChoice.Random, Seed = 9 });
        Assert.NotEqual(a.Channels, b.Channels);
        b.load_state_dict(a.state_dict());
        Assert.Equal(a.Channels, b.Channels);
        AssertClose(a.EffectiveWeight(), b.EffectiveWeight(), 0);
        using nn.Module<Tensor, Tensor> single = a.to(ScalarType.Float32);
        Tensor x = Normal([3, 40], 5);
        AssertClose(b.call(x), single.call(x.to(ScalarType.Float32)).to(ScalarType.Float64), 1e-5);
    }

    [Fact]
    public void What_cannot_be_is_refused_by_name()
    {
        using DisposeScope scope = NewDisposeScope();
        using Linear start = Start(20, 12, false);
        void Refused(string name, LostOptions options) => Assert.Throws<ArgumentException>(name, () => Wrapped(() => new LowRankChannelLinear(start, options)));
        Assert.Contains("no residual", Assert.Throws<ArgumentOutOfRangeException>("Rank", () => new LowRankChannelLinear(start, s_plain with { Rank = 12 })).Message, StringComparison.Ordinal);
        Refused("Rank", s_plain with { Rank = 0 });
        Refused("KeptShare", s_plain with { KeptShare = 0 });
        Refused("KeptShare", s_plain with { KeptShare = double.NaN });
        Refused("Gamma", s_plain with { Gamma = 1.1 });
        Refused("ResidualComponents", s_plain with { ResidualComponents = 0 });
        Refused("Given", s_plain with { Channels = ChannelChoice.Given });
        Refused("Given", s_plain with { Channels = ChannelChoice.Given, Given = [1, 20] });
        Refused("Given", s_plain with { Channels = ChannelChoice.Given, Given = [1, 1] });
        using var layer = new LowRankChannelLinear(start, s_plain);
        Assert.Throws<ArgumentException>("input", () => layer.call(zeros(2, 21, dtype: ScalarType.Float64)));
        Assert.Throws<ArgumentException>("input", () => layer.call(zeros(2, 20)));
        Assert.Throws<ArgumentOutOfRangeException>("rank", () => ChannelScores.Residual(start.weight, 12));
        Assert.Throws<ArgumentOutOfRangeException>("components", () => ChannelScores.Residual(start.weight, 2, 0));
        using (no_grad()) start.weight[3, 4] = double.NaN;
        Assert.Contains("layer 7", Assert.Throws<ArgumentException>("start", () => new LowRankChannelLinear(start, s_plain, "layer 7")).Message, StringComparison.Ordinal);

        // Derived exceptions count as their base here.
        static void Wrapped(Action made)
        {
            try
            {
                made();
            }
            catch (ArgumentOutOfRangeException e)
            {
                throw new ArgumentException(e.Message, e.ParamName);
            }
        }
    }

    private static Linear Start(int inputs, int outputs, bool bias)
    {
        Linear linear = nn.Linear(inputs, outputs, hasBias: bias, dtype: ScalarType.Float64);
        using IDisposable off = no_grad();
        using Tensor weight = Normal([outputs, inputs], 11);
        linear.weight.copy_(weight);
        return linear;
    }
}
