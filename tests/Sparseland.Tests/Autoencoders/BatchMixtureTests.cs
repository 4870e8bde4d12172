using Sparseland.Autoencoders;
using Sparseland.Tests.Autoencoders.Metrics;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

public class BatchMixtureTests
{
    private const int Tokens = 64;

    /// <summary>Texts of so many tokens each, which share a direction: a batch of one text says what 1 + (B - 1) rho independent tokens do not.</summary>
    private static Tensor Texts(int texts, int length, double between, long seed) =>
        (between * MetricsBed.Gaussian(texts, 16, seed)).repeat_interleave(length, 0) + MetricsBed.Gaussian((long)texts * length, 16, seed + 1);

    [Fact]
    public void Mixed_batches_come_to_one_and_neighbours_to_their_design_effect()
    {
        using var scope = NewDisposeScope();

        // Inside a text the variance is 1, between texts 0.25: a batch of one text has means of variance 1/64 + 1/4, 17 times 1/64.
        Tensor x = Texts(100, Tokens, 0.5, 3);
        Assert.InRange(BatchMixture.Of(new InOrder(x.to(ScalarType.Float32), Tokens), 100), 15, 19);
        using var mixed = new ActivationBuffer(new TensorActivations(x), Tokens);
        Assert.InRange(BatchMixture.Of(mixed, 100), 0.9, 1.1);
        Assert.InRange(BatchMixture.Of(mixed), 0.5, 1.6);

        // Eight mixed batches are taken for neighbours in none of a hundred draws, whatever their width.
        foreach (int width in (int[])[2, 16])
        {
            for (int i = 0; i < 100; i++) Assert.InRange(BatchMixture.Of(new InOrder(MetricsBed.Gaussian(8 * Tokens, width, 50 + i), Tokens)), 0.05, BatchMixture.MostOfMixtures);
        }
    }

    [Fact]
    public void What_says_nothing_is_no_number_and_what_cannot_be_is_refused()
    {
        using var scope = NewDisposeScope();
        Assert.True(double.IsNaN(BatchMixture.Of(new InOrder(ones(16, 3), 2))));
        Assert.True(double.IsNaN(BatchMixture.Of(new InOrder(MetricsBed.Gaussian(8, 3), 1))));
        Assert.Throws<ArgumentOutOfRangeException>(() => BatchMixture.Of(new InOrder(ones(16, 3), 2), 1));
        Assert.Throws<ArgumentException>(() => BatchMixture.Of(new InOrder(ones(16), 2)));
    }

    [Fact]
    public void A_training_in_which_latents_choose_warns_of_batches_of_neighbours()
    {
        using var scope = NewDisposeScope();
        Tensor x = Texts(40, Tokens, 1, 8).to(ScalarType.Float32);
        using var mixed = new ActivationBuffer(new TensorActivations(x), 48);
        Assert.Contains("ActivationBuffer mixes (in order)", Assert.Single(Warnings(new FeatureChoiceRule(20, 3, new(1, 5)), new InOrder(x, Tokens))), StringComparison.Ordinal);
        Assert.Empty(Warnings(new FeatureChoiceRule(20, 3, new(1, 5)), mixed));
        Assert.Empty(Warnings(new MutualChoiceRule(3), new InOrder(x, Tokens)));

        static IReadOnlyList<string> Warnings(CodeRule rule, IBatchSource batches)
        {
            using var trainer = new AutoencoderTrainer(new SparseAutoencoder(16, 20, rule), batches, new() { Steps = 20, WarmUp = 2, CentreOn = 128 });
            return trainer.Warnings;
        }
    }

    private sealed class InOrder(Tensor x, int batch) : IBatchSource
    {
        public string Description => "in order";

        public Batch At(long index) => new(x.narrow(0, index * batch, batch), empty(0));
    }
}
