using Sparseland.Models;
using Sparseland.Models.Vision;
using Sparseland.Training;
using Sparseland.Training.IsoFlop;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training.IsoFlop;

[Collection(nameof(LoneGenerator))]
public sealed class IsoFlopConvolutionTests : IDisposable
{
    private static readonly ResNetOptions Small = new() { Widths = [8, 16], Blocks = 1, Classes = 4 };
    private static readonly string[] s_narrow = ["parallel", "parallel norm", "parallel none", "factorized", "factorized none", "doped"];
    private readonly DisposeScope _scope = NewDisposeScope();

    public static TheoryData<string> Members => ["wide", .. s_narrow];

    public static TheoryData<string> Narrow => [.. s_narrow];

    public void Dispose() => _scope.Dispose();

    // The sizes of the page at 3 x 3, 64 to 64 channels, as weights that exist: W_j 64 x 64 x 9; U d x 64 x 9 and V 64 x d; wide by its rounded widths.
    [Theory]
    [InlineData(0.5, 91, 2, 116, 28)]
    [InlineData(0.75, 128, 4, 231, 43)]
    [InlineData(0.9, 202, 10, 576, 51)]
    public void Layers_have_the_sizes_of_the_formulas(double s, int width, int branches, int factors, int rank)
    {
        using Conv2d dense = nn.Conv2d(64, 64, 3, stride: 2, padding: 1, bias: false);
        Tensor x = randn(2, 64, 8, 8), wider = randn(2, width, 8, 8);
        IsoFlopLayer wide = IsoFlopConvolution.Of(dense, new SparseWide(s)), parallel = IsoFlopConvolution.Of(dense, new SparseParallel(s)),
            factorized = IsoFlopConvolution.Of(dense, new SparseFactorized(s)), doped = IsoFlopConvolution.Of(dense, new SparseDoped(s));
        Assert.Equal([width, width, 3, 3], ((Conv2d)wide.Layer).weight.shape);
        Assert.Equal((width, 1), (wide.Layer.call(wider).shape[1], wide.Masked.Count));
        Assert.Equal(branches, parallel.Masked.Count);
        Assert.All(((ParallelConvolution)parallel.Layer).Branches, b => Assert.Equal([64, 64, 3, 3], b.shape));
        Dictionary<string, Parameter> factorsOf = factorized.Layer.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        Assert.Equal([factors, 64, 3, 3], factorsOf["u.weight"].shape);
        Assert.Equal([64, factors, 1, 1], factorsOf["v.weight"].shape);
        Assert.Equal([rank, 64, 3, 3], ((DopedConvolution)doped.Layer).U.shape);
        Assert.Equal([64, rank, 1, 1], ((DopedConvolution)doped.Layer).V.shape);
        Assert.Equal(["weight"], doped.Masked);
        foreach (IsoFlopLayer layer in new[] { parallel, factorized, doped })
        {
            Assert.Equal([2, 64, 4, 4], layer.Layer.call(x).shape);
            Assert.Equal(layer.Size.Weights, layer.Layer.parameters().Where(p => p.dim() > 1).Sum(p => p.numel()));
        }
    }

    [Fact]
    public void The_dense_network_costs_what_a_hand_counts()
    {
        using IsoFlopNetwork dense = IsoFlopNetwork.ResNet(new() { Widths = [8, 16], Blocks = 1 }, null, 1);
        long[] layers = [3 * 8 * 9 * 256, 8 * 8 * 9 * 256, 8 * 8 * 9 * 256, 8 * 16 * 9 * 64, 16 * 16 * 9 * 64, 8 * 16 * 64, 16 * 10];
        Assert.Equal(layers, dense.Layers.Select(l => l.MultiplyAdds));
        Assert.Equal((layers.Sum(), layers.Sum(), 1.0), (dense.DenseCost, dense.Cost, dense.Ratio));
        Assert.Null(dense.Masks);

        // Rows of 15 are 8 after the stem and 4 after the second stage.
        using IsoFlopNetwork odd = IsoFlopNetwork.ResNet(Small, null, 1, side: 15);
        Assert.Equal([64, 64, 64, 16, 16, 16, 1], odd.Layers.Select(l => l.Positions));
    }

    [Theory, InlineData(0.5), InlineData(0.75), InlineData(0.9)]
    public void A_wide_network_costs_what_the_dense_one_costs(double s)
    {
        ResNetOptions options = new() { Widths = [8, 16, 32] };
        using IsoFlopNetwork wide = IsoFlopNetwork.ResNet(options, new SparseWide(s), 1), dense = IsoFlopNetwork.ResNet(options, null, 1);
        Assert.Equal(dense.Cost, wide.DenseCost);
        Assert.Equal(1, wide.Ratio, 1e-3);
        Assert.Equal((1, 1), (wide.Densities["conv.weight"], wide.Densities["head.weight"]));
        Assert.DoesNotContain(wide.Masks!.Names, name => name is "conv.weight" or "head.weight");
        Assert.Equal(dense.Layers.Count - 2, wide.Masks.Names.Count);
        var model = (ResNet)wide.Model;
        Assert.Equal(options.Widths.Select(w => (int)Math.Round(w * Math.Sqrt(1 / (1 - s)))), model.Options.Widths);

        // The residual stream is as wide as the stage; the images are not.
        Assert.Equal([model.Options.Widths[0], 3, 3, 3], model.Layer<Conv2d>("conv").weight.shape);
        Assert.Equal(model.Options.Widths[1], model.Blocks[3].Shortcut!.weight.shape[0]);
        long sum = wide.Layers.Sum(l => l.Positions * (wide.Masks.Names.Contains(l.Name) ? wide.Masks[l.Name].sum().item<long>() : l.Size));
        Assert.Equal(sum, wide.Cost);
    }

    [Theory, MemberData(nameof(Narrow))]
    public void The_others_keep_the_widths_and_cost_what_their_formulas_say(string name)
    {
        IsoFlopMember member = Member(name);
        using IsoFlopNetwork network = IsoFlopNetwork.ResNet(Small, member, 1), dense = IsoFlopNetwork.ResNet(Small, null, 1);
        long expected = dense.Layers.Sum(l => l.IsConvolution && l.Name.StartsWith("stage", StringComparison.Ordinal) && !l.Name.Contains("shortcut", StringComparison.Ordinal)
            ? member.SizeFor((int)l.FanIn, (int)l.FanOut, 9).Active * l.Positions : l.MultiplyAdds);
        Assert.Equal(expected, network.Cost);
        Assert.Equal(dense.Cost, network.DenseCost);
        Assert.Equal(1, network.Ratio, 0.07);
        Tensor x = rand(3, 3, 32, 32);
        Assert.Equal(((ResNet)dense.Model).Features(x).shape, ((ResNet)network.Model).Features(x).shape);
        foreach ((string at, long[] shape) in new (string, long[])[] { ("stage1.block1", [3, 8, 16, 16]), ("stage2.block1", [3, 16, 8, 8]) })
            Assert.Equal(shape, network.Model.Layer<ResNetBlock>(at).call(rand(3, 8, 16, 16)).shape);
    }

    [Fact]
    public void Without_sparsity_all_but_the_factorized_are_the_dense_network_bit_for_bit()
    {
        Tensor X = rand(new long[] { 6, 3, 32, 32 }, generator: new Generator(2));
        using ResNet dense = new(Small, 3);
        Tensor trained = dense.call(X).detach();
        dense.eval();
        Tensor evaluated = dense.call(X).detach();
        foreach (IsoFlopMember? member in new IsoFlopMember?[]
                 { null, new SparseWide(0), new SparseParallel(0), new SparseParallel(0, InnerActivation.Norm), new SparseParallel(0, InnerActivation.None), new SparseDoped(0) })
        {
            using IsoFlopNetwork same = IsoFlopNetwork.ResNet(Small, member, 3);
            Assert.Null(same.Masks);
            Assert.Equal(1, same.Ratio);
            Assert.True(trained.Same(same.Model.call(X).detach()), $"{member}");
            same.Model.eval();
            Assert.True(evaluated.Same(same.Model.call(X).detach()), $"{member}");
        }

        using IsoFlopNetwork factors = IsoFlopNetwork.ResNet(Small, new SparseFactorized(0), 3);
        Assert.False(trained.Same(factors.Model.call(X).detach()));
    }

    [Theory, MemberData(nameof(Members))]
    public void Masks_have_their_numbers_and_stay_so_while_they_move(string name)
    {
        (Tensor X, Tensor labels) = Images(40);
        using IsoFlopNetwork network = IsoFlopNetwork.ResNet(Small, Member(name), 2, side: 16);
        MaskSet masks = network.Masks!;
        long[] before = [.. masks.Names.Select(masks.ActiveOf)];
        Assert.All(masks.Names, n => Assert.Equal((long)Math.Round(network.Densities[n] * masks[n].numel(), MidpointRounding.AwayFromZero), masks.ActiveOf(n)));
        Assert.All(masks.Names, n => Assert.Equal(4, masks[n].dim()));
        long cost = network.Cost;
        IsoFlopTrainingResult result = IsoFlopTraining.Run(network, X, labels, new() { Epochs = 2, BatchSize = 10, Interval = 2 }, new()
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
        Assert.Equal(cost, network.Cost);
        Assert.True(result.ExplorationRate > masks.Density);
        Assert.All(network.Model.parameters(), p => Assert.True(p.isfinite().all().item<bool>()));
        double full = TrainingCost.Forward(network.Layers);
        Assert.Equal(((8 - result.Updates.Count) * 3.0 * cost) + (result.Updates.Count * ((2 * cost) + full)), result.Cost, 1e-6);
    }

    [Theory, InlineData(InnerActivation.None), InlineData(InnerActivation.Norm)]
    public void Branches_without_an_activation_fold_into_one_convolution(InnerActivation inner)
    {
        (Tensor X, Tensor labels) = Images(40);
        using IsoFlopNetwork network = IsoFlopNetwork.ResNet(new() { Widths = [16, 24], Blocks = 1, Classes = 4 }, new SparseParallel(0.75, inner), 2, side: 16);
        IsoFlopTraining.Run(network, X, labels, new() { Epochs = 2, BatchSize = 10, Search = MaskSearch.Static });
        network.Model.eval();
        foreach ((string name, long size) in new[] { ("stage1.block1.conv2", 16L), ("stage2.block1.conv1", 16), ("stage2.block1.conv2", 24) })
        {
            ParallelConvolution layer = network.Model.Layer<ParallelConvolution>(name);
            using Conv2d folded = layer.Fold();
            Tensor x = randn(new long[] { 5, size, 8, 8 }, generator: new Generator(4));
            Assert.True((folded.call(x) - layer.call(x)).abs().max().item<float>() < 1e-5);

            // k random masks leave 1 - s^k; 2304 places and more: three standard deviations are 0.03.
            Assert.Equal(1 - Math.Pow(0.75, 4), folded.weight.ne(0).to(ScalarType.Float64).mean().item<double>(), 0.03);
        }
    }

    [Fact]
    public void Branches_with_an_activation_are_not_folded_and_the_second_of_a_block_has_none()
    {
        using IsoFlopNetwork network = IsoFlopNetwork.ResNet(Small, new SparseParallel(0.5), 2);
        ParallelConvolution first = network.Model.Layer<ParallelConvolution>("stage1.block1.conv1"), second = network.Model.Layer<ParallelConvolution>("stage1.block1.conv2");
        Assert.Equal((InnerActivation.NormAndRelu, InnerActivation.Norm), (first.Inner, second.Inner));
        Assert.Throws<InvalidOperationException>(() => first.Fold());
        Assert.NotNull(second.Fold());
        Assert.IsType<Identity>(network.Model.Layer<nn.Module>("stage1.block1.bn1"), exactMatch: false);
        Tensor x = randn(6, 8, 4, 4), sum = zeros(6, 8, 4, 4);
        foreach (Parameter branch in first.Branches)
        {
            Tensor one = nn.functional.conv2d(x, branch.detach(), padding: [1, 1]);
            sum += ((one - one.mean([0, 2, 3], true)) / (one.var([0, 2, 3], unbiased: false, keepdim: true) + 1e-5).sqrt()).relu();
        }

        Assert.True((first.call(x) - sum).abs().max().item<float>() < 1e-4);
        var block = ((ResNet)network.Model).Blocks[0];
        Assert.Contains("conv1", Assert.Throws<InvalidOperationException>(() => block.Conv1).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => block.Norm1);
    }

    [Fact]
    public void A_doped_convolution_is_one_convolution()
    {
        using IsoFlopNetwork network = IsoFlopNetwork.ResNet(Small, new SparseDoped(0.5), 2);
        DopedConvolution layer = network.Model.Layer<DopedConvolution>("stage2.block1.conv1");

        // d = floor(0.5 * 9 * 8 * 16 / (72 + 16)) = 6; the factors are dense and have no mask.
        Assert.Equal(6, layer.U.shape[0]);
        Assert.DoesNotContain(network.Masks!.Names, n => n.EndsWith(".u", StringComparison.Ordinal) || n.EndsWith(".v", StringComparison.Ordinal));
        Tensor x = randn(3, 8, 9, 9), whole = layer.Weight + layer.V.flatten(1).mm(layer.U.flatten(1)).view(16, 8, 3, 3);
        Assert.True((layer.call(x) - nn.functional.conv2d(x, whole, strides: [2, 2], padding: [1, 1])).abs().max().item<float>() < 1e-4);

        // Where the rank would be 0 the convolution stands alone, sparse.
        IsoFlopLayer alone = IsoFlopConvolution.Of(nn.Conv2d(4, 4, 1, bias: false), new SparseDoped(0.1));
        Assert.IsType<Conv2d>(alone.Layer);
        Assert.Equal((0, "weight"), (alone.Size.Size, alone.Masked.Single()));
        network.Model.to(ScalarType.Float64);
        Assert.Equal(ScalarType.Float64, network.Model.call(rand([2, 3, 16, 16], dtype: ScalarType.Float64)).dtype);
    }

    [Fact]
    public void The_same_seed_gives_the_same_network()
    {
        double[] Made(long seed)
        {
            using IsoFlopNetwork network = IsoFlopNetwork.ResNet(Small, new SparseParallel(0.5), seed);
            return TrainingData.Parameters(network.Model);
        }

        Assert.Equal(Made(1), Made(1));
        Assert.NotEqual(Made(1), Made(2));
        using IsoFlopNetwork doped = IsoFlopNetwork.ResNet(Small, new SparseDoped(0.5), 1);
        Assert.Equal(doped.Masks!.Names.Sum(n => SearchSpace.Log10Masks(doped.Masks[n].numel(), doped.Masks.ActiveOf(n))), doped.Log10Masks, 1e-9);
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using Conv2d depthwise = nn.Conv2d(8, 8, 3, groups: 8, bias: false), groups = nn.Conv2d(8, 8, 3, groups: 2, bias: false), biased = nn.Conv2d(8, 8, 3), same = nn.Conv2d(8, 8, 3, padding: Padding.Same, bias: false);
        string text = Assert.Throws<ArgumentException>("layer", () => IsoFlopConvolution.Of(depthwise, new SparseWide(0.5))).Message;
        Assert.Contains("depthwise", text, StringComparison.Ordinal);
        Assert.Contains("more groups", text, StringComparison.Ordinal);
        Assert.Contains("2 groups", Assert.Throws<ArgumentException>("layer", () => IsoFlopConvolution.Of(groups, new SparseParallel(0.5))).Message, StringComparison.Ordinal);
        Assert.Contains("bias", Assert.Throws<ArgumentException>("layer", () => IsoFlopConvolution.Of(biased, new SparseDoped(0.5))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("layer", () => IsoFlopConvolution.Of(same, new SparseDoped(0.5)));
        Assert.Throws<ArgumentNullException>("layer", () => IsoFlopConvolution.Of(null!, new SparseDoped(0.5)));
        Assert.Throws<ArgumentNullException>("member", () => IsoFlopConvolution.Of(depthwise, null!));
        Assert.Throws<ArgumentOutOfRangeException>("side", () => IsoFlopNetwork.ResNet(Small, null, 1, side: 0));
        Assert.Throws<ArgumentException>("Widths", () => IsoFlopNetwork.ResNet(new() { Widths = [] }, null, 1));

        // A head of 5,000 classes takes 8 * 5,000 of 61,888 multiply-adds, and ten times that when it is ten times as wide.
        Assert.Contains("head.weight", Assert.Throws<ArgumentException>(() => IsoFlopNetwork.ResNet(new() { Widths = [8], Blocks = 1, Classes = 5_000 }, new SparseWide(0.99), 1, side: 8)).Message, StringComparison.Ordinal);
        using IsoFlopNetwork network = IsoFlopNetwork.ResNet(Small, new SparseParallel(0.5), 1);
        Assert.Contains("in stage1 there are block1", Assert.Throws<ArgumentException>("name", () => network.Model.Layer<Conv2d>("stage1.block7.conv1")).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("name", () => network.Model.Layer<Conv2d>("stage1.block1.conv1"));
    }

    private static (Tensor X, Tensor Labels) Images(int count)
    {
        Tensor labels = arange(count, dtype: ScalarType.Int64) % 4;
        Tensor X = rand(new long[] { count, 3, 16, 16 }, generator: new Generator(5)) * 0.5;
        for (int i = 0; i < count; i++) X[i, (int)(i % 4) % 3] += 0.1 * (1 + (i % 4));
        return (X, labels);
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
