using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Pruning;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

public class EssentialSparsityTests
{
    [Fact]
    public void TheEndOfTheFreeRangeIsInterpolated()
    {
        var curve = new SparsityCurve([new(0, 2), new(0.2, 2.01), new(0.4, 2.05), new(0.6, 3.05)], lowerIsBetter: true);
        Assert.Equal(0.005, curve.Drop(0.2), 1e-12);
        Assert.Equal(2.03, curve.At(0.3), 1e-12);

        // 1 % is 2.02: a quarter of the way from 2.01 to 2.05.
        Assert.Equal(0.25, curve.EssentialSparsity(), 1e-12);

        // Behind it, from 2.02 at 0.25 to 2.05 + 0.25 at 0.45; before it, 0.02 over 0.25.
        Assert.Equal((0.28 / 0.2) / (0.02 / 0.25), curve.Sharpness(), 1e-9);
        Assert.Equal(0.6, curve.EssentialSparsity(0.6), 1e-12);
        Assert.Throws<InvalidOperationException>(() => curve.Sharpness(0.6));

        var accuracy = new SparsityCurve([new(0, 0.8), new(0.2, 0.81), new(0.4, 0.78), new(0.6, 0.2)], lowerIsBetter: false);
        Assert.Equal(-0.0125, accuracy.Drop(0.2), 1e-12);
        Assert.Equal(0.2 + (0.2 * 0.018 / 0.03), accuracy.EssentialSparsity(), 1e-9);
    }

    [Fact]
    public void GridsThatAreNoneAreRefused()
    {
        foreach (double[] grid in new double[][] { [], [0.1, 0.2], [0, 0.2, 0.2], [0, 0.3, 0.2], [0, 1], [0, double.NaN] })
            Assert.Throws<ArgumentException>(() => new SparsityCurve([.. grid.Select(s => new SparsityPoint(s, 1))], true));
        Assert.Throws<ArgumentException>(() => new SparsityCurve([new(0, 1), new(0.5, double.NaN)], true));
        var three = new SparsityCurve([new(0, 1), new(0.2, 1), new(0.5, 2)], true);
        Assert.Throws<InvalidOperationException>(() => three.EssentialSparsity());
        Assert.Throws<ArgumentOutOfRangeException>(() => three.EssentialSparsity(0));
        using Sequential model = SmallClassifiers.Mlp([4, 3], 1);
        Assert.Throws<ArgumentException>(() => EssentialSparsity.Sweep(model, [0, 0.5, 0.4], () => 1, true));
    }

    [Fact]
    public void ASweepPrunesFromTheDenseWeightsAndLeavesThem()
    {
        using DisposeScope scope = NewDisposeScope();
        using Sequential model = SmallClassifiers.Mlp([30, 20, 5], 1);
        Tensor[] before = [.. model.parameters().Select(p => p.detach().clone())];
        double Zeros() => PrunableWeights.Names(model).Sum(name => model.get_parameter(name)!.eq(0).sum().item<long>());
        SparsityCurve curve = EssentialSparsity.Sweep(model, [0, 0.1, 0.5, 0.9], Zeros, lowerIsBetter: true);
        Assert.Equal([0, 70, 350, 630], curve.Points.Select(p => p.Value));
        foreach ((Parameter now, Tensor then) in model.parameters().Zip(before)) Assert.True(now.equal(then).all().item<bool>());
        Assert.Throws<DivideByZeroException>(() => EssentialSparsity.Sweep(model, [0, 0.1, 0.5], () => Zeros() > 0 ? throw new DivideByZeroException() : 1, lowerIsBetter: true));
        foreach ((Parameter now, Tensor then) in model.parameters().Zip(before)) Assert.True(now.equal(then).all().item<bool>());
    }

    [Fact]
    public void OneShotIsOneThresholdOverAllBlocksAndNested()
    {
        using DisposeScope scope = NewDisposeScope();
        using var model = new TinyLM(new() { Vocabulary = 50, Width = 16, Layers = 2, Heads = 4, KeyValueHeads = 2, MlpWidth = 24, Context = 12 });
        using MaskSet third = EssentialSparsity.OneShot(model, 1.0 / 3), half = EssentialSparsity.OneShot(model, 0.5), both = third.And(half);
        Assert.Equal(half.Size - (long)Math.Floor((0.5 * half.Size) + 1e-6), half.Active);
        Assert.Equal(half.Active, both.Active);
        Assert.Equal(14, half.Names.Count);
        Assert.DoesNotContain(half.Names, name => name.Contains("embed", StringComparison.Ordinal));
        double kept = half.Names.Min(name => half.ParameterOf(name).abs().masked_select(half[name]).min().item<float>());
        double gone = half.Names.Max(name => half.ParameterOf(name).abs().masked_select(half[name].logical_not()).max().item<float>());
        Assert.True(gone <= kept);
    }
}
