using Sparseland.Kernels;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>Dropped inputs go through a low-rank copy of W instead of nowhere: y = W (m x) + U_r S_r (V_r^T ((1 - m) x)), R-Sparse (Zhang et al. 2025, arXiv 2504.19449).</summary>
/// <remarks>The factors stand beside W, so memory grows by r (in + out) numbers: what falls is what a token reads.</remarks>
public sealed class RankAwareInputs : IDroppedInputs
{
    private readonly LowRankFactors _factors;

    /// <summary>Takes factors.</summary>
    /// <param name="factors">Factors of W; borrowed.</param>
    /// <param name="rank">Leading ranks that are used, from 0 to those there are; null, the default, for all.</param>
    /// <exception cref="ArgumentOutOfRangeException">A rank that there is not.</exception>
    public RankAwareInputs(LowRankFactors factors, int? rank = null)
    {
        ArgumentNullException.ThrowIfNull(factors);
        if (rank < 0 || rank > factors.Rank) throw new ArgumentOutOfRangeException(nameof(rank), rank, $"rank must be from 0 to {factors.Rank}.");
        (_factors, Rank) = (factors, rank ?? factors.Rank);
    }

    /// <summary>Ranks that are used.</summary>
    public int Rank { get; }

    /// <inheritdoc/>
    public int Inputs => _factors.Inputs;

    /// <inheritdoc/>
    public int Outputs => _factors.Outputs;

    /// <inheritdoc/>
    public long Reads => (long)Rank * (Inputs + Outputs);

    /// <inheritdoc/>
    public Tensor Outcome(Tensor dropped)
    {
        ArgumentNullException.ThrowIfNull(dropped);
        return _factors.Apply(dropped, Rank);
    }
}
