using Sparseland.Models;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class GradualMagnitudeTests
{
    [Fact]
    public void Sparsity_follows_the_schedule_and_a_masked_weight_comes_back_with_its_value()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using Sequential network = SmallClassifiers.Mlp([4, 1], 1);
        Tensor weight = network.Layer<Linear>("head").weight;
        weight.copy_(tensor(new float[] { 4, 3, 2, 1 }, [1, 4]));
        using var pruning = new GradualMagnitude(network, ["head.weight"], SparsitySchedule.Linear(0.5, 0, 4), 2);
        Assert.False(pruning.After(1));
        Assert.Equal(4, pruning.Masks.Active);

        // Step 2: a quarter goes, the smallest.
        Assert.True(pruning.After(2));
        Assert.Equal([4, 3, 2, 0], weight.data<float>().ToArray());

        // What a masked weight is moved to does not count; it keeps its 1. The second has become smaller.
        weight.copy_(tensor(new float[] { 4, 0.5f, 2, 9 }, [1, 4]));
        Assert.False(pruning.After(3));
        Assert.Equal([4, 0.5f, 2, 0], weight.data<float>().ToArray());
        weight[0, 2] = 0.25f;
        Assert.True(pruning.After(4));
        Assert.Equal([4, 0, 0, 1], weight.data<float>().ToArray());

        // From here on the mask stays.
        weight.copy_(tensor(new float[] { 0.1f, 7, 7, 0.1f }, [1, 4]));
        Assert.False(pruning.After(6));
        Assert.Equal([0.1f, 0, 0, 0.1f], weight.data<float>().ToArray());
    }

    [Fact]
    public void Bad_input_is_refused_by_name()
    {
        using Sequential network = SmallClassifiers.Mlp([4, 1], 1);
        SparsitySchedule schedule = SparsitySchedule.Cubic(0.5, 0, 4);
        Assert.Throws<ArgumentException>("name", () => new GradualMagnitude(network, ["x"], schedule));
        Assert.Throws<ArgumentOutOfRangeException>("every", () => new GradualMagnitude(network, ["head.weight"], schedule, 0));
        Assert.ThrowsAny<ArgumentException>(() => new GradualMagnitude(network, [], schedule));
    }
}
