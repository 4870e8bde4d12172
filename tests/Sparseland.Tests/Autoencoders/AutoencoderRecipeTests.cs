using Sparseland.Autoencoders;

namespace Sparseland.Tests.Autoencoders;

/// <summary>Each architecture by its name is what the name says, with settings that a trainer takes.</summary>
public class AutoencoderRecipeTests
{
    public static TheoryData<string, Type, Type> Rules => new()
    {
        { "relu", typeof(ReluRule), typeof(L1Penalty) },
        { "topk", typeof(TopKRule), typeof(DeadLatentLoss) },
        { "batch-topk", typeof(BatchTopKRule), typeof(DeadLatentLoss) },
        { "jumprelu", typeof(JumpReluRule), typeof(L0Penalty) },
        { "gated", typeof(GatedRule), typeof(GatedPenalty) },
        { "matryoshka", typeof(MatryoshkaRule), typeof(DeadLatentLoss) },
        { "gradient", typeof(GradientTopKRule), typeof(DeadLatentLoss) },
        { "mutual-choice", typeof(MutualChoiceRule), typeof(ZipfLoss) },
        { "feature-choice", typeof(FeatureChoiceRule), typeof(DeadLatentLoss) },
    };

    [Theory]
    [MemberData(nameof(Rules))]
    public void A_name_gives_its_rule_and_losses(string architecture, Type rule, Type loss)
    {
        Assert.Contains(architecture, AutoencoderRecipe.Architectures);
        Assert.Equal(Rules.Count, AutoencoderRecipe.Architectures.Count);
        var recipe = new AutoencoderRecipe { Architecture = architecture, Latents = 64, Seed = 3 };
        using SparseAutoencoder autoencoder = recipe.Create(8);
        Assert.Equal((rule, 64, 8), (autoencoder.Rule.GetType(), autoencoder.Latents, autoencoder.Width));
        AutoencoderTrainingOptions training = recipe.Training(100);
        Assert.Equal(loss, training.Losses[0].GetType());
        Assert.Equal((100, 5, 3, 8e-3), (training.Steps, training.WarmUp, training.Seed, training.LearningRate));
        Assert.Equal(architecture == "relu", !training.UnitDecoder);
        Assert.Equal(autoencoder.Rule.ChoosesAcrossBatch, recipe.ChoosesAcrossBatch);
        Assert.InRange(autoencoder.Decoder.norm(1).max().item<float>(), architecture == "relu" ? 0.0999f : 0.999f, architecture == "relu" ? 0.1001f : 1.001f);
    }

    [Fact]
    public void Defaults_follow_the_number_of_latents()
    {
        Assert.Equal(4e-3, new AutoencoderRecipe { Latents = 3072 }.Training(10).LearningRate);
        Assert.Equal(2e-3, new AutoencoderRecipe { Latents = 4 * 3072 }.Training(10).LearningRate, 1e-12);
        Assert.Equal(1e-4, new AutoencoderRecipe { LearningRate = 1e-4 }.Training(10).LearningRate);
        Assert.Equal((1024, 32), (new AutoencoderRecipe().BatchTokens, new AutoencoderRecipe().ActiveLatents));
        Assert.Equal(2560, new AutoencoderRecipe { Architecture = "feature-choice", Latents = 4096 }.BatchTokens);
        using var matryoshka = new AutoencoderRecipe { Architecture = "matryoshka", Latents = 20, K = 2 }.Create(4);
        Assert.Equal([1, 2, 5, 10, 20], ((MatryoshkaRule)matryoshka.Rule).Widths);
    }

    [Fact]
    public void What_an_architecture_has_not_is_refused()
    {
        Refused("known are relu", new() { Architecture = "vanilla" });
        Refused("gated has none", new() { Architecture = "gated", K = 3 });
        Refused("batch-topk has none", new() { Architecture = "batch-topk", Penalty = 3 });
        Refused("above 0", new() { K = 0 });
        Refused("not above the 16 latents", new() { Latents = 16 });
        Refused("whole number", new() { Architecture = "gradient", K = 2.5 });
        Refused("Latents", new() { Latents = 0 });
        Refused("batch must be positive", new() { Batch = 0 });
        Refused("rate must be positive", new() { LearningRate = double.NaN });
        Refused("penalty must be positive", new() { Architecture = "relu", Penalty = -1 });
        Refused("would do", new() { Architecture = "feature-choice", Latents = 64, K = 2, Batch = 16 });

        static void Refused(string text, AutoencoderRecipe recipe)
        {
            Assert.Contains(text, Assert.ThrowsAny<ArgumentException>(recipe.Validate).Message, StringComparison.OrdinalIgnoreCase);
            Assert.ThrowsAny<ArgumentException>(() => recipe.Create(8));
            Assert.ThrowsAny<ArgumentException>(() => recipe.Training(10));
        }
    }
}
