using Sparseland.Data;
using Sparseland.Evaluation;
using Sparseland.Models;
using Sparseland.Models.Vision;
using Sparseland.Training;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Vision;

public class VisionModelsTests
{
    [Fact]
    public void The_default_sizes_have_the_stated_numbers_of_parameters()
    {
        using var resnet = new ResNet();
        using var vit = new VisionTransformer();
        using var digits = new VisionTransformer(VisionTransformerOptions.Digits);
        // By hand: stem, per stage (first block, others), batch norms, shortcuts, head.
        int conv = (3 * 16 * 9) + (6 * 16 * 16 * 9) + (16 * 32 * 9) + (5 * 32 * 32 * 9) + (32 * 64 * 9) + (5 * 64 * 64 * 9) + (16 * 32) + (32 * 64);
        int norms = 2 * (16 + (6 * 16) + (7 * 32) + (7 * 64));
        Assert.Equal(conv + norms + (64 * 10) + 10, Count(resnet));
        int block = (4 * 96) + (96 * 288) + 288 + (96 * 96) + 96 + (96 * 384) + 384 + (384 * 96) + 96;
        Assert.Equal((48 * 96) + 96 + (64 * 96) + (4 * block) + (2 * 96) + (96 * 10) + 10, Count(vit));
        Assert.Equal((49 * 96) + 96 + (16 * 96) + (4 * block) + (2 * 96) + (96 * 10) + 10, Count(digits));
        Assert.All(resnet.parameters().Concat(vit.parameters()), p => Assert.Equal(ScalarType.Float32, p.dtype));
    }

    [Fact]
    public void Weights_depend_on_the_seed_alone()
    {
        Same(seed => new ResNet(seed: seed));
        Same(seed => new VisionTransformer(seed: seed));

        static void Same(Func<long, nn.Module> make)
        {
            random.manual_seed(1);
            using nn.Module first = make(5);
            random.manual_seed(2);
            using nn.Module again = make(5), other = make(6);
            foreach (((string name, TorchSharp.Modules.Parameter a), (_, TorchSharp.Modules.Parameter b)) in first.named_parameters().Zip(again.named_parameters()))
                Assert.True(a.eq(b).all().ToBoolean(), name);
            Assert.Contains(first.parameters().Zip(other.parameters()), p => !p.First.eq(p.Second).all().ToBoolean());
        }
    }

    [Fact]
    public void Networks_take_other_sizes_and_refuse_what_does_not_fit()
    {
        using var scope = NewDisposeScope();
        using var grey = new ResNet(new() { Channels = 1, Classes = 3, Widths = [8, 12], Blocks = 1, Stride = 1 });
        Assert.Equal([2, 3], grey.call(rand(2, 1, 28, 28)).shape);
        Assert.Equal([2, 12], grey.Features(rand(2, 1, 28, 28)).shape);
        Assert.Equal("images", Assert.Throws<ArgumentException>(() => grey.call(rand(2, 3, 28, 28))).ParamName);
        Assert.Equal("images", Assert.Throws<ArgumentException>(() => grey.call(rand(2, 784))).ParamName);
        Assert.Equal("Stride", Assert.Throws<ArgumentOutOfRangeException>(() => new ResNet(new() { Stride = 3 })).ParamName);
        Assert.Equal("Widths", Assert.Throws<ArgumentException>(() => new ResNet(new() { Widths = [8, 0] })).ParamName);
        Assert.Equal("Widths", Assert.Throws<ArgumentException>(() => new ResNet(new() { Widths = [] })).ParamName);
        Assert.Equal("Blocks", Assert.Throws<ArgumentOutOfRangeException>(() => new ResNet(new() { Blocks = 0 })).ParamName);

        using var vit = new VisionTransformer(new() { Channels = 1, Side = 28, Patch = 7, Width = 24, Layers = 2, Heads = 3, MlpWidth = 32, Classes = 5 });
        Assert.Equal([2, 5], vit.call(rand(2, 1, 28, 28)).shape);
        Assert.Equal("images", Assert.Throws<ArgumentException>(() => vit.call(rand(2, 1, 32, 32))).ParamName);
        Assert.Equal("Patch", Assert.Throws<ArgumentOutOfRangeException>(() => new VisionTransformer(new() { Patch = 5 })).ParamName);
        Assert.Equal("Heads", Assert.Throws<ArgumentOutOfRangeException>(() => new VisionTransformer(new() { Heads = 5 })).ParamName);
        Assert.Equal("Layers", Assert.Throws<ArgumentOutOfRangeException>(() => new VisionTransformer(new() { Layers = 0 })).ParamName);
    }

    [Fact]
    public void The_residual_network_is_the_plain_composition_of_its_layers()
    {
        using var scope = NewDisposeScope();
        using var network = new ResNet(new() { Widths = [4, 6], Blocks = 2 }, seed: 3);
        using (no_grad()) foreach (TorchSharp.Modules.Parameter p in network.parameters().Where(p => p.dim() == 1)) p.copy_(rand_like(p));
        network.eval();
        Tensor x = rand(3, 3, 16, 16);
        Dictionary<string, Tensor> w = network.named_parameters().ToDictionary(p => p.name, p => (Tensor)p.parameter);
        Tensor y = Norm(nn.functional.conv2d(x, w["conv.weight"], strides: [2, 2], padding: [1, 1]), "bn").relu();
        foreach ((string name, long stride) in new[] { ("stage1.block1", 1L), ("stage1.block2", 1L), ("stage2.block1", 2L), ("stage2.block2", 1L) })
        {
            Tensor inner = Norm(nn.functional.conv2d(y, w[$"{name}.conv1.weight"], strides: [stride, stride], padding: [1, 1]), $"{name}.bn1").relu();
            inner = Norm(nn.functional.conv2d(inner, w[$"{name}.conv2.weight"], padding: [1, 1]), $"{name}.bn2");
            Tensor around = stride == 1 ? y : Norm(nn.functional.conv2d(y, w[$"{name}.shortcut.weight"], strides: [2, 2]), $"{name}.shortcut_bn");
            y = inner.add(around).relu();
        }
        Tensor expected = y.mean([2, 3]).mm(w["head.weight"].T).add(w["head.bias"]);
        Assert.True(network.call(x).sub(expected).abs().max().ToSingle() < 1e-4);

        // Fresh running means are 0 and variances 1.
        Tensor Norm(Tensor z, string name) => z.div(Math.Sqrt(1 + 1e-5)).mul(w[name + ".weight"].view(1, -1, 1, 1)).add(w[name + ".bias"].view(1, -1, 1, 1));
    }

    [Fact]
    public void Patches_are_cut_row_by_row_and_attention_is_a_softmax_over_tokens()
    {
        using var scope = NewDisposeScope();
        using var vit = new VisionTransformer(seed: 2);
        Tensor images = rand(2, 3, 32, 32);
        Tensor patches = vit.Patches(images);
        Assert.Equal([2, 64, 48], patches.shape);
        Tensor tenth = images.narrow(2, 4, 4).narrow(3, 8, 4).reshape(2, 48).mul(2).sub(1);
        Assert.True(patches.select(1, 10).sub(tenth).abs().max().ToSingle() < 1e-6);
        Tensor tokens = vit.Embed(images), pattern = vit.Blocks[0].Pattern(tokens);
        Assert.Equal([2, 4, 64, 64], pattern.shape);
        Assert.True(pattern.sum(3L).sub(1).abs().max().ToSingle() < 1e-5);

        // The forward pass mixes the values with just these weights.
        VisionBlock block = vit.Blocks[0];
        Tensor values = block.QueryKeyValue.call(block.Norm1.call(tokens)).narrow(2, 192, 96).view(2, 64, 4, 24).transpose(1, 2);
        Tensor mixed = pattern.flatten(0, 1).bmm(values.flatten(0, 1)).view(2, 4, 64, 24).transpose(1, 2).flatten(2);
        Tensor middle = tokens.add(block.Output.call(mixed));
        Tensor expected = middle.add(block.Down.call(nn.functional.gelu(block.Up.call(block.Norm2.call(middle)))));
        Assert.True(block.call(tokens).sub(expected).abs().max().ToSingle() < 1e-4);
    }

    [Fact]
    public void A_short_training_of_the_perceptron_is_far_above_chance_and_repeatable()
    {
        using GlyphDigitSet train = GlyphDigits.Generate(2000, 1, GlyphDigitsOptions.Hurried), test = GlyphDigits.Generate(500, 2, GlyphDigitsOptions.Hurried);
        double first = Train(), again = Train();
        Assert.True(first > 0.7, $"{first}");
        Assert.Equal(first, again);

        double Train()
        {
            using var network = SmallClassifiers.Mlp([784, 64, 10], 1);
            SampleBatches batches = VisionRecipes.Batches(train, flat: true);
            using var loop = new TrainingLoop(network, batches, Losses.CrossEntropy(network), VisionRecipes.Mlp(batches, epochs: 4));
            loop.Run();
            return Accuracy.Of(network, test.Flat(), test.Labels);
        }
    }

    [Fact]
    public void A_short_training_of_a_small_residual_network_beats_chance()
    {
        // Easy shapes: this is about the network, not about the set.
        var easy = new TexturedShapesOptions { Occluders = 0, Contrast = 0.5, Texture = 0.05, Shift = 1, Rotation = 5, Noise = 0.02 };
        using LabelledImages train = TexturedShapes.Generate(1500, 1, easy), test = TexturedShapes.Generate(300, 2, easy);
        using var network = new ResNet(new() { Blocks = 1 });
        SampleBatches batches = VisionRecipes.Batches(train);
        using var loop = new TrainingLoop(network, batches, Losses.CrossEntropy(network), VisionRecipes.ResNet(batches, epochs: 4));
        loop.Run();
        double accuracy = Accuracy.Of(network, test.Planes(), test.Labels);
        Assert.True(accuracy > 0.5, $"{accuracy}");
    }

    [Fact]
    public void A_short_training_of_a_small_transformer_beats_chance()
    {
        using GlyphDigitSet train = GlyphDigits.Generate(2000, 1), test = GlyphDigits.Generate(300, 2);
        using var network = new VisionTransformer(VisionTransformerOptions.Digits with { Width = 32, Layers = 2, Heads = 2, MlpWidth = 64 });
        SampleBatches batches = VisionRecipes.Batches(train);
        using var loop = new TrainingLoop(network, batches, Losses.CrossEntropy(network), VisionRecipes.VisionTransformer(batches, epochs: 5) with { LearningRate = 0.005 });
        loop.Run();
        double accuracy = Accuracy.Of(network, test.Planes(), test.Labels);
        Assert.True(accuracy > 0.4, $"{accuracy}");
    }

    [Fact]
    public void Recipes_refuse_no_epochs()
    {
        using GlyphDigitSet set = GlyphDigits.Generate(100, 1);
        SampleBatches batches = VisionRecipes.Batches(set, flat: true);
        Assert.Equal("epochs", Assert.Throws<ArgumentOutOfRangeException>(() => VisionRecipes.Mlp(batches, 0)).ParamName);
        TrainingOptions options = VisionRecipes.ResNet(batches, 5);
        Assert.Equal(10, options.Steps);
        options.Validate();
    }

    private static long Count(nn.Module network) => network.parameters().Sum(p => p.numel());
}
