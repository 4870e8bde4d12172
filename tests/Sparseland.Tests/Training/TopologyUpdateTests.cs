using Sparseland.Selection;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class TopologyUpdateTests
{
    // 6 x 4, active where not zero; the gradient beside it. Worked out by hand.
    private static readonly float[] Weights =
    [
        0.9f, 0, -0.1f, 0,
        0, 0.5f, 0, -0.7f,
        0.3f, 0, 0, 0.2f,
        0, -0.05f, 0.8f, 0,
        0.6f, 0, 0.4f, 0,
        0, -1.2f, 0, 0.15f,
    ];

    private static readonly float[] Gradients =
    [
        0, 1.5f, 9, -0.2f,
        0.3f, 0, -2.5f, 0,
        0, 0.1f, -1.0f, 0.7f,
        3.5f, 0.2f, 0, 0.4f,
        0, -0.6f, 0, 0.05f,
        0.9f, 0, 2.0f, -8,
    ];

    [Fact]
    public void The_smallest_weights_fall_and_the_largest_gradients_grow()
    {
        using var scope = NewDisposeScope();
        TopologyContext layer = Table();
        TopologyChange change = TopologyUpdate.Apply(layer, new DropMagnitude(), new GrowGradient(), 4);

        // |w| in order: 0.05 (3,1), 0.1 (0,2), 0.15 (5,3), 0.2 (2,3), 0.3 ...
        Assert.Equal([(0, 2), (2, 3), (3, 1), (5, 3)], Places(change.Dropped));

        // |g| outside the kept: 9 (0,2, just dropped), 8 (5,3, just dropped), 3.5 (3,0), 2.5 (1,2), 2.0 ...
        Assert.Equal([(0, 2), (1, 2), (3, 0), (5, 3)], Places(change.Grown));
        Assert.Equal([(0, 2), (5, 3)], Places(change.Regrown));
        Assert.Equal(12, change.Active.Count);
        Assert.Equal(8, change.Kept.Count);
    }

    [Fact]
    public void What_is_kept_and_what_grows_are_the_best_of_a_plain_sort()
    {
        using var scope = NewDisposeScope();
        foreach ((ScalarType type, double density, int rows, int columns) in new[] { (ScalarType.Float32, 0.1, 300, 500), (ScalarType.Float64, 0.6, 40, 33), (ScalarType.Float16, 0.3, 20, 30), (ScalarType.Float32, 1.0, 9, 8) })
        {
            using Generator generator = new(9);
            Tensor mask = rand([rows, columns], generator: generator).lt(density), allowed = rand([rows, columns], generator: generator).lt(0.8);

            // Rounded: many are equal, and of those the lower place stays.
            Tensor W = randn([rows, columns], generator: generator).mul(20).round().div(20).masked_fill(mask.logical_not(), 0).to(type);
            Tensor G = randn([rows, columns], generator: generator).mul(20).round().div(20).masked_fill(allowed.logical_not().logical_and(mask.logical_not()), double.NaN).to(type);
            TopologyContext layer = new() { Layer = "W", Weight = W, Mask = mask, Gradient = G, Allowed = allowed };
            float[] size = W.abs().to(ScalarType.Float32).data<float>().ToArray(), gain = G.abs().to(ScalarType.Float32).data<float>().ToArray();
            bool[] active = mask.data<bool>().ToArray(), may = allowed.data<bool>().ToArray();
            int all = active.Count(a => a), count = all / 4;
            HashSet<int> kept = [.. Enumerable.Range(0, size.Length).Where(i => active[i]).OrderByDescending(i => size[i]).ThenBy(i => i).Take(all - count)];
            int[] grown = [.. Enumerable.Range(0, size.Length).Where(i => !kept.Contains(i) && may[i]).OrderByDescending(i => gain[i]).ThenBy(i => i).Take(count).Order()];
            if (grown.Length < count) continue;
            TopologyChange change = TopologyUpdate.Apply(layer, new DropMagnitude(), new GrowGradient(), count);
            Assert.Equal(kept.Order(), Flat(change.Kept));
            Assert.Equal(grown, Flat(change.Grown));
            Assert.Equal(Enumerable.Range(0, size.Length).Where(i => active[i] && !kept.Contains(i)), Flat(change.Dropped));
        }

        IEnumerable<int> Flat(Support support) => Places(support).Select(p => (p.Item1 * support.Columns) + p.Item2);
    }

    [Fact]
    public void Taylor_drops_by_the_square_of_weight_times_gradient()
    {
        using var scope = NewDisposeScope();
        TopologyChange change = TopologyUpdate.Apply(Table(), new DropTaylor(), new GrowGradient(), 3);

        // w g is 0 at seven active places (0,0), (1,1), (1,3), (2,0), (3,2), (4,0), (4,2), (5,1); of equal scores the lower index stays.
        Assert.Equal([(4, 0), (4, 2), (5, 1)], Places(change.Dropped));
    }

    [Fact]
    public void Allowed_places_alone_grow()
    {
        using var scope = NewDisposeScope();
        Tensor allowed = zeros([6, 4], dtype: ScalarType.Bool);
        foreach ((int row, int column) in new[] { (0, 1), (2, 1), (4, 3), (3, 1) }) allowed[row, column] = tensor(true);
        TopologyChange change = TopologyUpdate.Apply(Table() with { Allowed = allowed }, new DropMagnitude(), new GrowGradient(), 3);
        Assert.Equal([(0, 1), (2, 1), (3, 1)], Places(change.Grown));
        Assert.Throws<ArgumentException>("layer", () => TopologyUpdate.Apply(Table() with { Allowed = allowed }, new DropMagnitude(), new GrowGradient(), 5));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(30)]
    public void The_number_is_kept_by_every_pair_of_rules_through_ties(int count)
    {
        using var scope = NewDisposeScope();
        IDropScore[] drops = [new DropMagnitude(), new DropTaylor()];
        IGrowScore[] grows = [new GrowGradient(), new GrowRandom(), new GrowUnfired()];
        foreach (bool dead in new[] { false, true })
        {
            // Thirty active places; a dead layer has equal weights or none at all, and no gradient.
            Tensor mask = arange(90).remainder(3).eq(0).reshape(2, 9, 5), weight = (dead ? zeros(2, 9, 5) : ones(2, 9, 5)).mul(mask);
            TopologyContext layer = new() { Layer = "w", Weight = weight, Mask = mask, Gradient = zeros(2, 9, 5) };
            foreach (IDropScore drop in drops)
            {
                foreach (IGrowScore grow in grows)
                {
                    TopologyChange change = TopologyUpdate.Apply(layer, drop, grow, count);
                    Assert.Equal(30, change.Active.Count);
                    Assert.Equal(count, change.Dropped.Count);
                    Assert.Equal(count, change.Grown.Count);
                    Assert.Equal(0, change.Kept.Intersect(change.Grown).Count);
                    Assert.Equal(0, change.Kept.Intersect(change.Dropped).Count);
                    Assert.Equal(Support.FromMask(mask), change.Kept.Union(change.Dropped));
                }
            }
        }
    }

    [Fact]
    public void What_has_never_been_active_grows_first()
    {
        using var scope = NewDisposeScope();
        Tensor fired = ones(6, 4, dtype: ScalarType.Bool);
        foreach ((int row, int column) in new[] { (0, 1), (5, 0) }) fired[row, column] = tensor(false);
        TopologyChange change = TopologyUpdate.Apply(Table() with { Fired = fired }, new DropMagnitude(), new GrowUnfired(), 3);
        Assert.Contains((0, 1), Places(change.Grown));
        Assert.Contains((5, 0), Places(change.Grown));
        Assert.Equal(3, change.Grown.Count);
    }

    [Fact]
    public void Random_growth_depends_on_seed_step_and_layer_and_nothing_else()
    {
        using var scope = NewDisposeScope();
        Support Grown(TopologyContext layer) => TopologyUpdate.Apply(layer, new DropMagnitude(), new GrowRandom(), 4).Grown;
        TopologyContext table = Table() with { Seed = 3, Step = 40 };
        Assert.Equal(Grown(table), Grown(table));
        Support[] others = [Grown(table with { Seed = 4 }), Grown(table with { Step = 41 }), Grown(table with { Layer = "other" })];
        Assert.All(others, other => Assert.NotEqual(Grown(table), other));
    }

    [Fact]
    public void What_cannot_be_ranked_is_refused_where_it_is_looked_at()
    {
        using var scope = NewDisposeScope();
        Tensor gradient = tensor(Gradients, [6, 4]);
        gradient[0, 1] = float.NaN;
        Assert.Throws<ArgumentException>("layer", () => TopologyUpdate.Apply(Table() with { Gradient = gradient }, new DropMagnitude(), new GrowGradient(), 2));

        // At a kept weight nobody looks.
        Tensor elsewhere = tensor(Gradients, [6, 4]);
        elsewhere[0, 0] = float.PositiveInfinity;
        Assert.Equal(2, TopologyUpdate.Apply(Table() with { Gradient = elsewhere }, new DropMagnitude(), new GrowGradient(), 2).Grown.Count);
        Assert.Throws<InvalidOperationException>(() => TopologyUpdate.Apply(Table() with { Gradient = null }, new DropMagnitude(), new GrowGradient(), 2));
        Assert.Throws<ArgumentOutOfRangeException>("count", () => TopologyUpdate.Apply(Table(), new DropMagnitude(), new GrowGradient(), 13));
        Assert.Throws<ArgumentOutOfRangeException>("count", () => TopologyUpdate.Apply(Table(), new DropMagnitude(), new GrowGradient(), -1));
        Assert.Throws<ArgumentException>("layer", () => TopologyUpdate.Apply(Table() with { Gradient = zeros(4, 6) }, new DropMagnitude(), new GrowGradient(), 2));
    }

    private static (int Row, int Column)[] Places(Support support) =>
        [.. from row in Enumerable.Range(0, support.Rows) from column in support.Row(row).ToArray() select (row, column)];

    private static TopologyContext Table()
    {
        Tensor weight = tensor(Weights, [6, 4]);
        return new() { Layer = "table", Weight = weight, Mask = weight.ne(0), Gradient = tensor(Gradients, [6, 4]) };
    }
}
