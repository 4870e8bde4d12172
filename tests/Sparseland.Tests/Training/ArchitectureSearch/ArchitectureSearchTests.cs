using Sparseland.Selection;
using Sparseland.Training;
using Sparseland.Training.ArchitectureSearch;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training.ArchitectureSearch;

public class ArchitectureSearchTests
{
    private static readonly SearchOptions s_short = new() { Pretrain = 2, Rounds = 3, Batch = 8, AtLeastOne = true };

    [Fact]
    public void The_gradient_of_alpha_is_the_formulas()
    {
        using var scope = NewDisposeScope();
        nn.Module<Tensor, Tensor>[] operations = [nn.Identity(), .. Enumerable.Range(0, 3).Select(_ => nn.Linear(6, 6, dtype: ScalarType.Float64))];
        using MixedOperation mixed = new([.. operations.Select((o, i) => ($"o{i}", o))], ScalarType.Float64);
        Tensor x = randn(5, 6, dtype: ScalarType.Float64), target = randn(5, 6, dtype: ScalarType.Float64);
        using (no_grad()) mixed.Alpha.copy_(tensor(new[] { 0.3, -1.2, 2, 0.1 }));
        Tensor output = mixed.call(x);
        (0.5 * (output - target).square().sum()).backward();
        Tensor g = (output - target).detach();
        double[] p = mixed.Probabilities, inner = [.. operations.Select(o => (g * o.call(x).detach()).sum().item<double>())];
        double mean = p.Zip(inner, (a, b) => a * b).Sum();
        double[] gradient = mixed.Alpha.grad!.data<double>().ToArray();
        for (int i = 0; i < 4; i++) Assert.Equal(p[i] * (inner[i] - mean), gradient[i], 1e-10);
        Assert.Equal(0, gradient.Sum(), 1e-10);
        Assert.Equal(1, p.Sum(), 1e-12);
        Assert.Equal(2, mixed.Strongest);

        // One share of one is that operation alone.
        using (no_grad()) mixed.Alpha.copy_(tensor(new double[] { 0, 2000, 0, 0 }));
        Assert.True(mixed.call(x).equal(operations[1].call(x)).all().item<bool>());
    }

    [Fact]
    public void Weights_of_a_genotype_are_those_of_its_operations()
    {
        Dictionary<string, (int Weights, int Kept)> expected = new()
        {
            ["skip"] = (0, 0), ["max pool"] = (0, 0), ["separable 3x3"] = (72 + 64, 4 + 3), ["conv 1x1"] = (64, 3), ["conv 3x3"] = (576, 29), ["conv 5x5"] = (1600, 80), ["separable 5x5"] = (200 + 64, 10 + 3),
        };
        foreach (SearchSpace space in new[] { SearchSpace.Separable, SearchSpace.Extended })
        {
            foreach (SearchOperation operation in space.Operations)
            {
                using SearchNetwork network = space.Network(space.Alike(operation.Name), 1);
                Assert.Equal(3 * expected[operation.Name].Weights, space.WeightsOf(space.Alike(operation.Name)));
                Assert.Equal(3 * expected[operation.Name].Weights, network.Scored.Sum(l => l.Count));
                foreach (ScoredLayer layer in network.Scored) layer.Keep(layer.KeptAt(0.95));
                Assert.Equal(3 * expected[operation.Name].Kept, network.Kept);
            }
        }

        Genotype mixed = new(["skip", "conv 5x5", "separable 3x3"]);
        using SearchNetwork other = SearchSpace.Extended.Network(mixed, 1);
        Assert.Equal(1600 + 136, other.Scored.Sum(l => l.Count));
        Assert.Equal(1600 + 136, SearchSpace.Extended.WeightsOf(mixed));
    }

    [Fact]
    public void All_operations_keep_the_shape_and_a_sparse_convolution_is_the_dense_one_of_masked_weights()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(3);
        Tensor x = randn(2, 4, 7, 6, generator: generator);
        foreach (SearchOperation operation in new[] { SearchOperation.Skip, SearchOperation.MaxPool, SearchOperation.AveragePool, SearchOperation.Convolution(5), SearchOperation.Separable(3), SearchOperation.Separable(5, 2) })
        {
            using nn.Module<Tensor, Tensor> made = operation.Make(4, false, generator);
            Assert.Equal(x.shape, made.call(x).shape);
            Assert.Equal(operation.Weights(4), made.modules().OfType<ScoredLayer>().Sum(l => l.Count));
        }

        using ScoredConv2d sparse = new(4, 6, 3, generator, groups: 2, dilation: 2);
        sparse.Keep(11);
        Tensor masked = sparse.Weight * sparse.Mask();
        Assert.Equal(11, (sparse.Effective() != 0).sum().item<long>());
        Assert.True(sparse.call(x).allclose(nn.functional.conv2d(x, masked, null, [1L, 1L], [2L, 2L], [2L, 2L], 2)));
        using ScoredLinear linear = new(5, 3, generator);
        linear.Keep(4);
        Tensor row = randn(2, 5);
        Assert.True(linear.call(row).allclose(row.mm((linear.Weight * linear.Mask()).t())));
    }

    [Fact]
    public void The_first_mask_is_that_of_the_magnitudes_and_holds_exactly_k()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(5);
        using ScoredConv2d layer = new(3, 4, 3, generator);
        using (no_grad()) layer.Weight.copy_(randn(layer.Weight.shape) * 3);
        layer.StartScores();
        foreach (int k in new[] { 1, 7, 50, layer.Count })
        {
            layer.Keep(k);
            Tensor expected = Select.TopK(layer.Weight.detach().abs().reshape(1, -1), Budget.Global(k)).ToMask().reshape(layer.Weight.shape);
            Assert.True(layer.Mask().equal(expected).all().item<bool>());
            Assert.Equal(k, layer.Mask().sum().item<long>());
        }

        // Of the scale of a uniform Kaiming start.
        Assert.Equal(Math.Sqrt(6.0 / 27), layer.Scores.abs().max().item<float>(), 1e-6);
        using (no_grad()) layer.Scores.fill_(-1);
        layer.Keep(5);
        Assert.Equal(5, layer.Mask().sum().item<long>());
        Assert.Equal(5, layer.Mask().flatten().narrow(0, 0, 5).sum().item<long>());
        using (no_grad()) layer.Weight.zero_();
        layer.StartScores();
        Assert.Equal(5, layer.Mask().sum().item<long>());
    }

    [Fact]
    public void Scores_have_the_gradient_sign_of_s_times_theta_times_that_of_the_effective_weight()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(7);
        using ScoredLinear layer = new(6, 4, generator);
        layer.Keep(9);
        using (no_grad()) layer.Scores.copy_(randn(layer.Scores.shape));
        Tensor x = randn(5, 6), target = randn(5, 4), output = layer.call(x);
        (0.5 * (output - target).square().sum()).backward();
        Tensor outer = (output - target).detach().t().mm(x), mask = layer.Mask();
        Assert.True(layer.Scores.grad!.allclose(layer.Scores.detach().sign() * layer.Weight.detach() * outer, 1e-5, 1e-6));
        Assert.True(layer.Weight.grad!.allclose(outer * mask, 1e-5, 1e-6));
        Assert.Equal(0, layer.Weight.grad!.masked_select(mask.logical_not()).abs().sum().item<float>());
    }

    [Fact]
    public void A_step_moves_its_own_parameters_and_no_others()
    {
        using var scope = NewDisposeScope();
        (Tensor X, Tensor labels) = Images(16);
        using SearchNetwork net = SearchSpace.Extended.Supernet(1);
        foreach (ScoredLayer layer in net.Scored) layer.Keep(Math.Max(1, layer.Count / 4));
        Func<SearchNetwork, IEnumerable<Parameter>>[] kinds = [ParameterPhase.Scores, ParameterPhase.Weights, ParameterPhase.Alphas];
        Assert.Equal(net.parameters().Count(), kinds.Sum(kind => kind(net).Count()));
        for (int moved = 0; moved < 3; moved++)
        {
            Tensor[][] before = [.. kinds.Select(kind => kind(net).Select(p => p.detach().clone()).ToArray())];
            using (var phase = new ParameterPhase(net, kinds[moved](net), n => new SgdOptimizer(n)))
                phase.Step(new(X.clone(), labels.clone()), 0.5, "a test");
            for (int kind = 0; kind < 3; kind++)
            {
                bool changed = kinds[kind](net).Zip(before[kind]).Any(p => !p.First.equal(p.Second).all().item<bool>());
                Assert.Equal(kind == moved, changed);
            }
        }
    }

    [Fact]
    public void A_search_keeps_its_trajectory_and_depends_on_its_seed_and_objective_alone()
    {
        using var scope = NewDisposeScope();
        (Tensor X, Tensor labels) = Images(48);
        int[] train = [.. Enumerable.Range(0, 24)], validation = [.. Enumerable.Range(24, 24)];
        SearchResult Run(SearchOptions options)
        {
            using SearchNetwork net = SearchSpace.Extended.Supernet(2);
            SearchResult result = DifferentiableSearch.Run(net, X, labels, train, validation, options);
            int kept = net.Scored.Sum(l => options.Objective == SearchObjective.Sparse ? l.KeptAt(options.Ratio, true) : l.Count);
            Assert.Equal(kept, net.Kept);
            Assert.Equal(net.Derive().Operations, result.Genotype.Operations);
            Assert.All(net.parameters(), p => Assert.True(p.requires_grad));
            return result;
        }

        SearchResult first = Run(s_short), again = Run(s_short), dense = Run(s_short with { Objective = SearchObjective.Dense }), other = Run(s_short with { Seed = 2 }), all = Run(s_short with { Ratio = 0 });
        Assert.Equal((4, 3, 6), (first.Alpha.Count, first.Alpha[0].Length, first.Alpha[0][0].Length));
        Assert.All(first.Alpha[0].SelectMany(a => a), p => Assert.Equal(1.0 / 6, p, 1e-7));
        Assert.Equal(3, first.ValidationLoss.Count);
        Assert.Equal(first.Alpha.SelectMany(a => a.SelectMany(l => l)), again.Alpha.SelectMany(a => a.SelectMany(l => l)));
        foreach (SearchResult different in new[] { dense, other, all }) Assert.NotEqual(first.ValidationLoss, different.ValidationLoss);
        for (int layer = 0; layer < 3; layer++) Assert.Equal(first.Genotype.Operations[layer], SearchSpace.Extended.Operations[Array.IndexOf(first.Alpha[^1][layer], first.Alpha[^1][layer].Max())].Name);
    }

    [Fact]
    public void Score_phases_leave_weights_and_tuning_leaves_masks()
    {
        using var scope = NewDisposeScope();
        (Tensor X, Tensor labels) = Images(32);
        SearchSpace space = SearchSpace.Extended;
        ScorePruningOptions none = new() { DenseSteps = 0, ScoreSteps = 0, TuneSteps = 0, Batch = 8 };
        (Tensor[] Weights, Tensor[] Masks) After(ScorePruningOptions options, out PrunedAccuracies result)
        {
            using SearchNetwork net = space.Network(new(["conv 3x3", "separable 3x3", "skip"]), 3);
            result = ScorePruning.Run(net, X, labels, X, labels, 0.9, options);
            return ([.. net.Scored.Select(l => l.Weight.detach().clone())], [.. net.Scored.Select(l => l.Mask())]);
        }

        bool Same(Tensor[] a, Tensor[] b) => a.Zip(b).All(p => p.First.equal(p.Second).all().item<bool>());
        (Tensor[] Weights, Tensor[] Masks) still = After(none, out PrunedAccuracies at), scored = After(none with { ScoreSteps = 12 }, out _), tuned = After(none with { TuneSteps = 4 }, out _), equal = After(none with { KeptPerLayer = 5 }, out PrunedAccuracies five);
        Assert.True(Same(still.Weights, scored.Weights));
        Assert.False(Same(still.Masks, scored.Masks));
        Assert.False(Same(still.Weights, tuned.Weights));
        Assert.True(Same(still.Masks, tuned.Masks));
        Assert.Equal((576 + 136, 58 + 7 + 6), (at.Weights, at.Kept));
        Assert.Equal(15, five.Kept);
        Assert.Equal(at.OneShot, at.Tuned);
        Assert.True(Same(still.Weights, equal.Weights));
        IReadOnlyDictionary<string, PrunedAccuracies[]> table = SparsityFriendliness.Of(space, X, labels, X, labels, 0.9, [1, 2], none with { DenseSteps = 2, TuneSteps = 2 });
        Assert.Equal(space.Operations.Select(o => o.Name), table.Keys);
        Assert.All(table.Values, t => Assert.Equal(2, t.Length));
        Assert.Equal((0, 0), (table["skip"][0].Weights, table["skip"][0].Kept));
    }

    [Fact]
    public void Training_learns_and_pruning_by_scores_stays_within_its_budget()
    {
        using var scope = NewDisposeScope();
        (Tensor X, Tensor labels) = Images(64);
        using SearchNetwork net = SearchSpace.Extended.Network(SearchSpace.Extended.Alike("conv 3x3"), 1);
        PrunedAccuracies result = ScorePruning.Run(net, X, labels, X, labels, 0.8, new() { DenseSteps = 40, ScoreSteps = 20, TuneSteps = 30, Batch = 32 });
        Assert.True(result.Dense > 0.9, $"{result}");
        Assert.True(result.Tuned > 0.8, $"{result}");
        Assert.Equal(3 * 115, result.Kept);
    }

    [Fact]
    public void Bad_input_is_refused_and_named()
    {
        using var scope = NewDisposeScope();
        (Tensor X, Tensor labels) = Images(16);
        int[] train = [0, 1, 2, 3], validation = [4, 5, 6, 7];
        using SearchNetwork net = SearchSpace.Separable.Supernet(1), plain = SearchSpace.Separable.Network(SearchSpace.Separable.Alike("skip"), 1);
        foreach (SearchOptions bad in new[]
        {
            s_short with { Ratio = 1 }, s_short with { Ratio = -0.1 }, s_short with { Ratio = double.NaN }, s_short with { Rounds = 0 }, s_short with { Pretrain = -1 }, s_short with { Batch = 1 }, s_short with { AlphaRate = 0 },
            s_short with { ScoreRate = double.NaN }, s_short with { WeightRate = double.PositiveInfinity }, s_short with { Objective = (SearchObjective)5 },
        })
            Assert.Throws<ArgumentOutOfRangeException>(() => DifferentiableSearch.Run(net, X, labels, train, validation, bad));
        Assert.Contains("convolution", Assert.Throws<ArgumentException>(() => DifferentiableSearch.Run(net, X, labels, train, validation, s_short with { Ratio = 0.999, AtLeastOne = false })).Message, StringComparison.Ordinal);
        Assert.Contains("Image 3", Assert.Throws<ArgumentException>(() => DifferentiableSearch.Run(net, X, labels, train, [3, 4], s_short)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => DifferentiableSearch.Run(net, X, labels, train, [], s_short));
        Assert.Throws<ArgumentOutOfRangeException>(() => DifferentiableSearch.Run(net, X, labels, train, [15, 16], s_short));
        Assert.Throws<ArgumentException>(() => DifferentiableSearch.Run(plain, X, labels, train, validation, s_short));
        Assert.Throws<ArgumentException>(() => DifferentiableSearch.Run(net, X[0], labels, train, validation, s_short));
        Assert.Throws<ArgumentException>(() => DifferentiableSearch.Run(net, X, labels.to(ScalarType.Float32), train, validation, s_short));
        using SearchNetwork weightless = (SearchSpace.Separable with { Operations = [SearchOperation.Skip, SearchOperation.MaxPool] }).Supernet(1);
        Assert.Contains("skip", Assert.Throws<ArgumentException>(() => DifferentiableSearch.Run(weightless, X, labels, train, validation, s_short)).Message, StringComparison.Ordinal);
        Assert.All(net.Mixtures, m => Assert.Equal(0.25, m.Probabilities[0], 1e-9));
        Assert.Throws<InvalidOperationException>(plain.Derive);
        Assert.Throws<ArgumentException>(() => SearchSpace.Separable.Network(new(["skip"]), 1));
        Assert.Throws<ArgumentException>(() => SearchSpace.Separable.WeightsOf(new(["skip", "skip", "conv 3x3"])));
        Assert.Throws<ArgumentException>(() => new SearchSpace().Supernet(1));
        Assert.Throws<ArgumentException>(() => (SearchSpace.Separable with { Operations = [SearchOperation.Skip, SearchOperation.Skip] }).Supernet(1));
        Assert.Throws<ArgumentException>(() => new MixedOperation([]));
        using MixedOperation uneven = new([("same", nn.Identity()), ("smaller", nn.AvgPool2d(2))]);
        Assert.Contains("smaller", Assert.Throws<ArgumentException>(() => uneven.forward(X)).Message, StringComparison.Ordinal);
        using Generator generator = new(1);
        Assert.Throws<ArgumentOutOfRangeException>(() => new ScoredConv2d(4, 4, 2, generator));
        Assert.Throws<ArgumentException>(() => new ScoredConv2d(4, 4, 3, generator, groups: 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ScoredLinear(0, 4, generator));
        using ScoredLinear layer = new(3, 3, generator);
        Assert.Throws<ArgumentOutOfRangeException>(() => layer.Keep(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => layer.Keep(10));
        Assert.Equal(1, layer.KeptAt(0.99, atLeastOne: true));
        Assert.Throws<ArgumentException>(() => ScorePruning.Run(net, X, labels, X, labels, 0.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => ScorePruning.Run(plain, X, labels, X, labels, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => ScorePruning.Run(plain, X, labels, X, labels, 0.5, new() { KeptPerLayer = 0 }));
        Assert.Throws<ArgumentException>(() => SparsityFriendliness.Of(SearchSpace.Separable, X, labels, X, labels, 0.5, []));
        using CancellationTokenSource source = new();
        source.Cancel();
        Assert.Throws<OperationCanceledException>(() => DifferentiableSearch.Run(net, X, labels, train, validation, s_short, cancel: source.Token));
    }

    /// <summary>Two classes, told apart by where the image is bright.</summary>
    private static (Tensor X, Tensor Labels) Images(int count)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(11);
        Tensor labels = arange(count).remainder(2), X = randn([count, 1, 8, 8], generator: generator) * 0.3;
        X.narrow(2, 0, 4).add_(labels.to(ScalarType.Float32).view(-1, 1, 1, 1));
        return (X.MoveToOuterDisposeScope(), labels.MoveToOuterDisposeScope());
    }
}
