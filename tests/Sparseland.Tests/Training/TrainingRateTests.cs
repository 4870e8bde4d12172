using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

/// <summary>What an optimizer refuses before anything has changed: a rate, a gradient, a state.</summary>
public class TrainingRateTests
{
    private static Dictionary<string, Func<Sequential, IOptimizer>> Rules { get; } = new()
    {
        ["adamw"] = net => new AdamWOptimizer(net),
        ["sgd"] = net => new SgdOptimizer(net, 0.9, 0.1),
        ["galore"] = net => new GaLoreOptimizer(net, new() { Rank = 2 }),
        ["groups"] = net => new ParameterGroups(new("w", new AdamWOptimizer(Named(net).Where(p => p.Item2.dim() == 2))), new("b", new AdamWOptimizer(Named(net).Where(p => p.Item2.dim() == 1)), 0)),
        ["sparse"] = net => new SparseOptimizer(new SgdOptimizer(net), MaskSet.Random(net, 0.5, 1, ["a.weight"])),
        ["skipping"] = net => new SkippingOptimizer(new SgdOptimizer(net)),
        ["gradual"] = net => new GradualPruning(new SgdOptimizer(net), net, SparsitySchedule.Cubic(0.5, 1, 9)),
        ["sst"] = net =>
        {
            LinearSlots.Replace(net, (_, l) => new SpectralLinear(l, new() { Rank = 2 }));
            return new SstOptimizer(new SgdOptimizer(net), net);
        },
        ["relora"] = net =>
        {
            LoraLinear.Attach(net, 2, 1);
            return new ReLoraOptimizer(new SgdOptimizer(net), net);
        },
    };

    public static TheoryData<string> Names => [.. Rules.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_rate_that_is_none_changes_nothing(string name)
    {
        using var scope = NewDisposeScope();
        Sequential net = Network();
        using IOptimizer rule = Rules[name](net);
        net.call(ones(3, 6)).square().sum().backward();
        Tensor[] before = [.. net.parameters().Select(p => p.detach().clone())];
        foreach (double rate in new[] { double.NaN, double.PositiveInfinity, double.NegativeInfinity, -1e-3 })
            Assert.Throws<ArgumentOutOfRangeException>("rate", () => rule.Step(rate));
        Assert.Equal(0, rule.Count);
        Assert.All(rule.State.Where(s => s.Key.Contains("first", StringComparison.Ordinal)), s => Assert.Equal(0, s.Value.count_nonzero().item<long>()));
        foreach ((Tensor old, Parameter now) in before.Zip(net.parameters())) Assert.True(old.equal(now).all().item<bool>());
        rule.Step(0.01);
        Assert.Equal(1, rule.Count);
    }

    [Fact]
    public void Without_a_gradient_the_rate_is_looked_at_too_and_a_group_may_not_make_it_infinite()
    {
        using var scope = NewDisposeScope();
        using var surface = new Surface();
        using var skipping = new SkippingOptimizer(new SgdOptimizer(surface));
        Assert.Throws<ArgumentOutOfRangeException>("rate", () => skipping.Step(double.NaN));
        Assert.Equal(0, skipping.Count);
        using var groups = new ParameterGroups(new("p", new AdamWOptimizer([("p", surface.P)])), new("q", new AdamWOptimizer([("q", surface.Q)]), 1e300));
        surface.Loss(0).backward();
        double[] before = TrainingData.Numbers(surface.P.detach());
        Assert.Contains("factor of q", Assert.Throws<ArgumentOutOfRangeException>("rate", () => groups.Step(1e10)).Message, StringComparison.Ordinal);
        Assert.Equal(before, TrainingData.Numbers(surface.P.detach()));
        Assert.Equal(0, groups.Groups[0].Optimizer.Count);
    }

    [Fact]
    public void Between_two_projections_a_gradient_that_is_not_finite_is_refused_by_name()
    {
        using var scope = NewDisposeScope();
        Sequential net = Network();
        using var galore = new GaLoreOptimizer(net, new() { Rank = 2, Gap = 10 });
        net.call(ones(3, 6)).square().sum().backward();
        galore.Step(0.01);
        foreach ((string name, Parameter parameter) in Named(net))
        {
            Tensor[] before = [.. net.parameters().Select(p => p.detach().clone()), .. galore.State.Values.Select(s => s.clone())];
            net.zero_grad();
            net.call(ones(3, 6)).square().sum().backward();
            using (no_grad()) parameter.grad!.view(-1)[1] = float.PositiveInfinity;
            Assert.Contains($"gradient of {name} is not finite at step 2", Assert.Throws<ArgumentException>(() => galore.Step(0.01)).Message, StringComparison.Ordinal);
            foreach ((Tensor old, Tensor now) in before.Zip(net.parameters().Concat<Tensor>(galore.State.Values))) Assert.True(old.equal(now).all().item<bool>());
            Assert.Equal(1, galore.Count);
        }
    }

    [Theory]
    [InlineData("q.steps")]
    [InlineData("q.inner.since")]
    public void Groups_take_over_a_whole_state_or_none_of_it(string broken)
    {
        using var scope = NewDisposeScope();
        using var surface = new Surface();
        ParameterGroups Made() => new(new ParameterGroup("p", new AdamWOptimizer([("p", surface.P)])), new ParameterGroup("q", new SkippingOptimizer(new AdamWOptimizer([("q", surface.Q)]))));
        using ParameterGroups from = Made(), to = Made();
        surface.Step(from, 0, 0.01);
        surface.Step(from, 1, 0.01);
        Dictionary<string, Tensor> state = from.State.ToDictionary(s => s.Key, s => s.Value.clone());
        state[broken].fill_(99);
        Assert.Throws<ArgumentException>("state", () => to.Load(state, 2));
        Assert.All(to.State, s => Assert.Equal(0, s.Value.count_nonzero().item<long>()));
        Assert.Equal((0, 0), (to.Count, to.Groups[0].Optimizer.Count));
        to.Load(from.State, 2);
        Assert.Equal(2, to.Count);
    }

    [Fact]
    public void A_wrapped_rule_that_refuses_its_part_leaves_masks_as_they_were()
    {
        using var scope = NewDisposeScope();
        Sequential net = Network();
        using MaskSet masks = MaskSet.Random(net, 0.5, 1, ["a.weight"]);
        using var sparse = new SparseOptimizer(new AdamWOptimizer(net), masks);
        Dictionary<string, Tensor> state = sparse.State.ToDictionary(s => s.Key, s => s.Value.clone());
        state["mask.a.weight"].fill_(true);
        state["inner.since"].fill_(7);
        Assert.Throws<ArgumentException>("state", () => sparse.Load(state, 3));
        Assert.Equal(12, masks.ActiveOf("a.weight"));
        Assert.Equal(0, sparse.Count);
    }

    private static Sequential Network()
    {
        Sequential net = nn.Sequential(("a", nn.Linear(6, 4)), ("b", nn.Linear(4, 5)));
        using IDisposable off = no_grad();
        var generator = new Generator(3);
        foreach (Parameter parameter in net.parameters()) parameter.copy_(randn(parameter.shape, generator: generator));
        return net;
    }

    private static IEnumerable<(string, Parameter)> Named(Sequential net) => net.named_parameters().Select(p => (p.name, p.parameter));
}
