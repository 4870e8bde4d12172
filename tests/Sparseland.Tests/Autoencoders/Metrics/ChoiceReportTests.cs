using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Metrics;
using Sparseland.Evaluation;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders.Metrics;

public class ChoiceReportTests
{
    [Fact]
    public void In_batches_it_is_the_choice_of_training_and_as_a_whole_that_of_all_tokens()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = new(16, 40, new MutualChoiceRule(2.5), type: ScalarType.Float64);
        Tensor x = MetricsBed.Gaussian(600, 16) + 3;
        ChoiceReport whole = ChoiceReport.Of(autoencoder, x), parts = ChoiceReport.Of(autoencoder, x, 150);
        using SparseCode all = autoencoder.EncodeBatch(x);
        Assert.Equal(1500, all.Support.Count);
        Assert.Equal(Select.TopK(autoencoder.PreActivations(x), Budget.Global(1500)), all.Support);
        Same(all.Support, autoencoder.Decode(all), whole);
        Tensor rebuilt = cat([.. Enumerable.Range(0, 4).Select(b => Rebuilt(b))], 0);
        int[] active = [.. Enumerable.Range(0, 4).SelectMany(b => Code(b).Support.CountsPerRow())];
        Assert.Equal(ReconstructionError.FractionOfVarianceUnexplained(x, rebuilt), parts.Fvu, 1e-12);
        Assert.Equal(active, parts.ActiveLatents);
        Assert.Equal(2.5, parts.L0);
        Assert.NotEqual(whole.ActiveLatents, parts.ActiveLatents);
        Assert.Equal((600, 150), (parts.Tokens, parts.Batch));

        // A rule that looks at single tokens has one choice.
        using SparseAutoencoder topK = new(16, 40, new TopKRule(3), type: ScalarType.Float64);
        ReconstructionReport alone = ReconstructionReport.Of(topK, x);
        Assert.Equal(alone.Fvu, ChoiceReport.Of(topK, x, 100).Fvu, 1e-12);
        Assert.Equal(LatentDensity.Of(topK, new TensorActivations(x)).Active, ChoiceReport.Of(topK, x, 100).Active);

        SparseCode Code(int b) => autoencoder.EncodeBatch(x.narrow(0, 150 * b, 150));
        Tensor Rebuilt(int b) => autoencoder.Decode(Code(b));
        void Same(Support support, Tensor made, ChoiceReport report)
        {
            Assert.Equal(ReconstructionError.FractionOfVarianceUnexplained(x, made), report.Fvu, 1e-12);
            Assert.Equal(support.CountsPerColumn().Select(n => (long)n), report.Active);
            Assert.Equal(support.CountsPerRow(), report.ActiveLatents);
            double[] errors = (made - x).square().sum([1L]).data<double>().ToArray();
            Assert.All(errors.Zip(report.SquaredErrors), pair => Assert.Equal(pair.First, pair.Second, 1e-12));
        }
    }

    [Fact]
    public void Dead_and_rare_latents_are_counted_apart()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = new(1, 4, new TopKRule(4), centreInput: false, type: ScalarType.Float64);
        using (no_grad())
        {
            // Active on all 20,000 tokens, on one, on two (density exactly 1e-4), on none.
            autoencoder.Encoder.fill_(1);
            autoencoder.EncoderBias.copy_(tensor(new[] { 1.0, -19_998.5, -19_997.5, -30_000 }));
        }

        ChoiceReport report = ChoiceReport.Of(autoencoder, arange(20_000).to(ScalarType.Float64).unsqueeze(1));
        Assert.Equal([20_000, 1, 2, 0], report.Active);
        Assert.Equal((0.25, 0.25), (report.DeadShare, report.RareShare));
        Assert.Equal(20_003.0 / 20_000, report.L0, 1e-12);
    }

    [Fact]
    public void Groups_of_difficulty_are_quarters_of_the_tokens()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = new(16, 40, new MutualChoiceRule(2.5), type: ScalarType.Float64);
        ChoiceReport report = ChoiceReport.Of(autoencoder, MetricsBed.Gaussian(10, 16));
        int[] features = [3, 0, 9, 1, 4, 4, 2, 8, 7, 3];
        DifficultyReport quarters = DifficultyReport.Of(report, features);

        // Ten tokens in four groups: two, three, two, three.
        int[][] members = [[1, 3], [6, 0, 9], [4, 5], [8, 7, 2]];
        for (int g = 0; g < 4; g++)
        {
            Assert.Equal(members[g].Average(t => features[t]), quarters.Features[g], 1e-12);
            Assert.Equal(members[g].Average(t => report.ActiveLatents[t]), quarters.ActiveLatents[g], 1e-12);
            Assert.Equal(members[g].Average(t => report.SquaredErrors[t]), quarters.SquaredErrors[g], 1e-12);
        }

        Tensor both = stack([tensor(features).to(ScalarType.Float64), tensor(report.ActiveLatents).to(ScalarType.Float64)]);
        Assert.Equal(corrcoef(both)[0, 1].item<double>(), quarters.Correlation, 1e-12);
        Assert.Equal(0, DifficultyReport.Of(report, new int[10]).Correlation);
        Assert.Throws<ArgumentException>(() => DifficultyReport.Of(report, new int[9]));
        Assert.Throws<ArgumentOutOfRangeException>(() => DifficultyReport.Of(report, features, 11));
        Assert.Throws<ArgumentOutOfRangeException>(() => DifficultyReport.Of(report, [.. features[..9], -1]));
    }

    [Fact]
    public void True_features_of_a_token_are_those_with_strength()
    {
        using var world = new UnequalTokens(seed: 2);
        using PlantedTokens tokens = world.Draw(50, 0);
        int[] counts = tokens.FeaturesPerToken();
        for (int t = 0; t < 50; t++)
        {
            using Tensor row = tokens.Strengths[t];
            Assert.Equal(row.data<float>().Count(v => v > 0), counts[t]);
        }
    }

    [Fact]
    public void Batches_that_do_not_divide_the_tokens_are_refused()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(type: ScalarType.Float64);
        Tensor x = MetricsBed.Gaussian(30, 16);
        Assert.Contains("divide the 30 tokens", Assert.Throws<ArgumentException>(() => ChoiceReport.Of(autoencoder, x, 8)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => ChoiceReport.Of(autoencoder, x, 0));
        Assert.Throws<ArgumentException>(() => ChoiceReport.Of(autoencoder, MetricsBed.Gaussian(30, 15)));
        Assert.Throws<ArgumentException>(() => ChoiceReport.Of(autoencoder, ones([30, 16], ScalarType.Float64)));
        Assert.Throws<ArgumentException>(() => ChoiceReport.Of(autoencoder, zeros([0, 16], ScalarType.Float64)));
    }
}
