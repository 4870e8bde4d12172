using Sparseland.Tensors;

namespace Sparseland.Autoencoders.Dashboards;

/// <summary>All that a dashboard says of one latent.</summary>
public sealed record LatentSummary
{
    internal LatentSummary()
    {
    }

    /// <summary>Number of the latent, from 0.</summary>
    public required int Latent { get; init; }

    /// <summary>Tokens on which it is active.</summary>
    public required long Active { get; init; }

    /// <summary>Share of tokens on which it is active.</summary>
    public required double Density { get; init; }

    /// <summary>1 for the latent with the largest density; equal densities in the order of their numbers.</summary>
    public required int DensityRank { get; init; }

    /// <summary>Largest value; 0 where it is never active.</summary>
    public required double Max { get; init; }

    /// <summary>Mean of its values where it is active; 0 where it never is.</summary>
    public required double Mean { get; init; }

    /// <summary>cos(W_e[i], W_d[i]).</summary>
    public required double EncoderDecoder { get; init; }

    /// <summary>Its values where it is active.</summary>
    public required ValueHistogram Values { get; init; }

    /// <summary>
    /// The largest values with their surroundings, largest first: of each window its largest that stands not at its beginning, and of equal surroundings one, so that no repeated
    /// text fills the list.
    /// </summary>
    public required IReadOnlyList<LatentExample> Top { get; init; }

    /// <summary>
    /// Tokens drawn at random from each tenth of the values, strongest tenth first: the largest values alone flatter. Tenths are those of a uniform sample of the
    /// active tokens, without those at the beginning of a window where there are enough others.
    /// </summary>
    public required IReadOnlyList<LatentExample> Sampled { get; init; }

    /// <summary>
    /// Tokens whose logits the latent raises most on the direct path, most first; later blocks are ignored. Empty where the place is not in the residual stream.
    /// </summary>
    public required IReadOnlyList<TokenWeight> Promoted { get; init; }

    /// <summary>Tokens whose logits it lowers most on the direct path, most first.</summary>
    public required IReadOnlyList<TokenWeight> Suppressed { get; init; }

    /// <summary>Latents that are alive whose decoder rows have the largest cosines with this one's, nearest first.</summary>
    public required IReadOnlyList<LatentNeighbour> Nearest { get; init; }

    /// <summary>Latents that are active on the same tokens more often than by chance, largest Jaccard index first.</summary>
    public required IReadOnlyList<LatentCompanion> Together { get; init; }

    /// <summary>What the model does without it; null where that was not measured (<see cref="LatentDashboardOptions.RemovalExamples"/>) or it has no example.</summary>
    public required LatentRemoval? Removal { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>Histogram of values from 0 on.</summary>
/// <param name="BinWidth">Width of a bin, a power of two; 0 where there are no values.</param>
/// <param name="Counts">Values in each bin, the last one that of the largest.</param>
public sealed record ValueHistogram(double BinWidth, IReadOnlyList<int> Counts)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>A token on which a latent is active, with those around it in its window.</summary>
/// <param name="Window">Number of the window.</param>
/// <param name="Place">Place of the token in its window, from 0.</param>
/// <param name="Value">The latent's value there.</param>
/// <param name="Decile">Tenth of the latent's values that it was drawn from, 10 the strongest; 0 for one of the largest values.</param>
/// <param name="Tokens">Ids of the tokens shown, in the text's order.</param>
/// <param name="Values">The latent's value on each of them; NaN where it was not measured.</param>
/// <param name="Focus">Which of them is the example's own.</param>
public sealed record LatentExample(int Window, int Place, float Value, int Decile, IReadOnlyList<int> Tokens, IReadOnlyList<float> Values, int Focus)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>How a latent changes a token's logit on the direct path.</summary>
/// <param name="Token">Id of the token.</param>
/// <param name="Weight">Change per unit of the latent's value, up to the positive factor of the last norm, minus the mean over the vocabulary, which no softmax sees.</param>
public readonly record struct TokenWeight(int Token, double Weight);

/// <summary>A latent with a similar decoder row.</summary>
/// <param name="Latent">Its number.</param>
/// <param name="Cosine">Cosine of the decoder rows.</param>
public readonly record struct LatentNeighbour(int Latent, double Cosine);

/// <summary>A latent that is active on the same tokens.</summary>
/// <param name="Latent">Its number.</param>
/// <param name="Tokens">Tokens on which both are active, of those looked at.</param>
/// <param name="Jaccard">Tokens on which both are active among those on which one is.</param>
/// <param name="Lift">How many times as often both are active as if they were independent.</param>
public readonly record struct LatentCompanion(int Latent, int Tokens, double Jaccard, double Lift);
