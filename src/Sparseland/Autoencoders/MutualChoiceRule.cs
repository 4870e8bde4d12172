namespace Sparseland.Autoencoders;

/// <summary>
/// Mutual choice (Ayonrinde 2024): of all pairs of a token and a latent in a batch the k B with the largest positive pre-activations, no matter how they
/// fall on tokens or latents. It is the choice of <see cref="BatchTopKRule"/>, found at the same time by others; what differs is the company it is
/// meant for: <see cref="ZipfLoss"/>, and <see cref="FeatureChoiceRule"/> after it.
/// </summary>
public sealed class MutualChoiceRule : BatchTopKRule
{
    /// <summary>Sets k.</summary>
    /// <param name="k">Mean number of active latents of a token, positive; need not be whole.</param>
    /// <param name="thresholdWeight">Weight of a new batch in the running threshold, above 0 and at most 1. Default 0.02.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public MutualChoiceRule(double k, double thresholdWeight = 0.02)
        : base("mutual-choice", k, thresholdWeight)
    {
    }
}
