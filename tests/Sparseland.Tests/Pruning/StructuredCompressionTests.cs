using Sparseland.Models;
using Sparseland.Pruning;
using Sparseland.Tests.Training;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Tests.Pruning;

public class StructuredCompressionTests
{
    [Fact]
    public void A_small_mlp_computes_what_the_large_one_did()
    {
        using var scope = NewDisposeScope();
        using Sequential network = (Sequential)SmallClassifiers.Mlp([8, 12, 10, 3], 1).to(ScalarType.Float64);
        GroupSpec one = GroupSpec.Rows(network.Layer<Linear>("fc1")), two = GroupSpec.Rows(network.Layer<Linear>("fc2"));
        Disturb(network);
        GroupMagnitude.Prune(one, KeepGroups.Count(5));
        GroupMagnitude.Prune(two, KeepGroups.Share(0.3));
        using CompressedNetwork small = StructuredCompression.Shrink(network, one, two);
        Assert.Equal(
            [new("fc1", 8, 12, 8, 5), new("fc2", 12, 10, 5, 3), new("head", 10, 3, 3, 3)], small.Layers);
        Assert.Equal((8 * 5) + 5 + (5 * 3) + 3 + (3 * 3) + 3, small.Parameters);
        Assert.Equal(network.parameters().Sum(p => p.numel()), small.ParametersBefore);
        Same(network, small.Network, randn([20, 8], dtype: ScalarType.Float64), 1e-13);

        // A network of its own: it can be trained on, and the large one does not notice.
        double[] before = TrainingData.Parameters(network);
        using (no_grad()) small.Network.Layer<Linear>("fc1").weight.zero_();
        Assert.Equal(before, TrainingData.Parameters(network));
        Assert.All(small.Network.parameters(), p => Assert.True(p.requires_grad));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_small_cnn_computes_the_same_through_norm_pooling_and_flatten(bool training)
    {
        using var scope = NewDisposeScope();
        using Sequential network = SmallClassifiers.Cnn(12, [6, 8], 3, 2);
        Disturb(network);
        GroupSpec one = Filters(network, 1), two = Filters(network, 2);
        GroupMagnitude.Prune(one, KeepGroups.Count(4));
        GroupMagnitude.Prune(two, KeepGroups.Count(3));
        network.train();
        network.call(randn(16, 1, 12, 12)).Dispose();
        network.train(training);
        using CompressedNetwork small = StructuredCompression.Shrink(network, one, two);
        Assert.Equal([new("conv1", 1, 6, 1, 4), new("conv2", 6, 8, 4, 3), new("head", 8 * 9, 3, 3 * 9, 3)], small.Layers);
        Assert.Equal(training, small.Network.training);
        Assert.Equal(training, network.training);
        Same(network, small.Network, randn(10, 1, 12, 12), 1e-5);
        NetworkCost large = NetworkCost.Of(network, 1, 12, 12), less = NetworkCost.Of(small.Network, 1, 12, 12);
        Assert.Equal((144 * 9 * 6) + (36 * 54 * 8) + (72 * 3), large.MultiplyAdds);
        Assert.Equal((144 * 9 * 4) + (36 * 36 * 3) + (27 * 3), less.MultiplyAdds);
        Assert.Equal(small.Parameters, less.Parameters);
    }

    [Fact]
    public void Residual_sums_need_both_sides()
    {
        using var scope = NewDisposeScope();
        Conv2d stem = Conv2d(1, 6, 3, padding: 1), inside = Conv2d(6, 5, 3, padding: 1), back = Conv2d(5, 6, 3, padding: 1);
        using Sequential network = Sequential(
            ("stem", stem), ("relu", ReLU()), ("block", new Residual(Sequential(("a", inside), ("relu", ReLU()), ("b", back)))),
            ("pool", AvgPool2d(4)), ("flatten", Flatten()), ("head", Linear(6, 2)));
        Tensor X = randn(7, 1, 4, 4);

        // Layers inside may shrink alone.
        GroupSpec middle = GroupSpec.Filters(inside);
        middle.Scale([1, 0, 1, 0, 1]);
        using (CompressedNetwork small = StructuredCompression.Shrink(network, middle)) Same(network, small.Network, X, 1e-5);

        GroupSpec left = GroupSpec.Filters(stem), right = GroupSpec.Filters(back);
        left.Scale([1, 1, 0, 1, 0, 1]);
        Assert.Contains("channel 2 is zero on one side", Refusal(network, left));
        right.Scale([1, 1, 0, 1, 1, 1]);
        Assert.Contains("channel 4 is zero on one side", Refusal(network, left, right));
        GroupSpec tied = GroupSpec.Tied(left, right);
        tied.Scale([1, 1, 0, 1, 0, 1]);
        using CompressedNetwork both = StructuredCompression.Shrink(network, tied, middle);
        Assert.Equal(new LayerShrinkage("block.b", 5, 6, 3, 4), both.Layers[2]);
        Same(network, both.Network, X, 1e-5);
        Assert.Equal(NetworkCost.Of(both.Network, 1, 4, 4).Parameters, both.Parameters);
    }

    [Fact]
    public void Zeros_that_still_speak_are_refused()
    {
        using var scope = NewDisposeScope();
        using Sequential network = SmallClassifiers.Cnn(8, [6], 3, 2);
        Disturb(network);
        GroupSpec bare = GroupSpec.Filters(network.Layer<Conv2d>("conv1"));
        bare.Scale([1, 1, 0, 1, 1, 1]);
        Assert.Contains("put gamma and beta into its group", Refusal(network, bare));

        using Sequential mlp = SmallClassifiers.Mlp([8, 4, 3], 2);
        Linear fc1 = mlp.Layer<Linear>("fc1");
        GroupSpec weights = new("no bias", 4, [new("fc1.weight", fc1.weight, 4, 0, 8, 8)]);
        weights.Scale([1, 0, 1, 1]);
        using (CompressedNetwork small = StructuredCompression.Shrink(mlp, weights)) Same(mlp, small.Network, randn(5, 8), 1e-5);
        using (no_grad()) fc1.bias!.fill_(0.5);
        Assert.Contains("bias of 0.5 outside its group", Refusal(mlp, weights));

        using Sequential sigmoid = Sequential(("fc1", Linear(4, 3)), ("sigmoid", Sigmoid()), ("head", Linear(3, 2)));
        Assert.Contains("Sigmoid", Refusal(sigmoid));
    }

    [Fact]
    public void Refuses_what_cannot_be_shrunk()
    {
        using var scope = NewDisposeScope();
        using Sequential network = SmallClassifiers.Mlp([8, 4, 3], 2), other = SmallClassifiers.Mlp([8, 4, 3], 2);
        GroupSpec head = GroupSpec.Rows(network.Layer<Linear>("head"));
        head.Scale([1, 0, 1]);
        Assert.Contains("head gives the network's output", Refusal(network, head));
        Assert.Contains("not the outputs of a layer of this network", Refusal(network, GroupSpec.Rows(other.Layer<Linear>("fc1"))));
        Assert.Contains("only whole rows", Refusal(network, GroupSpec.Elements(network.Layer<Linear>("fc1").weight)));
        GroupSpec rows = GroupSpec.Rows(network.Layer<Linear>("fc1"));
        Assert.Contains("in the groups of", Refusal(network, rows, GroupSpec.Rows(network.Layer<Linear>("fc1"), "again")));
        rows.Scale([0, 0, 0, 0]);
        Assert.Contains("shrunk to nothing", Refusal(network, rows));
        using Sequential grouped = Sequential(("conv", Conv2d(4, 4, 3, groups: 2)), ("flatten", Flatten()));
        Assert.Contains("2 groups", Refusal(grouped));
        using Sequential wrong = Sequential(("fc1", Linear(4, 3)), ("head", Linear(5, 2)));
        Assert.Contains("head takes 5 inputs", Refusal(wrong));
        Assert.Throws<ArgumentException>(() => NetworkCost.Of(network));
    }

    [Fact]
    public void Magnitude_keeps_the_largest_groups_and_the_first_of_equals()
    {
        using var scope = NewDisposeScope();
        using Linear layer = Linear(1, 5, hasBias: false, dtype: ScalarType.Float64);
        using (no_grad()) layer.weight.copy_(tensor(new double[] { 1, -3, 2, -2, 0.5 }).reshape(5, 1));
        GroupSpec rows = GroupSpec.Rows(layer);
        Assert.Equal([false, true, true, false, false], GroupMagnitude.Prune(rows, KeepGroups.Count(2)));
        Assert.Equal([0, -3, 2, 0, 0], TrainingData.Numbers(layer.weight.detach()));
        Assert.Throws<ArgumentException>(() => GroupMagnitude.Prune(rows, KeepGroups.Count(6)));
        using (no_grad()) layer.weight.fill_(double.NaN);
        Assert.Contains("not finite", Assert.Throws<ArgumentException>(() => GroupMagnitude.Prune(rows, KeepGroups.Count(2))).Message);
    }

    [Fact]
    public void Times_are_measured_in_turns()
    {
        using var scope = NewDisposeScope();
        using Sequential network = SmallClassifiers.Mlp([8, 4, 3], 2);
        InferenceTime time = InferenceTime.Compare(network, network, randn(4, 8), 5);
        Assert.True(time.First > 0 && time.Second > 0);
        Assert.Equal(time.First / time.Second, time.Ratio);
        Assert.Throws<ArgumentOutOfRangeException>(() => InferenceTime.Compare(network, network, randn(4, 8), 0));
        Assert.Throws<OperationCanceledException>(() => InferenceTime.Compare(network, network, randn(4, 8), 5, new CancellationToken(true)));
    }

    private static GroupSpec Filters(Sequential network, int block)
        => GroupSpec.Filters(network.Layer<Conv2d>($"conv{block}"), network.Layer<BatchNorm2d>($"bn{block}"));

    private static string Refusal(Sequential network, params GroupSpec[] groups)
        => Assert.Throws<ArgumentException>(() => StructuredCompression.Shrink(network, groups)).Message;

    /// <summary>Biases and norms away from their trivial start.</summary>
    private static void Disturb(Sequential network)
    {
        using IDisposable off = no_grad();
        using var generator = new Generator(8);
        foreach (Parameter parameter in network.parameters())
            parameter.add_(randn(parameter.shape, dtype: parameter.dtype, generator: generator).mul_(0.1));
    }

    private static void Same(Sequential large, Sequential small, Tensor X, double tolerance)
    {
        large.eval();
        small.eval();
        using IDisposable off = no_grad();
        double[] a = TrainingData.Numbers(large.call(X)), b = TrainingData.Numbers(small.call(X));
        Assert.Contains(a, v => Math.Abs(v) > 0.01);
        for (int i = 0; i < a.Length; i++) Assert.Equal(a[i], b[i], tolerance);
    }
}
