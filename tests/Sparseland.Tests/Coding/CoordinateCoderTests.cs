using Sparseland.Coding;
using Sparseland.Penalties;
using Sparseland.Solvers;
using Sparseland.Tests.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Coding;

public sealed class CoordinateCoderTests
{
    [Fact]
    public void CodesAreThePeers()
    {
        using Tensor D = Peer.Dictionary(), X = Peer.X();
        var tight = new CoordinateCoderOptions { Tolerance = 1e-14, MaxIterations = 100_000 };
        Peer.Near(Peer.Lasso, Values(new CoordinateCoder(new L1(Peer.Strength), tight).Codes(X, D)), 1e-6);
        Peer.Near(Peer.NonNegative, Values(new CoordinateCoder(new NonNegative(new L1(Peer.Strength)), tight).Codes(X, D)), 1e-6);
        Peer.Near(Peer.ElasticNet, Values(new CoordinateCoder(new ElasticNet(0.2, 0.3), tight).Codes(X, D)), 1e-6);
    }

    [Theory]
    [InlineData("l1")]
    [InlineData("weighted")]
    [InlineData("elastic")]
    [InlineData("MCP")]
    [InlineData("l0")]
    public void EachSampleIsSolvedAsByTheSingleSolver(string name)
    {
        using Tensor D = CodingData.Dictionary(50, 20, 1), scaled = D.mul(1.3), X = CodingData.Planted(D, 40, 3, 2);
        IPenalty penalty = name switch
        {
            "l1" => new L1(0.1), "weighted" => new WeightedL1(0.1, [.. Enumerable.Range(0, 50).Select(j => 1 + j % 3 * 0.5)]), "elastic" => new ElasticNet(0.1, 0.2), "MCP" => new Mcp(0.2), _ => new L0(0.05),
        };
        using CoordinateCodes codes = new CoordinateCoder(penalty, new CoordinateCoderOptions { Tolerance = 1e-12, MaxIterations = 100_000 }).Encode(X, scaled);
        Assert.True(codes.Converged);
        double[] all = codes.Codes.data<double>().ToArray();
        for (int s = 0; s < 40; s++)
        {
            LeastSquares fit = LeastSquares.FromAtoms(scaled, X[s]);
            double[] code = all[(50 * s)..(50 * s + 50)];
            SolveResult at = new CoordinateDescent(new SolverOptions { Tolerance = 1e-9 }).Solve(fit, penalty, code);

            // Its certificate is the solver's: a start there needs no step.
            Assert.Equal(0, at.Iterations);
            if (penalty.IsConvex) Peer.Near(new CoordinateDescent(new SolverOptions { Tolerance = 1e-13 }).Solve(fit, penalty).Coefficients, code, 1e-5);
        }
    }

    [Fact]
    public void CertificatesHold()
    {
        using Tensor D = CodingData.Dictionary(96, 32, 3), X = CodingData.Planted(D, 500, 4, 4);
        using CoordinateCodes codes = new CoordinateCoder(new L1(0.08)).Encode(X, D);
        Assert.True(codes.Converged);
        Assert.All(codes.Certificates, c => Assert.InRange(c, -1e-12, 1e-6));
        double[] all = codes.Codes.data<double>().ToArray();
        for (int s = 0; s < 500; s += 50)
        {
            SolveResult solved = new CoordinateDescent(new SolverOptions { Tolerance = 1e-12 }).Solve(LeastSquares.FromAtoms(D, X[s]), new L1(0.08));
            SolveResult ours = new CoordinateDescent(new SolverOptions { Tolerance = 1, MaxIterations = 1 }).Solve(LeastSquares.FromAtoms(D, X[s]), new L1(0.08), all[(96 * s)..(96 * s + 96)]);
            Assert.InRange(ours.Objective - solved.Objective, -1e-9, 1e-6 * 2 * ours.Trace[0].Objective + 1e-5);
        }
    }

    [Fact]
    public void WarmStartsAndThreadsDoNotChangeTheSolution()
    {
        using Tensor D = CodingData.Dictionary(60, 30, 5), X = CodingData.Planted(D, 5000, 4, 6);
        var coder = new CoordinateCoder(new L1(0.1), new CoordinateCoderOptions { Tolerance = 1e-10 });
        using CoordinateCodes first = coder.Encode(X, D), second = coder.Encode(X, D), warm = coder.Encode(X, D, first.Codes);
        Assert.True(first.Codes.Equals(second.Codes));
        Assert.True(CodingData.MaxDifference(first.Codes, warm.Codes) < 1e-12);
        Assert.All(warm.Sweeps, s => Assert.Equal(0, s));

        // A block boundary or another neighbour does not matter either.
        using Tensor part = X.narrow(0, 4000, 200);
        using Tensor alone = coder.Codes(part, D);
        Assert.True(CodingData.MaxDifference(first.Codes.narrow(0, 4000, 200), alone) < 1e-13);
    }

    [Fact]
    public void Float32IsSolvedInFloat64()
    {
        using Tensor D = CodingData.Dictionary(40, 20, 7, ScalarType.Float32), X = CodingData.Planted(D, 50, 3, 8);
        using Tensor X64 = X.to(ScalarType.Float64), D64 = D.to(ScalarType.Float64);
        using Tensor single = new CoordinateCoder(new L1(0.1)).Codes(X, D), exact = new CoordinateCoder(new L1(0.1)).Codes(X64, D64);
        Assert.Equal(ScalarType.Float32, single.dtype);
        Assert.True(CodingData.MaxDifference(single, exact) < 1e-6);
    }

    [Fact]
    public void DuplicatesZeroSamplesAndLimitsAreHarmless()
    {
        using Tensor D = CodingData.Dictionary(20, 10, 9), twice = cat([D, D], 0), X = CodingData.Planted(D, 20, 3, 10);
        X[4] = zeros([10], dtype: ScalarType.Float64);
        using CoordinateCodes codes = new CoordinateCoder(new L1(0.05)).Encode(X, twice);
        Assert.True(codes.Converged && codes.Codes.isfinite().all().item<bool>());
        Assert.Equal(0, codes.Codes[4].count_nonzero().item<long>());
        using CoordinateCodes hurried = new CoordinateCoder(new L1(0.01), new CoordinateCoderOptions { MaxIterations = 1, Tolerance = 1e-12 }).Encode(X, twice);
        Assert.True(hurried.NotConverged > 10);
        Assert.False(hurried.Converged);
    }

    [Fact]
    public void BadInputIsNamed()
    {
        using Tensor D = CodingData.Dictionary(20, 10, 11), X = CodingData.Planted(D, 5, 2, 12), narrow = X.narrow(1, 0, 9), nan = X.clone();
        nan[0, 0] = double.PositiveInfinity;
        var coder = new CoordinateCoder(new L1(0.1));
        Assert.Throws<ArgumentException>(() => coder.Encode(narrow, D));
        Assert.Throws<ArgumentException>(() => coder.Encode(nan, D));
        using Tensor empty = zeros([0, 10], dtype: ScalarType.Float64), none = zeros_like(D);
        Assert.Throws<ArgumentException>(() => coder.Encode(empty, D));
        Assert.Contains("Atom 0", Assert.Throws<ArgumentException>(() => coder.Encode(X, none)).Message);
        Assert.Throws<ArgumentException>(() => coder.Encode(X, D, X));
        Assert.Throws<ArgumentException>(() => new CoordinateCoder(new GroupLasso(GroupPartition.Consecutive(20, 4), 0.1)));
        Assert.Throws<ArgumentException>(() => new CoordinateCoder(new WeightedL1(1, [1, 1])).Encode(X, D));
        Assert.Throws<ArgumentOutOfRangeException>(() => new CoordinateCoder(new L1(0.1), new CoordinateCoderOptions { Tolerance = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new CoordinateCoder(new L1(-0.1)));
        using Tensor large = D.mul(0.5);
        Assert.Throws<ArgumentOutOfRangeException>(() => new CoordinateCoder(new Mcp(0.1, 3)).Encode(X, large));
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => coder.Encode(X, D, cancel: cancelled.Token));
    }

    private static double[] Values(Tensor codes)
    {
        using (codes) return codes.data<double>().ToArray();
    }
}
