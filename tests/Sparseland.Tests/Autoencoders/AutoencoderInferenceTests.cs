using Sparseland.Autoencoders;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

/// <summary>What is done with an autoencoder after training: freezing, calibrating, folding, conversion.</summary>
public class AutoencoderInferenceTests
{
    private static readonly string[] Folding = ["relu", "threshold", "jumprelu", "gated"];

    public static TheoryData<string> Foldable() => [.. Folding];

    private static CodeRule Rule(string name) => name switch
    {
        "relu" => new ReluRule(),
        "threshold" => new ThresholdRule([.. Enumerable.Range(0, 24).Select(i => 0.02 * i)]),
        "jumprelu" => new JumpReluRule([.. Enumerable.Range(0, 24).Select(i => 0.1 + (0.02 * i))], type: ScalarType.Float64),
        "gated" => RuleGradientTests.Gate(),
        _ => throw new ArgumentException(name),
    };

    [Theory]
    [MemberData(nameof(Foldable))]
    public void Folding_the_decoders_norms_keeps_reconstructions_and_scales_codes(string name)
    {
        using var scope = NewDisposeScope();
        (SparseAutoencoder autoencoder, Tensor X) = RuleGradientTests.Drawn(Rule(name), centred: true);
        autoencoder.Scaling.Set(1.7);
        using (no_grad()) autoencoder.Decoder[5].zero_();
        Tensor norms = autoencoder.Decoder.detach().norm(1), before = autoencoder.Reconstruct(X);
        norms[5] = 1;
        SparseCode code = autoencoder.Encode(X);
        autoencoder.FoldDecoderNorms();
        SparseCode folded = autoencoder.Encode(X);
        Assert.Equal(code.Support, folded.Support);
        RuleGradientTests.Close(code.ToDense() * norms, folded.ToDense());
        RuleGradientTests.Close(before, autoencoder.Reconstruct(X));
        Tensor unit = autoencoder.Decoder.detach().norm(1);
        Assert.Equal(0, unit[5].item<double>());
        Assert.Equal(23, unit.sub(1).abs().lt(1e-12).sum().item<long>());
    }

    [Fact]
    public void Norms_are_not_folded_where_latents_are_compared()
    {
        using var scope = NewDisposeScope();
        (SparseAutoencoder autoencoder, _) = RuleGradientTests.Drawn(new TopKRule(3), true);
        Tensor before = autoencoder.Decoder.detach().clone(), encoder = autoencoder.Encoder.detach().clone();
        Assert.Contains("which are active", Assert.Throws<InvalidOperationException>(autoencoder.FoldDecoderNorms).Message, StringComparison.Ordinal);
        Assert.True(before.eq(autoencoder.Decoder).all().item<bool>() && encoder.eq(autoencoder.Encoder).all().item<bool>());
        (SparseAutoencoder batch, _) = RuleGradientTests.Drawn(new BatchTopKRule(3), true);
        Assert.Contains("Freeze", Assert.Throws<InvalidOperationException>(batch.FoldDecoderNorms).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("relu", true)]
    [InlineData("relu", false)]
    [InlineData("threshold", true)]
    [InlineData("jumprelu", true)]
    [InlineData("gated", false)]
    [InlineData("gated", true)]
    public void Folding_the_scale_keeps_codes_and_reconstructions(string name, bool centred)
    {
        using var scope = NewDisposeScope();
        (SparseAutoencoder autoencoder, Tensor X) = RuleGradientTests.Drawn(Rule(name), centred);
        autoencoder.Scaling.Set(1.7);
        SparseCode code = autoencoder.Encode(X);
        Tensor before = autoencoder.Reconstruct(X);

        // What scaling means: the same autoencoder without it sees 1.7 x and gives 1.7 xhat.
        autoencoder.Scaling.Set(1);
        RuleGradientTests.Close(before * 1.7, autoencoder.Reconstruct(X * 1.7));
        autoencoder.Scaling.Set(1.7);
        autoencoder.FoldScaling();
        Assert.Equal(1, autoencoder.Scaling.Factor);
        SparseCode folded = autoencoder.Encode(X);
        Assert.Equal(code.Support, folded.Support);
        RuleGradientTests.Close(code.Values, folded.Values);
        RuleGradientTests.Close(before, autoencoder.Reconstruct(X));
    }

    [Fact]
    public void A_rule_sees_gradients_on_the_scale_of_the_activations()
    {
        using var scope = NewDisposeScope();
        var probe = new Probe();
        (SparseAutoencoder autoencoder, Tensor X) = RuleGradientTests.Drawn(probe, true);
        Tensor g = randn([37, 10], ScalarType.Float64, generator: new Generator(3));
        foreach (double s in (double[])[1, 4])
        {
            // What an activation scaled by s gains when it moves is 1/s of what the activation itself gains.
            autoencoder.Scaling.Set(s);
            autoencoder.Encode(X, g);
            using (new AutoencoderPass(autoencoder, X, g, training: true))
            {
            }

            Assert.Equal([false, true], probe.Seen.Select(seen => seen.Training));
            foreach ((_, Tensor seen) in probe.Seen) RuleGradientTests.Close(g / s, seen);
            probe.Seen.Clear();
        }
    }

    private sealed class Probe() : CodeRule("probe")
    {
        public List<(bool Training, Tensor Gradients)> Seen { get; } = [];

        public override SparseCode Select(Tensor pre, CodeContext context)
        {
            Seen.Add((context.Training, context.Gradients!.clone().DetachFromDisposeScope()));
            return Above(pre, null);
        }
    }

    [Fact]
    public void The_factor_makes_the_mean_norm_the_root_of_the_width()
    {
        using var scope = NewDisposeScope();
        Tensor x = randn([50, 16], ScalarType.Float64, generator: new Generator(3)) * 7;
        Assert.Equal(4, (x * ActivationScaling.FactorOf(x)).norm(1).mean().item<double>(), 1e-12);
        Assert.Throws<ArgumentException>(() => ActivationScaling.FactorOf(zeros(3, 4)));
    }

    [Fact]
    public void A_gated_autoencoder_is_a_JumpRelu()
    {
        using var scope = NewDisposeScope();
        (SparseAutoencoder gated, Tensor X) = RuleGradientTests.Drawn(RuleGradientTests.Gate(), true);
        SparseAutoencoder jump = gated.ToJumpRelu();
        SparseCode a = gated.Encode(X), b = jump.Encode(X);
        Assert.Equal(a.Support, b.Support);
        RuleGradientTests.Close(a.Values, b.Values);
        RuleGradientTests.Close(gated.Reconstruct(X), jump.Reconstruct(X));
        Assert.Contains("relu", Assert.Throws<InvalidOperationException>(() => RuleGradientTests.Drawn(new ReluRule(), true).Autoencoder.ToJumpRelu()).Message, StringComparison.Ordinal);
    }

    /// <summary>Small multiples of 1/8: no sum or product is rounded, and no pre-activation equals a threshold.</summary>
    [Fact]
    public void A_gated_autoencoder_is_a_JumpRelu_bit_for_bit_where_nothing_is_rounded()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(2);
        Tensor Eighths(params long[] shape) => randint(-16, 17, shape, ScalarType.Float32, generator: generator) / 8;
        var rule = new GatedRule(24);
        var gated = new SparseAutoencoder(10, 24, rule);
        using (no_grad())
        {
            gated.Encoder.copy_(Eighths(24, 10));
            gated.EncoderBias.copy_(Eighths(24) + (1.0 / 128));
            gated.DecoderBias.copy_(Eighths(10));
            rule.MagnitudeBias.copy_(Eighths(24) + (1.0 / 256));
        }

        Tensor x = Eighths(200, 10);
        SparseAutoencoder jump = gated.ToJumpRelu();
        SparseCode a = gated.Encode(x), b = jump.Encode(x);
        Assert.InRange(a.L0, 5, 15);
        Assert.Equal(a.Support, b.Support);
        Assert.True(a.Values.eq(b.Values).all().item<bool>());
    }

    [Fact]
    public void Freezing_gives_the_codes_of_the_threshold_and_a_token_its_own()
    {
        using var scope = NewDisposeScope();
        (SparseAutoencoder autoencoder, Tensor X) = RuleGradientTests.Drawn(new BatchTopKRule(3), true);
        Assert.Contains("no threshold", Assert.Throws<InvalidOperationException>(autoencoder.Freeze).Message, StringComparison.Ordinal);
        using (var pass = new AutoencoderPass(autoencoder, X, null, training: true)) autoencoder.Rule.Learn([pass.Code], default);
        autoencoder.Scaling.Set(0.9);
        SparseAutoencoder frozen = autoencoder.Freeze();
        Assert.Equal(Enumerable.Repeat(((BatchTopKRule)autoencoder.Rule).Threshold!.Value, 24), Assert.IsType<ThresholdRule>(frozen.Rule).Thresholds);
        SparseCode a = autoencoder.Encode(X), b = frozen.Encode(X);
        Assert.Equal(a.Support, b.Support);
        Assert.True(a.Values.eq(b.Values).all().item<bool>());
        Assert.True(autoencoder.Reconstruct(X).eq(frozen.Reconstruct(X)).all().item<bool>());
        SparseCode one = frozen.Encode(X.narrow(0, 7, 1));
        Assert.Equal(b.Support.Row(7).ToArray(), one.Support.Row(0).ToArray());

        // A copy: what is done to it leaves the other.
        frozen.FoldDecoderNorms();
        Assert.True(a.Values.eq(autoencoder.Encode(X).Values).all().item<bool>());
        Assert.Same(frozen, frozen.Freeze());
    }

    [Theory]
    [InlineData("threshold", 3.0)]
    [InlineData("threshold", 0.5)]
    [InlineData("jumprelu", 6.0)]
    [InlineData("batch-topk", 2.25)]
    public void Thresholds_are_calibrated_to_an_l0(string name, double l0)
    {
        foreach (ScalarType type in (ScalarType[])[ScalarType.Float32, ScalarType.Float64])
        {
            using var scope = NewDisposeScope();
            CodeRule rule = name switch { "batch-topk" => new BatchTopKRule(4), "threshold" => new ThresholdRule([.. Enumerable.Range(1, 24).Select(i => 0.02 * i)]), _ => Rule(name) };
            var autoencoder = new SparseAutoencoder(10, 24, rule, type: type);
            autoencoder.Scaling.Set(3);
            Tensor x = randn([5_000, 10], type, generator: new Generator(7));
            double[] before = rule is ThresholdRule t ? t.Thresholds : [];
            double factor = autoencoder.CalibrateThreshold(x, l0);
            Assert.InRange(autoencoder.Encode(x).L0, l0 * 0.995, l0 * 1.005);
            if (rule is ThresholdRule after) Assert.Equal(before.Select(v => v * factor), after.Thresholds);
            Assert.InRange(autoencoder.CalibrateThreshold(x, l0), 0.99, 1.01);
        }
    }

    [Fact]
    public void What_cannot_be_calibrated_is_refused()
    {
        using var scope = NewDisposeScope();
        (SparseAutoencoder autoencoder, Tensor X) = RuleGradientTests.Drawn(new ThresholdRule(24, 0.3), true);
        Assert.Throws<ArgumentOutOfRangeException>(() => autoencoder.CalibrateThreshold(X, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => autoencoder.CalibrateThreshold(X, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => autoencoder.CalibrateThreshold(X, 25));
        Assert.Contains("positive", Assert.Throws<ArgumentException>(() => autoencoder.CalibrateThreshold(X, 23)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => autoencoder.CalibrateThreshold(X.narrow(0, 0, 0), 3));
        Assert.Throws<OperationCanceledException>(() => autoencoder.CalibrateThreshold(X, 3, new(true)));
        Assert.Equal(Enumerable.Repeat(0.3, 24), ((ThresholdRule)autoencoder.Rule).Thresholds);
        Assert.Contains("factor", Assert.Throws<ArgumentException>(() => RuleGradientTests.Drawn(new ThresholdRule(24, 0), true).Autoencoder.CalibrateThreshold(X, 3)).Message, StringComparison.Ordinal);
        Assert.Contains("topk", Assert.Throws<InvalidOperationException>(() => RuleGradientTests.Drawn(new TopKRule(3), true).Autoencoder.CalibrateThreshold(X, 3)).Message, StringComparison.Ordinal);
        Assert.Contains("ToJumpRelu", Assert.Throws<InvalidOperationException>(() => RuleGradientTests.Drawn(RuleGradientTests.Gate(), true).Autoencoder.CalibrateThreshold(X, 3)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_rule_reads_the_same_weights()
    {
        using Tensor x = randn([20, 6], generator: new Generator(3));
        using var autoencoder = new SparseAutoencoder(6, 12, new TopKRule(5));
        using SparseAutoencoder fewer = autoencoder.With(new TopKRule(2));
        using SparseCode code = fewer.Encode(x), whole = autoencoder.Encode(x);
        using Tensor z = autoencoder.PreActivations(x);
        Assert.Equal(Select.TopK(z, Budget.PerRow(2)).Where(Select.TopK(z, Budget.PerRow(2)).Gather(z).gt(0)), code.Support);
        Assert.True(whole.Support.Count > code.Support.Count);

        // Its weights are its own.
        using (no_grad()) autoencoder.Decoder.zero_();
        Assert.True(fewer.Decoder.abs().sum().item<float>() > 1);
        Assert.Throws<ArgumentException>(() => autoencoder.With(new TopKRule(13)));
        using var gated = new SparseAutoencoder(6, 12, new GatedRule(12));
        Assert.Contains("ToJumpRelu", Assert.Throws<InvalidOperationException>(() => gated.With(new TopKRule(2))).Message, StringComparison.Ordinal);
    }
}
