using FsCheck;
using FsCheck.Fluent;
using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Selection;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

public class DenseSparseTests
{
    [Fact]
    public void Sizes_bits_and_multiply_adds_are_the_formulas()
    {
        DenseSparseShape shape = new(256, 256, 32, 64, 6);
        Assert.Equal((8, 6, 532_480L, 16_384L + (256 * 8 * 6)), (shape.Blocks, shape.IndexBits, shape.Bits(), shape.MacsPerToken));
        Assert.Equal(532_480.0 / 1_048_576, shape.Ratio());
        Assert.Equal((8L * 64 * 256) + (256L * 8 * 6 * 14), shape.Bits(8));
        foreach ((int outputs, int inputs, int wanted) in new[] { (256, 256, 5), (128, 256, 6), (512, 256, 8), (256, 512, 5) })
        {
            DenseSparseShape half = DenseSparseShape.ForRatio(outputs, inputs, 0.5);
            Assert.Equal(wanted, half.NonZeros);
            Assert.InRange(half.Ratio(), 0.4, 0.5);
            if (half.NonZeros < 32) Assert.True(new DenseSparseShape(outputs, inputs, 32, half.Atoms, half.NonZeros + 1).Ratio() > 0.5);
        }

        Assert.Equal(0, new DenseSparseShape(4, 4, 2, 1, 1).IndexBits);
        Assert.Equal(1, DenseSparseShape.ForRatio(8, 8, 1, block: 4, atoms: 1).NonZeros);
    }

    [Fact]
    public void An_identity_basis_keeps_the_largest_of_each_row_and_block()
    {
        using var scope = NewDisposeScope();
        foreach ((int block, int s) in new[] { (4, 2), (8, 3), (5, 1), (4, 4) })
        {
            Tensor W = LowRankData.Gaussian(30, block * 6, 3);
            W[2] = 0;
            W[3, 1] = 0;
            Tensor unit = eye(block, dtype: ScalarType.Float64).unsqueeze(0).expand(6, block, block);
            using DenseSparseFactors factors = DenseSparse.Factorize(W, new(30, block * 6, block, block, s), new() { Sweeps = 0 }, unit);
            Tensor mask = Select.Mask(W.abs().view(-1, block), Budget.PerRow(s)).view(W.shape);
            if (block == 4) Assert.True(mask.equal(Select.Mask(W.abs(), Budget.NofM(s, 4))).all().item<bool>());
            Assert.True((factors.Product() - where(mask, W, zeros_like(W))).abs().max().item<double>() < 1e-12);
            Assert.Single(factors.ErrorBySweep);
        }
    }

    [Fact]
    public void All_atoms_are_low_rank_in_each_block()
    {
        using var scope = NewDisposeScope();
        Tensor W = LowRankData.Gaussian(40, 24, 5);
        using FactorPair best = TruncatedSvd.Of(W, 7);
        using DenseSparseFactors whole = DenseSparse.Factorize(W, new(40, 24, 24, 7, 7));
        Assert.True(LowRankData.Distance(whole.Product(), best.Product()) < 1e-10);
        using DenseSparseFactors blocks = DenseSparse.Factorize(W, new(40, 24, 8, 3, 3));
        using FactorPair first = TruncatedSvd.Of(W.narrow(1, 8, 8), 3);
        Assert.True(LowRankData.Distance(blocks.Product().narrow(1, 8, 8), first.Product()) < 1e-10);
        Assert.Equal(((W - blocks.Product()).square().sum() / W.square().sum()).item<double>(), blocks.RelativeError, 1e-10);
    }

    [Fact]
    public void The_error_never_rises_where_better_supports_are_kept()
    {
        Prop.ForAll<int>(seed =>
        {
            using var scope = NewDisposeScope();
            var random = new Random(seed);
            int b = random.Next(1, 9), K = random.Next(1, 4), o = random.Next(2, 40), r = random.Next(1, Math.Min(o, 14) + 1), s = random.Next(1, Math.Min(b, r) + 1);
            Tensor W = LowRankData.Gaussian(o, b * K, (ulong)random.Next()) * Math.Pow(10, random.Next(-20, 20));
            if (random.Next(3) == 0) W.masked_fill_(rand(W.shape, generator: new Generator((ulong)random.Next())).lt(0.6), 0);
            if (random.Next(4) == 0) W[1] = W[0];
            Tensor start = LowRankData.Gaussian(K * r, b, (ulong)random.Next()).view(K, r, b);
            using DenseSparseFactors factors = DenseSparse.Factorize(W, new(o, b * K, b, r, s), new() { Sweeps = 5 }, start);
            Assert.Equal(6, factors.ErrorBySweep.Count);
            for (int i = 1; i < 6; i++) Assert.True(factors.ErrorBySweep[i] <= factors.ErrorBySweep[i - 1] + 1e-10, $"seed {seed}: {string.Join(" ", factors.ErrorBySweep)}");
            double measured = ((W - factors.Product()) / W.abs().max().clamp_min(1e-300)).square().sum().item<double>() / Math.Max((W / W.abs().max().clamp_min(1e-300)).square().sum().item<double>(), 1e-300);
            Assert.Equal(measured, factors.RelativeError, 1e-8);
            Tensor sorted = factors.Indices;
            if (s > 1) Assert.True(sorted.diff(dim: 2).gt(0).all().item<bool>());
            Assert.True(sorted.ge(0).all().item<bool>() && sorted.lt(r).all().item<bool>());
            Assert.True(factors.Basis.isfinite().all().item<bool>() && factors.Values.isfinite().all().item<bool>());
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Each_step_alone_keeps_or_lowers_the_error()
    {
        using var scope = NewDisposeScope();
        for (ulong seed = 0; seed < 12; seed++)
        {
            Tensor W = LowRankData.Gaussian(50, 24, seed);
            DenseSparseShape shape = new(50, 24, 8, 12, 3);
            Tensor basis = LowRankData.Gaussian(36, 8, seed + 50).view(3, 12, 8), indices = rand([3, 50, 12], generator: new Generator(seed)).argsort(2).narrow(2, 0, 3), values = LowRankData.Gaussian(150, 3, seed + 90).view(3, 50, 3);
            using DenseSparseFactors given = DenseSparseFactors.Of(shape, basis, indices, values);
            double Error(DenseSparseFactors f) => ((W - f.Product()).square().sum() / W.square().sum()).item<double>();
            using DenseSparseFactors refitted = DenseSparse.Refit(W, given), updated = DenseSparse.UpdateBasis(W, given), coded = DenseSparse.Encode(W, given);
            Assert.True(Error(refitted) <= Error(given) && Error(updated) <= Error(given) && Error(coded) <= Error(refitted));
            Assert.Equal(Error(refitted), refitted.RelativeError, 1e-12);
            Assert.True(refitted.Indices.equal(given.Indices).all().item<bool>());

            // Brute force: least squares of one row, and of the basis by the pseudo-inverse.
            Tensor atoms = given.Basis[1].index_select(0, given.Indices[1, 7]), row = W[7].narrow(0, 8, 8);
            Tensor solved = linalg.pinv(atoms.t()).mv(row);
            Assert.True((solved - refitted.Values[1, 7]).abs().max().item<double>() < 1e-9);
            Tensor S = zeros([50, 12], dtype: ScalarType.Float64).scatter(1, given.Indices[1], given.Values[1]);
            Tensor fitted = S.mm(linalg.pinv(S)).mm(W.narrow(1, 8, 8));
            Assert.True(LowRankData.Distance(updated.Product().narrow(1, 8, 8), fitted) < 1e-6);
            Assert.True((updated.Basis.norm(2) - 1).abs().max().item<double>() < 1e-12);
        }
    }

    [Fact]
    public void Output_and_gradients_are_those_of_the_dense_layer_in_both_forms()
    {
        using var scope = NewDisposeScope();
        Tensor W = LowRankData.Gaussian(11, 12, 1), c = LowRankData.Gaussian(1, 11, 2).view(-1);
        using DenseSparseFactors factors = DenseSparse.Factorize(W, new(11, 12, 4, 6, 2));
        foreach (ForwardMode mode in Enum.GetValues<ForwardMode>())
        {
            using var layer = new DenseSparseLinear(factors, c, mode);
            Tensor x = LowRankData.Gaussian(6, 12, 5).requires_grad_(), direction = LowRankData.Gaussian(6, 11, 6);
            Tensor y = layer.call(x.view(2, 3, 12));
            y.view(6, 11).mul(direction).sum().backward();
            Tensor dense = layer.EffectiveWeight(), P = x.detach().view(6, 3, 4).transpose(0, 1).bmm(layer.Basis.detach().transpose(1, 2));
            Close(nn.functional.linear(x.detach(), dense, c), y.detach().view(6, 11));
            Close(direction.mm(dense), x.grad!);
            Close(direction.t().unsqueeze(0).matmul(P).gather(2, layer.Indices), layer.Values.grad!);
            Tensor S = zeros([3, 11, 6], dtype: ScalarType.Float64).scatter(2, layer.Indices, layer.Values.detach());
            Close(direction.unsqueeze(0).matmul(S).transpose(1, 2).bmm(x.detach().view(6, 3, 4).transpose(0, 1)), layer.Basis.grad!);
            Close(direction.sum([0L]), layer.Bias!.grad!);
            using Linear merged = layer.Merge();
            Close(merged.call(x).detach(), y.detach().view(6, 11));
            Assert.Equal((6 * 12) + (11 * 3 * 2) + 11, layer.ParameterCount);
            Assert.Equal((6 * 12) + (11 * 3 * 2), layer.MacsPerToken);
        }
    }

    [Fact]
    public void The_straight_through_gradient_is_that_of_the_copy_and_finishing_keeps_the_output()
    {
        using var scope = NewDisposeScope();
        foreach (StfEstimator estimator in Enum.GetValues<StfEstimator>())
        {
            using var stem = nn.Sequential(("only", nn.Linear(16, 20)));
            DenseSparseShape shape = new(20, 16, 8, 10, 2);
            StraightThroughFactorizer.Attach(stem, (_, _) => shape, new() { Estimator = estimator, SweepEvery = 1 });
            var layer = (StraightThroughFactorizer)LinearSlots.Of(stem)[0].Module;
            Assert.Throws<InvalidOperationException>(() => layer.Finish());
            Tensor x = randn([7, 16], generator: new Generator(3)), direction = randn([7, 20], generator: new Generator(4));
            Tensor y = stem.call(x);
            y.mul(direction).sum().backward();
            Tensor copy = layer.EffectiveWeight();
            Assert.True((y.detach() - nn.functional.linear(x, copy, stem.state_dict().First(p => p.Key.EndsWith("bias", StringComparison.Ordinal)).Value)).abs().max().item<float>() < 1e-5);
            if (estimator == StfEstimator.Weight)
            {
                Assert.True(LowRankData.Distance(layer.Raw!.grad!, direction.t().mm(x)) < 1e-6);
                Assert.True(LowRankData.Distance(layer.Raw.detach(), copy) > 0.05);
            }
            else
            {
                // Atoms that no row has chosen get a gradient too.
                using DenseSparseFactors chosen = layer.Factors();
                Assert.Equal(layer.Coefficients!.numel(), layer.Coefficients.grad!.count_nonzero().item<long>());
                Assert.Equal(20 * 2 * 2, chosen.Indices.numel());
            }

            using (var sgd = new SgdOptimizer(stem)) sgd.Step(0.5);
            stem.zero_grad();
            layer.Sweep();
            y = stem.call(x).detach();
            using DenseSparseLinear finished = (DenseSparseLinear)StraightThroughFactorizer.FinishAll(stem)[0].After;
            Assert.True((stem.call(x).detach() - y).abs().max().item<float>() < 1e-5);
            Assert.All(finished.parameters(), p => Assert.True(p.numel() < 20 * 16));
            Assert.Throws<InvalidOperationException>(() => layer.call(x));
            Assert.Throws<InvalidOperationException>(() => layer.Finish());
            Assert.Throws<ArgumentException>(() => StraightThroughFactorizer.FinishAll(stem));
        }
    }

    [Fact]
    public void A_training_lowers_the_loss_sweeps_when_due_and_goes_on_from_its_checkpoint()
    {
        using var scope = NewDisposeScope();
        string path = Path.Combine(Path.GetTempPath(), $"stf-{Guid.NewGuid():N}.safetensors");
        try
        {
            Tensor x = randn([64, 16], generator: new Generator(1)), target = randn([64, 20], generator: new Generator(2));
            (Sequential Model, TrainingLoop Loop) Begin()
            {
                var model = nn.Sequential(("only", nn.Linear(16, 20, hasBias: false)));
                using (no_grad()) ((Linear)LinearSlots.Of(model)[0].Module).weight!.copy_(randn([20, 16], generator: new Generator(5)));
                StraightThroughFactorizer.Attach(model, (_, _) => new(20, 16, 8, 10, 2), new() { SweepEvery = 3 });
                return (model, new TrainingLoop(model, new SampleBatches(x, target, 16), Losses.SquaredError(model), new() { Steps = 20, LearningRate = 0.03, WeightDecay = 0 }, StraightThroughFactorizer.Hooks(model)));
            }

            (Sequential first, TrainingLoop loop) = Begin();
            for (int i = 0; i < 10; i++) loop.Step();
            loop.Save(path);
            for (int i = 0; i < 10; i++) loop.Step();
            Assert.True(loop.History[^1].Loss < loop.History[0].Loss);
            Assert.InRange(((StraightThroughFactorizer)LinearSlots.Of(first)[0].Module).Changed, 0.0, 1.0);
            (Sequential second, TrainingLoop again) = Begin();
            again.Load(path);
            for (int i = 0; i < 10; i++) again.Step();
            Assert.Equal(loop.History.Select(h => h.Loss), again.History.Select(h => h.Loss));
            Assert.True(first.call(x).equal(second.call(x)).all().item<bool>());
            loop.Dispose();
            again.Dispose();
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Planted_atoms_are_found_from_some_start()
    {
        using var scope = NewDisposeScope();
        Tensor atoms = LowRankData.Gaussian(12, 24, 1), picks = rand([600, 12], generator: new Generator(2)).argsort(1).narrow(1, 0, 3);
        atoms /= atoms.norm(1, keepdim: true);
        Tensor W = zeros([600, 12], dtype: ScalarType.Float64).scatter(1, picks, LowRankData.Gaussian(600, 3, 3)).mm(atoms);
        double best = double.PositiveInfinity;
        for (int seed = 0; seed < 6 && best > 0.01; seed++)
        {
            using DenseSparseFactors found = DenseSparse.Factorize(W, new(600, 24, 24, 12, 3), new() { Sweeps = 30, KeepBetterSupport = false, Seed = seed });
            best = Math.Min(best, found.RelativeError);
        }

        Assert.True(best < 0.01, $"{best}");
    }

    [Fact]
    public void Runs_are_repeatable_files_come_back_and_the_best_shape_is_within_budget()
    {
        using var scope = NewDisposeScope();
        string path = Path.Combine(Path.GetTempPath(), $"densesparse-{Guid.NewGuid():N}.safetensors");
        try
        {
            Tensor W = LowRankData.Gaussian(64, 64, 7).to(ScalarType.Float32);
            DenseSparseShape shape = new(64, 64, 16, 24, 3);
            using DenseSparseFactors one = DenseSparse.Factorize(W, shape), two = DenseSparse.Factorize(W, shape), other = DenseSparse.Factorize(W, shape, new() { Seed = 3 });
            Assert.True(one.Product().equal(two.Product()).all().item<bool>());
            Assert.False(one.Product().equal(other.Product()).all().item<bool>());
            one.Save(path);
            using DenseSparseFactors read = DenseSparseFactors.Load(path);
            Assert.True(read.Product().equal(one.Product()).all().item<bool>());
            Assert.Equal(ScalarType.Byte, Sparseland.IO.SafeTensors.Load(path)["indices"].dtype);
            byte[] bytes = File.ReadAllBytes(path);
            File.WriteAllBytes(path, bytes[..^7]);
            Assert.Throws<InvalidDataException>(() => DenseSparseFactors.Load(path));
            (DenseSparseShape best, double error) = DenseSparse.Best(W, 0.6, [16, 32], [8, 16], options: new() { Sweeps = 2 });
            Assert.True(best.Ratio() <= 0.6 && error < 1);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Bad_input_is_refused_and_named()
    {
        using var scope = NewDisposeScope();
        Assert.Contains("divide", Assert.Throws<ArgumentException>(() => new DenseSparseShape(8, 10, 4, 4, 2)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => new DenseSparseShape(8, 8, 4, 9, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => new DenseSparseShape(8, 8, 4, 6, 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => new DenseSparseShape(8, 8, 4, 4, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => DenseSparseShape.ForRatio(256, 256, 1.5));
        Assert.Contains("up to", Assert.Throws<ArgumentOutOfRangeException>(() => DenseSparseShape.ForRatio(256, 256, 0.2)).Message, StringComparison.Ordinal);
        DenseSparseShape shape = new(8, 8, 4, 4, 2);
        Tensor W = LowRankData.Gaussian(8, 8, 1), broken = W.clone();
        broken[3, 3] = double.NaN;
        Assert.Contains("layer 7", Assert.Throws<ArgumentException>(() => DenseSparse.Factorize(broken, shape, name: "layer 7")).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => DenseSparse.Factorize(LowRankData.Gaussian(8, 12, 1), shape));
        Assert.Throws<ArgumentException>(() => DenseSparse.Factorize(W, shape, basis: zeros([2, 4, 4], dtype: ScalarType.Float64)));
        using DenseSparseFactors good = DenseSparse.Factorize(W, shape);
        Tensor twice = good.Indices.clone();
        twice[0, 0, 1] = twice[0, 0, 0];
        Assert.Contains("twice", Assert.Throws<ArgumentException>(() => DenseSparseFactors.Of(shape, good.Basis, twice, good.Values)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => DenseSparseFactors.Of(shape, good.Basis, good.Indices + 3, good.Values));
        using Tensor zero = zeros([8, 8], dtype: ScalarType.Float64);
        using DenseSparseFactors nothing = DenseSparse.Factorize(zero, shape);
        Assert.Equal(0, nothing.Product().abs().max().item<double>());
        using var tied = nn.Sequential(("a", nn.Linear(8, 8, hasBias: false)), ("b", nn.Linear(8, 8, hasBias: false)));
        IReadOnlyList<LinearSlot> slots = LinearSlots.Of(tied);
        ((Linear)slots[1].Module).weight = ((Linear)slots[0].Module).weight;
        Assert.Contains("tied", Assert.Throws<ArgumentException>(() => StraightThroughFactorizer.Attach(tied, (_, _) => shape)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => StraightThroughFactorizer.Attach(tied, (_, _) => null));
        Assert.Throws<OperationCanceledException>(() => DenseSparse.Factorize(W, shape, cancel: new CancellationToken(true)));
    }

    private static void Close(Tensor expected, Tensor actual) => Assert.True((expected - actual).abs().max().item<double>() < 1e-10, $"{(expected - actual).abs().max().item<double>()}");
}
