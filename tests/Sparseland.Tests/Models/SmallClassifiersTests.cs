using Sparseland.Models;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models;

public class SmallClassifiersTests
{
    [Fact]
    public void A_batch_norm_stands_behind_each_hidden_layer_and_leaves_the_first_weights_as_they_are()
    {
        using var scope = NewDisposeScope();
        using Sequential plain = SmallClassifiers.Mlp([6, 5, 4, 3], 7), normed = SmallClassifiers.Mlp([6, 5, 4, 3], 7, batchNorm: true);
        Assert.Equal(["fc1", "relu1", "fc2", "relu2", "head"], plain.named_children().Select(c => c.name));
        Assert.Equal(["fc1", "bn1", "relu1", "fc2", "bn2", "relu2", "head"], normed.named_children().Select(c => c.name));
        foreach (string name in new[] { "fc1", "fc2", "head" })
            Assert.Equal(plain.Layer<Linear>(name).weight!.data<float>().ToArray(), normed.Layer<Linear>(name).weight!.data<float>().ToArray());
        Assert.Equal(4, normed.Layer<BatchNorm1d>("bn2").weight!.numel());
    }
}
