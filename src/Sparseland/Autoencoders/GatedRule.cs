using Sparseland.Selection;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// Gated (Rajamanoharan et al. 2024, 2404.16014): one affine map says which latents are active, another of the same directions how strongly. With
/// u = W_e (x - b_d) + b_gate, a latent is active where u_i > 0, and its value is relu(e^{r_i} (u_i - b_gate,i) + b_mag,i). The autoencoder's
/// <see cref="SparseAutoencoder.EncoderBias"/> is b_gate and its pre-activations are u; r and b_mag are this rule's, zero at the start. The gate
/// learns from a <see cref="GatedPenalty"/> alone.
/// </summary>
/// <remarks>It is a JumpReLU of the magnitudes with theta_i = b_mag,i - e^{r_i} b_gate,i: <see cref="SparseAutoencoder.ToJumpRelu"/>.</remarks>
public sealed class GatedRule : CodeRule
{
    /// <summary>Zero scales and biases.</summary>
    /// <param name="latents">M.</param>
    /// <param name="type">Type of the parameters, Float32 (the default) or Float64, as the autoencoder's.</param>
    /// <exception cref="ArgumentException">latents is not positive, or the type is another.</exception>
    public GatedRule(int latents, ScalarType type = ScalarType.Float32)
        : base("gated")
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(latents);
        if (type is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"The type is {type}; it must be Float32 or Float64.", nameof(type));
        LogScale = new Parameter(zeros(latents, dtype: type));
        MagnitudeBias = new Parameter(zeros(latents, dtype: type));
        LogScale.DetachFromDisposeScope();
        MagnitudeBias.DetachFromDisposeScope();
        register_parameter("log_scale", LogScale);
        register_parameter("magnitude_bias", MagnitudeBias);
    }

    /// <summary>r [latents].</summary>
    [field: ComponentName(Name = "log_scale")]
    public Parameter LogScale { get; }

    /// <summary>b_mag [latents].</summary>
    [field: ComponentName(Name = "magnitude_bias")]
    public Parameter MagnitudeBias { get; }

    /// <inheritdoc/>
    public override void Check(int latents)
    {
        if (LogScale.shape[0] != latents) throw new ArgumentException($"The rule is of {LogScale.shape[0]} latents, the autoencoder of {latents}.", "rule");
    }

    internal override bool ComparesLatents => false;

    /// <inheritdoc/>
    public override SparseCode Select(Tensor pre, CodeContext context)
    {
        CheckPre(pre);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using SparseCode gate = Above(pre, null);
        Tensor columns = gate.Support.ColumnIndexTensor();
        Tensor At(Tensor perLatent) => perLatent.to(pre.dtype).index_select(0, columns);
        Tensor values = gate.Values.sub(At(context.EncoderBias ?? throw new ArgumentException("A gated rule needs the bias of the encoder, its b_gate.", nameof(context)))).mul_(At(LogScale).exp_()).add_(At(MagnitudeBias)), positive = values.gt(0);
        return positive.all().item<bool>()
            ? new(gate.Support, values.MoveToOuterDisposeScope())
            : new(gate.Support.Where(positive), values.masked_select(positive).MoveToOuterDisposeScope());
    }

    internal override void CheckLosses(IReadOnlyList<AuxiliaryLoss> losses) => Need(losses.Any(loss => loss is GatedPenalty), $"{nameof(GatedPenalty)}, from which alone the gate learns");

    internal override Tensor Back(AutoencoderPass pass, CodePart part, Tensor values)
    {
        if (!pass.IsCode(part)) return values;
        Tensor columns = part.Support.ColumnIndexTensor();
        Tensor Sums(Tensor entries) => zeros(LogScale.shape[0], dtype: values.dtype).index_add_(0, columns, entries, 1).to(LogScale.dtype);
        Tensor scaled = values * LogScale.to(values.dtype).exp().index_select(0, columns);
        pass.AddTo(MagnitudeBias, Sums(values));

        // e^r (u - b_gate) = f - b_mag.
        pass.AddTo(LogScale, Sums(values * (part.Values - MagnitudeBias.to(values.dtype).index_select(0, columns))));

        // The magnitude does not see b_gate: it is in u and is taken off again.
        pass.AddTo(pass.Autoencoder.EncoderBias, Sums(scaled).neg().to(values.dtype));
        return scaled;
    }

    internal override void ScaleLatents(Tensor factors)
    {
        using IDisposable off = no_grad();
        MagnitudeBias.mul_(factors);
    }
}
