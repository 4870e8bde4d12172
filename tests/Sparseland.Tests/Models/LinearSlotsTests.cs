using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Models.Vision;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models;

public class LinearSlotsTests
{
    private static readonly LlamaConfig s_small = new() { Vocabulary = 50, Width = 16, Layers = 2, Heads = 4, KeyValueHeads = 2, MlpWidth = 24, Context = 12 };

    [Fact]
    public void EveryMatrixOfTheBlocksIsASlotAndNothingElse()
    {
        using var llama = new TinyLM(s_small);
        string[] names = [.. LinearSlots.Of(llama).Select(s => s.Name)];
        Assert.Equal(14, names.Length);
        Assert.Equal("model.layers.0.self_attn.q_proj", names[0]);
        Assert.Equal("model.layers.1.mlp.down_proj", names[^1]);

        // A slot is named as its parameters are.
        string[] parameters = [.. llama.named_parameters().Select(p => p.name)];
        Assert.All(names, name => Assert.Contains($"{name}.weight", parameters));

        using var vision = new VisionTransformer(new VisionTransformerOptions());
        Assert.All(LinearSlots.Of(vision), slot => Assert.Contains($"{slot.Name}.weight", vision.named_parameters().Select(p => p.name)));
        using Sequential mlp = SmallClassifiers.Mlp([4, 3, 2], 1);
        Assert.Equal(["fc1", "head"], LinearSlots.Of(mlp).Select(s => s.Name));
        using var residual = new ResNet(new() { Widths = [4, 6], Blocks = 1 });
        Assert.Equal(["head"], LinearSlots.Of(residual).Select(s => s.Name));
        Assert.Equal(["conv", "stage1.block1.conv1", "stage1.block1.conv2", "stage2.block1.conv1", "stage2.block1.conv2", "stage2.block1.shortcut"], LinearSlots.ConvolutionsOf(residual).Select(s => s.Name));
        Assert.All(LinearSlots.ConvolutionsOf(residual), slot => Assert.Contains($"{slot.Name}.weight", residual.named_parameters().Select(p => p.name)));
    }

    [Fact]
    public void AReplacedLayerIsTheOneThatComputesAndThatTheModelOwns()
    {
        using var model = new TinyLM(s_small);
        using Tensor ids = tensor(new long[] { 3, 1, 4, 1, 5, 9 }).unsqueeze(0), before = model.Logits(ids);
        string[] names = [.. model.named_parameters().Select(p => p.name)];
        IReadOnlyList<ReplacedLayer> replaced = LinearSlots.Replace(model, (name, linear) => name.EndsWith("layers.1.mlp.up_proj", StringComparison.Ordinal) ? new Doubled(linear) : null);
        ReplacedLayer one = Assert.Single(replaced);
        using Tensor doubled = model.Logits(ids);
        Assert.True((doubled - before).abs().max().item<float>() > 1e-4);

        // Nothing of the old layer is left among the parameters but what the new one holds.
        Assert.DoesNotContain(model.named_parameters(), p => p.name.EndsWith("layers.1.mlp.up_proj.weight", StringComparison.Ordinal));
        Assert.Equal(names.Length - 1, model.named_parameters().Count());
        Assert.Throws<InvalidOperationException>(() => model.Blocks[1].Up);
        Assert.Throws<ArgumentException>(() => LanguageModelFolder.SaveModel(Path.Combine(Path.GetTempPath(), "never"), model));

        LinearSlots.Restore(replaced);
        using Tensor after = model.Logits(ids);
        Assert.True(after.equal(before).all().item<bool>());
        Assert.Equal(names, model.named_parameters().Select(p => p.name));
        Assert.Same(one.Before, model.Blocks[1].Up);
        one.After.Dispose();
    }

    [Fact]
    public void MergeMakesThemLinearAgain()
    {
        using var model = new TinyLM(s_small);
        using Tensor ids = tensor(new long[] { 3, 1, 4, 1, 5, 9 }).unsqueeze(0);
        IReadOnlyList<ReplacedLayer> replaced = LinearSlots.Replace(model, (_, linear) => new Doubled(linear));
        Assert.Equal(14, replaced.Count);
        using Tensor doubled = model.Logits(ids);
        LinearSlots.Merge(model, (_, layer) => ((Doubled)layer).Merge());
        using Tensor merged = model.Logits(ids);
        Assert.True((merged - doubled).abs().max().item<float>() < 1e-5);
        Assert.All(LinearSlots.Of(model), slot => Assert.IsType<Linear>(slot.Module));
    }

    [Fact]
    public void ASequentialTakesOthersToo()
    {
        using Sequential mlp = SmallClassifiers.Mlp([4, 3, 2], 1);
        using Tensor X = rand(5, 4), before = mlp.call(X);
        IReadOnlyList<ReplacedLayer> replaced = LinearSlots.Replace(mlp, (name, linear) => name == "head" ? new Doubled(linear) : null);
        using Tensor after = mlp.call(X);
        Assert.True(after.sub(before.mul(2)).abs().max().item<float>() < 1e-5);
        LinearSlots.Restore(replaced);
        using Tensor again = mlp.call(X);
        Assert.True(again.equal(before).all().item<bool>());
    }

    [Fact]
    public void BlocksOneAfterAnotherAreTheWholeModel()
    {
        using var model = new TinyLM(s_small);
        using Tensor ids = tensor(new long[] { 3, 1, 4, 1, 5, 9 }).unsqueeze(0), whole = model.Logits(ids);
        using DisposeScope scope = NewDisposeScope();
        Tensor x = model.EmbedTokens(ids);
        for (int layer = 0; layer < model.Layers; layer++) x = model.RunBlock(layer, x);
        Assert.True(model.Unembed(x).equal(whole).all().item<bool>());
        Assert.Same(model.Blocks[1], model.BlockModule(1));
        Assert.Throws<ArgumentOutOfRangeException>(() => model.RunBlock(2, x));
        Assert.Throws<ArgumentException>(() => model.RunBlock(0, x.narrow(2, 0, 8)));
    }

    private sealed class Doubled : nn.Module<Tensor, Tensor>
    {
        private readonly Func<Tensor, Tensor> _run;
        private readonly Func<Linear> _merge;

        public Doubled(Linear inner)
            : base(nameof(Doubled))
        {
            _run = x => inner.call(x).mul(2);
            _merge = () =>
            {
                using IDisposable off = no_grad();
                Linear twice = nn.Linear(inner.in_features, inner.out_features, inner.bias is not null);
                twice.weight.copy_(inner.weight.mul(2));
                twice.bias?.copy_(inner.bias!.mul(2));
                return twice;
            };
        }

        public override Tensor forward(Tensor input) => _run(input);

        public Linear Merge() => _merge();
    }
}
