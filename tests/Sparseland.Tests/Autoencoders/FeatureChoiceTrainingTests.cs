using Sparseland.Autoencoders;
using Sparseland.Evaluation;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

public class FeatureChoiceTrainingTests
{
    [Fact]
    public void It_begins_mutually_then_latents_choose_by_ranks_that_are_taken_anew()
    {
        using var scope = NewDisposeScope();
        var rule = new FeatureChoiceRule(6, 2, new(1, 0), switchAt: 0.3, refreshEvery: 4);
        using var statistics = new LatentStatistics(6, 8);
        Tensor z = arange(24, 0, -1).to(ScalarType.Float32).view(4, 6);
        CodeContext training = new(Training: true, null, empty(0));
        for (int step = 1; step <= 3; step++)
        {
            Assert.False(rule.LatentsChoose);
            Assert.Throws<InvalidOperationException>(() => rule.CountsFor(4));
            Learn(rule.Select(z, training), step);
        }

        // Ten steps in all: from the fourth on latents choose. Mutual choice gave the first two rows, in which all latents fire alike.
        Assert.True(rule.LatentsChoose);
        int[] first = rule.CountsFor(4);
        Assert.Equal(8, first.Sum());
        Assert.Equal(first.OrderDescending(), first);
        Learn(Only(5), 4);
        Learn(Only(5), 5);
        Learn(Only(5), 6);
        Assert.Equal(first, rule.CountsFor(4));
        Learn(Only(5), 7);
        int[] then = rule.CountsFor(4);
        Assert.Equal(first[0], then[5]);
        Assert.Equal(first[1], then[0]);
        Assert.Equal(16, rule.CountsFor(8).Sum());
        Assert.Equal(then, rule.CountsFor(4));

        // The caller's counts are the caller's.
        rule.CountsFor(4)[0] = 99;
        Assert.Equal(then, rule.CountsFor(4));

        void Learn(SparseCode code, long step)
        {
            statistics.Update(code);
            rule.Learn([code], new(step, 10, statistics));
        }

        static SparseCode Only(int latent)
        {
            Tensor on = zeros(4, 6, dtype: ScalarType.Bool);
            on.select(1, latent).fill_(true);
            return new(Support.FromMask(on), ones(4));
        }
    }

    [Fact]
    public void A_batch_too_small_for_the_floor_is_refused_at_the_first_step()
    {
        using var scope = NewDisposeScope();
        using var world = new UnequalTokens();
        var autoencoder = new SparseAutoencoder(64, 160, new FeatureChoiceRule(160, 8, new(1, 5)));
        using var trainer = new AutoencoderTrainer(autoencoder, world.Batches(16), new() { Steps = 100, CentreOn = 0 });
        Assert.Contains("A batch of 20 tokens would do", Assert.Throws<ArgumentException>(() => trainer.Step()).Message, StringComparison.Ordinal);
        using var other = new AutoencoderTrainer(autoencoder, world.Batches(20), new() { Steps = 100, CentreOn = 0 });
        other.Step();
        Assert.Throws<ArgumentException>(() => new FeatureChoiceRule(160, 161, null));
        Assert.Throws<ArgumentOutOfRangeException>(() => new FeatureChoiceRule(160, 8, null, switchAt: 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new FeatureChoiceRule(160, 8, null, refreshEvery: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new FeatureChoiceRule(160, 8, null, thresholdWeight: 0));
    }

    [Fact]
    public void Resumed_across_the_switch_it_is_the_same_bit_for_bit()
    {
        using var scope = NewDisposeScope();
        using var world = new UnequalTokens(seed: 6);
        string path = Path.Combine(Path.GetTempPath(), $"sparseland-{Guid.NewGuid():N}.safetensors");
        AutoencoderTrainingOptions options = new() { Steps = 24, WarmUp = 3, CentreOn = 256, Accumulate = 2, Losses = [new ZipfLoss(new(1, 5))] };
        try
        {
            foreach (int stop in (int[])[5, 8, 13])
            {
                (SparseAutoencoder straight, AutoencoderTrainer first) = New();
                using (first) first.Run();
                (_, AutoencoderTrainer second) = New();
                using (second)
                {
                    for (int i = 0; i < stop; i++) second.Step();
                    second.Save(path);
                }

                (SparseAutoencoder resumed, AutoencoderTrainer third) = New();
                using (third)
                {
                    third.Load(path);
                    third.Run();
                    Assert.Equal(first.History.Select(s => s.Loss), third.History.Select(s => s.Loss));
                }

                foreach (((string name, var a), (_, var b)) in straight.named_buffers().Zip(resumed.named_buffers())) Assert.True(a.eq(b).all().item<bool>(), name);
                foreach (((string name, var a), (_, var b)) in straight.named_parameters().Zip(resumed.named_parameters())) Assert.True(a.eq(b).all().item<bool>(), name);
                Assert.NotNull(((FeatureChoiceRule)straight.Rule).Thresholds);
            }
        }
        finally
        {
            File.Delete(path);
        }

        (SparseAutoencoder Autoencoder, AutoencoderTrainer Trainer) New()
        {
            var autoencoder = new SparseAutoencoder(64, 160, new FeatureChoiceRule(160, 8, new(1, 5), refreshEvery: 5), seed: 4);
            return (autoencoder, new(autoencoder, world.Batches(64), options));
        }
    }

    [Fact]
    public void On_unequal_tokens_adaptive_choices_beat_a_fixed_number_and_no_latent_dies()
    {
        using var scope = NewDisposeScope();
        using var world = new UnequalTokens(seed: 1, width: 32, features: 40, active: 4);
        using PlantedTokens test = world.Draw(2_048, -1);
        (double topK, _) = Trained(new TopKRule(4));
        (double mutual, _) = Trained(new MutualChoiceRule(4));
        (double feature, int dead) = Trained(new FeatureChoiceRule(50, 4, new(1, 5)));
        Assert.True(mutual < 0.7 * topK, $"mutual {mutual}, TopK {topK}");
        Assert.True(feature < 0.9 * topK, $"feature {feature}, TopK {topK}");
        Assert.Equal(0, dead);

        (double Fvu, int Dead) Trained(CodeRule rule)
        {
            var autoencoder = new SparseAutoencoder(32, 50, rule, seed: 2);
            using var trainer = new AutoencoderTrainer(autoencoder, world.Batches(256), new() { Steps = 500, WarmUp = 25, LearningRate = 4e-3, CentreOn = 2_048 });
            trainer.Run();
            using SparseCode code = rule.Select(autoencoder.PreActivations(test.X), new(Training: true, null, autoencoder.Decoder));
            return (ReconstructionError.FractionOfVarianceUnexplained(test.X, autoencoder.Decode(code)), code.Support.CountsPerColumn().Count(n => n == 0));
        }
    }

    [Fact]
    public void Zipf_loss_wakes_latents_that_fire_too_rarely_for_their_rank()
    {
        using var scope = NewDisposeScope();
        using var statistics = new LatentStatistics(5, 1000);

        // Of 40 tokens latent 0 fires on 40, latent 1 on 20, latent 2 on 4, latent 3 on 1, latent 4 on none; by 1/r their sum of 65 / 40 would be 28.5, 14.2, 9.5, 7.1, 5.7.
        int[] fires = [40, 20, 4, 1, 0];
        Tensor on = stack([.. fires.Select(n => arange(40).lt(n))], 1);
        using var code = new SparseCode(Support.FromMask(on), ones(65));
        statistics.Update(code);
        Assert.Equal([2, 3, 4], new ZipfLoss(new(1, 0)).Dying(statistics, 1_000_000));
        Assert.Equal([3, 4], new ZipfLoss(new(1, 0), dyingRatio: 3).Dying(statistics, 1_000_000));
        Assert.Equal([4], new ZipfLoss(new(1, 0), dyingRatio: double.PositiveInfinity).Dying(statistics, 40));
        Assert.Empty(new ZipfLoss(new(1, 0)).Dying(new LatentStatistics(5, 10), 40));

        // With the dead alone it is AuxK.
        using var world = new UnequalTokens(seed: 3);
        double[] dead = Losses(new DeadLatentLoss(256)), zipf = Losses(new ZipfLoss(new(1, 5), double.PositiveInfinity, deadAfter: 256)), dying = Losses(new ZipfLoss(new(1, 5), deadAfter: 256));
        Assert.Equal(dead, zipf);
        Assert.NotEqual(dead, dying);
        Assert.Throws<ArgumentOutOfRangeException>(() => new ZipfLoss(new(1, 5), dyingRatio: 0.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ZipfLoss(new(1, 5), weight: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ZipfLoss(new(1, 5), deadAfter: 0));

        double[] Losses(AuxiliaryLoss loss)
        {
            using var trainer = new AutoencoderTrainer(new SparseAutoencoder(64, 160, new MutualChoiceRule(4), seed: 2), world.Batches(64), new() { Steps = 15, WarmUp = 1, CentreOn = 0, Losses = [loss] });
            return [.. trainer.Run().History.Select(step => step.Loss)];
        }
    }
}
