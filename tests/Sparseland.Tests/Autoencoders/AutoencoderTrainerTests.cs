using Sparseland.Autoencoders;
using Sparseland.Evaluation;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

public class AutoencoderTrainerTests
{
    [Fact]
    public void The_scaling_of_large_activations_is_finite()
    {
        using Tensor x = full([4, 16], 1e20f);
        Assert.Equal(1e-20, ActivationScaling.FactorOf(x), 1e-26);
        using var autoencoder = new SparseAutoencoder(16, 24, new TopKRule(2));
        using var trainer = new AutoencoderTrainer(autoencoder, new ActivationBuffer(new TensorActivations(x), 2, new() { Capacity = 4, Repeat = true }), new() { Steps = 2 });
        trainer.Run();
        Assert.Equal(1e-20, autoencoder.Scaling.Factor, 1e-26);
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(19, 0)]
    [InlineData(49, 2)]
    [InlineData(1000, 50)]
    [InlineData(20_000, 1000)]
    public void The_warm_up_is_a_twentieth_of_the_steps_where_nothing_else_is_said(long steps, long warmUp)
    {
        AutoencoderTrainingOptions options = new() { Steps = steps };
        options.Validate();
        Assert.Equal(warmUp, options.WarmUp);
        Assert.Equal(warmUp, (new AutoencoderTrainingOptions() with { Steps = steps }).WarmUp);
        Assert.Equal(7, (new AutoencoderTrainingOptions { WarmUp = 7 } with { Steps = steps }).WarmUp);
    }

    [Fact]
    public void A_planted_dictionary_is_found()
    {
        using var scope = NewDisposeScope();
        Tensor truth = Planted(out Tensor x, tokens: 20_000);
        using var buffer = new ActivationBuffer(new TensorActivations(x), 256, new() { Repeat = true });
        var autoencoder = new SparseAutoencoder(32, 64, new TopKRule(4), seed: 2);
        using var trainer = new AutoencoderTrainer(autoencoder, buffer, new() { Steps = 600, WarmUp = 30 });
        double before = ReconstructionError.FractionOfVarianceUnexplained(x, autoencoder.Reconstruct(x));
        trainer.Run();
        double after = ReconstructionError.FractionOfVarianceUnexplained(x, autoencoder.Reconstruct(x));
        Assert.InRange(after, 0, Math.Min(0.2, 0.3 * before));
        Assert.InRange((autoencoder.Decoder.norm(1) - 1).abs().max().item<float>(), 0, 1e-5);
        double found = truth.mm(autoencoder.Decoder.t()).amax([1]).gt(0.9).to(ScalarType.Float64).mean().item<double>();
        Assert.InRange(found, 0.8, 1);
        Assert.Equal(600L * 256, trainer.Statistics.Tokens);
    }

    [Fact]
    public void A_step_leaves_no_tensor_behind()
    {
        using var scope = NewDisposeScope();
        Planted(out Tensor x, tokens: 4_000);
        foreach (CodeRule rule in new CodeRule[] { new TopKRule(4), new MutualChoiceRule(4), new FeatureChoiceRule(64, 4, new(1, 5), switchAt: 0.1), new MatryoshkaRule(4, [16, 64]), new GradientTopKRule(4) })
        {
            Tensor? gradients = rule is GradientTopKRule ? x : null;
            using var buffer = new ActivationBuffer(new TensorActivations(x, gradients), 64, new() { Repeat = true });
            using var trainer = new AutoencoderTrainer(new SparseAutoencoder(32, 64, rule), buffer, new() { Steps = 60, WarmUp = 3, Accumulate = 2, Losses = [new ZipfLoss(new(1, 5), deadAfter: 100)] });
            for (int i = 0; i < 20; i++) trainer.Step();
            long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
            for (int i = 0; i < 10; i++) trainer.Step();
            Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        }
    }

    [Fact]
    public void A_resumed_training_is_the_same_bit_for_bit()
    {
        using var scope = NewDisposeScope();
        Planted(out Tensor x, tokens: 4_000);
        string path = Path.Combine(Path.GetTempPath(), $"sparseland-{Guid.NewGuid():N}.safetensors");
        try
        {
            AutoencoderTrainingOptions options = new() { Steps = 30, WarmUp = 3, Losses = [new DeadLatentLoss(1_000)] };
            (SparseAutoencoder straight, AutoencoderTrainer first) = New(x, options);
            using (first) first.Run();
            (SparseAutoencoder stopped, AutoencoderTrainer second) = New(x, options);
            using (second)
            {
                for (int i = 0; i < 13; i++) second.Step();
                second.Save(path);
            }

            (SparseAutoencoder resumed, AutoencoderTrainer third) = New(x, options);
            using (third)
            {
                third.Load(path);
                third.Run();
                Assert.Equal(first.History.Select(s => s.Loss), third.History.Select(s => s.Loss));
            }

            foreach (((string name, var a), (_, var b)) in straight.named_parameters().Zip(resumed.named_parameters())) Assert.True(a.eq(b).all().item<bool>(), name);
            Assert.Equal(((BatchTopKRule)straight.Rule).Threshold, ((BatchTopKRule)resumed.Rule).Threshold);
            Assert.NotEqual(((BatchTopKRule)straight.Rule).Threshold, ((BatchTopKRule)stopped.Rule).Threshold);
        }
        finally
        {
            File.Delete(path);
        }

        static (SparseAutoencoder Autoencoder, AutoencoderTrainer Trainer) New(Tensor x, AutoencoderTrainingOptions options)
        {
            var autoencoder = new SparseAutoencoder(32, 48, new BatchTopKRule(3), seed: 4);
            return (autoencoder, new(autoencoder, new ActivationBuffer(new TensorActivations(x), 50, new() { Capacity = 2_500, Repeat = true }), options));
        }
    }

    [Fact]
    public void A_buffer_serves_each_token_once_mixed_and_again_the_same()
    {
        using var scope = NewDisposeScope();
        Tensor x = arange(10_000, dtype: ScalarType.Float32).view(5_000, 2), g = x.neg();
        using var buffer = new ActivationBuffer(new TensorActivations(x, g), 20, new() { Capacity = 1_000, Seed = 5, Repeat = true });
        Assert.Equal(250, buffer.PerEpoch);
        float[] seen = [.. Enumerable.Range(0, 250).SelectMany(i =>
        {
            (Tensor input, Tensor target) = buffer.At(i);
            Assert.True(input.neg().eq(target).all().item<bool>());
            return input[.., 0].contiguous().data<float>().ToArray();
        })];
        Assert.Equal(Enumerable.Range(0, 5_000).Select(i => 2f * i), seen.Order());
        Assert.InRange(seen.Take(1_000).Average(), 4_000, 6_000);
        using var other = new ActivationBuffer(new TensorActivations(x, g), 20, new() { Capacity = 1_000, Seed = 5, Repeat = true });
        foreach (long i in (long[])[777, 3, 240, 0]) Assert.True(buffer.At(i).Input.eq(other.At(i).Input).all().item<bool>());
        Assert.False(buffer.At(0).Input.eq(buffer.At(250).Input).all().item<bool>());
        using var once = new ActivationBuffer(new TensorActivations(x), 20, new() { Capacity = 1_000 });
        Assert.Contains("has 250 of 20 tokens", Assert.Throws<InvalidOperationException>(() => once.At(250)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Activations_of_a_model_are_those_that_a_recorder_keeps()
    {
        using var scope = NewDisposeScope();
        using var model = new TinyLM(new LlamaConfig { Vocabulary = 50, Width = 16, Layers = 3, Heads = 2, KeyValueHeads = 1, MlpWidth = 24, Context = 12 });
        var text = new TokenText([.. Enumerable.Range(0, 100).Select(i => i * 7 % 50)]);
        var source = new ModelActivations(model, new(1, Activation.ResidualAfter), text, skipFirst: 2, batch: 3);
        Assert.Equal((8, 10, 16), (source.Windows, source.TokensPerWindow, source.Width));
        Tensor rows = source.Read([5, 0, 7, 2], default).Activations;
        using var recorder = new ActivationRecorder(new ActivationSite(1, Activation.ResidualAfter));
        using (no_grad()) model.Logits(text.Windows([60, 0, 84, 24], 12).Ids, recorder);
        Assert.InRange((recorder[1, Activation.ResidualAfter].narrow(1, 2, 10).reshape(-1, 16) - rows).abs().max().item<float>(), 0, 1e-5);
    }

    /// <summary>Tokens of two to four of 48 random directions.</summary>
    private static Tensor Planted(out Tensor x, int tokens)
    {
        using Generator generator = new(9);
        Tensor truth = randn([48, 32], generator: generator);
        truth = truth / truth.norm(1, keepdim: true);
        Tensor strengths = rand([tokens, 48], generator: generator) + 0.5, on = rand([tokens, 48], generator: generator).lt(3.0 / 48);
        x = (strengths * on).mm(truth) + (randn([tokens, 32], generator: generator) * 0.01);
        return truth;
    }
}
