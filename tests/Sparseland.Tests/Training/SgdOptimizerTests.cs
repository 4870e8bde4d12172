using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class SgdOptimizerTests
{
    [Theory]
    [InlineData(0, false, new[] { 0.2819445385938885, -0.9327281146102214, 1.7820154842961216, 0.31165656492415306 }, new[] { 0.033848327548388166, -0.2381449032699731, 0.2500211504250454 })]
    [InlineData(0.9, false, new[] { -0.07389069828932124, -0.8227856350537966, 1.4259985964920765, 0.41230343404035935 }, new[] { -0.05692610412419517, -0.28443216141279204, 0.18388321054528958 })]
    [InlineData(0.9, true, new[] { -0.18429541468815278, -0.7864891760697004, 1.3101515296187582, 0.4445043520317026 }, new[] { -0.08436165873659512, -0.3181597798222531, 0.15171567169331052 })]
    public void Five_steps_are_those_of_PyTorch(double momentum, bool nesterov, double[] p, double[] q)
    {
        // Recorded from torch 1.13.0a0 (Debian's python3-torch): torch.optim.SGD in float64, weight_decay 0.05, learning rates as below, and
        // the loss of Surface.
        using var scope = NewDisposeScope();
        using var surface = new Surface();
        using var sgd = new SgdOptimizer(surface, momentum, 0.05, nesterov);
        double[] rates = [0.01, 0.02, 0.03, 0.02, 0.01];
        for (int t = 0; t < rates.Length; t++) surface.Step(sgd, t, rates[t]);
        Surface.Close(p, surface.P);
        Surface.Close(q, surface.Q);
        Assert.Equal(5, sgd.Count);
    }

    [Fact]
    public void Another_goes_on_with_its_momenta()
    {
        using var scope = NewDisposeScope();
        using Surface whole = new(), half = new(), rest = new();
        using SgdOptimizer straight = new(whole, 0.9), first = new(half, 0.9), second = new(rest, 0.9);
        for (int t = 0; t < 6; t++) Advance(t, whole, straight);
        for (int t = 0; t < 3; t++) Advance(t, half, first);
        rest.load_state_dict(half.state_dict());
        second.Load(first.State, first.Count);
        for (int t = 3; t < 6; t++) Advance(t, rest, second);
        Assert.Equal(TrainingData.Parameters(whole), TrainingData.Parameters(rest));
        Assert.Equal(6, second.Count);

        static void Advance(int t, Surface where, SgdOptimizer sgd) => where.Step(sgd, t, 0.02);
    }

    [Fact]
    public void A_parameter_without_a_gradient_stays_and_a_frozen_one_is_left_out()
    {
        using var scope = NewDisposeScope();
        using var surface = new Surface();
        surface.Q.requires_grad = false;
        using var sgd = new SgdOptimizer(surface, 0.5, 0.1);
        Assert.Equal(["p"], sgd.Parameters.Select(p => p.Name));
        double[] before = TrainingData.Parameters(surface);
        sgd.Step(0.1);
        Assert.Equal(before, TrainingData.Parameters(surface));
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        using var surface = new Surface();
        Assert.Throws<ArgumentOutOfRangeException>("momentum", () => new SgdOptimizer(surface, 1));
        Assert.Throws<ArgumentOutOfRangeException>("momentum", () => new SgdOptimizer(surface, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>("weightDecay", () => new SgdOptimizer(surface, 0, -1));
        Assert.Throws<ArgumentException>("nesterov", () => new SgdOptimizer(surface, nesterov: true));
        using var nothing = nn.ReLU();
        Assert.Throws<ArgumentException>("model", () => new SgdOptimizer(nothing));
        using var sgd = new SgdOptimizer(surface);
        Assert.Contains("no p of shape [2, 2]", Assert.Throws<ArgumentException>("state", () => sgd.Load(new Dictionary<string, Tensor>(), 1)).Message, StringComparison.Ordinal);
    }
}
