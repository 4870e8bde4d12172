using Sparseland.Models;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class MaskSetScoresTests
{
    [Fact]
    public void BudgetsAreExactAlsoWhereAllScoresAreEqual()
    {
        using DisposeScope scope = NewDisposeScope();
        using Sequential model = SmallClassifiers.Mlp([12, 8, 5], 1);
        Dictionary<string, Tensor> equal = model.named_parameters().Where(p => p.parameter.dim() == 2).ToDictionary(p => p.name, p => ones_like(p.parameter));
        foreach (double s in new[] { 0, 0.1, 0.3, 0.5, 0.77, 0.99 })
        {
            using MaskSet global = MaskSet.FromScores(model, equal, PruningPattern.Global(s), allowEmpty: true), layer = MaskSet.FromScores(model, equal, PruningPattern.PerLayer(s), allowEmpty: true);
            using MaskSet row = MaskSet.FromScores(model, equal, PruningPattern.PerRow(s), allowEmpty: true);
            Assert.Equal(136 - (long)Math.Floor((s * 136) + 1e-6), global.Active);
            Assert.Equal(96 - (long)Math.Floor((s * 96) + 1e-6), layer.ActiveOf("fc1.weight"));
            Assert.Equal(40 - (long)Math.Floor((s * 40) + 1e-6), layer.ActiveOf("head.weight"));
            Assert.Equal(8 * (12 - (long)Math.Floor((s * 12) + 1e-6)), row.ActiveOf("fc1.weight"));
        }
    }

    [Fact]
    public void MasksAreNestedAndTwoStepsAreOne()
    {
        using DisposeScope scope = NewDisposeScope();
        using Sequential model = SmallClassifiers.Mlp([12, 8, 5], 3);
        Dictionary<string, Tensor> scores = model.named_parameters().Where(p => p.parameter.dim() == 2).ToDictionary(p => p.name, p => p.parameter.abs());
        foreach (Func<double, PruningPattern> pattern in new Func<double, PruningPattern>[] { PruningPattern.Global, PruningPattern.PerLayer, PruningPattern.PerRow })
        {
            using MaskSet some = MaskSet.FromScores(model, scores, pattern(0.3)), more = MaskSet.FromScores(model, scores, pattern(0.6)), both = some.And(more);
            Assert.Equal(more.Active, both.Active);
        }

        using MaskSet first = MaskSet.FromScores(model, scores, PruningPattern.NofM(3, 4)), second = MaskSet.FromScores(model, scores, PruningPattern.NofM(2, 4)), inside = first.And(second);
        Assert.Equal(second.Active, inside.Active);

        // 50 % of what is left after 50 % is 75 %.
        using MaskSet half = MaskSet.FromScores(model, scores, PruningPattern.Global(0.5)), again = MaskSet.FromScores(model, scores, PruningPattern.Global(0.5), among: half);
        using MaskSet once = MaskSet.FromScores(model, scores, PruningPattern.Global(0.75));
        Assert.Equal(once.Active, once.Overlap(again).Both);
        Assert.Equal(once.Active, again.Active);
    }

    [Fact]
    public void OverlapsAreTheFormulas()
    {
        using DisposeScope scope = NewDisposeScope();
        using Sequential model = SmallClassifiers.Mlp([4, 2], 1);
        using MaskSet a = MaskSet.Of(model, new Dictionary<string, Tensor> { ["head.weight"] = tensor(new[] { true, true, true, false, false, false, false, false }).reshape(2, 4) });
        using MaskSet b = MaskSet.Of(model, new Dictionary<string, Tensor> { ["head.weight"] = tensor(new[] { false, true, true, true, true, false, false, false }).reshape(2, 4) });
        MaskOverlap overlap = a.Overlap(b);
        Assert.Equal((2, 3, 4, 8), (overlap.Both, overlap.First, overlap.Second, overlap.Size));
        Assert.Equal(2 / Math.Sqrt(12), overlap.Cosine, 1e-12);
        Assert.Equal(0.4, overlap.Jaccard, 1e-12);
        using MaskSet or = a.Or(b);
        Assert.Equal(5, or.Active);
    }

    [Fact]
    public void RefusesWhatCannotBeRanked()
    {
        using DisposeScope scope = NewDisposeScope();
        using Sequential model = SmallClassifiers.Mlp([6, 4, 2], 1);
        Tensor good = rand(4, 6), broken = good.clone();
        broken[1, 2] = float.NaN;
        ArgumentException nan = Assert.Throws<ArgumentException>(() => MaskSet.FromScores(model, new Dictionary<string, Tensor> { ["fc1.weight"] = broken }, PruningPattern.PerRow(0.5)));
        Assert.Contains("fc1.weight", nan.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => MaskSet.FromScores(model, new Dictionary<string, Tensor> { ["fc9.weight"] = good }, PruningPattern.PerRow(0.5)));
        Assert.Throws<ArgumentException>(() => MaskSet.FromScores(model, new Dictionary<string, Tensor> { ["fc1.weight"] = good.t() }, PruningPattern.PerRow(0.5)));
        Assert.Throws<ArgumentException>(() => MaskSet.FromScores(model, new Dictionary<string, Tensor> { ["fc1.weight"] = good }, PruningPattern.NofM(2, 4)));
        Assert.Throws<ArgumentOutOfRangeException>(() => PruningPattern.PerRow(1));
        Assert.Throws<ArgumentOutOfRangeException>(() => PruningPattern.Global(double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => PruningPattern.NofM(5, 4));
        Assert.Throws<FormatException>(() => PruningPattern.Parse("half"));
        Assert.Equal(PruningPattern.NofM(2, 4), PruningPattern.Parse("2:4"));

        // A layer of small weights is emptied by a global ranking: refused, unless asked for.
        var scores = new Dictionary<string, Tensor> { ["fc1.weight"] = good + 1, ["head.weight"] = rand(2, 4) * 1e-3f };
        ArgumentException empty = Assert.Throws<ArgumentException>(() => MaskSet.FromScores(model, scores, PruningPattern.Global(0.5)));
        Assert.Contains("head.weight", empty.Message, StringComparison.Ordinal);
        using MaskSet allowed = MaskSet.FromScores(model, scores, PruningPattern.Global(0.5), allowEmpty: true);
        Assert.Equal(0, allowed.ActiveOf("head.weight"));
    }
}
