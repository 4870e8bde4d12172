using FsCheck;
using FsCheck.Fluent;
using Sparseland.Unmixing;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Unmixing;

public class BaselineTests
{
    [Fact]
    public void Fully_constrained_least_squares_meets_its_conditions()
    {
        // g = M^T (M a - y): equal to one number mu where a > 0, at least mu where a = 0.
        Gen<(int Seed, int Endmembers, int Channels)> problems =
            from seed in Gen.Choose(1, 1_000_000)
            from endmembers in Gen.Choose(1, 6)
            from channels in Gen.Choose(6, 12)
            select (seed, endmembers, channels);
        Prop.ForAll(problems.ToArbitrary(), p =>
        {
            using var scope = NewDisposeScope();
            Tensor M = UnmixingData.Uniform(p.Channels, p.Endmembers, p.Seed), Y = UnmixingData.Uniform(p.Channels, 4, p.Seed + 1, -0.5, 1.5);
            Tensor A = FullyConstrainedLeastSquares.Abundances(Y, M), slope = M.t().mm(M.mm(A) - Y);
            Assert.InRange((A.sum([0L]) - 1).abs().max().item<double>(), 0, 1e-14);
            Assert.True(A.min().item<double>() >= 0);
            for (int n = 0; n < 4; n++)
            {
                double[] a = [.. A.select(1, n).contiguous().data<double>()], g = [.. slope.select(1, n).contiguous().data<double>()];
                double mu = a.Zip(g, (share, steepness) => share * steepness).Sum();
                for (int k = 0; k < a.Length; k++) Assert.InRange(g[k] - mu, -1e-9, a[k] > 1e-9 ? 1e-9 : double.PositiveInfinity);
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(200));
    }

    [Fact]
    public void Fully_constrained_least_squares_has_the_closed_form_of_two()
    {
        // a = clip((y - m_2) . (m_1 - m_2) / |m_1 - m_2|^2, 0, 1).
        using var scope = NewDisposeScope();
        Tensor M = UnmixingData.Uniform(5, 2, 3), Y = UnmixingData.Uniform(5, 40, 4, -1, 2), apart = M.select(1, 0) - M.select(1, 1);
        Tensor share = (Y - M.select(1, 1).unsqueeze(1)).t().mv(apart).div(apart.square().sum()).clamp(0, 1);
        Assert.InRange(UnmixingData.Gap(share, FullyConstrainedLeastSquares.Abundances(Y, M)[0]), 0, 1e-12);
        Assert.Contains(0.0, share.data<double>().ToArray());
    }

    [Fact]
    public void Exact_mixtures_are_found_whatever_their_scale()
    {
        using var scope = NewDisposeScope();
        Tensor A = UnmixingSteps.Normalize(UnmixingData.Uniform(4, 30, 1, 0, 1)), M = UnmixingData.Uniform(9, 4, 2);
        A = cat([A, eye(4, dtype: ScalarType.Float64)], 1);
        foreach (double scale in new[] { 1, 1e6, 1e-6 })
            Assert.InRange(UnmixingData.Gap(A, FullyConstrainedLeastSquares.Abundances(M.mm(A) * scale, M * scale)), 0, 1e-8);

        // Two equal endmembers share a unit somehow; the fit is as good.
        Tensor twice = cat([M, M.narrow(1, 0, 1)], 1), shared = FullyConstrainedLeastSquares.Abundances(M.mm(A), twice);
        Assert.InRange(UnmixingData.Gap(M.mm(A), twice.mm(shared)), 0, 1e-8);
        Assert.Throws<ArgumentException>(() => FullyConstrainedLeastSquares.Abundances(M.mm(A), M.narrow(0, 0, 8)));
        Assert.Throws<ArgumentException>(() => FullyConstrainedLeastSquares.Abundances(M.mm(A) * double.NaN, M));
        using var source = new CancellationTokenSource();
        source.Cancel();
        Assert.Throws<OperationCanceledException>(() => FullyConstrainedLeastSquares.Abundances(M.mm(A), M, source.Token));
    }

    [Fact]
    public void Successive_projection_finds_pure_pixels()
    {
        using var scope = NewDisposeScope();
        Tensor M = UnmixingData.Uniform(12, 4, 6), A = UnmixingSteps.Normalize(UnmixingData.Uniform(4, 50, 7, 0.01, 1));
        int[] places = [33, 4, 18, 46];
        for (int k = 0; k < 4; k++)
        {
            for (int i = 0; i < 4; i++) A[i, places[k]] = i == k ? 1.0 : 0.0;
        }

        Tensor Y = M.mm(A);
        int[] found = EndmemberInit.SpaPixels(Y, 4);
        Assert.Equal(places.Order(), found.Order());
        Assert.Equal(Y.square().sum([0L]).argmax().item<long>(), found[0]);
        Assert.InRange(UnmixingData.Gap(EndmemberInit.Spa(Y, 4).select(1, 2), Y.select(1, found[2])), 0, 0);
        Assert.Equal(4, EndmemberInit.SpaPixels(Y, 4).Distinct().Count());
        Assert.Contains("span 4 dimensions", Assert.Throws<ArgumentException>(() => EndmemberInit.SpaPixels(Y, 5)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => EndmemberInit.SpaPixels(Y, 13));
    }

    [Fact]
    public void First_abundances_are_even_up_to_their_jitter()
    {
        using var scope = NewDisposeScope();
        Tensor a = EndmemberInit.EvenAbundances(4, 100, 3), same = EndmemberInit.EvenAbundances(4, 100, 3), other = EndmemberInit.EvenAbundances(4, 100, 4);
        Assert.Equal(0, UnmixingData.Gap(a, same));
        Assert.True(UnmixingData.Gap(a, other) > 1e-3);
        Assert.InRange(a.min().item<double>(), 0.225, 0.23);
        Assert.InRange(a.max().item<double>(), 0.27, 0.275);
        Assert.Equal(0.25, EndmemberInit.EvenAbundances(4, 2, 1, 0).max().item<double>());
        Assert.Throws<ArgumentOutOfRangeException>(() => EndmemberInit.EvenAbundances(4, 2, 1, 1));
    }

    [Fact]
    public void Metrics_match_by_angle_and_know_no_brightness()
    {
        using var scope = NewDisposeScope();
        Assert.Equal(Math.PI / 4, UnmixingMetrics.SpectralAngle([1, 0], [3, 3]), 1e-15);
        Assert.Equal(1e-9, UnmixingMetrics.SpectralAngle([1, 0], [2, 2e-9]), 1e-15);
        Assert.Equal(0, UnmixingMetrics.SpectralAngle([1e-200, 2e-200], [1e200, 2e200]), 1e-15);
        Tensor M = UnmixingData.Uniform(10, 4, 8), A = UnmixingData.Uniform(4, 6, 9);
        long[] order = [2, 0, 3, 1];
        Tensor mixed = M.index_select(1, tensor(order)) * 3.0, rows = A.index_select(0, tensor(order));
        EndmemberMatch match = UnmixingMetrics.Match(mixed, M);
        Assert.Equal([1, 3, 0, 2], match.Assignment);
        Assert.InRange(match.MeanAngle, 0, 1e-12);
        Assert.Equal(0, UnmixingMetrics.AbundanceRmse(rows, A, match.Assignment));
        Tensor off = A.clone();
        off[0, 5] = off[0, 5] + 0.5;
        Assert.Equal(0.5 / Math.Sqrt(24), UnmixingMetrics.AbundanceRmse(off, A), 1e-12);
        Assert.Equal(0.5 / Math.Sqrt(8), UnmixingMetrics.AbundanceRmse(off, A, pixels: [5, 0]), 1e-12);

        // A channel that is left out cannot count.
        mixed[7] = 100.0;
        Assert.InRange(UnmixingMetrics.Match(mixed, M, [0, 1, 2, 3, 4, 5, 6, 8, 9]).MeanAngle, 0, 1e-12);
        Assert.True(UnmixingMetrics.Match(mixed, M).MeanAngle > 0.5);
        Assert.Throws<ArgumentException>(() => UnmixingMetrics.Match(mixed, M, [10]));
        Assert.Throws<ArgumentException>(() => UnmixingMetrics.Match(mixed, M.narrow(1, 0, 3)));
        Assert.Throws<ArgumentException>(() => UnmixingMetrics.AbundanceRmse(A, A, [0, 1]));
        Assert.Throws<ArgumentException>(() => UnmixingMetrics.AbundanceRmse(A, A, pixels: [6]));
        Assert.Throws<ArgumentException>(() => UnmixingMetrics.SpectralAngle([0, 0], [1, 1]));
        Assert.Throws<ArgumentException>(() => UnmixingMetrics.SpectralAngle([1], [1, 1]));
        Assert.Throws<ArgumentException>(() => UnmixingMetrics.SpectralAngle([1, double.NaN], [1, 1]));
    }
}
