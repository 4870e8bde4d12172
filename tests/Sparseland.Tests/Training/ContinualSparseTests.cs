using Sparseland.Tests.Training.Reinforcement;
using Sparseland.Training;
using Sparseland.Training.Continual;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class ContinualSparseTests
{
    private static readonly TopologyOptions s_moves = new() { Interval = 3, End = 12, Schedule = DropSchedule.Constant(0.4) };
    private static readonly TrainingOptions s_training = new ContinualOptions().Training with { Steps = 14, WarmUp = 2, LearningRate = 0.02 };

    public static TheoryData<bool, bool, GrowthCandidates> Ways => new()
    {
        { false, false, GrowthCandidates.All }, { true, false, GrowthCandidates.All }, { true, true, GrowthCandidates.All },
        { true, false, GrowthCandidates.FreeOnly }, { true, true, GrowthCandidates.FreeOnly },
    };

    [Theory]
    [MemberData(nameof(Ways))]
    public void Nothing_is_forgotten_to_the_last_bit(bool moves, bool byGradient, GrowthCandidates candidates)
    {
        using var scope = NewDisposeScope();
        using nn.Module<Tensor, Tensor> network = Network();
        using var learner = new ContinualSparse(network, Options(moves, byGradient, candidates));
        SequenceResult result = ContinualSequence.Run(learner, network, Data(4), batch: 10);
        Assert.Equal(0, result.LargestChange);
        Assert.Equal(0, result.Accuracy.BackwardTransfer);
        Assert.Equal(4, result.Reports.Count);
        result.Accuracy.Validate();

        // Every update keeps the number of weights; what is trained and what is shared make the mask; what is not free belongs to somebody.
        using MaskSet drawn = learner.DrawMasks(0);
        Assert.All(result.Reports, r => Assert.Equal((drawn.Active, drawn.Active), (r.Mask, r.Trainable + r.Shared)));
        Assert.Equal(0, result.Reports[0].Shared);
        Assert.True(result.Reports[3].Shared > 0);
        for (int t = 1; t < 4; t++)
            Assert.Equal(result.Reports[t - 1].Free - ((double)result.Reports[t].Trainable / drawn.Size), result.Reports[t].Free, 1e-12);
    }

    [Fact]
    public void The_masks_move_and_a_weight_of_an_earlier_task_comes_in_with_its_value()
    {
        using var scope = NewDisposeScope();
        using nn.Module<Tensor, Tensor> network = Network();
        using var learner = new ContinualSparse(network, Options(true, false, GrowthCandidates.All) with { Density = 0.4 });
        IReadOnlyList<ContinualTask> tasks = Data(2);
        learner.LearnTask("a", new SampleBatches(tasks[0].X, tasks[0].Labels, 10));
        using MaskSet before = learner.DrawMasks(1);
        var stored = learner.Ownership.Names.ToDictionary(name => name, name => learner.Ownership.ValuesOf(name).clone());
        var used = learner.Ownership.Names.ToDictionary(name => name, name => learner.Ownership.UsedOf(name).clone());
        learner.LearnTask("b", new SampleBatches(tasks[1].X, tasks[1].Labels, 10));
        long cameIn = 0;
        foreach (string name in learner.Ownership.Names)
        {
            Tensor mask = learner.Ownership.MaskOf("b", name), weight = network.named_parameters().First(p => p.name == name).parameter;
            Tensor grown = mask.logical_and(before[name].logical_not()).logical_and(used[name]);
            cameIn += grown.sum().item<long>();
            Assert.True(weight.detach().eq(stored[name]).logical_or(mask.logical_and(used[name]).logical_not()).all().item<bool>());
            Assert.True(weight.detach().eq(0).logical_or(mask).all().item<bool>());
            Assert.True(learner.Ownership.ValuesOf(name).eq(stored[name]).logical_or(used[name].logical_not()).all().item<bool>());
        }

        Assert.True(cameIn > 0);
    }

    [Fact]
    public void The_published_zeroing_tests_another_network_than_it_trained()
    {
        using var scope = NewDisposeScope();
        using nn.Module<Tensor, Tensor> network = Network();
        using var learner = new ContinualSparse(network, Options(true, false, GrowthCandidates.All) with { Density = 0.4, AsPublished = true });
        Assert.True(ContinualSequence.Run(learner, network, Data(3), batch: 10).LargestChange > 1e-3);
    }

    [Fact]
    public void Without_isolation_earlier_tasks_change()
    {
        using var scope = NewDisposeScope();
        using nn.Module<Tensor, Tensor> network = Network();
        using var learner = new ContinualSparse(network, Options(false, false, GrowthCandidates.All) with { Isolate = false, Density = 0.5 });
        Assert.True(ContinualSequence.Run(learner, network, Data(3), batch: 10).LargestChange > 1e-2);
    }

    [Fact]
    public void Free_only_growth_shares_no_more_than_the_draw_did()
    {
        using var scope = NewDisposeScope();
        long[] Shared(GrowthCandidates candidates, bool moves)
        {
            using nn.Module<Tensor, Tensor> network = Network();
            using var learner = new ContinualSparse(network, Options(moves, false, candidates) with { Density = 0.25 });
            return [.. ContinualSequence.Run(learner, network, Data(4), batch: 10).Reports.Select(r => r.Shared)];
        }

        long[] all = Shared(GrowthCandidates.All, true), free = Shared(GrowthCandidates.FreeOnly, true);
        Assert.True(free[^1] < all[^1], $"{free[^1]} {all[^1]}");
    }

    [Fact]
    public void Capacity_of_random_masks_is_that_of_independent_draws()
    {
        // The network of the digits under ERK at 0.1: 0.900, 0.8135, 0.7368, 0.6686, 0.6080, 0.5540 after 1 to 6 tasks; task 6 shares 0.46.
        using var scope = NewDisposeScope();
        using nn.Module<Tensor, Tensor> network = DigitTasks.Network();
        using var learner = new ContinualSparse(network, new() { Training = new ContinualOptions().Training with { Steps = 1, WarmUp = 0 } });
        using ContinualTask task = DigitTasks.Dihedral(1, 50, 10)[0];
        double[] expected = [0.900, 0.8135, 0.7368, 0.6686, 0.6080, 0.5540];
        TaskReport? last = null;
        for (int t = 0; t < 6; t++)
        {
            last = learner.LearnTask($"{t}", new SampleBatches(task.X, task.Labels, 50));
            Assert.Equal(expected[t], learner.ExpectedFree(t + 1), 6e-4);
            Assert.Equal(expected[t], last.Free, 0.005);
        }

        Assert.Equal(60_048, learner.Ownership.Size);
        Assert.Equal(0.46, learner.ExpectedShared(5), 0.01);
        Assert.Equal(learner.ExpectedShared(5), last!.SharedShare, 0.03);
        Assert.Equal(1, learner.ExpectedFree(0));
        using var uniform = new ContinualSparse(network, new() { Allocation = LayerAllocation.Uniform });
        Assert.Equal(Math.Pow(0.9, 6), uniform.ExpectedFree(6), 1e-3);
    }

    [Fact]
    public void Weights_that_nobody_owns_begin_with_their_first_values()
    {
        using var scope = NewDisposeScope();
        using nn.Module<Tensor, Tensor> network = Network();
        Dictionary<string, Tensor> first = network.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().clone());
        using var learner = new ContinualSparse(network, Options(true, false, GrowthCandidates.All) with { Training = s_training with { LearningRate = 1e-30 } });
        ContinualTask task = Data(1)[0];
        learner.LearnTask("a", new SampleBatches(task.X, task.Labels, 10));
        learner.LearnTask("b", new SampleBatches(task.X, task.Labels, 10));

        // Almost no step was made: what task b drew free and kept is what it was at first; what left and came in again began at 0.
        using MaskSet drawn = learner.DrawMasks(1);
        foreach (string name in learner.Ownership.Names)
        {
            Tensor kept = drawn[name].logical_and(learner.Ownership.MaskOf("b", name)).logical_and(learner.Ownership.MaskOf("a", name).logical_not());
            Tensor weight = network.named_parameters().First(p => p.name == name).parameter.detach();
            Tensor same = weight.eq(first[name]).logical_or(weight.abs().lt(1e-20));
            Assert.True(same.logical_or(kept.logical_not()).all().item<bool>());
            Assert.True(weight.eq(first[name]).logical_and(kept).any().item<bool>());
        }
    }

    [Fact]
    public void Ownership_is_written_and_read()
    {
        using var scope = NewDisposeScope();
        using nn.Module<Tensor, Tensor> network = Network();
        using var learner = new ContinualSparse(network, Options(true, false, GrowthCandidates.All));
        ContinualSequence.Run(learner, network, Data(2), batch: 10);
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            learner.Ownership.Save(path);
            using TaskOwnership read = TaskOwnership.Load(path);
            Assert.Equal(learner.Tasks, read.Tasks);
            Assert.Equal(learner.Ownership.FreeShare, read.FreeShare);
            foreach (string name in learner.Ownership.Names)
            {
                Assert.True(read.ValuesOf(name).eq(learner.Ownership.ValuesOf(name)).all().item<bool>());
                Assert.True(read.UsedOf(name).eq(learner.Ownership.UsedOf(name)).all().item<bool>());
                Assert.All(read.Tasks, task => Assert.True(read.MaskOf(task, name).eq(learner.Ownership.MaskOf(task, name)).all().item<bool>()));
            }

            using MaskSet masks = MaskSet.Random(network, 0.5, 1, [.. read.Names]);
            masks.Save(path);
            Assert.Throws<InvalidDataException>(() => TaskOwnership.Load(path));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Symmetries_are_exact_and_all_eight_differ()
    {
        using var scope = NewDisposeScope();
        Tensor image = arange(9).reshape(1, 3, 3);
        Assert.Equal([2L, 5, 8, 1, 4, 7, 0, 3, 6], DigitTasks.Turn(image, 1).flatten().data<long>().ToArray());
        Assert.Equal([2L, 1, 0, 5, 4, 3, 8, 7, 6], DigitTasks.Turn(image, 4).flatten().data<long>().ToArray());
        Assert.Equal(8, Enumerable.Range(0, 8).Select(s => string.Join(" ", DigitTasks.Turn(image, s).flatten().data<long>().ToArray())).Distinct().Count());
        IReadOnlyList<ContinualTask> tasks = DigitTasks.Dihedral(8, 5, 3);
        Assert.Equal(8, tasks.Select(t => t.Name).Distinct().Count());
        Assert.All(tasks, t => Assert.Equal([5L, 1, 14, 14], t.X.shape));
        foreach (ContinualTask task in tasks) task.Dispose();
        Assert.Throws<ArgumentOutOfRangeException>("tasks", () => DigitTasks.Dihedral(9));
        Assert.Throws<ArgumentException>("images", () => DigitTasks.Turn(zeros(2, 3), 1));
    }

    [Fact]
    public void Accuracies_are_summed_up_by_their_definitions()
    {
        var matrix = new AccuracyMatrix([[0.9], [0.8, 0.7], [0.6, 0.75, 0.5]]);
        Assert.Equal((0.6 + 0.75 + 0.5) / 3, matrix.Accuracy, 1e-15);
        Assert.Equal((0.9 + 0.7 + 0.5) / 3, matrix.LearningAccuracy, 1e-15);
        Assert.Equal((-0.3 + 0.05) / 2, matrix.BackwardTransfer, 1e-15);
        Assert.Equal(double.NaN, new AccuracyMatrix([[1.0]]).BackwardTransfer);
        Assert.Throws<ArgumentException>("Rows", () => new AccuracyMatrix([[1.0], [1.0]]).Validate());
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using var scope = NewDisposeScope();
        using nn.Module<Tensor, Tensor> network = Network();
        using var learner = new ContinualSparse(network, Options(false, false, GrowthCandidates.All));
        ContinualTask task = Data(1)[0];
        learner.LearnTask("a", new SampleBatches(task.X, task.Labels, 10));
        Assert.Throws<ArgumentException>("task", () => learner.LearnTask("a", new SampleBatches(task.X, task.Labels, 10)));
        ArgumentException unknown = Assert.Throws<ArgumentException>("task", () => learner.Evaluate("b", task.X, task.Labels));
        Assert.Contains("\"b\"", unknown.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("labels", () => learner.Evaluate("a", task.X, task.Labels.narrow(0, 0, 3)));
        using Sequential other = nn.Sequential(("x", nn.Linear(3, 4, hasBias: false)));
        using MaskSet foreign = MaskSet.Random(other, 0.5, 1);
        Assert.Throws<ArgumentException>("masks", () => learner.Ownership.Count(foreign));
        Assert.Throws<ArgumentException>("network", () => new ContinualSparse(other));
        using nn.Module<Tensor, Tensor> shared = DigitTasks.Network(1, sharedNorms: true);
        Assert.Throws<ArgumentException>("network", () => new ContinualSparse(shared));
        using var allowed = new ContinualSparse(shared, new() { AllowSharedNorms = true });
        using Sequential biased = nn.Sequential(("x", nn.Linear(3, 4)), ("head", new PerTask<Linear>(_ => nn.Linear(4, 2))));
        Assert.Throws<ArgumentException>("network", () => new ContinualSparse(biased));
        Assert.Throws<ArgumentOutOfRangeException>("Density", () => new ContinualSparse(network, new() { Density = 0 }));
        Assert.Throws<ArgumentException>("learner", () => ContinualSequence.Run(learner, network, [task]));
    }

    [Fact]
    public void Exhausted_capacity_is_said_and_earlier_tasks_can_still_be_tested()
    {
        using var scope = NewDisposeScope();
        using nn.Module<Tensor, Tensor> network = Network();
        using var learner = new ContinualSparse(network, Options(false, false, GrowthCandidates.All) with { Density = 1 });
        ContinualTask task = Data(1)[0];
        learner.LearnTask("a", new SampleBatches(task.X, task.Labels, 10));
        double before = learner.Evaluate("a", task.TestX, task.TestLabels);
        InvalidOperationException full = Assert.Throws<InvalidOperationException>(() => learner.LearnTask("b", new SampleBatches(task.X, task.Labels, 10)));
        Assert.Contains("exhausted", full.Message, StringComparison.Ordinal);
        Assert.Equal(before, learner.Evaluate("a", task.TestX, task.TestLabels));
        Assert.Equal(["a"], learner.Tasks);
    }

    [Fact]
    public void A_task_that_was_cancelled_can_be_learned_as_if_it_had_never_begun()
    {
        using var scope = NewDisposeScope();
        using ContinualTask task = DigitTasks.Dihedral(1, 40, 10)[0];
        double[] Learned(bool cancelled)
        {
            using nn.Module<Tensor, Tensor> network = DigitTasks.Network(2);
            using var learner = new ContinualSparse(network, new() { Training = s_training with { Steps = 6 }, Topology = s_moves });
            var batches = new SampleBatches(task.X, task.Labels, 20);
            learner.LearnTask("a", batches);
            if (cancelled)
            {
                using var stop = new CancellationTokenSource();
                Assert.ThrowsAny<OperationCanceledException>(() => learner.LearnTask("b", batches, new AtStep(3, stop), stop.Token));
                Assert.Equal(["a"], learner.Tasks);
            }

            learner.LearnTask("b", batches);
            return [.. TrainingData.Numbers(learner.Logits("a", task.TestX)), .. TrainingData.Numbers(learner.Logits("b", task.TestX))];
        }

        Assert.Equal(Learned(false), Learned(true));
    }

    private static ContinualOptions Options(bool moves, bool byGradient, GrowthCandidates candidates) => new()
    {
        Density = 0.2, Allocation = LayerAllocation.Uniform, Topology = moves ? s_moves : null, Growth = byGradient ? new GrowGradient() : new GrowRandom(), Candidates = candidates,
        Training = s_training,
    };

    private static Sequential Network()
    {
        manual_seed(7);
        return nn.Sequential(
            ("a", nn.Linear(12, 30, hasBias: false)), ("norm", new PerTask<BatchNorm1d>(_ => nn.BatchNorm1d(30))), ("relu", nn.ReLU()),
            ("b", nn.Linear(30, 16, hasBias: false)), ("head", new PerTask<Linear>(_ => nn.Linear(16, 3))));
    }

    private static ContinualTask[] Data(int tasks) => [.. Enumerable.Range(0, tasks).Select(t =>
    {
        (Tensor X, Tensor labels) = TrainingData.Blobs(60, 12, 3, (ulong)(10 + t));
        (Tensor testX, Tensor testLabels) = TrainingData.Blobs(40, 12, 3, (ulong)(10 + t));
        return new ContinualTask($"task {t}", X, labels, testX, testLabels);
    })];
}
