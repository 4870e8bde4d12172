using Sparseland.Models;
using Sparseland.Pruning;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

public class DeadUnitsTests
{
    [Fact]
    public void A_chain_of_dead_units_is_followed_to_its_end()
    {
        using var scope = NewDisposeScope();
        using Sequential network = SmallClassifiers.Mlp([2, 2, 2, 2], 1);

        // Unit 1 of the second hidden layer has no output; then unit 1 of the first feeds nothing, and its inputs go as well.
        using MaskSet masks = MaskSet.Of(network, new Dictionary<string, Tensor>
        {
            ["fc1.weight"] = tensor(new[,] { { true, true }, { true, true } }),
            ["fc2.weight"] = tensor(new[,] { { true, false }, { false, true } }),
            ["head.weight"] = tensor(new[,] { { true, false }, { true, false } }),
        });
        DeadUnitReport counted = DeadUnits.Count(network, masks);
        Assert.Equal(8, masks.Active);
        Assert.Equal((8, 5, 12), (counted.Kept, counted.Effective, counted.Size));
        Assert.Equal((1, 1), (counted.Dead["fc1.weight"], counted.Dead["fc2.weight"]));
        Assert.Equal(3 / 8.0, counted.Wasted);
        DeadUnits.Remove(network, masks);
        Assert.Equal(5, masks.Active);
    }

    [Fact]
    public void Removal_changes_no_output_of_a_network_without_biases_and_flattened_channels_are_followed()
    {
        using var scope = NewDisposeScope();
        using Sequential network = SmallClassifiers.Cnn(8, [6, 6], 3, 2);
        using Tensor X = randn(4, 1, 8, 8);
        network.eval();
        using MaskSet masks = MaskSet.Random(network, 0.06, 5);
        masks.Apply();
        Tensor before = network.call(X);
        DeadUnitReport report = DeadUnits.Remove(network, masks);
        Assert.True(report.Effective < report.Kept, report.ToString());
        masks.Apply();
        Assert.Equal(0, (network.call(X) - before).abs().max().item<float>(), 1e-6);
        Assert.Equal(report.Effective, DeadUnits.Count(network, masks).Effective);
        Assert.DoesNotContain("System.", report.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_no_chain_is_refused()
    {
        using Sequential grouped = nn.Sequential(("a", nn.Conv2d(4, 4, 3, groups: 2)), ("b", nn.Conv2d(4, 2, 1)));
        using Sequential mlp = SmallClassifiers.Mlp([4, 4, 2], 1);
        using MaskSet masks = MaskSet.Random(grouped, 0.5, 1), part = MaskSet.Random(mlp, 0.5, 1, ["fc1.weight"]);
        Assert.Throws<ArgumentException>("network", () => DeadUnits.Count(grouped, masks));
        Assert.Throws<ArgumentException>("masks", () => DeadUnits.Count(mlp, part));
    }
}
