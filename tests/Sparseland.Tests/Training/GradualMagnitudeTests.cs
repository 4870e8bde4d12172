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

    // The masks of the method without return are those of GradualPruning; on weights that stand still both choose the same.
    [Fact]
    public void On_weights_that_stand_still_masks_are_nested_and_counts_are_exact_at_every_choice()
    {
        using var scope = NewDisposeScope();
        using Sequential network = SmallClassifiers.Mlp([17, 13, 5], 3);
        string[] names = ["fc1.weight", "head.weight"];
        SparsitySchedule schedule = SparsitySchedule.Cubic(0.87, 3, 20);
        using var pruning = new GradualMagnitude(network, names, schedule, 4);
        Dictionary<string, Tensor> dense = names.ToDictionary(n => n, n => pruning.Masks.ParameterOf(n).detach().abs().clone());
        Dictionary<string, Tensor> before = names.ToDictionary(n => n, n => pruning.Masks[n].clone());
        for (int step = 1; step <= 24; step++)
        {
            bool chosen = pruning.After(step);
            Assert.Equal(step is 3 or 7 or 11 or 15 or 19 or 20, chosen);
            foreach (string name in names)
            {
                Tensor mask = pruning.Masks[name];
                Assert.False(mask.logical_and(before[name].logical_not()).any().item<bool>());
                if (chosen) Assert.Equal(PruningPattern.Kept(mask.numel(), schedule.At(step)), pruning.Masks.ActiveOf(name));
                if (!chosen) Assert.True(mask.Same(before[name]));
                Assert.False(pruning.Masks.ParameterOf(name).masked_select(mask.logical_not()).ne(0).any().item<bool>());
                before[name] = mask.clone();
            }
        }

        foreach (string name in names)
        {
            // What is left is the largest: by a plain sort.
            float[] sizes = dense[name].data<float>().ToArray();
            float least = sizes.OrderDescending().ElementAt((int)PruningPattern.Kept(sizes.Length, 0.87) - 1);
            Assert.Equal(sizes.Select(v => v >= least), before[name].data<bool>().ToArray());
        }
    }

    [Fact]
    public void With_its_end_at_its_begin_it_prunes_once()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using Sequential network = SmallClassifiers.Mlp([17, 13, 5], 3);
        using var pruning = new GradualMagnitude(network, ["fc1.weight"], SparsitySchedule.Cubic(0.6, 5, 5), 2);
        Tensor weight = network.Layer<Linear>("fc1").weight;
        for (int step = 1; step <= 10; step++)
        {
            weight.add_(randn(weight.shape, generator: new Generator((ulong)step)));
            Tensor now = weight.clone();
            Assert.Equal(step == 5, pruning.After(step));
            if (step < 5) Assert.True(now.Same(weight));
            Assert.Equal(step < 5 ? 221 : PruningPattern.Kept(221, 0.6), pruning.Masks.Active);
            if (step != 5) continue;
            using MaskSet shot = MaskSet.FromScores(network, new Dictionary<string, Tensor> { ["fc1.weight"] = now.abs() }, PruningPattern.PerLayer(0.6));
            Assert.True(shot["fc1.weight"].Same(pruning.Masks["fc1.weight"]));
        }
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
