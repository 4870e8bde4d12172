using Sparseland.Autoencoders;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

public class PlantedFeaturesTests
{
    [Fact]
    public void A_draw_depends_on_seed_and_index_and_is_strengths_times_features()
    {
        using var scope = NewDisposeScope();
        foreach (Func<long, PlantedFeatures> make in new Func<long, PlantedFeatures>[] { seed => new UnequalTokens(seed), seed => new QuietButInfluential(seed), seed => new FeatureHierarchy(seed) })
        {
            using PlantedFeatures world = make(3), same = make(3), other = make(4);
            using PlantedTokens a = world.Draw(500, 7), b = same.Draw(500, 7), c = world.Draw(500, 8), d = other.Draw(500, 7);
            Assert.True(a.X.eq(b.X).all().item<bool>());
            Assert.False(a.X.eq(c.X).all().item<bool>());
            Assert.False(world.Features.eq(other.Features).all().item<bool>());
            Assert.False(a.Strengths.eq(d.Strengths).all().item<bool>());
            Assert.InRange((world.Features.norm(1) - 1).abs().max().item<float>(), 0, 1e-6);
            float noise = (a.X - a.Strengths.mm(world.Features)).std().item<float>();
            Assert.InRange(noise, world switch { UnequalTokens => 0.0195, QuietButInfluential => 0.0097, _ => 0 }, world switch { UnequalTokens => 0.0205, QuietButInfluential => 0.0103, _ => 1e-6 });
            IBatchSource batches = world.Batches(500);
            Batch batch = batches.At(7);
            Assert.True(batch.Input.eq(a.X).all().item<bool>());
            Assert.True(a.Gradients is null ? batch.Target.numel() == 0 : batch.Target.eq(a.Gradients).all().item<bool>());
            Assert.Throws<ArgumentOutOfRangeException>(() => world.Draw(0, 1));
        }
    }

    [Fact]
    public void Unequal_tokens_have_their_densities_and_their_spread()
    {
        using var scope = NewDisposeScope();
        using var world = new UnequalTokens(seed: 2);
        Assert.Equal(8, world.Density.Sum(), 1e-12);
        Assert.Equal((128 + 5) / 6.0, world.Density[0] / world.Density[127], 1e-9);
        using PlantedTokens tokens = world.Draw(40_000, -1);
        Tensor on = tokens.Strengths.gt(0).to(ScalarType.Float64), density = on.mean([0L]);
        double[] expected = [.. world.Density.Select(p => Mean(factor => Math.Min(0.95, p * factor)))];
        Assert.InRange((density - tensor(expected)).abs().max().item<double>(), 0, 0.009);
        Assert.InRange(density.narrow(0, 40, 88).sum().item<double>() / world.Density.Skip(40).Sum(), 0.98, 1.02);

        // Number of features given the token's factor F is nearly Poisson, so its variance is 8 + 64 var F, var F = exp(0.64) - 1; alike tokens would have 8.
        Tensor counts = on.sum([1L]);
        Assert.InRange(counts.mean().item<double>(), 7.7, 8.1);
        Assert.InRange(counts.var().item<double>(), 45, 8 + (64 * (Math.Exp(0.64) - 1)));
        Tensor strengths = tokens.Strengths.masked_select(tokens.Strengths.gt(0));
        Assert.InRange(strengths.mean().item<float>(), 1.395, 1.403);
        Assert.True(strengths.min().item<float>() >= 1);
        Assert.Throws<ArgumentException>(() => new UnequalTokens(active: 100));

        // Over the factors exp(0.8 n - 0.32) of tokens.
        static double Mean(Func<double, double> of)
        {
            double[] n = [.. Enumerable.Range(-600, 1201).Select(i => i / 100.0)];
            return n.Sum(v => of(Math.Exp((0.8 * v) - 0.32)) * Math.Exp(-v * v / 2)) / n.Sum(v => Math.Exp(-v * v / 2));
        }
    }

    [Fact]
    public void A_child_never_comes_without_its_parent_nor_with_its_siblings()
    {
        using var scope = NewDisposeScope();
        using var world = new FeatureHierarchy(seed: 2);
        Assert.InRange((world.Features.mm(world.Features.t()) - eye(32)).abs().max().item<float>(), 0, 1e-5);
        using PlantedTokens tokens = world.Draw(40_000, -1);
        Tensor on = tokens.Strengths.gt(0).to(ScalarType.Float64), parents = on.narrow(1, 0, 8), children = on.narrow(1, 8, 24).view(-1, 8, 3);
        Assert.True(children.sum([2L]).le(parents).all().item<bool>());
        Assert.InRange((parents.mean([0L]) - 0.15).abs().max().item<double>(), 0, 0.008);
        Assert.InRange((children.sum([0L]) / parents.sum([0L]).unsqueeze(1) - 0.2).abs().max().item<double>(), 0, 0.03);
        Tensor strengths = tokens.Strengths.masked_select(tokens.Strengths.gt(0));
        Assert.InRange(strengths.min().item<float>(), 0.8f, 0.801f);
        Assert.InRange(strengths.max().item<float>(), 1.199f, 1.2f);
        Assert.Equal(8 + 3 + 2, world.ChildOf(1, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => world.ChildOf(8, 0));
        Assert.Throws<ArgumentException>(() => new FeatureHierarchy(width: 31));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_planted_model_reads_quiet_features_alone_and_its_gradients_are_right(bool orthonormal)
    {
        using var scope = NewDisposeScope();
        using var world = new QuietButInfluential(seed: 3, orthonormal);
        Tensor read = world.Readout.mm(world.Features.t());
        Assert.InRange(read.narrow(1, 0, 24).abs().max().item<float>(), 0, 1e-4);
        Assert.InRange(read.narrow(1, 24, 24).std().item<float>(), 1.2, 1.65);
        using PlantedTokens tokens = world.Draw(20_000, -1);
        Tensor mean = tokens.Strengths.sum([0L]) / tokens.Strengths.gt(0).sum([0L]);
        Assert.InRange((mean.narrow(0, 0, 24) - 1.399).abs().max().item<float>(), 0, 0.03);
        Assert.InRange((mean.narrow(0, 24, 24) - 0.6995).abs().max().item<float>(), 0, 0.015);
        Assert.InRange((tokens.Strengths.gt(0).to(ScalarType.Float64).mean([0L]) - 0.125).abs().max().item<double>(), 0, 0.01);

        // Exact: the mean over labels is zero; each gradient is the slope of its label's cross-entropy; the Fisher influence is the second moment.
        Tensor x = tokens.X.narrow(0, 0, 50).to(ScalarType.Float64), log = world.LogProbabilities(x), p = log.exp();
        Tensor g = stack([.. Enumerable.Range(0, 10).Select(y => world.GradientsOf(x, full(50, (long)y, dtype: ScalarType.Int64)))], 1);
        Assert.InRange((p.unsqueeze(2) * g).sum([1L]).abs().max().item<double>(), 0, 1e-12);
        using Generator generator = new(5);
        Tensor delta = randn([7, 64], ScalarType.Float64, generator: generator), along = g.matmul(delta.t());
        Tensor slopes = stack([.. Enumerable.Range(0, 7).Select(i => (world.LogProbabilities(x - (1e-6 * delta[i])) - world.LogProbabilities(x + (1e-6 * delta[i]))) / 2e-6)], 2);
        Assert.InRange(((slopes - along).abs().max() / along.abs().max()).item<double>(), 0, 1e-8);
        Tensor fisher = (p.unsqueeze(2) * along.square()).sum([1L]);
        Assert.InRange((fisher - world.Fisher(x, delta).square()).abs().max().item<double>(), 0, 1e-10);

        // KL is half the Fisher information to second order: the distance halves with the step.
        double[] gaps = [.. new[] { 1e-2, 5e-3, 2.5e-3 }.Select(e =>
        {
            Tensor kl = (p * (log - world.LogProbabilities(x + (e * delta[0])))).sum([1L]);
            return (kl.sum() / (e * e / 2 * fisher.select(1, 0).sum())).item<double>() - 1;
        })];
        Assert.InRange(gaps[1] / gaps[0], 0.45, 0.55);
        Assert.InRange(gaps[2] / gaps[1], 0.45, 0.55);
        Assert.InRange(Math.Abs(gaps[2]), 0, 0.02);

        // Labels are drawn from the model: gradients of the draw have mean zero and the model's second moment.
        Tensor drawn = tokens.Gradients!.to(ScalarType.Float64), wide = tokens.X.to(ScalarType.Float64);
        double second = drawn.mm(delta.t()).square().mean().item<double>(), expected = world.Fisher(wide, delta).square().mean().item<double>();
        Assert.InRange(second / expected, 0.97, 1.03);
        Assert.InRange(drawn.mean([0L]).norm().item<double>() / Math.Sqrt(drawn.square().sum([1L]).mean().item<double>() / 20_000), 0, 2);
        Assert.Throws<ArgumentException>(() => world.GradientsOf(x, full(50, 10L, dtype: ScalarType.Int64)));
        Assert.Throws<ArgumentException>(() => new QuietButInfluential(each: 40));
    }
}
