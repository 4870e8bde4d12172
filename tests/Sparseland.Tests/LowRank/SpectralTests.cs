using FsCheck;
using FsCheck.Fluent;
using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

public class SpectralTests
{
    [Fact]
    public void A_linear_layer_and_its_decomposition_compute_the_same()
    {
        using var scope = NewDisposeScope();
        foreach ((int inputs, int outputs, int rank) in new[] { (9, 5, 2), (5, 9, 5), (7, 7, 1), (1, 4, 1) })
        {
            using Linear linear = nn.Linear(inputs, outputs);
            using var layer = new SpectralLinear(linear, new() { Rank = rank, Seed = 3 });
            Tensor x = randn([2, 4, inputs], generator: new Generator(1));
            Assert.True(LowRankData.Distance(layer.call(x).detach(), linear.call(x).detach()) < 1e-5);
            using Linear merged = layer.Merge();
            Assert.True(LowRankData.Distance(merged.call(x).detach(), linear.call(x).detach()) < 1e-5);
            int m = Math.Min(inputs, outputs);
            Assert.Equal((m * (inputs + outputs + 1)) + outputs, layer.ParameterCount);
            Assert.Equal(rank * (inputs + outputs) + m + outputs, layer.TrainedCount);
            Assert.Equal(layer.TrainedCount, layer.parameters().Sum(p => p.numel()));
            Assert.Equal((long)m * (inputs + outputs), layer.MacsPerToken);
            Assert.True(layer.Drift() < 1e-5);
            Assert.Equal(rank, layer.Active.Distinct().Count());
        }
    }

    [Fact]
    public void Gradients_are_the_formulas_and_enhanced_ones_lack_the_singular_value()
    {
        using var scope = NewDisposeScope();
        foreach (bool enhanced in new[] { true, false })
        {
            using Linear linear = nn.Linear(8, 6, dtype: ScalarType.Float64);
            using var layer = new SpectralLinear(linear, new() { Rank = 3, Seed = 5, EnhancedGradient = enhanced });
            Tensor x = LowRankData.Gaussian(11, 8, 2).requires_grad_(), direction = LowRankData.Gaussian(11, 6, 3);
            layer.call(x).mul(direction).sum().backward();
            Tensor G = direction.t().mm(x.detach()), active = tensor(layer.Active.ToArray()), s = layer.S.detach();
            Tensor u = layer.U().index_select(1, active), v = layer.V().index_select(1, active), own = enhanced ? ones(3, dtype: ScalarType.Float64) : s.index_select(0, active);
            Close(G.mm(v) * own, layer.ActiveU.grad!);
            Close(G.t().mm(u) * own, layer.ActiveV.grad!);
            Close((layer.U().t().mm(G) * layer.V().t()).sum([1L]), layer.S.grad!);
            Close(direction.mm(layer.EffectiveWeight()), x.grad!);
            Close(direction.sum([0L]), layer.Bias!.grad!);
            if (enhanced) continue;

            // Central differences of the loss.
            using IDisposable off = no_grad();
            double Loss() => layer.call(x).mul(direction).sum().item<double>();
            foreach ((Parameter parameter, long at) in new[] { (layer.ActiveU, 4L), (layer.ActiveV, 7L), (layer.S, 2L) })
            {
                Tensor flat = parameter.view(-1);
                double before = flat[at].item<double>();
                flat[at] = before + 1e-5;
                double up = Loss();
                flat[at] = before - 1e-5;
                double down = Loss();
                flat[at] = before;
                Assert.Equal((up - down) / 2e-5, parameter.grad!.view(-1)[at].item<double>(), 1e-6);
            }
        }
    }

    [Fact]
    public void Training_keeps_unit_vectors_frozen_pairs_and_the_function_at_its_turns()
    {
        using var scope = NewDisposeScope();
        using Linear linear = nn.Linear(12, 10);
        using (no_grad()) linear.weight!.copy_(randn([10, 12], generator: new Generator(4)) * 0.3);
        using var model = nn.Sequential(("only", linear));
        LinearSlots.Replace(model, (_, l) => new SpectralLinear(l, new() { Rank = 3, Seed = 1 }));
        var layer = (SpectralLinear)LinearSlots.Of(model)[0].Module;
        using var optimizer = new SstOptimizer(new AdamWOptimizer(model, 0), model, new() { StepsPerIteration = 4, WarmUp = 2 });
        Tensor x = randn([32, 12], generator: new Generator(6)), target = randn([32, 10], generator: new Generator(7));
        for (int step = 0; step < 26; step++)
        {
            Tensor frozen = Frozen(layer), before = layer.EffectiveWeight();
            IReadOnlyList<long> active = layer.Active;
            model.zero_grad();
            (model.call(x) - target).square().mean().backward();
            optimizer.Step(0.05);
            Assert.True(layer.S.ge(0).all().item<bool>());
            Assert.True((layer.ActiveU.square().sum(0L) - 1).abs().max().item<float>() < 1e-5);
            if ((step + 1) % 4 != 0)
            {
                Assert.Equal(active, layer.Active);
                Assert.True(frozen.equal(Frozen(layer)).all().item<bool>());
                continue;
            }

            // m / r = 3 iterations make a round.
            if ((step + 1) % 12 == 0) Assert.True(layer.Drift() < 1e-5);
            Assert.Equal(0, optimizer.MomentsOf("only.active_U").Sum(t => t.abs().sum().item<float>()));
            Assert.True(optimizer.MomentsOf("only.s").Sum(t => t.abs().sum().item<float>()) > 0);
        }

        Tensor old = layer.EffectiveWeight();
        layer.Resample();
        Assert.True(LowRankData.Distance(layer.EffectiveWeight(), old) < 1e-6);
        layer.Redecompose();
        Assert.True(LowRankData.Distance(layer.EffectiveWeight(), old) < 1e-5);
        Assert.True(layer.Drift() < 1e-5);

        static Tensor Frozen(SpectralLinear layer)
        {
            Tensor rest = tensor(Enumerable.Range(0, 10).Select(i => (long)i).Except(layer.Active).ToArray());
            return cat([layer.U().index_select(1, rest), layer.V().index_select(1, rest)], 0);
        }
    }

    [Fact]
    public void A_training_goes_on_from_its_checkpoint()
    {
        using var scope = NewDisposeScope();
        string path = Path.Combine(Path.GetTempPath(), $"sst-{Guid.NewGuid():N}.safetensors");
        try
        {
            Tensor x = randn([64, 8], generator: new Generator(1)), target = randn([64, 8], generator: new Generator(2));
            (Sequential Model, SstOptimizer Optimizer, TrainingLoop Loop) Begin()
            {
                var model = nn.Sequential(("only", nn.Linear(8, 8)));
                using (no_grad()) ((Linear)LinearSlots.Of(model)[0].Module).weight!.copy_(randn([8, 8], generator: new Generator(5)));
                using (no_grad()) ((Linear)LinearSlots.Of(model)[0].Module).bias!.zero_();
                LinearSlots.Replace(model, (_, l) => new SpectralLinear(l, new() { Rank = 2, Seed = 9 }));
                var optimizer = new SstOptimizer(new AdamWOptimizer(model, 0), model, new() { StepsPerIteration = 3, WarmUp = 2 });
                return (model, optimizer, new TrainingLoop(model, new SampleBatches(x, target, 16), Losses.SquaredError(model), new() { Steps = 40, LearningRate = 0.03, WeightDecay = 0 }, optimizer: optimizer));
            }

            (Sequential first, SstOptimizer one, TrainingLoop loop) = Begin();
            for (int i = 0; i < 7; i++) loop.Step();
            loop.Save(path);
            for (int i = 0; i < 20; i++) loop.Step();
            (Sequential second, SstOptimizer two, TrainingLoop again) = Begin();
            again.Load(path);
            for (int i = 0; i < 20; i++) again.Step();
            Assert.Equal(loop.History.Select(h => h.Loss), again.History.Select(h => h.Loss));
            Assert.True(first.call(x).equal(second.call(x)).all().item<bool>());
            foreach (IDisposable used in new IDisposable[] { loop, again, one, two }) used.Dispose();
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Draws_follow_their_chances()
    {
        using var scope = NewDisposeScope();
        Assert.Equal([0.5, 0.5], SpectralLinear.Probabilities([0, 0], SpectralSampling.Mixed));
        Assert.Equal([0.625, 0.375], SpectralLinear.Probabilities([3, 1], SpectralSampling.Mixed));
        Assert.Equal([0.75, 0.25], SpectralLinear.Probabilities([3, 1], SpectralSampling.Proportional));
        using Linear linear = nn.Linear(16, 16, hasBias: false);
        using (no_grad()) linear.weight!.copy_(diag(arange(16, 0, -1).to(ScalarType.Float32)));
        foreach (SpectralSampling sampling in Enum.GetValues<SpectralSampling>())
        {
            using var layer = new SpectralLinear(linear, new() { Rank = 2, Sampling = sampling });
            int[] hits = new int[16];
            for (int i = 0; i < 2_000; i++)
            {
                layer.Resample();
                foreach (long pair in layer.Active) hits[pair]++;
            }

            Assert.Equal(4_000, hits.Sum());
            if (sampling == SpectralSampling.Top) Assert.Equal([2_000, 2_000], hits[..2]);
            else if (sampling == SpectralSampling.Uniform) Assert.All(hits, h => Assert.InRange(h, 180, 320));
            else
            {
                // The first pair's chance to be among two drawn one after another.
                double[] p = SpectralLinear.Probabilities([.. Enumerable.Range(0, 16).Select(i => 16.0 - i)], sampling);
                double wanted = p[0] + Enumerable.Range(1, 15).Sum(j => p[j] * p[0] / (1 - p[j]));
                Assert.InRange(hits[0] / 2_000.0, wanted - 0.04, wanted + 0.04);
                Assert.True(hits[0] > hits[15]);
            }
        }
    }

    [Fact]
    public void Lorentz_layers_stay_on_the_sheet_and_distances_are_a_metric()
    {
        Prop.ForAll<int>(seed =>
        {
            using var scope = NewDisposeScope();
            var random = new Random(seed);
            double curvature = -Math.Pow(10, (random.NextDouble() * 2) - 1);
            Tensor points = LorentzMath.Lift(LowRankData.Gaussian(30, 4, (ulong)random.Next()) * Math.Pow(10, (random.NextDouble() * 2) - 1), curvature);
            Tensor x = points.narrow(0, 0, 10), y = points.narrow(0, 10, 10), z = points.narrow(0, 20, 10);
            Tensor xy = LorentzMath.Distance(x, y, curvature), yz = LorentzMath.Distance(y, z, curvature), xz = LorentzMath.Distance(x, z, curvature);
            Assert.True(xy.ge(0).all().item<bool>() && xy.equal(LorentzMath.Distance(y, x, curvature)).all().item<bool>());
            Assert.Equal(0, LorentzMath.Distance(x, x, curvature).abs().max().item<double>());
            Assert.True(xz.le(xy + yz + 1e-6).all().item<bool>());
            Tensor direct = (LorentzMath.Inner(x, y) * curvature).clamp_min(1).acosh() / Math.Sqrt(-curvature);
            Assert.True((direct - xy).abs().max().item<double>() < 1e-4);
        }).QuickCheckThrowOnFailure();
        using var outer = NewDisposeScope();
        using Linear dense = nn.Linear(5, 7);
        foreach (nn.Module<Tensor, Tensor> inside in new nn.Module<Tensor, Tensor>[] { dense, new SpectralLinear(dense, new() { Rank = 2 }) })
        {
            using var layer = new LorentzLinear(inside, -0.5, t => t.tanh());
            Tensor y = layer.call(LorentzMath.Lift(randn([20, 4], generator: new Generator(3)), -0.5));
            Assert.Equal([20, 8], y.shape);
            Assert.True((LorentzMath.Inner(y, y) + 2).abs().max().item<float>() < 1e-4);
        }

        // A gradient at equal points is zero and not NaN.
        Tensor same = LorentzMath.Lift(randn([3, 2], generator: new Generator(1))).requires_grad_();
        LorentzMath.Distance(same, same.detach()).sum().backward();
        Assert.Equal(0, same.grad!.abs().max().item<float>());
    }

    [Fact]
    public void Bad_input_is_refused_and_named()
    {
        using var scope = NewDisposeScope();
        using Linear linear = nn.Linear(4, 6);
        Assert.Throws<ArgumentOutOfRangeException>(() => new SpectralLinear(linear, new() { Rank = 5 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SpectralLinear(linear, new() { Rank = 0 }));
        using var layer = new SpectralLinear(linear, new() { Rank = 2 }, "q_proj");
        Assert.Throws<ArgumentException>(() => layer.call(zeros(2, 5)));
        using var model = nn.Sequential(("a", nn.Linear(4, 6)));
        Assert.Throws<ArgumentException>(() => new SstOptimizer(new SgdOptimizer(model), model));
        using var own = new SgdOptimizer(model);
        Assert.Throws<ArgumentException>(() => layer.Resample(own));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SstSchedule { StepsPerIteration = 0 }.Validate());
        Assert.Throws<ArgumentOutOfRangeException>(() => new SstSchedule { StepsPerIteration = 5, WarmUp = 6 }.Validate());
        Assert.Throws<ArgumentException>(() => SpectralLinear.Probabilities([1, -1], SpectralSampling.Mixed));
        using (no_grad()) layer.S[1] = float.NaN;
        Assert.Contains("q_proj", Assert.Throws<ArgumentException>(() => layer.Resample()).Message, StringComparison.Ordinal);
        Assert.Contains("q_proj", Assert.Throws<ArgumentException>(() => layer.Redecompose()).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => new LorentzLinear(linear, 0));
        Tensor off = LorentzMath.Lift(zeros(4, 3));
        off[2, 0] = 5;
        Assert.Contains("Row 2", Assert.Throws<ArgumentException>(() => LorentzMath.Distance(off, off)).Message, StringComparison.Ordinal);
    }

    private static void Close(Tensor expected, Tensor actual) => Assert.True((expected - actual).abs().max().item<double>() < 1e-10, $"{(expected - actual).abs().max().item<double>()}");
}
