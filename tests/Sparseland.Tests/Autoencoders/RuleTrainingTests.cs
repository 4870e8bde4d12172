using Sparseland.Autoencoders;
using Sparseland.Evaluation;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

public class RuleTrainingTests
{
    public static TheoryData<string> Rules() => ["relu", "threshold", "jumprelu", "gated"];

    private static (CodeRule Rule, AuxiliaryLoss[] Losses) Of(string name, int latents) => name switch
    {
        "relu" => (new ReluRule(), [new L1Penalty(0.5)]),
        "threshold" => (new ThresholdRule(latents, 1), [new DeadLatentLoss(1_000)]),
        "jumprelu" => (new JumpReluRule(latents, 0.5, 0.5), [new L0Penalty(2, target: 3), new DeadLatentLoss(1_000)]),
        "gated" => (new GatedRule(latents), [new GatedPenalty(0.5)]),
        _ => throw new ArgumentException(name),
    };

    [Theory]
    [MemberData(nameof(Rules))]
    public void A_resumed_training_is_the_same_bit_for_bit(string name)
    {
        using var scope = NewDisposeScope();
        Tensor x = Planted(4_000);
        string path = Path.Combine(Path.GetTempPath(), $"sparseland-{Guid.NewGuid():N}.safetensors");
        try
        {
            (SparseAutoencoder straight, AutoencoderTrainer first) = New();
            using (first) first.Run();
            (SparseAutoencoder stopped, AutoencoderTrainer second) = New();
            using (second)
            {
                for (int i = 0; i < 11; i++) second.Step();
                second.Save(path);
            }

            (SparseAutoencoder resumed, AutoencoderTrainer third) = New();
            resumed.Scaling.Set(5);
            using (third)
            {
                third.Load(path);
                third.Run();
                Assert.Equal(first.History.Select(s => s.Loss), third.History.Select(s => s.Loss));
            }

            foreach (((string key, var a), (_, var b)) in straight.named_parameters().Zip(resumed.named_parameters())) Assert.True(a.eq(b).all().item<bool>(), key);
            foreach (((string key, var a), (_, var b)) in straight.named_buffers().Zip(resumed.named_buffers())) Assert.True(a.eq(b).all().item<bool>(), key);
            Assert.False(straight.Encoder.eq(stopped.Encoder).all().item<bool>());
        }
        finally
        {
            File.Delete(path);
        }

        (SparseAutoencoder Autoencoder, AutoencoderTrainer Trainer) New()
        {
            (CodeRule rule, AuxiliaryLoss[] losses) = Of(name, 48);
            var autoencoder = new SparseAutoencoder(32, 48, rule, seed: 4);
            return (autoencoder, new(autoencoder, new ActivationBuffer(new TensorActivations(x), 50, new() { Capacity = 2_500, Repeat = true }), new() { Steps = 25, WarmUp = 3, Losses = losses }));
        }
    }

    [Fact]
    public void A_checkpoint_is_not_taken_up_under_another_penalty()
    {
        using var scope = NewDisposeScope();
        Tensor x = Planted(2_000);
        string path = Path.Combine(Path.GetTempPath(), $"sparseland-{Guid.NewGuid():N}.safetensors");
        try
        {
            using (AutoencoderTrainer first = New(new ReluRule(), x, new L1Penalty(0.5)))
            {
                first.Step();
                first.Save(path);
            }

            using AutoencoderTrainer other = New(new ReluRule(), x, new L1Penalty(0.6));
            Assert.Contains("l1 0.5", Assert.Throws<InvalidDataException>(() => other.Load(path)).Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void JumpRelu_reaches_its_target_and_its_thresholds_move()
    {
        using var scope = NewDisposeScope();
        Tensor x = Planted(20_000);
        var rule = new JumpReluRule(64, 0.5, 0.5);
        (SparseAutoencoder autoencoder, double fvu) = Trained(rule, x, new() { Steps = 600, WarmUp = 30, Losses = [new L0Penalty(30, target: 4)] });
        Assert.InRange(autoencoder.Encode(x).L0, 3.7, 4.4);
        Assert.InRange(fvu, 0, 0.2);
        Assert.InRange(rule.BandShare!.Value, 1e-3, 0.2);
        Assert.True(rule.Thresholds.Min() > 0.6 && rule.Thresholds.Max() > 1.15 * rule.Thresholds.Min());
    }

    [Fact]
    public void More_l1_is_fewer_latents_for_relu_and_gated()
    {
        using var scope = NewDisposeScope();
        Tensor x = Planted(20_000);
        foreach (bool gated in (bool[])[false, true])
        {
            double[] l0 = [.. new[] { 0.3, 3 }.Select(weight => Trained(
                gated ? new GatedRule(64) : new ReluRule(), x,
                new() { Steps = 300, WarmUp = 15, Losses = [gated ? new GatedPenalty(weight) : new L1Penalty(weight)] }).Autoencoder.Encode(x).L0)];
            Assert.InRange(l0[1], 0.5, 0.6 * l0[0]);
        }
    }

    [Fact]
    public void Activations_are_scaled_to_the_root_of_the_width_and_their_unit_does_not_matter()
    {
        using var scope = NewDisposeScope();
        Tensor x = Planted(4_000);
        (SparseAutoencoder small, double a) = Trained(new ReluRule(), x, new() { Steps = 40, WarmUp = 2, Losses = [new L1Penalty(1)] });
        (SparseAutoencoder large, double b) = Trained(new ReluRule(), x * 64, new() { Steps = 40, WarmUp = 2, Losses = [new L1Penalty(1)] });
        Assert.Equal(a, b, 1e-6);
        Assert.Equal(small.Scaling.Factor, 64 * large.Scaling.Factor, 1e-6 * small.Scaling.Factor);
        Assert.Equal(ActivationScaling.FactorOf(x), small.Scaling.Factor, 1e-2 * small.Scaling.Factor);
        (SparseAutoencoder plain, _) = Trained(new ReluRule(), x, new() { Steps = 5, WarmUp = 0, ScaleActivations = false, Losses = [new L1Penalty(1)] });
        Assert.Equal(1, plain.Scaling.Factor);
    }

    [Fact]
    public void A_free_decoder_begins_with_the_norm_that_was_asked_for()
    {
        using var scope = NewDisposeScope();
        Tensor x = Planted(2_000);
        var autoencoder = new SparseAutoencoder(32, 48, new ReluRule(), decoderNorm: 0.1);
        Assert.InRange((autoencoder.Decoder.norm(1) - 0.1).abs().max().item<float>(), 0, 1e-6);
        using var buffer = new ActivationBuffer(new TensorActivations(x), 50, new() { Capacity = 2_500, Repeat = true });
        AutoencoderTrainingOptions options = new() { Steps = 20, WarmUp = 0, Losses = [new L1Penalty(1)] };
        Assert.Contains("UnitDecoder", Assert.Throws<ArgumentException>(() => new AutoencoderTrainer(autoencoder, buffer, options)).Message, StringComparison.Ordinal);
        using var trainer = new AutoencoderTrainer(autoencoder, buffer, options with { UnitDecoder = false });
        trainer.Run();
        Assert.True((autoencoder.Decoder.norm(1) - 0.1).abs().max().item<float>() > 0.01);
    }

    [Fact]
    public void Trainings_without_what_they_need_are_refused()
    {
        using var scope = NewDisposeScope();
        Tensor x = Planted(2_000);
        Refused("L1Penalty", new ReluRule(), new DeadLatentLoss());
        Refused("L0Penalty", new JumpReluRule(48), new DeadLatentLoss());
        Refused("GatedPenalty", new GatedRule(48), new DeadLatentLoss());
        Refused("GatedPenalty", new GatedRule(48), new L1Penalty(1), new GatedPenalty(1));
        Refused("L0Penalty", new TopKRule(3), new L0Penalty(1));
        Refused("GatedRule", new TopKRule(3), new GatedPenalty(1));
        Refused("target", new JumpReluRule(48), new L0Penalty(1, target: 49));
        var zero = new SparseAutoencoder(32, 48, new TopKRule(3));
        using var buffer = new ActivationBuffer(new TensorActivations(zeros(100, 32)), 50, new() { Capacity = 2_500, Repeat = true });
        Assert.Contains("UnitDecoder", Assert.Throws<ArgumentException>(() => new AutoencoderTrainer(zero, buffer, new() { UnitDecoder = false })).Message, StringComparison.Ordinal);
        Assert.Contains("mean norm", Assert.Throws<ArgumentException>(() => new AutoencoderTrainer(zero, buffer)).Message, StringComparison.Ordinal);

        void Refused(string what, CodeRule rule, params AuxiliaryLoss[] losses) =>
            Assert.Contains(what, Assert.Throws<ArgumentException>(() => New(rule, x, losses)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Numbers_out_of_range_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new L1Penalty(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new L1Penalty(double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => new L1Penalty(1, 1.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => new L0Penalty(1, target: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new L0Penalty(double.PositiveInfinity));
        Assert.Throws<ArgumentOutOfRangeException>(() => new GatedPenalty(-1));
        Assert.Throws<ArgumentException>(() => new JumpReluRule(4, 0));
        Assert.Throws<ArgumentException>(() => new JumpReluRule(0));
        Assert.Contains("Threshold 1", Assert.Throws<ArgumentException>(() => new JumpReluRule([0.1, -0.1])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => new JumpReluRule(4, 0.1, 0));
        Assert.Throws<ArgumentException>(() => new ThresholdRule(4, -0.1));
        Assert.Throws<ArgumentException>(() => new ThresholdRule(4, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => new GatedRule(0));
        foreach (CodeRule rule in (CodeRule[])[new JumpReluRule(5), new GatedRule(5), new ThresholdRule(5, 1)])
            Assert.Contains("5", Assert.Throws<ArgumentException>(() => new SparseAutoencoder(3, 4, rule)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => new SparseAutoencoder(3, 4, new ReluRule(), decoderNorm: 0));
        foreach (CodeRule rule in (CodeRule[])[new ReluRule(), new JumpReluRule(2), new GatedRule(2), new ThresholdRule(2, 1)])
        {
            using Tensor pre = tensor(new[,] { { 1f, 2 }, { 3, float.NaN } }), bias = zeros(2);
            Assert.Contains("token 1", Assert.Throws<ArgumentException>(() => rule.Select(pre, new(false, null, pre, bias))).Message, StringComparison.Ordinal);
        }
    }

    private static (SparseAutoencoder Autoencoder, double Fvu) Trained(CodeRule rule, Tensor x, AutoencoderTrainingOptions options)
    {
        using var buffer = new ActivationBuffer(new TensorActivations(x), 64, new() { Repeat = true });
        var autoencoder = new SparseAutoencoder(32, 64, rule, seed: 2);
        using var trainer = new AutoencoderTrainer(autoencoder, buffer, options);
        trainer.Run();
        return (autoencoder, ReconstructionError.FractionOfVarianceUnexplained(x, autoencoder.Reconstruct(x)));
    }

    private static AutoencoderTrainer New(CodeRule rule, Tensor x, params AuxiliaryLoss[] losses) =>
        new(new SparseAutoencoder(32, 48, rule), new ActivationBuffer(new TensorActivations(x), 50, new() { Capacity = 2_500, Repeat = true }), new() { Steps = 20, WarmUp = 0, Losses = losses });

    /// <summary>Tokens of about three of 48 random directions.</summary>
    private static Tensor Planted(int tokens)
    {
        using Generator generator = new(9);
        Tensor truth = randn([48, 32], generator: generator);
        truth = truth / truth.norm(1, keepdim: true);
        Tensor strengths = rand([tokens, 48], generator: generator) + 0.5, on = rand([tokens, 48], generator: generator).lt(3.0 / 48);
        return (strengths * on).mm(truth) + (randn([tokens, 32], generator: generator) * 0.01);
    }
}
