using Sparseland.Bayes.Networks;
using Sparseland.FineTuning;
using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Models.Diffusion;
using Sparseland.Training;
using Sparseland.Training.IsoFlop;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.FineTuning;

/// <summary>What is not meant: masks and deltas of another network, other types, layers that stand in two places, samples that are no samples.</summary>
public class HostileUseTests
{
    [Fact]
    public void Masks_and_entries_of_another_network_are_refused()
    {
        using var scope = NewDisposeScope();
        using Sequential own = Network(8), other = Network(8), wider = Network(12);
        using MaskSet foreign = MaskSet.Random(other, 0.5, 1), larger = MaskSet.Random(wider, 0.5, 1), mine = MaskSet.Random(own, 0.5, 1);
        float[] before = Numbers(own);
        Assert.Contains("another network", Assert.Throws<ArgumentException>(() => SparseDelta.Attach(own, foreign)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => SparseDelta.Attach(own, larger));
        Assert.Equal(before, Numbers(own));
        SparseDelta delta = SparseDelta.Attach(own, mine);
        var batches = new SampleBatches(randn(20, 6), randn(20, 3), 10);
        Assert.Contains("another network", Assert.Throws<ArgumentException>(() => SaraTraining.Run(other, delta, batches, Losses.SquaredError(other))).Message, StringComparison.Ordinal);
        delta.Dispose();
        Assert.Throws<ObjectDisposedException>(() => SaraTraining.Run(own, delta, batches, Losses.SquaredError(own)));
        Assert.Equal(before, Numbers(own));
    }

    [Fact]
    public void A_pruned_network_says_why_its_smallest_weights_cannot_be_told_apart()
    {
        using var scope = NewDisposeScope();
        using Sequential network = Network(8);
        using (no_grad())
        {
            foreach (Parameter p in network.parameters().Where(p => p.dim() > 1)) p.view(-1).narrow(0, 0, p.numel() / 2).zero_();
        }

        Assert.Contains("pruned network has zeros", Assert.Throws<ArgumentException>(() => new SaraSelection { Share = 0.2 }.Of(network)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Slices_of_another_type_or_with_NaN_are_refused_before_anything_changes()
    {
        using var scope = NewDisposeScope();
        Assert.Contains("NaN", Assert.Throws<ArgumentException>(() => new SparseUpdate("w", [3, 4], UpdateForm.Columns, [1], full([3, 1], float.NaN), "h")).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new SparseUpdate("w", [3, 4], UpdateForm.Columns, [1], zeros([3, 1], dtype: ScalarType.Int64), "h"));
        using Linear linear = nn.Linear(8, 6);
        using var slice = new SliceLinear(linear, SliceSide.Input, [1, 4, 6]);
        using (no_grad()) slice.Delta.normal_();
        Tensor x = randn(5, 8), before = slice.call(x).detach();
        slice.to(ScalarType.Float64);
        Assert.True((slice.call(x.to(ScalarType.Float64)) - before).abs().max().item<double>() < 1e-5);
        Assert.Equal(ScalarType.Float64, slice.EffectiveWeight().dtype);
    }

    [Fact]
    public void Layers_in_two_places_do_not_become_distributions()
    {
        using var scope = NewDisposeScope();
        Linear twice = nn.Linear(4, 4);
        using Sequential network = nn.Sequential(("a", twice), ("b", twice));
        Assert.Contains("another place", Assert.Throws<ArgumentException>(() => BayesNetwork.Convert(network)).Message, StringComparison.Ordinal);
        Assert.Equal([2, 4], network.call(zeros(2, 4)).shape);
    }

    [Fact]
    public void Samples_that_are_no_samples_are_not_diffused()
    {
        using var scope = NewDisposeScope();
        var schedule = new DiffusionSchedule(10, 1e-3, 0.1);
        foreach (Tensor x in new[] { zeros([3, 4], dtype: ScalarType.Byte), zeros([0, 4]), full([3, 4], float.NaN), zeros(4) })
            Assert.Throws<ArgumentException>(() => schedule.Draw(x, 1));
    }

    [Fact]
    public void Parts_of_one_network_may_take_GaLore_and_Adam_together()
    {
        using var scope = NewDisposeScope();
        using Sequential network = Network(8);
        using var galore = new GaLoreOptimizer(network, new() { Rank = 2 }, ["first.weight"]);
        Assert.Equal("galore", new ParameterGroups(new ParameterGroup("all", galore)).Settings["all.Optimizer"]);

        // A gradient that is not finite stops the step before any matrix of it.
        network.call(randn(4, 6)).sum().backward();
        using (no_grad()) ((Linear)network[0]).weight!.grad!.fill_(float.NaN);
        float[] before = Numbers(network);
        Assert.Contains("first.weight", Assert.Throws<ArgumentException>(() => galore.Step(0.1)).Message, StringComparison.Ordinal);
        Assert.Equal(before, Numbers(network));
    }

    [Fact]
    public void Biases_of_factored_layers_stay_frozen_and_double_layers_fold_in_double()
    {
        using var scope = NewDisposeScope();
        using Sequential network = Network(8);
        RankPlan plan = RankPlan.Uniform(SpectrumReport.Of(network), 0.7);
        WeLoreResult result = WeLore.Apply(network, plan);
        Assert.Equal(plan.Matrices.Sum(m => m.Factored), result.Trainable);
        Assert.Equal(2, LinearSlots.MergeAll(network).Count);
        using var parallel = new ParallelLinear(5, 3, 2, Sparseland.Training.IsoFlop.InnerActivation.None);
        using (no_grad()) foreach (Parameter p in parallel.Branches) p.normal_();
        parallel.to(ScalarType.Float64);
        using Linear folded = parallel.Fold();
        Assert.Equal(ScalarType.Float64, folded.weight!.dtype);
    }

    private static Sequential Network(int hidden) => nn.Sequential(("first", nn.Linear(6, hidden)), ("relu", nn.ReLU()), ("second", nn.Linear(hidden, 3)));

    private static float[] Numbers(nn.Module network) => [.. network.parameters().SelectMany(p => p.detach().contiguous().view(-1).data<float>().ToArray())];
}
