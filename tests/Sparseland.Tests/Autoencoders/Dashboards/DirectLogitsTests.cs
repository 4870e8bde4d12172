using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders.Dashboards;

public class DirectLogitsTests
{
    /// <summary>Near a large residual the norm's division is constant, and so logits change by the direct weights.</summary>
    [Theory]
    [InlineData("llama")]
    [InlineData("gemma")]
    [InlineData("gpt2")]
    [InlineData("neox")]
    public void They_are_the_derivative_of_the_logits_without_the_part_of_the_division(string family)
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using LanguageModel model = family switch
        {
            "llama" => new TinyLM(new LlamaConfig { Vocabulary = 30, Width = 16, Layers = 1, Heads = 2, KeyValueHeads = 1, MlpWidth = 24, Context = 8, TiedEmbeddings = false }),
            "gemma" => new TinyLM(new LlamaConfig { Vocabulary = 30, Width = 16, Layers = 1, Heads = 2, KeyValueHeads = 1, MlpWidth = 24, Context = 8, NormsAddOne = true }),
            "gpt2" => new Gpt2(new Gpt2Config { Vocabulary = 30, Width = 16, Layers = 1, Heads = 2, Context = 8 }),
            _ => new GptNeoX(new GptNeoXConfig { Vocabulary = 30, Width = 16, Layers = 1, Heads = 2, Context = 8, MlpWidth = 32 }),
        };
        foreach (Tensor parameter in model.parameters().Where(p => p.dim() == 1)) parameter.add_(randn(parameter.shape, generator: new Generator((ulong)parameter.shape[0])), alpha: 0.3);
        Tensor x = randn([16], generator: new Generator(1)) * 10, directions = randn([5, 16], generator: new Generator(2));

        // Directions that change neither mean nor length of the residual leave the division alone.
        bool centred = family is "gpt2" or "neox";
        Tensor centre = centred ? x - x.mean() : x, unit = centre / centre.norm(), flat = centred ? directions - directions.mean([1L], keepdim: true) : directions;
        Tensor still = flat - flat.mv(unit).unsqueeze(1) * unit, moved = centred ? still + 3 : still;
        Tensor direct = model.DirectLogits(moved);
        double epsilon = 1e-2, length = Math.Sqrt(centre.square().mean().item<float>());
        Tensor before = model.Unembed(x.reshape(1, 1, 16)), after = model.Unembed((x + moved * epsilon).unsqueeze(0));
        Tensor change = (after - before)[0] / epsilon * length;
        Assert.True(allclose(change, direct, rtol: 1e-2, atol: 2e-2), $"{(change - direct).abs().max().item<float>()} of {direct.abs().max().item<float>()}");
        Assert.True(direct.abs().max().item<float>() > 0.1);
    }

    [Fact]
    public void Other_shapes_and_types_are_refused()
    {
        using var model = new Gpt2(new Gpt2Config { Vocabulary = 30, Width = 16, Layers = 1, Heads = 2, Context = 8 });
        Assert.Throws<ArgumentException>("directions", () => model.DirectLogits(zeros(2, 17)));
        Assert.Throws<ArgumentException>("directions", () => model.DirectLogits(zeros(16)));
        Assert.Throws<ArgumentException>("directions", () => model.DirectLogits(zeros([2, 16], dtype: ScalarType.Float64)));
    }
}
