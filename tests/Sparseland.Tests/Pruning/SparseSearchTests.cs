using Sparseland.Models;
using Sparseland.Pruning;
using Sparseland.Tests.Training;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

public class SparseSearchTests
{
    [Fact]
    public void The_small_network_is_the_parent_with_other_activations_zero()
    {
        using var scope = NewDisposeScope();
        using Sequential parent = Parent();
        NodeMask mask = NodeMask.Random([20, 12], 0.7, 3);
        using Sequential small = mask.Shrink(parent);
        Tensor X = randn(50, 8);
        Tensor Bits(int layer) => tensor(Enumerable.Range(0, mask.Widths[layer]).Select(i => mask.Kept[layer].Contains(i) ? 1f : 0f).ToArray());
        Tensor a = parent.Layer<Linear>("fc1").call(X).relu() * Bits(0), b = parent.Layer<Linear>("fc2").call(a).relu() * Bits(1);
        Assert.True((parent.Layer<Linear>("head").call(b) - small.call(X)).abs().max().item<float>() < 1e-6);
        Assert.Equal((6, 4), (mask.Kept[0].Count, mask.Kept[1].Count));
        Assert.Equal((8 * 6) + (6 * 4) + (4 * 3), mask.Weights(8, 3));
        Assert.Equal(mask.Weights(8, 3), small.parameters().Where(p => p.dim() > 1).Sum(p => p.numel()));
        using MaskSet masks = mask.Apply(parent);
        Assert.Equal(mask.Weights(8, 3), masks.Active);
        Tensor before = small.call(X);
        masks.Apply();
        Assert.True((parent.call(X) - before).abs().max().item<float>() < 1e-6);
    }

    [Fact]
    public void Weights_thin_out_faster_than_nodes()
    {
        NodeMask mask = NodeMask.Random([256, 256], 0.8, 1);
        Assert.Equal(51, mask.Kept[0].Count);
        Assert.Equal(1 - (((64.0 * 51) + (51 * 51) + (51 * 10)) / ((64 * 256) + (256 * 256) + (256 * 10))), mask.WeightSparsity(64, 10), 12);
        Assert.Equal(1, NodeMask.Random([10], 0.999, 1).Weights(1, 1) / 2);
        Assert.Equal(mask, NodeMask.Random([256, 256], 0.8, 1));
        Assert.NotEqual(mask, NodeMask.Random([256, 256], 0.8, 2));
    }

    [Theory]
    [InlineData(0.5)]
    [InlineData(0.9)]
    public void Losses_side_by_side_are_those_of_built_networks(double sparsity)
    {
        using var scope = NewDisposeScope();
        using Sequential parent = Parent();
        (Tensor X, Tensor labels) = TrainingData.Blobs(40, 8, 3, 1);
        SparseCandidate[] candidates = [.. Enumerable.Range(0, 37).Select(i => new NodeSpace(sparsity).Draw(parent, i))];
        double[] losses = new UntrainedLoss(X, labels).Of(parent, candidates);
        double[] built = [.. candidates.Select(candidate =>
        {
            using Sequential network = candidate.Build(parent);
            return (double)nn.functional.cross_entropy(network.call(X), labels).item<float>();
        })];
        Assert.Equal(built, losses, (a, b) => Math.Abs(a - b) < 1e-5 * (1 + Math.Abs(b)));
    }

    [Fact]
    public void The_winner_is_the_smallest_and_the_same_again()
    {
        using var scope = NewDisposeScope();
        using Sequential parent = Parent();
        (Tensor X, Tensor labels) = TrainingData.Blobs(40, 8, 3, 1);
        double[] before = TrainingData.Parameters(parent);
        foreach (ISparseSpace space in (ISparseSpace[])[new NodeSpace(0.8), new EdgeSpace(0.8), new EdgeSpace(0.6, LayerAllocation.Erk)])
        {
            SearchResult found = SparseSearch.RandomSearch(parent, space, new UntrainedLoss(X, labels), 50, 7);
            SearchResult again = SparseSearch.RandomSearch(parent, space, new UntrainedLoss(X, labels), 50, 7);
            Assert.Equal((50, 0L), (found.Evaluations, found.GradientSteps));
            Assert.Equal(found.Losses.Min(), found.BestLoss);
            Assert.Equal(found.BestIndex, again.BestIndex);
            Assert.Equal(found.Losses, again.Losses);
            Assert.Same(found.Candidates[found.BestIndex], found.Best);
            Assert.Equal(found.BestLoss, found.BestSoFar()[^1]);
            Assert.True(found.StandardizedBest < -1);
        }

        Assert.Equal(before, TrainingData.Parameters(parent));
    }

    [Fact]
    public void The_expected_best_is_the_mean_over_all_choices()
    {
        double[] losses = [0.9, 0.2, 0.7, 0.4, 0.5];
        SearchResult result = new(NodeMask.Random([2], 0.5, 1), 1, losses, [], 0, 0);
        for (int n = 1; n <= 5; n++)
        {
            double[] minima = [.. Enumerable.Range(0, 32).Where(set => int.PopCount(set) == n).Select(set => losses.Where((_, i) => (set >> i & 1) == 1).Min())];
            Assert.Equal(minima.Average(), result.ExpectedBest(n), 12);
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => result.ExpectedBest(6));
    }

    [Fact]
    public void Short_training_is_charged_for_and_keeps_the_masks()
    {
        using var scope = NewDisposeScope();
        using Sequential parent = Parent();
        (Tensor X, Tensor labels) = TrainingData.Blobs(40, 8, 3, 1);
        ShortTraining objective = new(X, labels, X, labels, epochs: 2, new() { BatchSize = 10, Schedule = new(RetrainRate.Cosine, 0.01) });
        SearchResult found = SparseSearch.RandomSearch(parent, new EdgeSpace(0.5), objective, 3, 1);
        Assert.Equal(3 * 2 * 4, found.GradientSteps);
        double untrained = SparseSearch.RandomSearch(parent, new EdgeSpace(0.5), new UntrainedLoss(X, labels), 3, 1).BestLoss;
        Assert.True(found.BestLoss < untrained);
    }

    [Fact]
    public void Rescaling_keeps_what_comes_in_as_large_as_in_the_parent()
    {
        using var scope = NewDisposeScope();
        using Sequential parent = SmallClassifiers.Mlp([8, 400, 400, 3], 1);
        NodeMask mask = NodeMask.Random([400, 400], 0.75, 1);
        using Sequential plain = mask.Shrink(parent), scaled = mask.Shrink(parent, rescale: true);
        Assert.Equal(0, (plain.Layer<Linear>("fc1").weight! - scaled.Layer<Linear>("fc1").weight!).abs().max().item<float>());
        Tensor X = randn(100, 8, generator: new Generator(1));
        double Size(Sequential network) => network.call(X).square().mean().item<float>();
        Assert.InRange(Size(scaled) / Size(parent), 0.5, 2);
        Assert.True(Size(plain) < 0.2 * Size(parent));
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using var scope = NewDisposeScope();
        using Sequential parent = Parent(), cnn = WideCnn.Of(16, 4, 10, 1), other = SmallClassifiers.Mlp([8, 5, 3], 1);
        (Tensor X, Tensor labels) = TrainingData.Blobs(20, 8, 3, 1);
        UntrainedLoss loss = new(X, labels);
        foreach (double s in (double[])[1, -0.1, double.NaN]) Assert.Throws<ArgumentOutOfRangeException>("sparsity", () => new NodeSpace(s));
        Assert.Throws<ArgumentOutOfRangeException>("sparsity", () => new EdgeSpace(1));
        Assert.Throws<ArgumentOutOfRangeException>("trials", () => SparseSearch.RandomSearch(parent, new NodeSpace(0.5), loss, 0, 1));
        Assert.Throws<ArgumentException>("parent", () => SparseSearch.RandomSearch(cnn, new NodeSpace(0.5), loss, 3, 1));
        Assert.Throws<ArgumentException>("parent", () => NodeMask.Random([20, 12], 0.5, 1).Shrink(other));
        Assert.Throws<ArgumentException>("layers", () => new NodeMask([[true, false], [false, false]]));
        Assert.Contains("draw 1", Assert.Throws<ArgumentException>("objective", () => SparseSearch.RandomSearch(parent, new NodeSpace(0.5), new Broken(), 3, 1)).Message, StringComparison.Ordinal);
        Assert.Throws<OperationCanceledException>(() => SparseSearch.RandomSearch(parent, new NodeSpace(0.5), loss, 3, 1, cancel: new CancellationToken(true)));
    }

    private static Sequential Parent()
    {
        Sequential parent = SmallClassifiers.Mlp([8, 20, 12, 3], 5);
        using IDisposable off = no_grad();
        foreach (Parameter parameter in parent.parameters().Where(p => p.dim() == 1)) parameter.fill_(0.1);
        return parent;
    }

    private sealed class Broken : ISearchObjective
    {
        public string Name => "broken";

        public long StepsPerCandidate => 0;

        public double[] Of(Sequential parent, IReadOnlyList<SparseCandidate> candidates, IProgress<ProgressReport>? progress, CancellationToken cancel) => [1, double.NaN, 0];
    }
}
