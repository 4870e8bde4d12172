using Sparseland.Models;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

/// <summary>Attacks on masks, their updates and allocations by another hand.</summary>
public sealed class MaskSetTrialTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("sparseland-masks-").FullName;
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void A_name_twice_and_no_score_at_all_are_refused()
    {
        using Sequential network = TrainingData.Mlp();
        Assert.Contains("fc1.weight", Assert.Throws<ArgumentException>("names", () => MaskSet.FromNonZeros(network, ["fc1.weight", "fc1.weight"])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("names", () => MaskSet.Random(network, 0.5, 1, ["fc1.weight", "fc1.weight"]));
        foreach (PruningPattern pattern in new[] { PruningPattern.Global(0.5), PruningPattern.PerLayer(0.5) })
            Assert.Throws<ArgumentException>("scores", () => MaskSet.FromScores(network, new Dictionary<string, Tensor>(), pattern));
    }

    [Fact]
    public void Two_files_with_a_mask_of_one_weight_are_refused()
    {
        using Sequential network = TrainingData.Mlp();
        using MaskSet one = MaskSet.Random(network, 0.5, 1, ["fc1.weight"]), two = MaskSet.Random(network, 0.5, 2, ["fc1.weight"]), head = MaskSet.Random(network, 0.5, 2, ["head.weight"]);
        Directory.CreateDirectory(Path.Combine(_folder, "masks"));
        one.Save(Path.Combine(_folder, "masks", "a.safetensors"));
        head.Save(Path.Combine(_folder, "masks", "b.safetensors"));
        using (MaskSet both = MaskSet.LoadFolder(_folder, network)) Assert.Equal(one.Active + head.Active, both.Active);
        two.Save(Path.Combine(_folder, "masks", "c.safetensors"));
        Assert.Contains("fc1.weight", Assert.Throws<InvalidDataException>(() => MaskSet.LoadFolder(_folder, network)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_snapshot_whose_masks_do_not_fit_writes_nothing()
    {
        using Sequential network = TrainingData.Mlp(), other = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.5, 1);
        masks.Apply();
        using SparseSnapshot snapshot = SparseSnapshot.Of(network, masks);
        using (no_grad()) foreach (Parameter p in other.parameters()) p.add_(1);
        TrainingData.Fc1(other).weight!.requires_grad = false;
        double[] before = TrainingData.Parameters(other);
        Assert.Throws<ArgumentException>(() => snapshot.CopyTo(other));
        Assert.Equal(before, TrainingData.Parameters(other));
    }

    [Fact]
    public void Masks_from_scores_are_those_of_a_full_sort_whatever_the_form()
    {
        using Sequential network = SmallClassifiers.Mlp([12, 16, 4], 2);
        for (int seed = 1; seed <= 30; seed++)
        {
            using var generator = new Generator((ulong)seed);

            // Whole numbers, so that there are ties; also as a transposed view and in half precision.
            Tensor a = randint(0, 9, [16, 12], generator: generator).to(ScalarType.Float32), b = randint(0, 9, [4, 16], generator: generator).to(ScalarType.Float32);
            double sparsity = (seed % 10) / 10.0;
            double[] pool = [.. TrainingData.Numbers(a), .. TrainingData.Numbers(b)];
            int kept = pool.Length - (int)Math.Floor((sparsity * pool.Length) + 1e-6);
            HashSet<int> best = [.. Enumerable.Range(0, pool.Length).OrderByDescending(i => pool[i]).Take(kept)];
            bool[] expected = [.. Enumerable.Range(0, pool.Length).Select(best.Contains)];
            foreach (Func<Tensor, Tensor> form in new Func<Tensor, Tensor>[] { t => t, t => t.t().contiguous().t(), t => t.to(ScalarType.Float16), t => t.to(ScalarType.BFloat16), t => t.to(ScalarType.Float64).mul(1e-300) })
            {
                using MaskSet set = MaskSet.FromScores(network, new Dictionary<string, Tensor> { ["fc1.weight"] = form(a), ["head.weight"] = form(b) }, PruningPattern.Global(sparsity), allowEmpty: true);
                Assert.Equal(expected, set["fc1.weight"].flatten().data<bool>().ToArray().Concat(set["head.weight"].flatten().data<bool>().ToArray()));
            }
        }
    }

    [Fact]
    public void An_update_keeps_its_promises_over_many_layers_and_all_rules()
    {
        IDropScore[] drops = [new DropMagnitude(), new DropMest(), new DropTaylor(), new DropRandom()];
        IGrowScore[] grows = [new GrowRandom(), new GrowGradient(), new GrowMomentum(), new GrowUnfired()];
        for (int seed = 1; seed <= 40; seed++)
        {
            using var generator = new Generator((ulong)seed);
            bool ties = seed % 3 == 0;
            Tensor mask = rand([6, 7], generator: generator).lt(0.1 + (0.02 * seed)), weight = (ties ? ones([6, 7]) : randn([6, 7], generator: generator)).masked_fill(mask.logical_not(), 0);
            Tensor gradient = ties ? zeros([6, 7]) : randn([6, 7], generator: generator);
            long active = mask.sum().item<long>();
            foreach (IDropScore drop in drops)
            {
                foreach (IGrowScore grow in grows)
                {
                    foreach (long count in new[] { 0, 1, active / 2, active }.Where(c => c <= active && c >= 0).Distinct())
                    {
                        TopologyContext layer = new() { Layer = "w", Weight = weight, Mask = mask, Gradient = gradient, Average = gradient, Step = seed, Fraction = 0.3 };
                        TopologyChange change = TopologyUpdate.Apply(layer, drop, grow, count), again = TopologyUpdate.Apply(layer, drop, grow, count);
                        Assert.Equal(again.Active, change.Active);
                        Assert.Equal((active, active - count, count, count), (change.Active.Count, change.Kept.Count, change.Dropped.Count, change.Grown.Count));
                        Assert.Equal(0, change.Kept.Intersect(change.Grown).Count);
                        Assert.Equal(mask.sum().item<long>(), change.Kept.Union(change.Dropped).Count);

                        // RigL: no free place has a larger gradient than the smallest that grew.
                        if (grow is not GrowGradient || count == 0) continue;
                        Tensor grown = change.Grown.ToMask(), free = change.Kept.ToMask().logical_or(grown).logical_not();
                        if (free.any().item<bool>()) Assert.True(gradient.abs().masked_select(grown).min().item<float>() >= gradient.abs().masked_select(free).max().item<float>());
                    }

                    Assert.Throws<ArgumentOutOfRangeException>("count", () => TopologyUpdate.Apply(new() { Layer = "w", Weight = weight, Mask = mask, Gradient = gradient, Average = gradient }, drop, grow, active + 1));
                }
            }
        }
    }

    [Fact]
    public void SETs_sign_wise_drop_is_the_rule_of_each_sign()
    {
        for (int seed = 1; seed <= 60; seed++)
        {
            using var generator = new Generator((ulong)seed);
            Tensor mask = rand([9, 8], generator: generator).lt(0.6), weight = randn([9, 8], generator: generator).add(seed % 5 * 0.3).masked_fill(mask.logical_not(), 0);
            double[] w = TrainingData.Numbers(weight);
            bool[] on = [.. mask.flatten().data<bool>()];
            double f = 0.05 * (seed % 20);
            TopologyContext layer = new() { Layer = "w", Weight = weight, Mask = mask, Fraction = f, Step = 3 };
            var rule = new DropSignWise();
            HashSet<int> expected = [];
            foreach (int sign in new[] { 1, -1 })
            {
                int[] own = [.. Enumerable.Range(0, w.Length).Where(i => on[i] && Math.Sign(w[i]) == sign).OrderBy(i => Math.Abs(w[i]))];
                expected.UnionWith(own.Take((int)Math.Floor((f * own.Length) + 1e-6)));
            }

            long count = rule.CountOf(layer, 0);
            Assert.Equal(expected.Count, count);
            TopologyChange change = TopologyUpdate.Apply(layer, rule, new GrowRandom(), count);
            bool[] went = [.. change.Dropped.ToMask().flatten().data<bool>()];
            Assert.Equal(expected.Order(), Enumerable.Range(0, w.Length).Where(i => went[i]));
        }
    }

    [Fact]
    public void Budgets_that_move_between_layers_leave_the_total_also_beside_an_empty_layer()
    {
        using Sequential network = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.4, 1);
        masks.Set("head.weight", zeros_like(masks["head.weight"]));
        long active = masks.Active;
        using SparseOptimizer optimizer = new(new SgdOptimizer(network), masks, new() { Interval = 1, Redistribute = true, Schedule = DropSchedule.Constant(0.004) }, new DropMagnitude(), new GrowMomentum());
        (Tensor X, Tensor labels) = TrainingData.Blobs(40, 8, 3, 1);
        for (int i = 0; i < 12; i++)
        {
            network.zero_grad();
            nn.functional.cross_entropy(network.call(X), labels).backward();
            optimizer.Step(0.1);
            Assert.Equal(active, masks.Active);
        }
    }

    [Fact]
    public void An_allocation_has_its_total_over_many_networks()
    {
        var random = new Random(4);
        for (int i = 0; i < 300; i++)
        {
            LayerShape[] layers = [.. Enumerable.Range(0, random.Next(1, 6)).Select(l => new LayerShape($"l{l}", random.Next(2) == 0 ? [random.Next(1, 60), random.Next(1, 60)] : [random.Next(1, 20), random.Next(1, 20), 3, 3]))];
            double density = i % 7 == 0 ? 1 : 0.02 + (0.98 * random.NextDouble());
            foreach (LayerAllocation rule in LayerAllocation.All)
            {
                LayerDensities found;
                try
                {
                    found = rule.Solve(layers, density);
                }
                catch (ArgumentException)
                {
                    continue;
                }

                double size = layers.Sum(l => (double)l.Size);
                Assert.Equal(density, layers.Sum(l => found[l.Name] * l.Size) / size, 9);
                Assert.All(found.Values, d => Assert.InRange(d, double.Epsilon, 1));
                Assert.InRange(found.Kept, (density * size) - layers.Length, (density * size) + layers.Length);

                // Proportional wherever it is not dense.
                if (rule != LayerAllocation.Erk) continue;
                double[] ratios = [.. layers.Where(l => found[l.Name] < 1).Select(l => found[l.Name] / (l.Dimensions.Sum() / (double)l.Size))];
                Assert.All(ratios, r => Assert.Equal(1, r / ratios[0], 9));
            }
        }
    }

    [Fact]
    public void Five_hundred_calls_leave_no_tensor_behind()
    {
        using Sequential network = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.3, 1);
        Tensor gradient = randn([16, 8]), weight = TrainingData.Fc1(network).weight!;
        Dictionary<string, Tensor> scores = new() { ["fc1.weight"] = gradient.abs() };
        using SparseOptimizer optimizer = new(new AdamWOptimizer(network), masks, new() { Interval = 1, NewWeights = NewWeight.LayerDeviation }, new DropMest(), new GrowGradient());
        (Tensor X, Tensor labels) = TrainingData.Blobs(20, 8, 3, 1);
        using Sequential other = TrainingData.Mlp();
        using MaskSet others = MaskSet.Random(other, 0.3, 1);
        using SparseOptimizer momentum = new(new SgdOptimizer(other, 0.9), others, new() { Interval = 1, Redistribute = true, Moments = MomentRule.Keep }, new DropSignWise(), new GrowMomentum());
        void Once()
        {
            using (NewDisposeScope()) nn.functional.cross_entropy(other.call(X), labels).backward();
            others.MaskGradients();
            momentum.Step(0.01);
            other.zero_grad();
            MaskSet.FromScores(network, scores, PruningPattern.Global(0.5)).Dispose();
            using (MaskSet a = masks.Copy(), b = masks.And(a)) a.Overlap(b);
            TopologyUpdate.Apply(new() { Layer = "w", Weight = weight, Mask = masks["fc1.weight"], Gradient = gradient, Fraction = 0.2 }, new DropSignWise(), new GrowUnfired(), 5);
            using (SparseSnapshot snapshot = SparseSnapshot.Of(network, masks)) snapshot.CopyTo(network)!.Dispose();
            using (NewDisposeScope()) nn.functional.cross_entropy(network.call(X), labels).backward();
            optimizer.Step(0.01);
            network.zero_grad();
        }

        Once();
        long alive = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        for (int i = 0; i < 500; i++) Once();
        Assert.InRange(DisposeScopeManager.Statistics.ThreadTotalLiveCount - alive, long.MinValue, 20);
    }
}
