using Sparseland.Bayes;
using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Bayes;

public class SblTests
{
    private static readonly EmSblOptions Whole = new() { PruneRatio = 0, Tolerance = 0, InitialGamma = 1 };

    [Fact]
    public void Em_is_that_of_a_direct_implementation()
    {
        // NumPy, 50 steps of mu, Sigma with np.linalg.inv(C) and g = mu^2 + diag(Sigma), from g = 1; s2 = 0.01 or learned.
        using var scope = NewDisposeScope();
        (Tensor phi, Tensor y) = BayesData.Peer();
        using SblResult known = EmSbl.Recover(phi, y, Whole with { Noise = NoiseModel.Known(0.01), MaxIterations = 50 });
        Assert.Equal(51, known.Cost.Count);
        Assert.Equal(15.396035873820107, known.Cost[0], 1e-10);
        Assert.Equal(-17.22115744418493, known.Cost[10], 1e-10);
        Assert.Equal(-19.661348023623944, known.Cost[49], 1e-10);
        double[] mean = known.Mean.data<double>().ToArray();
        Assert.Equal(1.4953174557377376, mean[2], 1e-11);
        Assert.Equal(-2.00559537749686, mean[7], 1e-11);
        Assert.Equal(0.00014575409747487035, mean[0], 1e-11);
        Assert.Equal(2.2389799217273256, known.Gamma[2], 1e-11);
        Assert.Equal(0.0030696646319823273, known.Variance[7], 1e-12);

        using SblResult learned = EmSbl.Recover(phi, y, Whole with { Noise = NoiseModel.Learn(least: 0), MaxIterations = 50 });
        Assert.Equal(16.083243791622618, learned.Cost[0], 1e-10);
        Assert.Equal(-43.58518521410042, learned.Cost[49], 1e-5);
        Assert.Equal(4.426181534101449e-06, learned.NoiseVariance, 1e-10);
        Assert.Equal(-(learned.Cost[3] + 8 * Math.Log(2 * Math.PI)) / 2, learned.LogEvidence[3], 1e-10);
    }

    [Theory]
    [InlineData(ScalarType.Float64, 1)]
    [InlineData(ScalarType.Float64, 4)]
    [InlineData(ScalarType.ComplexFloat64, 1)]
    [InlineData(ScalarType.ComplexFloat64, 3)]
    public void Posterior_is_the_formula_in_the_space_of_coefficients(ScalarType type, int snapshots)
    {
        // Sigma = (Phi^H Phi / s2 + diag(1/gamma))^-1, mu = Sigma Phi^H y / s2: the same by the matrix inversion lemma.
        using var scope = NewDisposeScope();
        (Tensor phi, _, Tensor y) = BayesData.Planted(7, 11, 3, 0.1, 5, snapshots, type);
        double[] gamma = [.. Enumerable.Range(0, 11).Select(i => 0.1 + (0.3 * i))];
        Tensor sigma = linalg.inv(phi.mH.mm(phi).div(0.02).add(diag(tensor(gamma).pow(-1))));
        Tensor mean = sigma.mm(phi.mH).mm(y.reshape(7, -1)).div(0.02).reshape(snapshots == 1 ? [11] : [11, snapshots]);
        using GaussianPosterior posterior = GaussianPosterior.Compute(phi, y, gamma, 0.02);
        Assert.InRange(BayesData.MaxDifference(mean, posterior.Mean), 0, 1e-11);
        Assert.InRange(BayesData.MaxDifference(sigma, posterior.Covariance!), 0, 1e-11);
        Assert.InRange(BayesData.MaxDifference(sigma.diagonal().abs(), tensor(posterior.Variance)), 0, 1e-11);
        Tensor c = phi.mul(tensor(gamma)).mm(phi.mH).add(eye(7, dtype: type).mul(0.02));
        Tensor data = y.reshape(7, -1);
        Tensor quadratic = data.conj().mul(linalg.inv(c).mm(data)).sum();
        double fit = type == ScalarType.Float64 ? quadratic.item<double>() : quadratic.real.item<double>();
        double logdet = linalg.eigvalsh(c, 'L').log().sum().item<double>();
        Assert.Equal((snapshots * logdet) + fit, posterior.Cost, 1e-9);
    }

    [Fact]
    public void Pruned_coefficients_keep_their_places()
    {
        using var scope = NewDisposeScope();
        (Tensor phi, Tensor x, Tensor y) = BayesData.Planted(30, 60, 4, 0.01, 2);
        using SblResult result = EmSbl.Recover(phi, y, new() { Noise = NoiseModel.Known(1e-4) });
        int[] truth = [.. Enumerable.Range(0, 60).Where(i => x[i].item<double>() != 0)];
        Assert.Equal(truth, result.Support(0.02));
        Assert.True(result.Active.Length < 60);
        Assert.Equal(new long[] { result.Active.Length, result.Active.Length }, result.Posterior.Covariance!.shape);
        Assert.Equal(result.Active, Enumerable.Range(0, 60).Where(i => result.Gamma[i] > 0));
        Assert.All(Enumerable.Range(0, 60).Except(result.Active), i => Assert.Equal(0, result.Variance[i] + Math.Abs(result.Mean[i].item<double>())));
        Assert.InRange(BayesData.Nmse(x, result.Mean), 0, 1e-3);

        // The rule itself: after one iteration without a limit, everything below the ratio is gone in the next.
        using SblResult two = EmSbl.Recover(phi, y, new() { Noise = NoiseModel.Known(1e-4), MaxIterations = 1, PruneRatio = 0 });
        double cut = 0.2 * two.Gamma.Max();
        using SblResult next = EmSbl.Recover(
            phi, y, new() { Noise = NoiseModel.Known(1e-4), MaxIterations = 1, PruneRatio = 0.2, StartGamma = two.Gamma });
        Assert.Equal(Enumerable.Range(0, 60).Where(i => two.Gamma[i] >= cut), next.Active);
    }

    [Fact]
    public void An_orthonormal_matrix_has_the_closed_form()
    {
        // gamma_i = max(0, z_i^2 - s2), mu_i = z_i (1 - s2/z_i^2)_+ with z = Phi^T y.
        using var scope = NewDisposeScope();
        Tensor phi = linalg.qr(BayesData.Random([12, 12], 3)).Q, y = BayesData.Random([12], 4).mul(1.5);
        const double noise = 0.2;
        double[] z = phi.t().mv(y).data<double>().ToArray();
        double[] gamma = [.. z.Select(v => Math.Max(0, (v * v) - noise))], mean = [.. z.Select(v => v * Math.Max(0, 1 - (noise / (v * v))))];
        Assert.Contains(gamma, g => g == 0);
        using SblResult fast = FastSbl.Recover(phi, y, new() { Noise = NoiseModel.Known(noise) });
        Assert.Equal(gamma.Count(g => g > 0), fast.Iterations);
        Assert.True(fast.Converged);
        Assert.All(fast.Actions, a => Assert.Equal(FastSblMove.Add, a.Move));
        Assert.InRange(gamma.Zip(fast.Gamma, (a, b) => Math.Abs(a - b)).Max(), 0, 1e-10);
        Assert.InRange(BayesData.MaxDifference(tensor(mean), fast.Mean), 0, 1e-10);

        // EM: 1e-3 after 2000 steps. Components that vanish follow gamma' = gamma - gamma^2 (1 - z^2/s2)/s2 + ..., which is
        // s2/((1 - z^2/s2) k) after k steps, so the bound needs z^2 away from s2; the scalar recursion holds without that.
        using SblResult em = EmSbl.Recover(phi, y, Whole with { Noise = NoiseModel.Known(noise), MaxIterations = 2000 });
        Assert.InRange(gamma.Zip(em.Gamma, (a, b) => Math.Abs(a - b)).Max(), 0, 1e-3);
        Assert.InRange(BayesData.MaxDifference(tensor(mean), em.Mean), 0, 1e-3);
        double[] scalar = [.. z.Select(v =>
        {
            double g = 1;
            for (int k = 0; k < 2000; k++) g = (g * g * v * v / ((g + noise) * (g + noise))) + (g * noise / (g + noise));
            return g;
        })];
        Assert.InRange(scalar.Zip(em.Gamma, (a, b) => Math.Abs(a - b)).Max(), 0, 1e-10);
        using SblResult mackay = EmSbl.Recover(
            phi, y, Whole with { Noise = NoiseModel.Known(noise), MaxIterations = 200, Update = SblUpdate.MacKay });
        Assert.InRange(gamma.Zip(mackay.Gamma, (a, b) => Math.Abs(a - b)).Max(), 0, 1e-3);
    }

    [Theory]
    [InlineData(1, ScalarType.Float64)]
    [InlineData(5, ScalarType.Float64)]
    [InlineData(2, ScalarType.ComplexFloat64)]
    public void Em_never_raises_its_cost(int snapshots, ScalarType type)
    {
        using var scope = NewDisposeScope();
        (Tensor phi, _, Tensor y) = BayesData.Planted(20, 45, 5, 0.05, 7, snapshots, type);
        foreach (NoiseModel noise in new[] { NoiseModel.Known(0.0025), NoiseModel.Learn() })
        {
            using SblResult result = EmSbl.Recover(phi, y, Whole with { Noise = noise, MaxIterations = 300 });
            for (int i = 1; i < result.Cost.Count; i++) Assert.True(result.Cost[i] <= result.Cost[i - 1] + 1e-9, $"{noise}, iteration {i}");
            Assert.True(result.Cost[^1] < result.Cost[0] - 10);
        }
    }

    [Fact]
    public void Fast_and_mackay_end_at_fixed_points_of_em()
    {
        using var scope = NewDisposeScope();
        for (int seed = 0; seed < 5; seed++)
        {
            (Tensor phi, _, Tensor y) = BayesData.Planted(25, 50, 4, 0.1, 30 + seed, snapshots: 1 + (seed % 3));
            NoiseModel noise = NoiseModel.Known(0.01);
            using SblResult fast = FastSbl.Recover(phi, y, new() { Noise = noise, Tolerance = 1e-13 });
            Assert.True(fast.Converged);
            for (int i = 1; i < fast.Cost.Count; i++) Assert.True(fast.Cost[i] < fast.Cost[i - 1] + 1e-9);
            using GaussianPosterior whole = GaussianPosterior.Compute(phi, y, fast.Gamma, 0.01);
            Assert.Equal(whole.Cost, fast.Cost[^1], 1e-9);
            Assert.Equal(fast.Cost[^2] - fast.Actions[^1].Gain, fast.Cost[^1], 1e-8);
            using SblResult more = EmSbl.Recover(
                phi, y, Whole with { Noise = noise, MaxIterations = 1, StartGamma = fast.Gamma });
            Assert.InRange(fast.Gamma.Zip(more.Gamma, (a, b) => Math.Abs(a - b)).Max(), 0, 1e-5);
        }
    }

    [Fact]
    public void More_snapshots_find_the_common_support()
    {
        // 6 rows from 10 measurements: hopeless from one snapshot, easy from twenty (Wipf and Rao 2007).
        using var scope = NewDisposeScope();
        (Tensor phi, Tensor x, Tensor y) = BayesData.Planted(10, 30, 6, 0.01, 12, snapshots: 20);
        NoiseModel noise = NoiseModel.Known(1e-4);
        using SblResult all = EmSbl.Recover(phi, y, new() { Noise = noise }), fast = FastSbl.Recover(phi, y, new() { Noise = noise });
        int[] truth = [.. Enumerable.Range(0, 30).Where(i => x[i].abs().max().item<double>() > 0)];
        Assert.Equal(truth, all.Support(0.02));
        Assert.Equal(truth, fast.Support(0.02));
        using SblResult one = EmSbl.Recover(phi, y.select(1, 0), new() { Noise = noise });
        Assert.True(BayesData.Nmse(x.select(1, 0), one.Mean) > 3 * BayesData.Nmse(x, all.Mean));
    }

    [Fact]
    public void Learned_noise_is_near_the_true_one()
    {
        using var scope = NewDisposeScope();
        (Tensor phi, _, Tensor y) = BayesData.Planted(200, 60, 5, 0.1, 21);
        using SblResult em = EmSbl.Recover(phi, y), fast = FastSbl.Recover(phi, y);
        Assert.InRange(em.NoiseVariance, 0.007, 0.013);
        Assert.InRange(fast.NoiseVariance, 0.007, 0.013);
        Assert.True(fast.Converged);
    }

    [Fact]
    public void Duplicated_columns_share_or_give_way()
    {
        using var scope = NewDisposeScope();
        (Tensor phi, Tensor x, Tensor y) = BayesData.Planted(20, 20, 3, 0.01, 8);
        Tensor doubled = cat([phi, phi], 1);
        using SblResult em = EmSbl.Recover(doubled, y, new() { Noise = NoiseModel.Known(1e-4) });
        Assert.False(em.Mean.isnan().any().item<bool>());
        Assert.InRange(BayesData.MaxDifference(em.Mean.narrow(0, 0, 20), em.Mean.narrow(0, 20, 20)), 0, 1e-9);
        Assert.InRange(BayesData.Nmse(x, em.Mean.view(2, 20).sum([0])), 0, 1e-2);
        using SblResult fast = FastSbl.Recover(doubled, y, new() { Noise = NoiseModel.Known(1e-4) });
        Assert.DoesNotContain(fast.Active, i => fast.Active.Contains(i + 20));
        Assert.InRange(BayesData.Nmse(x, fast.Mean.view(2, 20).sum([0])), 0, 1e-2);
    }

    [Fact]
    public void Hopeless_data_give_zeros_and_no_nan()
    {
        using var scope = NewDisposeScope();
        Tensor phi = BayesData.Random([6, 9], 1), y = zeros(6, dtype: ScalarType.Float64);
        foreach (SblUpdate update in Enum.GetValues<SblUpdate>())
        {
            foreach (NoiseModel noise in new[] { NoiseModel.Known(0.1), NoiseModel.Learn() })
            {
                using SblResult result = EmSbl.Recover(phi, y, new() { Noise = noise, Update = update, MaxIterations = 50 });
                Assert.Equal(0, result.Mean.abs().max().item<double>());
                Assert.True(double.IsFinite(result.Cost[^1]) && result.NoiseVariance > 0);
            }
        }

        using SblResult fast = FastSbl.Recover(phi, y, new() { Noise = NoiseModel.Known(0.1) });
        Assert.Empty(fast.Active);
        Assert.Equal(0, fast.Iterations);
        Assert.Equal(6 * Math.Log(0.1), fast.Cost[^1], 1e-12);

        // Nothing at all says nothing of the noise: zeros, and no claim that this is an answer.
        using SblResult nothing = FastSbl.Recover(phi, y), em = EmSbl.Recover(phi, y);
        Assert.Equal(0, nothing.Mean.abs().max().item<double>() + em.Mean.abs().max().item<double>());
        Assert.Equal(StopReason.NotIdentified, nothing.StopReason);
        Assert.Throws<InvalidOperationException>(() => nothing.CredibleInterval(0.95));

        // Noise far below the rounding of C: the factor is helped, the answer stays finite.
        (Tensor exact, Tensor x, Tensor data) = BayesData.Planted(20, 40, 3, 0, 3);
        using SblResult tiny = EmSbl.Recover(exact, data, new() { Noise = NoiseModel.Known(1e-30), MaxIterations = 200 });
        Assert.InRange(BayesData.Nmse(x, tiny.Mean), 0, 1e-6);
    }

    [Fact]
    public void Credible_intervals_hold_what_they_promise()
    {
        using var scope = NewDisposeScope();
        Tensor phi = BayesData.Random([12, 20], 6).div(Math.Sqrt(12));
        double[] gamma = [.. Enumerable.Range(0, 20).Select(i => i % 3 == 0 ? 1 + (0.1 * i) : 0)];
        double[] levels = [0.5, 0.8, 0.95];
        IntervalCalibration known = IntervalCalibration.Simulate(phi, gamma, 0.05, levels, 1500, 11);
        for (int l = 0; l < levels.Length; l++)
        {
            Assert.InRange(known.Coverage[l], levels[l] - (4 * known.StandardError[l]), levels[l] + (4 * known.StandardError[l]));
            Assert.InRange(known.StandardError[l], 1e-4, 0.01);
        }

        // A solver that takes the noise for a tenth of what it is promises too much.
        IntervalCalibration bold = IntervalCalibration.Simulate(
            phi, gamma, 0.05, levels, 300, 11, (p, y) => GaussianPosterior.Compute(p, y, gamma, 0.005, covariance: false));
        Assert.True(bold.Coverage[2] < 0.85);

        using GaussianPosterior posterior = GaussianPosterior.Compute(phi, phi.mv(tensor(gamma)), gamma, 0.05);
        (Tensor lower, Tensor upper) = posterior.CredibleInterval(0.95);
        Tensor half = tensor(posterior.Variance).sqrt().mul(1.959963984540054);
        Assert.InRange(BayesData.MaxDifference(lower, posterior.Mean - half), 0, 1e-12);
        Assert.InRange(BayesData.MaxDifference(upper, posterior.Mean + half), 0, 1e-12);
    }

    [Fact]
    public void Runs_repeat_and_can_be_cancelled_and_continued()
    {
        using var scope = NewDisposeScope();
        (Tensor phi, _, Tensor y) = BayesData.Planted(15, 40, 4, 0.05, 14);
        EmSblOptions options = Whole with { Noise = NoiseModel.Known(0.01), MaxIterations = 40 };
        using SblResult first = EmSbl.Recover(phi, y, options), second = EmSbl.Recover(phi, y, options);
        Assert.Equal(first.Gamma, second.Gamma);
        using var source = new CancellationTokenSource();
        SblIteration? last = null;
        EmSblOptions stopping = options with
        {
            OnIteration = state =>
            {
                last = state;
                if (state.Iteration == 25) source.Cancel();
            },
        };
        Assert.Throws<OperationCanceledException>(() => EmSbl.Recover(phi, y, stopping, cancel: source.Token));
        Assert.Equal(25, last!.Iteration);
        using SblResult rest = EmSbl.Recover(phi, y, options with { StartGamma = last.Gamma, MaxIterations = 15 });
        Assert.Equal(first.Gamma, rest.Gamma);
        Assert.Throws<OperationCanceledException>(() => FastSbl.Recover(phi, y, cancel: source.Token));
        Assert.Equal(StopReason.IterationLimit, first.StopReason);
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using var scope = NewDisposeScope();
        Tensor phi = BayesData.Random([6, 9], 1), y = BayesData.Random([6], 2);
        void Throws<T>(Tensor a, Tensor b, string text)
            where T : ArgumentException
        {
            Assert.Contains(text, Assert.Throws<T>(() => EmSbl.Recover(a, b)).Message, StringComparison.Ordinal);
            Assert.Contains(text, Assert.Throws<T>(() => FastSbl.Recover(a, b)).Message, StringComparison.Ordinal);
        }

        Throws<ArgumentException>(phi, BayesData.Random([5], 2), "y has 5 measurements");
        Throws<ArgumentException>(phi.t(), y, "must agree");
        Throws<ArgumentException>(phi, y * double.NaN, "not finite");
        Throws<ArgumentException>(phi / 0.0, y, "not finite");
        Throws<ArgumentException>(zeros(0, 9, dtype: ScalarType.Float64), y, "not empty");
        Throws<ArgumentException>(phi.to(ScalarType.Float32), y, "Float32");
        Throws<ArgumentException>(phi.to(ScalarType.ComplexFloat64), y, "one type");
        Throws<ArgumentNullException>(null!, y, "Phi");
        Tensor hole = phi.clone();
        hole.select(1, 4).zero_();
        Throws<ArgumentException>(hole, y, "Column 4");
        Assert.Contains("complex", Assert.Throws<ArgumentException>(
            () => FastSbl.Recover(phi.to(ScalarType.ComplexFloat64), y.to(ScalarType.ComplexFloat64))).Message, StringComparison.Ordinal);
        foreach (double bad in new[] { 0, -1, double.NaN, double.PositiveInfinity })
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => NoiseModel.Known(bad));
            Assert.Throws<ArgumentOutOfRangeException>(() => NoiseModel.Learn(bad));
            if (bad != 0) Assert.Throws<ArgumentOutOfRangeException>(() => NoiseModel.Learn(least: bad));
            Assert.Throws<ArgumentOutOfRangeException>(() => GaussianPosterior.Compute(phi, y, new double[9], bad));
            Assert.Throws<ArgumentOutOfRangeException>(() => EmSbl.Recover(phi, y, new() { InitialGamma = bad }));
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => EmSbl.Recover(phi, y, new() { PruneRatio = 1 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => EmSbl.Recover(phi, y, new() { MaxIterations = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => EmSbl.Recover(phi, y, new() { Tolerance = double.NaN }));
        Assert.Throws<ArgumentException>(() => EmSbl.Recover(phi, y, new() { StartGamma = [1, 2] }));
        Assert.Throws<ArgumentException>(() => GaussianPosterior.Compute(phi, y, [-1, 0, 0, 0, 0, 0, 0, 0, 0], 0.1));
        Assert.Throws<ArgumentOutOfRangeException>(() => FastSbl.Recover(phi, y, new() { RefreshEvery = 0 }));
        using SblResult good = EmSbl.Recover(phi, y);
        Assert.Throws<ArgumentOutOfRangeException>(() => good.CredibleInterval(1));
        Assert.Throws<ArgumentOutOfRangeException>(() => IntervalCalibration.Simulate(phi, new double[9].Select(_ => 1.0).ToArray(), 0.1, [0.9], 1, 1));
        Assert.Throws<ArgumentException>(() => IntervalCalibration.Simulate(phi, new double[9], 0.1, [0.9], 5, 1));
    }

    [Fact]
    public void The_noise_estimate_is_near_the_truth_and_knows_when_it_is_not()
    {
        using var scope = NewDisposeScope();
        foreach (ScalarType type in new[] { ScalarType.Float64, ScalarType.ComplexFloat64 })
        {
            (Tensor phi, _, Tensor y) = BayesData.Planted(60, 150, 6, 0.05, 3, snapshots: 3, type);
            double variance = type == ScalarType.Float64 ? 0.0025 : 0.005;
            NoiseEstimate found = NoiseEstimate.Of(phi, y);
            Assert.True(found.Identified);
            Assert.Equal(6, found.Coefficients);
            Assert.InRange(found.Variance, 0.7 * variance, 1.4 * variance);
        }

        // As many non-zeros as measurements: every y is explained.
        (Tensor wide, _, Tensor dense) = BayesData.Planted(20, 60, 60, 0.01, 4);
        NoiseEstimate hopeless = NoiseEstimate.Of(wide, dense);
        Assert.True(!hopeless.Identified || hopeless.Variance > 100 * 1e-4);

        // With one or two measurements nothing can be told.
        foreach (int m in new[] { 1, 2 }) Assert.False(NoiseEstimate.Of(wide[..m], dense[..m]).Identified);

        // The Kronecker form is that of the dense product.
        KroneckerProblem problem = KroneckerProblem.Draw([5, 6, 4], [4, 4, 3], 2, 20, 1);
        NoiseEstimate structured = NoiseEstimate.Pursue(problem.Dictionary, problem.Measurements, default);
        NoiseEstimate plain = NoiseEstimate.Of(problem.Dictionary.ToDense(), problem.Measurements);
        Assert.Equal(plain.Coefficients, structured.Coefficients);
        Assert.Equal(plain.Variance, structured.Variance, 1e-9 * plain.Variance);
    }
}
