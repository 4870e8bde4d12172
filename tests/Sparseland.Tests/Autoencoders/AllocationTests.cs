using Sparseland.Autoencoders;
using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

public class AllocationTests
{
    [Fact]
    public void Counts_follow_the_law_and_ranks_and_add_up()
    {
        // Shares 1, 1/2, 1/3, 1/4 by rank: c = 7.68 gives 7.68, 3.84, 2.56, 1.92.
        Assert.Equal([4, 8, 2, 2], FeatureCounts.Zipf([0.2, 0.3, 0.1, 0.1], 16, 100, exponent: 1, offset: 0));
        
        // The batch has five tokens; the other nine entries by c = 8.31: 4.15, 2.77, 2.08.
        Assert.Equal([4, 5, 3, 2], FeatureCounts.Zipf([0.2, 0.3, 0.1, 0.1], 14, 5, exponent: 1, offset: 0));
        Assert.Equal([3, 3, 2], FeatureCounts.Uniform(3, 8, 4));
        var random = new Random(5);
        for (int i = 0; i < 300; i++)
        {
            int latents = random.Next(1, 60), batch = random.Next(1, 80), floor = random.Next(0, Math.Min(3, batch) + 1);
            int total = random.Next(Math.Max(1, latents * floor), (latents * batch) + 1);
            double[] density = [.. Enumerable.Range(0, latents).Select(_ => random.Next(5) / 8.0)];
            double exponent = i % 10 == 0 ? 300 : 0.1 + (3 * random.NextDouble()), offset = 30 * random.NextDouble();
            int[] counts = FeatureCounts.Zipf(density, total, batch, exponent, offset, floor);
            Assert.Equal(total, counts.Sum());
            Assert.All(counts, m => Assert.InRange(m, floor, batch));
            int[] ranked = [.. Enumerable.Range(0, latents).OrderByDescending(l => density[l]).ThenBy(l => l)];
            Assert.All(ranked.Zip(ranked.Skip(1)), pair => Assert.True(counts[pair.First] >= counts[pair.Second]));
            double[] weights = [.. ranked.Select((_, r) => Math.Pow(r + 1 + offset, -exponent))];

            // Those that touch neither end have counts within one of a common multiple of their weights.
            double[] scales = [.. ranked.Select((l, r) => (counts[l], weights[r])).Where(p => p.Item1 > floor + 1 && p.Item1 < batch - 1).SelectMany(p => new[] { (p.Item1 - 1.0001) / p.Item2, -(p.Item1 + 1.0001) / p.Item2 })];
            if (scales.Length > 0 && exponent < 300) Assert.True(scales.Max() < -scales.Min(), $"{i}");
        }
    }

    [Fact]
    public void Counts_that_cannot_be_are_refused_and_the_batch_that_would_do_is_named()
    {
        double[] density = [.. Enumerable.Repeat(0.1, 100)];
        string message = Assert.Throws<ArgumentException>(() => FeatureCounts.Zipf(density, 80, 10)).Message;
        Assert.Contains("A batch of 13 tokens would do", message, StringComparison.Ordinal);
        Assert.Equal(104, FeatureCounts.Zipf(density, 104, 13).Sum());
        Assert.Throws<ArgumentException>(() => FeatureCounts.Zipf(density, 1001, 10));
        Assert.Throws<ArgumentException>(() => FeatureCounts.Uniform(100, 1001, 10));
        Assert.Throws<ArgumentOutOfRangeException>(() => FeatureCounts.Zipf(density, 500, 10, exponent: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => FeatureCounts.Zipf(density, 500, 10, offset: -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => FeatureCounts.Zipf(density, 500, 10, floor: 11));
        Assert.Contains("density[1]", Assert.Throws<ArgumentException>(() => FeatureCounts.Zipf([0, double.NaN], 2, 10)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_law_is_found_again_and_a_tail_below_it_is_seen()
    {
        double offset = Math.Exp(-2 + (8.0 * 33 / 59));
        double[] exact = new ZipfLaw(1.1, offset).Densities(500, 6);
        ZipfLaw law = ZipfLaw.Fit([.. exact.Reverse()]);
        Assert.Equal(1.1, law.Exponent, 1e-9);
        Assert.Equal(offset, law.Offset, 1e-9);
        Assert.Equal(1, law.RSquared, 1e-9);
        double[] bent = [.. exact.Select((p, r) => r < 100 ? p : p / 50)];
        Assert.InRange(ZipfLaw.Fit(bent).RSquared, 0.3, 0.97);
        Assert.Contains("9 of 12", Assert.Throws<ArgumentException>(() => ZipfLaw.Fit([0, 1e-6, 1e-5, .. exact.Take(9)])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => ZipfLaw.Fit(new double[50]));
        Assert.Contains("do not fall", Assert.Throws<ArgumentException>(() => ZipfLaw.Fit([.. Enumerable.Repeat(0.25, 50)])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => new ZipfLaw(-1, 3));
    }

    [Fact]
    public void With_equal_totals_mutual_choice_selects_the_most()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(4);
        for (int i = 0; i < 30; i++)
        {
            Tensor scores = randn([24, 10], ScalarType.Float64, generator: generator);
            int[] counts = FeatureCounts.Zipf([.. Enumerable.Range(0, 10).Select(l => 0.5 / (l + 1))], 72, 24);
            Support token = Allocation.TokenChoice(scores, 3), mutual = Allocation.MutualChoice(scores, 72), feature = Allocation.FeatureChoice(scores, counts, 72);
            double[] sums = [.. new[] { token, mutual, feature }.Select(s => s.Gather(scores).sum().item<double>())];
            Assert.True(sums[1] >= sums[0] && sums[1] >= sums[2]);
            Assert.All(feature.CountsPerColumn().Zip(counts), pair => Assert.InRange(pair.First, 0, pair.Second));
            Assert.All(new[] { token, mutual, feature }, s => Assert.True(s.Gather(scores).gt(0).all().item<bool>()));

            // With room for all it is ReLU; columns of a matrix are rows of its transpose.
            Assert.Equal(Support.FromMask(scores.gt(0)), Allocation.MutualChoice(scores, 240));
            Assert.Equal(Allocation.TokenChoice(scores.t(), 5), Allocation.FeatureChoice(scores, [.. Enumerable.Repeat(5, 10)]).Transpose(out _));
        }
    }

    [Fact]
    public void With_orthonormal_directions_mutual_choice_has_the_least_error_of_all_supports()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(6);
        Tensor directions = linalg.qr(randn([16, 16], ScalarType.Float64, generator: generator)).Q.narrow(0, 0, 12);
        Tensor code = rand([20, 12], ScalarType.Float64, generator: generator).square(), x = code.mm(directions), z = x.mm(directions.t());
        double energy = x.square().sum().item<double>();
        Support mutual = Allocation.MutualChoice(z, 40);
        double least = ErrorOf(mutual);
        Assert.True(least <= ErrorOf(Allocation.TokenChoice(z, 2)));
        Assert.True(least <= ErrorOf(Allocation.FeatureChoice(z, FeatureCounts.Uniform(12, 40, 20), 40)));
        for (int i = 0; i < 1_000; i++) Assert.True(least <= ErrorOf(Select.TopK(rand([20, 12], generator: generator), Budget.Global(40))));

        double ErrorOf(Support support)
        {
            using var inner = NewDisposeScope();
            Tensor values = support.Gather(z);
            double error = (x - SparseProduct.Multiply(support, values, directions)).square().sum().item<double>();
            Assert.Equal(energy - values.square().sum().item<double>(), error, 1e-10);
            return error;
        }
    }

    [Fact]
    public void Budgets_that_do_not_fit_are_refused()
    {
        using var scope = NewDisposeScope();
        Tensor scores = ones(4, 3);
        Assert.Throws<ArgumentException>(() => Allocation.TokenChoice(scores, 4));
        Assert.Throws<ArgumentException>(() => Allocation.MutualChoice(scores, 13));
        Assert.Throws<ArgumentException>(() => Allocation.FeatureChoice(scores, [1, 2]));
        Assert.Throws<ArgumentException>(() => Allocation.FeatureChoice(scores, [1, 5, 2]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Allocation.FeatureChoice(scores, [1, -1, 2]));
        string message = Assert.Throws<ArgumentException>(() => Allocation.FeatureChoice(scores, [1, 3, 2], 7)).Message;
        Assert.Contains("add up to 6, but the total is 7", message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Allocation.MutualChoice(full([4, 3], float.NaN), 2));
    }
}
