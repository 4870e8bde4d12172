using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// lambda mean_t sum_i f_i ||W_d[i]|| (Conerly et al., April 2024): the norm keeps the autoencoder from making codes small and rows long. With rows of
/// norm one it is the l1 norm of the code (Bricken et al. 2023). It shrinks: with an orthonormal dictionary the best code is max(z - lambda/2, 0).
/// </summary>
public sealed class L1Penalty : AuxiliaryLoss
{
    /// <summary>Sets the weight.</summary>
    /// <param name="weight">lambda, not negative, on the scale of the activations as the autoencoder sees them (mean norm sqrt(d) by default).</param>
    /// <param name="warmUp">Share of the steps over which lambda climbs linearly from near zero, from 0 to 1. Default 0.05.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public L1Penalty(double weight, double warmUp = 0.05)
    {
        CheckWeight(weight, warmUp);
        (Weight, WarmUp) = (weight, warmUp);
    }

    /// <summary>lambda.</summary>
    public double Weight { get; }

    /// <summary>Share of the steps over which lambda climbs.</summary>
    public double WarmUp { get; }

    /// <inheritdoc/>
    public override string Description => FormattableString.Invariant($"l1 {Weight:R}, warm-up {WarmUp:R}");

    internal override void Check(SparseAutoencoder autoencoder)
    {
        if (autoencoder.Rule is GatedRule or JumpReluRule)
            throw new ArgumentException($"{nameof(L1Penalty)} does not serve the rule {autoencoder.Rule.Architecture}; its own is {(autoencoder.Rule is GatedRule ? nameof(GatedPenalty) : nameof(L0Penalty))}.", "Losses");
        if (autoencoder.Rule is MatryoshkaRule { Widths.Count: > 1 }) throw new ArgumentException($"{nameof(L1Penalty)} does not serve the rule {autoencoder.Rule.Architecture}, whose k decides how many latents are active.", "Losses");
    }

    internal override double Apply(AutoencoderPass pass, TrainingProgress progress)
    {
        using IDisposable off = no_grad();
        double weight = Weight * progress.Ramp(WarmUp) / pass.Input.shape[0];
        Tensor norms = pass.Autoencoder.Decoder.norm(1), sums = Sums(pass.Code, norms.shape[0]);
        pass.AddToValues(norms.index_select(0, pass.Code.Support.ColumnIndexTensor()).mul_(weight));
        pass.AddToDecoderRows(AlongRows(sums, norms).mul_(weight));
        return weight * (sums * norms).sum(ScalarType.Float64).item<double>();
    }

    /// <summary>Sum of each latent's values [latents].</summary>
    internal static Tensor Sums(SparseCode code, long latents) => zeros(latents, dtype: code.Values.dtype).index_add_(0, code.Support.ColumnIndexTensor(), code.Values, 1);

    /// <summary>The gradient of sums ||W|| is sums W / ||W||; that of a row of zeros is taken as zero.</summary>
    internal static Tensor AlongRows(Tensor sums, Tensor norms) => sums.div(norms).masked_fill_(norms.eq(0), 0);
}
