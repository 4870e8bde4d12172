using FsCheck;
using FsCheck.Fluent;
using Sparseland.Penalties;
using Sparseland.Solvers;
using Sparseland.Tests.Coding;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Solvers;

public sealed class SolverTests
{
    private static readonly SolverOptions s_tight = new() { Tolerance = 1e-13, MaxIterations = 200_000 };

    public static TheoryData<string> Solvers => ["ISTA", "FISTA", "FISTA, restarted", "coordinate descent"];

    [Theory]
    [MemberData(nameof(Solvers))]
    public void EverySolverFindsThePeersLasso(string name)
    {
        for (int s = 0; s < 3; s++)
        {
            SolveResult result = Solver(name, s_tight).Solve(Sample(s), new L1(Peer.Strength));
            Assert.True(result.Converged);
            Peer.Near(Peer.Lasso[(12 * s)..(12 * s + 12)], result.Coefficients, 2e-6);
        }
    }

    [Theory]
    [MemberData(nameof(Solvers))]
    public void NonNegativeAndElasticNetAreThePeers(string name)
    {
        for (int s = 0; s < 3; s++)
        {
            Peer.Near(Peer.NonNegative[(12 * s)..(12 * s + 12)], Solver(name, s_tight).Solve(Sample(s), new NonNegative(new L1(Peer.Strength))).Coefficients, 2e-6);
            Peer.Near(Peer.ElasticNet[(12 * s)..(12 * s + 12)], Solver(name, s_tight).Solve(Sample(s), new ElasticNet(0.2, 0.3)).Coefficients, 2e-6);
        }
    }

    [Fact]
    public void TheTwoScalingsDifferByTheLengthOfTheSignal()
    {
        using Tensor D = Peer.Dictionary(), X = Peer.X();
        SolveResult sum = new CoordinateDescent(s_tight).Solve(Sample(0), new L1(Peer.Strength));
        SolveResult mean = new CoordinateDescent(s_tight).Solve(LeastSquares.FromAtoms(D, X[0], LassoScaling.MeanSquares), new L1(Peer.Strength / 8));
        Peer.Near(sum.Coefficients, mean.Coefficients, 1e-9);
        Assert.Equal(sum.Objective, 8 * mean.Objective, 1e-12);
        using Tensor phi = D.t();
        Peer.Near(sum.Coefficients, new CoordinateDescent(s_tight).Solve(LeastSquares.FromPhi(phi, X[0]), new L1(Peer.Strength)).Coefficients, 1e-12);
    }

    // Claim 2 of the core: gap >= 0 always; at convergence |D^T r| <= lambda with equality on the support; zero iff lambda >= lambda_max.
    [Fact]
    public void TheGapCertifiesTheSolution() => Prop.ForAll<PositiveInt>(seed => Certified(seed.Get)).QuickCheckThrowOnFailure();

    private static void Certified(int seed)
    {
        using Tensor D = CodingData.Dictionary(30, 12, seed), x = CodingData.Random(1, 12, seed + 1);
        LeastSquares fit = LeastSquares.FromAtoms(D, x[0]);
        double largest = fit.LargestUsefulStrength(new L1(1)), strength = largest * (0.05 + 0.9 * (seed % 17) / 17);
        foreach (ISolver solver in new ISolver[] { new CoordinateDescent(s_tight), new ProximalGradient(Acceleration.FistaRestart, s_tight), new ProximalGradient(Acceleration.None, new SolverOptions { MaxIterations = 50 }) })
        {
            SolveResult result = solver.Solve(fit, new L1(strength));
            Assert.All(result.Trace, point => Assert.True(point.Certificate >= -1e-12 * fit.SquaredNorm));
            if (!result.Converged) continue;
            double[] correlations = Correlations(fit, result.Coefficients);
            for (int j = 0; j < 30; j++)
            {
                // gap = 1/2 |r - theta|^2 + sum_j (lambda |a_j| - a_j d_j^T theta), every term non-negative, bounds both.
                double gap = Math.Max(0, result.DualGap!.Value) + (1e-15 * fit.SquaredNorm), slack = Math.Sqrt(2 * gap) + 1e-12;
                Assert.True(Math.Abs(correlations[j]) <= strength + slack);
                double a = result.Coefficients[j];
                if (a != 0) Assert.True(strength - Math.Sign(a) * correlations[j] <= (gap / Math.Abs(a)) + slack);
            }
        }

        Assert.Empty(new CoordinateDescent().Solve(fit, new L1(largest)).Support);
        Assert.NotEmpty(new CoordinateDescent(s_tight).Solve(fit, new L1(0.999 * largest)).Support);
    }

    [Fact]
    public void GroupPenaltiesAgreeBetweenSolvers()
    {
        using Tensor D = CodingData.Dictionary(40, 20, 3), x = CodingData.Random(1, 20, 4);
        LeastSquares fit = LeastSquares.FromAtoms(D, x[0]);
        GroupPartition groups = GroupPartition.Consecutive(40, 4);
        foreach (IPenalty penalty in new IPenalty[] { new GroupLasso(groups, 0.1), new SparseGroupLasso(groups, 0.15), new NonNegative(new GroupLasso(groups, 0.1)) })
        {
            SolveResult descent = new CoordinateDescent(s_tight).Solve(fit, penalty), gradient = new ProximalGradient(Acceleration.FistaRestart, s_tight).Solve(fit, penalty);
            Assert.True(descent.Converged && gradient.Converged);
            Assert.Equal(gradient.Objective, descent.Objective, 1e-11);
            Peer.Near(gradient.Coefficients, descent.Coefficients, 1e-5);
            Assert.NotEmpty(descent.Support);
        }
    }

    [Fact]
    public void WeightsRescaleTheAtoms()
    {
        // Weighted l1 on D is l1 on atoms divided by their weights.
        using Tensor D = CodingData.Dictionary(30, 15, 5), x = CodingData.Random(1, 15, 6);
        double[] weights = [.. Enumerable.Range(0, 30).Select(j => 0.5 + j % 4)];
        using Tensor scaled = D.div(tensor(weights).unsqueeze(1));
        double[] weighted = new CoordinateDescent(s_tight).Solve(LeastSquares.FromAtoms(D, x[0]), new WeightedL1(0.2, weights)).Coefficients;
        double[] plain = new CoordinateDescent(s_tight).Solve(LeastSquares.FromAtoms(scaled, x[0]), new L1(0.2)).Coefficients;
        Peer.Near([.. plain.Select((v, j) => v / weights[j])], weighted, 1e-7);
        Peer.Near(weighted, new ProximalGradient(Acceleration.FistaRestart, s_tight).Solve(LeastSquares.FromAtoms(D, x[0]), new WeightedL1(0.2, weights)).Coefficients, 1e-5);
    }

    [Theory]
    [InlineData("SCAD")]
    [InlineData("MCP")]
    [InlineData("CEL0")]
    [InlineData("l1/2")]
    [InlineData("l0")]
    public void PenaltiesThatAreNotConvexEndAtAFixedPoint(string name)
    {
        using Tensor D = CodingData.Dictionary(40, 20, 7), x = CodingData.Random(1, 20, 8);
        LeastSquares fit = LeastSquares.FromAtoms(D, x[0]);
        IPenalty penalty = name switch { "SCAD" => new Scad(0.3), "MCP" => new Mcp(0.3), "CEL0" => new Cel0(0.1), "l1/2" => new LHalf(0.2), _ => new L0(0.1) };
        double[] start = new CoordinateDescent().Solve(fit, new L1(0.3)).Coefficients;
        SolveResult result = new CoordinateDescent(new SolverOptions { Tolerance = 1e-10 }).Solve(fit, penalty, start);
        Assert.True(result.Converged);
        Assert.Null(result.DualGap);
        Assert.True(result.Objective <= Objective(fit, penalty, start) + 1e-12);
        double[] gradient = [.. Correlations(fit, result.Coefficients).Select(c => -c)];
        for (int j = 0; j < 40; j++)
        {
            double[] one = [result.Coefficients[j]];
            Assert.True(Optimality.FixedPointResidual<double>(penalty, one, [gradient[j]], 1) <= 1e-8);
        }
    }

    [Fact]
    public void IstaNeverRisesAndRestartsHelp()
    {
        LeastSquares fit = Sample(1);
        var every = new SolverOptions { Tolerance = 1e-12, CheckEvery = 1, MaxIterations = 100_000 };
        SolveResult ista = new ProximalGradient(Acceleration.None, every).Solve(fit, new L1(0.05));
        for (int i = 1; i < ista.Trace.Count; i++) Assert.True(ista.Trace[i].Objective <= ista.Trace[i - 1].Objective + 1e-14);
        int fista = new ProximalGradient(Acceleration.Fista, every).Solve(fit, new L1(0.05)).Iterations;
        int restarted = new ProximalGradient(Acceleration.FistaRestart, every).Solve(fit, new L1(0.05)).Iterations;
        Assert.True(fista < ista.Iterations && restarted < fista, $"{ista.Iterations}, {fista}, {restarted}");
    }

    [Fact]
    public void AWarmStartAtTheSolutionNeedsNoIteration()
    {
        double[] solution = new CoordinateDescent(s_tight).Solve(Sample(0), new L1(0.1)).Coefficients;
        foreach (ISolver solver in new ISolver[] { new CoordinateDescent(), new ProximalGradient() })
        {
            SolveResult again = solver.Solve(Sample(0), new L1(0.1), solution);
            Assert.Equal(0, again.Iterations);
            Assert.Equal(solution, again.Coefficients);
        }
    }

    [Fact]
    public void TheIterationLimitShows()
    {
        SolveResult result = new ProximalGradient(Acceleration.None, new SolverOptions { MaxIterations = 3 }).Solve(Sample(0), new L1(0.01));
        Assert.False(result.Converged);
        Assert.Equal(3, result.Iterations);
        Assert.True(result.DualGap > 0);
    }

    [Fact]
    public void DuplicatedAtomsShareWithoutNaN()
    {
        using Tensor D = CodingData.Dictionary(10, 6, 9), twice = cat([D, D], 0), x = CodingData.Random(1, 6, 10);
        foreach (ISolver solver in new ISolver[] { new CoordinateDescent(s_tight), new ProximalGradient(Acceleration.FistaRestart, s_tight) })
        {
            SolveResult single = solver.Solve(LeastSquares.FromAtoms(D, x[0]), new L1(0.1)), both = solver.Solve(LeastSquares.FromAtoms(twice, x[0]), new L1(0.1));
            Assert.Equal(single.Objective, both.Objective, 1e-10);
            Peer.Near(single.Coefficients, [.. Enumerable.Range(0, 10).Select(j => both.Coefficients[j] + both.Coefficients[j + 10])], 1e-5);
        }
    }

    [Fact]
    public void LogisticRegressionIsStationary()
    {
        using Tensor D = CodingData.Random(12, 60, 11);
        DenseMap map = DenseMap.FromAtoms(D);
        double[] truth = new double[12], z = new double[60];
        (truth[2], truth[7]) = (2, -3);
        map.Apply(truth, z);
        var fit = new Logistic(map, [.. z.Select(v => v > 0 ? 1.0 : -1.0)]);
        SolveResult result = new ProximalGradient(Acceleration.FistaRestart, new SolverOptions { Tolerance = 1e-9, MaxIterations = 100_000 }).Solve(fit, new L1(0.05));
        Assert.True(result.Converged);
        double[] derivative = new double[60], gradient = new double[12], distance = new double[12];
        map.Apply(result.Coefficients, z);
        fit.Derivative(z, derivative);
        map.Adjoint(derivative, gradient);
        new L1(0.05).SubdifferentialDistance<double>(result.Coefficients, gradient, distance);
        Assert.True(distance.Max() < 1e-7);
        Assert.Equal([2, 7], result.Support.Where(j => Math.Abs(result.Coefficients[j]) > 0.5));
        Assert.Throws<ArgumentException>(() => new CoordinateDescent().Solve(fit, new L1(0.05)));
    }

    [Fact]
    public void MapsAreAdjointAndReadTheCallersMemory()
    {
        using Tensor D = CodingData.Random(700, 500, 12), dense = DenseMap.FromAtoms(D).ToDense();
        DenseMap map = DenseMap.FromAtoms(D);
        double[] a = [.. Enumerable.Range(0, 700).Select(i => Math.Sin(i))], r = [.. Enumerable.Range(0, 500).Select(i => Math.Cos(i))], z = new double[500], q = new double[700];
        map.Apply(a, z);
        map.Adjoint(r, q);
        Assert.Equal(z.Zip(r, (u, v) => u * v).Sum(), a.Zip(q, (u, v) => u * v).Sum(), 1e-8);
        Peer.Near(dense.mv(tensor(a)).data<double>().ToArray(), z, 1e-9);
        Assert.Throws<ArgumentException>(() => map.Apply(r, z));
    }

    [Fact]
    public void BadInputIsNamed()
    {
        using Tensor D = Peer.Dictionary(), X = Peer.X(), broken = D.clone(), zero = D.clone();
        broken[3, 2] = double.NaN;
        zero[5] = zeros([8], dtype: ScalarType.Float64);
        Assert.Contains("atom 3", Assert.Throws<ArgumentException>(() => LeastSquares.FromAtoms(broken, X[0])).Message);
        Assert.Contains("Atom 5", Assert.Throws<ArgumentException>(() => LeastSquares.FromAtoms(zero, X[0])).Message);
        Assert.Throws<ArgumentException>(() => LeastSquares.FromPhi(D, X[0]));
        Assert.Throws<ArgumentException>(() => LeastSquares.FromAtoms(D, X));
        Assert.Throws<ArgumentException>(() => new LeastSquares(DenseMap.FromAtoms(D), [1, 2, 3, 4, 5, 6, 7, double.NaN]));
        Assert.Throws<ArgumentException>(() => new CoordinateDescent().Solve(Sample(0), new L1(0.1), new double[5]));
        Assert.Throws<ArgumentException>(() => new CoordinateDescent().Solve(Sample(0), new WeightedL1(1, [1, 2])));
        Assert.Throws<ArgumentException>(() => new CoordinateDescent().Solve(Sample(0), new NonNegative(new L1(0.1)), [-1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        Assert.Throws<ArgumentException>(() => new ProximalGradient().Solve(Sample(0), new Mcp(0.1)));
        Assert.Throws<ArgumentOutOfRangeException>(() => new L1(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new WeightedL1(1, [1, 0]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new CoordinateDescent(new SolverOptions { Tolerance = -1 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new CoordinateDescent(new SolverOptions { MaxIterations = 0 }));
        Assert.Throws<ArgumentException>(() => new Logistic(DenseMap.FromAtoms(D), [1, -1, 1, -1, 1, -1, 1, 0]));
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => new CoordinateDescent().Solve(Sample(0), new L1(0.1), default, null, cancelled.Token));
        Assert.Throws<OperationCanceledException>(() => new ProximalGradient().Solve(Sample(0), new L1(0.1), default, null, cancelled.Token));
    }

    internal static LeastSquares Sample(int s)
    {
        using Tensor D = Peer.Dictionary(), X = Peer.X();
        return LeastSquares.FromAtoms(D, X[s]);
    }

    private static double[] Correlations(LeastSquares fit, double[] a)
    {
        double[] z = new double[fit.Map.Outputs], c = new double[fit.Map.Inputs];
        fit.Map.Apply(a, z);
        for (int i = 0; i < z.Length; i++) z[i] = fit.Target[i] - z[i];
        fit.Map.Adjoint(z, c);
        return c;
    }

    private static double Objective(LeastSquares fit, IPenalty penalty, double[] a)
    {
        double[] z = new double[fit.Map.Outputs];
        fit.Map.Apply(a, z);
        return fit.Value(z) + penalty.Value<double>(a);
    }

    private static ISolver Solver(string name, SolverOptions options) => name switch
    {
        "ISTA" => new ProximalGradient(Acceleration.None, options),
        "FISTA" => new ProximalGradient(Acceleration.Fista, options),
        "FISTA, restarted" => new ProximalGradient(Acceleration.FistaRestart, options),
        _ => new CoordinateDescent(options),
    };
}
