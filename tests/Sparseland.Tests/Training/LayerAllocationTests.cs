using Sparseland.Models;
using Sparseland.Pruning;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class LayerAllocationTests
{
    private static readonly LayerShape[] Mlp = [new("fc1.weight", [256, 784]), new("fc2.weight", [128, 256]), new("head.weight", [10, 128])];

    public static IEnumerable<object[]> Cases => from allocation in LayerAllocation.All from density in new[] { 0.3, 0.5, 0.9, 1.0 } select new object[] { allocation.Name, density };

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_total_holds_with_every_rule(string name, double density)
    {
        foreach (LayerShape[] layers in (LayerShape[][])[Mlp, [.. Cnn(4)], [.. Cnn(32)]])
        {
            LayerDensities solved = LayerAllocation.All.Single(a => a.Name == name).Solve(layers, density);
            Assert.InRange(solved.Kept - (density * solved.Size), -layers.Length / 2.0 - 1e-6, layers.Length / 2.0 + 1e-6);
            Assert.Equal(density * solved.Size, layers.Sum(layer => solved[layer.Name] * layer.Size), 6);
            Assert.All(solved.Values, d => Assert.InRange(d, 0, 1));
        }
    }

    [Fact]
    public void Erk_of_a_perceptron_is_the_closed_form()
    {
        LayerDensities erk = LayerAllocation.Erk.Solve(Mlp, 0.1);

        // By hand: the head saturates; epsilon = (0.1 (200704 + 32768) - 0.9 1280) / ((256 + 784) + (128 + 256)).
        double epsilon = ((0.1 * (200704 + 32768)) - (0.9 * 1280)) / (1040 + 384);
        Assert.Equal([epsilon * 1040 / 200704, epsilon * 384 / 32768, 1], erk.Values.ToArray(), (a, b) => Math.Abs(a - b) < 1e-12);
        Assert.Equal([0.080766, 0.182654, 1], erk.Values.ToArray(), (a, b) => Math.Abs(a - b) < 1e-6);
        Assert.Equal(["head.weight"], erk.Saturated);
        Assert.Equal(["head.weight"], erk.Rounds[0].Saturated);
        Assert.Equal(erk.Values, LayerAllocation.Er.Solve(Mlp, 0.1).Values);
    }

    [Fact]
    public void Several_layers_saturate_one_round_after_the_other()
    {
        LayerDensities erk = LayerAllocation.Erk.Solve(Cnn(4), 0.7);
        Assert.True(erk.Saturated.Count >= 2, erk.ToString());
        Assert.Equal(erk.Saturated.Count, erk.Rounds.Sum(round => round.Saturated.Count));
        LayerShape free = erk.Layers.First(layer => !erk.Saturated.Contains(layer.Name));
        Assert.Equal(erk.Rounds[^1].Epsilon * free.Dimensions.Sum() / free.Size, erk[free.Name], 12);
    }

    [Fact]
    public void The_plus_rules_keep_the_ends_of_the_network()
    {
        LayerDensities uniform = LayerAllocation.UniformPlus.Solve(Cnn(16), 0.1), erk = LayerAllocation.ErkPlus.Solve(Cnn(16), 0.1);
        Assert.Equal(1, uniform["conv1.weight"]);
        Assert.Equal(0.2, uniform["head.weight"]);
        Assert.Equal(uniform["conv2.weight"], uniform["conv4.weight"]);
        Assert.Equal(1, erk["head.weight"]);
        LayerDensities half = LayerAllocation.UniformPlus.Solve(Cnn(16), 0.5);
        Assert.Equal(half["conv2.weight"], half["head.weight"]);
    }

    [Fact]
    public void Layers_are_found_by_type_with_their_positions()
    {
        IReadOnlyList<LayerShape> layers = Cnn(16);
        Assert.Equal(["conv1.weight", "conv2.weight", "conv3.weight", "conv4.weight", "head.weight"], layers.Select(layer => layer.Name));
        Assert.Equal([256, 256, 64, 64, 1], layers.Select(layer => layer.Positions));
        Assert.Equal(16_880, layers.Sum(layer => layer.Size));
        using Sequential network = WideCnn.Of(16, 16, 10, 1);
        Assert.Equal(NetworkCost.Of(network, 3, 16, 16).MultiplyAdds, layers.Sum(layer => layer.MultiplyAdds));
        Assert.Equal(1, LayerAllocation.Uniform.Solve(layers, 1).MultiplyAddShare);
        Assert.True(network.training);
    }

    [Fact]
    public void A_grouped_convolution_sees_the_inputs_of_its_group()
    {
        using Sequential network = nn.Sequential(("depthwise", nn.Conv2d(8, 8, 3, padding: 1, groups: 8)), ("inner", nn.Sequential(("point", nn.Conv2d(8, 4, 1)))));
        IReadOnlyList<LayerShape> layers = LayerShape.Of(network, 8, 6, 6);
        Assert.Equal(["depthwise.weight", "inner.point.weight"], layers.Select(layer => layer.Name));
        Assert.Equal((1, 8, 72, 36), (layers[0].FanIn, layers[0].FanOut, layers[0].Size, layers[0].Positions));
    }

    [Fact]
    public void Densities_make_masks_of_their_counts_and_scores_give_densities_back()
    {
        using Sequential network = WideCnn.Of(16, 4, 10, 1);
        LayerDensities erk = LayerAllocation.Erk.Solve(Cnn(4), 0.3);
        using MaskSet masks = MaskSet.Random(network, erk, 3);
        Assert.All(erk.Counts, pair => Assert.Equal(pair.Value, masks.ActiveOf(pair.Key)));
        using ParameterScores scores = RandomScore.Of(network, 5);
        LayerDensities read = LayerAllocation.FromScores("random", Cnn(4), scores, 0.3);
        using MaskSet own = MaskSet.FromScores(network, scores, PruningPattern.Global(0.7));
        Assert.All(read.Counts, pair => Assert.Equal(pair.Value, own.ActiveOf(pair.Key)));
        Assert.Contains("of 1196 weights", read.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Bernoulli_masks_vary_as_their_law_says()
    {
        using Sequential network = WideCnn.Of(16, 4, 10, 1);
        LayerDensities erk = LayerAllocation.Erk.Solve(Cnn(4), 0.3);
        double[] kept = [.. Enumerable.Range(0, 200).Select(seed =>
        {
            using MaskSet masks = RandomMasks.Bernoulli(network, erk, seed);
            return (double)masks.Active;
        })];
        double mean = kept.Average(), deviation = Math.Sqrt(kept.Sum(k => (k - mean) * (k - mean)) / 199), law = RandomMasks.Deviation(erk);
        Assert.InRange(mean - (0.3 * 1196), -4 * law / Math.Sqrt(200), 4 * law / Math.Sqrt(200));
        Assert.InRange(deviation / law, 0.8, 1.2);
        Assert.Throws<ArgumentException>(() => RandomMasks.Bernoulli(network, new Dictionary<string, double> { ["nowhere"] = 0.5 }, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => RandomMasks.Bernoulli(network, new Dictionary<string, double> { ["head.weight"] = double.NaN }, 1));
    }

    [Fact]
    public void Static_masks_hold_to_the_end_and_stay_bitwise_zero()
    {
        using var scope = NewDisposeScope();
        (Tensor X, Tensor labels) = TrainingData.Blobs(60, 8, 3, 2);
        using Sequential network = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.3, 1);
        long before = masks.Active;
        TrainingResult result = MaskedSgd.Run(network, masks, X, labels, new() { Epochs = 5, BatchSize = 10, Schedule = new(RetrainRate.Cosine, 0.1) });
        Assert.Equal(30, result.History.Count);
        Assert.Equal(before, masks.Active);
        foreach (string name in masks.Names)
        {
            float[] off = masks.ParameterOf(name).masked_select(masks[name].logical_not()).data<float>().ToArray();
            Assert.All(off, w => Assert.Equal(0, BitConverter.SingleToInt32Bits(w)));
        }

        Assert.True(result.RecentLoss(6) < result.History.Take(6).Average(s => s.Loss));
        Assert.Throws<ArgumentOutOfRangeException>(() => MaskedSgd.Run(network, null, X, labels, new() { Momentum = 1 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => MaskedSgd.Run(network, null, X, labels, new() { Schedule = new(RetrainRate.Cosine, double.NaN) }));
    }

    [Fact]
    public void What_has_no_solution_is_refused_by_name()
    {
        foreach (double density in (double[])[0, -0.1, 1.01, double.NaN]) Assert.Throws<ArgumentOutOfRangeException>("density", () => LayerAllocation.Erk.Solve(Mlp, density));
        Assert.Throws<ArgumentException>("layers", () => LayerAllocation.Uniform.Solve([], 0.5));
        Assert.Throws<ArgumentException>("layers", () => LayerAllocation.Uniform.Solve([new("a", [3, 0])], 0.5));
        Assert.Throws<ArgumentException>("layers", () => LayerAllocation.Uniform.Solve([new("a", [3, 2]), new("a", [3, 2])], 0.5));
        Assert.Contains("needs a total density of", Assert.Throws<ArgumentException>("density", () => LayerAllocation.ErkPlus.Solve(Cnn(4), 0.05)).Message, StringComparison.Ordinal);
        Assert.Contains("conv1.weight dense", Assert.Throws<ArgumentException>("density", () => LayerAllocation.UniformPlus.Solve(Cnn(4), 0.05)).Message, StringComparison.Ordinal);
        Assert.Contains("none of the 6 weights of b", Assert.Throws<ArgumentException>("total", () => LayerAllocation.Uniform.Solve([new("a", [100, 100]), new("b", [3, 2])], 0.05)).Message, StringComparison.Ordinal);
        using Tensor scores = ones(2, 3);
        Assert.Throws<ArgumentException>("scores", () => LayerAllocation.FromScores("x", [new("a", [3, 2])], new Dictionary<string, Tensor> { ["a"] = scores }, 0.5));
        Assert.Throws<ArgumentException>("scores", () => LayerAllocation.FromScores("x", [new("a", [3, 2])], new Dictionary<string, Tensor>(), 0.5));
        using Sequential network = WideCnn.Of(16, 4, 10, 1);
        Assert.Throws<ArgumentException>("sampleShape", () => LayerShape.Of(network));
        Assert.Throws<ArgumentException>("key", () => LayerAllocation.Erk.Solve(Mlp, 0.1)["conv9.weight"]);
    }

    private static IReadOnlyList<LayerShape> Cnn(int width)
    {
        using Sequential network = WideCnn.Of(16, width, 10, 1);
        return LayerShape.Of(network, 3, 16, 16);
    }
}
