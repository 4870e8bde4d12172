using Sparseland.Coding;
using Sparseland.Penalties;
using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Solvers;

/// <summary>
/// A design that nobody has centred, 120 x 400, uniform in [1, 3): all columns share a direction. Objectives from scikit-learn 1.2.1, Lasso and
/// ElasticNet(l1_ratio=0.9) with tol=1e-14, without intercept.
/// </summary>
public sealed class CorrelatedDesignTests
{
    private const int Rows = 120, Columns = 400;

    [Theory]
    [InlineData("lasso", 0.01, 0.24318563949868527)]
    [InlineData("lasso", 0.001, 0.03338416172517757)]
    [InlineData("positive", 0.01, 0.3046131559916118)]
    [InlineData("positive", 0.001, 0.20375971118535893)]
    [InlineData("net", 0.01, 0.2295759406798395)]
    [InlineData("net", 0.001, 0.03129407231518649)]
    public void TheDefaultsConvergeToThePeersObjective(string name, double share, double expected)
    {
        using var scope = NewDisposeScope();
        (Tensor phi, Tensor y) = Draw();
        LeastSquares fit = LeastSquares.FromPhi(phi, y, LassoScaling.MeanSquares);
        Assert.Equal(6.896708149549736, fit.LargestUsefulStrength(new L1(1)), 1e-12);
        double alpha = share * fit.LargestUsefulStrength(new L1(1));
        SolveResult rough = new CoordinateDescent().Solve(fit, Penalty(name, alpha));
        Assert.True(rough.Converged);
        Assert.InRange(rough.Objective - expected, -1e-12, 1e-6 * fit.SquaredNorm / Rows);
        SolveResult exact = new CoordinateDescent(new() { Tolerance = 1e-12, MaxIterations = 100_000 }).Solve(fit, Penalty(name, alpha));
        Assert.True(exact.Converged);
        Assert.Equal(1, exact.Objective / expected, 1e-9);

        // The coder of many samples sees the same design as a dictionary, and its objective without 1/m.
        var coder = new CoordinateCoder(Penalty(name, alpha * Rows), new() { Tolerance = 1e-12, MaxIterations = 100_000 });
        using CoordinateCodes codes = coder.Encode(y.unsqueeze(0), phi.t());
        Assert.True(codes.Converged);
        double squares = codes.Codes.mm(phi.t()).sub(y).square().sum().item<double>() / 2;
        Assert.Equal(1, (squares + coder.Penalty.Value(codes.Codes)) / Rows / expected, 1e-9);
    }

    /// <summary>Deep in the path plain sweeps need tens of thousands; the extrapolation a fraction of them.</summary>
    [Fact]
    public void ExtrapolationSavesMostSweeps()
    {
        using var scope = NewDisposeScope();
        (Tensor phi, Tensor y) = Draw();
        LeastSquares fit = LeastSquares.FromPhi(phi, y, LassoScaling.MeanSquares);
        SolveResult result = new CoordinateDescent(new() { Tolerance = 1e-12, MaxIterations = 100_000 })
            .Solve(fit, new L1(0.001 * fit.LargestUsefulStrength(new L1(1))));
        Assert.InRange(result.Iterations, 1, 12_000);
    }

    private static IPenalty Penalty(string name, double alpha) => name switch
    {
        "lasso" => new L1(alpha),
        "positive" => new NonNegative(new L1(alpha)),
        _ => new ElasticNet(0.9 * alpha, 0.1 * alpha),
    };

    private static (Tensor Phi, Tensor Y) Draw()
    {
        ulong state = 7;
        double Next()
        {
            state = unchecked((state * 6364136223846793005) + 1442695040888963407);
            return ((state >> 33) / 2147483648.0 * 2) - 1;
        }

        double[] x = [.. Enumerable.Range(0, Rows * Columns).Select(_ => Next() + 2)], w = [.. Enumerable.Range(0, Columns / 50).Select(_ => Next())];
        double[] y = new double[Rows];
        for (int i = 0; i < Rows; i++)
        {
            for (int k = 0; k < w.Length; k++) y[i] += x[(i * Columns) + (50 * k)] * w[k];
            y[i] += 0.2 * Next();
        }

        return (tensor(x, [Rows, Columns]), tensor(y));
    }
}
