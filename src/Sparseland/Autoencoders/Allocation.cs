using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// The three ways to give a budget of entries to pairs of a token and a latent (Ayonrinde 2024): what rules do in training, on any matrix. Entries that
/// are not positive are dropped afterwards.
/// </summary>
public static class Allocation
{
    /// <summary>Each token takes its k largest latents: TopK.</summary>
    /// <param name="scores">Affinities [tokens, latents].</param>
    /// <param name="k">Latents of a token, at most their number.</param>
    /// <exception cref="ArgumentException">A score is NaN, or k does not fit.</exception>
    public static Support TokenChoice(Tensor scores, int k) => Positive(scores, Budget.PerRow(k));

    /// <summary>The largest pairs of the whole matrix.</summary>
    /// <param name="scores">Affinities [tokens, latents].</param>
    /// <param name="total">K, at most the number of entries.</param>
    /// <exception cref="ArgumentException">A score is NaN, or the total does not fit.</exception>
    public static Support MutualChoice(Tensor scores, int total) => Positive(scores, Budget.Global(total));

    /// <summary>Each latent takes its m_i largest tokens.</summary>
    /// <param name="scores">Affinities [tokens, latents].</param>
    /// <param name="counts">m [latents], each at most the number of tokens; see <see cref="FeatureCounts"/>.</param>
    /// <param name="total">K, which the counts must add up to; null for no such check.</param>
    /// <exception cref="ArgumentException">A score is NaN, there is another number of counts, one is negative or above the number of tokens, or their sum is another.</exception>
    public static Support FeatureChoice(Tensor scores, IReadOnlyList<int> counts, int? total = null)
    {
        ArgumentNullException.ThrowIfNull(counts);
        long sum = counts.Sum(count => (long)count);
        if (total is not null && sum != total) throw new ArgumentException($"The counts add up to {sum}, but the total is {total}.", nameof(counts));
        return Positive(scores, Budget.PerColumn(counts));
    }

    private static Support Positive(Tensor scores, Budget budget)
    {
        ArgumentNullException.ThrowIfNull(scores);
        using DisposeScope scope = NewDisposeScope();
        using SparseCode code = CodeRule.Positive(Select.TopK(scores, budget), scores);
        return code.Support;
    }
}
