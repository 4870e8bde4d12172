using Sparseland.Kernels;
using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Selection;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

/// <summary>Attacks on decompositions and spectra: drawn problems at the defaults, extreme scales, views, shapes that are none.</summary>
public sealed class LowRankTrialTests
{
    [Fact]
    public void What_a_pursuit_calls_converged_is_the_planted_pair_on_drawn_problems()
    {
        using var scope = NewDisposeScope();
        var random = new Random(1);
        int wrong = 0;
        for (int draw = 0; draw < 60; draw++)
        {
            using var inner = NewDisposeScope();
            (int rows, int columns, int rank) = (random.Next(60, 100), random.Next(60, 100), random.Next(1, 4));
            double scale = Math.Pow(10, random.Next(-160, 160));
            Tensor L = LowRankData.Gaussian(rows, rank, (ulong)(3 * draw) + 1).mm(LowRankData.Gaussian(rank, columns, (ulong)(3 * draw) + 2));
            Tensor places = rand([rows, columns], dtype: ScalarType.Float64, generator: new Generator((ulong)(3 * draw) + 3));
            Tensor S = where(places.lt(0.02), 1.0, where(places.gt(0.98), -1.0, 0.0)) * 3;
            using LowRankPlusSparse found = RobustPca.Admm(draw % 2 == 0 ? (L + S) * scale : ((L + S) * scale).t().contiguous().t());
            if (!found.Converged || found.Rank != rank || LowRankData.Distance(found.L / scale, L) > 1e-4) wrong++;
        }

        Assert.Equal(0, wrong);
    }

    [Theory]
    [InlineData(1e-200)]
    [InlineData(1)]
    [InlineData(1e200)]
    public void Every_decomposition_is_the_same_at_any_scale(double scale)
    {
        using var scope = NewDisposeScope();
        Tensor W = LowRankData.Gaussian(9, 7, 4), X = LowRankData.Gaussian(30, 7, 5), C = X.t().mm(X);
        using LowRankPlusSparse apart = AlternatingProjections.Of(W * scale, 2, 6), plain = AlternatingProjections.Of(W, 2, 6);
        Assert.Equal(plain.Rank, apart.Rank);
        Assert.Equal(plain.Residuals.Count, apart.Residuals.Count);
        Assert.True(Math.Abs(plain.Residuals[^1] - apart.Residuals[^1]) < 1e-9);
        Assert.True(LowRankData.Distance(apart.L / scale, plain.L) < 1e-6);
        Assert.Equal(6, apart.S.count_nonzero().item<long>());
        using FactorPair random = RandomizedSvd.Of(W * scale, 3, 1), best = TruncatedSvd.Of(W, 3);
        Assert.True(LowRankData.Distance(random.Product() / scale, best.Product()) < 0.2);

        using FactorPair aware = ActivationAwareSvd.Of(W * scale, C, 3), reference = ActivationAwareSvd.Of(W, C, 3), diagonal = ActivationAwareSvd.Diagonal(W * scale, C, 3), cheap = ActivationAwareSvd.Diagonal(W, C, 3);
        Assert.True(LowRankData.Distance(aware.Product() / scale, reference.Product()) < 1e-9);
        Assert.True(LowRankData.Distance(diagonal.Product() / scale, cheap.Product()) < 1e-9);
        Assert.True(Math.Abs(aware.SingularValues[0] / scale / reference.SingularValues[0] - 1) < 1e-12);
        using FactorPair ofGram = ActivationAwareSvd.Of(W, C * scale, 3);
        Assert.True(LowRankData.Distance(ofGram.Product(), reference.Product()) < 1e-9);

        SpectrumReport report = SpectrumReport.Of(W * scale), control = report.Control(3);
        double Norm(SpectrumReport r) => Math.Sqrt(r.SingularValues.Sum(s => s / report.SingularValues[0] * (s / report.SingularValues[0])));
        Assert.Equal(Norm(report), Norm(control), 9);
        Assert.Equal(SpectrumReport.Of(W).StableRank, report.StableRank, 9);
    }

    [Fact]
    public void The_activation_aware_copy_is_the_projection_on_the_leading_outputs_and_says_its_error()
    {
        using var scope = NewDisposeScope();
        for (ulong draw = 1; draw <= 20; draw++)
        {
            (int o, int i, int r) = (5 + (int)(draw % 5), 4 + (int)(draw % 7), 1 + (int)(draw % 3));
            Tensor W = LowRankData.Gaussian(o, i, draw), X = LowRankData.Gaussian(3 * i, i, draw + 100), C = X.t().mm(X);
            using FactorPair pair = ActivationAwareSvd.Of(W, C, r);
            Tensor damped = C + (eye(i, dtype: ScalarType.Float64) * (1e-6 * C.diagonal().mean()));
            Tensor vectors = linalg.eigh(W.mm(damped).mm(W.t())).Item2, P = vectors.narrow(1, o - r, r);
            Assert.True(LowRankData.Distance(pair.Product(), P.mm(P.t()).mm(W)) < 1e-8);
            Tensor rest = W - pair.Product();
            double error = rest.mm(damped).mm(rest.t()).trace().item<double>();
            Assert.True(Math.Abs(pair.SquaredError - error) <= 1e-9 * (error + W.square().sum().item<double>()));
        }
    }

    [Fact]
    public void A_random_subspace_is_within_a_hundredth_repeatable_and_honest_about_its_error()
    {
        using var scope = NewDisposeScope();
        for (int draw = 1; draw <= 40; draw++)
        {
            using var inner = NewDisposeScope();
            (int rows, int columns) = (30 + (draw % 11), 25 + (draw % 17));
            int m = Math.Min(rows, columns);
            Tensor U = linalg.qr(LowRankData.Gaussian(rows, m, (ulong)draw)).Q, V = linalg.qr(LowRankData.Gaussian(columns, m, (ulong)draw + 500)).Q;
            Tensor W = (U * arange(m, dtype: ScalarType.Float64).mul(-0.15).exp()).mm(V.t());
            int rank = 1 + (draw % 12);
            using FactorPair one = RandomizedSvd.Of(W, rank, draw), again = RandomizedSvd.Of(W, rank, draw), best = TruncatedSvd.Of(W, rank);
            Assert.True(one.B.equal(again.B).all().item<bool>() && one.A.equal(again.A).all().item<bool>());
            double measured = (W - one.Product()).square().sum().item<double>();
            Assert.InRange(measured, best.SquaredError * (1 - 1e-9), best.SquaredError * 1.01);
            Assert.True(Math.Abs(one.SquaredError - measured) < 1e-12 * W.square().sum().item<double>());
        }
    }

    [Fact]
    public void Spectra_are_whole_and_of_matrices()
    {
        using var scope = NewDisposeScope();
        Assert.Throws<ArgumentException>(() => SpectrumReport.Of(tensor(3.0)));
        Assert.Throws<ArgumentException>(() => SpectrumReport.Of(zeros(3, dtype: ScalarType.Float64)));
        Assert.Throws<ArgumentException>(() => SpectrumReport.Of(zeros([0, 3], dtype: ScalarType.Float64)));
        Assert.Throws<ArgumentNullException>(() => SpectrumReport.Of((Tensor)null!));

        // Leading values alone would have a threshold cut at their own least one, and a rank counted out of too few.
        Assert.Contains("not 2", Assert.Throws<ArgumentException>(() => new SpectrumReport("W", 5, 3, [2, 1])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new SpectrumReport("W", 2, 2, [2, 1]) with { SingularValues = [3, 2, 1] });
        SpectrumReport one = SpectrumReport.Of(full([1, 1], -4.0, dtype: ScalarType.Float64)), zero = SpectrumReport.Of(zeros([3, 2], dtype: ScalarType.Float64));
        Assert.Equal((1, 1, 1, 1, 1), (one.Rank(), one.StableRank, one.EnergyEntropyRank, one.EntropyRank, one.Participation));
        Assert.Equal((0, 0, 0, 0, 0, 0), (zero.Rank(), zero.StableRank, zero.EnergyEntropyRank, zero.EntropyRank, zero.Participation, zero.EnergyRank(1)));
        Assert.All(zero.Control(1).SingularValues, s => Assert.Equal(0, s));
    }

    [Fact]
    public void Plans_give_up_what_they_promise_on_drawn_spectra_with_ties_rows_and_zeros()
    {
        var random = new Random(7);
        for (int draw = 0; draw < 100; draw++)
        {
            SpectrumReport[] spectra = [.. Enumerable.Range(0, random.Next(1, 6)).Select(i =>
            {
                (int rows, int columns) = (random.Next(2, 20), random.Next(2, 20));
                double power = 4 * random.NextDouble(), scale = Math.Pow(10, random.Next(-30, 30));
                bool coarse = random.Next(3) == 0;
                double[] s = [.. Enumerable.Range(1, Math.Min(rows, columns)).Select(k => scale * (coarse ? Math.Max(0, 4 - (k / 2)) : Math.Pow(k, -power)))];
                if (s[0] == s[^1]) s[0] *= 2;
                return new SpectrumReport($"m{i}", rows, columns, s);
            })];
            double reduction = random.NextDouble() * 0.9;
            long all = spectra.Sum(s => (long)s.Full);
            RankPlan threshold = RankPlan.GlobalThreshold(spectra, reduction), energy = RankPlan.EqualEnergy(spectra, reduction), pooled = RankPlan.Pooled(spectra, reduction);

            // One rank of each matrix stays whatever is wanted.
            double possible = Math.Min(reduction, 1 - (spectra.Length / (double)all));
            foreach (RankPlan plan in new[] { threshold, energy, pooled })
            {
                Assert.True(plan.Reduction >= possible - 1e-9, $"{plan} of {reduction}");
                Assert.All(plan.Matrices, m => Assert.InRange(m.Kept, 1, m.Full));
                Assert.InRange(plan.ParameterShare, 0, 1);
            }

            // No lower threshold would do: the values just below it are needed.
            double[] z = [.. spectra.SelectMany(s => s.SingularValues.Select(v => (v - s.SingularValues[^1]) / (s.SingularValues[0] - s.SingularValues[^1]))).Order()];
            double below = z.Where(v => v < threshold.Threshold).DefaultIfEmpty(double.NaN).Max();
            if (!double.IsNaN(below)) Assert.True(z.Count(v => v < below) < (reduction * all) - 1e-9 + 1);
            Assert.Equal(all - spectra.Sum(s => (int)((reduction * s.Full) + 1e-9)), RankPlan.Uniform(spectra, reduction).Matrices.Sum(m => (long)m.Kept));
        }
    }

    [Fact]
    public void A_cut_that_is_refused_or_cancelled_leaves_the_network_and_its_gradients()
    {
        using var scope = NewDisposeScope();
        using Sequential network = nn.Sequential(("first", nn.Linear(6, 8)), ("relu", nn.ReLU()), ("second", nn.Linear(8, 3)));
        RankPlan plan = RankPlan.Uniform(SpectrumReport.Of(network), 0.7);
        void Untouched(Action act, Type kind)
        {
            Assert.IsAssignableFrom(kind, Record.Exception(act));
            Assert.All(network.parameters(), p => Assert.True(p.requires_grad));
            Assert.All(LinearSlots.Of(network), s => Assert.IsType<Linear>(s.Module));
        }

        Untouched(() => WeLore.Apply(network, plan with { Matrices = [plan.Matrices[0], plan.Matrices[1] with { Kept = 0 }] }, new() { Form = CutForm.Merged }), typeof(ArgumentException));
        Untouched(() => WeLore.Apply(network, plan with { Matrices = [plan.Matrices[0], plan.Matrices[0]] }), typeof(ArgumentException));
        Untouched(() => WeLore.Apply(network, plan with { Matrices = [] }), typeof(ArgumentException));
        Untouched(() => WeLore.Apply(network, plan, grams: new Dictionary<string, Tensor> { ["first"] = eye(6), ["second"] = eye(5) }), typeof(ArgumentException));
        using var cancel = new CancellationTokenSource();
        Untouched(() => WeLore.Apply(network, plan, progress: new Now(cancel.Cancel), cancel: cancel.Token), typeof(OperationCanceledException));
        using (no_grad()) ((Linear)network[2]).weight!.fill_(float.NaN);
        Untouched(() => WeLore.Apply(network, plan), typeof(ArgumentException));
    }

    [Fact]
    public void Points_of_the_sheet_may_be_far_out_in_float32()
    {
        using var scope = NewDisposeScope();
        Tensor rest = randn([6, 4], generator: new Generator(1)) * 1e25f, points = LorentzMath.Lift(rest);
        Assert.True(points.isfinite().all().item<bool>());
        LorentzMath.CheckOnSheet(points, -1, "points");
        Tensor x = points.narrow(0, 0, 3), y = points.narrow(0, 3, 3), distance = LorentzMath.Distance(x, y);
        Assert.Equal(ScalarType.Float32, distance.dtype);

        // arcosh(t) is log(2 t) far out; t by the angle between the two.
        Tensor a = rest.narrow(0, 0, 3).to(ScalarType.Float64), b = rest.narrow(0, 3, 3).to(ScalarType.Float64), sizes = a.norm(1) * b.norm(1);
        Tensor expected = (2 * (sizes - (a * b).sum(-1))).log();
        Assert.True((distance.to(ScalarType.Float64) - expected).abs().max().item<double>() < 1e-3);
        Assert.Equal(0, LorentzMath.Distance(x, x).abs().max().item<float>());
        using Tensor half = LorentzMath.Lift(full([1, 3], 300f).to(ScalarType.Float16));
        Assert.True(half.isfinite().all().item<bool>());
    }

    [Fact]
    public void Chances_have_no_scale()
    {
        foreach (SpectralSampling sampling in new[] { SpectralSampling.Mixed, SpectralSampling.Uniform, SpectralSampling.Proportional })
        {
            double[] plain = SpectralLinear.Probabilities([1, 0.75, 0.5, 0], sampling);
            Assert.Equal(1, plain.Sum(), 12);
            foreach (double scale in new[] { 1e-320, 1e308, 1.5e308 })
            {
                double[] far = SpectralLinear.Probabilities([scale, 0.75 * scale, 0.5 * scale, 0], sampling);
                Assert.All(plain.Zip(far), p => Assert.Equal(p.First, p.Second, 2));
                Assert.Equal(1, far.Sum(), 2);
            }
        }
    }

    [Fact]
    public void Several_plans_share_their_decompositions_to_the_bit()
    {
        using var scope = NewDisposeScope();
        Sequential Network() => (Sequential)nn.Sequential(("first", Filled(6, 8, 1)), ("relu", nn.ReLU()), ("second", Filled(8, 5, 2)));
        Dictionary<string, Tensor> grams = new() { ["first"] = Gram(6, 3), ["second"] = Gram(8, 4) };
        using Sequential start = Network();
        IReadOnlyList<SpectrumReport> spectra = SpectrumReport.Of(start);
        foreach (Dictionary<string, Tensor>? own in new[] { null, grams })
        {
            using WeLoreDecompositions shared = WeLoreDecompositions.Of(start, own, 1e-3);
            Assert.Equal(["first", "second"], shared.Names);
            foreach (RankPlan plan in new[] { RankPlan.Uniform(spectra, 0.6), RankPlan.GlobalThreshold(spectra, 0.5), RankPlan.Pooled(spectra, 0.7) })
            {
                foreach (CutForm form in Enum.GetValues<CutForm>())
                {
                    using Sequential one = Network(), other = Network();
                    WeLoreOptions options = new() { Form = form, MinimumRatio = 0.1, Damping = 1e-3 };
                    WeLore.Apply(one, plan, options, own);
                    WeLore.Apply(other, plan, options, decompositions: shared);
                    Assert.All(one.named_parameters().Zip(other.named_parameters()), p => Assert.True(p.First.name == p.Second.name && p.First.parameter.equal(p.Second.parameter).all().item<bool>()));
                }
            }

            using Sequential changed = Network();
            using (no_grad()) ((Linear)changed[2]).weight!.add_(1e-3);
            Assert.Contains("second", Assert.Throws<ArgumentException>(() => WeLore.Apply(changed, RankPlan.Uniform(spectra, 0.6), decompositions: shared)).Message, StringComparison.Ordinal);
            Assert.All(changed.parameters(), p => Assert.True(p.requires_grad));
            Assert.Throws<ArgumentException>(() => WeLore.Apply(start, RankPlan.Uniform(spectra, 0.6), grams: grams, decompositions: shared));
        }

        Assert.Contains("second", Assert.Throws<ArgumentException>(() => WeLoreDecompositions.Of(start, new Dictionary<string, Tensor> { ["first"] = grams["first"] })).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => WeLoreDecompositions.Of(start, grams, 0));
        Assert.Throws<ArgumentException>(() => WeLoreDecompositions.Of(nn.ReLU()));

        static Tensor Gram(long width, ulong seed)
        {
            Tensor X = LowRankData.Gaussian(3 * width, width, seed);
            return X.t().mm(X);
        }

        static Linear Filled(long inputs, long outputs, ulong seed)
        {
            Linear linear = nn.Linear(inputs, outputs);
            using IDisposable off = no_grad();
            linear.weight!.copy_(LowRankData.Gaussian(outputs, inputs, seed));
            linear.bias!.zero_();
            return linear;
        }
    }

    [Fact]
    public void The_default_rank_is_the_planted_one()
    {
        using var scope = NewDisposeScope();
        for (int draw = 1; draw <= 100; draw++)
        {
            using var inner = NewDisposeScope();
            (int rows, int columns) = (10 + (draw % 23), 10 + (draw % 17));
            int rank = 1 + (draw % 9);
            Tensor W = LowRankData.Gaussian(rows, rank, (ulong)draw).mm(LowRankData.Gaussian(rank, columns, (ulong)draw + 900)) * Math.Pow(10, (draw % 7 * 80) - 240);
            Assert.Equal(rank, SpectrumReport.Of(draw % 2 == 0 ? W : W.t()).Rank());
        }
    }

    [Fact]
    public void Dense_sparse_factors_of_awkward_matrices_are_finite_say_their_error_and_only_get_better()
    {
        using var scope = NewDisposeScope();
        Tensor plain = LowRankData.Gaussian(14, 8, 1), zeroRow = plain.clone(), one = LowRankData.Gaussian(14, 1, 2).mm(LowRankData.Gaussian(1, 8, 3)), few = LowRankData.Gaussian(2, 8, 4).repeat(7, 1);
        zeroRow[3].zero_();
        zeroRow.narrow(1, 0, 4).zero_();
        Tensor spike = zeros_like(plain);
        spike[5, 6] = 1;
        Tensor[] all = [plain, zeroRow, one, few, spike, ones_like(plain), zeros_like(plain), plain * 1e-300, plain * 1e300, plain.t().contiguous().t(), eye(14, dtype: ScalarType.Float64).narrow(1, 0, 8)];
        foreach (Tensor W in all.Concat(all.Select(w => w.to(ScalarType.Float32)).Where(w => w.isfinite().all().item<bool>())))
        {
            foreach (DenseSparseShape shape in new DenseSparseShape[] { new(14, 8, 4, 6, 2), new(14, 8, 8, 14, 1), new(14, 8, 1, 1, 1), new(14, 8, 4, 3, 3), new(14, 8, 2, 14, 2) })
            {
                using var inner = NewDisposeScope();
                using DenseSparseFactors factors = DenseSparse.Factorize(W, shape, new() { Seed = 3 }), again = DenseSparse.Factorize(W, shape, new() { Seed = 3 });
                Assert.True(factors.Basis.isfinite().all().item<bool>() && factors.Values.isfinite().all().item<bool>());
                Assert.True(factors.Values.equal(again.Values).all().item<bool>() && factors.Indices.equal(again.Indices).all().item<bool>() && factors.Basis.equal(again.Basis).all().item<bool>());
                for (int i = 1; i < factors.ErrorBySweep.Count; i++) Assert.True(factors.ErrorBySweep[i] <= factors.ErrorBySweep[i - 1] + 1e-10);
                double largest = W.abs().max().to(ScalarType.Float64).item<double>();
                Tensor unit = W.to(ScalarType.Float64) / (largest == 0 ? 1 : largest), rest = unit - (factors.Product().to(ScalarType.Float64) / (largest == 0 ? 1 : largest));
                double error = largest == 0 ? rest.square().sum().item<double>() : rest.square().sum().item<double>() / unit.square().sum().item<double>();
                Assert.True(Math.Abs(error - factors.RelativeError) < (W.dtype == ScalarType.Float64 ? 1e-9 : 1e-5), $"{shape}: {error} for {factors.RelativeError}");

                // A basis from elsewhere may have atoms of any length, and one that is none until the bases are fitted.
                using DenseSparseFactors longer = DenseSparseFactors.Of(shape, factors.Basis * 3, factors.Indices, factors.Values / 3), coded = DenseSparse.Encode(W, longer);
                Assert.True(coded.Values.isfinite().all().item<bool>() && coded.RelativeError <= factors.RelativeError + 1e-5);
                Tensor basis = factors.Basis.clone();
                basis.narrow(1, 0, 1).zero_();
                using DenseSparseFactors given = DenseSparseFactors.Of(shape, basis, factors.Indices, factors.Values);
                Assert.Contains("Atom 0 of block 0", Assert.Throws<ArgumentException>(() => DenseSparse.Encode(W, given)).Message, StringComparison.Ordinal);
                using DenseSparseFactors moved = DenseSparse.UpdateBasis(W, given), after = DenseSparse.Encode(W, moved);
                Assert.True(moved.Basis.isfinite().all().item<bool>() && after.RelativeError <= moved.RelativeError + 1e-5);
                Assert.True(moved.RelativeError <= Step(W, given) + 1e-6);
            }
        }

        static double Step(Tensor W, DenseSparseFactors factors)
        {
            double largest = Math.Max(W.abs().max().to(ScalarType.Float64).item<double>(), 1e-320);
            Tensor unit = W.to(ScalarType.Float64) / largest;
            double squares = unit.square().sum().item<double>();
            return squares == 0 ? double.PositiveInfinity : (unit - (factors.Product().to(ScalarType.Float64) / largest)).square().sum().item<double>() / squares;
        }
    }

    /// <summary>Acts at the first report, on the thread that reports.</summary>
    private sealed class Now(Action act) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => act();
    }
}
