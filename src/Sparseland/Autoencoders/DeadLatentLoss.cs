using Sparseland.Kernels;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// AuxK (Gao et al. 2024, section A.2): the dead latents with the largest pre-activations rebuild what the others left over, so that gradients reach
/// them. With e = x - xhat, D the dead latents and k_aux = min(d/2, |D|) of them for each token:
/// <code>L_aux = alpha min(1, |D| / (d/2)) [sum (ehat - e)^2 / sum (e - mean e)^2] mean ||e||^2</code>
/// where e and the last factor are data. The bracket is the paper's; the factor keeps its gradient on the scale of the loss.
/// </summary>
public sealed class DeadLatentLoss : AuxiliaryLoss
{
    /// <summary>Sets weight and patience.</summary>
    /// <param name="deadAfter">A latent is dead when it has been silent for so many tokens; null, the default, for a tenth of all tokens of the training, at least 20,000.</param>
    /// <param name="weight">alpha. Default 1/32.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive.</exception>
    public DeadLatentLoss(long? deadAfter = null, double weight = 1.0 / 32)
    {
        if (deadAfter is <= 0) throw new ArgumentOutOfRangeException(nameof(deadAfter), deadAfter, "deadAfter must be positive.");
        Finite.Positive(weight);
        (DeadAfter, Weight) = (deadAfter, weight);
    }

    /// <summary>Tokens after which a silent latent counts as dead; null for a tenth of all tokens of the training, at least 20,000.</summary>
    public long? DeadAfter { get; }

    /// <summary>alpha.</summary>
    public double Weight { get; }

    /// <inheritdoc/>
    public override string Description => FormattableString.Invariant($"AuxK {Weight:G6} after {DeadAfter?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "a tenth of the"} tokens");

    internal override double Apply(AutoencoderPass pass, TrainingProgress progress)
    {
        return Rebuild(pass, progress.Statistics.SilentFor(Patience(DeadAfter, pass, progress)), Weight);
    }

    /// <summary>Tokens after which a silent latent counts as dead.</summary>
    internal static long Patience(long? deadAfter, AutoencoderPass pass, TrainingProgress progress) =>
        deadAfter ?? (long)Int128.Clamp((Int128)progress.Steps * progress.Accumulate * pass.Input.shape[0] / 10, 20_000, long.MaxValue);

    /// <summary>Lets some latents rebuild the error of a pass.</summary>
    /// <param name="pass">The pass.</param>
    /// <param name="dead">D, ascending.</param>
    /// <param name="alpha">Weight.</param>
    /// <returns>L_aux; 0 without such latents.</returns>
    internal static double Rebuild(AutoencoderPass pass, int[] dead, double alpha)
    {
        int half = pass.Autoencoder.Width / 2, most = Math.Min(half, dead.Length);
        if (most == 0) return 0;
        using IDisposable off = no_grad();
        Tensor columns = tensor(dead, ScalarType.Int64), pre = pass.Autoencoder.Pre(pass.Centred, columns);
        SparseCode code = CodeRule.Positive(Selection.Select.TopK(pre, Budget.PerRow(most)), pre);

        // The dead ascend, so their places in all latents do too.
        int[] places = new int[code.Support.Count];
        for (int i = 0; i < places.Length; i++) places[i] = dead[code.Support.ColumnIndices[i]];
        var support = new Support(code.Tokens, pass.Autoencoder.Latents, code.Support.RowOffsets, places);
        Tensor rebuilt = SparseProduct.Multiply(support, code.Values, pass.Autoencoder.Decoder), gap = rebuilt - pass.Error;
        double variance = (pass.Error - pass.Error.mean([0L], keepdim: true)).square().sum(ScalarType.Float64).item<double>();
        if (!(variance > 0)) return 0;
        double scale = alpha * Math.Min(1, (double)dead.Length / half) * pass.SquaredError / variance;
        pass.Add(new(support, code.Values, gap.mul(2 * scale)));
        return scale * gap.square().sum(ScalarType.Float64).item<double>();
    }
}
