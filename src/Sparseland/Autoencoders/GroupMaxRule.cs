using Sparseland.Selection;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// Group max (EleutherAI's sparsify, "groupmax"): the latents stand in k consecutive groups of M/k, and of each group the largest pre-activation of a token is active where it
/// is positive. A choice as sparse as <see cref="TopKRule"/> without a selection over all latents; latents of one group exclude each other.
/// </summary>
public sealed class GroupMaxRule : CodeRule
{
    /// <summary>Sets the groups.</summary>
    /// <param name="k">Groups, the most active latents of a token; positive, and it must divide the number of latents.</param>
    /// <exception cref="ArgumentOutOfRangeException">k is not positive.</exception>
    public GroupMaxRule(int k)
        : base("groupmax")
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(k);
        K = k;
    }

    /// <summary>Groups, the most active latents of a token.</summary>
    public int K { get; }

    /// <inheritdoc/>
    public override string Description => $"{Architecture}, k = {K}";

    /// <inheritdoc/>
    public override void Check(int latents)
    {
        if (K > latents || latents % K != 0) throw new ArgumentException($"k is {K}, but {latents} latents do not stand in {K} groups of one size.", "rule");
    }

    /// <inheritdoc/>
    public override SparseCode Select(Tensor pre, CodeContext context)
    {
        CheckPre(pre);
        return Positive(Selection.Select.TopK(pre, Budget.NofM(1, (int)pre.shape[1] / K)), pre);
    }
}
