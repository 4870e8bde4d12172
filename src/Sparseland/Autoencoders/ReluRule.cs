using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// ReLU (Bricken et al. 2023): a latent is active where its pre-activation is positive, and that is its value. Sparsity comes from an
/// <see cref="L1Penalty"/>, which also shrinks the values.
/// </summary>
/// <remarks>
/// Recipe of Conerly et al. (April 2024) for activations of mean norm sqrt(d): decoder of norm 0.1 at the start, UnitDecoder = false, lambda about 5,
/// ClipNorm = 1. That of Bricken et al.: unit decoder.
/// </remarks>
public sealed class ReluRule : CodeRule
{
    /// <summary>Has no settings.</summary>
    public ReluRule()
        : base("relu")
    {
    }

    internal override bool ComparesLatents => false;

    /// <inheritdoc/>
    public override SparseCode Select(Tensor pre, CodeContext context)
    {
        CheckPre(pre);
        return Above(pre, null);
    }

    internal override void CheckLosses(IReadOnlyList<AuxiliaryLoss> losses) => Need(losses.Any(loss => loss is L1Penalty), $"{nameof(L1Penalty)}, without which half of all latents are active");

    internal override void ScaleLatents(Tensor factors)
    {
        // relu(n z) = n relu(z): there is nothing of its own to scale.
    }
}
