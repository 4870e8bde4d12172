using Sparseland.Models;
using Sparseland.Models.Vision;
using Sparseland.Training;
using Sparseland.Training.NofM;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training.NofM;

public sealed class BidirectionalNofMTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public static TheoryData<PrunedProducts> Schemes => [.. Enum.GetValues<PrunedProducts>()];

    public void Dispose() => _scope.Dispose();

    [Fact]
    public void Both_masks_are_of_the_dense_weight_and_have_N_of_every_run()
    {
        Tensor W = randn([24, 40], generator: new Generator(1));
        using MaskPair pair = new(W, 2, 8);
        Assert.True(pair.In.reshape(24, 5, 8).sum(2L).eq(2).all().item<bool>());
        Assert.True(pair.Out.reshape(3, 8, 40).sum(1L).eq(2).all().item<bool>());
        using MaskPair turned = new(W.t(), 2, 8);
        Assert.True(pair.Out.Same(turned.In.t()));
        Assert.Equal(turned.Overlap, pair.Overlap, 1e-12);
        Assert.Equal(turned.Cosine(W.t()), pair.Cosine(W), 1e-12);
        Tensor a = where(pair.In, W, 0).flatten(), b = where(pair.Out, W, 0).flatten();
        Assert.Equal(nn.functional.cosine_similarity(a, b, 0).item<float>(), pair.Cosine(W), 1e-5);
        Assert.Equal(pair.InSupport.Overlap(pair.OutSupport) > 0, pair.Overlap > 0);
        Assert.Equal(pair.In.sum().item<long>(), pair.InSupport.Count);

        // The mask along the outputs of what the other mask left would have fewer: about 77 % at 2:8 on Gaussian weights.
        Tensor large = randn([512, 512], generator: new Generator(2)), left = where(NofMLayout.Mask(large.abs(), 2, 8), large, 0);
        Assert.Equal(0.77, NofMLayout.MaskAlongOutputs(left.abs(), 2, 8).logical_and(left.ne(0)).sum().item<long>() / (512 * 512 / 4.0), 0.01);
    }

    // Published for Gaussian 512 x 512 matrices: shares 0.69, 0.68, 0.74, overlaps 0.74, 0.68, 0.53, cosines 0.91, 0.83, 0.69.
    [Theory, InlineData(2, 4, 0.69, 0.74, 0.91), InlineData(2, 8, 0.68, 0.68, 0.83), InlineData(1, 8, 0.74, 0.53, 0.69)]
    public void One_mask_is_not_N_of_M_in_both_directions(int n, int m, double compliant, double overlap, double cosine)
    {
        Tensor W = randn([512, 512], generator: new Generator(4));
        using MaskPair pair = new(W, n, m);
        Assert.Equal(compliant, pair.CompliantGroups, 0.02);
        Assert.Equal(overlap, pair.Overlap, 0.01);
        Assert.Equal(cosine, pair.Cosine(W), 0.01);
    }

    [Theory, MemberData(nameof(Schemes))]
    public void The_three_products_are_the_scheme_s(PrunedProducts products)
    {
        (Tensor x, Tensor W, Tensor b, Tensor dy) = Layer(ScalarType.Float64);
        using MaskPair pair = new(W, 2, 8);
        var rule = new BidirectionalRule(2, 8, products, new() { Pull = 0.3 });
        Tensor mask = rule.Mask(W), y = rule.Linear(x, W, b, mask);
        bool forward = products is PrunedProducts.Forward or PrunedProducts.Both, backward = products is PrunedProducts.BackwardWeights or PrunedProducts.Both;
        Tensor In = forward ? pair.In : ones_like(pair.In), Out = backward ? pair.Out : In;
        Tensor w = W.detach(), seen = products == PrunedProducts.BackwardGradient ? NofMProducts.PruneGradient(dy, 2, 8) : dy;
        Assert.True(y.allclose(x.detach().mm(where(In, w, 0).t()) + b.detach(), 0, 1e-10));
        y.backward([dy]);
        Assert.True(x.grad!.allclose(seen.mm(where(Out, w, 0)), 0, 1e-10));
        Assert.True(W.grad!.allclose(dy.t().mm(x.detach()) + (0.3 * where(In, 0, w)), 0, 1e-10));
        Assert.True(b.grad!.allclose(dy.sum(0L), 0, 1e-10));
    }

    [Fact]
    public void The_construction_of_detached_terms_has_the_same_gradients()
    {
        (Tensor x, Tensor W, Tensor b, Tensor dy) = Layer(ScalarType.Float64);
        using MaskPair pair = new(W, 2, 8);
        NofMProducts.Linear(x, W, b, pair.In, pair.Out).backward([dy]);
        Tensor[] custom = [x.grad!.clone(), W.grad!.clone(), b.grad!.clone()];
        foreach (Tensor t in new[] { x, W, b }) t.grad!.zero_();
        Tensor still = x.detach(), forward = (where(pair.In, W, 0) - W).detach() + W, backward = where(pair.Out, W, 0).detach();
        Tensor y = still.mm(forward.t()) + (x - still).mm(backward.t()) + b;
        y.backward([dy]);
        Assert.All(custom.Zip([x.grad!, W.grad!, b.grad!]), pair => Assert.True(pair.First.allclose(pair.Second, 0, 1e-6)));
    }

    [Fact]
    public void The_forward_only_gradient_is_that_of_its_function_and_that_of_both_is_not()
    {
        (Tensor x, Tensor W, Tensor b, Tensor dy) = Layer(ScalarType.Float64);
        Tensor Gradient(PrunedProducts products)
        {
            x.grad?.zero_();
            var rule = new BidirectionalRule(2, 8, products, new());
            Tensor mask = rule.Mask(W);
            rule.Linear(x, W, b, mask).backward([dy]);
            return x.grad!.clone();
        }

        using MaskPair pair = new(W, 2, 8);
        Tensor X = x.detach().clone(), difference = zeros_like(X);
        double Value() => (NofMProducts.Linear(X, W, b, pair.In, null) * dy).sum().item<double>();
        for (int i = 0; i < X.shape[0]; i++)
        {
            for (int j = 0; j < X.shape[1]; j++)
            {
                double at = X[i, j].item<double>();
                X[i, j] = at + 1e-4;
                double up = Value();
                X[i, j] = at - 1e-4;
                double down = Value();
                X[i, j] = at;
                difference[i, j] = (up - down) / 2e-4;
            }
        }

        double Relative(Tensor g) => ((g - difference).norm() / difference.norm()).item<double>();
        Assert.True(Relative(Gradient(PrunedProducts.Forward)) < 1e-8);
        Assert.True(Relative(Gradient(PrunedProducts.Both)) > 0.1);
    }

    [Theory, MemberData(nameof(Schemes))]
    public void With_N_equal_M_everything_is_the_dense_layer_bit_for_bit(PrunedProducts products)
    {
        (Tensor x, Tensor W, Tensor b, Tensor dy) = Layer(ScalarType.Float32);
        Tensor dense = nn.functional.linear(x, W, b);
        dense.backward([dy]);
        Tensor[] wanted = [dense.detach(), x.grad!.clone(), W.grad!.clone(), b.grad!.clone()];
        foreach (Tensor t in new[] { x, W, b }) t.grad!.zero_();
        var rule = new BidirectionalRule(8, 8, products, new());
        Tensor mask = rule.Mask(W), y = rule.Linear(x, W, b, mask);
        y.backward([dy]);
        Assert.All(wanted.Zip([y.detach(), x.grad!, W.grad!, b.grad!]), pair => Assert.True(pair.First.Same(pair.Second)));
    }

    [Fact]
    public void There_is_no_second_derivative()
    {
        (Tensor x, Tensor W, Tensor b, _) = Layer(ScalarType.Float64);
        using MaskPair pair = new(W, 2, 8);
        Assert.ThrowsAny<Exception>(() => autograd.grad([NofMProducts.Linear(x, W, b, pair.In, pair.Out).square().sum()], [x], create_graph: true));
    }

    [Fact]
    public void Pruned_gradients_keep_N_of_the_outputs_of_each_sample_and_their_sums_when_asked()
    {
        Tensor dy = randn([40, 16], generator: new Generator(8)), pruned = NofMProducts.PruneGradient(dy, 2, 8), rescaled = NofMProducts.PruneGradient(dy, 2, 8, rescale: true);
        Assert.True(pruned.ne(0).reshape(40, 2, 8).sum(2L).eq(2).all().item<bool>());
        Assert.True(pruned.ne(0).logical_and(pruned.ne(dy)).logical_not().all().item<bool>());
        Assert.True(rescaled.abs().sum(0L).allclose(dy.abs().sum(0L), 1e-5));
        Assert.True(NofMProducts.PruneGradient(zeros([3, 8]), 1, 8, rescale: true).eq(0).all().item<bool>());
    }

    [Theory, MemberData(nameof(Schemes))]
    public void A_network_learns_by_the_scheme_and_is_deployed_with_the_forward_mask(PrunedProducts products)
    {
        using Sequential network = SmallClassifiers.Mlp([32, 32, 32, 3], 4);
        (Tensor X, Tensor labels) = TrainingData.Blobs(200, 32, 3, 6);
        using BidirectionalNofM training = BidirectionalNofM.Attach(network, name => name != "head", 1, 4, products, new() { Force = true });
        double before = nn.functional.cross_entropy(network.call(X), labels).item<float>();
        using (SgdOptimizer optimizer = new(network, momentum: 0.9))
        {
            using TrainingLoop loop = new(network, new SampleBatches(X, labels, 20), Losses.CrossEntropy(network), new() { Steps = 60, LearningRate = 0.02 }, null, optimizer);
            loop.Run();
        }

        Tensor soft = network.call(X).detach();
        Assert.True(nn.functional.cross_entropy(soft, labels).item<float>() < 0.7 * before);
        using MaskSet masks = training.Harden();
        Assert.True(soft.Same(network.call(X).detach()));
        Assert.Equal(products is PrunedProducts.Forward or PrunedProducts.Both ? 0.25 : 1, masks.Density);
        Assert.Throws<ObjectDisposedException>(() => training.Harden());
    }

    [Fact]
    public void Convolutions_have_their_input_gradient_by_the_other_mask()
    {
        using Sequential network = SmallClassifiers.Cnn(8, [4, 8, 8], 3, 2);
        using BidirectionalNofM training = BidirectionalNofM.Attach(network, null, 1, 4, PrunedProducts.Both);
        Assert.Equal(["conv2", "conv3"], training.Layers.Select(l => l.Name));
        EffectiveWeight layer = training.Layers[0].Layer;
        Tensor x = randn([2, 4, 5, 5], generator: new Generator(3)).requires_grad_(true), dy = randn([2, 8, 5, 5], generator: new Generator(4));
        Tensor y = layer.call(x);
        y.backward([dy]);
        using MaskPair pair = new(layer.Raw, 1, 4);
        Tensor other = x.detach().clone().requires_grad_(true), W = layer.Raw.detach();
        Assert.True(y.allclose(nn.functional.conv2d(other.detach(), where(pair.In, W, 0), padding: [1, 1]), 1e-4, 1e-6));
        nn.functional.conv2d(other, where(pair.Out, W, 0), padding: [1, 1]).backward([dy]);
        Assert.True(x.grad!.allclose(other.grad!, 1e-4, 1e-5));
        Tensor dense = W.clone().requires_grad_(true);
        nn.functional.conv2d(x.detach(), dense, padding: [1, 1]).backward([dy]);
        Assert.True(layer.Raw.grad!.allclose(dense.grad!, 1e-4, 1e-5));
    }

    [Fact]
    public void A_residual_network_is_trained_with_both_masks_and_deployed_with_the_forward_one()
    {
        // 8 classes, so that 2:8 would fit the head too: it stays dense because it is the last layer.
        using ResNet network = new(new() { Widths = [8, 16], Blocks = 1, Classes = 8 }, 2);
        Tensor X = rand([24, 3, 16, 16], generator: new Generator(3)), labels = arange(24, dtype: ScalarType.Int64) % 4;
        using BidirectionalNofM training = BidirectionalNofM.Attach(network, null, 2, 8, PrunedProducts.Both);
        string[] names = ["stage1.block1.conv1", "stage1.block1.conv2", "stage2.block1.conv1", "stage2.block1.conv2", "stage2.block1.shortcut"];
        Assert.Equal(names, training.Layers.Select(l => l.Name));
        Assert.Throws<InvalidOperationException>(() => network.Blocks[0].Conv1);

        // One layer with a step of 2: both masks along their channels at each kernel position, the weight gradient dense.
        EffectiveWeight layer = training.Layers[2].Layer;
        Tensor x = randn([2, 8, 7, 7], generator: new Generator(4)).requires_grad_(true), dy = randn([2, 16, 4, 4], generator: new Generator(5)), W = layer.Raw.detach();
        Tensor y = layer.call(x);
        y.backward([dy]);
        Tensor size = W.abs(), @in = zeros_like(W), @out = zeros_like(W);
        for (int r = 0; r < 3; r++)
        {
            for (int c = 0; c < 3; c++)
            {
                // Two largest of 8 inputs in each row, two of 8 outputs in each column, by a plain sort.
                Tensor one = size[.., .., r, c];
                @in[.., .., r, c] = one.ge(one.sort(1, true).Values[.., 1].unsqueeze(1)).to(ScalarType.Float32);
                foreach (int half in new[] { 0, 8 }) @out[half..(half + 8), .., r, c] = one[half..(half + 8)].ge(one[half..(half + 8)].sort(0, true).Values[1]).to(ScalarType.Float32);
            }
        }

        Assert.True(y.allclose(nn.functional.conv2d(x.detach(), W * @in, strides: [2, 2], padding: [1, 1]), 1e-4, 1e-6));
        Tensor other = x.detach().clone().requires_grad_(true), dense = W.clone().requires_grad_(true);
        nn.functional.conv2d(other, W * @out, strides: [2, 2], padding: [1, 1]).backward([dy]);
        nn.functional.conv2d(x.detach(), dense, strides: [2, 2], padding: [1, 1]).backward([dy]);
        Assert.True(x.grad!.allclose(other.grad!, 1e-4, 1e-5));
        Assert.True(layer.Raw.grad!.allclose(dense.grad!, 1e-4, 1e-5));

        using (SgdOptimizer sgd = new(network, momentum: 0.9, weightDecay: 5e-4))
        using (TrainingLoop loop = new(network, new SampleBatches(X, labels, 12, 1), Losses.CrossEntropy(network), new() { Steps = 6, LearningRate = 0.05 }, null, sgd))
        {
            loop.Run();
        }

        network.eval();
        Tensor soft = network.call(X).detach();
        using MaskSet masks = training.Harden();
        Assert.True(soft.Same(network.call(X).detach()));
        Assert.Equal(names.Select(n => n + ".weight"), masks.Names);
        foreach (string name in masks.Names)
        {
            Tensor weight = masks.ParameterOf(name), runs = masks[name].permute(0, 2, 3, 1).reshape(-1, 8).sum(1L);
            Assert.True(runs.eq(2).all().item<bool>());
            Assert.False(weight.masked_select(masks[name].logical_not()).ne(0).any().item<bool>());
        }

        Assert.Equal(9 * 64, network.Blocks[0].Conv1.weight.numel());
    }

    [Fact]
    public void Costs_are_the_paper_s()
    {
        Assert.Equal(0.5, TrainingCost.OfNofM(PrunedProducts.Both, 2, 8), 1e-12);
        Assert.Equal(2 / 3.0, TrainingCost.OfNofM(PrunedProducts.Both, 2, 4), 1e-12);
        Assert.Equal(1.25 / 3, TrainingCost.OfNofM(PrunedProducts.Both, 1, 8), 1e-12);
        foreach (PrunedProducts one in new[] { PrunedProducts.Forward, PrunedProducts.BackwardWeights, PrunedProducts.BackwardGradient }) Assert.Equal(0.75, TrainingCost.OfNofM(one, 2, 8), 1e-12);
        Assert.Equal(1, TrainingCost.OfNofM(PrunedProducts.None, 2, 8), 1e-12);
        Assert.Equal(4, TrainingCost.NofMTraffic(2, 8, generatedBefore: false));
        Assert.Equal(2.375, TrainingCost.NofMTraffic(2, 8, generatedBefore: true), 1e-12);
        Assert.Equal(4.5, TrainingCost.NofMTraffic(2, 4, generatedBefore: true), 1e-12);
        Assert.Equal(0.857, AcceleratorModel.ShareFor(1.75, 0.5), 5e-4);
        Assert.Equal(1.75, AcceleratorModel.SpeedUp(AcceleratorModel.ShareFor(1.75, 0.5), 0.5), 1e-12);
        using Sequential network = SmallClassifiers.Mlp([32, 16, 8], 1);
        IReadOnlyList<NofMLayerCost> layers = TrainingCost.OfNofM(LayerShape.Of(network, 32), name => name == "fc1.weight", PrunedProducts.Both, 2, 8);
        Assert.Equal([32 * 16 * 1.5, 16 * 8 * 3], layers.Select(l => l.Total));

        // An array that is not held back by memory is faster by the multiply-adds, and one without bandwidth by the bytes alone.
        var compute = new AcceleratorModel(1e12, 1e12, 1e30);
        Assert.Equal(2, compute.StepSeconds(512, 512, 512, PrunedProducts.None, 2, 8) / compute.StepSeconds(512, 512, 512, PrunedProducts.Both, 2, 8), 1e-9);
        var memory = new AcceleratorModel(1e30, 1e30, 1e9);
        Assert.Equal((3 * 2) / (2 + (2 * 0.59375)), memory.StepSeconds(1 << 20, 1 << 20, 1, PrunedProducts.None, 2, 8) / memory.StepSeconds(1 << 20, 1 << 20, 1, PrunedProducts.Both, 2, 8), 1e-4);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using Sequential network = SmallClassifiers.Mlp([32, 24, 20, 3], 1);
        string text = Assert.Throws<ArgumentException>(() => BidirectionalNofM.Attach(network, name => name == "fc2", 1, 8, PrunedProducts.Both)).Message;
        Assert.Contains("fc2 has 20 outputs", text, StringComparison.Ordinal);
        Assert.Contains("first", Assert.Throws<ArgumentException>(() => BidirectionalNofM.Attach(network, name => name == "fc1", 1, 8, PrunedProducts.Both)).Message, StringComparison.Ordinal);
        Assert.Contains("last", Assert.Throws<ArgumentException>(() => BidirectionalNofM.Attach(network, name => name == "head", 1, 4, PrunedProducts.Both)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => BidirectionalNofM.Attach(network, null, 1, 8, PrunedProducts.Both));
        Assert.Throws<ArgumentOutOfRangeException>(() => BidirectionalNofM.Attach(network, null, 5, 4, PrunedProducts.Both));
        Assert.Throws<ArgumentOutOfRangeException>(() => BidirectionalNofM.Attach(network, null, 1, 4, (PrunedProducts)9));
        Assert.Throws<ArgumentOutOfRangeException>(() => BidirectionalNofM.Attach(network, null, 1, 4, PrunedProducts.Both, new() { Pull = -1 }));
        using Sequential convolutions = SmallClassifiers.Cnn(8, [4, 8, 8], 3, 2);
        Assert.Throws<ArgumentException>(() => BidirectionalNofM.Attach(convolutions, name => name == "conv2", 1, 4, PrunedProducts.BackwardGradient));
        Tensor W = rand([8, 12]), x = rand([3, 12]);
        Assert.Throws<ArgumentException>(() => new MaskPair(W, 1, 8));
        Assert.Throws<ArgumentException>(() => new MaskPair(W.t(), 1, 8));
        Assert.Throws<ArgumentException>(() => NofMProducts.Linear(x, W, null, W.t().gt(0), null));
        Assert.Throws<ArgumentException>(() => NofMProducts.Linear(x, W, null, null, W));
        Assert.Throws<ArgumentException>(() => NofMProducts.Linear(x.t(), W, null, null, null));
        Assert.Throws<ArgumentException>(() => NofMProducts.Linear(x, W, rand(3), null, null));
        Assert.Throws<ArgumentException>(() => NofMProducts.Linear(x, W, null, null, null, gradient: (1, 16)));
        Assert.Throws<ArgumentOutOfRangeException>(() => AcceleratorModel.ShareFor(2.5, 0.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => new AcceleratorModel(0, 1, 1).Seconds(1, 1, 1));
    }

    private static (Tensor X, Tensor W, Tensor B, Tensor Dy) Layer(ScalarType type) => (
        randn([5, 24], dtype: type, generator: new Generator(1)).requires_grad_(true), randn([16, 24], dtype: type, generator: new Generator(2)).requires_grad_(true),
        randn([16], dtype: type, generator: new Generator(3)).requires_grad_(true), randn([5, 16], dtype: type, generator: new Generator(4)));
}
