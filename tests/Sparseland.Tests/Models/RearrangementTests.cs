using Sparseland.Models;
using Sparseland.Models.Vision;
using Sparseland.Tests.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Tests.Models;

public class RearrangementTests
{
    private static Module<Tensor, Tensor> Network(string kind) => kind switch
    {
        "mobile" => ChannelMajorNetworkTests.Small(),
        "resnet" => ChannelMajorNetworkTests.Trained(new ResNet(new() { Widths = [8, 16], Blocks = 2 }), 1),
        "flat" => ChannelMajorNetworkTests.Trained(
            Sequential(("c1", Conv2d(3, 8, 3, stride: 2)), ("b1", BatchNorm2d(8)), ("r1", ReLU()), ("res", new Residual(Sequential(("a", Conv2d(8, 8, 1)), ("t", Tanh())))), ("p", MaxPool2d(3)), ("f", Flatten()), ("l", Linear(200, 12)), ("r2", ReLU()), ("h", Linear(12, 4))), 3),
        _ => throw new ArgumentException(kind),
    };

    [Theory]
    [InlineData("mobile")]
    [InlineData("resnet")]
    [InlineData("flat")]
    public void A_rearranged_network_gives_the_same_logits_and_undone_the_same_bits(string kind)
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using Module<Tensor, Tensor> network = Network(kind);
        ChannelGraph graph = ChannelGraph.Of(network);
        Assert.Empty(graph.Barriers);
        Tensor x = SparseConvolution1x1Tests.Normal(5, 2, 3, 32, 32), before = network.call(x);
        float[][] weights = [.. network.parameters().Select(p => SparseConvolution1x1Tests.Bits(p.detach()))];
        foreach (Rearrangement way in new[] { Rearrangement.Random(graph, 1), Rearrangement.Random(graph, 2), Rearrangement.SortByNorm(graph), Rearrangement.Greedy(graph, 4) })
        {
            way.Apply();
            Assert.Contains(network.parameters().Zip(weights), p => !SparseConvolution1x1Tests.Bits(p.First.detach()).SequenceEqual(p.Second));
            Assert.InRange(SparseConvolution1x1Tests.Error(network.call(x), before), 0, 1e-5);
            Assert.Throws<InvalidOperationException>(way.Apply);
            way.Undo();
            Assert.All(network.parameters().Zip(weights), p => Assert.Equal(p.Second, SparseConvolution1x1Tests.Bits(p.First.detach())));
            Assert.Throws<InvalidOperationException>(way.Undo);
        }
    }

    // The control: what the graph ties must move together.
    [Fact]
    public void Moving_one_writer_of_a_residual_stream_alone_changes_the_logits()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using var network = (ResNet)Network("resnet");
        Tensor x = SparseConvolution1x1Tests.Normal(5, 2, 3, 32, 32), before = network.call(x), weight = network.Blocks[0].Conv2.weight;
        weight.copy_(weight.index_select(0, tensor([.. ChannelOrder.Random(8, 1).Select(i => (long)i)])));
        Assert.True(SparseConvolution1x1Tests.Error(network.call(x), before) > 0.01);
    }

    [Fact]
    public void A_residual_stream_is_one_space_and_input_and_output_are_fixed()
    {
        using Module<Tensor, Tensor> network = Network("resnet");
        ChannelGraph graph = ChannelGraph.Of(network);
        ChannelSpace stream = graph.Spaces.Single(space => space.Writers.Contains("conv"));
        Assert.Equal(["conv", "stage1.block1.conv2", "stage1.block2.conv2"], stream.Writers);
        Assert.Equal(["stage1.block1.conv1", "stage1.block2.conv1", "stage2.block1.conv1", "stage2.block1.shortcut"], stream.Readers.Order(StringComparer.Ordinal));
        Assert.Equal(8, stream.Channels);
        Assert.False(stream.IsFixed);
        Assert.Equal([true, true], [graph.Spaces[0].IsFixed, graph.Spaces[^1].IsFixed]);
        Assert.Equal((3, 10), (graph.Spaces[0].Channels, graph.Spaces[^1].Channels));
        Assert.Throws<ArgumentException>("orders", () => Rearrangement.Of(graph, new Dictionary<int, int[]> { [0] = [0, 1, 2] }));
        Assert.Throws<ArgumentException>("orders", () => Rearrangement.Of(graph, new Dictionary<int, int[]> { [99] = [0] }));
        Assert.Throws<ArgumentException>("orders", () => Rearrangement.Of(graph, new Dictionary<int, int[]> { [stream.Index] = [0, 0, 1, 2, 3, 4, 5, 6] }));
    }

    [Fact]
    public void An_unknown_module_is_a_barrier_and_never_a_guess()
    {
        using var scope = NewDisposeScope();
        using Sequential network = Sequential(("a", Conv2d(3, 4, 1)), ("s", Softmax(1)), ("g", Conv2d(4, 8, 1, groups: 2)), ("b", Conv2d(8, 6, 1)), ("c", Conv2d(6, 2, 1)));
        ChannelGraph graph = ChannelGraph.Of(network);
        Assert.Equal(["s (Softmax)", "g (Conv2d in 2 groups)"], graph.Barriers);
        Assert.Equal(["b"], graph.Spaces.Single(space => !space.IsFixed).Writers);
    }

    // By hand: rows (1,0,0), (0,1,1), (1,0,1), (0,1,0.5). Strongest is row 1 or 2 (sum 2: the lower first); with row 1 agree rows 3 (1.5), 2 (1), 0 (0).
    [Fact]
    public void Orders_of_a_small_matrix_are_those_made_by_hand()
    {
        using var scope = NewDisposeScope();
        Tensor weight = tensor(new float[] { 1, 0, 0, 0, -1, 1, -1, 0, 1, 0, 1, -0.5f }, [4, 3]);
        Assert.Equal([1, 2, 3, 0], ChannelOrder.ByNorm(weight));
        Assert.Equal([1, 3, 2, 0], ChannelOrder.Greedy(weight, 2));
        Assert.Equal([1, 2, 3, 0], ChannelOrder.Greedy(weight, 1));
        Assert.Equal(Enumerable.Range(0, 50), ChannelOrder.Random(50, 3).Order());
        Assert.NotEqual(ChannelOrder.Random(50, 3), ChannelOrder.Random(50, 4));
        Assert.Throws<ArgumentException>("weight", () => ChannelOrder.ByNorm(full([2, 2], double.NaN)));
        Assert.Throws<ArgumentOutOfRangeException>("block", () => ChannelOrder.Greedy(weight, 0));
    }
}
