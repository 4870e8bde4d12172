using Sparseland.Models;
using Sparseland.Models.Vision;
using Sparseland.Tests.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Tests.Models;

public class ChannelMajorNetworkTests
{
    /// <summary>Batch norm as a trained network has it: nothing is 0 or 1.</summary>
    internal static T Trained<T>(T network, long seed)
        where T : Module
    {
        using var generator = new Generator((ulong)seed);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        foreach ((_, Module module) in network.named_modules())
        {
            if (module is not BatchNorm norm) continue;
            norm.weight!.copy_(rand(norm.num_features, generator: generator) + 0.5);
            norm.bias!.copy_(randn(norm.num_features, generator: generator) * 0.3);
            norm.running_mean!.copy_(randn(norm.num_features, generator: generator) * 0.3);
            norm.running_var!.copy_(rand(norm.num_features, generator: generator) + 0.5);
        }

        network.eval();
        return network;
    }

    internal static Sequential Small(long seed = 1) => Trained(SmallMobileNet.Of(new() { Width = 0.25 }, seed), seed);

    internal static void PruneBlocks(Sequential network, int rows, double sparsity)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        foreach ((string name, Parameter weight) in network.named_parameters())
        {
            if (name.EndsWith(".pw.weight", StringComparison.Ordinal))
                weight.masked_fill_(GroupSparseConvolutionTests.GroupMask(name.Length, rows, sparsity, weight.shape[0], weight.shape[1], 1, 1).logical_not(), 0);
        }
    }

    [Theory]
    [InlineData(1, 0.9, "sparse, M = 1")]
    [InlineData(2, 0.7, "sparse, M = 2")]
    [InlineData(4, 0.9, "sparse, M = 4")]
    [InlineData(16, 0.5, "groups of 16")]
    public void A_pruned_network_gives_the_logits_of_libtorch_and_the_same_bits_whatever_was_measured(int rows, double sparsity, string kernel)
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using Sequential network = Small();
        PruneBlocks(network, rows, sparsity);
        using ChannelMajorNetwork plain = ChannelMajorNetwork.Compile(network, null, new() { Measure = false });
        using ChannelMajorNetwork measured = ChannelMajorNetwork.Compile(network, null, new() { Images = 2 });
        Assert.Contains(plain.Layers, layer => layer.Kernel == kernel);
        foreach ((int images, int side) in new[] { (1, 32), (3, 32), (2, 24), (1, 32) })
        {
            Tensor x = SparseConvolution1x1Tests.Normal(images, images, 3, side, side), theirs = network.call(x), ours = plain.Run(x);
            Assert.Equal(theirs.shape, ours.shape);
            Assert.InRange(SparseConvolution1x1Tests.Error(ours, theirs), 0, 1e-4);
            Assert.True(measured.Run(x).equal(ours).all().item<bool>());
        }

        Assert.True(plain.Time(3) > 0);
        Assert.All(plain.Layers, layer => Assert.True(layer.Milliseconds >= 0));
        Assert.Equal(["stem", "block1.dw", "block1.pw"], plain.Layers.Take(3).Select(layer => layer.Name));
        Assert.True(plain.Operations < plain.DenseOperations);
    }

    [Fact]
    public void Folding_batch_norm_moves_no_zero_and_masks_are_what_counts()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using Sequential network = Small(), zeroed = Small();
        PruneBlocks(zeroed, 1, 0.8);
        Dictionary<string, Tensor> masks = zeroed.named_parameters().Where(p => p.name.EndsWith(".pw.weight", StringComparison.Ordinal)).ToDictionary(p => p.name, p => p.parameter.ne(0));
        using ChannelMajorNetwork compiled = ChannelMajorNetwork.Compile(network, masks, new() { Measure = false });
        Tensor x = SparseConvolution1x1Tests.Normal(5, 2, 3, 32, 32);
        Assert.InRange(SparseConvolution1x1Tests.Error(compiled.Run(x), zeroed.call(x)), 0, 1e-4);
        foreach (ChannelMajorLayer layer in compiled.Layers.Where(layer => layer.Name.EndsWith(".pw", StringComparison.Ordinal)))
        {
            Tensor mask = masks[layer.Name + ".weight"];
            Assert.Equal((double)mask.sum().item<long>() / mask.numel(), layer.Density, 12);
        }
    }

    [Fact]
    public void A_residual_network_and_a_pooled_one_run_too()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor x = SparseConvolution1x1Tests.Normal(5, 2, 3, 32, 32);
        Module<Tensor, Tensor>[] networks =
        [
            Trained(new ResNet(new() { Widths = [8, 16], Blocks = 2 }), 1),
            Trained(WideCnn.Of(32, 8, 10, 1), 2),
            Trained(Sequential(("c", Conv2d(3, 8, 3, padding: 1)), ("r", new Residual(Sequential(("a", Conv2d(8, 8, 1)), ("b", ReLU())))), ("d", Dropout(0.5)), ("e", ReLU6()), ("f", Conv2d(8, 4, 5, stride: 2))), 3),
        ];
        foreach (Module<Tensor, Tensor> network in networks)
        {
            using ChannelMajorNetwork compiled = ChannelMajorNetwork.Compile(network);
            Tensor theirs = network.call(x), ours = compiled.Run(x);
            Assert.Equal(theirs.shape, ours.shape);
            Assert.InRange(SparseConvolution1x1Tests.Error(ours, theirs), 0, 1e-4);
            network.Dispose();
        }
    }

    [Fact]
    public void What_is_not_known_is_refused_by_name()
    {
        using var scope = NewDisposeScope();
        Refused("a is a GELU", Sequential(("c", Conv2d(3, 4, 3)), ("a", GELU())));
        Refused("g is a convolution in 2 groups", Sequential(("g", Conv2d(4, 4, 3, groups: 2))));
        Refused("d has a dilation", Sequential(("d", Conv2d(3, 4, 3, dilation: 2))));
        Refused("n is batch norm", Sequential(("c", Conv2d(3, 4, 3)), ("r", ReLU()), ("n", BatchNorm2d(4))));
        Refused("t is a ConvTranspose2d", Sequential(("c", Conv2d(3, 4, 3)), ("t", ConvTranspose2d(4, 4, 3))));
        Refused("no convolution", Sequential(("l", Linear(3, 4))));
        Refused("l takes 4 inputs", Sequential(("c", Conv2d(3, 4, 3)), ("f", Flatten()), ("l", Linear(4, 2))));
        using Sequential network = Small();
        Assert.Contains("no convolution or linear layer with the weight x", Assert.Throws<ArgumentException>("masks", () => ChannelMajorNetwork.Compile(network, new Dictionary<string, Tensor> { ["x"] = ones(1) })).Message);
        Assert.Contains("stem.weight", Assert.Throws<ArgumentException>("masks", () => ChannelMajorNetwork.Compile(network, new Dictionary<string, Tensor> { ["stem.weight"] = ones(1) })).Message);
        network.train();
        Assert.Contains("stem_bn is in training mode", Assert.Throws<ArgumentException>("network", () => ChannelMajorNetwork.Compile(network)).Message);
        network.eval();
        using (no_grad()) network.get_parameter("block2.pw.weight")![0, 0, 0, 0] = float.NaN;
        Assert.Contains("block2.pw", Assert.Throws<ArgumentException>("network", () => ChannelMajorNetwork.Compile(network)).Message);
    }

    [Fact]
    public void Images_of_another_kind_are_refused_and_a_disposed_network_too()
    {
        using var scope = NewDisposeScope();
        using Sequential network = Small();
        using ChannelMajorNetwork compiled = ChannelMajorNetwork.Compile(network, null, new() { Measure = false });
        Assert.Throws<ArgumentException>("images", () => compiled.Run(ones(1, 4, 32, 32)));
        Assert.Throws<ArgumentException>("images", () => compiled.Run(ones(3, 32, 32)));
        Assert.Throws<ArgumentException>("images", () => compiled.Run(ones(0, 3, 32, 32)));
        Assert.Throws<ArgumentException>("images", () => compiled.Run(ones([1, 3, 32, 32], dtype: ScalarType.Float64)));
        Assert.Throws<ArgumentOutOfRangeException>("repeats", () => compiled.Time(0));
        compiled.Dispose();
        Assert.Throws<ObjectDisposedException>(() => compiled.Run(ones(1, 3, 32, 32)));
        Assert.Throws<ArgumentOutOfRangeException>("Images", () => ChannelMajorNetwork.Compile(network, null, new() { Images = 0 }));
        Assert.Throws<ArgumentException>("Strides", () => SmallMobileNet.Of(new() { Blocks = [8] }));
        Assert.Throws<ArgumentOutOfRangeException>("Width", () => SmallMobileNet.Of(new() { Width = double.NaN }));
    }

    private static void Refused(string message, Sequential network)
    {
        network.eval();
        Assert.Contains(message, Assert.ThrowsAny<ArgumentException>(() => ChannelMajorNetwork.Compile(network)).Message);
        network.Dispose();
    }
}
