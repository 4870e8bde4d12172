using Sparseland.Autoencoders;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

public class AutoencoderPassTests
{
    /// <summary>The worked example: d = 2, three latents, three tokens.</summary>
    private static (SparseAutoencoder Autoencoder, Tensor X) ByHand(CodeRule rule)
    {
        var autoencoder = new SparseAutoencoder(2, 3, rule, type: ScalarType.Float64);
        using (no_grad())
        {
            autoencoder.Decoder.copy_(tensor(new double[,] { { 1, 0 }, { 0, 1 }, { 0.6, 0.8 } }));
            autoencoder.Encoder.copy_(tensor(new double[,] { { 1, 0 }, { 0, 1 }, { 0.5, 0.5 } }));
            autoencoder.EncoderBias.copy_(tensor(new[] { 0, -0.2, 0.1 }));
            autoencoder.DecoderBias.copy_(tensor(new[] { 0.5, 0 }));
        }

        return (autoencoder, tensor(new double[,] { { 2.5, 1 }, { 0.5, -1 }, { 1.5, 2 } }));
    }

    [Fact]
    public void TopK_by_hand()
    {
        using var scope = NewDisposeScope();
        (SparseAutoencoder autoencoder, Tensor X) = ByHand(new TopKRule(1));
        Close(tensor(new double[,] { { 2, 0.8, 1.6 }, { 0, -1.2, -0.4 }, { 1, 1.8, 1.6 } }), autoencoder.PreActivations(X));
        Close(tensor(new double[,] { { 2.5, 0 }, { 0.5, 0 }, { 0.5, 1.8 } }), autoencoder.Reconstruct(X));
        using var pass = new AutoencoderPass(autoencoder, X, null, training: true);
        Assert.Equal(1.0133333333333334, pass.Loss, 1e-12);
        pass.Backward();
        Close(tensor(new[] { -0.4 / 3, -0.8 / 3 }), autoencoder.Encoder.grad![1]);
        Close(tensor(new[] { -2.0 / 3, 0 }), autoencoder.DecoderBias.grad!);
        Tensor balance = Balance(autoencoder);
        Close(zeros(3, dtype: ScalarType.Float64), balance);
        Close(tensor(new[] { 0, -0.24, 0 }), (autoencoder.Decoder * autoencoder.Decoder.grad!).sum([1L]));
    }

    [Fact]
    public void BatchTopK_by_hand()
    {
        using var scope = NewDisposeScope();
        (SparseAutoencoder autoencoder, Tensor X) = ByHand(new BatchTopKRule(1));
        using var pass = new AutoencoderPass(autoencoder, X, null, training: true);

        // 1.6 stands twice; the tie goes to the lower token.
        Assert.Equal(3.04 / 3, pass.Loss, 1e-12);
        Assert.Equal([2, 0, 1], pass.Code.Support.CountsPerRow());
        var rule = (BatchTopKRule)autoencoder.Rule;
        Assert.Null(rule.Threshold);
        rule.Learn([pass.Code], default);
        Assert.Equal(1.6, rule.Threshold!.Value, 1e-12);
    }

    public static TheoryData<string> Rules() => ["topk", "batch-topk"];

    private static CodeRule Rule(string name) => name switch
    {
        "topk" => new TopKRule(5),
        "batch-topk" => new BatchTopKRule(4.5),
        _ => throw new ArgumentException(name),
    };

    [Theory]
    [MemberData(nameof(Rules))]
    public void Gradients_are_those_of_the_loss_on_a_fixed_support(string name)
    {
        foreach (bool centred in (bool[])[true, false])
        {
            using var scope = NewDisposeScope();
            (SparseAutoencoder autoencoder, Tensor X) = Drawn(Rule(name), centred);
            using var pass = new AutoencoderPass(autoencoder, X, null, training: true);
            DeadLatentLoss.Rebuild(pass, [3, 7, 20], 0.5);
            pass.Backward(0.7);

            // The same loss by libtorch's own differentiation, the support and the data of the auxiliary loss held fixed.
            Tensor We = Leaf(autoencoder.Encoder), be = Leaf(autoencoder.EncoderBias), Wd = Leaf(autoencoder.Decoder), bd = Leaf(autoencoder.DecoderBias);
            Tensor z = (centred ? X - bd : X).mm(We.t()) + be, f = z * pass.Code.Support.ToMask();
            Tensor loss = (X - f.mm(Wd) - bd).square().sum() / X.shape[0];
            Tensor columns = tensor(new long[] { 3, 7, 20 }), dead = z.index_select(1, columns).relu();
            Tensor e = pass.Error, gap = dead.mm(Wd.index_select(0, columns)) - e;
            loss += gap.square().sum() * (0.5 * Math.Min(1, 3.0 / 5) * pass.Loss) / (e - e.mean([0L], keepdim: true)).square().sum();
            (loss * 0.7).backward();
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
        (SparseAutoencoder autoencoder, Tensor X) = Drawn(Rule(name), centred: true);
        using var pass = new AutoencoderPass(autoencoder, X, null, training: true);
        pass.Backward();
        Close(zeros(autoencoder.Latents, dtype: ScalarType.Float64), Balance(autoencoder));
    }

    /// <summary>&lt;W_d, gW_d&gt; - &lt;W_e, gW_e&gt; - b_e gb_e of each latent.</summary>
    private static Tensor Balance(SparseAutoencoder autoencoder) =>
        (autoencoder.Decoder * autoencoder.Decoder.grad!).sum([1L]) - (autoencoder.Encoder * autoencoder.Encoder.grad!).sum([1L]) - (autoencoder.EncoderBias * autoencoder.EncoderBias.grad!);

    private static (SparseAutoencoder Autoencoder, Tensor X) Drawn(CodeRule rule, bool centred)
    {
        var autoencoder = new SparseAutoencoder(10, 24, rule, seed: 3, centred, ScalarType.Float64);
        using Generator generator = new(8);
        using (no_grad())
        {
            autoencoder.Encoder.add_(randn([24, 10], ScalarType.Float64, generator: generator) * 0.1);
            autoencoder.EncoderBias.add_(randn(24, ScalarType.Float64, generator: generator) * 0.1);
            autoencoder.DecoderBias.add_(randn(10, ScalarType.Float64, generator: generator) * 0.1);
        }

        return (autoencoder, randn([37, 10], ScalarType.Float64, generator: generator));
    }

    private static void Close(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.InRange((expected - actual).abs().max().item<double>(), 0, 1e-12);
    }
}
