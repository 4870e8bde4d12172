using FsCheck;
using FsCheck.Fluent;
using Sparseland.ActivationSparsity;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.ActivationSparsity;

public class ScoreTests
{
    /// <summary>With orthogonal columns the error of a choice is the sum of what it drops, so the highest scores leave the least of all 252 choices.</summary>
    [Fact]
    public void Orthogonal_columns_make_the_weight_informed_choice_the_best_of_all()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(5);
        Tensor basis = linalg.qr(randn([16, 10], dtype: ScalarType.Float64, generator: generator)).Q;
        Tensor W = basis * tensor(Enumerable.Range(0, 10).Select(j => Math.Pow(1.6, j)).ToArray());
        int[][] choices = [.. Enumerable.Range(0, 1 << 10).Where(bits => System.Numerics.BitOperations.PopCount((uint)bits) == 5).Select(bits => Enumerable.Range(0, 10).Where(j => (bits >> j & 1) == 1).ToArray())];
        Assert.Equal(252, choices.Length);
        Tensor masks = tensor(choices.SelectMany(c => Enumerable.Range(0, 10).Select(j => c.Contains(j) ? 0.0 : 1.0)).ToArray(), [252, 10]);
        int worse = 0;
        for (int draw = 0; draw < 50; draw++)
        {
            Tensor x = randn([10], dtype: ScalarType.Float64, generator: generator);
            double Error(Tensor scores) => W.mv(x.masked_fill(Select.TopK(scores, Budget.PerRow(5)).ToMask(), 0)).square().sum().item<double>();
            double least = (masks * x).mm(W.t()).square().sum([1L]).min().item<double>();
            double informed = Error(InputScore.Of(x, new WeightInformedScore().ScaleOf("any", W))), magnitude = Error(InputScore.Of(x, new InputMagnitudeScore().ScaleOf("any", W)));
            Assert.Equal(least, informed, 1e-9 * least);
            Assert.True(magnitude >= least * (1 - 1e-12));
            worse += magnitude > least * 1.000001 ? 1 : 0;
        }

        Assert.True(worse > 25, $"only {worse} of 50");
    }

    [Fact]
    public void A_louder_input_with_a_weaker_column_changes_nothing_for_the_product_alone()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(6);
        Tensor W = randn([8, 12], dtype: ScalarType.Float64, generator: generator), x = randn([20, 12], dtype: ScalarType.Float64, generator: generator), a = ones(12, dtype: ScalarType.Float64);
        a[3] = 8;
        a[7] = 0.125;
        Support Choose(InputScore score, Tensor w, Tensor input) => ActivationBudget.TopK(0.5).Choose(InputScore.Of(input, score.ScaleOf("", w)));
        Assert.Equal(Choose(new WeightInformedScore(), W, x), Choose(new WeightInformedScore(), W / a, x * a));
        Assert.NotEqual(Choose(new InputMagnitudeScore(), W, x), Choose(new InputMagnitudeScore(), W / a, x * a));
    }

    [Fact]
    public void Norms_are_those_of_columns_and_can_be_left_to_some_layers()
    {
        using Tensor W = tensor(new double[,] { { 3, 0, 1 }, { 4, 0, 1 } }), norms = WeightInformedScore.ColumnNorms(W);

        // The root is libtorch's, which on some processors is an ulp beside the nearest number.
        Assert.Equal([5, 0, Math.Sqrt(2)], norms.data<double>().ToArray(), (a, b) => Math.Abs(a - b) <= 1e-15);
        var some = new WeightInformedScore { Layers = name => name == "yes" };
        Assert.Null(some.ScaleOf("no", W));
        using Tensor? scale = some.ScaleOf("yes", W);
        Assert.NotNull(scale);
        Assert.Throws<ArgumentException>(() => WeightInformedScore.ColumnNorms(zeros(3)));
        Assert.Throws<ArgumentException>(() => InputScore.Of(zeros(2, 4), zeros(3)));
    }

    [Theory]
    [InlineData(20, 0.9, 2)]
    [InlineData(10, 0.99, 1)]
    [InlineData(512, 0.5, 256)]
    [InlineData(7, 0, 7)]
    [InlineData(256, 0.65, 89)]
    public void TopK_keeps_what_the_share_says(int inputs, double sparsity, int kept)
    {
        using Tensor scores = rand(3, inputs);
        Assert.All(ActivationBudget.TopK(sparsity).Choose(scores).CountsPerRow(), count => Assert.Equal(kept, count));
    }

    [Fact]
    public void Budgets_choose_the_same_from_a_span_and_from_a_tensor()
    {
        using var scope = NewDisposeScope();
        Tensor scores = rand(1, 60);
        var histogram = new ScoreHistogram();
        histogram.Add(scores);
        foreach (ActivationBudget budget in new[] { ActivationBudget.TopK(0.3), ActivationBudget.Channels(7), ActivationBudget.Channels(0), ActivationBudget.Threshold(histogram, 0.4) })
            Assert.Equal(budget.Choose(scores).Row(0).ToArray(), budget.Choose(scores.data<float>().ToArray()));
    }

    /// <summary>Quantiles of the sorted numbers themselves, 20,000 draws; a bin is 1/128 of its value wide.</summary>
    [Theory]
    [InlineData(1e-20)]
    [InlineData(1)]
    [InlineData(1e20)]
    public void Quantiles_of_any_scale_are_those_of_the_sorted_scores(double scale)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(8);
        Tensor scores = randn([20000], generator: generator).abs() * scale;
        var histogram = new ScoreHistogram();
        foreach (Tensor part in scores.chunk(7)) histogram.Add(part);
        float[] sorted = [.. scores.data<float>().ToArray().Order()];
        Assert.Equal(20000, histogram.Count);
        foreach (double share in new[] { 0.01, 0.25, 0.5, 0.9, 0.999 })
            Assert.Equal(1, histogram.Quantile(share) / sorted[(int)(share * 20000)], 0.01);
        Assert.Equal(0, histogram.Quantile(0));
    }

    [Fact]
    public void A_threshold_drops_its_share_of_what_it_was_made_of() =>
        Prop.ForAll<byte, byte>((seed, percent) =>
        {
            using var scope = NewDisposeScope();
            using Generator generator = new(seed);
            double share = percent % 100 / 100.0;
            Tensor scores = randn([40, 64], generator: generator).abs().pow(3);
            var histogram = new ScoreHistogram();
            histogram.Add(scores);
            return Math.Abs(1 - ActivationBudget.Threshold(histogram, share).Choose(scores).Density - share) < 0.01;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Bad_numbers_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => ActivationBudget.TopK(1));
        Assert.Throws<ArgumentOutOfRangeException>(() => ActivationBudget.TopK(-0.1));
        Assert.Throws<ArgumentOutOfRangeException>(() => ActivationBudget.TopK(double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => ActivationBudget.Channels(-1));
        Assert.Throws<InvalidOperationException>(() => ActivationBudget.Threshold(new(), 0.5));
        using Tensor bad = tensor(new[] { 1f, float.NaN }), negative = tensor(new[] { -1f }), infinite = tensor(new[] { float.PositiveInfinity });
        var histogram = new ScoreHistogram();
        foreach (Tensor scores in new[] { bad, negative, infinite }) Assert.Throws<ArgumentException>(() => histogram.Add(scores));
        Assert.Equal(0, histogram.Count);
        Assert.Throws<ArgumentException>(() => ActivationBudget.TopK(0.5).Choose(bad));
    }
}
