using Sparseland.Bayes;
using Sparseland.Solvers;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Bayes;

public class KroneckerTests
{
    private static readonly int[] N = [10, 10, 10], M = [6, 8, 10];

    private static (KroneckerDictionary Dictionary, double[][] Gammas, Tensor Y) Small(ScalarType type, params (int M, int N)[] sizes)
    {
        Tensor[] factors = [.. sizes.Select((s, i) => BayesData.Random([s.M, s.N], 40 + i, type))];
        var dictionary = new KroneckerDictionary(factors);
        double[][] gammas = [.. sizes.Select((s, i) => Enumerable.Range(0, s.N).Select(a => a == 1 ? 0 : 0.2 + (0.3 * a) + i).ToArray())];
        return (dictionary, gammas, BayesData.Random([dictionary.Measurements], 50, type));
    }

    public static TheoryData<ScalarType, int> Cases() => new()
    {
        { ScalarType.Float64, 2 }, { ScalarType.Float64, 3 }, { ScalarType.Float64, 4 }, { ScalarType.ComplexFloat64, 2 }, { ScalarType.ComplexFloat64, 3 },
    };

    private static (int, int)[] Sizes(int factors) => [.. new[] { (3, 5), (4, 3), (2, 4), (3, 3) }.Take(factors)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Products_are_those_of_the_matrix(ScalarType type, int factors)
    {
        using var scope = NewDisposeScope();
        (KroneckerDictionary dictionary, _, Tensor y) = Small(type, Sizes(factors));
        using (dictionary)
        {
            Tensor dense = dictionary.ToDense(), x = BayesData.Random([dictionary.Coefficients], 60, type);
            Assert.Equal(new[] { dictionary.Measurements, dictionary.Coefficients }, dense.shape);
            Assert.InRange(BayesData.MaxDifference(dense.mv(x), dictionary.Apply(x)), 0, 1e-11);
            Assert.InRange(BayesData.MaxDifference(dense.mH.mv(y), dictionary.Adjoint(y)), 0, 1e-11);

            // The order: entry (a, b, ...) of the matrix is the product of the factors' entries, last fastest.
            Tensor first = dictionary.Factors.Aggregate(ones(1, dtype: type), (p, f) => kron(p, f.select(0, 0)));
            Assert.InRange(BayesData.MaxDifference(first, dense[0]), 0, 1e-14);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Posterior_is_the_dense_one(ScalarType type, int factors)
    {
        using var scope = NewDisposeScope();
        (KroneckerDictionary dictionary, double[][] gammas, Tensor y) = Small(type, Sizes(factors));
        using (dictionary)
        {
            const double noise = 0.3;
            using KroneckerPosterior fast = KroneckerPosterior.Compute(dictionary, gammas, y, noise);
            using GaussianPosterior dense = GaussianPosterior.Compute(dictionary.ToDense(), y, ModeProduct.Kron(gammas), noise);
            Assert.InRange(BayesData.MaxDifference(dense.Mean, fast.Mean), 0, 1e-10);
            Assert.InRange(dense.Variance.Zip(fast.VarianceDiagonal, (a, b) => Math.Abs(a - b)).Max(), 0, 1e-10);
            Assert.Equal(dense.Cost, fast.Cost, 1e-10 * Math.Abs(dense.Cost));
            double residual = y.sub(dictionary.Apply(fast.Mean)).abs().square().sum().item<double>();
            Assert.Equal(residual, fast.ResidualSquared, 1e-10);
            double explained = ModeProduct.Kron(gammas).Zip(dense.Variance).Where(p => p.First > 0).Sum(p => 1 - (p.Second / p.First));
            Assert.Equal(explained, fast.Explained, 1e-9);
        }
    }

    /// <summary>
    /// Rounding of the cost grows with the condition number of C, (s2 + p)/s2 with the largest p. Against 50 digits (an LDL^H factorisation of 48 such problems) the
    /// dense computation in float64 is off by up to 3e-5 at a condition number of 5e14 and 6e-7 at 4e12: a difference of 1e-7 from it says
    /// nothing of the Kronecker form. The reference here is the singular value decomposition of each A_i diag(gamma_i)^1/2, which never
    /// squares and is exact to 1e-10 on all of them.
    /// </summary>
    [Theory]
    [InlineData(1, 1e-12)]
    [InlineData(1e-4, 1e-10)]
    [InlineData(1e-8, 1e-10)]
    [InlineData(1e-10, 1e-9)]
    public void The_cost_of_four_complex_factors_is_right_at_high_condition_numbers(double noise, double accuracy)
    {
        for (int seed = 0; seed < 40; seed++)
        {
            using var scope = NewDisposeScope();

            // Odd seeds have factors with more measurements than columns: C is then noise alone in many directions.
            (int M, int N)[] sizes = seed % 2 == 0 ? [(3, 5), (3, 4), (2, 3), (2, 3)] : [(4, 3), (3, 4), (2, 3), (2, 2)];
            using var dictionary = new KroneckerDictionary([.. sizes.Select((s, i) => BayesData.Random([s.M, s.N], 400 + i + (10 * seed), ScalarType.ComplexFloat64))]);
            var random = new SeededRandom(seed, 3);
            double[][] gammas = [.. sizes.Select(s => new double[s.N])];
            foreach (double[] gamma in gammas)
            {
                for (int a = 0; a < gamma.Length; a++) gamma[a] = a == 1 ? 0 : Math.Exp(1.5 * random.NextGaussian());
            }

            Tensor x = BayesData.Random([dictionary.Coefficients], 90 + seed, ScalarType.ComplexFloat64).mul(tensor(ModeProduct.Kron(gammas)).sqrt());
            Tensor y = dictionary.Apply(x).add(BayesData.Random([dictionary.Measurements], 91 + seed, ScalarType.ComplexFloat64).mul(Math.Sqrt(noise / 2)));
            using KroneckerPosterior fast = KroneckerPosterior.Compute(dictionary, gammas, y, noise);
            using GaussianPosterior dense = GaussianPosterior.Compute(dictionary.ToDense(), y, ModeProduct.Kron(gammas), noise);
            (double cost, double condition) = BySingularValues(dictionary, gammas, y, noise);
            double size = Math.Max(1, Math.Abs(cost));
            Assert.True(Math.Abs(fast.Cost - cost) <= accuracy * size, $"seed {seed}: {fast.Cost} against {cost}, condition number {condition:g3}");
            Assert.True(Math.Abs(dense.Cost - cost) <= 1e-15 * condition * size, $"seed {seed}, dense: {dense.Cost} against {cost}, condition number {condition:g3}");
        }
    }

    private static (double Cost, double Condition) BySingularValues(KroneckerDictionary dictionary, double[][] gammas, Tensor y, double noise)
    {
        Tensor[] rotations = new Tensor[gammas.Length];
        double[][] powers = new double[gammas.Length][];
        for (int i = 0; i < gammas.Length; i++)
        {
            (Tensor u, Tensor singular, _) = linalg.svd(dictionary.Factors[i].mul(tensor(gammas[i]).sqrt()), fullMatrices: true);
            int columns = gammas[i].Count(g => g > 0);
            powers[i] = new double[u.shape[0]];
            for (int a = 0; a < Math.Min(columns, powers[i].Length); a++) powers[i][a] = Math.Pow(singular[a].item<double>(), 2);
            rotations[i] = u.mH;
        }

        double[] p = ModeProduct.Kron(powers), rotated = ModeProduct.Apply(rotations, y).abs().square().Doubles();
        return (p.Zip(rotated, (own, power) => Math.Log(noise + own) + (power / (noise + own))).Sum(), 1 + (p.Max() / noise));
    }

    [Fact]
    public void Tight_alternation_never_raises_the_cost_and_solves_the_m_step()
    {
        using KroneckerProblem problem = KroneckerProblem.Draw([6, 5, 7], [4, 4, 5], 2, 15, 3);
        var states = new List<KroneckerSblIteration>();
        KroneckerSblOptions options = new()
        {
            Noise = NoiseModel.Known(problem.NoiseVariance), Update = KroneckerUpdate.Alternating, InnerTolerance = 1e-10, MaxInnerCycles = 10_000,
            PruneRatios = [0], Tolerance = 0, MaxIterations = 60, OnIteration = states.Add,
        };
        using KroneckerSblResult result = KroneckerSbl.Fit(problem.Dictionary, problem.Measurements, options);
        Assert.Equal(61, result.CostTrace.Count);
        for (int i = 1; i < result.CostTrace.Count; i++) Assert.True(result.CostTrace[i] <= result.CostTrace[i - 1] + 1e-9, $"iteration {i}");
        Assert.True(result.CostTrace[^1] < result.CostTrace[0] - 10);
        Assert.All(states, s => Assert.All(s.Gammas[..2], g => Assert.Equal(1, KroneckerMStep.Norm(g), 1e-12)));

        // At inner convergence every factor is the mean of T over the others, for the T of the gamma before.
        double[][] before = states[9].Gammas, after = states[10].Gammas;
        using KroneckerPosterior posterior = KroneckerPosterior.Compute(problem.Dictionary, before, problem.Measurements, problem.NoiseVariance);
        double[] moments = posterior.SecondMoments();
        double[][] reciprocal = [.. after.Select(g => g.Select(v => 1 / v).ToArray())];
        for (int i = 0; i < 3; i++)
        {
            double[] sum = ModeProduct.ContractAllBut(i, moments, reciprocal);
            double others = (double)moments.Length / sum.Length;
            for (int a = 0; a < sum.Length; a++) Assert.InRange(Math.Abs((sum[a] / others) - after[i][a]), 0, 1e-8 * after[i].Max());
        }

        // Learned noise is an EM step too.
        using KroneckerSblResult learned = KroneckerSbl.Fit(problem.Dictionary, problem.Measurements, options with { Noise = NoiseModel.Learn(), OnIteration = null });
        for (int i = 1; i < learned.CostTrace.Count; i++) Assert.True(learned.CostTrace[i] <= learned.CostTrace[i - 1] + 1e-9, $"iteration {i}");
    }

    [Fact]
    public void A_rank_one_statistic_is_returned_as_it_is()
    {
        double[][] truth = [[1, 0.2, 3], [0.5, 2], [0.1, 4, 1, 0.3], [2, 0.7]];
        for (int factors = 2; factors <= 4; factors++)
        {
            double[][] own = truth[..factors];
            double[] moments = ModeProduct.Kron(own);
            double[][] ones = [.. own.Select(g => g.Select(_ => 1.0).ToArray())];
            (double[][] am, int cycles) = KroneckerMStep.Alternate(moments, ones, 1e-12, 100);
            double[][] svd = KroneckerMStep.Project(moments, [.. own.Select(g => g.Length)]);
            Assert.InRange(KroneckerMStep.Distance(ModeProduct.Kron(am), moments), 0, 1e-11);
            Assert.InRange(KroneckerMStep.Distance(ModeProduct.Kron(svd), moments), 0, 1e-11);
            Assert.InRange(cycles, 1, 3);
            for (int i = 0; i < factors - 1; i++)
            {
                Assert.Equal(1, KroneckerMStep.Norm(am[i]), 1e-12);
                Assert.Equal(1, KroneckerMStep.Norm(svd[i]), 1e-12);
            }
        }
    }

    [Fact]
    public void The_projection_is_the_best_rank_one_matrix_of_two_factors()
    {
        using var scope = NewDisposeScope();
        Tensor t = BayesData.Random([5, 7], 4).abs();
        double[][] svd = KroneckerMStep.Project(t.data<double>().ToArray(), [5, 7]);
        double error = tensor(ModeProduct.Kron(svd)).view(5, 7).sub(t).square().sum().item<double>();
        double[] singular = linalg.svdvals(t).data<double>().ToArray();
        Assert.Equal(singular.Skip(1).Sum(s => s * s), error, 1e-10);
        Assert.All(svd, g => Assert.All(g, v => Assert.True(v >= 0)));
    }

    [Fact]
    public void All_updates_find_the_factors_of_the_support()
    {
        double[,] nmse = new double[3, 5];
        KroneckerUpdate[] updates = [KroneckerUpdate.Alternating, KroneckerUpdate.OneSweep, KroneckerUpdate.Svd];
        for (int trial = 0; trial < 5; trial++)
        {
            using KroneckerProblem problem = KroneckerProblem.Draw(N, M, 3, 30, 70 + trial);
            for (int u = 0; u < 3; u++)
            {
                using KroneckerSblResult result = KroneckerSbl.Fit(
                    problem.Dictionary, problem.Measurements, new() { Noise = NoiseModel.Known(problem.NoiseVariance), Update = updates[u] });
                nmse[u, trial] = SupportMetrics.Nmse(problem.Truth, result.Mean);
                Assert.True(result.InnerCycles == 0 == (updates[u] == KroneckerUpdate.Svd));
                if (updates[u] == KroneckerUpdate.OneSweep) Assert.Equal(result.Iterations, result.InnerCycles);
                for (int i = 0; i < 3; i++)
                    Assert.Equal(result.Supports[i], Enumerable.Range(0, 10).Where(a => result.Gammas[i][a] > 0));
            }
        }

        for (int u = 0; u < 3; u++) Assert.InRange(Enumerable.Range(0, 5).Select(t => nmse[u, t]).Order().ElementAt(2), 0, 0.01);
    }

    [Fact]
    public void Learned_noise_is_near_the_true_one()
    {
        using KroneckerProblem problem = KroneckerProblem.Draw(N, [8, 9, 10], 2, 10, 5);
        using KroneckerSblResult result = KroneckerSbl.Fit(problem.Dictionary, problem.Measurements);
        Assert.InRange(result.NoiseVariance / problem.NoiseVariance, 0.8, 1.25);
    }

    [Theory]
    [InlineData(KroneckerUpdate.Alternating)]
    [InlineData(KroneckerUpdate.OneSweep)]
    [InlineData(KroneckerUpdate.Svd)]
    [InlineData(KroneckerUpdate.PatternCoupled)]
    public void A_learned_noise_settles_or_the_status_says_that_it_did_not(KroneckerUpdate update)
    {
        int settled = 0;
        for (int seed = 0; seed < 2; seed++)
        {
            using KroneckerProblem problem = KroneckerProblem.Draw([8, 8, 8], [7, 7, 8], 2, 15, 30 + seed);
            foreach (int iterations in new[] { 3, 400 })
            {
                var states = new List<KroneckerSblIteration>();
                KroneckerSblOptions options = new()
                {
                    Update = update, Coupling = update == KroneckerUpdate.PatternCoupled ? [0.3, 0, 0] : [], MaxIterations = iterations, OnIteration = states.Add,
                };
                using KroneckerSblResult result = KroneckerSbl.Fit(problem.Dictionary, problem.Measurements, options);
                Assert.Equal(result.NoiseVariance, states[^1].NoiseVariance);
                double before = states[^2].NoiseVariance, moved = Math.Abs(result.NoiseVariance - before) / before;
                double step = KroneckerMStep.Distance(ModeProduct.Kron(states[^1].Gammas), ModeProduct.Kron(states[^2].Gammas)) / KroneckerMStep.Norm(ModeProduct.Kron(states[^2].Gammas));
                bool isAtRest = moved <= options.Tolerance && step <= options.Tolerance;
                Assert.Equal(isAtRest, result.Status == KroneckerSblStatus.RelativeChange);
                if (!isAtRest)
                {
                    Assert.Equal(KroneckerSblStatus.IterationLimit, result.Status);
                    continue;
                }

                // At rest it is the true one, and a start far from it leads there too; what coupling prunes depends on the start.
                settled++;
                // These supports are no blocks: what coupling prunes of them counts as noise.
                Assert.InRange(result.NoiseVariance / problem.NoiseVariance, 0.75, update == KroneckerUpdate.PatternCoupled ? 8 : 1.35);
                foreach (double factor in new[] { 0.05, 20.0 })
                {
                    using KroneckerSblResult other = KroneckerSbl.Fit(
                        problem.Dictionary, problem.Measurements, options with { Noise = NoiseModel.Learn(factor * problem.NoiseVariance), OnIteration = null });
                    if (other.Status == KroneckerSblStatus.RelativeChange && update != KroneckerUpdate.PatternCoupled) Assert.InRange(other.NoiseVariance / result.NoiseVariance, 0.9, 1.1);
                }
            }
        }

        Assert.InRange(settled, 1, 2);
    }

    [Fact]
    public void Non_negative_least_squares_meets_its_conditions()
    {
        // g >= 0, slope C^T (b - C g) <= 0 everywhere and = 0 where g > 0. The last case has the minimiser by hand.
        var random = new SeededRandom(3, 0);
        foreach (double beta in new[] { 0.5, 0.8, 1 })
        {
            for (int trial = 0; trial < 50; trial++)
            {
                int[] kept = [.. Enumerable.Range(0, 12).Where(i => i % 5 != trial % 7)];
                double[,] c = KroneckerMStep.Coupling(beta, kept);
                double[] b = [.. kept.Select(_ => 0.0)];
                for (int i = 0; i < b.Length; i++) b[i] = random.NextDouble() < 0.4 ? 0 : random.NextDouble();
                double[] g = NonNegativeLeastSquares.Solve(c, b);
                for (int i = 0; i < g.Length; i++)
                {
                    double slope = 0;
                    for (int r = 0; r < g.Length; r++)
                    {
                        double rest = b[r];
                        for (int j = 0; j < g.Length; j++) rest -= c[r, j] * g[j];
                        slope += c[r, i] * rest;
                    }

                    Assert.True(g[i] >= 0);
                    Assert.InRange(slope, g[i] > 1e-9 ? -1e-8 : double.NegativeInfinity, 1e-8);
                }
            }
        }

        Assert.Equal([0, 0], NonNegativeLeastSquares.Solve(KroneckerMStep.Coupling(0.5, [0, 1]), [0, 0]));
        double[] one = NonNegativeLeastSquares.Solve(KroneckerMStep.Coupling(0.5, [0, 1]), [1, 0]);
        Assert.Equal(0.8, one[0], 1e-12);
        Assert.Equal(0, one[1]);
        Assert.Equal(0.5, KroneckerMStep.Coupling(0.5, [2, 3, 7])[0, 1]);
        Assert.Equal(0, KroneckerMStep.Coupling(0.5, [2, 3, 7])[1, 2]);
    }

    [Fact]
    public void Pattern_coupling_of_zero_is_the_plain_alternation()
    {
        double[] moments = [.. Enumerable.Range(0, 24).Select(i => 0.1 + Math.Abs(Math.Sin(i)))];
        double[][] start = [[1, 1], [1, 1, 1], [1, 1, 1, 1]];
        int[][] kept = [[0, 1], [0, 1, 2], [0, 1, 2, 3]];
        (double[][] plain, _) = KroneckerMStep.Alternate(moments, start, 0, 4);
        (double[][] coupled, _) = KroneckerMStep.AlternateCoupled(moments, start, [0, 0, 0], kept, 0, 4);
        for (int i = 0; i < 3; i++) Assert.Equal(plain[i], coupled[i]);

        // C g can be any smooth gamma, but not a lone peak: next to one of height 1 it cannot fall to 0.
        double[] peak = [.. moments.Select((_, i) => i % 4 == 1 ? 1.0 : 0.01)];
        (double[][] lone, _) = KroneckerMStep.Alternate(peak, start, 0, 4);
        (double[][] blocks, _) = KroneckerMStep.AlternateCoupled(peak, start, [0, 0, 0.8], kept, 0, 4);
        Assert.True(lone[2][0] < 0.011 * lone[2][1]);
        Assert.True(blocks[2][0] > 0.1 * blocks[2][1]);
    }

    [Fact]
    public void The_channel_is_its_dictionary_times_its_coefficients()
    {
        using var scope = NewDisposeScope();
        using IrsMimoChannel channel = IrsMimoChannel.Simulate(200, 8);
        Assert.Equal(288, channel.Dictionary.Measurements);
        Assert.Equal(5832, channel.Dictionary.Coefficients);
        Assert.Equal(9, channel.Truth.count_nonzero().item<long>());

        // ChannelNmse goes through a_0 . conj(a_j); Channel is H_2 diag(w) H_1 with the matrices themselves.
        Assert.InRange(channel.ChannelNmse(channel.Truth), 0, 1e-24);
        Assert.Equal(1, channel.ChannelNmse(zeros_like(channel.Truth)), 1e-12);
        double rest = channel.Received.sub(channel.Dictionary.Apply(channel.Truth)).abs().square().sum().item<double>();
        Assert.InRange(rest / channel.Received.abs().square().sum().item<double>(), 0, 1e-18);
        double[] support = ModeProduct.Kron([.. channel.Supports.Select(s => Enumerable.Range(0, 18).Select(i => s.Contains(i) ? 1.0 : 0).ToArray())]);
        Assert.Equal(support, channel.Truth.ne(0).to(ScalarType.Float64).data<double>().ToArray());

        // The reduction R^2 -> R of the surface's angles: a_i . conj(a_j) is a_0 . conj(a_l) with l = j - i modulo R.
        Tensor a = IrsMimoChannel.Steering(64, 18);
        Tensor left = a.select(1, 11).mul(a.select(1, 3).conj()), right = a.select(1, 0).mul(a.select(1, 10).conj());
        Assert.InRange(BayesData.MaxDifference(left, right), 0, 1e-12);

        // Noise of 10 dB is 10 dB; one seed has one channel at all SNR.

        // Three QPSK pilots are blind to some angle now and then; such pilots are drawn again.
        for (int seed = 0; seed < 60; seed++) IrsMimoChannel.Simulate(10, seed).Dispose();
        using IrsMimoChannel noisy = IrsMimoChannel.Simulate(10, 8);
        Assert.Equal(0, BayesData.MaxDifference(noisy.Truth, channel.Truth));
        Tensor error = noisy.Received.sub(noisy.Dictionary.Apply(noisy.Truth));
        Assert.InRange(error.abs().square().mean().item<double>() / noisy.NoiseVariance, 0.75, 1.3);
    }

    [Fact]
    public void Pattern_coupled_beats_plain_on_blocks_at_low_snr()
    {
        // From the published start, a gamma of ones.
        double plain = 0, coupled = 0, own = 0, learned = 0;
        double[][] start = [.. Enumerable.Range(0, 3).Select(_ => Enumerable.Repeat(1.0, 18).ToArray())];
        for (int seed = 0; seed < 3; seed++)
        {
            using IrsMimoChannel channel = IrsMimoChannel.Simulate(12, 20 + seed);
            KroneckerSblOptions options = new()
            {
                Noise = NoiseModel.Known(channel.NoiseVariance), Update = KroneckerUpdate.Alternating, StartGammas = start,
            };
            using KroneckerSblResult am = KroneckerSbl.Fit(channel.Dictionary, channel.Received, options);
            using KroneckerSblResult pc = KroneckerSbl.Fit(
                channel.Dictionary, channel.Received, options with { Update = KroneckerUpdate.PatternCoupled, Coupling = [0.5, 0, 0.5] });
            plain += channel.ChannelNmse(am.Mean);
            coupled += channel.ChannelNmse(pc.Mean);
            using KroneckerSblResult better = KroneckerSbl.Fit(channel.Dictionary, channel.Received, options with { StartGammas = null });
            own += channel.ChannelNmse(better.Mean);
            using KroneckerSblResult free = KroneckerSbl.Fit(
                channel.Dictionary, channel.Received, new() { Update = KroneckerUpdate.PatternCoupled, Coupling = [0.5, 0, 0.5] });
            learned += channel.ChannelNmse(free.Mean);
        }

        Assert.True(coupled < plain, $"{coupled} against {plain}");

        // The library's own start, which follows the units of the data, is no worse than that of ones, and serves a learned noise too.
        Assert.True(own < plain, $"{own} against {plain}");
        Assert.InRange(learned / 3, 0, 0.3);
    }

    [Fact]
    public void Kronecker_omp_finds_noiseless_supports_and_oracle_fits_them()
    {
        using var scope = NewDisposeScope();
        int exact = 0;
        for (int seed = 0; seed < 5; seed++)
        {
            using KroneckerProblem problem = KroneckerProblem.Draw([8, 9], [7, 8], 2, 200, seed);
            using KroneckerOmpResult omp = KroneckerOmp.Recover(problem.Dictionary, problem.Measurements, [2, 2]);
            using Tensor oracle = KroneckerOmp.LeastSquares(problem.Dictionary, problem.Measurements, problem.Supports);
            Assert.InRange(SupportMetrics.Nmse(problem.Truth, oracle), 0, 1e-16);
            if (omp.Supports.Zip(problem.Supports).All(p => p.First.SequenceEqual(p.Second)))
            {
                exact++;
                Assert.InRange(BayesData.MaxDifference(omp.Mean, oracle), 0, 1e-12);
            }

            // Least squares on a Kronecker sub-dictionary is least squares on the dense one.
            Tensor dense = problem.Dictionary.ToDense();
            int[] columns = [.. problem.Supports[0].SelectMany(a => problem.Supports[1].Select(b => (a * 9) + b))];
            Tensor direct = linalg.pinv(dense.index_select(1, tensor(columns, dtype: ScalarType.Int64))).mv(problem.Measurements);
            Assert.InRange(BayesData.MaxDifference(direct, oracle.index_select(0, tensor(columns, dtype: ScalarType.Int64))), 0, 1e-10);
        }

        Assert.InRange(exact, 3, 5);
    }

    [Fact]
    public void Scores_are_their_definitions()
    {
        using var scope = NewDisposeScope();
        Tensor truth = tensor(new double[] { 1, 0, 2, 0 }), estimate = tensor(new double[] { 1, 0.5, 1e-4, 0 });
        Assert.Equal(((0.5 * 0.5) + (1.9999 * 1.9999)) / 5, SupportMetrics.Nmse(truth, estimate), 1e-14);
        Assert.Equal(1.0 / 3, SupportMetrics.Srr(truth, estimate), 1e-15);
        Assert.Equal(2.0 / 3, SupportMetrics.Srr(truth, estimate, 0), 1e-15);
        Assert.Equal(0, SupportMetrics.Srr(truth, zeros_like(truth)));
    }

    [Fact]
    public void Nothing_left_is_a_zero_with_a_status()
    {
        using var scope = NewDisposeScope();
        using KroneckerProblem problem = KroneckerProblem.Draw([5, 6], [4, 4], 2, 20, 1);
        foreach (KroneckerUpdate update in Enum.GetValues<KroneckerUpdate>())
        {
            double[] coupling = update == KroneckerUpdate.PatternCoupled ? [0.5, 0] : [];
            using KroneckerSblResult gone = KroneckerSbl.Fit(
                problem.Dictionary, problem.Measurements, new() { Update = update, Coupling = coupling, PruneBelow = 1e9 });
            Assert.Equal(KroneckerSblStatus.AllPruned, gone.Status);
            Assert.Equal(0, gone.Mean.abs().max().item<double>());
            Assert.All(gone.Supports, Assert.Empty);
            using KroneckerSblResult silent = KroneckerSbl.Fit(
                problem.Dictionary, zeros_like(problem.Measurements), new() { Update = update, Coupling = coupling, Noise = NoiseModel.Known(0.1) });
            Assert.Equal(0, silent.Mean.abs().max().item<double>());
            Assert.All(silent.CostTrace, c => Assert.True(double.IsFinite(c)));
        }

        // Equal columns share; nothing becomes NaN.
        Tensor doubled = cat([problem.Dictionary.Factors[0], problem.Dictionary.Factors[0]], 1);
        using var twice = new KroneckerDictionary(doubled, problem.Dictionary.Factors[1]);
        using KroneckerSblResult both = KroneckerSbl.Fit(twice, problem.Measurements, new() { Noise = NoiseModel.Known(problem.NoiseVariance) });
        Assert.InRange(BayesData.MaxDifference(both.Mean.narrow(0, 0, 30), both.Mean.narrow(0, 30, 30)), 0, 1e-6);
    }

    [Fact]
    public void Runs_repeat_and_can_be_cancelled_and_continued()
    {
        using KroneckerProblem problem = KroneckerProblem.Draw([5, 6, 4], [4, 4, 3], 2, 20, 1);
        KroneckerSblOptions options = new() { Noise = NoiseModel.Known(problem.NoiseVariance), Tolerance = 0, MaxIterations = 20 };
        using KroneckerSblResult first = KroneckerSbl.Fit(problem.Dictionary, problem.Measurements, options);
        using KroneckerSblResult again = KroneckerSbl.Fit(problem.Dictionary, problem.Measurements, options);
        for (int i = 0; i < 3; i++) Assert.Equal(first.Gammas[i], again.Gammas[i]);
        using var source = new CancellationTokenSource();
        KroneckerSblIteration? last = null;
        KroneckerSblOptions stopping = options with
        {
            OnIteration = state =>
            {
                last = state;
                if (state.Iteration == 12) source.Cancel();
            },
        };
        Assert.Throws<OperationCanceledException>(() => KroneckerSbl.Fit(problem.Dictionary, problem.Measurements, stopping, cancel: source.Token));
        Assert.Equal(12, last!.Iteration);
        using KroneckerSblResult rest = KroneckerSbl.Fit(
            problem.Dictionary, problem.Measurements, options with { StartGammas = last.Gammas, MaxIterations = 8 });
        for (int i = 0; i < 3; i++) Assert.InRange(KroneckerMStep.Distance(first.Gammas[i], rest.Gammas[i]), 0, 1e-12);
        Assert.Throws<OperationCanceledException>(
            () => KroneckerOmp.Recover(problem.Dictionary, problem.Measurements, [2, 2, 2], cancel: source.Token));
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using var scope = NewDisposeScope();
        Tensor a = BayesData.Random([3, 4], 1), b = BayesData.Random([2, 5], 2), y = BayesData.Random([6], 3);
        using var dictionary = new KroneckerDictionary(a, b);
        Assert.Contains("at least 2", Assert.Throws<ArgumentException>(() => new KroneckerDictionary(a)).Message, StringComparison.Ordinal);
        Assert.Contains("not finite", Assert.Throws<ArgumentException>(() => new KroneckerDictionary(a, b * double.NaN)).Message, StringComparison.Ordinal);
        Assert.Contains("one type", Assert.Throws<ArgumentException>(() => new KroneckerDictionary(a, b.to(ScalarType.ComplexFloat64))).Message, StringComparison.Ordinal);
        Tensor hole = b.clone();
        hole.select(1, 3).zero_();
        Assert.Contains("Column 3", Assert.Throws<ArgumentException>(() => new KroneckerDictionary(a, hole)).Message, StringComparison.Ordinal);
        Assert.Contains("3 x 2 = 6", Assert.Throws<ArgumentException>(() => KroneckerSbl.Fit(dictionary, BayesData.Random([7], 3))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => KroneckerSbl.Fit(dictionary, y * double.PositiveInfinity));
        Assert.Throws<ArgumentException>(() => KroneckerSbl.Fit(dictionary, y.to(ScalarType.ComplexFloat64)));
        Assert.Throws<ArgumentException>(() => dictionary.Apply(y));
        Assert.Throws<ArgumentException>(() => dictionary.Adjoint(BayesData.Random([20], 1)));
        Assert.Throws<ArgumentOutOfRangeException>(() => KroneckerPosterior.Compute(dictionary, [new double[4], new double[5]], y, 0));
        Assert.Throws<ArgumentException>(() => KroneckerPosterior.Compute(dictionary, [new double[4], new double[4]], y, 1));
        Assert.Throws<ArgumentException>(() => KroneckerPosterior.Compute(dictionary, [new double[4]], y, 1));
        KroneckerSblOptions coupled = new() { Update = KroneckerUpdate.PatternCoupled };
        Assert.Throws<ArgumentException>(() => KroneckerSbl.Fit(dictionary, y, coupled));
        Assert.Throws<ArgumentOutOfRangeException>(() => KroneckerSbl.Fit(dictionary, y, coupled with { Coupling = [0.5, 1.1] }));
        Assert.Throws<ArgumentException>(() => KroneckerSbl.Fit(dictionary, y, new() { Coupling = [0.5, 0] }));
        Assert.Throws<ArgumentException>(() => KroneckerSbl.Fit(dictionary, y, new() { PruneRatios = [0, 0, 0] }));
        Assert.Throws<ArgumentOutOfRangeException>(() => KroneckerSbl.Fit(dictionary, y, new() { PruneRatios = [1] }));
        Assert.Throws<ArgumentOutOfRangeException>(() => KroneckerSbl.Fit(dictionary, y, new() { MaxIterations = 0 }));
        Assert.Throws<ArgumentException>(() => KroneckerSbl.Fit(dictionary, y, new() { StartGammas = [new double[4]] }));
        Assert.Throws<ArgumentException>(() => KroneckerMStep.Project(new double[5], [2, 3]));
        Assert.Throws<ArgumentException>(() => KroneckerMStep.Project([1, 1, 1, double.NaN], [2, 2]));
        Assert.Throws<ArgumentOutOfRangeException>(() => KroneckerOmp.Recover(dictionary, y, [4, 2]));
        Assert.Throws<ArgumentException>(() => KroneckerOmp.LeastSquares(dictionary, y, [[0, 0], [1]]));
        Assert.Throws<ArgumentException>(() => SupportMetrics.Nmse(zeros(3), ones(3)));
        Assert.Throws<ArgumentException>(() => SupportMetrics.Srr(ones(3), ones(4)));
        Assert.Throws<ArgumentOutOfRangeException>(() => IrsMimoChannel.Simulate(10, 1, new() { Spread = 19 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => KroneckerProblem.Draw([4, 4], [3, 3], 5, 10, 1));
        Assert.Throws<ArgumentException>(() => KroneckerProblem.Draw([4, 4], [3], 2, 10, 1));
    }
}
