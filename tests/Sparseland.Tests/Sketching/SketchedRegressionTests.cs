using Sparseland.Evaluation;
using Sparseland.Sketching;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Sketching;

public class SketchedRegressionTests
{
    private static Tensor Random(long[] shape, ulong seed)
    {
        using var generator = new Generator(seed);
        return randn(shape, dtype: ScalarType.Float64, generator: generator);
    }

    private static double[] Numbers(Tensor values) => values.contiguous().data<double>().ToArray();

    private static double Gap(Tensor a, Tensor b) => (a - b).abs().max().item<double>();

    [Fact]
    public void A_problem_knows_its_solution_residual_and_pseudo_inverse()
    {
        using var scope = NewDisposeScope();
        Tensor A = Random([30, 4], 1), b = Random([30], 2), inverse = linalg.pinv(A);
        using RegressionProblem problem = RegressionProblem.From(A, b);
        Assert.InRange(Gap(inverse.mv(b), problem.Solution), 0, 1e-12);
        Assert.Equal((b - A.mv(problem.Solution)).norm().item<double>(), problem.ResidualNorm, 1e-12);
        Assert.Equal(linalg.svdvals(inverse)[0].item<double>(), problem.PseudoInverseNorm, 1e-11);
        using RegressionProblem exact = RegressionProblem.From(A, A.mv(Random([4], 3)));
        Assert.Equal(0, exact.ResidualNorm);
        using RegressionProblem drawn = HardInstance.Benign(20, 3, 5);
        Assert.InRange(drawn.A.t().mv(drawn.B - drawn.A.mv(drawn.Solution)).abs().max().item<double>(), 0, 1e-12);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(6)]
    public void The_spiky_instance_is_orthonormal_with_a_unit_residual(int spikes)
    {
        using var scope = NewDisposeScope();
        using RegressionProblem problem = HardInstance.Spiky(100, 5, spikes, 3);
        (Tensor A, Tensor b) = problem.ToDense();
        using RegressionProblem solved = RegressionProblem.From(A, b);
        Assert.InRange(Gap(solved.Solution, problem.Solution), 0, 1e-13);
        Assert.Equal(1, problem.ResidualNorm, 1e-12);
        Assert.Equal(1, solved.ResidualNorm, 1e-12);
        Assert.Equal((1.0, 1.0), (problem.PseudoInverseNorm, Math.Round(solved.PseudoInverseNorm, 12)));
        Tensor residual = b - A.mv(problem.Solution);
        double[] spiked = [.. Numbers(residual).Where(v => v != 0)];
        Assert.Equal(spikes, spiked.Length);
        Assert.All(spiked, v => Assert.Equal(1 / Math.Sqrt(spikes), Math.Abs(v), 1e-12));
        Assert.Equal(5 + spikes, problem.Rows!.Distinct().Count());

        // On its rows alone or dense: the same sketch gives the same solution.
        foreach (ISketch sketch in new ISketch[] { new GaussianSketch(40, 100, 1), new SrhtSketch(40, 100, 1), new CountSketch(1000, 100, 4) })
        {
            using SketchedSolution few = SketchedRegression.Solve(problem, sketch), all = SketchedRegression.Solve(A, b, sketch);
            Assert.Equal(SketchedStatus.Solved, few.Status);
            Assert.InRange(Gap(few.X, all.X), 0, 1e-11);
        }
    }

    [Fact]
    public void The_solution_is_the_least_squares_solution_of_the_sketch_and_obeys_the_error_identity()
    {
        using var scope = NewDisposeScope();
        using RegressionProblem problem = HardInstance.Benign(60, 4, 2);
        Tensor S = new GaussianSketch(20, 60, 3).ToDense(), SA = S.mm(problem.A), Sb = S.mv(problem.B);
        using SketchedSolution solution = SketchedRegression.Solve(problem, new GaussianSketch(20, 60, 3)), step = SketchedRegression.SolveSketched(SA, Sb);
        Assert.Equal((SketchedStatus.Solved, 4), (solution.Status, solution.Rank));
        Assert.InRange(Gap(linalg.pinv(SA).mv(Sb), solution.X), 0, 1e-12);
        Assert.InRange(Gap(step.X, solution.X), 0, 1e-12);
        Assert.Equal((Sb - SA.mv(solution.X)).norm().item<double>(), solution.Residual, 1e-12);
        Tensor singular = linalg.svdvals(SA);
        Assert.Equal(singular[0].item<double>(), solution.LargestSingularValue, 1e-12);
        Assert.Equal(singular[3].item<double>(), solution.SmallestSingularValue, 1e-12);

        // x' - x* = V Sigma^-1 (U^T S^T S U)^-1 U^T S^T S r.
        (Tensor U, Tensor sigma, Tensor Vh) = linalg.svd(problem.A, fullMatrices: false);
        Tensor r = problem.B - problem.A.mv(problem.Solution), SU = S.mm(U);
        Tensor error = Vh.t().mv(linalg.inv(SU.t().mm(SU)).mv(SU.t().mv(S.mv(r))).div(sigma));
        Assert.InRange(Gap(error, solution.X - problem.Solution), 0, 1e-12);

        RegressionError measured = RegressionError.Of(problem, solution.X, 20);
        double unit = Math.Sqrt(4.0 / 20) * problem.ResidualNorm * problem.PseudoInverseNorm;
        Assert.Equal(error.norm().item<double>(), measured.L2, 1e-12);
        Assert.Equal(error.abs().max().item<double>(), measured.LInf, 1e-12);
        Assert.Equal(measured.L2 / unit, measured.L2Normalized, 1e-12);
        Assert.Equal(2 * measured.LInf / unit, measured.LInfNormalized, 1e-12);
        Assert.False(measured.ExactFit);
    }

    [Fact]
    public void Lost_rank_is_a_status_with_the_shortest_solution()
    {
        using var scope = NewDisposeScope();
        Tensor SA = Random([10, 3], 1), Sb = Random([10], 2);
        SA = cat([SA, SA.select(1, 0).neg().unsqueeze(1)], 1);
        using SketchedSolution solution = SketchedRegression.SolveSketched(SA, Sb);
        Assert.Equal((SketchedStatus.RankDeficient, 3), (solution.Status, solution.Rank));
        Assert.InRange(Gap(linalg.pinv(SA).mv(Sb), solution.X), 0, 1e-12);
        Assert.Equal((Sb - SA.mv(solution.X)).norm().item<double>(), solution.Residual, 1e-12);
        using SketchedSolution zero = SketchedRegression.SolveSketched(zeros([5, 2], dtype: ScalarType.Float64), ones([5], dtype: ScalarType.Float64));
        Assert.Equal((SketchedStatus.RankDeficient, 0, 0.0), (zero.Status, zero.Rank, zero.X.abs().sum().item<double>()));
        Assert.Equal(Math.Sqrt(5), zero.Residual, 1e-12);
        using SketchedSolution square = SketchedRegression.SolveSketched(Random([3, 3], 4), Random([3], 5));
        Assert.Equal((SketchedStatus.Solved, 0.0), (square.Status, square.Residual));
    }

    [Fact]
    public void An_exact_fit_is_found_by_any_sketch_and_has_no_normalized_error()
    {
        using var scope = NewDisposeScope();
        Tensor A = Random([80, 5], 1), x = Random([5], 2);
        using RegressionProblem problem = RegressionProblem.From(A, A.mv(x));
        using SketchedSolution solution = SketchedRegression.Solve(problem, new SrhtSketch(20, 80, 1));
        RegressionError error = RegressionError.Of(problem, solution.X, 20);
        Assert.True(error.ExactFit && double.IsNaN(error.LInfNormalized) && double.IsNaN(error.L2Normalized));
        Assert.InRange(error.LInf, 0, 1e-11);
        Assert.Throws<ArgumentException>(() => SketchTrials.Run(_ => RegressionProblem.From(A, A.mv(x)), s => new SrhtSketch(20, 80, s), 2, 1));
    }

    [Fact]
    public void Kronecker_regression_is_that_of_the_formed_product()
    {
        using var scope = NewDisposeScope();
        Tensor A1 = Random([12, 3], 1), A2 = Random([10, 2], 2), b = Random([120], 3);
        var sketch = new TensorSrht(64, 12, 10, 5);
        using SketchedSolution factors = SketchedRegression.SolveKronecker(A1, A2, b, sketch), formed = SketchedRegression.Solve(kron(A1, A2), b, sketch);
        Assert.InRange(Gap(factors.X, formed.X), 0, 1e-11);
        Assert.Equal(SketchedStatus.Solved, factors.Status);
    }

    [Fact]
    public void Gaussian_errors_follow_their_exact_law()
    {
        // Orthonormal A: E||x' - x*||^2 = d/(m-d-1) ||r||^2; a coordinate times sqrt(m-d+1)/||r|| is Student t with m-d+1 degrees of freedom.
        const int d = 8, m = 64, draws = 1500;
        SketchTrials trials = SketchTrials.Run(s => HardInstance.Spiky(512, d, 3, s), s => new GaussianSketch(m, 512, s), draws, 1);
        Assert.Equal(0, trials.Failures);
        double[] squares = [.. trials.Errors.Select(e => e.Sum(v => v * v))];
        double mean = squares.Average(), error = Math.Sqrt(squares.Sum(v => (v - mean) * (v - mean)) / draws / (draws - 1.0));
        Assert.InRange(mean, (d / (m - d - 1.0)) - (4 * error), (d / (m - d - 1.0)) + (4 * error));
        Assert.InRange(error, 1e-4, 0.01);
        foreach (int i in new[] { 0, 5 })
        {
            double[] scaled = [.. trials.Errors.Select(e => e[i] * Math.Sqrt(m - d + 1))];
            Assert.True(KolmogorovSmirnov.Test(scaled, x => StudentT.Cdf(x, m - d + 1)).PValue > 0.001);
            Assert.True(KolmogorovSmirnov.Test([.. scaled.Select(v => 1.4 * v)], x => StudentT.Cdf(x, m - d + 1)).PValue < 0.001);
        }

        Assert.All(trials.Z.Zip(trials.Errors), pair => Assert.Equal(Math.Sqrt(m) * pair.Second.Max(Math.Abs), pair.First, 1e-9));
        Assert.All(trials.L2.Zip(squares), pair => Assert.Equal(Math.Sqrt(pair.Second * m / d), pair.First, 1e-9));
    }

    [Fact]
    public void A_single_spike_either_misses_CountSketch_or_costs_sqrt_m()
    {
        // Full rank: the d columns have rows of their own, and the spike falls on one of them with probability d/m.
        const int d = 16, m = 128, draws = 3000;
        SketchTrials trials = SketchTrials.Run(s => HardInstance.Spiky(4096, d, 1, s), s => new CountSketch(m, 4096, s), draws, 1);
        Assert.All(trials.Solved, z => Assert.True(z < 1e-9 || Math.Abs(z - Math.Sqrt(m)) < 1e-9, $"Z = {z}"));
        int solved = trials.Solved.Length;
        double hit = (double)trials.Solved.Count(z => z > 1) / solved, expected = (double)d / m;
        Assert.InRange(hit, expected - (4 * Math.Sqrt(expected * (1 - expected) / solved)), expected + (4 * Math.Sqrt(expected * (1 - expected) / solved)));

        // Rank is lost with probability 1 - prod (1 - i/m).
        double keep = 1;
        for (int i = 0; i < d; i++) keep *= 1 - ((double)i / m);
        Assert.InRange(trials.FailureRate, 1 - keep - (4 * Math.Sqrt(keep * (1 - keep) / draws)), 1 - keep + (4 * Math.Sqrt(keep * (1 - keep) / draws)));
        Assert.Equal(draws, solved + trials.Failures);
        Assert.All(trials.Errors.Zip(trials.Z), pair => Assert.Equal(double.IsNaN(pair.Second), pair.First.Length == 0));
    }

    [Fact]
    public void Dense_sketches_spread_what_sparse_ones_put_into_one_coordinate()
    {
        const int d = 16, m = 1024, draws = 60;
        double dense = 1.5 * Math.Sqrt(2 * Math.Log(2 * d));
        foreach (int spikes in new[] { 1, m / d })
        {
            SketchTrials Run(Func<long, ISketch> sketch) => SketchTrials.Run(s => HardInstance.Spiky(8192, d, spikes, s), sketch, draws, 1);
            SketchTrials gaussian = Run(s => new GaussianSketch(m, 8192, s)), srht = Run(s => new SrhtSketch(m, 8192, s));
            SketchTrials pooled = Run(s => new GaussianPooledSketch(m, 8192, s)), count = Run(s => new CountSketch(m, 8192, s));
            foreach (SketchTrials good in new[] { gaussian, srht, pooled })
            {
                Assert.Equal(0, good.Failures);
                Assert.InRange(good.Quantile(0.98), 1, dense);
                Assert.InRange(good.Quantile(0.5), 1.3, 2.7);
            }

            if (spikes > 1) Assert.Equal(Math.Sqrt(d), count.Quantile(0.5), 1e-9);
        }

        // One spike meets OSNAP(s) as +-1/s in one coordinate or as nothing.
        SketchTrials osnap = SketchTrials.Run(s => HardInstance.Spiky(8192, d, 1, s), s => new OsnapSketch(m, 8192, 4, s), draws, 1);
        double[] met = [.. osnap.Solved.Where(z => z > 1e-9)];
        Assert.InRange(met.Length, 5, draws - 5);
        Assert.Equal(Math.Sqrt(m) / 4, met[met.Length / 2], 1e-9);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(8)]
    [InlineData(64)]
    public void The_counter_example_has_the_same_coordinate_error_for_every_d(int d)
    {
        using var scope = NewDisposeScope();
        for (int seed = 0; seed < 3; seed++)
        {
            var sketch = new CounterExampleSketch(d, seed);
            using RegressionProblem problem = sketch.Regression();
            using SketchedSolution solution = SketchedRegression.Solve(problem, sketch);
            Assert.Equal(0, problem.Solution.abs().sum().item<double>());
            Assert.Equal(1.0 / 399, Math.Abs(solution.X[0].item<double>()), 1e-12);

            // A good embedding: S^T S is M, all singular values near 1; and the products of fixed pairs are small.
            Tensor S = sketch.ToDense(), M = S.mm(S), direction = tensor([.. sketch.Direction]);
            Assert.InRange(Gap(S, S.t()), 0, 1e-12);
            Assert.Equal(1, direction.norm().item<double>(), 1e-12);
            Assert.InRange(Gap(M.narrow(0, d, 1).view(-1).narrow(0, 0, d), direction * CounterExampleSketch.Perturbation), 0, 1e-12);
            Assert.InRange(linalg.svdvals(S)[d].item<double>(), 0.93, 1);
            Assert.InRange(linalg.svdvals(S)[0].item<double>(), 1, 1.07);
            Tensor x = Random([d + 1], (ulong)seed), r = Random([d + 1], 9);
            Assert.InRange(Gap(S.mv(x), sketch.Apply(x)), 0, 1e-12);
            double[] q = new double[d + 1];
            sketch.Adjoint(Numbers(r), q);
            Assert.InRange(Gap(S.mv(r), tensor(q)), 0, 1e-12);
        }
    }

    [Fact]
    public void Trials_repeat_report_and_can_be_cancelled()
    {
        using var stop = new CancellationTokenSource();
        SketchTrials Run(IProgress<ProgressReport>? progress = null, CancellationToken cancel = default) =>
            SketchTrials.Run(s => HardInstance.Spiky(256, 4, 2, s), s => new SrhtSketch(32, 256, s), 6, 11, progress, cancel);
        var reports = new List<ProgressReport>();
        SketchTrials first = Run(new Listener(reports.Add));
        Assert.Equal(first.Z, Run().Z);
        Assert.Equal([1, 2, 3, 4, 5, 6], reports.Select(r => (int)r.Done));
        Assert.Equal(first.Z.Order().ElementAt(0), first.Quantile(0));
        Assert.Equal(first.Z.Max(), first.Quantile(1));
        Assert.Equal((first.Solved[2] + first.Solved[3]) / 2, first.Quantile(0.5), 1e-12);
        Assert.True(double.IsNaN(new SketchTrials([double.NaN], [double.NaN], [[]]).Quantile(0.5)));
        Assert.Throws<OperationCanceledException>(() => Run(new Listener(r => stop.Cancel()), stop.Token));
    }

    [Fact]
    public void Bad_input_is_refused_by_name()
    {
        static string? Refused(Action action) => Assert.ThrowsAny<ArgumentException>(action).ParamName;
        using var scope = NewDisposeScope();
        Tensor A = Random([20, 3], 1), b = Random([20], 2);
        Assert.Equal("A", Refused(() => RegressionProblem.From(cat([A, A.narrow(1, 0, 1)], 1), b)));
        Assert.Equal("A", Refused(() => RegressionProblem.From(A.narrow(0, 0, 2), b.narrow(0, 0, 2))));
        Assert.Equal("b", Refused(() => RegressionProblem.From(A, b.narrow(0, 0, 19))));
        Assert.Equal("b", Refused(() => RegressionProblem.From(A, b * double.PositiveInfinity)));
        Assert.Equal("A", Refused(() => SketchedRegression.Solve(A.to(ScalarType.Float32), b, new CountSketch(10, 20, 1))));
        Assert.Equal("sketch", Refused(() => SketchedRegression.Solve(A, b, new CountSketch(10, 21, 1))));
        Assert.Equal("sketch", Refused(() => SketchedRegression.Solve(A, b, new CountSketch(2, 20, 1))));
        Assert.Equal("SA", Refused(() => SketchedRegression.SolveSketched(A.t(), b.narrow(0, 0, 3))));
        Assert.Equal("sketch", Refused(() => SketchedRegression.SolveKronecker(Random([5, 3], 1), Random([4, 3], 2), b, new TensorSrht(8, 5, 4, 1))));
        using RegressionProblem problem = HardInstance.Spiky(20, 3, 2, 1);
        Assert.Equal("sketch", Refused(() => SketchedRegression.Solve(problem, new CountSketch(2, 20, 1))));
        Assert.Equal("x", Refused(() => RegressionError.Of(problem, b, 5)));
        Assert.Equal("sketchRows", Refused(() => RegressionError.Of(problem, problem.Solution, 0)));
        Assert.Equal("inputs", Refused(() => HardInstance.Spiky(4, 3, 2, 1)));
        Assert.Equal("spikes", Refused(() => HardInstance.Spiky(4, 3, 0, 1)));
        Assert.Equal("unknowns", Refused(() => HardInstance.Spiky(4, 0, 1, 1)));
        Assert.Equal("inputs", Refused(() => HardInstance.Benign(3, 3, 1)));
        Assert.Equal("trials", Refused(() => SketchTrials.Run(_ => problem, s => new CountSketch(5, 20, s), 0, 1)));
        Assert.Equal("share", Refused(() => new SketchTrials([1], [1], [[1]]).Quantile(1.5)));
    }

    private sealed class Listener(Action<ProgressReport> action) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => action(value);
    }
}
