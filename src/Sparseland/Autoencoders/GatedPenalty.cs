using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// The two losses that teach the gate of a <see cref="GatedRule"/> (Rajamanoharan et al. 2024, 2404.16014):
/// <code>lambda mean sum_i relu(u_i) ||W_d[i]|| + mean ||x - (sg(W_d)^T relu(u) + sg(b_d))||^2</code>
/// where sg is data without gradient: the second reconstruction trains the encoder and must not pull the decoder.
/// </summary>
public sealed class GatedPenalty : AuxiliaryLoss
{
    /// <summary>Sets the weight.</summary>
    /// <param name="weight">lambda, not negative, on the scale of the activations as the autoencoder sees them (mean norm sqrt(d) by default).</param>
    /// <param name="warmUp">Share of the steps over which lambda climbs linearly from near zero, from 0 to 1. Default 0.05.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public GatedPenalty(double weight, double warmUp = 0.05)
    {
        CheckWeight(weight, warmUp);
        (Weight, WarmUp) = (weight, warmUp);
    }

    /// <summary>lambda.</summary>
    public double Weight { get; }

    /// <summary>Share of the steps over which lambda climbs.</summary>
    public double WarmUp { get; }

    /// <inheritdoc/>
    public override string Description => FormattableString.Invariant($"gate l1 {Weight:R}, warm-up {WarmUp:R}");

    internal override void Check(SparseAutoencoder autoencoder)
    {
        if (autoencoder.Rule is not GatedRule) throw new ArgumentException($"{nameof(GatedPenalty)} teaches a gate, a {nameof(GatedRule)}; the rule is {autoencoder.Rule.Architecture}.", "Losses");
    }

    internal override double Apply(AutoencoderPass pass, TrainingProgress progress)
    {
        using IDisposable off = no_grad();
        Tensor decoder = pass.Autoencoder.Decoder;
        double tokens = pass.Input.shape[0], weight = Weight * progress.Ramp(WarmUp) / tokens;
        using SparseCode gate = CodeRule.Above(pass.Pre, null);
        Tensor error = pass.Input - SparseProduct.Multiply(gate.Support, gate.Values, decoder, pass.Autoencoder.DecoderBias);
        Tensor norms = decoder.norm(1), sums = L1Penalty.Sums(gate, norms.shape[0]);
        Tensor gradients = SparseProduct.Sampled(gate.Support, error, decoder).mul_(-2 / tokens);
        pass.AddToPreActivations(gate.Support, gradients.add_(norms.index_select(0, gate.Support.ColumnIndexTensor()), alpha: weight));
        pass.AddToDecoderRows(L1Penalty.AlongRows(sums, norms).mul_(weight));
        return (weight * (sums * norms).sum(ScalarType.Float64).item<double>()) + (error.square().sum(ScalarType.Float64).item<double>() / tokens);
    }
}
