using FsCheck;
using FsCheck.Fluent;
using Sparseland.Models;
using Sparseland.Training;
using Sparseland.Training.IsoFlop;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training.IsoFlop;

[Collection(nameof(LoneGenerator))]
public sealed class IsoFlopTests : IDisposable
{
    private static readonly int[] Widths = [40, 12, 12, 5];
    private readonly DisposeScope _scope = NewDisposeScope();

    public static TheoryData<string> Members => ["wide", "parallel", "parallel norm", "parallel none", "factorized", "factorized none", "doped"];

    public void Dispose() => _scope.Dispose();

    // 3 x 3, 64 -> 64: k, ranks and cost ratios by the formulas, in exact fractions (Python's fractions module). At s = 0.9 the rank 576 is a whole number.
    [Theory]
    [InlineData(0.5, 91, 2, 116, 1.006944, 28, 0.986111)]
    [InlineData(0.75, 128, 4, 231, 1.002604, 43, 0.996528)]
    [InlineData(0.9, 202, 10, 576, 1.0, 51, 0.985417)]
    public void Sizes_of_a_convolution_are_those_of_the_formulas(double s, int wide, int branches, int factor, double factorRatio, int doped, double dopedRatio)
    {
        Assert.Equal(wide, new SparseWide(s).SizeFor(64, 64, 9).Size);
        Assert.Equal(Math.Sqrt(1 / (1 - s)), new SparseWide(s).SizeFor(64, 64, 9).Exact, 1e-12);
        IsoFlopSize parallel = new SparseParallel(s).SizeFor(64, 64, 9), factorized = new SparseFactorized(s).SizeFor(64, 64, 9), dope = new SparseDoped(s).SizeFor(64, 64, 9);
        Assert.Equal((branches, branches * 36_864L), (parallel.Size, parallel.SearchSpace));
        Assert.Equal(1, parallel.Ratio, 2e-4);
        Assert.Equal(factor, factorized.Size);
        Assert.Equal(factorRatio, factorized.Ratio, 2e-5);
        Assert.Equal((doped, 36_864L), (dope.Size, dope.SearchSpace));
        Assert.Equal(dopedRatio, dope.Ratio, 2e-5);
    }

    [Fact]
    public void Every_size_is_within_one_unit_of_the_dense_cost() => Prop.ForAll<byte, byte, byte>((a, b, c) =>
    {
        int inputs = a + 2, outputs = b + 2, area = (c % 3 * 2) + 1;
        area *= area;
        double s = (c % 9) / 10.0;
        IsoFlopSize factorized = new SparseFactorized(s).SizeFor(inputs, outputs, area), doped = new SparseDoped(s).SizeFor(inputs, outputs, area);
        double unit = (area * inputs) + outputs, dense = area * inputs * outputs;
        return factorized.Active - dense <= unit + 1 && factorized.Active >= dense - 2 && doped.Active <= dense + 2 && doped.Active > dense - unit - 2;
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_wide_network_costs_what_the_dense_one_costs()
    {
        foreach (double s in new[] { 0.5, 0.75, 0.9 })
        {
            using IsoFlopNetwork wide = IsoFlopNetwork.Mlp([1024, 16, 16, 10], new SparseWide(s), 1);
            Assert.Equal(1024 * 16 + 256 + 160, wide.DenseCost);
            Assert.Equal(1, wide.Ratio, 1e-3);
            Assert.Equal(1, wide.Densities["head.weight"]);
        }

        // By hand: (16800 - 320) / (1024 * 32 + 32 * 32).
        using IsoFlopNetwork three = IsoFlopNetwork.Mlp([1024, 16, 16, 10], new SparseWide(0.75), 1);
        Assert.Equal(16_480.0 / 33_792, three.Densities["fc1.weight"], 1e-12);
    }

    [Fact]
    public void Without_sparsity_all_but_the_factorized_are_the_dense_network_bit_for_bit()
    {
        Tensor X = randn(new long[] { 30, 40 }, generator: new Generator(2));
        using IsoFlopNetwork dense = IsoFlopNetwork.Mlp(Widths, null, 3);
        Tensor expected = dense.Model.call(X).detach();
        foreach (IsoFlopMember member in new IsoFlopMember[] { new SparseWide(0), new SparseParallel(0), new SparseParallel(0, InnerActivation.Norm), new SparseParallel(0, InnerActivation.None), new SparseDoped(0) })
        {
            using IsoFlopNetwork same = IsoFlopNetwork.Mlp(Widths, member, 3);
            Assert.Null(same.Masks);
            Assert.Equal(1, same.Ratio);
            Assert.True(expected.Same(same.Model.call(X).detach()), member.ToString());
        }

        using IsoFlopNetwork factors = IsoFlopNetwork.Mlp(Widths, new SparseFactorized(0), 3);
        Assert.False(expected.Same(factors.Model.call(X).detach()));
    }

    [Theory, MemberData(nameof(Members))]
    public void Masks_have_their_numbers_and_stay_so_while_they_move(string name)
    {
        (Tensor X, Tensor labels) = TrainingData.Blobs(80, 40, 5, 1);
        using IsoFlopNetwork network = IsoFlopNetwork.Mlp(Widths, Member(name), 2);
        MaskSet masks = network.Masks!;
        long[] before = [.. masks.Names.Select(masks.ActiveOf)];
        Assert.All(masks.Names, n => Assert.Equal((long)Math.Round(network.Densities[n] * masks[n].numel(), MidpointRounding.AwayFromZero), masks.ActiveOf(n)));
        double explored = 0;
        IsoFlopTrainingResult result = IsoFlopTraining.Run(network, X, labels, new() { Epochs = 8, BatchSize = 10, Interval = 4 }, new()
        {
            OnStep = (loop, _) =>
            {
                Assert.Equal(before, masks.Names.Select(masks.ActiveOf));
                foreach (string n in masks.Names)
                {
                    Assert.False(masks.ParameterOf(n).masked_select(masks[n].logical_not()).ne(0).any().item<bool>());
                    Assert.All(loop.Optimizer.MomentsOf(n), m => Assert.False(m.masked_select(masks[n].logical_not()).ne(0).any().item<bool>()));
                }
            },
        });
        Assert.NotEmpty(result.Updates);
        Assert.All(result.Exploration, p => Assert.True(p.Rate >= explored && (explored = p.Rate) <= 1));
        Assert.True(result.ExplorationRate > masks.Density);
        double full = TrainingCost.Forward(network.Layers), cost = network.Cost;
        Assert.Equal(((64 - result.Updates.Count) * 3 * cost) + (result.Updates.Count * ((2 * cost) + full)), result.Cost, 1e-6);
        Assert.Equal(result.Cost / (64.0 * 3 * network.DenseCost), result.RelativeCost, 1e-12);
    }

    [Fact]
    public void Factors_of_a_doped_layer_are_dense_and_count()
    {
        using IsoFlopNetwork network = IsoFlopNetwork.Mlp(Widths, new SparseDoped(0.5), 2);
        Assert.Equal(["fc1.weight", "fc2.weight"], network.Masks!.Names);
        // fc1: rank floor(0.5 * 480 / 52) = 4, 240 + 4 * 52; fc2: rank floor(0.5 * 144 / 24) = 3, 72 + 3 * 24; head 60.
        Assert.Equal(240 + 208 + 72 + 72 + 60, network.Cost);
        DopedLinear layer = network.Model.Layer<DopedLinear>("fc1");
        Tensor x = randn(3, 40);
        Assert.True((layer.call(x) - nn.functional.linear(x, layer.Weight + layer.V.mm(layer.U))).abs().max().item<float>() < 1e-5);
    }

    [Theory, InlineData(InnerActivation.None), InlineData(InnerActivation.Norm)]
    public void Branches_without_an_activation_fold_into_one_matrix(InnerActivation inner)
    {
        (Tensor X, Tensor labels) = TrainingData.Blobs(80, 40, 5, 1);
        using IsoFlopNetwork network = IsoFlopNetwork.Mlp([40, 30, 5], new SparseParallel(0.75, inner), 2);
        IsoFlopTraining.Run(network, X, labels, new() { Epochs = 3, BatchSize = 10, Search = MaskSearch.Static });
        network.Model.eval();
        ParallelLinear layer = network.Model.Layer<ParallelLinear>("fc1");
        Linear folded = layer.Fold();
        Assert.True((folded.call(X) - layer.call(X)).abs().max().item<float>() < 1e-5);
        Assert.Equal(1 - Math.Pow(0.75, 4), folded.weight!.ne(0).to(ScalarType.Float64).mean().item<double>(), 0.05);
        network.Model.train();
        if (inner == InnerActivation.Norm) Assert.False((folded.call(X) - layer.call(X)).abs().max().item<float>() < 1e-5);
    }

    [Fact]
    public void Branches_with_an_activation_are_not_folded()
    {
        using ParallelLinear layer = new(4, 3, 2, InnerActivation.NormAndRelu);
        Assert.Throws<InvalidOperationException>(() => layer.Fold());
        using (no_grad()) layer.Branches[0].fill_(1);
        Tensor x = randn(6, 4);
        Tensor one = nn.functional.linear(x, layer.Branches[0].detach());
        Tensor normed = (one - one.mean([0], true)) / (one.var(0, unbiased: false, keepdim: true) + 1e-5).sqrt();
        Assert.True((layer.call(x) - normed.relu()).abs().max().item<float>() < 1e-4);
    }

    [Theory, InlineData(MaskSearch.RigL), InlineData(MaskSearch.Set), InlineData(MaskSearch.Static)]
    public void The_same_seed_gives_the_same_network(MaskSearch search)
    {
        (Tensor X, Tensor labels) = TrainingData.Blobs(80, 40, 5, 1);
        double[] Trained(long seed)
        {
            using IsoFlopNetwork network = IsoFlopNetwork.Mlp(Widths, new SparseParallel(0.5), seed);
            IsoFlopTrainingResult result = IsoFlopTraining.Run(network, X, labels, new() { Epochs = 2, BatchSize = 10, Interval = 3, Search = search, Seed = seed });
            Assert.Equal(search == MaskSearch.Static, result.Updates.Count == 0);
            if (search != MaskSearch.RigL) Assert.Equal(network.Ratio, result.RelativeCost, 1e-12);
            return TrainingData.Parameters(network.Model);
        }

        Assert.Equal(Trained(1), Trained(1));
        Assert.NotEqual(Trained(1), Trained(2));
    }

    [Fact]
    public void Masks_are_counted_as_binomials()
    {
        // math.comb of Python: C(10, 3) = 120, C(40, 20) = 137846528820; math.log10(math.comb(1000, 250)).
        Assert.Equal(Math.Log10(120), SearchSpace.Log10Masks(10, 3), 1e-10);
        Assert.Equal(Math.Log10(137_846_528_820), SearchSpace.Log10Masks(40, 20), 1e-10);
        Assert.Equal(242.68330288952058, SearchSpace.Log10Masks(1000, 250), 1e-8);
        Assert.Equal(0, SearchSpace.Log10Masks(7, 7));
        Assert.Equal(0, SearchSpace.Log10Masks(7, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => SearchSpace.Log10Masks(7, 8));
        using IsoFlopNetwork network = IsoFlopNetwork.Mlp(Widths, new SparseDoped(0.5), 2);
        Assert.Equal(SearchSpace.Log10Masks(480, 240) + SearchSpace.Log10Masks(144, 72), network.Log10Masks, 1e-9);
    }

    [Fact]
    public void Bad_input_is_named()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new SparseWide(1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SparseDoped(-0.1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SparseFactorized(double.NaN));
        Assert.Contains("0.75", Assert.Throws<ArgumentException>(() => new SparseParallel(0.72)).Message, StringComparison.Ordinal);
        Assert.Equal(100, new SparseParallel(0.99).Branches);
        Assert.Throws<ArgumentOutOfRangeException>(() => new SparseWide(0.5).SizeFor(0, 4));
        Assert.Equal(0, new SparseDoped(0.01).SizeFor(4, 4).Size);
        LayerShape[] layers = [new("a", [10, 10]), new("head", [10, 10])];
        Assert.Equal(0.5, IsoFlopSolver.Density(layers, 150, ["head"]), 1e-12);
        Assert.Contains("head", Assert.Throws<ArgumentException>(() => IsoFlopSolver.Density(layers, 100, ["head"])).Message, StringComparison.Ordinal);
        Assert.Contains("too small", Assert.Throws<ArgumentException>(() => IsoFlopSolver.Density(layers, 300, ["head"])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => IsoFlopSolver.Density(layers, 100, ["stem"]));
        Assert.Throws<ArgumentException>(() => IsoFlopSolver.Density(layers, 100, ["a", "head"]));
        Assert.Throws<ArgumentException>(() => IsoFlopNetwork.Mlp([4, 4], null, 1));
        Assert.Throws<ArgumentException>(() => IsoFlopNetwork.Mlp([2, 2, 10], new SparseWide(0.9), 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new IsoFlopTrainingOptions { Interval = 0 }.Validate());
        Assert.Throws<ArgumentOutOfRangeException>(() => new IsoFlopTrainingOptions { Alpha = 1.5 }.Validate());
        Assert.Throws<ArgumentOutOfRangeException>(() => new IsoFlopTrainingOptions { Momentum = 0 }.Validate());
        using IsoFlopNetwork network = IsoFlopNetwork.Mlp(Widths, new SparseWide(0.5), 1);
        Assert.Throws<ArgumentOutOfRangeException>(() => IsoFlopTraining.Run(network, zeros(64, 40), zeros(64, dtype: ScalarType.Int64), new() { Epochs = 1, Interval = 50 }));
        using CancellationTokenSource cancelled = new();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => IsoFlopTraining.Run(network, zeros(64, 40), zeros(64, dtype: ScalarType.Int64), new() { Epochs = 1, Interval = 1 }, cancel: cancelled.Token));
    }

    [Fact]
    public void A_layer_too_small_for_its_sparsity_is_refused()
    {
        Assert.Contains("4 weights", Assert.Throws<ArgumentException>(() => new SparseParallel(0.9).SizeFor(2, 2)).Message, StringComparison.Ordinal);
        Assert.Contains("3 inputs and 1 outputs", Assert.Throws<ArgumentException>(() => new SparseDoped(0.9).SizeFor(3, 1)).Message, StringComparison.Ordinal);
        Assert.Equal(10, new SparseParallel(0.9).SizeFor(6, 1).Active);
        Assert.Throws<ArgumentOutOfRangeException>(() => new SparseWide(0.5).WidthOf(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SparseWide(0.5).WidthOf(-3));
    }

    private static IsoFlopMember Member(string name) => name switch
    {
        "wide" => new SparseWide(0.75),
        "parallel" => new SparseParallel(0.75),
        "parallel norm" => new SparseParallel(0.75, InnerActivation.Norm),
        "parallel none" => new SparseParallel(0.75, InnerActivation.None),
        "factorized" => new SparseFactorized(0.5),
        "factorized none" => new SparseFactorized(0.5, InnerActivation.None),
        _ => new SparseDoped(0.5),
    };
}
