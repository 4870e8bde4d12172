using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class UpdateSparsityTests
{
    [Fact]
    public void Unchanged_parameters_are_counted_in_the_stated_format_and_tolerance()
    {
        using var scope = NewDisposeScope();
        using Sequential before = Network(), after = Network();
        Set(before, 0.5f, 0.5f, 0.5f, 0.5f);
        Set(after, 0.5f, 0.5f + 1e-6f, 0.5f + 2e-5f, 0.51f);
        (ScalarType? Type, double Tolerance, long Changed)[] cases = [(null, 0, 3), (ScalarType.BFloat16, 0, 1), (null, 1e-5, 2), (null, 0.1, 0), (ScalarType.Float16, 0, 1)];
        foreach ((ScalarType? type, double tolerance, long changed) in cases)
        {
            using UpdateSparsity update = UpdateSparsity.Of(before, after, type, tolerance);
            Assert.Equal(new UpdateShare("all", changed, 6), update.Whole);
            Assert.Equal(1 - (changed / 6.0), update.Sparsity);
            Assert.Equal(changed, update.Changed.Active);
            Assert.Equal(["0.weight", "0.bias"], update.Parameters.Select(p => p.Name));
        }

        using UpdateSparsity exact = UpdateSparsity.Of(before, after);
        Assert.Equal([false, true, true, true], exact.Changed["0.weight"].flatten().data<bool>().ToArray());
        Assert.Equal(new UpdateShare("0", 3, 6), Assert.Single(exact.ByLayer()));
    }

    [Fact]
    public void Networks_of_other_structure_or_type_are_refused_and_both_are_named()
    {
        using var scope = NewDisposeScope();
        using Sequential a = Network(), half = Network(), wide = nn.Sequential(("0", nn.Linear(3, 2))), more = nn.Sequential(("0", nn.Linear(2, 2)), ("1", nn.Linear(2, 2)));
        half.to(ScalarType.BFloat16);
        ArgumentException mixed = Assert.Throws<ArgumentException>("compareAs", () => UpdateSparsity.Of(a, half));
        Assert.Contains("Float32", mixed.Message, StringComparison.Ordinal);
        Assert.Contains("BFloat16", mixed.Message, StringComparison.Ordinal);
        using (UpdateSparsity stated = UpdateSparsity.Of(a, half, ScalarType.BFloat16)) Assert.Equal(6, stated.Whole.Size);
        ArgumentException shapes = Assert.Throws<ArgumentException>("after", () => UpdateSparsity.Of(a, wide));
        Assert.Contains("[2, 2]", shapes.Message, StringComparison.Ordinal);
        Assert.Contains("[2, 3]", shapes.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("after", () => UpdateSparsity.Of(a, more));
        Assert.Throws<ArgumentException>("after", () => UpdateSparsity.Of(more, a));
        Assert.Throws<ArgumentOutOfRangeException>("tolerance", () => UpdateSparsity.Of(a, a, tolerance: double.NaN));
        Assert.Throws<ArgumentException>("compareAs", () => UpdateSparsity.Of(a, a, ScalarType.Int64));
        Set(a, float.NaN, 0, 0, 0);
        Assert.Throws<ArgumentException>("after", () => UpdateSparsity.Of(a, a));
        Assert.Throws<ArgumentException>("after", () => UpdateRank.Of(a, a));
    }

    [Fact]
    public void The_rank_is_that_of_the_difference()
    {
        using var scope = NewDisposeScope();
        using Sequential before = nn.Sequential(("a", nn.Linear(8, 20))), after = nn.Sequential(("a", nn.Linear(8, 20)));
        Tensor old = ((Linear)before[0]).weight!, now = ((Linear)after[0]).weight!;
        using (no_grad()) now.copy_(old.add(randn(20, 3).mm(randn(3, 8)).mul(0.1)));
        Assert.Equal(new UpdateRank("a.weight", 3, 8), Assert.Single(UpdateRank.Of(before, after)));
        using (no_grad()) now.copy_(randn(20, 8));
        Assert.Equal(1, Assert.Single(UpdateRank.Of(before, after)).Share);
        Assert.Equal(0, Assert.Single(UpdateRank.Of(after, after)).Rank);
        Assert.Throws<ArgumentOutOfRangeException>("relativeTolerance", () => UpdateRank.Of(before, after, 1));
    }

    [Fact]
    public void A_dense_small_update_read_on_a_grid_is_sparse_and_of_full_rank()
    {
        using var scope = NewDisposeScope();
        using Sequential before = nn.Sequential(("a", nn.Linear(40, 60, hasBias: false))), after = nn.Sequential(("a", nn.Linear(40, 60, hasBias: false)));
        var draw = new Generator(3);
        Tensor old = ((Linear)before[0]).weight!, now = ((Linear)after[0]).weight!;
        using (no_grad()) old.copy_(rand([60, 40], generator: draw).sub(0.5).mul(0.3));
        Bfloat16Grid.Round(before);
        using (no_grad()) now.copy_(old.add(randn([60, 1], generator: draw).mm(randn([1, 40], generator: draw)).mul(2e-4)));
        Assert.Equal(1, Assert.Single(UpdateRank.Of(before, after, 1e-3)).Rank);
        Bfloat16Grid.Round(after);
        using UpdateSparsity update = UpdateSparsity.Of(before, after);
        Assert.InRange(update.Sparsity, 0.2, 0.95);
        Assert.InRange(Assert.Single(UpdateRank.Of(before, after)).Share, 0.9, 1);
    }

    [Fact]
    public void Overlap_is_one_sided_and_has_its_chance()
    {
        var overlap = new MaskOverlap(Both: 6, First: 12, Second: 30, Size: 120);
        Assert.Equal((0.5, 0.2), overlap.OneSided);
        Assert.Equal((0.25, 0.1), overlap.OneSidedByChance);
        Assert.Equal(30, overlap.Different);
        Assert.Equal(double.NaN, new MaskOverlap(0, 0, 3, 9).OneSided.First);
        using var scope = NewDisposeScope();
        using Sequential network = nn.Sequential(("a", nn.Linear(300, 300)));
        using MaskSet first = MaskSet.Random(network, 0.3, 1), second = MaskSet.Random(network, 0.6, 2);
        MaskOverlap drawn = first.Overlap(second);
        Assert.Equal(drawn.OneSidedByChance.First, drawn.OneSided.First, 0.015);
        Assert.Equal(drawn.OneSidedByChance.Second, drawn.OneSided.Second, 0.015);
    }

    [Fact]
    public void Groups_by_size_explain_what_two_sets_share_because_of_size()
    {
        using var scope = NewDisposeScope();
        using Sequential network = nn.Sequential(("a", nn.Linear(200, 200, hasBias: false)));
        MagnitudeBins bins = MagnitudeBins.Of(network, 4);
        Tensor size = ((Linear)network[0]).weight!.abs(), threshold = size.flatten().sort().Values[10_000];
        using var generator = new Generator(3);
        using MaskSet small = MaskSet.Of(network, new Dictionary<string, Tensor> { ["a.weight"] = size.lt(threshold) });
        Assert.Equal([1.0, 0, 0, 0], bins.Shares(small));

        // Both take a half of the smallest quarter and a tenth of the others, independently.
        MaskSet Draw() => MaskSet.Of(network, new Dictionary<string, Tensor> { ["a.weight"] = rand([200, 200], generator: generator).lt(where(size.lt(threshold), tensor(0.5f), tensor(0.1f))) });
        using MaskSet a = Draw(), b = Draw();
        Assert.Equal((0.25 * 0.25 + 0.75 * 0.01) / 0.2, bins.PredictedOverlap(a, b), 0.02);
        Assert.Equal(bins.PredictedOverlap(a, b), a.Overlap(b).OneSided.First, 0.02);
        Assert.True(a.Overlap(b).OneSided.First > a.Overlap(b).OneSidedByChance.First + 0.1);
        Assert.Equal(a.Overlap(b).OneSidedByChance.First, MagnitudeBins.Of(network, 1).PredictedOverlap(a, b), 1e-12);
        using Sequential other = nn.Sequential(("a", nn.Linear(20, 20, hasBias: false)));
        using MaskSet strange = MaskSet.Random(other, 0.5, 1);
        Assert.Throws<ArgumentException>("set", () => bins.Shares(strange));
        Assert.Throws<ArgumentOutOfRangeException>("count", () => MagnitudeBins.Of(network, 0));
        Assert.Throws<ArgumentOutOfRangeException>("count", () => MagnitudeBins.Of(nn.Linear(2, 2, hasBias: false), 5));
    }

    [Fact]
    public void The_walk_ratio_is_sqrt_of_the_steps_where_all_have_one_sign_and_1_for_signs_that_alternate()
    {
        using var scope = NewDisposeScope();
        using Sequential start = Network(), end = Network();
        Set(start, 0, 0, 0, 0);
        Set(end, 0.09f, -0.09f, 0.09f, -0.09f);
        using (no_grad()) foreach ((Parameter a, Parameter b) in start.parameters().Zip(end.parameters()).Where(p => p.First.dim() == 1)) b.copy_(a.add(0.09f));
        Assert.Equal(3, WalkRatio.Of(start, end, 0.01, 9), 1e-5);
        Assert.Equal(0, WalkRatio.Of(start, start, 0.01, 9));
        Assert.Throws<ArgumentOutOfRangeException>("steps", () => WalkRatio.Of(start, end, 0.01, 0));
        Assert.Throws<ArgumentOutOfRangeException>("rate", () => WalkRatio.Of(start, end, double.NaN, 1));
    }

    private static Sequential Network()
    {
        Sequential network = nn.Sequential(("0", nn.Linear(2, 2)));
        using (no_grad()) ((Linear)network[0]).bias!.fill_(0.25);
        return network;
    }

    private static void Set(Sequential network, params float[] weights)
    {
        using IDisposable off = no_grad();
        using Tensor values = tensor(weights, [2, 2]);
        ((Linear)network[0]).weight!.copy_(values);
    }
}
