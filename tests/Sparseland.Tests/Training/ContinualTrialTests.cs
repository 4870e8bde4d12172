using Sparseland.IO;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Tests.Models.Language;
using Sparseland.Training;
using Sparseland.Training.ArchitectureSearch;
using Sparseland.Training.Continual;
using Sparseland.Training.IsoFlop;
using Sparseland.Training.Reinforcement;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

/// <summary>Attacks on learning task after task, on policies, on searched and on iso-FLOP networks by another hand.</summary>
[Collection(nameof(LoneGenerator))]
public sealed class ContinualTrialTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("sparseland-tasks-").FullName;
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void Nothing_is_forgotten_in_float64_either_and_the_file_says_so()
    {
        using nn.Module<Tensor, Tensor> network = Network(ScalarType.Float64);
        using var learner = new ContinualSparse(network, Options);
        SequenceResult result = ContinualSequence.Run(learner, network, Data(3, ScalarType.Float64), batch: 10);
        Assert.Equal(0, result.LargestChange);
        Assert.Equal(ScalarType.Float64, learner.Ownership.ValuesOf("a.weight").dtype);
        string path = Path.Combine(_folder, "tasks.safetensors");
        learner.Ownership.Save(path);
        using TaskOwnership read = TaskOwnership.Load(path);
        foreach (string name in read.Names)
        {
            Assert.True(read.ValuesOf(name).Same(learner.Ownership.ValuesOf(name)));
            foreach (string task in learner.Tasks) Assert.True(read.MaskOf(task, name).Same(learner.Ownership.MaskOf(task, name)));
        }

        nn.Module<Tensor, Tensor> mixed = Network(ScalarType.Float32);
        ((Sequential)mixed).Layer<Linear>("b").to(ScalarType.Float64);
        Assert.Contains("b.weight", Assert.Throws<ArgumentException>("network", () => new ContinualSparse(mixed, Options)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("type", () => new TaskOwnership(new Dictionary<string, long[]> { ["a"] = [2, 2] }, ScalarType.Int64));
    }

    [Fact]
    public void A_file_of_tasks_that_contradicts_itself_is_refused()
    {
        using nn.Module<Tensor, Tensor> network = Network(ScalarType.Float32);
        using var learner = new ContinualSparse(network, Options);
        ContinualSequence.Run(learner, network, Data(2, ScalarType.Float32), batch: 10);
        string path = Path.Combine(_folder, "tasks.safetensors"), bad = Path.Combine(_folder, "bad.safetensors");
        learner.Ownership.Save(path);
        void Refused(Action<Dictionary<string, Tensor>, Dictionary<string, string>> spoil)
        {
            using (SafeTensorsFile file = SafeTensors.Open(path))
            {
                Dictionary<string, Tensor> all = file.LoadAll();
                Dictionary<string, string> notes = file.Metadata.ToDictionary();
                spoil(all, notes);
                SafeTensors.Save(bad, all, notes);
            }

            Assert.Throws<InvalidDataException>(() => TaskOwnership.Load(bad).Dispose());
        }

        Refused((all, _) => all["mask.1.a.weight"] = ones_like(all["mask.1.a.weight"]));
        Refused((all, _) => all.Remove("mask.0.b.weight"));
        Refused((all, _) => all["value.a.weight"] = all["value.a.weight"].to(ScalarType.Float64));
        Refused((all, _) => all["used.a.weight"] = all["used.a.weight"].to(ScalarType.Byte));
        Refused((all, _) => all["value.a.weight"] = all["value.a.weight"].t().contiguous());
        Refused((_, notes) => notes["tasks"] = "[\"x\", \"x\"]");
        Refused((_, notes) => notes["tasks"] = "[null, \"x\"]");
        Refused((_, notes) => notes["tasks"] = "[\"x\"");
        Refused((_, notes) => notes.Remove("tasks"));
        Refused((_, notes) => notes["kind"] = "other");
        byte[] whole = File.ReadAllBytes(path);
        for (int i = 0; i < 20; i++)
        {
            byte[] bytes = [.. whole];
            bytes[(int)((i + 0.5) * bytes.Length / 20)] ^= 0x10;
            File.WriteAllBytes(bad, i % 2 == 0 ? bytes : bytes[..(bytes.Length * i / 20)]);
            Assert.ThrowsAny<InvalidDataException>(() => TaskOwnership.Load(bad).Dispose());
        }
    }

    [Fact]
    public void A_task_that_was_given_up_leaves_no_trace()
    {
        double[] Learn(int stopped)
        {
            using nn.Module<Tensor, Tensor> network = Network(ScalarType.Float32);
            using var learner = new ContinualSparse(network, Options);
            ContinualTask[] tasks = Data(2, ScalarType.Float32);
            learner.LearnTask("a", new SampleBatches(tasks[0].X, tasks[0].Labels, 10));
            for (int i = 0; i < stopped; i++)
            {
                using CancellationTokenSource source = new();
                int steps = 0;
                Assert.ThrowsAny<OperationCanceledException>(() => learner.LearnTask("b", new SampleBatches(tasks[1].X, tasks[1].Labels, 10), new Now(() => { if (++steps == 5 + i) source.Cancel(); }), source.Token));
                Assert.Equal(["a"], learner.Tasks);
            }

            learner.LearnTask("b", new SampleBatches(tasks[1].X, tasks[1].Labels, 10));
            return [.. TrainingData.Numbers(learner.Logits("a", tasks[0].TestX)), .. TrainingData.Numbers(learner.Logits("b", tasks[1].TestX))];
        }

        Assert.Equal(Learn(0), Learn(2));
    }

    [Fact]
    public void Advantages_are_the_formula_at_any_scale()
    {
        var random = new Random(2);
        foreach (double scale in new[] { 1e-30, 1, 1e20, 1e160, 1e300 })
        {
            for (int i = 0; i < 20; i++)
            {
                double[,] rewards = new double[3, 5];
                for (int p = 0; p < 3; p++) for (int g = 0; g < 5; g++) rewards[p, g] = scale * (random.NextDouble() - (p == 1 ? 0.5 : 0));
                double[,] a = PolicyGradient.Advantages(rewards);
                for (int p = 0; p < 3; p++)
                {
                    double[] r = [.. Enumerable.Range(0, 5).Select(g => rewards[p, g] / scale)];
                    double mean = r.Average(), deviation = Math.Sqrt(r.Sum(x => (x - mean) * (x - mean)) / 4);
                    for (int g = 0; g < 5; g++) Assert.Equal((r[g] - mean) / (deviation + (1e-4 / scale)), a[p, g], 9);
                }
            }
        }
    }

    [Fact]
    public void The_loss_of_a_policy_is_the_formula_and_only_what_counts_is_looked_at()
    {
        for (int seed = 1; seed <= 10; seed++)
        {
            var random = new Random(seed);
            Tensor log = rand([6, 4], dtype: ScalarType.Float64, generator: new Generator((ulong)seed)).neg(), reference = rand([6, 4], dtype: ScalarType.Float64, generator: new Generator(99)).neg();
            Tensor mask = rand([6, 4], generator: new Generator((ulong)seed + 50)).gt(0.3);
            log = log.masked_fill(mask.logical_not(), double.NegativeInfinity).detach().requires_grad_();
            double[,] rewards = new double[2, 3];
            for (int i = 0; i < 6; i++) rewards[i / 3, i % 3] = i < 3 && seed % 3 == 0 ? 1 : random.Next(2);
            double[,] a = PolicyGradient.Advantages(rewards);
            double expected = 0;
            for (int i = 0; i < 6; i++)
            {
                if (Enumerable.Range(0, 3).All(g => rewards[i / 3, g] == rewards[i / 3, 0])) continue;
                for (int t = 0; t < 4; t++)
                {
                    if (!mask[i, t].item<bool>()) continue;
                    double own = log[i, t].item<double>(), d = reference[i, t].item<double>() - own;
                    expected += (-a[i / 3, i % 3] * own) + (0.2 * (Math.Exp(d) - d - 1));
                }
            }

            Tensor loss = PolicyGradient.Grpo(log, mask, rewards, 7, reference, 0.2);
            Assert.Equal(expected / (2 * 3 * 7), loss.item<double>(), 12);
            if (loss.requires_grad)
            {
                loss.backward();
                Assert.True(log.grad!.isfinite().all().item<bool>());
            }
        }
    }

    [Fact]
    public void A_rollout_refuses_tokens_that_there_are_not_and_bears_cold_and_hot()
    {
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        Assert.ThrowsAny<ArgumentException>(() => Rollout.Sample(model, [[-1, 2]]));
        Assert.ThrowsAny<ArgumentException>(() => Rollout.Sample(model, [[1_000_000, 2]]));
        Assert.Throws<ArgumentException>(() => Rollout.Sample(model, [[]]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Rollout.Sample(model, [[1]], new() { Temperature = 0 }));

        // As cold as can be it is the greedy choice; as hot as can be it is any token.
        IReadOnlyList<int>[] prompts = [[3, 7, 1], [5, 2, 9]];
        using Rollout cool = Rollout.Sample(model, prompts, new() { NewTokens = 5, Temperature = 1e-4 }), cold = Rollout.Sample(model, prompts, new() { NewTokens = 5, Temperature = 1e-30 });
        for (int row = 0; row < 2; row++) Assert.Equal(cool.Completion(row), cold.Completion(row));
        using Rollout hot = Rollout.Sample(model, prompts, new() { NewTokens = 5, Temperature = 1e30 });
        Assert.True(hot.LogProbabilities.isfinite().all().item<bool>());
    }

    [Fact]
    public void Images_and_classes_that_a_space_is_not_for_are_refused_before_training()
    {
        Sparseland.Training.ArchitectureSearch.SearchSpace space = Sparseland.Training.ArchitectureSearch.SearchSpace.Separable with { Channels = 2, Classes = 3 };
        using SearchNetwork supernet = space.Supernet(1), network = space.Network(space.Alike("skip"), 1);
        double[] before = TrainingData.Parameters(supernet);
        Tensor X = randn(12, 1, 8, 8), labels = arange(12, dtype: ScalarType.Int64).remainder(3);
        int[] train = [0, 1, 2, 3], validation = [4, 5, 6, 7];
        SearchOptions options = new() { Pretrain = 1, Rounds = 1, Batch = 2, AtLeastOne = true };
        Assert.Throws<ArgumentException>("labels", () => DifferentiableSearch.Run(supernet, X, labels.add(1), train, validation, options));
        Assert.Throws<ArgumentException>("X", () => DifferentiableSearch.Run(supernet, X[.., .., ..3, ..], labels, train, validation, options));
        Assert.Throws<ArgumentException>("X", () => DifferentiableSearch.Run(supernet, X.expand(12, 2, 8, 8), labels, train, validation, options));
        Assert.Throws<ArgumentException>("labels", () => ScorePruning.Run(network, X, labels, X, labels.sub(1), 0.5));
        Assert.Equal(before, TrainingData.Parameters(supernet));
        Assert.NotEmpty(DifferentiableSearch.Run(supernet, X[.., .., ..4, ..4], labels, train, validation, options).Genotype.Operations);
    }

    [Fact]
    public void The_same_seed_finds_the_same_architecture_and_scores_follow_their_gradient()
    {
        Sparseland.Training.ArchitectureSearch.SearchSpace space = Sparseland.Training.ArchitectureSearch.SearchSpace.Extended with { Channels = 2, Classes = 3 };
        Tensor X = randn([24, 1, 8, 8], generator: new Generator(1)), labels = arange(24, dtype: ScalarType.Int64).remainder(3);
        double[] Search()
        {
            using SearchNetwork net = space.Supernet(4);
            SearchResult found = DifferentiableSearch.Run(net, X, labels, [.. Enumerable.Range(0, 12)], [.. Enumerable.Range(12, 12)], new() { Pretrain = 2, Rounds = 4, Batch = 6, AtLeastOne = true, Ratio = 0.8 });
            Assert.All(found.Alpha, round => Assert.All(round, p => Assert.Equal(1, p.Sum(), 9)));
            return [.. found.Alpha[^1].SelectMany(p => p), .. TrainingData.Parameters(net)];
        }

        Assert.Equal(Search(), Search());
        for (int seed = 1; seed <= 10; seed++)
        {
            using ScoredConv2d layer = new(3, 4, 3, new Generator((ulong)seed));
            layer.Keep(20);
            double[] w = TrainingData.Numbers(layer.Weight.detach());
            HashSet<int> largest = [.. Enumerable.Range(0, w.Length).OrderByDescending(i => Math.Abs(w[i])).Take(20)];
            Assert.Equal(Enumerable.Range(0, w.Length).Select(largest.Contains), layer.Mask().flatten().data<bool>().ToArray());
            Tensor G = randn(layer.Weight.shape, generator: new Generator((ulong)seed + 9));
            (layer.Effective() * G).sum().backward();
            Assert.True((layer.Scores.sign() * layer.Weight * G - layer.Scores.grad!).abs().max().item<float>() < 1e-6);
            Assert.True((layer.Mask().to(ScalarType.Float32) * G - layer.Weight.grad!).abs().max().item<float>() < 1e-6);
        }
    }

    [Fact]
    public void An_iso_FLOP_network_has_the_multiply_adds_of_the_dense_one()
    {
        var random = new Random(5);
        for (int i = 0; i < 60; i++)
        {
            int[] widths = [random.Next(20, 80), random.Next(8, 40), random.Next(8, 40), random.Next(2, 10)];
            double s = new[] { 0.5, 0.75, 0.8, 0.9 }[i % 4];
            foreach (IsoFlopMember member in new IsoFlopMember[] { new SparseWide(s), new SparseParallel(s), new SparseFactorized(s), new SparseDoped(s) })
            {
                using IsoFlopNetwork made = IsoFlopNetwork.Mlp(widths, member, i + 1);
                long dense = widths.Zip(widths.Skip(1), (a, b) => (long)a * b).Sum();
                Assert.Equal(dense, made.DenseCost);

                // Only the rounding of ranks is left: at most one for each layer, up or down.
                double slack = member is SparseFactorized or SparseDoped ? made.Densities.Count + Enumerable.Range(0, 2).Sum(l => (double)widths[l] + widths[l + 1]) : made.Densities.Count;
                Assert.InRange(made.Cost - dense, -slack, slack);
                using Tensor output = made.Model.call(randn(5, widths[0]));
                Assert.Equal([5L, widths[3]], output.shape);
            }
        }

        Assert.Equal(Math.Log10(252), IsoFlop(10, 5), 10);
        Assert.Equal(Math.Log10(75287520), IsoFlop(100, 5), 9);
        Assert.Equal(0, IsoFlop(7, 7));
        foreach (double bad in new[] { 0.6, 1 - 1e-12, 0.999999999 + 3e-10 }) Assert.ThrowsAny<ArgumentException>(() => new SparseParallel(bad));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SparseWide(double.NaN));

        static double IsoFlop(long n, long k) => Sparseland.Training.IsoFlop.SearchSpace.Log10Masks(n, k);
    }

    [Fact]
    public void Branches_fold_into_the_layer_that_they_are()
    {
        for (int seed = 1; seed <= 10; seed++)
        {
            foreach (InnerActivation inner in new[] { InnerActivation.None, InnerActivation.Norm })
            {
                using ParallelLinear layer = new(6, 5, 1 + (seed % 4), inner);
                using (no_grad()) foreach (Parameter p in layer.parameters()) p.copy_(randn(p.shape, generator: new Generator((ulong)seed)));
                for (int i = 0; i < 4; i++) layer.call(randn(20, 6)).Dispose();
                layer.eval();
                Tensor x = randn(7, 6);
                using Linear folded = layer.Fold();
                Assert.True((layer.call(x) - folded.call(x)).abs().max().item<float>() < 1e-4);
            }
        }
    }

    private static ContinualOptions Options => new()
    {
        Density = 0.2, Allocation = LayerAllocation.Uniform, Topology = new() { Interval = 3, End = 12, Schedule = DropSchedule.Constant(0.4) },
        Training = new ContinualOptions().Training with { Steps = 14, WarmUp = 2, LearningRate = 0.02 },
    };

    private static Sequential Network(ScalarType type)
    {
        manual_seed(7);
        return nn.Sequential(
            ("a", nn.Linear(12, 30, hasBias: false, dtype: type)), ("norm", new PerTask<BatchNorm1d>(_ => nn.BatchNorm1d(30, dtype: type))), ("relu", nn.ReLU()),
            ("b", nn.Linear(30, 16, hasBias: false, dtype: type)), ("head", new PerTask<Linear>(task => Head(task, type))));
    }

    private static Linear Head(int task, ScalarType type)
    {
        Linear head = nn.Linear(16, 3, dtype: type);
        using (no_grad()) foreach (Parameter p in head.parameters()) p.copy_(randn(p.shape, dtype: type, generator: new Generator((ulong)task + 3)).mul(0.1));
        return head;
    }

    private static ContinualTask[] Data(int tasks, ScalarType type) => [.. Enumerable.Range(0, tasks).Select(t =>
    {
        (Tensor X, Tensor labels) = TrainingData.Blobs(60, 12, 3, (ulong)(10 + t), type);
        (Tensor testX, Tensor testLabels) = TrainingData.Blobs(40, 12, 3, (ulong)(10 + t), type);
        return new ContinualTask($"task {t}", X, labels, testX, testLabels);
    })];

    private sealed class Now(Action action) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => action();
    }
}
