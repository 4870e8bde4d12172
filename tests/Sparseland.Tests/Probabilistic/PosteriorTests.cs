using Sparseland.Probabilistic;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Probabilistic;

public class PosteriorTests
{
    public static TheoryData<string> Models => [.. BruteForce.Names];

    [Theory]
    [MemberData(nameof(Models))]
    public void Without_truncation_likelihood_and_marginals_are_the_sums_over_all_states(string name)
    {
        using var scope = NewDisposeScope();
        TruncatedSparseCoder model = BruteForce.Make(name);
        (Tensor data, _) = model.Sample(6, 3);
        var exact = Truncation.Exact(model.Components);
        double[][] points = BruteForce.Rows(data);
        ExpectationStep e = model.Expect(data, exact);
        using PosteriorInference inference = model.Infer(data, exact);
        double[][] activity = BruteForce.Rows(inference.Activity), mean = BruteForce.Rows(inference.Mean);
        for (int n = 0; n < points.Length; n++)
        {
            (double log, double[] active, double[] means) = BruteForce.Posterior(model, points[n]);
            Assert.Equal(log, e.PointLogLikelihood[n], 1e-10);
            Assert.Equal(log, inference.LogLikelihood[n], 1e-10);
            for (int h = 0; h < model.Components; h++)
            {
                Assert.Equal(active[h], activity[n][h], 1e-10);
                if (model is not SpikeSlabSparseCoding) Assert.Equal(means[h], mean[n][h], 1e-10);
            }
        }

        Assert.Equal(e.LogLikelihood, model.LogLikelihood(data, exact), 1e-13);
        Assert.Equal(e.LogLikelihood, e.FreeEnergy, 1e-13);
        Assert.Equal(e.LogLikelihood, e.CutLogLikelihood, 1e-13);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_large_truncation_that_has_no_common_table_gives_the_same(string name)
    {
        // With many components the max models and the spike and slab compute each point's states anew.
        using var scope = NewDisposeScope();
        TruncatedSparseCoder large = BruteForce.Make(name, 80, 7), model = BruteForce.Make(name, 5, 7);
        if (name == "MCA") large = new MaximalCauses(BruteForce.Gaussian(80, 7, 1).abs() + 0.05, 0.05, 0.6);
        (Tensor data, _) = large.Sample(4, 3);
        using PosteriorInference inference = large.Infer(data, new(6, 4), topK: 1);
        double[][] points = BruteForce.Rows(data);
        for (int n = 0; n < 4; n++)
        {
            double[] best = inference.States[n, 0].contiguous().data<double>().ToArray();
            double joint = BruteForce.LogPrior(large, best) + BruteForce.LogLikelihood(large, best, points[n]);
            Assert.Equal(joint, inference.LogLikelihood[n] + Math.Log(inference.Probabilities[n, 0].item<double>()), 1e-9);
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_truncated_posterior_converges_to_the_exact_one_from_below(string name)
    {
        using var scope = NewDisposeScope();
        TruncatedSparseCoder model = BruteForce.Make(name);
        (Tensor data, _) = model.Sample(40, 4);
        var exact = Truncation.Exact(model.Components);
        double target = model.LogLikelihood(data, exact), before = double.NegativeInfinity;
        Tensor truth = model.Infer(data, exact).Activity;
        double firstError = 0, error = 0;
        for (int active = 1; active <= model.Components; active++)
        {
            double log = model.LogLikelihood(data, new(model.Components, active));
            Assert.True(log >= before - 1e-12, $"gamma {active}: {log} after {before}");
            Assert.True(log <= target + 1e-12);
            before = log;
            error = (model.Infer(data, new(model.Components, active)).Activity - truth).abs().mean().item<double>();
            if (active == 1) firstError = error;
        }

        Assert.Equal(target, before, 1e-12);
        Assert.InRange(error, 0, 1e-12);
        Assert.True(firstError > 0.01, $"gamma = 1 is exact already: {firstError}");

        before = double.NegativeInfinity;
        for (int candidates = 2; candidates <= model.Components; candidates++)
        {
            double log = model.LogLikelihood(data, new(candidates, 2));
            Assert.True(log >= before - 1e-12, $"H' {candidates}: {log} after {before}");
            before = log;
        }
    }

    [Fact]
    public void Every_single_component_is_looked_at_even_with_one_candidate()
    {
        // Without that, a component that no point prefers could never be taken up again.
        using var scope = NewDisposeScope();
        TruncatedSparseCoder model = BruteForce.Make("BSC");
        (Tensor data, _) = model.Sample(5, 5);
        double[][] points = BruteForce.Rows(data);
        ExpectationStep e = model.Expect(data, new(1, 1));
        for (int n = 0; n < 5; n++)
        {
            double[] joint = [.. BruteForce.States(model).Where(s => s.Count(v => v != 0) <= 1)
                .Select(s => BruteForce.LogPrior(model, s) + BruteForce.LogLikelihood(model, s, points[n]))];
            Assert.Equal(Math.Log(joint.Sum(Math.Exp)), e.PointLogLikelihood[n], 1e-10);
        }
    }

    [Theory]
    [InlineData("MCA")]
    [InlineData("MMCA")]
    public void Hard_and_smooth_maxima_differ_by_no_more_than_the_bound(string name)
    {
        using var scope = NewDisposeScope();
        TruncatedSparseCoder model = name == "MCA" ? BruteForce.Make(name) : new MaximumMagnitudeCauses(BruteForce.Gaussian(5, 7, 1).abs() + 0.05, 0.3, 0.6);
        var max = (MaxSparseCoding)model;
        double rho = max.Rho(1);
        Assert.Equal(name == "MCA" ? 21 : 6, rho, 1e-9);
        foreach (double[] state in BruteForce.States(model))
        {
            int[] active = [.. Enumerable.Range(0, 5).Where(h => state[h] != 0)];
            double[] smooth = max.SmoothMaximum(active), hard = model.Superpose(tensor(state, [1, 5])).data<double>().ToArray();
            for (int d = 0; d < 7; d++)
                Assert.InRange(smooth[d], hard[d] - 1e-12, (hard[d] * Math.Pow(Math.Max(1, active.Length), 1 / rho)) + 1e-12);
        }
    }

    [Theory]
    [InlineData("MCA")]
    [InlineData("MMCA")]
    public void The_hard_maximum_has_its_own_exact_posterior(string name)
    {
        using var scope = NewDisposeScope();
        TruncatedSparseCoder soft = BruteForce.Make(name);
        TruncatedSparseCoder hard = soft is MaximalCauses mca ? mca.WithHardness(MaxHardness.Hard) : ((MaximumMagnitudeCauses)soft).WithHardness(MaxHardness.Hard);
        (Tensor data, _) = hard.Sample(4, 6);
        double[][] points = BruteForce.Rows(data);
        ExpectationStep e = hard.Expect(data, Truncation.Exact(5));
        for (int n = 0; n < 4; n++) Assert.Equal(BruteForce.Posterior(hard, points[n]).LogLikelihood, e.PointLogLikelihood[n], 1e-10);
        Assert.NotEqual(e.LogLikelihood, soft.LogLikelihood(data, Truncation.Exact(5)), 1e-6);
    }

    [Fact]
    public void Weights_of_opposite_sign_that_cancel_do_not_break_the_signed_maximum()
    {
        using var scope = NewDisposeScope();
        Tensor w = tensor(new double[,] { { 2, 1, 0 }, { -2, 1, 3 }, { 0, 0, 1 } });
        var model = new MaximumMagnitudeCauses(w, 0.3, 0.5);
        (Tensor data, _) = model.Sample(50, 7);
        TruncatedEmResult<MaximumMagnitudeCauses> result = TruncatedEm.Run(model, data, new() { Truncation = Truncation.Exact(3), Schedule = new() { Steps = 3 } });
        Assert.True(double.IsFinite(result.LogLikelihood));
        Assert.True(result.Model.Dictionary().isfinite().all().item<bool>());
    }

    [Fact]
    public void Moments_of_the_spike_and_slab_are_those_of_its_mixture()
    {
        using var scope = NewDisposeScope();
        var model = (SpikeSlabSparseCoding)BruteForce.Make("GSC diagonal");
        (Tensor data, _) = model.Sample(3, 8);
        using PosteriorInference inference = model.Infer(data, Truncation.Exact(5));
        double[][] points = BruteForce.Rows(data), means = BruteForce.Rows(inference.Mean), variances = BruteForce.Rows(inference.Variance!);
        for (int n = 0; n < 3; n++)
        {
            double log = BruteForce.Posterior(model, points[n]).LogLikelihood;
            double[] mean = new double[5], second = new double[5];
            foreach (double[] state in BruteForce.States(model))
            {
                double weight = Math.Exp(BruteForce.LogPrior(model, state) + BruteForce.LogLikelihood(model, state, points[n]) - log);
                SlabPosterior slab = model.Slab(tensor(points[n]), [.. Enumerable.Range(0, 5).Where(h => state[h] != 0)]);
                for (int i = 0; i < slab.Active.Length; i++)
                {
                    mean[slab.Active[i]] += weight * slab.Mean[i];
                    second[slab.Active[i]] += weight * (slab.Covariance[i, i] + (slab.Mean[i] * slab.Mean[i]));
                }
            }

            for (int h = 0; h < 5; h++)
            {
                Assert.Equal(mean[h], means[n][h], 1e-10);
                Assert.Equal(second[h] - (mean[h] * mean[h]), variances[n][h], 1e-10);
            }
        }
    }

    [Fact]
    public void The_slab_posterior_is_that_of_a_linear_gaussian_model()
    {
        // Condition (z, y) jointly: E z = mu + Psi W^T C^-1 (y - W mu), Cov z = Psi - Psi W^T C^-1 W Psi.
        using var scope = NewDisposeScope();
        var model = (SpikeSlabSparseCoding)BruteForce.Make("GSC diagonal");
        Tensor y = model.Sample(1, 9).Data[0];
        int[] active = [3, 1];
        SlabPosterior slab = model.Slab(y, active);
        Assert.Equal([1, 3], slab.Active);
        Tensor w = model.Dictionary().index_select(0, tensor(new long[] { 1, 3 })).t(), psi = diag(tensor(new[] { model.SlabVariances[1], model.SlabVariances[3] }));
        Tensor mu = tensor(new[] { model.SlabMeans[1], model.SlabMeans[3] });
        Tensor c = linalg.inv(w.mm(psi).mm(w.t()) + diag(tensor(model.NoiseVariances.ToArray())));
        Tensor mean = mu + psi.mm(w.t()).mm(c).mv(y - w.mv(mu)), covariance = psi - psi.mm(w.t()).mm(c).mm(w).mm(psi);
        for (int i = 0; i < 2; i++)
        {
            Assert.Equal(mean[i].item<double>(), slab.Mean[i], 1e-10);
            for (int j = 0; j < 2; j++) Assert.Equal(covariance[i, j].item<double>(), slab.Covariance[i, j], 1e-10);
        }
    }

    [Fact]
    public void A_unit_slab_is_the_same_model()
    {
        using var scope = NewDisposeScope();
        var model = (SpikeSlabSparseCoding)BruteForce.Make("GSC");
        SpikeSlabSparseCoding unit = model.WithUnitSlab();
        (Tensor data, _) = model.Sample(30, 10);
        Assert.Equal(model.LogLikelihood(data, new(4, 3)), unit.LogLikelihood(data, new(4, 3)), 1e-10);
        Assert.All(unit.SlabVariances, v => Assert.Equal(1, v));
        Assert.All(unit.SlabMeans, m => Assert.True(m >= 0));
    }

    [Fact]
    public void Top_states_come_in_order_and_all_of_them_add_up_to_one()
    {
        using var scope = NewDisposeScope();
        TruncatedSparseCoder model = BruteForce.Make("TSC", components: 3);
        (Tensor data, _) = model.Sample(10, 11);
        using PosteriorInference all = model.Infer(data, Truncation.Exact(3), topK: 27), five = model.Infer(data, Truncation.Exact(3), topK: 5);
        Assert.InRange((all.Probabilities.sum([1L]) - 1).abs().max().item<double>(), 0, 1e-12);
        foreach (double[] p in BruteForce.Rows(all.Probabilities)) Assert.Equal(p.OrderDescending(), p);
        Assert.True(five.Probabilities.equal(all.Probabilities[.., ..5]).all().item<bool>());
        Assert.Equal(27, BruteForce.Rows(all.States[0]).Select(s => string.Join(' ', s)).Distinct().Count());
        Assert.Null(all.Variance);
    }

    [Fact]
    public void Adaptive_inference_widens_only_where_the_best_state_is_full()
    {
        using var scope = NewDisposeScope();
        var model = new BinarySparseCoding(eye(6, dtype: ScalarType.Float64) * 5, 0.2, 0.5);
        Tensor states = zeros(3, 6, dtype: ScalarType.Float64);
        states[1, 0] = 1;
        for (int h = 0; h < 4; h++) states[2, h] = 1;
        Tensor data = model.Superpose(states);
        using PosteriorInference narrow = model.Infer(data, new(2, 2)), wide = model.Infer(data, new(2, 2), adaptUpTo: new(6, 5));
        Assert.Equal([2, 2, 2], narrow.Active);
        Assert.Equal([2, 2, 5], wide.Active);
        Assert.True(wide.States.squeeze(1).equal(states).all().item<bool>());
        Assert.Equal(2, narrow.States[2].sum().item<double>());
        using PosteriorInference capped = model.Infer(data, new(2, 2), adaptUpTo: new(3, 3));
        Assert.Equal([2, 2, 3], capped.Active);
    }

    [Fact]
    public void Distances_far_beyond_the_exponent_range_keep_their_posterior()
    {
        using var scope = NewDisposeScope();
        TruncatedSparseCoder model = BruteForce.Make("BSC", components: 5, features: 600, sigma: 0.01);
        (Tensor data, Tensor states) = model.Sample(20, 12);
        using PosteriorInference inference = model.Infer(data * 1.5, Truncation.Exact(5));
        Assert.All(inference.LogLikelihood, l => Assert.True(double.IsFinite(l)));
        Assert.True(inference.LogLikelihood.Count(l => l < -1_000) >= 10);
        Assert.True(inference.Probabilities.isfinite().all().item<bool>());
        using PosteriorInference clean = model.Infer(data, Truncation.Exact(5));
        Assert.True(clean.States.squeeze(1).equal(states).all().item<bool>());
    }
}
