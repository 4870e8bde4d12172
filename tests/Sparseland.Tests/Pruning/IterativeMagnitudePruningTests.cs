using Sparseland.Data;
using Sparseland.Pruning;
using Sparseland.Tests.Training;
using Sparseland.Training;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

public class IterativeMagnitudePruningTests
{
    [Theory]
    [InlineData(0.9, 1)]
    [InlineData(0.9, 3)]
    [InlineData(0.55, 7)]
    public void Every_round_removes_the_same_share_of_what_is_left(double sparsity, int rounds)
    {
        double p = IterativeMagnitudePruning.FractionPerRound(sparsity, rounds);
        for (int r = 1; r <= rounds; r++)
        {
            double before = 1 - IterativeMagnitudePruning.SparsityAfter(sparsity, rounds, r - 1), after = 1 - IterativeMagnitudePruning.SparsityAfter(sparsity, rounds, r);
            Assert.Equal(p, 1 - (after / before), 12);
        }

        Assert.Equal(sparsity, IterativeMagnitudePruning.SparsityAfter(sparsity, rounds, rounds));
    }

    [Fact]
    public void Pruning_in_two_steps_is_pruning_at_once_and_measures_the_norm()
    {
        using Sequential network = SmallShapes.Network(), other = SmallShapes.Network();
        using MaskSet once = GlobalMagnitude.DenseMasks(network), twice = GlobalMagnitude.DenseMasks(other);
        double[] all = [.. network.named_parameters().Where(p => once.Names.Contains(p.name)).SelectMany(p => TrainingData.Numbers(p.parameter.detach())).Select(w => w * w).Order()];
        PruningStep step = GlobalMagnitude.Prune(network, once, 196);
        GlobalMagnitude.Prune(other, twice, 700);
        GlobalMagnitude.Prune(other, twice, 196);
        Assert.Equal((196, 1196), (step.Kept, step.Size));
        Assert.Equal(Math.Sqrt(all[..1000].Sum() / all.Sum()), step.NormDrop, 10);
        Assert.Equal(1000.0 / 1196, step.Removed, 12);
        Assert.All(once.Names, name => Assert.True(once[name].equal(twice[name]).all().item<bool>()));
        Assert.Equal(196, network.parameters().Where(p => p.dim() > 1).Sum(p => p.ne(0).sum().item<long>()));
    }

    [Fact]
    public void A_zero_that_is_kept_is_no_pruned_one_and_ties_keep_the_budget()
    {
        using Sequential network = SmallShapes.Network();
        using (no_grad())
            foreach (Parameter parameter in network.parameters().Where(p => p.dim() > 1)) parameter.fill_(0.5);
        using MaskSet masks = GlobalMagnitude.DenseMasks(network);
        using Tensor first = ones(4, 3, 3, 3, dtype: ScalarType.Bool);
        first[0, 0, 0, 0] = tensor(false);
        masks.Set(masks.Names[0], first);
        masks.Apply();
        using (no_grad()) masks.ParameterOf(masks.Names[0]).zero_();
        long head = masks.ActiveOf("head.weight");

        // All of the first layer is zero, but kept; the pruned weight stays pruned although it is as large.
        GlobalMagnitude.Prune(network, masks, 1190);
        Assert.Equal(1190, masks.Active);
        Assert.False(masks[masks.Names[0]][0, 0, 0, 0].item<bool>());
        Assert.Equal(head, masks.ActiveOf("head.weight"));
        ArgumentException emptied = Assert.Throws<ArgumentException>(() => GlobalMagnitude.Prune(network, masks, 500));
        Assert.Contains("conv1.weight", emptied.Message, StringComparison.Ordinal);
        Assert.Equal(1190, masks.Active);
        Assert.Throws<ArgumentOutOfRangeException>(() => GlobalMagnitude.Prune(network, masks, 1191));
        Assert.Throws<ArgumentOutOfRangeException>(() => GlobalMagnitude.Prune(network, masks, 4));
    }

    [Fact]
    public void Zeros_stay_zero_through_all_rounds_and_a_run_repeats()
    {
        using LabelledImages images = SmallShapes.Images();
        using SparseSnapshot dense = SmallShapes.Dense();
        ImpOptions options = new() { Sparsity = 0.9, Rounds = 2, Retrain = SmallShapes.TwoEpochs, DenseEpochs = 2 };
        using ImpResult one = IterativeMagnitudePruning.Run(SmallShapes.Network, dense, images, options, 5), two = IterativeMagnitudePruning.Run(SmallShapes.Network, dense, images, options, 5);
        using ImpResult other = IterativeMagnitudePruning.Run(SmallShapes.Network, dense, images, options, 6);
        Assert.Equal([PruningPattern.Kept(1196, 1 - Math.Sqrt(0.1)), 120], [.. one.Rounds.Select(r => r.Pruning.Kept)]);
        Assert.All(one.Rounds, round => Assert.Equal(0, round.Network.Leaks()));
        Assert.True(SmallShapes.Same(one.Final, two.Final));
        Assert.False(SmallShapes.Same(one.Final, other.Final));
        foreach (string name in one.Final.Masks.Keys)
            Assert.False(one.Final.Masks[name].logical_and(one.Rounds[0].Network.Masks[name].logical_not()).any().item<bool>());
    }

    [Fact]
    public void Each_rewinding_begins_where_it_says()
    {
        PruningStep step = new(100, 1000, 0.5, 0.3);
        ImpOptions options = new() { DenseEpochs = 20, Retrain = new() { Epochs = 5, Schedule = new(RetrainRate.Adaptive, 0.1) }, FineTuneRate = 0.002 };
        Assert.Equal(0.002, IterativeMagnitudePruning.StartRate(step, options with { Rewind = Rewind.None }));
        Assert.Equal(0.025, IterativeMagnitudePruning.StartRate(step, options with { Rewind = Rewind.LearningRate }), 12);
        Assert.Equal(0.1, IterativeMagnitudePruning.StartRate(step, options with { Rewind = Rewind.Weights }));
        Assert.Equal(0.1 * 0.3 / Math.Sqrt(0.5), IterativeMagnitudePruning.StartRate(step, options), 12);

        // With a vanishing rate the network after weight rewinding is the early one, masked.
        using LabelledImages images = SmallShapes.Images(40);
        using SparseSnapshot dense = SmallShapes.Dense();
        using Sequential early = Sparseland.Models.WideCnn.Of(16, 4, 10, 9);
        using SparseSnapshot moment = SparseSnapshot.Of(early);
        ImpOptions still = new() { Rounds = 1, Rewind = Rewind.Weights, Retrain = SmallShapes.TwoEpochs with { Epochs = 1, Schedule = new(RetrainRate.Constant, 1e-30) } };
        using ImpResult result = IterativeMagnitudePruning.Run(SmallShapes.Network, dense, images, still, 1, moment);
        foreach ((string name, Tensor mask) in result.Final.Masks)
            Assert.True(result.Final.State[name].equal(moment.State[name].masked_fill(mask.logical_not(), 0)).all().item<bool>());
        Assert.Throws<ArgumentNullException>(() => IterativeMagnitudePruning.Run(SmallShapes.Network, dense, images, still));
    }

    [Fact]
    public void Bad_input_is_refused_before_any_work()
    {
        using LabelledImages images = SmallShapes.Images(40);
        using SparseSnapshot dense = SmallShapes.Dense();
        void Refused(ImpOptions options) => Assert.ThrowsAny<ArgumentException>(() => IterativeMagnitudePruning.Run(SmallShapes.Network, dense, images, options));
        Refused(new() { Sparsity = 1 });
        Refused(new() { Sparsity = double.NaN });
        Refused(new() { Rounds = 0 });
        Refused(new() { FineTuneRate = 0 });
        Refused(new() { Retrain = new() { Epochs = 0 } });
        Refused(new() { Retrain = new() { WeightDecay = double.NaN } });
        Refused(new() { Sparsity = 0.999, Rounds = 1 });
        Refused(new() { Prunable = ["conv9.weight"] });
        Assert.Throws<ArgumentException>(() => IterativeMagnitudePruning.Run(() => Sparseland.Models.WideCnn.Of(16, 8, 10, 1), dense, images));
        using CancellationTokenSource cancelled = new();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => IterativeMagnitudePruning.Run(SmallShapes.Network, dense, images, cancel: cancelled.Token));
    }
}
