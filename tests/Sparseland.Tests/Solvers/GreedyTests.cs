using Sparseland.Coding;
using Sparseland.Solvers;
using Sparseland.Tests.Coding;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Solvers;

public sealed class GreedyTests
{
    [Fact]
    public void EasyProblemsAreSolvedExactly()
    {
        foreach (int seed in new[] { 1, 2, 3 })
        {
            (LeastSquares fit, double[] truth) = Problem(seed, 5);
            var options = new SolverOptions { Tolerance = 1e-12, MaxIterations = 5000 };
            foreach (SolveResult result in new[] { Cosamp.Solve(fit, 5, options), HardThresholding.Niht(fit, 5, options) })
            {
                Assert.True(result.Converged);
                Peer.Near(truth, result.Coefficients, 1e-9);
                Assert.Equal(5, result.Support.Length);
            }
        }
    }

    [Fact]
    public void CosampLeavesACircle()
    {
        // Almost as many non-zeros as measurements, every column twice: the supports repeat and the residual never falls below them.
        foreach (int seed in new[] { 1, 2, 3, 4 })
        {
            using var scope = NewDisposeScope();
            var random = new Random(seed);
            double[,] values = new double[30, 80];
            for (int i = 0; i < 30; i++)
            {
                for (int j = 0; j < 80; j++) values[i, j] = j < 40 ? random.NextDouble() - 0.5 : values[i, j - 40];
            }

            Tensor phi = tensor(values), y = tensor(Enumerable.Range(0, 30).Select(_ => random.NextDouble() - 0.5).ToArray());
            SolveResult result = Cosamp.Solve(LeastSquares.FromPhi(phi, y), 28), longer = Cosamp.Solve(LeastSquares.FromPhi(phi, y), 28, new SolverOptions { MaxIterations = 2 * result.Iterations });
            Assert.NotEqual(StopReason.IterationLimit, result.StopReason);
            Assert.InRange(result.Iterations, 2, 2_000);
            Peer.Near(result.Coefficients, longer.Coefficients, 1e-9);
        }
    }

    [Fact]
    public void IhtNeedsASmallMapAndThenNeverRises()
    {
        (LeastSquares fit, _) = Problem(4, 4);
        Assert.Contains("||M||_2 < 1", Assert.Throws<ArgumentException>(() => HardThresholding.Iht(fit, 4)).Message);
        using Tensor dense = fit.Map.ToDense(), small = dense.div(2.6), y = tensor(fit.Target.ToArray()).div(2.6);
        SolveResult result = HardThresholding.Iht(LeastSquares.FromPhi(small, y), 4, new SolverOptions { Tolerance = 1e-10, MaxIterations = 20_000 });
        for (int i = 1; i < result.Trace.Count; i++) Assert.True(result.Trace[i].Objective <= result.Trace[i - 1].Objective + 1e-14);
        Assert.True(result.Converged);
        Assert.True(result.Support.Length <= 4);
    }

    [Fact]
    public void NihtNeverRises()
    {
        using Tensor phi = CodingData.Random(20, 60, 6), y = CodingData.Random(1, 20, 7);
        SolveResult result = HardThresholding.Niht(LeastSquares.FromPhi(phi, y[0]), 8, new SolverOptions { Tolerance = 1e-8 });
        for (int i = 1; i < result.Trace.Count; i++) Assert.True(result.Trace[i].Objective <= result.Trace[i - 1].Objective * (1 + 1e-12));
    }

    [Fact]
    public void CosampReturnsTheBestCodeItSaw()
    {
        using Tensor phi = CodingData.Random(20, 60, 8), y = CodingData.Random(1, 20, 9);
        SolveResult result = Cosamp.Solve(LeastSquares.FromPhi(phi, y[0]), 9, new SolverOptions { MaxIterations = 30 });
        Assert.Equal(result.Trace.Min(p => p.Objective), result.Objective, 1e-12);
        Assert.True(result.Support.Length <= 9);
    }

    [Fact]
    public void DependentColumnsGiveNumbers()
    {
        using Tensor D = CodingData.Dictionary(10, 8, 10), twice = cat([D, D], 0), x = CodingData.Random(1, 8, 11);
        LeastSquares fit = LeastSquares.FromAtoms(twice, x[0]);
        Assert.All(Cosamp.Solve(fit, 6, new SolverOptions { MaxIterations = 50 }).Coefficients, v => Assert.True(double.IsFinite(v)));
        Assert.All(HardThresholding.Niht(fit, 6, new SolverOptions { MaxIterations = 50 }).Coefficients, v => Assert.True(double.IsFinite(v)));
    }

    [Fact]
    public void AZeroTargetIsSolvedByZero()
    {
        using Tensor D = Peer.Dictionary();
        var fit = new LeastSquares(DenseMap.FromAtoms(D), new double[8]);
        Assert.Empty(Cosamp.Solve(fit, 3).Support);
        Assert.Empty(HardThresholding.Niht(fit, 3).Support);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(9)]
    public void SparsityOutOfRangeIsNamed(int sparsity)
    {
        LeastSquares fit = SolverTests.Sample(0);
        Assert.Contains("from 1 to", Assert.Throws<ArgumentOutOfRangeException>(() => Cosamp.Solve(fit, sparsity)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => HardThresholding.Niht(fit, sparsity));
        Assert.Throws<ArgumentOutOfRangeException>(() => HardThresholding.Iht(fit, sparsity));
    }

    [Fact]
    public void OmpStopsAtTheSquaredError()
    {
        using Tensor D = Peer.Dictionary(), X = Peer.X();
        using PursuitResult result = BatchOmp.EncodeToError(X, D, 0.5);
        using Tensor dense = result.ToDense();
        Peer.Near(Peer.OmpToError, dense.data<double>().ToArray(), 1e-12);
        Assert.Equal(0, result.StoppedEarly);
        Assert.All(result.ResidualNormSquared.data<double>().ToArray(), e => Assert.True(e <= 0.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => BatchOmp.EncodeToError(X, D, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => BatchOmp.EncodeToError(X, D, double.NaN));
    }

    internal static (LeastSquares Fit, double[] Truth) Problem(int seed, int sparsity)
    {
        using Tensor D = CodingData.Dictionary(100, 50, seed);
        double[] truth = new double[100], y = new double[50];
        var random = new Random(seed);
        for (int k = 0; k < sparsity; k++) truth[(7 * seed + 19 * k) % 100] = (random.Next(2) * 2 - 1) * (1 + random.NextDouble());
        DenseMap map = DenseMap.FromAtoms(D);
        map.Apply(truth, y);
        return (new LeastSquares(map, y), truth);
    }
}
