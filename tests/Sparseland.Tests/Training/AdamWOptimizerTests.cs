using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class AdamWOptimizerTests
{
    [Fact]
    public void Five_steps_are_those_of_PyTorch()
    {
        // Recorded from torch 1.13.0a0 (Debian's python3-torch): torch.optim.AdamW in float64, betas (0.9, 0.95), eps 1e-8, weight_decay 0.1 for p
        // and 0 for q, learning rates as below, and the loss of Surface.
        using var scope = NewDisposeScope();
        using var surface = new Surface();
        using var adam = new AdamWOptimizer(surface, 0.1, 0.9, 0.95);
        double[] rates = [0.01, 0.02, 0.03, 0.02, 0.01];
        for (int t = 0; t < rates.Length; t++)
        {
            surface.zero_grad();
            surface.Loss(t).backward();
            adam.Step(rates[t]);
        }

        Surface.Close([0.40593486648161, -0.9016566067882248, 1.8924454390109566, 0.33713207951176016], surface.P);
        Surface.Close([0.009973445138959477, -0.28783089714278376, 0.2102206730269404], surface.Q);
        Surface.Close([1.0110035982691368, -0.2729000716530793, 0.9866118049029572, -0.2729000716530793], adam.State["first.p"]);
        Surface.Close([1.3892413187158328, 0.10276514715954628, 1.319692912466307, 0.10276514715954628], adam.State["second.p"]);
        Assert.Equal(5, adam.Count);
    }

    [Fact]
    public void The_first_step_has_the_size_of_the_rate_whatever_the_gradient()
    {
        using var scope = NewDisposeScope();
        using var surface = new Surface();
        using var adam = new AdamWOptimizer(surface, 0);
        double[] before = TrainingData.Numbers(surface.P.detach());
        surface.zero_grad();
        surface.Loss(3).backward();
        adam.Step(0.01);
        foreach ((double old, double now) in before.Zip(TrainingData.Numbers(surface.P.detach()))) Assert.Equal(0.01, Math.Abs(old - now), 1e-8);
    }

    [Fact]
    public void Matrices_decay_and_norms_biases_and_embeddings_do_not()
    {
        using var scope = NewDisposeScope();
        using Sequential network = nn.Sequential(("embed", nn.Embedding(5, 4)), ("norm", nn.LayerNorm(4)), ("head", nn.Linear(4, 3)));
        using var adam = new AdamWOptimizer(network, 0.1);
        Assert.Equal(["head.weight"], adam.Decaying);
        using var all = new AdamWOptimizer(network, 0.1, decayAll: true);
        Assert.Equal(network.named_parameters().Select(p => p.name), all.Decaying);
    }

    [Fact]
    public void A_parameter_without_a_gradient_stays_and_a_frozen_one_has_no_moments()
    {
        using var scope = NewDisposeScope();
        using Sequential network = nn.Sequential(("first", nn.Linear(4, 4)), ("second", nn.Linear(4, 3)));
        ((Linear)network[0]).weight!.requires_grad = false;
        using var adam = new AdamWOptimizer(network, 0.1);
        Assert.DoesNotContain("first.first.weight", adam.State.Keys);
        double[] before = TrainingData.Parameters(network);
        adam.Step(0.1);
        Assert.Equal(before, TrainingData.Parameters(network));
    }

    [Fact]
    public void Clipping_scales_all_gradients_to_the_limit_and_leaves_small_ones()
    {
        // torch.nn.utils.clip_grad_norm_ of (3, 0) and (0, 4) at 1 gives 5 and (0.6, 0), (0, 0.8).
        using var scope = NewDisposeScope();
        var a = new Parameter(zeros(2, dtype: ScalarType.Float64)) { grad = tensor(new[] { 3.0, 0 }) };
        var b = new Parameter(zeros(2, dtype: ScalarType.Float64)) { grad = tensor(new[] { 0.0, 4 }) };
        var none = new Parameter(zeros(2));
        Assert.Equal(5, GradientNorm.Clip([a, none, b], 7), 1e-12);
        Surface.Close([3, 0], a.grad!);
        Assert.Equal(5, GradientNorm.Clip([a, none, b], 1), 1e-12);
        Surface.Close([0.6, 0], a.grad!);
        Surface.Close([0, 0.8], b.grad!);
        Assert.Equal(1, GradientNorm.Of([a, b]), 1e-12);
        Assert.Equal(0, GradientNorm.Of([none]));
        Assert.Throws<ArgumentOutOfRangeException>("limit", () => GradientNorm.Clip([a], 0));
    }

    [Fact]
    public void A_gradient_that_is_not_finite_is_reported_and_not_scaled()
    {
        using var scope = NewDisposeScope();
        var a = new Parameter(zeros(2)) { grad = tensor(new[] { 1f, float.PositiveInfinity }) };
        Assert.Equal(double.PositiveInfinity, GradientNorm.Clip([a], 1));
        Assert.Equal([1, double.PositiveInfinity], TrainingData.Numbers(a.grad!));
    }

    [Fact]
    public void Settings_outside_their_range_and_networks_without_parameters_are_refused()
    {
        using var scope = NewDisposeScope();
        using Sequential network = TrainingData.Mlp();
        Assert.Throws<ArgumentOutOfRangeException>("Beta1", () => new AdamWOptimizer(network, beta1: 1));
        Assert.Throws<ArgumentOutOfRangeException>("Beta2", () => new AdamWOptimizer(network, beta2: double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>("Epsilon", () => new AdamWOptimizer(network, epsilon: 0));
        Assert.Throws<ArgumentOutOfRangeException>("WeightDecay", () => new AdamWOptimizer(network, -0.1));
        using nn.Module nothing = nn.ReLU();
        Assert.Throws<ArgumentException>("model", () => new AdamWOptimizer(nothing));
        using var adam = new AdamWOptimizer(network);
        Assert.Throws<ArgumentException>("state", () => adam.Load(new Dictionary<string, Tensor>(), 1));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(33)]
    [InlineData(100_003)]
    public void One_pass_over_float32_takes_the_steps_of_float64(int length)
    {
        using var scope = NewDisposeScope();
        using var narrow = new Surface32(length, ScalarType.Float32);
        using var wide = new Surface32(length, ScalarType.Float64);
        using var first = new AdamWOptimizer(narrow, 0.1, decayAll: true);
        using var second = new AdamWOptimizer(wide, 0.1, decayAll: true);
        for (int step = 0; step < 6; step++)
        {
            Tensor gradient = randn(length, generator: new Generator((ulong)step)) * Math.Pow(10, step - 3);
            narrow.P.grad = gradient;
            wide.P.grad = gradient.to(ScalarType.Float64);
            first.Step(0.01);
            second.Step(0.01);
        }

        Assert.InRange((narrow.P.to(ScalarType.Float64) - wide.P).abs().max().item<double>(), 0, 1e-5);
    }

    private sealed class Surface32 : nn.Module
    {
        public Surface32(int length, ScalarType type)
            : base(nameof(Surface32))
        {
            P = new TorchSharp.Modules.Parameter(linspace(-1, 1, length, ScalarType.Float64).to(type));
            register_parameter("p", P);
        }

        public TorchSharp.Modules.Parameter P { get; }
    }
}
