using Sparseland.Autoencoders;
using Sparseland.Selection;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

/// <summary>Gradients of the rules that choose across a batch, by gradients or in prefixes, against libtorch's own.</summary>
public class ChoicePassTests
{
    private const int Latents = 24, Width = 10, Tokens = 37;

    public static TheoryData<string> Rules() => ["mutual-choice", "feature-choice", "gradient-topk", "matryoshka"];

    private static CodeRule Rule(string name) => name switch
    {
        "mutual-choice" => new MutualChoiceRule(4.5),
        "feature-choice" => Choosing(new(Latents, 4.5, new(1, 5), switchAt: 0)),
        "gradient-topk" => new GradientTopKRule(5),
        "matryoshka" => new MatryoshkaRule(4.5, [3, 9, 10, Latents]),
        _ => throw new ArgumentException(name),
    };

    /// <summary>A rule whose latents choose, ranks by index.</summary>
    private static FeatureChoiceRule Choosing(FeatureChoiceRule rule)
    {
        using var statistics = new LatentStatistics(Latents, 10);
        using var code = new SparseCode(Support.FromMask(ones(Latents, Latents).triu().to(ScalarType.Bool)), ones(Latents * (Latents + 1) / 2));
        statistics.Update(code);
        rule.Learn([], new(1, 10, statistics));
        return rule;
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void Gradients_are_those_of_the_loss_on_a_fixed_support(string name)
    {
        foreach (bool centred in (bool[])[true, false])
        {
            using var scope = NewDisposeScope();
            (SparseAutoencoder autoencoder, Tensor X, Tensor g) = Drawn(Rule(name), centred);
            using var pass = new AutoencoderPass(autoencoder, X, g, training: true);
            double extra = DeadLatentLoss.Rebuild(pass, [3, 7, 20], 0.5);
            pass.Backward(0.7);

            Tensor We = Leaf(autoencoder.Encoder), be = Leaf(autoencoder.EncoderBias), Wd = Leaf(autoencoder.Decoder), bd = Leaf(autoencoder.DecoderBias);
            Tensor z = (centred ? X - bd : X).mm(We.t()) + be, f = z * pass.Code.Support.ToMask();
            int[] widths = autoencoder.Rule is MatryoshkaRule prefixes ? [.. prefixes.Widths] : [Latents];
            Tensor loss = zeros(1, dtype: ScalarType.Float64);
            foreach (int w in widths) loss += (X - f.narrow(1, 0, w).mm(Wd.narrow(0, 0, w)) - bd).square().sum() / (Tokens * widths.Length);
            Assert.Equal(loss.item<double>(), pass.Loss, 1e-12);

            Tensor columns = tensor(new long[] { 3, 7, 20 }), dead = z.index_select(1, columns).relu();
            Tensor e = (X - f.mm(Wd) - bd).detach(), gap = dead.mm(Wd.index_select(0, columns)) - e;
            Tensor added = gap.square().sum() * (0.5 * 3 / 5 * e.square().sum() / Tokens) / (e - e.mean([0L], keepdim: true)).square().sum();
            Assert.Equal(added.item<double>(), extra, 1e-12);
            ((loss + added) * 0.7).backward();
            foreach ((Tensor wanted, Parameter found) in new[] { (We, autoencoder.Encoder), (be, autoencoder.EncoderBias), (Wd, autoencoder.Decoder), (bd, autoencoder.DecoderBias) })
                Close(wanted.grad!, found.grad!);
        }

        static Tensor Leaf(Parameter parameter) => parameter.detach().clone().requires_grad_();
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void Scaling_an_encoder_row_against_its_decoder_row_changes_nothing(string name)
    {
        using var scope = NewDisposeScope();
        (SparseAutoencoder autoencoder, Tensor X, Tensor g) = Drawn(Rule(name), centred: true);
        using var pass = new AutoencoderPass(autoencoder, X, g, training: true);
        pass.Backward();
        Close(
            (autoencoder.Decoder * autoencoder.Decoder.grad!).sum([1L]),
            (autoencoder.Encoder * autoencoder.Encoder.grad!).sum([1L]) + (autoencoder.EncoderBias * autoencoder.EncoderBias.grad!));
    }

    [Fact]
    public void Mutual_choice_is_the_choice_of_BatchTopK()
    {
        using var scope = NewDisposeScope();
        (SparseAutoencoder autoencoder, Tensor X, _) = Drawn(new MutualChoiceRule(4.5), centred: true);
        Tensor z = autoencoder.PreActivations(X);
        CodeContext training = new(Training: true, null, autoencoder.Decoder), alone = training with { Training = false };
        foreach (BatchTopKRule rule in new BatchTopKRule[] { new BatchTopKRule(4.5), new MutualChoiceRule(4.5), new MatryoshkaRule(4.5, [5, Latents]) })
        {
            SparseCode code = rule.Select(z, training);
            Assert.Equal(Select.TopK(z, Budget.Global(166)), code.Support);
            Assert.Throws<InvalidOperationException>(() => rule.Select(z, alone));
            rule.Learn([code], default);

            // The threshold is the least value of the batch that set it.
            Assert.Equal(code.Support, Support.FromMask(z.ge(rule.Threshold!.Value)));
            SparseCode above = rule.Select(z, alone);
            Assert.Equal(165, above.Support.Count);
            Assert.True(above.Values.eq(above.Support.Gather(z)).all().item<bool>());
        }
    }

    [Fact]
    public void Feature_choice_sets_thresholds_that_reproduce_it_and_do_not_look_at_neighbours()
    {
        using var scope = NewDisposeScope();
        FeatureChoiceRule rule = Choosing(new(Latents, 4.5, new(1, 5), switchAt: 0));
        (SparseAutoencoder autoencoder, Tensor X, _) = Drawn(rule, centred: true);
        Tensor z = autoencoder.PreActivations(X);
        int[] counts = rule.CountsFor(Tokens);
        Assert.Equal(166, counts.Sum());
        Assert.True(counts[^1] > counts[0]);
        Assert.Throws<InvalidOperationException>(() => autoencoder.Encode(X));
        SparseCode code = rule.Select(z, new(Training: true, null, autoencoder.Decoder));
        Assert.Equal(Allocation.FeatureChoice(z, counts, 166), code.Support);
        rule.Learn([code], new(1, 10, new LatentStatistics(Latents, 10)));
        double[] thresholds = rule.Thresholds!;
        Assert.Equal(code.Support, Support.FromMask(z.ge(tensor(thresholds))));
        SparseCode alone = autoencoder.Encode(X.narrow(0, 4, 1)), among = autoencoder.Encode(X);
        Assert.Equal(alone.Support.Row(0).ToArray(), among.Support.Row(4).ToArray());
        Assert.Equal(Support.FromMask(z.gt(tensor(thresholds))), among.Support);

        // Frozen it codes the same; calibrated, all thresholds move by one factor until the wanted L0 is met.
        using (SparseAutoencoder frozen = autoencoder.Freeze())
        {
            Assert.IsType<ThresholdRule>(frozen.Rule);
            Assert.Equal(among.Support, frozen.Encode(X).Support);
        }

        double factor = autoencoder.CalibrateThreshold(X, 3);
        Assert.Equal(3, autoencoder.Encode(X).L0, 0.05);
        Assert.All(rule.Thresholds!.Zip(thresholds), pair => Assert.Equal(factor * pair.Second, pair.First, 1e-9));
        autoencoder.Rule.ScaleThresholds(1 / factor);

        // A latent with fewer positive tokens than it may take has the least threshold there is, and the mean moves by its weight.
        Tensor low = z.clone();
        low.select(1, 23).fill_(-1);
        low[0, 23] = 0.5;
        SparseCode second = rule.Select(low, new(Training: true, null, autoencoder.Decoder));
        rule.Learn([second], new(1, 10, new LatentStatistics(Latents, 10)));
        Assert.Equal(0.95 * thresholds[23], rule.Thresholds![23], 1e-12);
    }

    [Fact]
    public void Matryoshka_refuses_widths_that_do_not_increase_to_the_number_of_latents()
    {
        Assert.Throws<ArgumentException>(() => new MatryoshkaRule(2, []));
        Assert.Throws<ArgumentException>(() => new MatryoshkaRule(2, [4, 4, 8]));
        Assert.Throws<ArgumentException>(() => new MatryoshkaRule(2, [0, 8]));
        using var scope = NewDisposeScope();
        Assert.Contains("end at 16, but there are 24", Assert.Throws<ArgumentException>(() => new SparseAutoencoder(4, 24, new MatryoshkaRule(2, [8, 16]))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new SparseAutoencoder(4, 24, new FeatureChoiceRule(25, 2, null)));
    }

    private static (SparseAutoencoder Autoencoder, Tensor X, Tensor Gradients) Drawn(CodeRule rule, bool centred)
    {
        var autoencoder = new SparseAutoencoder(Width, Latents, rule, seed: 3, centred, ScalarType.Float64);
        using Generator generator = new(8);
        using (no_grad())
        {
            autoencoder.Encoder.add_(randn([Latents, Width], ScalarType.Float64, generator: generator) * 0.1);
            autoencoder.EncoderBias.add_(randn(Latents, ScalarType.Float64, generator: generator) * 0.1);
            autoencoder.DecoderBias.add_(randn(Width, ScalarType.Float64, generator: generator) * 0.1);
        }

        return (autoencoder, randn([Tokens, Width], ScalarType.Float64, generator: generator), randn([Tokens, Width], ScalarType.Float64, generator: generator));
    }

    private static void Close(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.InRange((expected - actual).abs().max().item<double>(), 0, 1e-12);
    }
}
