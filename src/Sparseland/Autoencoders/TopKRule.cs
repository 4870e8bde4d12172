using Sparseland.Selection;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// TopK (Makhzani and Frey 2013; Gao et al. 2024): the k largest pre-activations of a token, of these the positive ones. A token with fewer than k
/// positive pre-activations has fewer active latents.
/// </summary>
public sealed class TopKRule : CodeRule
{
    /// <summary>Sets k.</summary>
    /// <param name="k">Most active latents of a token, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">k is not positive.</exception>
    public TopKRule(int k)
        : base("topk")
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(k);
        K = k;
    }

    /// <summary>Most active latents of a token.</summary>
    public int K { get; }

    /// <inheritdoc/>
    public override string Description => $"{Architecture}, k = {K}";

    internal override bool IsByTokens => true;

    /// <inheritdoc/>
    public override void Check(int latents)
    {
        if (K > latents) throw new ArgumentException($"k is {K}, but there are {latents} latents.", "rule");
    }

    /// <inheritdoc/>
    public override SparseCode Select(Tensor pre, CodeContext context)
    {
        CheckPre(pre);
        return Positive(Selection.Select.TopK(pre, Budget.PerRow(K)), pre);
    }
}
