using FsCheck;
using FsCheck.Fluent;
using Sparseland.Unmixing;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Unmixing;

public class UnmixingStepsTests
{
    private const double Slack = 1e-10;

    [Fact]
    public void No_update_raises_the_objective()
    {
        Gen<(int Seed, int Endmembers, int Channels, int Pixels, bool IsRobust, double Lambda, double Delta)> problems =
            from seed in Gen.Choose(1, 1_000_000)
            from endmembers in Gen.Choose(2, 5)
            from channels in Gen.Choose(endmembers, 12)
            from pixels in Gen.Choose(endmembers, 16)
            from isRobust in Gen.Elements(true, false)
            from lambda in Gen.Elements(0, 0.05, 0.3, 1)
            from delta in Gen.Elements(0.0, 1, 3)
            select (seed, endmembers, channels, pixels, isRobust, lambda, delta);
        Prop.ForAll(problems.ToArbitrary(), p =>
        {
            using var scope = NewDisposeScope();
            (Tensor Y, Tensor M, Tensor A) = UnmixingData.Problem(p.Channels, p.Pixels, p.Endmembers, p.Seed);
            double[] h = UnmixingData.Guidance(p.Pixels, p.Seed);
            return LargestRise(Y, M, A, p.IsRobust ? UnmixingLoss.RobustL21 : UnmixingLoss.Squared, h, p.Lambda, p.Delta, 60) <= Slack;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(60));
    }

    [Theory]
    [InlineData(UnmixingLoss.Squared)]
    [InlineData(UnmixingLoss.RobustL21)]
    public void A_factor_of_two_in_the_weights_or_in_the_penalty_does_raise_it(UnmixingLoss loss)
    {
        // What the test above rests on: a step that is right stays at the end of a run, one with the slip leaves it upwards.
        using var scope = NewDisposeScope();
        (Tensor Y, Tensor M, Tensor A) = UnmixingData.Problem(9, 14, 3, 5);
        double[] h = UnmixingData.Guidance(14, 6);
        (Y, M, A) = UnmixingData.Settled(Y, M, A, loss, h, 0.3, 2, 3000);
        Assert.InRange(LargestRise(Y, M, A, loss, h, 0.3, 2, 5), double.NegativeInfinity, Slack);
        Assert.True(LargestRise(Y, M, A, loss, h, 0.3, 2, 5, penaltySlip: 2) > 1e-5);
        Assert.True(LargestRise(Y, M, A, loss, h, 0.3, 2, 5, weightSlip: 2) > 1e-5);
    }

    /// <summary>The largest relative rise of the objective at any update of A or M.</summary>
    private static double LargestRise(
        Tensor Y, Tensor M, Tensor A, UnmixingLoss loss, double[] h, double lambda, double delta, int sweeps, double penaltySlip = 1, double weightSlip = 1)
    {
        using var scope = NewDisposeScope();
        double rise = double.NegativeInfinity, before = UnmixingSteps.Objective(Y, M, A, loss, h, lambda, delta);
        void Look()
        {
            double now = UnmixingSteps.Objective(Y, M, A, loss, h, lambda, delta);
            rise = Math.Max(rise, (now - before) / before);
            before = now;
        }

        for (int sweep = 0; sweep < sweeps; sweep++)
        {
            double[] u = loss == UnmixingLoss.RobustL21 ? UnmixingSteps.ChannelWeights(Y, M, A) : [.. Enumerable.Repeat(1.0, (int)Y.shape[0])];
            A = UnmixingSteps.UpdateAbundances(Y, M, A, [.. u.Select(w => w * weightSlip)], h, lambda * penaltySlip, delta);
            Look();
            M = UnmixingSteps.UpdateEndmembers(Y, M, A);
            Look();
        }

        return rise;
    }

    [Fact]
    public void Channel_weights_cancel_in_the_update_of_endmembers() => Prop.ForAll<PositiveInt>(seed =>
    {
        using var scope = NewDisposeScope();
        (Tensor Y, Tensor M, Tensor A) = UnmixingData.Problem(8, 11, 3, seed.Get);
        double[] u = [.. UnmixingData.Uniform(1, 8, seed.Get, -6, 6).exp().data<double>()];
        Tensor plain = UnmixingSteps.UpdateEndmembers(Y, M, A), weighted = UnmixingSteps.UpdateEndmembers(Y, M, A, u);
        return ((plain - weighted).abs() / plain).max().item<double>() <= 1e-12 && UnmixingData.Gap(plain, M) > 1e-3;
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(40));

    [Fact]
    public void A_bad_channel_changes_its_own_row_of_the_endmembers_only()
    {
        using var scope = NewDisposeScope();
        (Tensor Y, Tensor M, Tensor A) = UnmixingData.Problem(8, 11, 3, 3);
        Tensor clean = UnmixingSteps.UpdateEndmembers(Y, M, A), other = Y.clone();
        other[4] = other[4] * 100 + 7;
        Tensor spoilt = UnmixingSteps.UpdateEndmembers(other, M, A);
        for (int l = 0; l < 8; l++) Assert.Equal(l != 4, UnmixingData.Gap(clean[l], spoilt[l]) < 1e-13);
    }

    [Fact]
    public void Steps_are_the_formulas()
    {
        // Entry by entry, written as in the paper's notation.
        using var scope = NewDisposeScope();
        (Tensor Y, Tensor M, Tensor A) = UnmixingData.Problem(6, 7, 3, 9);
        double[] h = UnmixingData.Guidance(7, 2), u = UnmixingSteps.ChannelWeights(Y, M, A, 0.01);
        double[,] y = Rows(Y), m = Rows(M), a = Rows(A), newA = Rows(UnmixingSteps.UpdateAbundances(Y, M, A, u, h, 0.3, 1.7)), newM = Rows(UnmixingSteps.UpdateEndmembers(Y, M, A));
        double objective = 0, squared = 0;
        double Fit(int l, int n) => Enumerable.Range(0, 3).Sum(k => m[l, k] * a[k, n]);
        for (int l = 0; l < 6; l++)
        {
            double residual = Enumerable.Range(0, 7).Sum(n => Math.Pow(y[l, n] - Fit(l, n), 2));
            Assert.Equal(1 / Math.Sqrt(residual + 1e-4), u[l], 1e-13);
            objective += Math.Sqrt(residual + 1e-4);
            squared += residual / 2;
            for (int k = 0; k < 3; k++)
            {
                double above = Enumerable.Range(0, 7).Sum(n => y[l, n] * a[k, n]), below = Enumerable.Range(0, 7).Sum(n => Fit(l, n) * a[k, n]);
                Assert.Equal(m[l, k] * above / below, newM[l, k], 1e-13);
            }
        }

        double penalty = 0;
        for (int n = 0; n < 7; n++)
        {
            double sum = a[0, n] + a[1, n] + a[2, n];
            penalty += 1.7 * 1.7 / 2 * (sum - 1) * (sum - 1);
            for (int k = 0; k < 3; k++)
            {
                double above = Enumerable.Range(0, 6).Sum(l => m[l, k] * u[l] * y[l, n]) + (1.7 * 1.7);
                double below = Enumerable.Range(0, 6).Sum(l => m[l, k] * u[l] * Fit(l, n)) + (1.7 * 1.7 * sum) + (0.3 * (1 - h[n]) * Math.Pow(a[k, n], -h[n]));
                Assert.Equal(a[k, n] * above / below, newA[k, n], 1e-13);
                penalty += 0.3 * Math.Pow(a[k, n], 1 - h[n]);
            }
        }

        Assert.Equal(objective + penalty, UnmixingSteps.Objective(Y, M, A, UnmixingLoss.RobustL21, h, 0.3, 1.7, 0.01), 1e-12);
        Assert.Equal(squared + penalty, UnmixingSteps.Objective(Y, M, A, UnmixingLoss.Squared, h, 0.3, 1.7), 1e-12);
    }

    [Fact]
    public void With_sums_of_one_the_l1_penalty_is_inert()
    {
        // delta = 10; the normalised abundances move by less than 2e-3 although lambda goes from 0 to 0.3. With p = 1/2 they do move.
        using var scope = NewDisposeScope();
        using var scene = Sparseland.Data.HyperspectralScene.TwoRegions(new() { Height = 12, Width = 12, Channels = 30, Endmembers = 4, BadChannels = 3 }, 2);
        UnmixingOptions options = new() { SumToOneWeight = 10, MaxSweeps = 300, Tolerance = 0 };
        Tensor Fit(AbundanceSparsity sparsity) => SpectralUnmixing.FitAbundances(scene.Pixels, scene.Endmembers, options with { Sparsity = sparsity }).Abundances;
        Tensor free = Fit(AbundanceSparsity.None);
        Assert.InRange(UnmixingMetrics.AbundanceRmse(Fit(AbundanceSparsity.Fixed(1, 0.3)), free), 1e-7, 2e-3);
        double moved = UnmixingMetrics.AbundanceRmse(Fit(AbundanceSparsity.Fixed(0.5, 0.3)), free);
        Assert.True(moved > 0.01, $"{moved}");
    }

    [Fact]
    public void A_channel_that_is_fitted_perfectly_has_the_weight_of_eps()
    {
        using var scope = NewDisposeScope();
        Tensor M = UnmixingData.Uniform(5, 2, 1), A = UnmixingData.Uniform(2, 6, 2), Y = M.mm(A);
        Y[3] = Y[3] + 0.5;
        double[] u = UnmixingSteps.ChannelWeights(Y, M, A, 1e-6);
        Assert.Equal(1e6, u[0], 1e-2);
        Assert.Equal(1 / Math.Sqrt(6 * 0.25), u[3], 1e-10);
        Tensor next = UnmixingSteps.UpdateAbundances(Y, M, A, u, null, 0);
        Assert.True(next.isfinite().all().item<bool>());
    }

    [Fact]
    public void Zeros_are_raised_to_the_floor_and_never_become_nan()
    {
        using var scope = NewDisposeScope();
        (Tensor Y, Tensor M, Tensor A) = UnmixingData.Problem(6, 7, 3, 4);
        A = A.clone();
        M = M.clone();
        A[1, 2] = 0.0;
        A[0] = zeros(7, dtype: ScalarType.Float64);
        M[2] = zeros(3, dtype: ScalarType.Float64);
        double[] h = [.. Enumerable.Repeat(0.9, 7)];
        Tensor nextA = UnmixingSteps.UpdateAbundances(Y, M, A, UnmixingSteps.ChannelWeights(Y, M, A), h, 0.5, 0), nextM = UnmixingSteps.UpdateEndmembers(Y, M, A);
        foreach (Tensor next in new[] { nextA, nextM })
        {
            Assert.True(next.isfinite().all().item<bool>());
            Assert.True(next.min().item<double>() >= UnmixingSteps.Floor);
        }

        // lambda (1-h) A^-h is near 1e7 at the floor with h = 0.9: an entry there stays there.
        Assert.Equal(UnmixingSteps.Floor, nextA[1, 2].item<double>());
    }

    [Fact]
    public void Guidance_is_the_capped_purity_of_each_pixel()
    {
        using var scope = NewDisposeScope();
        Tensor A = tensor(new[,] { { 1, 0.25, 0.7, 0 }, { 0, 0.25, 0.2, 3 }, { 0, 0.25, 0.1, 1 }, { 0, 0.25, 0, 0 } });
        double[] gini = GuidanceMap.Learn(A, cap: 0.95), hoyer = GuidanceMap.Learn(A, PurityMeasure.Hoyer, 0.8);
        Assert.Equal(0.95, gini[0]);
        Assert.Equal(0, gini[1], 14);
        Assert.Equal(11.0 / 15, gini[2], 14);
        Assert.Equal(0.8, hoyer[0]);
        Assert.Equal(0, hoyer[1], 14);
        Assert.Equal(2 - (4 / Math.Sqrt(10)), hoyer[3], 14);
        double[] smooth = GuidanceMap.Smooth([0, 0.9, 0, 0, 0, 0.3], 2, 3);
        Assert.Equal([0.9 / 4, 0.2, 0.3, 0.9 / 4, 0.2, 0.3], smooth.Select(v => Math.Round(v, 14)));
        Assert.Throws<ArgumentException>(() => GuidanceMap.Smooth([0, 1], 2, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => GuidanceMap.Learn(A, cap: 1));
        Assert.Throws<ArgumentException>(() => GuidanceMap.Learn(A[TensorIndex.Slice(0, 1)]));
    }

    [Fact]
    public void Columns_are_normalised_to_one()
    {
        using var scope = NewDisposeScope();
        Tensor A = UnmixingSteps.Normalize(UnmixingData.Uniform(3, 5, 1));
        Assert.InRange((A.sum([0L]) - 1).abs().max().item<double>(), 0, 1e-15);
        Assert.Contains("Column 1", Assert.Throws<ArgumentException>(() => UnmixingSteps.Normalize(tensor(new[,] { { 1.0, 0 }, { 2, 0 } }))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bad_input_of_a_step_is_named()
    {
        using var scope = NewDisposeScope();
        (Tensor Y, Tensor M, Tensor A) = UnmixingData.Problem(6, 7, 3, 4);
        void Throws(Action act, string text) => Assert.Contains(text, Assert.ThrowsAny<ArgumentException>(act).Message, StringComparison.Ordinal);
        Throws(() => UnmixingSteps.ChannelWeights(Y, M, A.t()), "must be [3, 7]");
        Throws(() => UnmixingSteps.ChannelWeights(Y, M.t(), A), "M has 3 channels and Y 6");
        Throws(() => UnmixingSteps.ChannelWeights(Y.to(ScalarType.Float32), M, A), "Float32");
        Throws(() => UnmixingSteps.ChannelWeights(Y, M, A, 0), "epsilon");
        Throws(() => UnmixingSteps.ChannelWeights(null!, M, A), "Y");
        Throws(() => UnmixingSteps.UpdateAbundances(Y, M - 0.5, A, null, null, 0.1), "M holds");
        Throws(() => UnmixingSteps.UpdateAbundances(Y, M, A, [1, 2], null, 0.1), "weights has 2 values for 6 channels");
        Throws(() => UnmixingSteps.UpdateAbundances(Y, M, A, null, [0, 0, 0, 0, 1, 0, 0], 0.1), "guidance[4] is 1");
        Throws(() => UnmixingSteps.UpdateAbundances(Y, M, A, null, null, -0.1), "lambda");
        Throws(() => UnmixingSteps.UpdateAbundances(Y, M, A, null, null, 0.1, double.NaN), "sumToOneWeight");
        Throws(() => UnmixingSteps.UpdateEndmembers(Y, M, A, [1, 1, 1, 0, 1, 1]), "weights[3] is 0");
        Throws(() => UnmixingSteps.UpdateEndmembers(Y / 0.0, M, A), "Y[0, 0] is not finite");
        Throws(() => UnmixingSteps.Objective(Y, M, A, (UnmixingLoss)7, null, 0.1), "Loss");
    }

    private static double[,] Rows(Tensor matrix)
    {
        double[,] rows = new double[matrix.shape[0], matrix.shape[1]];
        for (int i = 0; i < rows.GetLength(0); i++)
        {
            for (int j = 0; j < rows.GetLength(1); j++) rows[i, j] = matrix[i, j].item<double>();
        }

        return rows;
    }
}
