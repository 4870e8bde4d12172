using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// Penalty of the number of active latents, L0 = mean_t sum_i [z_i > theta_i], for a <see cref="JumpReluRule"/> (Rajamanoharan et al. 2024): lambda L0, or,
/// for a wanted number of active latents, lambda (L0 / target - 1)^2. Its gradient goes to the thresholds alone:
/// <code>dL0/dtheta_i = -(1/eps) mean_t [|z_i - theta_i| &lt; eps/2]</code>
/// which is the central difference of L0 with step eps/2.
/// </summary>
public sealed class L0Penalty : AuxiliaryLoss
{
    /// <summary>Sets the weight.</summary>
    /// <param name="weight">lambda, not negative, on the scale of the activations as the autoencoder sees them (mean norm sqrt(d) by default).</param>
    /// <param name="target">Wanted mean number of active latents of a token, positive; null, the default, to penalise L0 itself.</param>
    /// <param name="warmUp">Share of the steps over which lambda climbs linearly from near zero, from 0 to 1. Default 0.05.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public L0Penalty(double weight, double? target = null, double warmUp = 0.05)
    {
        CheckWeight(weight, warmUp);
        Finite.Positive(target);
        (Weight, Target, WarmUp) = (weight, target, warmUp);
    }

    /// <summary>lambda.</summary>
    public double Weight { get; }

    /// <summary>Wanted L0; null where L0 itself is penalised.</summary>
    public double? Target { get; }

    /// <summary>Share of the steps over which lambda climbs.</summary>
    public double WarmUp { get; }

    /// <inheritdoc/>
    public override string Description => FormattableString.Invariant($"l0 {Weight:R}{(Target is { } target ? FormattableString.Invariant($" towards {target:R}") : "")}, warm-up {WarmUp:R}");

    internal override void Check(SparseAutoencoder autoencoder)
    {
        if (autoencoder.Rule is not JumpReluRule) throw new ArgumentException($"{nameof(L0Penalty)} needs thresholds that learn, a {nameof(JumpReluRule)}; the rule is {autoencoder.Rule.Architecture}.", "Losses");
        if (Target > autoencoder.Latents) throw new ArgumentException(FormattableString.Invariant($"The target of {nameof(L0Penalty)} is {Target}, but there are {autoencoder.Latents} latents."), "Losses");
    }

    internal override double Apply(AutoencoderPass pass, TrainingProgress progress)
    {
        using IDisposable off = no_grad();
        var rule = (JumpReluRule)pass.Autoencoder.Rule;
        double weight = Weight * progress.Ramp(WarmUp), l0 = pass.Code.L0, gap = Target is { } target ? (l0 / target) - 1 : 0;
        double slope = weight * (Target is { } wanted ? 2 * gap / wanted : 1);
        Tensor theta = rule.Theta(pass.Pre.dtype), counts = tensor(rule.Band(pass.Pre, theta).CountsPerColumn()).to(theta.dtype);
        pass.AddTo(rule.LogThreshold, counts.mul_(theta).mul_(-slope / (rule.Bandwidth * pass.Input.shape[0])).to(rule.LogThreshold.dtype));
        return weight * (Target is null ? l0 : gap * gap);
    }
}
