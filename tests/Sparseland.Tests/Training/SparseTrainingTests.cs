using Sparseland.Data;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

[Collection(nameof(LoneGenerator))]
public sealed class SparseTrainingTests : IDisposable
{
    private const long Steps = 60;
    private static readonly SparseTrainingOptions Short = new() { Epochs = 10, BatchSize = 10, LearningRate = 0.02 };
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly Tensor _X;
    private readonly Tensor _labels;

    public SparseTrainingTests() => (_X, _labels) = TrainingData.Blobs(60, 8, 3, 1);

    public static TheoryData<string> Moving => ["SET", "SET 2018", "RigL", "SNFS", "SNFS fixed", "MEST", "SET-ITOP", "RigL-ITOP"];

    public void Dispose() => _scope.Dispose();

    [Theory, MemberData(nameof(Moving))]
    public void Every_update_of_every_method_keeps_the_number_of_weights(string name)
    {
        using Sequential network = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.3, 2);
        long total = masks.Active;
        long[] layers = [.. masks.Names.Select(masks.ActiveOf)];
        double explored = 0;
        using SparseTrainingResult result = SparseTraining.Run(network, Method(name), _X, _labels, masks, Short, new()
        {
            OnStep = (_, _) =>
            {
                Assert.Equal(total, masks.Active);
                if (name != "SNFS") Assert.Equal(layers, masks.Names.Select(masks.ActiveOf));
                Assert.All(masks.Names, each => Assert.False(masks.ParameterOf(each).ne(0).logical_and(masks[each].logical_not()).any().item<bool>()));
            },
        });
        foreach (ExplorationPoint point in result.Exploration)
        {
            Assert.True(point.Rate >= explored);
            explored = point.Rate;
        }

        Assert.NotEmpty(result.Updates);
        Assert.True(explored > masks.Density);
        Assert.Equal(masks.Density, result.AverageDensity, 1e-12);
        Assert.Equal(result.Density, result.PeakDensity, 1e-12);
        foreach (TopologyChange change in result.Updates.SelectMany(u => u.Changes.Values))
        {
            Assert.Empty(change.Kept.Intersect(change.Grown).ColumnIndices.ToArray());
            if (name != "SNFS") Assert.Equal(change.Dropped.Count, change.Grown.Count);
        }
    }

    [Theory, MemberData(nameof(Moving))]
    public void The_same_seed_gives_the_same_network(string name)
    {
        double[] Trained()
        {
            using Sequential network = TrainingData.Mlp();
            using MaskSet masks = MaskSet.Random(network, 0.3, 2);
            SparseTraining.Run(network, Method(name), _X, _labels, masks, Short).Dispose();
            return TrainingData.Parameters(network);
        }

        Assert.Equal(Trained(), Trained());
    }

    [Fact]
    public void Costs_are_those_of_the_formulas()
    {
        using Sequential network = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.25, 2);
        double density = masks.Density;
        using (Sequential third = TrainingData.Mlp())
        using (MaskSet moved = MaskSet.Random(third, 0.25, 2))
        using (SparseTrainingResult mest = SparseTraining.Run(third, SparseTraining.Mest(Steps, 5), _X, _labels, moved, Short))
            Assert.Equal(density, mest.RelativeCost, 1e-12);
        using SparseTrainingResult rigl = SparseTraining.Run(network, SparseTraining.RigL(Steps, 5), _X, _labels, masks, Short);

        // Updates at 5, 10, ..., 40; each has one dense gradient in place of a sparse one.
        Assert.Equal(8, rigl.Updates.Count);
        Assert.Equal(((Steps * 3 * density) + (8 * (1 - density))) / (3 * Steps), rigl.RelativeCost, 1e-12);
        using Sequential second = TrainingData.Mlp();
        using MaskSet still = MaskSet.Random(second, 0.25, 2);
        using SparseTrainingResult fixedMasks = SparseTraining.Run(second, SparseTraining.Static, _X, _labels, still, Short);
        Assert.Equal(density, fixedMasks.RelativeCost, 1e-12);
        Assert.Equal([density], fixedMasks.Exploration.Select(p => p.Rate));
        Assert.Equal(((100 * 3) + 2 + 10) / 101.0, TrainingCost.RigL(1, 10, 100), 1e-12);

        // The page's example: at a density of 0.1 and an update every 100 steps three hundredths more than without.
        Assert.Equal(1.03, TrainingCost.RigL(1, 10, 100) / TrainingCost.Sparse(1), 0.002);
        Assert.Throws<ArgumentOutOfRangeException>("dense", () => TrainingCost.DenseGradient(2, 1));
    }

    [Fact]
    public void Pruned_weights_never_return_and_the_final_number_is_exact()
    {
        using Sequential network = TrainingData.Mlp();
        HashSet<string> before = [];
        long size = 0;
        using GradualPruning optimizer = new(new AdamWOptimizer(network), network, SparsitySchedule.Cubic(0.8, 6, 45), 5);
        using TrainingLoop loop = new(network, new SampleBatches(_X, _labels, 10), Losses.CrossEntropy(network), new() { Steps = Steps, LearningRate = 0.02 }, optimizer.Hooks(new()
        {
            OnStep = (_, report) =>
            {
                HashSet<string> now = [.. optimizer.Masks.Names.SelectMany(name => Places(optimizer.Masks, name))];
                if (before.Count > 0) Assert.True(now.IsSubsetOf(before));
                before = now;
                size = optimizer.Masks.Size;
                Assert.Equal(report.Step >= 45 ? PruningPattern.Kept(size, 0.8) : now.Count, now.Count);
                foreach (string name in optimizer.Masks.Names)
                {
                    Tensor off = optimizer.Masks[name].logical_not();
                    Assert.All(optimizer.MomentsOf(name).Append(optimizer.Masks.ParameterOf(name)), value => Assert.Equal(0, value.abs().masked_select(off).sum().item<float>()));
                }
            },
        }), optimizer);
        loop.Run();
        Assert.Equal(PruningPattern.Kept(size, 0.8), optimizer.Masks.Active);
    }

    [Fact]
    public void Pruning_that_begins_where_it_ends_is_one_shot()
    {
        using Sequential network = TrainingData.Mlp(), dense = TrainingData.Mlp();
        using GradualPruning optimizer = new(new SgdOptimizer(network), network, SparsitySchedule.Cubic(0.5, 3, 3), 5);
        using SgdOptimizer plain = new(dense);
        for (int step = 1; step <= 3; step++)
        {
            foreach ((Sequential net, IOptimizer rule) in new (Sequential, IOptimizer)[] { (network, optimizer), (dense, plain) })
            {
                net.zero_grad();
                nn.functional.cross_entropy(net.call(_X), _labels).backward();
                rule.Step(0.1);
            }

            if (step < 3) Assert.Equal(TrainingData.Parameters(dense), TrainingData.Parameters(network));
        }

        using MaskSet ticket = LotteryTicket.Draw(dense, 0.5);
        Assert.Equal(ticket.Names.SelectMany(name => Places(ticket, name)), optimizer.Masks.Names.SelectMany(name => Places(optimizer.Masks, name)));
        Assert.Throws<ArgumentException>("masks", () => SparseTraining.Run(network, SparseTraining.Gmp(0.5, Steps), _X, _labels, ticket, Short));
    }

    [Theory, InlineData(12), InlineData(20)]
    public void Methods_with_averages_and_pruning_go_on_bit_for_bit_after_a_kill(int kill)
    {
        string folder = Directory.CreateTempSubdirectory("sparseland-resume-").FullName;
        try
        {
            foreach (bool pruning in new[] { false, true })
            {
                double[] Run(string? checkpoint, bool stop, bool take)
                {
                    using Sequential network = TrainingData.Mlp();
                    using MaskSet masks = MaskSet.Random(network, 0.3, 2);
                    SparseMethod method = SparseTraining.Snfs(40, 5);
                    using IOptimizer optimizer = pruning ? new GradualPruning(new AdamWOptimizer(network), network, SparsitySchedule.Cubic(0.7, 4, 30), 5)
                        : new SparseOptimizer(new AdamWOptimizer(network), masks, method.Topology! with { NewWeights = NewWeight.Normal() }, method.Drop, method.Grow);
                    TrainingHooks hooks = new() { OnStep = (_, r) => { if (stop && r.Step == kill + 1) throw new InvalidOperationException("killed"); } };
                    hooks = optimizer is SparseOptimizer sparse ? sparse.Hooks(hooks) : ((GradualPruning)optimizer).Hooks(hooks);
                    using TrainingLoop loop = new(
                        network, new SampleBatches(_X, _labels, 10), Losses.CrossEntropy(network),
                        new() { Steps = 40, LearningRate = 0.02, Checkpoint = checkpoint, CheckpointEvery = checkpoint is null ? 0 : kill }, hooks, optimizer);
                    if (take) loop.Load(checkpoint!);
                    if (stop) Assert.Throws<InvalidOperationException>(() => loop.Run());
                    else loop.Run();
                    return [.. TrainingData.Parameters(network), .. optimizer.State.Where(s => s.Key.StartsWith("mask.", StringComparison.Ordinal)).SelectMany(s => TrainingData.Numbers(s.Value))];
                }

                string file = Path.Combine(folder, $"{pruning}.safetensors");
                Run(file, stop: true, take: false);
                Assert.Equal(Run(null, stop: false, take: false), Run(file, stop: false, take: true));
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Averages_are_of_raw_gradients_so_that_growth_leaves_its_first_places()
    {
        using Sequential network = TrainingData.Mlp(hidden: 32);
        using MaskSet masks = MaskSet.Random(network, 0.2, 2);
        SparseMethod method = SparseTraining.Snfs(Steps, 5, redistribute: false);
        using SparseOptimizer optimizer = new(new SgdOptimizer(network, 0.9), masks, method.Topology, method.Drop, method.Grow);
        double density = masks.Density;
        var raw = new List<Tensor>();
        for (int step = 0; step < 3; step++)
        {
            network.zero_grad();
            nn.functional.cross_entropy(network.call(_X), _labels).backward();
            raw.Add(masks.ParameterOf("fc1.weight").grad!.clone());
            optimizer.Step(0.05);
        }

        Tensor average = optimizer.State["average.fc1.weight"], expected = (raw[0] * 0.081) + (raw[1] * 0.09) + (raw[2] * 0.1);
        Assert.True(average.allclose(expected, 1e-5, 1e-8));
        Assert.True(average.masked_select(masks["fc1.weight"].logical_not()).abs().sum().item<float>() > 0);
        for (int step = 3; step < Steps; step++)
        {
            network.zero_grad();
            nn.functional.cross_entropy(network.call(_X), _labels).backward();
            optimizer.Step(0.05);
        }

        Assert.True(optimizer.Fired.Rate > density + 0.05, $"only {optimizer.Fired.Rate}");
    }

    [Fact]
    public void A_soft_bound_is_exceeded_between_updates_and_kept_at_the_end()
    {
        using Sequential network = TrainingData.Mlp(hidden: 64);
        using MaskSet masks = MaskSet.Random(network, 0.2, 2);
        long budget = masks.Active;
        var counts = new List<long>();
        using SparseTrainingResult result = SparseTraining.Run(network, SparseTraining.Mest(Steps, 6, softBound: true), _X, _labels, masks, Short, new() { OnStep = (_, _) => counts.Add(masks.Active) });
        Assert.Equal(budget, counts[4]);
        Assert.True(counts[5] > budget && counts[20] > budget);
        Assert.Equal(budget, masks.Active);
        Assert.True(result.PeakDensity > result.Density);
        Assert.Throws<ArgumentException>("End", () => new TopologyOptions { SoftBound = true }.Validate());
    }

    [Fact]
    public void Masks_changed_by_somebody_else_are_refused_until_they_are_adopted()
    {
        using Sequential network = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.3, 2);
        using SparseOptimizer optimizer = new(new AdamWOptimizer(network), masks, new() { Interval = 2 }, new DropMagnitude(), new GrowRandom());
        void Step()
        {
            network.zero_grad();
            nn.functional.cross_entropy(network.call(_X), _labels).backward();
            optimizer.Step(0.01);
        }

        Step();
        Step();
        masks.Set("fc1.weight", ones_like(masks["fc1.weight"]));
        double[] before = TrainingData.Parameters(network);
        Assert.Contains("fc1.weight", Assert.Throws<InvalidOperationException>(Step).Message, StringComparison.Ordinal);
        Assert.Equal(before, TrainingData.Parameters(network));
        optimizer.Adopt();
        Step();
        Assert.Equal(masks["fc1.weight"].numel(), masks.ActiveOf("fc1.weight"));

        // In place, behind the set's back: seen where the next update counts.
        using (no_grad()) masks["head.weight"].fill_(true);
        Assert.Contains("head.weight", Assert.Throws<InvalidOperationException>(Step).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Companions_share_mask_and_moments_and_begin_at_the_mean()
    {
        using Twin twin = new();
        using MaskSet masks = MaskSet.Random(twin, 0.3, 2, ["mu"]);
        TopologyScope scope = new() { Companions = new Dictionary<string, IReadOnlyList<Companion>> { ["mu"] = [new("rho", CompanionStart.MeanOfActive)] } };
        using SparseOptimizer optimizer = new(new AdamWOptimizer(twin, 0), masks, new() { Interval = 3 }, new DropMagnitude(), new GrowRandom(), scope);
        Assert.True(twin.rho.masked_select(masks["mu"].logical_not()).eq(0).all().item<bool>());
        for (int step = 1; step <= 9; step++)
        {
            twin.zero_grad();
            ((twin.mu - 1).square() + (twin.rho - 2).square()).sum().backward();
            optimizer.Step(0.05);
            Tensor off = masks["mu"].logical_not();
            Assert.True(twin.rho.masked_select(off).eq(0).all().item<bool>());
            Assert.All(optimizer.MomentsOf("rho"), moment => Assert.True(moment.masked_select(off).eq(0).all().item<bool>()));
            if (step % 3 != 0) continue;
            TopologyChange change = optimizer.LastUpdate!.Changes["mu"];
            Tensor fresh = change.Grown.ToMask().logical_and(change.Dropped.ToMask().logical_not());
            Tensor values = twin.rho.masked_select(fresh);
            Assert.True(values.eq(values[0]).all().item<bool>());
            Tensor kept = twin.rho.masked_select(change.Kept.ToMask());
            Assert.InRange(values[0].item<float>(), kept.min().item<float>() - 1, kept.max().item<float>());
            Assert.True(values[0].item<float>() > 0);
            Assert.All(optimizer.MomentsOf("rho"), moment => Assert.True(moment.masked_select(fresh).eq(0).all().item<bool>()));
        }

        Assert.Throws<ArgumentException>("scope", () => new SparseOptimizer(
            new AdamWOptimizer(twin), masks, scope: new() { Companions = new Dictionary<string, IReadOnlyList<Companion>> { ["mu"] = [new("nobody", CompanionStart.Zero)] } }));
        Assert.Throws<ArgumentException>("scope", () => new SparseOptimizer(
            new AdamWOptimizer(twin), masks, scope: new() { Companions = new Dictionary<string, IReadOnlyList<Companion>> { ["other"] = [new("rho", CompanionStart.Zero)] } }));
    }

    [Fact]
    public void Frozen_weights_never_move_and_growth_stays_where_it_is_allowed()
    {
        using Sequential network = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.4, 2);
        Tensor frozen = masks["fc1.weight"].clone(), allowed = frozen.logical_not();
        frozen.narrow(0, 8, 8).fill_(false);
        Tensor stored = masks.ParameterOf("fc1.weight").detach().clone();
        TopologyScope scope = new() { Frozen = name => name == "fc1.weight" ? frozen : null, Allowed = name => name == "fc1.weight" ? allowed : null };
        TopologyOptions options = new() { Interval = 2, NewWeights = NewWeight.Stored("kept", layer => layer.Layer == "fc1.weight" ? stored : zeros_like(layer.Weight)) };
        using SparseOptimizer optimizer = new(new AdamWOptimizer(network, 0.1), masks, options, new DropMagnitude(), new GrowRandom(), scope);
        for (int step = 1; step <= 20; step++)
        {
            network.zero_grad();
            nn.functional.cross_entropy(network.call(_X), _labels).backward();
            optimizer.Step(0.05);
            Tensor weight = masks.ParameterOf("fc1.weight"), here = frozen.logical_and(masks["fc1.weight"]);
            Assert.True(weight.masked_select(here).eq(stored.masked_select(here)).all().item<bool>());
            if (optimizer.LastUpdate is not { } update || update.Step != step || !update.Changes.TryGetValue("fc1.weight", out TopologyChange? change)) continue;
            Assert.False(change.Grown.ToMask().logical_and(allowed.logical_not()).any().item<bool>());
        }

        Assert.NotNull(optimizer.LastUpdate);
    }

    [Fact]
    public void A_ticket_of_all_weights_rewound_to_the_start_repeats_the_dense_training()
    {
        using Sequential network = TrainingData.Mlp();
        using SparseSnapshot start = SparseSnapshot.Of(network);
        SparseTraining.Run(network, SparseTraining.Dense, _X, _labels, null, Short).Dispose();
        double[] dense = TrainingData.Parameters(network);
        using MaskSet all = LotteryTicket.Draw(network, 1), own = LotteryTicket.Rewind(network, start, all);
        Assert.Equal(1, own.Density);
        SparseTraining.Run(network, SparseTraining.Static, _X, _labels, own, Short).Dispose();
        Assert.Equal(dense, TrainingData.Parameters(network));
    }

    [Fact]
    public void Tickets_and_their_controls_have_the_same_numbers()
    {
        using Sequential network = TrainingData.Mlp(hidden: 40), fresh = TrainingData.Mlp(hidden: 40);
        using SparseSnapshot start = SparseSnapshot.Of(network);
        SparseTraining.Run(network, SparseTraining.Dense, _X, _labels, null, Short).Dispose();
        using MaskSet drawn = LotteryTicket.Draw(network, 0.2), ticket = LotteryTicket.Rewind(network, start, drawn), shuffled = LotteryTicket.Shuffled(fresh, drawn, 3), bound = drawn.For(fresh);
        Assert.Equal(drawn.Names.Select(drawn.ActiveOf), shuffled.Names.Select(shuffled.ActiveOf));
        Assert.NotEqual(Places(drawn, "fc1.weight"), Places(shuffled, "fc1.weight"));
        Assert.Equal(Places(drawn, "fc1.weight"), Places(bound, "fc1.weight"));
        foreach (string name in ticket.Names)
        {
            Tensor mask = drawn[name];
            Assert.True(ticket.ParameterOf(name).masked_select(mask).eq(start.State[name].masked_select(mask)).all().item<bool>());
            Assert.True(ticket.ParameterOf(name).masked_select(mask.logical_not()).eq(0).all().item<bool>());
        }

        using Sequential other = TrainingData.Mlp(hidden: 41);
        Assert.Throws<ArgumentException>(() => drawn.For(other));
        Assert.Throws<ArgumentOutOfRangeException>("density", () => LotteryTicket.Draw(network, 0));
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using Sequential network = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.3, 2);
        Assert.Throws<ArgumentNullException>("masks", () => SparseTraining.Run(network, SparseTraining.Set(Steps), _X, _labels, null, Short));
        Assert.Throws<ArgumentOutOfRangeException>("interval", () => SparseTraining.RigL(Steps, 61));
        Assert.Throws<ArgumentOutOfRangeException>("interval", () => SparseTraining.RigL(Steps, 0));
        Assert.Throws<ArgumentOutOfRangeException>("alpha", () => SparseTraining.Set(Steps, 20, 1.5));
        Assert.Throws<ArgumentOutOfRangeException>("epoch", () => SparseTraining.Set2018(Steps, 100));
        Assert.Throws<ArgumentException>("method", () => SparseTraining.Run(network, SparseTraining.RigL(200, 100), _X, _labels, masks, Short));
        Assert.Throws<ArgumentException>("method", () => SparseTraining.Run(network, SparseTraining.Gmp(0.1, 200), _X, _labels, null, Short));
        Assert.Throws<ArgumentException>("method", () => SparseTraining.Run(network, SparseTraining.RigL(200, 20), _X, _labels, masks, Short));
        Assert.Throws<ArgumentException>("masks", () => SparseTraining.Run(network, SparseTraining.Dense, _X, _labels, masks, Short));
        Assert.Throws<ArgumentNullException>("masks", () => SparseTraining.Run(network, SparseTraining.Static, _X, _labels, null, Short));
        Assert.Throws<ArgumentException>("options", () => new SparseOptimizer(new SgdOptimizer(network), masks, new() { SoftBound = true, End = 9 }, new DropSignWise(), new GrowRandom()));
        Assert.Throws<ArgumentException>("samples", () => SparseTraining.Run(network, SparseTraining.Static, _X, _labels, masks, Short with { BatchSize = 61 }));
        Assert.Throws<ArgumentOutOfRangeException>("density", () => SparseTraining.Gmp(0, Steps));
        Assert.Throws<ArgumentException>("batch", () => new SampleBatches(_X, _labels, 61, whole: true));
        using CancellationTokenSource stop = new();
        stop.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => SparseTraining.Run(network, SparseTraining.Static, _X, _labels, masks, Short, cancel: stop.Token));
    }

    [Fact]
    public void A_small_dense_network_has_as_many_weights()
    {
        Assert.Equal([784, 13, 64, 10], EqualParameters.Mlp([784, 128, 64, 10], 0.1));
        Assert.Equal([784, 128, 64, 10], EqualParameters.Mlp([784, 128, 64, 10], 1));
        Assert.Throws<ArgumentException>("density", () => EqualParameters.Mlp([784, 128, 64, 10], 0.001));
        Assert.Throws<ArgumentException>("widths", () => EqualParameters.Mlp([784, 10], 0.1));
    }

    [Fact]
    public void Labels_are_redrawn_from_all_classes()
    {
        Tensor labels = arange(10, dtype: ScalarType.Int64).repeat(1000);
        Tensor noisy = LabelNoise.Redraw(labels, 0.4, 10, 3);

        // 36 % are wrong; four standard errors of 10,000.
        Assert.Equal(0.36, noisy.ne(labels).to(ScalarType.Float64).mean().item<double>(), 4 * Math.Sqrt(0.36 * 0.64 / 10_000));
        Assert.True(LabelNoise.Redraw(labels, 0, 10, 3).eq(labels).all().item<bool>());
        Tensor more = LabelNoise.Redraw(labels, 0.8, 10, 3), changed = noisy.ne(labels);
        Assert.True(more.masked_select(changed).eq(noisy.masked_select(changed)).all().item<bool>());
        Assert.Throws<ArgumentOutOfRangeException>("share", () => LabelNoise.Redraw(labels, 1.1, 10, 3));
        Assert.Throws<ArgumentException>("labels", () => LabelNoise.Redraw(labels, 0.1, 5, 3));
        Assert.Throws<ArgumentException>("labels", () => LabelNoise.Redraw(labels.to(ScalarType.Int32), 0.1, 10, 3));
    }

    [Fact]
    public void Whole_batches_leave_the_rest_of_an_epoch_out()
    {
        SampleBatches whole = new(_X, _labels, 25, whole: true), all = new(_X, _labels, 25);
        Assert.Equal(2, whole.PerEpoch);
        Assert.Equal(3, all.PerEpoch);
        Assert.All(Enumerable.Range(0, 6), i => Assert.Equal(25, whole.At(i).Input.shape[0]));
        Assert.NotEqual(whole.Description, all.Description);
    }

    [Fact]
    public void A_ledger_compares_only_what_is_equal()
    {
        SparseLedger ledger = new();
        LedgerRun run = new() { Method = "a", Seed = 1, Weights = 100, Density = 0.1, PeakDensity = 0.1, AverageDensity = 0.1, Cost = 0.1, Steps = 800, Accuracy = 0.9 };
        ledger.Add(run);
        ledger.Add(run with { Method = "b", Accuracy = 0.88, Cost = 0.35, PeakDensity = 1, AverageDensity = 0.35 });
        ledger.Add(run with { Method = "c", Steps = 2400, Cost = 0.3, Weights = 112 });
        ledger.Add(run with { Method = "d", Seed = 2 });
        Assert.Equal([2], ledger.Compare("a", "b", HeldEqual.Steps).Select(d => Math.Round(d, 9)));
        Assert.Equal([2], ledger.Compare("c", "b", HeldEqual.Cost).Select(d => Math.Round(d, 9)));
        Assert.Contains("2400", Assert.Throws<ArgumentException>("equal", () => ledger.Compare("c", "a", HeldEqual.Steps)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("equal", () => ledger.Compare("a", "b", HeldEqual.Cost));
        Assert.Throws<ArgumentException>("equal", () => ledger.Compare("c", "a", HeldEqual.Weights));
        Assert.Throws<ArgumentException>("other", () => ledger.Compare("a", "d", HeldEqual.Steps));
        Assert.Throws<ArgumentException>("method", () => ledger["nobody"]);
        Assert.Throws<ArgumentException>("run", () => ledger.Add(run));
        Assert.Throws<ArgumentException>("run", () => ledger.Add(run with { Seed = 3, PeakDensity = 0.05 }));
        Assert.Throws<ArgumentException>("run", () => ledger.Add(run with { Seed = 3, Steps = 0 }));
        Assert.Throws<ArgumentException>("run", () => ledger.Add(run with { Seed = 3, Accuracy = 90 }));
    }

    [Fact]
    public void Each_rung_of_a_ladder_begins_at_the_same_network()
    {
        using Sequential network = TrainingData.Mlp();
        SparseTraining.Run(network, SparseTraining.Dense, _X, _labels, null, Short).Dispose();
        using SparseSnapshot dense = SparseSnapshot.Of(network);
        (string, Func<nn.Module<Tensor, Tensor>, MaskSet>)[] patterns =
            [("a", net => LotteryTicket.Draw(net, 0.25)), ("2:8", net => LotteryTicket.Draw(net, 0.25, pattern: PruningPattern.NofM(2, 8))), ("again", net => LotteryTicket.Draw(net, 0.25))];
        IReadOnlyList<PatternRung> rungs = PatternLadder.Run(network, dense, patterns, (_X, _labels), (_X, _labels), Short with { Epochs = 2 });
        Assert.Equal([0.25, 0.25, 0.25], rungs.Select(r => Math.Round(r.Density, 2)));
        Assert.Equal(rungs[0] with { Name = "again" }, rungs[2]);
        Assert.True(rungs[0].Before >= rungs[1].Before);
        Assert.Throws<ArgumentException>("patterns", () => PatternLadder.Run(network, dense, [], (_X, _labels), (_X, _labels), Short));
    }

    private static SparseMethod Method(string name) => name switch
    {
        "SET" => SparseTraining.Set(Steps, 5),
        "SET 2018" => SparseTraining.Set2018(Steps, 6),
        "RigL" => SparseTraining.RigL(Steps, 5),
        "SNFS" => SparseTraining.Snfs(Steps, 5),
        "SNFS fixed" => SparseTraining.Snfs(Steps, 5, redistribute: false),
        "MEST" => SparseTraining.Mest(Steps, 5),
        "SET-ITOP" => SparseTraining.Itop(Steps, 10),
        _ => SparseTraining.Itop(Steps, 10, gradient: true),
    };

    private static IEnumerable<string> Places(MaskSet masks, string name)
    {
        using Tensor places = masks[name].flatten().nonzero().flatten();
        return [.. places.data<long>().ToArray().Select(place => $"{name} {place}")];
    }

    private sealed class Twin : nn.Module
    {
        public readonly Parameter mu = new(randn([20, 10], generator: new Generator(1)));
        public readonly Parameter rho = new(randn([20, 10], generator: new Generator(2)).abs() + 1);

        public Twin()
            : base(nameof(Twin)) => RegisterComponents();
    }
}
