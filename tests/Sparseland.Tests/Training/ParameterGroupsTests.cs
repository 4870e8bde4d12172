using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

/// <summary>Optimizers over parts of a network, moments that are forgotten, and parts with rates of their own.</summary>
public class ParameterGroupsTests
{
    [Fact]
    public void A_part_is_stepped_as_in_the_whole_and_the_rest_stays()
    {
        using var scope = NewDisposeScope();
        using var whole = new Surface();
        using var half = new Surface();
        using var all = new AdamWOptimizer(whole, 0.1);
        using var part = new AdamWOptimizer([("p", half.P)], 0.1);
        double[] q = TrainingData.Numbers(half.Q.detach());
        Steps(whole, all, 0, 1);
        Steps(half, part, 0, 1);
        Assert.Equal(TrainingData.Numbers(whole.P.detach()), TrainingData.Numbers(half.P.detach()));
        Assert.Equal(q, TrainingData.Numbers(half.Q.detach()));
        Assert.Equal(["first.p", "second.p", "since"], part.State.Keys);
    }

    [Fact]
    public void A_reset_parameter_goes_on_as_with_a_new_optimizer_and_the_others_as_without()
    {
        using var scope = NewDisposeScope();
        using var surface = new Surface();
        using var adam = new AdamWOptimizer(surface, 0.1);
        Steps(surface, adam, 0, 4);
        adam.Reset("p");

        using var anew = new Surface();
        using var kept = new Surface();
        using var keptAdam = new AdamWOptimizer(kept, 0.1);
        Steps(kept, keptAdam, 0, 4);
        using (no_grad())
        {
            anew.P.copy_(surface.P);
            anew.Q.copy_(surface.Q);
        }

        using var fresh = new AdamWOptimizer(anew, 0.1);
        surface.zero_grad();
        anew.zero_grad();
        kept.zero_grad();
        surface.Loss(4).backward();
        anew.Loss(4).backward();
        kept.Loss(4).backward();
        adam.Step(0.02);
        fresh.Step(0.02);
        keptAdam.Step(0.02);
        Assert.Equal(TrainingData.Numbers(anew.P.detach()), TrainingData.Numbers(surface.P.detach()));
        Assert.Equal(TrainingData.Numbers(kept.Q.detach()), TrainingData.Numbers(surface.Q.detach()));
        Assert.NotEqual(TrainingData.Numbers(kept.P.detach()), TrainingData.Numbers(surface.P.detach()));
    }

    [Fact]
    public void The_step_of_a_reset_is_state()
    {
        using var scope = NewDisposeScope();
        using var surface = new Surface();
        using var adam = new AdamWOptimizer(surface, 0.1);
        Steps(surface, adam, 0, 3);
        adam.Reset("p");
        Steps(surface, adam, 3, 2);
        using var other = new Surface();
        using (no_grad())
        {
            other.P.copy_(surface.P);
            other.Q.copy_(surface.Q);
        }

        using var resumed = new AdamWOptimizer(other, 0.1);
        resumed.Load(adam.State, adam.Count);
        Steps(surface, adam, 5, 3);
        Steps(other, resumed, 5, 3);
        Assert.Equal(TrainingData.Numbers(surface.P.detach()), TrainingData.Numbers(other.P.detach()));

        Dictionary<string, Tensor> broken = adam.State.ToDictionary(s => s.Key, s => s.Value.clone());
        broken["since"].fill_(99);
        Assert.Contains("step 99 of 8", Assert.Throws<ArgumentException>(() => resumed.Load(broken, 8)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_optimizer_forgets_by_name_and_refuses_a_name_that_it_does_not_step()
    {
        using var scope = NewDisposeScope();
        using var surface = new Surface();
        using var sgd = new SgdOptimizer(surface, 0.9);
        using var skipping = new SkippingOptimizer(new AdamWOptimizer(surface));
        foreach (IOptimizer rule in new IOptimizer[] { sgd, skipping })
        {
            Steps(surface, rule, 0, 2);
            rule.Reset("p");
            Assert.All(rule.MomentsOf("p"), m => Assert.Equal(0, m.abs().max().to(ScalarType.Float64).item<double>()));
            Assert.All(rule.MomentsOf("q"), m => Assert.True(m.abs().max().to(ScalarType.Float64).item<double>() > 0));
            Assert.Contains("\"z\"", Assert.Throws<ArgumentException>(() => rule.Reset("z")).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Groups_multiply_the_rate_and_are_taken_up_as_they_were()
    {
        using var scope = NewDisposeScope();
        using var surface = new Surface();
        using var a = new Surface();
        using var groups = new ParameterGroups(new("p", new AdamWOptimizer([("p", surface.P)], 0)), new("q", new AdamWOptimizer([("q", surface.Q)], 0), 3));
        using var alone = new AdamWOptimizer([("q", a.Q)], 0);
        surface.zero_grad();
        a.zero_grad();
        surface.Loss(0).backward();
        a.Loss(0).backward();
        groups.Step(0.01);
        alone.Step(0.01 * 3);
        Assert.Equal(TrainingData.Numbers(a.Q.detach()), TrainingData.Numbers(surface.Q.detach()));

        using var resumed = new ParameterGroups(new("p", new AdamWOptimizer([("p", surface.P)], 0)), new("q", new AdamWOptimizer([("q", surface.Q)], 0), 3));
        resumed.Load(groups.State, groups.Count);
        Assert.Equal(1, resumed.Count);
        Assert.Equal(groups.Settings, resumed.Settings);
        resumed.Reset("q");
        Assert.All(resumed.MomentsOf("q"), m => Assert.Equal(0, m.abs().max().to(ScalarType.Float64).item<double>()));
    }

    [Fact]
    public void What_cannot_be_meant_is_refused()
    {
        using var scope = NewDisposeScope();
        using var surface = new Surface();
        using var frozen = new Parameter(zeros(2), requires_grad: false);
        Assert.Throws<ArgumentException>(() => new AdamWOptimizer(Array.Empty<(string, Parameter)>()));
        Assert.Contains("two parameters p", Assert.Throws<ArgumentException>(() => new AdamWOptimizer([("p", surface.P), ("p", surface.Q)])).Message, StringComparison.Ordinal);
        Assert.Contains("stepped twice", Assert.Throws<ArgumentException>(() => new AdamWOptimizer([("p", surface.P), ("again", surface.P)])).Message, StringComparison.Ordinal);
        Assert.Contains("requires no gradient", Assert.Throws<ArgumentException>(() => new AdamWOptimizer([("f", frozen)])).Message, StringComparison.Ordinal);
        using var first = new AdamWOptimizer([("p", surface.P)]);
        using var second = new AdamWOptimizer([("p", surface.P)]);
        Assert.Throws<ArgumentException>(() => new ParameterGroups(new ParameterGroup("a", first), new ParameterGroup("b", second)));
        Assert.Throws<ArgumentException>(() => new ParameterGroups());
        Assert.Throws<ArgumentException>(() => new ParameterGroups(new ParameterGroup("a.b", first)));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ParameterGroups(new ParameterGroup("a", first, double.NaN)));
    }

    private static void Steps(Surface surface, IOptimizer rule, int from, int count)
    {
        for (int t = from; t < from + count; t++)
        {
            surface.zero_grad();
            surface.Loss(t).backward();
            rule.Step(0.02);
        }
    }
}
