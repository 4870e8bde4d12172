using Sparseland.IO;
using Sparseland.Models;
using Sparseland.Training;
using Sparseland.Training.IsoFlop;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

/// <summary>Attacks on the sparse training by another hand: schedules, files, resumption of every method, limits of floating point.</summary>
[Collection(nameof(LoneGenerator))]
public sealed class TrainingTrialTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("sparseland-trial-").FullName;
    private readonly DisposeScope _scope = NewDisposeScope();

    public static TheoryData<string> Methods => [.. new[] { "SET", "SET 2018", "RigL", "SNFS", "MEST", "soft", "ITOP", "unfired", "taylor", "GMP" }];

    private string Checkpoint => Path.Combine(_folder, "training.safetensors");

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void A_share_of_steps_never_slips_by_a_step()
    {
        for (int percent = 1; percent < 100; percent++)
        {
            double share = percent / 100.0;
            foreach (int hundreds in new[] { 1, 3, 7, 10 })
            {
                long steps = 100 * hundreds, whole = percent * hundreds;
                Assert.Equal(Math.Min(steps - 1, whole), (new RetrainSchedule(RetrainRate.Linear, 0.1) { WarmUp = share }).Options(steps, 0.1).WarmUp);
                Assert.Equal(Math.Min(steps - 1, whole), (new SparseTrainingOptions { WarmUp = share }).ForLoop(steps).WarmUp);
                TrainingOptions drop = new() { Steps = steps, Plateau = 1, FinalRate = 1, DropAt = [share] };
                Assert.Equal(1e-3, drop.RateOf(whole - 1), 12);
                Assert.Equal(1e-4, drop.RateOf(whole), 12);
            }
        }
    }

    [Fact]
    public void A_checkpoint_that_the_optimizer_refuses_changes_nothing()
    {
        using Sequential network = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.3, 2);
        using SparseOptimizer optimizer = Sparse("SET", network, masks, 30);
        using TrainingLoop loop = Loop(network, optimizer, new() { Steps = 30 });
        for (int i = 0; i < 10; i++) loop.Step();
        loop.Save(Checkpoint);
        for (int i = 0; i < 7; i++) loop.Step();

        // Whole and with checksums, but its mask has a hole where a weight is; then one whose inner rule was reset in a step that is yet to come.
        foreach (string kind in new[] { "mask", "since" })
        {
            string bad = Path.Combine(_folder, kind + ".safetensors");
            using (SafeTensorsFile file = SafeTensors.Open(Checkpoint))
            {
                Dictionary<string, Tensor> all = file.LoadAll();
                string name = all.Keys.First(k => k.EndsWith(kind == "mask" ? "mask.fc1.weight" : "inner.since", StringComparison.Ordinal));
                all[name] = kind == "mask" ? zeros_like(all[name]) : all[name].add(1000);
                SafeTensors.Save(bad, all, file.Metadata.ToDictionary());
            }

            double[] before = TrainingData.Parameters(network);
            string active = string.Join(",", masks.Names.Select(n => masks[n].sum().item<long>()));
            Assert.Contains(kind, Assert.Throws<InvalidDataException>(() => loop.Load(bad)).Message, StringComparison.OrdinalIgnoreCase);
            Assert.Equal(before, TrainingData.Parameters(network));
            Assert.Equal(active, string.Join(",", masks.Names.Select(n => masks[n].sum().item<long>())));
            Assert.Equal((17, 17), (loop.Done, loop.History.Count));
        }

        loop.Step();
    }

    [Fact]
    public void A_damaged_checkpoint_is_refused_wherever_it_is_damaged()
    {
        using Sequential network = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.3, 2);
        using SparseOptimizer optimizer = Sparse("RigL", network, masks, 30);
        using TrainingLoop loop = Loop(network, optimizer, new() { Steps = 30 });
        for (int i = 0; i < 6; i++) loop.Step();
        loop.Save(Checkpoint);
        byte[] whole = File.ReadAllBytes(Checkpoint);
        string bad = Path.Combine(_folder, "bad.safetensors");
        double[] before = TrainingData.Parameters(network);
        for (int i = 0; i < 60; i++)
        {
            byte[] bytes = [.. whole];
            if (i < 40) bytes[(int)((long)i * bytes.Length / 40)] ^= 0x41;
            else bytes = bytes[..(int)((long)(i - 40) * bytes.Length / 20)];
            File.WriteAllBytes(bad, bytes);
            Exception? error = Record.Exception(() => loop.Load(bad));
            Assert.True(error is InvalidDataException, $"{i}: {error?.GetType().Name ?? "taken"} {error?.Message}");
            Assert.Equal(before, TrainingData.Parameters(network));
            Assert.Equal(6, loop.Done);
        }
    }

    [Theory, MemberData(nameof(Methods))]
    public void Every_method_stopped_anywhere_goes_on_bit_for_bit(string method)
    {
        const int steps = 24;
        (double[] Weights, string Masks) Run(int stop)
        {
            TrainingOptions options = new() { Steps = steps, LearningRate = 0.02, ClipNorm = 0.5 };
            using Sequential first = TrainingData.Mlp(), second = TrainingData.Mlp();
            using MaskSet ones = MaskSet.Random(first, 0.3, 2), twos = MaskSet.Random(second, 0.3, stop == 0 ? 2 : 55);
            if (stop > 0)
            {
                using IOptimizer early = Optimizer(method, first, ones, steps);
                using TrainingLoop part = Loop(first, early, options);
                for (int i = 0; i < stop; i++) part.Step();
                part.Save(Checkpoint);
            }

            using IOptimizer late = Optimizer(method, second, twos, steps);
            using TrainingLoop loop = Loop(second, late, options);
            if (stop > 0) loop.Load(Checkpoint);
            loop.Run();
            MaskSet end = late is GradualPruning gradual ? gradual.Masks : twos;
            return (TrainingData.Parameters(second), string.Join(";", end.Names.Select(n => string.Join(",", end.SupportOf(n).ColumnIndices.ToArray()))));
        }

        (double[] weights, string masks) = Run(0);
        foreach (int stop in new[] { 1, 3, 4, 5, 8, 15, 16, 17, 20, 23 })
        {
            (double[] again, string later) = Run(stop);
            Assert.Equal(masks, later);
            Assert.Equal(weights, again);
        }
    }

    [Theory, MemberData(nameof(Methods))]
    public void Numbers_of_weights_are_kept_and_nothing_leaks_over_many_drawn_problems(string method)
    {
        for (int seed = 1; seed <= 12; seed++)
        {
            using Sequential network = SmallClassifiers.Mlp([8, 5 + seed, 3], seed);
            using MaskSet masks = MaskSet.Random(network, 0.15 + (0.06 * seed), seed);
            long budget = masks.Active;
            using IOptimizer optimizer = Optimizer(method, network, masks, 24);
            using TrainingLoop loop = Loop(network, optimizer, new() { Steps = 24, LearningRate = 0.05 });
            loop.Run();
            MaskSet end = optimizer is GradualPruning gradual ? gradual.Masks : masks;
            Assert.Equal(method == "GMP" ? end.Size - (long)Math.Floor((0.7 * end.Size) + 1e-6) : budget, end.Active);
            using SparseSnapshot snapshot = SparseSnapshot.Of(network, end);
            Assert.Equal(0, snapshot.Leaks());
            foreach (string name in end.Names)
                foreach (Tensor moment in optimizer.MomentsOf(name)) Assert.Equal(0, moment.masked_select(end[name].logical_not()).abs().sum().item<float>());
        }
    }

    [Fact]
    public void The_cost_of_RigL_is_that_of_its_steps()
    {
        using Sequential network = TrainingData.Mlp();
        (Tensor X, Tensor labels) = TrainingData.Blobs(80, 8, 3, 1);
        using MaskSet masks = MaskSet.Random(network, 0.25, 3);
        SparseTrainingOptions options = new() { Epochs = 5, BatchSize = 16 };
        using SparseTrainingResult result = SparseTraining.Run(network, SparseTraining.RigL(25, 4), X, labels, masks, options);
        double dense = (8 * 16) + (16 * 3), sparse = masks.Active;
        int updates = result.Updates.Count;
        Assert.Equal(new long[] { 4, 8, 12, 16 }, result.Updates.Select(u => u.Step));
        Assert.Equal((((25 - updates) * 3 * sparse) + (updates * ((2 * sparse) + dense))) / (25 * 3 * dense), result.RelativeCost, 12);
    }

    [Fact]
    public void A_constant_schedule_prunes_also_where_masked_weights_return()
    {
        foreach (long first in new long[] { 0, 1, 7 })
        {
            using Sequential network = TrainingData.Mlp();
            using GradualMagnitude pruning = new(network, ["fc1.weight"], SparsitySchedule.Constant(0.5));
            Assert.True(pruning.After(first));
            Assert.Equal(64, pruning.Masks.Active);
            Assert.False(pruning.After(first + 1));
        }

        // Taken up behind its end, and with numbers that only the constructor of the record lets through.
        using Sequential other = TrainingData.Mlp();
        using GradualMagnitude late = new(other, ["fc1.weight"], SparsitySchedule.Cubic(0.75, 2, 20));
        Assert.True(late.After(31));
        Assert.Equal(32, late.Masks.Active);
        Assert.Throws<ArgumentOutOfRangeException>("Final", () => new GradualMagnitude(other, ["fc1.weight"], new(1.5, 0, 0, 4, 3)));
        Assert.Throws<ArgumentOutOfRangeException>("Power", () => new GradualMagnitude(other, ["fc1.weight"], new(0.5, 0, 0, 4, double.NaN)));
        Assert.Throws<ArgumentOutOfRangeException>("End", () => new GradualPruning(new SgdOptimizer(other), other, new(0.5, 0, 5, 4, 3)));
    }

    [Theory]
    [InlineData(1e-30)]
    [InlineData(1e25)]
    public void Magnitudes_are_ranked_at_any_scale(double scale)
    {
        using Sequential network = TrainingData.Mlp();
        Tensor weight = TrainingData.Fc1(network).weight!;
        using (no_grad()) weight.mul_(scale);
        Tensor all = weight.detach().clone(), expected = weight.abs().to(ScalarType.Float64), limit = expected.flatten().sort().Values[63];
        using GradualMagnitude pruning = new(network, ["fc1.weight"], SparsitySchedule.Constant(0.5));
        pruning.After(1);
        Assert.True(pruning.Masks["fc1.weight"].Same(expected.gt(limit)));
        using (no_grad()) weight.copy_(all);
        using MaskSet ticket = LotteryTicket.Draw(network, 0.5, ["fc1.weight"]);
        Assert.True(ticket["fc1.weight"].Same(expected.gt(limit)));
        foreach (IDropScore drop in new IDropScore[] { new DropMagnitude(), new DropSignWise(), new DropTaylor(), new DropMest(0) })
        {
            using Tensor mask = ones_like(weight, dtype: ScalarType.Bool), gradient = ones_like(weight);
            TopologyContext layer = new() { Layer = "w", Weight = all, Mask = mask, Gradient = gradient, Fraction = 0.25 };
            TopologyChange change = TopologyUpdate.Apply(layer, drop, new GrowRandom(), drop.CountOf(layer, 32), 0);
            Tensor size = all.abs().flatten(), went = change.Dropped.ToMask().flatten();
            if (drop is DropSignWise) continue;
            Assert.True(size.masked_select(went).max().item<float>() < size.masked_select(went.logical_not()).min().item<float>(), drop.Name);
        }
    }

    [Theory]
    [InlineData(1e-25)]
    [InlineData(1e-30)]
    [InlineData(1)]
    [InlineData(1e20)]
    [InlineData(1e30)]
    public void The_norm_of_gradients_neither_overflows_nor_vanishes(double scale)
    {
        using Sequential network = TrainingData.Mlp();
        double sum = 0;
        foreach (Parameter p in network.parameters())
        {
            p.grad = randn(p.shape, generator: new Generator(5)).mul(scale);
            sum += p.grad.to(ScalarType.Float64).square().sum().item<double>();
        }

        Assert.Equal(1, GradientNorm.Of(network.parameters().OfType<Parameter>()) / Math.Sqrt(sum), 5);
        Parameter[] all = [.. network.parameters().OfType<Parameter>()];
        GradientNorm.Clip(all, scale);
        Assert.Equal(1, GradientNorm.Of(all) / scale, 5);
        using (no_grad()) all[0].grad!.flatten()[0] = double.NaN;
        Assert.False(double.IsFinite(GradientNorm.Of(all)));
    }

    [Fact]
    public void An_update_in_a_format_that_has_not_the_numbers_is_refused()
    {
        using Sequential a = TrainingData.Mlp(), b = TrainingData.Mlp();
        using (no_grad())
        {
            TrainingData.Fc1(a).weight!.fill_(1e5f);
            TrainingData.Fc1(b).weight!.fill_(2e5f);
        }

        Assert.Contains("fc1.weight", Assert.Throws<ArgumentException>(() => UpdateSparsity.Of(a, b, ScalarType.Float16)).Message, StringComparison.Ordinal);
        using UpdateSparsity fine = UpdateSparsity.Of(a, b, ScalarType.BFloat16);
        Assert.Equal(128, fine.Whole.Changed);
    }

    [Fact]
    public void Rounding_to_bfloat16_is_to_the_nearest_from_float64_too()
    {
        var random = new Random(3);
        List<double> values = [1 + Math.ScaleB(1, -8) + Math.ScaleB(1, -40), 1 + Math.ScaleB(1, -8), 1 + (3 * Math.ScaleB(1, -8)) - Math.ScaleB(1, -45), 0, -1e-39, 3e38];
        for (int i = 0; i < 4000; i++)
        {
            double grid = (128 + random.Next(128)) * Math.ScaleB(1, random.Next(-60, 60) - 7);
            values.Add((i % 2 == 0 ? 1 : -1) * (grid + (Bfloat16Grid.Spacing(grid) * (0.5 + ((random.NextDouble() - 0.5) * Math.ScaleB(1, -random.Next(1, 50)))))));
        }

        double[] rounded = TrainingData.Numbers(Bfloat16Grid.Round(tensor(values.ToArray())));
        for (int i = 0; i < values.Count; i++)
        {
            double spacing = Bfloat16Grid.Spacing(values[i]);
            Assert.Equal(Math.Round(values[i] / spacing, MidpointRounding.ToEven) * spacing, rounded[i]);
        }
    }

    [Fact]
    public void Samples_and_labels_that_do_not_fit_are_refused_before_anything_moves()
    {
        using Sequential network = TrainingData.Mlp();
        (Tensor X, Tensor labels) = TrainingData.Blobs(64, 8, 3, 1);
        using MaskSet masks = MaskSet.Random(network, 0.5, 1);
        double[] before = TrainingData.Parameters(network);
        SparseTrainingOptions options = new() { Epochs = 1, BatchSize = 16 };
        Assert.Throws<ArgumentException>("labels", () => SparseTraining.Run(network, SparseTraining.Static, X, labels.to(ScalarType.Int32), masks, options));
        Assert.Throws<ArgumentException>("labels", () => SparseTraining.Run(network, SparseTraining.Static, X, labels.unsqueeze(1), masks, options));
        Assert.Throws<ArgumentException>("X", () => SparseTraining.Run(network, SparseTraining.Static, X.select(1, 0), labels, masks, options));
        Assert.Throws<ArgumentException>("labels", () => SparseTraining.Run(network, SparseTraining.Static, X, labels.add(1), masks, options));
        Assert.Throws<ArgumentException>("labels", () => MaskedSgd.Run(network, masks, X, labels.sub(1), new() { BatchSize = 16 }));
        Assert.Throws<ArgumentOutOfRangeException>("BatchSize", () => MaskedSgd.Run(network, masks, X, labels, new() { BatchSize = 0 }));
        Assert.Throws<ArgumentNullException>("labels", () => SparseTraining.Run(network, SparseTraining.Static, X, null!, masks, options));
        Assert.Equal(before, TrainingData.Parameters(network));
        using IsoFlopNetwork wide = IsoFlopNetwork.Mlp([8, 16, 3], new SparseWide(0.5), 1);
        Assert.Throws<ArgumentException>("labels", () => IsoFlopTraining.Run(wide, X, labels.to(ScalarType.Float32)));
        Assert.Throws<ArgumentOutOfRangeException>("BatchSize", () => IsoFlopTraining.Run(wide, X, labels, new() { BatchSize = 1 }));
    }

    [Fact]
    public void A_loss_takes_logits_and_targets_in_any_layout()
    {
        Func<Batch, Tensor> plain = Losses.CrossEntropy(nn.Sequential(("id", nn.Identity()))), turned = plain;
        Tensor logits = randn([5, 4, 3], generator: new Generator(1)), targets = randint(0, 3, [5, 4], dtype: ScalarType.Int64, generator: new Generator(2));
        float expected = plain(new(logits, targets)).item<float>();
        Assert.Equal(expected, turned(new(logits.transpose(0, 1).contiguous().transpose(0, 1), targets.t().contiguous().t())).item<float>(), 5);
    }

    [Theory]
    [InlineData("SET")]
    [InlineData("RigL")]
    [InlineData("GMP")]
    public void Told_to_stop_a_training_makes_no_further_step(string kind)
    {
        using Sequential network = SmallClassifiers.Mlp([64, 128, 10], 1);
        (Tensor X, Tensor labels) = TrainingData.Blobs(2000, 64, 10, 1);
        SparseMethod method = kind switch { "SET" => SparseTraining.Set(40_000, 20), "RigL" => SparseTraining.RigL(40_000, 20), _ => SparseTraining.Gmp(0.1, 40_000) };
        using MaskSet? masks = kind == "GMP" ? null : MaskSet.Random(network, 0.1, 1);
        using CancellationTokenSource source = new();
        long last = 0;
        TrainingHooks hooks = new() { OnStep = (_, r) => { if ((last = r.Step) == 50) source.Cancel(); } };
        Assert.ThrowsAny<OperationCanceledException>(() => SparseTraining.Run(network, method, X, labels, masks, new() { Epochs = 2000, BatchSize = 100 }, hooks, cancel: source.Token));
        Assert.Equal(50, last);
    }

    private static IOptimizer Optimizer(string method, Sequential network, MaskSet masks, long steps) => method == "GMP"
        ? new GradualPruning(new AdamWOptimizer(network), network, SparsitySchedule.Cubic(0.7, 2, 16), 4)
        : Sparse(method, network, masks, steps);

    private static SparseOptimizer Sparse(string method, Sequential network, MaskSet masks, long steps)
    {
        SparseMethod made = method switch
        {
            "SET" => SparseTraining.Set(steps, 4),
            "SET 2018" => SparseTraining.Set2018(steps, 4),
            "RigL" => SparseTraining.RigL(steps, 4),
            "SNFS" => SparseTraining.Snfs(steps, 4),
            "ITOP" => SparseTraining.Itop(steps, 4, gradient: true),
            "MEST" => SparseTraining.Mest(steps, 4),
            "soft" => new("soft") { Topology = new() { Interval = 4, End = 20, SoftBound = true }, Drop = new DropMest(), Grow = new GrowRandom() },
            "unfired" => new("unfired") { Topology = new() { Interval = 4, NewWeights = NewWeight.LayerDeviation }, Drop = new DropMagnitude(), Grow = new GrowUnfired() },
            _ => new("taylor") { Topology = new() { Interval = 4, NewWeights = NewWeight.AgainstGradient(0.01), Moments = MomentRule.Reset }, Drop = new DropTaylor(), Grow = new GrowGradient() },
        };
        return new(new AdamWOptimizer(network), masks, made.Topology, made.Drop, made.Grow);
    }

    private static TrainingLoop Loop(Sequential network, IOptimizer optimizer, TrainingOptions options)
    {
        (Tensor X, Tensor labels) = TrainingData.Blobs(60, 8, 3, 1);
        TrainingHooks hooks = optimizer switch { SparseOptimizer sparse => sparse.Hooks(), GradualPruning gradual => gradual.Hooks(), _ => new() };
        return new(network, new SampleBatches(X, labels, 16), Losses.CrossEntropy(network), options, hooks, optimizer);
    }
}
