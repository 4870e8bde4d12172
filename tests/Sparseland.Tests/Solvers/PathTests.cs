using Sparseland.Penalties;
using Sparseland.Solvers;
using Sparseland.Tests.Coding;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Solvers;

public sealed class PathTests
{
    [Fact]
    public void TheKnotsAreThePeers()
    {
        LarsPath path = Lars.Solve(SolverTests.Sample(0));
        Peer.Near(Peer.Knots, path.Knots[..8], 1e-9);
        Peer.Near(Peer.AtEnd, path.Coefficients[^1], 1e-8);
        Assert.Empty(path.Excluded);
    }

    [Fact]
    public void BetweenTheKnotsItIsCoordinateDescent()
    {
        using Tensor D = CodingData.Dictionary(60, 25, 1), x = CodingData.Random(1, 25, 2);
        LeastSquares fit = LeastSquares.FromAtoms(D, x[0]);
        foreach (bool positive in new[] { false, true })
        {
            LarsPath path = Lars.Solve(fit, positive: positive);
            foreach (double share in new[] { 1.5, 0.8, 0.4, 0.1, 0.02 })
            {
                double strength = share * path.Knots[0];
                IPenalty penalty = positive ? new NonNegative(new L1(strength)) : new L1(strength);
                SolveResult solved = new CoordinateDescent(new SolverOptions { Tolerance = 1e-15, MaxIterations = 500_000 }).Solve(fit, penalty);
                Peer.Near(solved.Coefficients, path.At(strength), 1e-6);
            }
        }
    }

    [Fact]
    public void ADuplicateIsExcluded()
    {
        using Tensor D = CodingData.Dictionary(10, 8, 3), twice = cat([D, D[0].unsqueeze(0)], 0), x = CodingData.Random(1, 8, 4);
        LarsPath path = Lars.Solve(LeastSquares.FromAtoms(twice, x[0])), single = Lars.Solve(LeastSquares.FromAtoms(D, x[0]));
        Assert.Contains(path.Excluded, j => j is 0 or 10);
        double[] a = path.At(0.05), b = single.At(0.05);
        Peer.Near(b[1..], a[1..10], 1e-8);
        Assert.Equal(b[0], a[0] + a[10], 1e-8);
    }

    [Fact]
    public void TheGridStartsAtZeroAndWarmStartsSaveSweeps()
    {
        using Tensor D = CodingData.Dictionary(60, 25, 5), x = CodingData.Random(1, 25, 6);
        LeastSquares fit = LeastSquares.FromAtoms(D, x[0]);
        PathResult path = RegularizationPath.Solve(fit, new L1(1), 20, 1e-2);
        Assert.Empty(path.Solutions[0].Support);
        Assert.All(path.Solutions, s => Assert.True(s.Converged));
        Assert.Equal(0.01, path.Strengths[^1] / path.Strengths[0], 1e-12);
        SolveResult cold = new CoordinateDescent().Solve(fit, new L1(path.Strengths[^1]));
        Assert.Equal(cold.Objective, path.Solutions[^1].Objective, 1e-5);
        Assert.Equal(20, RegularizationPath.Solve(fit, new Mcp(1), 20).Solutions.Length);
    }

    [Fact]
    public void BadInputIsNamed()
    {
        LeastSquares fit = SolverTests.Sample(0);
        Assert.Throws<ArgumentOutOfRangeException>(() => Lars.Solve(fit, -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Lars.Solve(fit, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => Lars.Solve(fit, 1).At(0.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => RegularizationPath.Solve(fit, new L1(1), 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => RegularizationPath.Solve(fit, new L1(1), 5, 2));
        using Tensor D = Peer.Dictionary();
        Assert.Throws<ArgumentException>(() => RegularizationPath.Solve(new LeastSquares(DenseMap.FromAtoms(D), new double[8]), new L1(1)));
    }

    [Fact]
    public void The_path_answers_at_the_strength_it_was_followed_to()
    {
        using var scope = NewDisposeScope();
        LarsPath path = Lars.Solve(LeastSquares.FromPhi(tensor(new double[,] { { 1 }, { 2 }, { 3 } }), tensor(new double[] { 1, 1, 2 })), 6.0 / 41);
        Assert.Equal(6.0 / 41, path.Knots[^1]);
        Assert.Equal((9 - (6.0 / 41)) / 14, path.At(6.0 / 41)[0], 1e-14);
        for (int seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            using LeastSquares fit = LeastSquares.FromPhi(CodingData.Random(6, 9, seed), CodingData.Random(6, 1, seed + 1000).view(-1));
            double smallest = fit.LargestUsefulStrength(new L1(1)) * random.NextDouble();
            LarsPath followed = Lars.Solve(fit, smallest);
            Assert.Equal(smallest, followed.Knots[^1]);
            Assert.Equal(9, followed.At(smallest).Length);
        }
    }

    /// <summary>Maps, fits and greedy solvers that nobody disposes: 500 of 8 MB each must not pile up, for the collector sees them.</summary>
}
