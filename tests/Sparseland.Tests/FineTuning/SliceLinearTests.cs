using Sparseland.FineTuning;
using Sparseland.Models;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.FineTuning;

public class SliceLinearTests
{
    [Theory]
    [InlineData(SliceSide.Input, new[] { 4, 0, 2 })]
    [InlineData(SliceSide.Input, new[] { 1, 2, 3 })]
    [InlineData(SliceSide.Output, new[] { 3, 1 })]
    public void Slice_gradients_are_the_slice_of_the_dense_gradient(SliceSide side, int[] indices)
    {
        using var scope = NewDisposeScope();
        Linear dense = nn.Linear(6, 5, dtype: ScalarType.Float64), own = nn.Linear(6, 5, dtype: ScalarType.Float64);
        using (no_grad())
        {
            own.weight.copy_(dense.weight);
            own.bias!.copy_(dense.bias!);
        }

        var slice = new SliceLinear(dense, side, indices);
        Assert.Equal(indices.Order(), slice.Indices);
        using (no_grad()) slice.Delta.copy_(randn(slice.Delta.shape, dtype: ScalarType.Float64));
        using (no_grad()) own.weight.copy_(slice.EffectiveWeight());
        dense.weight.requires_grad = false;
        Tensor x = randn([2, 3, 6], dtype: ScalarType.Float64).requires_grad_(), x2 = x.detach().clone().requires_grad_(), back = randn([2, 3, 5], dtype: ScalarType.Float64);
        Tensor y = slice.call(x), y2 = own.call(x2);
        Assert.InRange(TuneData.Farthest(y, y2), 0, 1e-12);
        y.backward([back]);
        y2.backward([back]);
        Tensor places = tensor((long[])[.. slice.Indices.Select(i => (long)i)]);
        Assert.InRange(TuneData.Farthest(slice.Delta.grad!, own.weight.grad!.index_select(side == SliceSide.Input ? 1 : 0, places)), 0, 1e-12);
        Assert.InRange(TuneData.Farthest(x.grad!, x2.grad!), 0, 1e-12);
        using Linear merged = slice.Merge();
        Assert.InRange(TuneData.Farthest(merged.call(x), y), 0, 1e-12);
        Assert.Equal(side == SliceSide.Input ? 3 : 6, slice.SavedActivationsPerToken);
        Assert.Equal(side == SliceSide.Input ? 15 : 12, slice.TrainedCount);
        Assert.Equal(35 + slice.TrainedCount, slice.ParameterCount);
    }

    [Theory]
    [InlineData(SliceSide.Input)]
    [InlineData(SliceSide.Output)]
    public void Twenty_steps_are_those_of_a_dense_training_with_masked_gradients(SliceSide side)
    {
        using var scope = NewDisposeScope();
        Sequential sliced = TuneData.Mlp(), dense = TuneData.Mlp();
        SampleBatches batches = TuneData.Samples();
        Tensor before = ((Linear)LinearSlots.Of(dense)[1].Module).weight.detach().clone();
        Tensor mask = zeros(before.shape, dtype: ScalarType.Bool);
        int side1 = side == SliceSide.Input ? 1 : 0;
        mask.index_fill_(side1, tensor(new long[] { 1, 4, 5 }), true);
        var options = new TrainingOptions { Steps = 20, LearningRate = 0.01, WeightDecay = 0, ClipNorm = 0.5 };
        IReadOnlyList<ReplacedLayer> replaced = LinearSlots.Replace(sliced, (name, linear) => linear.weight.shape[1] == 8 ? new SliceLinear(linear, side, [5, 1, 4], name) : null);
        var slice = (SliceLinear)replaced.Single().After;
        using (var optimizer = new AdamWOptimizer([("delta", slice.Delta)], 0))
        using (var loop = new TrainingLoop(sliced, batches, Losses.CrossEntropy(sliced), options, null, optimizer)) loop.Run();
        using (MaskSet masks = MaskSet.Of(dense, new Dictionary<string, Tensor> { ["fc2.weight"] = mask }))
        using (var tuned = new MaskedGradient(dense, masks))
        using (var optimizer = new AdamWOptimizer(dense, 0))
        using (var loop = new TrainingLoop(dense, batches, Losses.CrossEntropy(dense), options, tuned.Hooks, optimizer)) loop.Run();
        Tensor after = ((Linear)LinearSlots.Of(dense)[1].Module).weight;
        Assert.True(TuneData.Farthest(before, after) > 0.02);
        Assert.InRange(TuneData.Farthest(slice.EffectiveWeight(), after), 0, 1e-9);
    }

    [Fact]
    public void Weights_outside_stay_under_decay()
    {
        using var scope = NewDisposeScope();
        Sequential network = TuneData.Mlp();
        Tensor before = ((Linear)LinearSlots.Of(network)[1].Module).weight.detach().clone(), mask = zeros_like(before, dtype: ScalarType.Bool);
        mask[0] = tensor(true);
        using MaskSet masks = MaskSet.Of(network, new Dictionary<string, Tensor> { ["fc2.weight"] = mask });
        using (var tuned = new MaskedGradient(network, masks))
        {
            Assert.Equal(3 * 8 * 56, tuned.StateBytes);
            using var optimizer = new AdamWOptimizer(network, 0.1);
            using var loop = new TrainingLoop(network, TuneData.Samples(), Losses.CrossEntropy(network), new() { Steps = 5, LearningRate = 0.01 }, tuned.Hooks, optimizer);
            loop.Run();
        }

        Tensor after = ((Linear)LinearSlots.Of(network)[1].Module).weight;
        Assert.True(TuneData.Same(before[1..], after[1..]));
        Assert.False(TuneData.Same(before[0], after[0]));
        Assert.All(network.parameters(), p => Assert.True(p.requires_grad));
    }

    [Fact]
    public void Indices_are_inputs_or_outputs_each_once()
    {
        using Linear layer = nn.Linear(6, 4);
        Assert.Contains("twice", Assert.Throws<ArgumentException>(() => new SliceLinear(layer, SliceSide.Input, [1, 1])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new SliceLinear(layer, SliceSide.Output, [4]));
        Assert.Throws<ArgumentException>(() => new SliceLinear(layer, SliceSide.Input, [-1]));
        Assert.Throws<ArgumentException>(() => new SliceLinear(layer, SliceSide.Input, []));
        Assert.Throws<ArgumentNullException>(() => new SliceLinear(layer, SliceSide.Input, null!));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SliceLinear(layer, (SliceSide)7, [1]));
    }
}
