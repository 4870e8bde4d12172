using Sparseland.LowRank;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

public class RobustPcaTests
{
    [Theory]
    [InlineData(10, 0.05)]
    [InlineData(20, 0.10)]
    public void A_planted_pair_is_recovered(int rank, double share)
    {
        using var scope = NewDisposeScope();
        (Tensor M, Tensor L) = Planted(200, rank, share, 1);
        using LowRankPlusSparse found = RobustPca.Admm(M);
        Assert.True(found.Converged);
        Assert.InRange(found.Residuals.Count, 10, 40);
        Assert.True(LowRankData.Distance(found.L, L) < 3e-6, $"{LowRankData.Distance(found.L, L)}");
        Assert.Equal(rank, found.Rank);
    }

    [Fact]
    public void Beyond_the_edge_it_converges_to_another_pair()
    {
        using var scope = NewDisposeScope();
        (Tensor M, Tensor L) = Planted(200, 40, 0.2, 1);
        using LowRankPlusSparse found = RobustPca.Admm(M);
        Assert.True(found.Converged);
        Assert.True(LowRankData.Distance(found.L, L) > 0.05);
        Assert.True(LowRankData.Distance(found.L + found.S, M) < 2e-7);
    }

    [Fact]
    public void The_steps_are_those_of_the_iteration_in_NumPy()
    {
        // The same iteration in numpy 1.24, float64: 35 steps; entries of S.
        double[] M =
        [
            1.001, 0.438, 0.359, 4.443, -0.008, -0.05, -0.441, -0.037, 1.368, 0.599, 0.491, 0.605, -0.011, -0.068, -0.602, -0.05, 0.636, 4.278, 0.228, 0.281, -0.005, -0.031, -0.28, -0.023,
            -1.413, -0.618, -0.507, -0.625, 0.011, 0.07, 0.622, 0.052, -0.3, -0.131, -0.108, -0.133, 0.002, 0.015, 0.132, 0.011, 3.096, -0.395, -0.324, -0.4, 0.007, 0.045, 0.398, 0.033,
            -0.458, -0.201, -0.164, -0.203, 0.004, 0.023, 0.202, 0.017, 1.984, 0.868, 0.712, 0.878, -0.016, -0.098, -0.874, -0.072,
        ];
        using var scope = NewDisposeScope();
        foreach (Tensor matrix in new[] { tensor(M, [8, 8]), tensor(M, [8, 8]).t() })
        {
            using LowRankPlusSparse found = RobustPca.Admm(matrix);
            Tensor S = matrix.is_contiguous() ? found.S : found.S.t();
            Assert.Equal(35, found.Residuals.Count);
            Assert.Equal(4.000029537, S[0, 3].item<double>(), 1e-6);
            Assert.Equal(3.999346633, S[2, 1].item<double>(), 1e-6);
            Assert.Equal(3.678527958, S[5, 0].item<double>(), 1e-6);
            Assert.Equal(0.187886272, S[0, 0].item<double>(), 1e-6);
        }
    }

    [Fact]
    public void Alternating_projections_never_raise_the_residual_and_do_not_undo_gross_corruption()
    {
        using var scope = NewDisposeScope();
        Tensor W = LowRankData.Gaussian(40, 30, 2);
        using LowRankPlusSparse both = AlternatingProjections.Of(W, 5, 60), alone = AlternatingProjections.Of(W, 5, 0);
        for (int i = 1; i < both.Residuals.Count; i++) Assert.True(both.Residuals[i] <= both.Residuals[i - 1] + 1e-12);
        Assert.Equal(60, both.S.count_nonzero().item<long>());
        Assert.True(both.Residuals[^1] < alone.Residuals[^1]);
        using FactorPair best = TruncatedSvd.Of(W, 5);
        Assert.True(LowRankData.Distance(alone.L, best.Product()) < 1e-12);
        (Tensor M, Tensor L) = Planted(200, 10, 0.05, 1);
        using LowRankPlusSparse local = AlternatingProjections.Of(M, 10, 2_000, 20);
        Assert.True(LowRankData.Distance(local.L, L) > 0.5);
    }

    [Fact]
    public void Zero_matrices_cancellation_and_bad_input()
    {
        using var scope = NewDisposeScope();
        using LowRankPlusSparse zero = RobustPca.Admm(zeros([4, 5])), none = AlternatingProjections.Of(zeros([4, 5]), 1, 1);
        Assert.True(zero.Converged && none.Converged);
        Assert.Equal(0, zero.Rank);
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        Tensor M = LowRankData.Gaussian(10, 10, 1);
        Assert.Throws<OperationCanceledException>(() => RobustPca.Admm(M, cancel: stop.Token));
        Assert.Throws<OperationCanceledException>(() => AlternatingProjections.Of(M, 2, 3, cancel: stop.Token));
        Assert.Throws<ArgumentOutOfRangeException>(() => RobustPca.Admm(M, new() { Growth = 1 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => RobustPca.Admm(M, new() { Lambda = double.NaN }));
        Assert.Throws<ArgumentException>(() => RobustPca.Admm(M * double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => AlternatingProjections.Of(M, 11, 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => AlternatingProjections.Of(M, 1, 101));
        using LowRankPlusSparse cut = RobustPca.Admm(M, new() { MaxSteps = 2 });
        Assert.False(cut.Converged);
    }

    /// <summary>A product of two normal matrices of deviation 1/sqrt(n), and signs on a share of the entries.</summary>
    private static (Tensor M, Tensor L) Planted(long n, int rank, double share, ulong seed)
    {
        var generator = new Generator(seed);
        Tensor L = randn([n, rank], dtype: ScalarType.Float64, generator: generator).mm(randn([rank, n], dtype: ScalarType.Float64, generator: generator)) / n;
        Tensor S = (rand([n, n], dtype: ScalarType.Float64, generator: generator) < share).to(ScalarType.Float64) * randn([n, n], dtype: ScalarType.Float64, generator: generator).sign();
        return (L + S, L);
    }
}
