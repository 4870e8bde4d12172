using Sparseland.Selection;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public sealed class TopologyRulesTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Fact]
    public void By_sign_the_same_share_of_each_goes()
    {
        // Six positive weights and two negative ones; half of each is three and one. By magnitude both negative ones would go first.
        TopologyContext layer = Layer([0.9f, 0.8f, 0.7f, 0.6f, 0.5f, 0.4f, -0.1f, -0.2f, 0f, 0f], 8, 0.5);
        DropSignWise rule = new();
        long count = rule.CountOf(layer, 4);
        TopologyChange change = TopologyUpdate.Apply(layer, rule, new GrowRandom(), count);
        Assert.Equal(4, count);
        Assert.Equal([3, 4, 5, 6], change.Dropped.ColumnIndices.ToArray());
        Assert.Equal([4, 5, 6, 7], TopologyUpdate.Apply(layer, new DropMagnitude(), new GrowRandom(), 4).Dropped.ColumnIndices.ToArray());
        Assert.Equal(4, change.Grown.Count);
    }

    [Fact]
    public void Zeros_belong_to_the_sign_that_has_fewer_and_go_first()
    {
        // Two positive, three negative, two active zeros: with the positive they are four, of which a half goes, and those are the zeros.
        TopologyContext layer = Layer([1f, 2f, 0f, 0f, -1f, -2f, -3f, 0f], 7, 0.5);
        DropSignWise rule = new();
        Assert.Equal([2, 3, 4], TopologyUpdate.Apply(layer, rule, new GrowRandom(), rule.CountOf(layer, 3)).Dropped.ColumnIndices.ToArray());

        // As many of both: the zero is a negative one, of four a half goes, and of three positive ones one.
        TopologyContext even = Layer([1f, 2f, 3f, 0f, -1f, -2f, -3f, 0f], 7, 0.5);
        Assert.Equal([0, 3, 4], TopologyUpdate.Apply(even, rule, new GrowRandom(), rule.CountOf(even, 3)).Dropped.ColumnIndices.ToArray());
    }

    [Fact]
    public void Scores_are_those_of_their_formulas()
    {
        TopologyContext layer = Layer([3f, -2f, 1f, 0f], 3, 0.3) with { Gradient = tensor([0.5f, -4f, 1f, 2f], [1, 4]), Average = tensor([1f, -2f, 3f, -4f], [1, 4]) };
        Assert.Equal([4, 10, 3, 4], new DropMest(2).Of(layer).data<float>().ToArray());
        Assert.Equal([1, 2, 3, 4], new GrowMomentum().Of(layer).data<float>().ToArray());
        Assert.Throws<InvalidOperationException>(() => new GrowMomentum().Of(layer with { Average = null }));
        Assert.Throws<InvalidOperationException>(() => new DropMest().Of(layer with { Gradient = null }));
        Assert.Throws<ArgumentOutOfRangeException>("lambda", () => new DropMest(double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>("deviation", () => NewWeight.Normal(0));
        Assert.Throws<ArgumentOutOfRangeException>("rate", () => NewWeight.AgainstGradient(-1));
        Assert.Equal([-0.05f, 0.4f, -0.1f, -0.2f], NewWeight.AgainstGradient(0.1).Of(layer)!.data<float>().ToArray());
        Assert.Null(NewWeight.Zero.Of(layer));

        // Drop and growth at random are two drawings, each the same when made again.
        Assert.False(new DropRandom().Of(layer).eq(new GrowRandom().Of(layer)).any().item<bool>());
        Assert.True(new DropRandom().Of(layer).eq(new DropRandom().Of(layer)).all().item<bool>());
    }

    [Fact]
    public void Values_of_new_weights_have_their_deviation()
    {
        TopologyContext layer = new() { Layer = "a", Weight = randn([200, 100], generator: new Generator(3)) * 0.02, Mask = ones([200, 100], dtype: ScalarType.Bool), Step = 7 };
        Tensor normal = NewWeight.Normal(0.1).Of(layer)!, own = NewWeight.LayerDeviation.Of(layer)!;

        // Four standard errors of a deviation from 20,000 draws: 2 % of it.
        Assert.Equal(0.1, normal.std().item<float>(), 0.002);
        Assert.Equal(0, normal.mean().item<float>(), 0.003);
        Assert.Equal(0.02, own.std().item<float>(), 0.0005);
        Assert.True(NewWeight.Normal(0.1).Of(layer)!.eq(normal).all().item<bool>());
        Assert.False(NewWeight.Normal(0.1).Of(layer with { Step = 8 })!.eq(normal).any().item<bool>());
        Assert.Throws<ArgumentException>("layer", () => NewWeight.Stored("kept", _ => zeros(3)).Of(layer));
    }

    [Fact]
    public void Where_few_places_are_allowed_fewer_weights_are_dropped()
    {
        // Five active; growth may use place 5 and the dropped places 0 and 1 only.
        TopologyContext layer = Layer([0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0f, 0f], 5, 1) with { Allowed = tensor([true, true, false, false, false, true, false], [1, 7]) };
        Assert.Equal(3, TopologyUpdate.Affordable(layer, new DropMagnitude(), 5));
        Assert.Equal(2, TopologyUpdate.Affordable(layer, new DropMagnitude(), 2));
        Assert.Equal([0, 1, 5], TopologyUpdate.Apply(layer, new DropMagnitude(), new GrowRandom(), 3).Grown.ColumnIndices.ToArray());
        Assert.Throws<ArgumentException>("layer", () => TopologyUpdate.Apply(layer, new DropMagnitude(), new GrowRandom(), 4));
        Assert.Equal(0, TopologyUpdate.Affordable(layer with { Allowed = zeros([1, 7], dtype: ScalarType.Bool) }, new DropMagnitude(), 5));
    }

    [Fact]
    public void Numbers_to_drop_and_to_grow_may_differ()
    {
        TopologyContext layer = Layer([0.1f, 0.2f, 0.3f, 0f, 0f], 3, 0.5);
        TopologyChange more = TopologyUpdate.Apply(layer, new DropMagnitude(), new GrowRandom(), 0, 2), less = TopologyUpdate.Apply(layer, new DropMagnitude(), new GrowRandom(), 2, 0);
        Assert.Equal([0, 1, 2, 3, 4], more.Active.ColumnIndices.ToArray());
        Assert.Equal([2], less.Active.ColumnIndices.ToArray());
        Assert.Throws<ArgumentOutOfRangeException>("grown", () => TopologyUpdate.Apply(layer, new DropMagnitude(), new GrowRandom(), 1, -1));
    }

    [Fact]
    public void Budgets_move_where_gradients_are_large_and_the_total_stays()
    {
        TopologyContext Of(string name, float average, int active) =>
            Layer([.. Enumerable.Range(0, 40).Select(i => i < active ? 1f : 0f)], active, 0.5) with { Layer = name, Average = full([1, 40], average) };
        var layers = Redistribution.Of([(Of("a", 1, 20), 10, 10), (Of("b", 3, 20), 10, 10)]);
        Assert.Equal([5, 15], layers.Select(l => l.Grown));
        Assert.Equal([10, 10], layers.Select(l => l.Dropped));

        // The second has room for 12 only: what is left goes to the first.
        Assert.Equal([18, 2], Redistribution.Of([(Of("a", 9, 20), 10, 10), (Of("b", 1, 38), 10, 10)]).Select(l => l.Grown));
        Assert.Equal([8, 12], Redistribution.Of([(Of("a", 1, 20), 10, 10), (Of("b", 9000, 38), 10, 10)]).Select(l => l.Grown));

        // No gradient anywhere: alike; and a layer that dropped all its weights gets one back.
        Assert.Equal([10, 10], Redistribution.Of([(Of("a", 0, 20), 10, 10), (Of("b", 0, 20), 10, 10)]).Select(l => l.Grown));
        Assert.Equal([1, 11], Redistribution.Of([(Of("a", 0, 2), 2, 2), (Of("b", 1, 20), 10, 10)]).Select(l => l.Grown));
    }

    private static TopologyContext Layer(float[] weights, int active, double fraction) => new()
    {
        Layer = "a", Weight = tensor(weights, [1, weights.Length]), Mask = tensor([.. weights.Select((_, i) => i < active)], [1, weights.Length]), Fraction = fraction,
    };
}
