using Sparseland.ActivationSparsity;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;
using Rotation = Sparseland.ActivationSparsity.Rotation;

namespace Sparseland.Tests.ActivationSparsity;

public class RotationTests
{
    public static TheoryData<LlamaConfig> Configs => new(
        Decoder.Config,
        Decoder.Config with { TiedEmbeddings = false, Layers = 1 },
        Decoder.Config with { QueryKeyValueBias = true, OutputBias = true, MlpBias = true, Layers = 3 },
        Decoder.Config with { HeadNorms = true, NormsAddOne = true, ScaledEmbeddings = true });

    [Theory]
    [MemberData(nameof(Configs))]
    public void A_rotated_decoder_computes_the_same(LlamaConfig config)
    {
        using var scope = NewDisposeScope();
        foreach ((ScalarType type, double tolerance) in new[] { (ScalarType.Float64, 1e-9), (ScalarType.Float32, 1e-3) })
        {
            using TinyLM model = Decoder.New(config: config);
            model.to(type);
            Tensor ids = Decoder.Ids(), expected = model.Logits(ids).detach();
            using TinyLM folded = NormFolding.Fold(model, untie: true);
            Assert.True((folded.Logits(ids) - expected).abs().max().to(ScalarType.Float64).item<double>() < tolerance);
            using RotatedModel rotated = Rotation.ColumnOrthogonal(model, untie: true);
            Assert.True((rotated.Logits(ids) - expected).abs().max().to(ScalarType.Float64).item<double>() < tolerance);
            Assert.False(rotated.Model.Logits(ids).allclose(expected, 0.1, 0.1));
            Assert.True(model.Logits(ids).equal(expected).all().item<bool>());
            foreach (LlamaBlock block in rotated.Model.Blocks)
            {
                foreach (Tensor weight in new[] { block.Key.weight, block.Gate.weight })
                {
                    Tensor gram = weight.t().mm(weight), diagonal = gram.diagonal().diag();
                    Assert.True(((gram - diagonal).abs().max() / diagonal.max()).to(ScalarType.Float64).item<double>() < 1e-6);
                }

                Assert.All(new[] { block.AttentionNorm, block.MlpNorm }, norm => Assert.Equal(config.NormsAddOne ? 0 : 1, norm.Weight.mean().to(ScalarType.Float64).item<double>()));
            }
        }
    }

    [Fact]
    public void A_rotated_decoder_goes_on_with_a_cache_and_with_blocks_alone()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using TinyLM model = Decoder.New();
        using RotatedModel rotated = Rotation.ColumnOrthogonal(model, untie: true);
        GenerationOptions greedy = new() { NewTokens = 8, Temperature = 0 };
        Assert.Equal(TextGenerator.Generate(model, [1, 2, 3], greedy), TextGenerator.Generate(rotated.Model, [1, 2, 3], greedy, rotated.Hook));
        Tensor ids = Decoder.Ids(), stream = rotated.Model.EmbedTokens(ids);
        for (int block = 0; block < 2; block++) stream = rotated.Model.RunBlock(block, stream, rotated.Hook);
        Assert.True(rotated.Model.Unembed(stream).allclose(model.Logits(ids), 1e-3, 1e-3));
        Assert.Equal(3 * 32 * 32, rotated.ShortcutWeights);
        Assert.True(RotatedModel.IsOrthogonal("model.layers.0.self_attn.k_proj") && RotatedModel.IsOrthogonal("model.layers.0.mlp.gate_proj") && !RotatedModel.IsOrthogonal("model.layers.0.mlp.up_proj"));
    }

    [Fact]
    public void What_a_rotation_cannot_carry_is_refused_by_name()
    {
        using TinyLM tied = Decoder.New(), gemma = Decoder.New(config: Decoder.Config with { OutputNorms = true });
        Assert.Contains("untied", Assert.Throws<ArgumentException>(() => Rotation.ColumnOrthogonal(tied)).Message, StringComparison.Ordinal);
        Assert.Contains("post_feedforward_layernorm", Assert.Throws<ArgumentException>(() => Rotation.ColumnOrthogonal(gemma, untie: true)).Message, StringComparison.Ordinal);
        using Gpt2 gpt = new(new() { Vocabulary = 40, Width = 32, Layers = 1, Heads = 2, Context = 16 });
        Assert.Contains("layer norms", Assert.Throws<ArgumentException>(() => NormFolding.Fold(gpt)).Message, StringComparison.Ordinal);
        using Tensor bad = full(2, 2, double.NaN);
        Assert.Throws<ArgumentException>(() => Rotation.RightBasis(bad));
    }
}
