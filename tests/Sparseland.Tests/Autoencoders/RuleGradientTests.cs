using Sparseland.Autoencoders;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

/// <summary>Rules with penalties: gradients by hand against libtorch's own in float64, and what each is known to do exactly.</summary>
public class RuleGradientTests
{
    private static readonly TrainingProgress Late = new(99, 100, null!);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Relu_with_l1(bool centred)
    {
        using var scope = NewDisposeScope();
        (SparseAutoencoder autoencoder, Tensor X) = Drawn(new ReluRule(), centred);
        using var pass = new AutoencoderPass(autoencoder, X, null, training: true);
        double loss = pass.Loss + new L1Penalty(0.8).Apply(pass, Late);
        pass.Backward(0.7);
        var leaves = new Leaves(autoencoder);
        Tensor f = leaves.Pre(X).relu();
        Tensor own = leaves.Reconstruction(X, f) + (0.8 * (f * leaves.Wd.norm(1)).sum() / X.shape[0]);
        Assert.Equal(own.item<double>(), loss, 1e-12);
        (own * 0.7).backward();
        leaves.Check();

        // With the norm in the penalty, scaling an encoder row against its decoder row still changes nothing.
        Close(zeros(24, dtype: ScalarType.Float64), Balance(autoencoder));
    }

    [Fact]
    public void A_penalty_climbs_to_its_weight()
    {
        using var scope = NewDisposeScope();
        (SparseAutoencoder autoencoder, Tensor X) = Drawn(new ReluRule(), true);
        double At(long step, double warmUp)
        {
            using var pass = new AutoencoderPass(autoencoder, X, null, training: true);
            return new L1Penalty(0.8, warmUp).Apply(pass, new(step, 100, null!));
        }

        double whole = At(0, 0);
        Assert.Equal(whole * 0.1, At(1, 0.2), 1e-12);
        Assert.Equal(whole, At(19, 0.2), 1e-12);
        Assert.Equal(whole, At(90, 0.2), 1e-12);
    }

    [Theory]
    [InlineData(true, null)]
    [InlineData(false, 6.0)]
    public void JumpRelu_with_l0(bool centred, double? target)
    {
        using var scope = NewDisposeScope();
        const double Eps = 0.6;
        var rule = new JumpReluRule([.. Enumerable.Range(0, 24).Select(i => 0.2 + (0.02 * i))], Eps, ScalarType.Float64);
        (SparseAutoencoder autoencoder, Tensor X) = Drawn(rule, centred);
        using var pass = new AutoencoderPass(autoencoder, X, null, training: true);
        double loss = pass.Loss + new L0Penalty(0.8, target).Apply(pass, Late);
        DeadLatentLoss.Rebuild(pass, [3, 7, 20], 0.5);
        pass.Backward(0.7);

        // libtorch's way: the step is data; its stand-in enters as theta times a constant slope, of no value but with the rectangle's gradient.
        var leaves = new Leaves(autoencoder);
        Tensor log = rule.LogThreshold.detach().clone().requires_grad_(), theta = log.exp(), z = leaves.Pre(X);
        Tensor band = (z - theta).abs().lt(Eps / 2).to(ScalarType.Float64).detach(), on = z.gt(theta).to(ScalarType.Float64).detach();
        Tensor nothing = theta - theta.detach();
        Tensor f = (z * on) - (nothing * theta.detach() / Eps * band);
        Tensor l0 = (on - (nothing / Eps * band)).sum() / X.shape[0];
        Tensor penalty = target is { } wanted ? 0.8 * (l0 / wanted - 1).square() : 0.8 * l0;
        Tensor own = leaves.Reconstruction(X, f) + penalty;
        Assert.Equal(own.item<double>(), loss, 1e-12);
        own += leaves.Dead(pass, z, [3, 7, 20], 0.5);
        (own * 0.7).backward();
        leaves.Check();
        Assert.True(band.logical_and(on.logical_not()).any().item<bool>());
        Close(log.grad!, rule.LogThreshold.grad!);
        Assert.Equal(band.mean().item<double>(), rule.BandShare!.Value, 1e-12);
    }

    [Fact]
    public void The_l0_gradient_is_the_central_difference_of_l0_with_half_the_bandwidth()
    {
        using var scope = NewDisposeScope();
        const double Eps = 0.5;
        double[] thresholds = [.. Enumerable.Range(0, 24).Select(i => 0.3 + (0.02 * i))];
        var rule = new JumpReluRule(thresholds, Eps, ScalarType.Float64);
        (SparseAutoencoder autoencoder, Tensor X) = Drawn(rule, true);
        autoencoder.zero_grad();
        using var pass = new AutoencoderPass(autoencoder, X, null, training: true);
        pass.Replace([new(pass.Code.Support, pass.Code.Values, zeros_like(X))], zeros(10, dtype: ScalarType.Float64), 0);
        new L0Penalty(1).Apply(pass, Late);
        pass.Backward();
        Close(zeros(24, 10, dtype: ScalarType.Float64), autoencoder.Encoder.grad!);
        int moved = 0;
        for (int i = 0; i < thresholds.Length; i++)
        {
            Tensor z = pass.Pre[.., i];
            double L0(double theta) => z.gt(theta).sum().item<long>() / (double)X.shape[0];
            double theta = rule.Thresholds[i], difference = (L0(theta + (Eps / 2)) - L0(theta - (Eps / 2))) / Eps;
            Assert.Equal(difference, rule.LogThreshold.grad![i].item<double>() / theta, 1e-12);
            moved += difference != 0 ? 1 : 0;
        }

        Assert.InRange(moved, 20, 24);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Gated(bool centred)
    {
        using var scope = NewDisposeScope();
        (SparseAutoencoder autoencoder, Tensor X) = Drawn(Gate(), centred);
        var rule = (GatedRule)autoencoder.Rule;
        using var pass = new AutoencoderPass(autoencoder, X, null, training: true);
        double loss = pass.Loss + new GatedPenalty(0.8).Apply(pass, Late);
        DeadLatentLoss.Rebuild(pass, [3, 7, 20], 0.5);
        pass.Backward(0.7);
        var leaves = new Leaves(autoencoder);
        Tensor r = rule.LogScale.detach().clone().requires_grad_(), magnitude = rule.MagnitudeBias.detach().clone().requires_grad_(), u = leaves.Pre(X);
        Tensor f = ((r.exp() * (u - leaves.Be)) + magnitude).relu() * u.gt(0).to(ScalarType.Float64).detach();
        Tensor own = leaves.Reconstruction(X, f) + (0.8 * (u.relu() * leaves.Wd.norm(1)).sum() / X.shape[0]);
        own += (X - u.relu().mm(leaves.Wd.detach()) - leaves.Bd.detach()).square().sum() / X.shape[0];
        Assert.Equal(own.item<double>(), loss, 1e-12);
        own += leaves.Dead(pass, u, [3, 7, 20], 0.5);
        (own * 0.7).backward();
        leaves.Check();
        Close(r.grad!, rule.LogScale.grad!);
        Close(magnitude.grad!, rule.MagnitudeBias.grad!);

        // Some gates are open where the magnitude is not positive.
        Assert.True(pass.Code.Support.Count < u.gt(0).sum().item<long>());
    }

    [Fact]
    public void Scaling_an_encoder_row_with_its_magnitude_against_the_decoder_row_changes_nothing()
    {
        using var scope = NewDisposeScope();
        (SparseAutoencoder autoencoder, Tensor X) = Drawn(Gate(), true);
        var rule = (GatedRule)autoencoder.Rule;
        using var pass = new AutoencoderPass(autoencoder, X, null, training: true);
        pass.Backward();
        Close(rule.MagnitudeBias * rule.MagnitudeBias.grad!, Balance(autoencoder));
        Close(zeros(24, dtype: ScalarType.Float64), autoencoder.EncoderBias.grad!);
        using var jump = new JumpReluRule(24, 0.3, 0.2, ScalarType.Float64);
        (SparseAutoencoder other, _) = Drawn(jump, true);
        using var second = new AutoencoderPass(other, X, null, training: true);
        second.Backward();
        Close(zeros(24, dtype: ScalarType.Float64), Balance(other));
    }

    /// <summary>With an orthonormal dictionary and one token, descent on the biases is descent on the code.</summary>
    [Fact]
    public void L1_shrinks_by_half_its_weight_and_TopK_does_not()
    {
        using var scope = NewDisposeScope();
        const double Lambda = 0.6;
        Tensor Q = linalg.qr(randn([12, 12], ScalarType.Float64, generator: new Generator(5))).Q, x = randn([1, 12], ScalarType.Float64, generator: new Generator(6));
        Tensor z = x.mm(Q.t());
        Assert.True(z.gt(0).logical_and(z.lt(Lambda / 2)).any().item<bool>() && z.gt(Lambda).any().item<bool>() && z.lt(0).any().item<bool>());
        Close((z - (Lambda / 2)).clamp_min(0), Descend(new ReluRule(), new L1Penalty(Lambda)));
        Tensor kept = Descend(new TopKRule(4), null);
        Assert.Equal(4, kept.gt(0).sum().item<long>());
        Close(z * kept.gt(0), kept);

        Tensor Descend(CodeRule rule, L1Penalty? penalty)
        {
            var autoencoder = new SparseAutoencoder(12, 12, rule, type: ScalarType.Float64);
            using IDisposable off = no_grad();
            autoencoder.Decoder.copy_(Q);
            autoencoder.Encoder.copy_(Q);
            for (int i = 0; i < 400; i++)
            {
                using DisposeScope inner = NewDisposeScope();
                autoencoder.zero_grad();
                using var pass = new AutoencoderPass(autoencoder, x, null, training: true);
                penalty?.Apply(pass, Late);
                pass.Backward();
                autoencoder.EncoderBias.sub_(autoencoder.EncoderBias.grad! * 0.05);
            }

            return autoencoder.Encode(x).ToDense();
        }
    }

    internal static GatedRule Gate()
    {
        var rule = new GatedRule(24, ScalarType.Float64);
        using Generator generator = new(4);
        using (no_grad())
        {
            rule.LogScale.copy_(randn(24, ScalarType.Float64, generator: generator) * 0.3);
            rule.MagnitudeBias.copy_(randn(24, ScalarType.Float64, generator: generator) * 0.3);
        }

        return rule;
    }

    internal static (SparseAutoencoder Autoencoder, Tensor X) Drawn(CodeRule rule, bool centred)
    {
        var autoencoder = new SparseAutoencoder(10, 24, rule, seed: 3, centred, ScalarType.Float64);
        using Generator generator = new(8);
        using (no_grad())
        {
            autoencoder.Encoder.add_(randn([24, 10], ScalarType.Float64, generator: generator) * 0.1);
            autoencoder.EncoderBias.add_(randn(24, ScalarType.Float64, generator: generator) * 0.1);
            autoencoder.DecoderBias.add_(randn(10, ScalarType.Float64, generator: generator) * 0.1);
            autoencoder.Decoder.mul_(rand([24, 1], ScalarType.Float64, generator: generator) + 0.5);
        }

        return (autoencoder, randn([37, 10], ScalarType.Float64, generator: generator));
    }

    internal static void Close(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.InRange((expected - actual).abs().max().item<double>(), 0, 1e-12);
    }

    private static Tensor Balance(SparseAutoencoder autoencoder) =>
        (autoencoder.Decoder * autoencoder.Decoder.grad!).sum([1L]) - (autoencoder.Encoder * autoencoder.Encoder.grad!).sum([1L]) - (autoencoder.EncoderBias * autoencoder.EncoderBias.grad!);

    /// <summary>Copies of the parameters for libtorch to differentiate by.</summary>
    private sealed class Leaves(SparseAutoencoder autoencoder)
    {
        public Tensor We { get; } = Leaf(autoencoder.Encoder);

        public Tensor Be { get; } = Leaf(autoencoder.EncoderBias);

        public Tensor Wd { get; } = Leaf(autoencoder.Decoder);

        public Tensor Bd { get; } = Leaf(autoencoder.DecoderBias);

        public Tensor Pre(Tensor x) => (autoencoder.CentreInput ? x - Bd : x).mm(We.t()) + Be;

        public Tensor Reconstruction(Tensor x, Tensor f) => (x - f.mm(Wd) - Bd).square().sum() / x.shape[0];

        public Tensor Dead(AutoencoderPass pass, Tensor z, long[] dead, double alpha)
        {
            Tensor columns = tensor(dead), e = pass.Error, gap = z.index_select(1, columns).relu().mm(Wd.index_select(0, columns)) - e;
            return gap.square().sum() * (alpha * Math.Min(1, dead.Length / 5.0) * pass.Loss) / (e - e.mean([0L], keepdim: true)).square().sum();
        }

        public void Check()
        {
            foreach ((Tensor wanted, Parameter found) in new[] { (We, autoencoder.Encoder), (Be, autoencoder.EncoderBias), (Wd, autoencoder.Decoder), (Bd, autoencoder.DecoderBias) })
                Close(wanted.grad!, found.grad!);
        }

        private static Tensor Leaf(Parameter parameter) => parameter.detach().clone().requires_grad_();
    }
}
