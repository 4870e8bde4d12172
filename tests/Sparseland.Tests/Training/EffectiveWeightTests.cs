using Sparseland.Models;
using Sparseland.Training;
using Sparseland.Training.NofM;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public sealed class EffectiveWeightTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public static TheoryData<GradientFlow> Flows => [.. Enum.GetValues<GradientFlow>()];

    public void Dispose() => _scope.Dispose();

    [Theory, MemberData(nameof(Flows))]
    public void Gradients_are_what_each_flow_says(GradientFlow flow)
    {
        Tensor raw = randn([4, 8], dtype: ScalarType.Float64, generator: new Generator(1)).requires_grad_(true);
        Tensor mask = NofMLayout.Mask(raw.detach().abs(), 2, 8), G = randn([4, 8], dtype: ScalarType.Float64, generator: new Generator(2)), kept = mask.to(ScalarType.Float64);
        foreach (double beta in new[] { 0, 0.3, 1 })
        {
            foreach (double pull in new[] { 0, 0.7 })
            {
                raw.grad?.zero_();
                Tensor V = StraightThrough.Weight(raw, mask, beta, flow, pull);
                Assert.True(V.Same((kept + (beta * (1 - kept))) * raw));
                V.mul(G).sum().backward();
                Tensor share = flow switch { GradientFlow.StraightThrough => ones_like(kept), GradientFlow.Restricted => kept + (beta * (1 - kept)), _ => kept };
                Assert.True(raw.grad!.allclose((share * G) + (pull * (1 - kept) * raw.detach()), 0, 1e-15));
            }
        }
    }

    [Theory, InlineData(0.0), InlineData(0.25), InlineData(0.9)]
    public void Restricted_flow_is_the_difference_quotient_with_the_mask_held_fixed_and_straight_through_is_not(double beta)
    {
        using Sequential network = TrainingData.Mlp(ScalarType.Float64);
        (Tensor X, Tensor labels) = TrainingData.Blobs(12, 8, 3, 4, ScalarType.Float64);
        Tensor fixedMask = NofMLayout.Mask(TrainingData.Fc1(network).weight!.detach().abs(), 1, 4);
        double Loss(Tensor W)
        {
            using var scope = NewDisposeScope();
            Tensor hidden = nn.functional.relu(nn.functional.linear(X, StraightThrough.Weight(W, fixedMask, beta), TrainingData.Fc1(network).bias));
            return nn.functional.cross_entropy(network.Layer<Linear>("head").call(hidden), labels).item<double>();
        }

        Tensor Gradient(GradientFlow flow)
        {
            IReadOnlyList<ReplacedLayer> replaced = EffectiveWeight.Attach(network, (name, _) => name == "fc1" ? new MaskedWeight(PruningPattern.NofM(1, 4), beta, flow) : null);
            network.zero_grad();
            nn.functional.cross_entropy(network.call(X), labels).backward();
            LinearSlots.Restore(replaced);
            return TrainingData.Fc1(network).weight!.grad!.clone();
        }

        Tensor restricted = Gradient(GradientFlow.Restricted), straight = Gradient(GradientFlow.StraightThrough), W = TrainingData.Fc1(network).weight!.detach().clone();
        double scale = restricted.abs().max().item<double>();
        for (int i = 0; i < 16; i++)
        {
            for (int j = 0; j < 8; j++)
            {
                const double Step = 1e-6;
                double at = W[i, j].item<double>();
                W[i, j] = at + Step;
                double up = Loss(W);
                W[i, j] = at - Step;
                double down = Loss(W);
                W[i, j] = at;
                Assert.Equal((up - down) / (2 * Step), restricted[i, j].item<double>(), 1e-6 * Math.Max(scale, 1));
            }
        }

        if (beta < 1) Assert.True((straight - restricted).abs().max().item<double>() > 0.1 * scale * (1 - beta));
        Tensor kept = fixedMask.to(ScalarType.Float64);
        Assert.True(((kept + (beta * (1 - kept))) * straight).allclose(restricted, 1e-12, 1e-15));
    }

    [Fact]
    public void With_everything_kept_linear_layers_and_convolutions_compute_and_learn_what_the_dense_ones_do_bit_for_bit()
    {
        foreach (bool convolutional in new[] { false, true })
        {
            Sequential Network() => convolutional ? SmallClassifiers.Cnn(8, [4, 8], 3, 2) : SmallClassifiers.Mlp([64, 16, 16, 3], 2);
            using Sequential dense = Network(), other = Network();
            Tensor X = randn([6, convolutional ? 1 : 64, 8, 8], generator: new Generator(7));
            X = convolutional ? X : X[.., 0].reshape(6, 64);
            Tensor labels = tensor(new long[] { 0, 1, 2, 0, 1, 2 });
            foreach (MaskedWeight rule in new[] { new MaskedWeight(PruningPattern.NofM(1, 1)), new(PruningPattern.NofM(1, 1), 1, GradientFlow.Restricted), new(PruningPattern.PerLayer(0)) })
            {
                IReadOnlyList<ReplacedLayer> replaced = EffectiveWeight.Attach(other, (_, _) => rule);
                dense.zero_grad();
                other.zero_grad();
                Tensor a = dense.call(X), b = other.call(X);
                Assert.True(a.Same(b));
                nn.functional.cross_entropy(a, labels).backward();
                nn.functional.cross_entropy(b, labels).backward();
                LinearSlots.Restore(replaced);
                foreach ((Parameter one, Parameter two) in dense.parameters().Zip(other.parameters())) Assert.True(one.grad!.Same(two.grad!));
            }

            if (convolutional) Assert.Equal(["conv1", "conv2"], LinearSlots.ConvolutionsOf(other).Select(s => s.Name));
        }
    }

    [Fact]
    public void A_rule_may_have_any_pattern_and_its_mask_follows_the_weights()
    {
        using Sequential network = TrainingData.Mlp();
        IReadOnlyList<ReplacedLayer> replaced = EffectiveWeight.Attach(network, (name, _) => name == "fc1" ? new MaskedWeight(PruningPattern.PerLayer(0.75)) : null);
        var layer = (EffectiveWeight)replaced[0].After;
        Assert.Null(layer.Mask);
        network.call(rand([2, 8]));
        Assert.Equal(32, layer.Mask!.sum().item<long>());
        using (no_grad()) layer.Raw.copy_(layer.Raw.neg().add(where(layer.Mask, 0, 10)));
        Tensor before = layer.Mask!.clone();
        network.call(rand([2, 8]));
        Assert.Equal(0, before.logical_and(layer.Mask!).sum().item<long>());
        Assert.True(layer.Effective().ne(0).Same(layer.Mask!));
        Assert.Contains("fc1.weight", network.named_parameters().Select(p => p.name));
        Assert.Throws<ArgumentException>(() => EffectiveWeight.Attach(network, (_, _) => new MaskedWeight(PruningPattern.PerLayer(0.5))));
        Assert.Throws<ArgumentNullException>(() => layer.Rule = null!);
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        using Sequential network = TrainingData.Mlp();
        Assert.Throws<ArgumentException>(() => EffectiveWeight.Attach(network, (_, _) => null));
        using Sequential tied = nn.Sequential(("a", nn.Linear(4, 4)), ("b", nn.Linear(4, 4)));
        tied.Layer<Linear>("b").weight = tied.Layer<Linear>("a").weight;
        Assert.Contains("tied", Assert.Throws<ArgumentException>(() => EffectiveWeight.Attach(tied, (_, _) => new MaskedWeight(PruningPattern.NofM(1, 2)))).Message, StringComparison.Ordinal);
        using Conv2d reflecting = nn.Conv2d(4, 4, 3, padding: 1, padding_mode: PaddingModes.Reflect);
        Assert.Throws<ArgumentException>(() => new EffectiveWeight(reflecting, new MaskedWeight(PruningPattern.NofM(1, 2))));
        Tensor W = rand([2, 4]);
        Assert.Throws<ArgumentException>(() => StraightThrough.Weight(W, ones([2, 4])));
        Assert.Throws<ArgumentException>(() => StraightThrough.Weight(W, ones([2, 3], dtype: ScalarType.Bool)));
        foreach (double bad in new[] { -0.1, 1.1, double.NaN }) Assert.Throws<ArgumentOutOfRangeException>(() => StraightThrough.Weight(W, W.gt(0), bad));
        Assert.Throws<ArgumentOutOfRangeException>(() => StraightThrough.Weight(W, W.gt(0), pull: double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => StraightThrough.Weight(W, W.gt(0), flow: (GradientFlow)7));
    }
}
