using Sparseland.ActivationSparsity;
using Sparseland.Kernels;
using Sparseland.Models.Language;
using Sparseland.Selection;
using Sparseland.Solvers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.ActivationSparsity;

public class RankAwareTests
{
    [Fact]
    public void Full_rank_gives_the_dense_output_for_every_mask_and_rank_zero_plain_input_sparsity_bit_for_bit()
    {
        using var scope = NewDisposeScope();
        Linear linear = nn.Linear(24, 40);
        using LowRankFactors factors = LowRankFactors.Of(linear.weight);
        Tensor x = randn(2, 5, 24), dense = linear.call(x).detach();
        foreach (int kept in new[] { 0, 3, 23, 24 })
        {
            using SparseInputLinear all = new(linear, "l", new WeightInformedScore(), ActivationBudget.Channels(kept), dropped: new RankAwareInputs(factors));
            Assert.True(all.call(x).allclose(dense, 1e-5, 1e-5));
            Assert.True(all.call(x.narrow(1, 0, 1).narrow(0, 0, 1)).allclose(dense[0, 0], 1e-5, 1e-5));
            using SparseInputLinear none = new(linear, "l", new WeightInformedScore(), ActivationBudget.Channels(kept), dropped: new RankAwareInputs(factors, 0)), plain = new(linear, "l", new WeightInformedScore(), ActivationBudget.Channels(kept));
            Assert.True(none.call(x).equal(plain.call(x)).all().item<bool>());
        }
    }

    [Fact]
    public void The_part_through_the_factors_is_the_formula()
    {
        using var scope = NewDisposeScope();
        Linear linear = nn.Linear(12, 9, hasBias: false, dtype: ScalarType.Float64);
        Tensor x = randn(7, 12, dtype: ScalarType.Float64), mask = Select.TopK(x.abs(), Budget.PerRow(4)).ToMask();
        (Tensor u, Tensor s, Tensor vt) = linalg.svd(linear.weight.detach(), fullMatrices: false);
        Tensor copy = (u * s).narrow(1, 0, 3).mm(vt.narrow(0, 0, 3)), expected = (x * mask).mm(linear.weight.t()) + x.masked_fill(mask, 0).mm(copy.t());
        using LowRankFactors factors = LowRankFactors.Of(linear.weight, 3);
        using SparseInputLinear sparse = new(linear, "l", new InputMagnitudeScore(), ActivationBudget.Channels(4), dropped: new RankAwareInputs(factors));
        Assert.True(sparse.call(x).allclose(expected.detach(), 1e-10, 1e-10));
        Assert.Equal((7 * ((4 * 9) + (3 * 21)), 9), (sparse.Reads.WeightsNeeded, factors.SingularValues.Count));

        // Row norms of V S are column norms of W.
        using LowRankFactors whole = LowRankFactors.Of(linear.weight);
        Tensor rows = (whole.Right.t() * tensor(whole.SingularValues.ToArray())).square().sum([1L]).sqrt();
        Assert.True(rows.allclose(WeightInformedScore.ColumnNorms(linear.weight), 1e-10, 1e-10));
        Assert.Throws<ArgumentOutOfRangeException>(() => LowRankFactors.Of(linear.weight, 10));
        Assert.Throws<ArgumentOutOfRangeException>(() => new RankAwareInputs(factors, 4));
        Assert.Throws<ArgumentException>(() => new SparseInputLinear(nn.Linear(12, 8), "l", new InputMagnitudeScore(), ActivationBudget.Channels(4), dropped: new RankAwareInputs(factors)));
    }

    [Fact]
    public void A_split_never_exceeds_its_budget_and_falls_short_by_less_than_a_channel_and_a_rank()
    {
        foreach ((int inputs, int outputs) in new[] { (256, 512), (512, 256), (20, 7), (1024, 4096) })
        {
            for (int i = 0; i <= 9; i++)
            {
                for (int j = 0; j <= 10; j++)
                {
                    (double s, double alpha) = (i / 10.0, j / 10.0);
                    double budget = inputs * (double)outputs * (1 - s);
                    if (budget < inputs + outputs) continue;
                    RankSplit split = RankSplit.Budget(inputs, outputs, s, alpha);
                    Assert.InRange(split.Reads(inputs, outputs), budget - outputs - inputs - outputs, budget + 1e-3);
                    if (j == 10) Assert.Equal(0, split.Rank);
                    if (j == 0) Assert.Equal(0, split.Channels);
                }
            }
        }

        Assert.Equal(new RankSplit(115, 8), RankSplit.Budget(256, 512, 0.5, 0.9));
        Assert.Throws<ArgumentOutOfRangeException>(() => RankSplit.Budget(4, 4, 0.5, 1.1));
        Assert.Throws<ArgumentException>(() => RankSplit.Budget(4, 4, 0.9, 1));
    }

    [Fact]
    public void A_map_of_errors_is_what_the_layers_make()
    {
        using var scope = NewDisposeScope();
        Linear linear = nn.Linear(12, 9, hasBias: false, dtype: ScalarType.Float64);
        Tensor x = randn(30, 12, dtype: ScalarType.Float64), dense = linear.call(x).detach();
        ErrorMap map = ErrorMap.Of(linear.weight, x, [0, 4, 12], [0, 2, 9]);
        using LowRankFactors factors = LowRankFactors.Of(linear.weight);
        for (int i = 0; i < 3; i++)
        {
            for (int j = 0; j < 3; j++)
            {
                using SparseInputLinear sparse = new(linear, "l", new WeightInformedScore(), ActivationBudget.Channels(map.Channels[i]), dropped: new RankAwareInputs(factors, map.Ranks[j]));
                Assert.Equal(((sparse.call(x) - dense).square().sum() / dense.square().sum()).item<double>(), map.Errors[i][j], 1e-10);
            }
        }

        Assert.Equal(1, map.Errors[0][0], 1e-12);
        Assert.Throws<ArgumentOutOfRangeException>(() => ErrorMap.Of(linear.weight, x, [13], [0]));
        Assert.Throws<ArgumentException>(() => ErrorMap.Of(linear.weight, zeros(3, 12), [0], [0]));
    }

    [Fact]
    public void One_bias_vector_is_the_mean_and_as_many_as_tokens_are_the_tokens()
    {
        using var scope = NewDisposeScope();
        Linear linear = nn.Linear(12, 9, hasBias: false, dtype: ScalarType.Float64);
        Tensor dropped = randn(20, 12, dtype: ScalarType.Float64) + 3;
        using BiasRecovery one = BiasRecovery.Of(linear.weight, dropped);
        Assert.True(one.Outcome(dropped).allclose(linear.call(dropped.mean([0L], keepdim: true)).detach().expand(20, 9), 1e-10, 1e-10));
        double before = double.PositiveInfinity;
        foreach (int count in new[] { 1, 2, 5, 20 })
        {
            using BiasRecovery some = BiasRecovery.Of(linear.weight, dropped, count), again = BiasRecovery.Of(linear.weight, dropped, count);
            Assert.True(some.Outcome(dropped).equal(again.Outcome(dropped)).all().item<bool>());
            double error = (some.Outcome(dropped) - linear.call(dropped)).square().sum().item<double>();
            Assert.True(error < before);
            before = error;
        }

        Assert.Equal(0, before, 1e-12);
        Assert.Throws<ArgumentOutOfRangeException>(() => BiasRecovery.Of(linear.weight, dropped, 21));
        Assert.Throws<ArgumentException>(() => BiasRecovery.Of(linear.weight, dropped.to(ScalarType.Float32)));
    }

    [Fact]
    public void Tokens_before_the_first_sparse_one_get_no_mean_of_what_is_dropped()
    {
        using var scope = NewDisposeScope();
        Linear linear = nn.Linear(12, 9);
        using BiasRecovery mean = BiasRecovery.Of(linear.weight, randn(50, 12) + 2);
        using var layer = new SparseInputLinear(linear, "layer", new InputMagnitudeScore(), ActivationBudget.TopK(0.5), sparseFrom: 4, dropped: mean);
        Tensor x = randn(2, 10, 12), dense = linear.call(x).detach();
        for (int again = 0; again < 2; again++)
        {
            Tensor apart = (layer.call(x) - dense).abs();
            Assert.True(apart.narrow(1, 0, 4).max().item<float>() < 1e-5);
            Assert.True(apart.narrow(1, 4, 6).max().item<float>() > 1e-2);
        }
    }

    [Fact]
    public void A_search_keeps_its_budget_and_finds_no_worse_than_it_began_with()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New();
        IReadOnlyDictionary<string, LowRankFactors> factors = RankAllocation.Factors(model);
        TokenText text = new([.. Enumerable.Range(0, 300).Select(i => i * i % 37)]);
        EvolutionOptions options = new() { Population = 6, Elite = 2, Generations = 2 };
        EvolutionState<RankAllocation> found = RankAllocation.Search(model, factors, text, 0.5, 12, options);
        Assert.All(found.Population, c => Assert.Equal(0.5, c.Candidate.Sparsity, 1e-9));
        Assert.All(found.Population, c => Assert.True(c.Candidate.ReadShare <= 0.5 + 1e-9));
        double Loss(RankAllocation allocation)
        {
            using SparseInputs sparse = allocation.Apply(model, factors);
            return WindowedLoss.Of(model, text, 12).Loss;
        }

        Assert.Equal(Loss(found.Best), found.BestLoss, 1e-9);
        Assert.True(found.BestLoss <= Loss(RankAllocation.Uniform(model, 0.5, 1)) + 1e-9);
        using (SparseInputs sparse = found.Best.Apply(model, factors))
        {
            model.Logits(Decoder.Ids());
            Assert.Equal(found.Best.ReadShare, sparse.ShareNeeded, 1e-9);
        }

        foreach (LowRankFactors each in factors.Values) each.Dispose();
        Assert.Throws<ArgumentException>(() => RankAllocation.Search(model, factors, new([1, 2, 3]), 0.5, 2));
    }

    [Theory]
    [InlineData(0.1)]
    [InlineData(0.5)]
    [InlineData(0.95)]
    public void A_projection_meets_the_budget_exactly(double sparsity)
    {
        using TinyLM model = Decoder.New();
        var random = new Random(5);
        RankAllocation any = new([.. RankAllocation.Uniform(model, 0.5, 1).Layers.Select(l => l with { Sparsity = random.NextDouble() })]);
        RankAllocation projected = any.Project(sparsity);
        Assert.Equal(sparsity, projected.Sparsity, 1e-12);
        Assert.All(projected.Layers, l => Assert.InRange(l.Sparsity, 0, 0.95));
        Assert.Throws<ArgumentOutOfRangeException>(() => any.Project(0.96));
    }
}
