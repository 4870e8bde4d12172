using Sparseland.Models;
using Sparseland.Solvers;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class ProximalSgdTests
{
    [Fact]
    public void Momentum_carries_the_gradient_and_not_the_shrinkage()
    {
        using var scope = NewDisposeScope();
        using Sequential network = TrainingData.Mlp(ScalarType.Float64);
        (Tensor X, Tensor labels) = TrainingData.Blobs(32, 8, 3, 1, ScalarType.Float64);
        RegularizedGroups part = TrainingData.Envelope(network, 4, 0.5);
        using var optimizer = new ProximalSgd(network, [part], ["head"], 0.9);
        Linear fc1 = TrainingData.Fc1(network), head = network.Layer<Linear>("head");
        Tensor momentum = zeros_like(fc1.weight.detach()), headMomentum = zeros_like(head.weight.detach());
        for (int step = 0; step < 4; step++)
        {
            double rate = 0.1 / (1 + step);
            network.zero_grad();
            nn.functional.cross_entropy(network.call(X), labels).backward();
            momentum = momentum.mul(0.9).add(fc1.weight.grad!);
            headMomentum = headMomentum.mul(0.9).add(head.weight.grad!);
            Tensor weight = fc1.weight.detach().sub(momentum.mul(rate)), headWeight = head.weight.detach().sub(headMomentum.mul(rate));
            optimizer.GradientStep(rate);
            Assert.All(TrainingData.Numbers(weight).Zip(TrainingData.Numbers(fc1.weight.detach())), p => Assert.Equal(p.First, p.Second, 1e-14));
            double[] scales = part.Groups.Norms();
            part.Regularizer.Scales(scales, rate, scales);
            optimizer.Prox(rate);
            double[] expected = TrainingData.Numbers(weight.mul(tensor(scales).unsqueeze(1))), found = TrainingData.Numbers(fc1.weight.detach());
            for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], found[i], 1e-14);
            Assert.All(TrainingData.Numbers(headWeight).Zip(TrainingData.Numbers(head.weight.detach())), p => Assert.Equal(p.First, p.Second, 1e-14));
        }

        Assert.Equal(part.Regularizer.Value(part.Groups.Norms()), optimizer.Penalty(), 1e-12);
    }

    [Fact]
    public void All_groups_wanted_is_weight_decay()
    {
        using var scope = NewDisposeScope();
        using Sequential network = TrainingData.Mlp(ScalarType.Float64);
        double[] before = TrainingData.Numbers(TrainingData.Fc1(network).weight.detach());
        using var optimizer = new ProximalSgd(network, [TrainingData.Envelope(network, 16, 0.3)], ["head"]);
        optimizer.Prox(0.5);
        double[] after = TrainingData.Numbers(TrainingData.Fc1(network).weight.detach());
        for (int i = 0; i < before.Length; i++) Assert.Equal(before[i] / (1 + (0.5 * 0.3)), after[i], 1e-14);
    }

    [Fact]
    public void Every_parameter_has_exactly_one_place()
    {
        using Sequential network = SmallClassifiers.Cnn(8, [4, 4], 3, 1), other = SmallClassifiers.Cnn(8, [4, 4], 3, 1);
        Conv2d first = network.Layer<Conv2d>("conv1"), second = network.Layer<Conv2d>("conv2");
        BatchNorm2d bn1 = network.Layer<BatchNorm2d>("bn1"), bn2 = network.Layer<BatchNorm2d>("bn2");
        IGroupRegularizer half = new EnvelopeRegularizer(KeepGroups.Share(0.5), 0.1);
        RegularizedGroups one = new(GroupSpec.Filters(first, bn1), half), two = new(GroupSpec.Filters(second, bn2), half);
        using (new ProximalSgd(network, [one, two], ["head"]))
        using (new ProximalSgd(network, [new(GroupSpec.Together(one.Groups, two.Groups), half)], ["head.weight", "head.bias"]))
        {
            // Both are complete.
        }

        string Message(IReadOnlyList<RegularizedGroups> parts, params string[] free)
            => Assert.Throws<ArgumentException>(() => new ProximalSgd(network, parts, free)).Message;
        Assert.Contains("bn2.weight, bn2.bias: neither", Message([one, new(GroupSpec.Filters(second), half)], "head"));
        Assert.Contains("it can be only one", Message([one, two], "head", "bn1"));
        Assert.Contains("overlap", Message([one, one, two], "head"));
        Assert.Contains("No trainable parameter is \"hea\"", Message([one, two], "hea"));
        Assert.Contains("not trained in this model", Message([one, two, new(GroupSpec.Filters(other.Layer<Conv2d>("conv1")), half)], "head"));
        Assert.Contains("9 groups", Message([one, new(two.Groups, new EnvelopeRegularizer(KeepGroups.Count(9), 1))], "head"));
        Assert.Throws<ArgumentOutOfRangeException>("momentum", () => new ProximalSgd(network, [one, two], ["head"], 1));
        using var whole = new ProximalSgd(network, [one, two], ["head"]);
        Assert.Throws<ArgumentOutOfRangeException>("rate", () => whole.Step(-1));
        Assert.Throws<ArgumentOutOfRangeException>("rate", () => whole.Prox(double.NaN));
        Assert.Equal(0, whole.Count);
    }

    [Theory]
    [InlineData("fc1.weight", "group 3")]
    [InlineData("fc1.bias", "group 0")]
    [InlineData("head.bias", "")]
    public void A_step_into_nan_names_the_parameter_before_any_prox(string name, string where)
    {
        using var scope = NewDisposeScope();
        using Sequential network = TrainingData.Mlp();
        using var optimizer = new ProximalSgd(network, [TrainingData.Envelope(network, 4, 5)], ["head"]);
        (Tensor X, Tensor labels) = TrainingData.Blobs(16, 8, 3, 1);
        nn.functional.cross_entropy(network.call(X), labels).backward();
        Parameter broken = network.named_parameters().Single(p => p.name == name).parameter;
        broken.grad!.view(-1)[name == "fc1.weight" ? 3 * 8 : 0] = float.PositiveInfinity;
        optimizer.GradientStep(0.1);
        double[] before = TrainingData.Parameters(network);
        DivergenceException error = Assert.Throws<DivergenceException>(() => optimizer.Prox(0.1));
        Assert.Contains(name, error.Message);
        Assert.Contains(where, error.Message);
        Assert.Equal(before, TrainingData.Parameters(network));
    }

    [Fact]
    public void A_fixed_support_stays()
    {
        using var scope = NewDisposeScope();
        using Sequential network = TrainingData.Mlp();
        GroupSpec rows = GroupSpec.Rows(TrainingData.Fc1(network));
        bool[] alive = [.. Enumerable.Range(0, 16).Select(j => j % 3 == 0)];
        rows.Scale([.. alive.Select(a => a ? 1.0 : 0)]);
        FixedSupport support = FixedSupport.Of(rows);
        Assert.Equal(alive, support.Alive);
        (Tensor X, Tensor labels) = TrainingData.Blobs(64, 8, 3, 2);
        double[] before = TrainingData.Parameters(network);
        using var training = new ProximalTraining(network, X, labels, [new(rows, support)], ["head"], new() { Epochs = 3, BatchSize = 16, Momentum = 0.9 });
        training.Fit();
        Assert.Equal(alive, rows.Norms().Select(n => n > 0));
        Assert.NotEqual(before, TrainingData.Parameters(network));
        Assert.Equal(0, support.Value(rows.Norms()));
        Assert.Equal(double.PositiveInfinity, support.Value([.. Enumerable.Repeat(1.0, 16)]));
    }
}
