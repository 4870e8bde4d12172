using static TorchSharp.torch;

namespace Sparseland.Attention.Features;

/// <summary>Over what the largest exponent of features is taken out, so that nothing overflows.</summary>
public enum FeatureScale
{
    /// <summary>Nothing is taken out: the features as they are, for tests and small norms.</summary>
    None,

    /// <summary>One factor for each vector: right for queries, whose factor cancels in their row.</summary>
    PerVector,

    /// <summary>One factor for all vectors of a head: right for keys. A factor for each key would weigh the keys differently.</summary>
    PerSet,
}

/// <summary>
/// Feature vectors phi(x) whose products stand for a kernel of queries and keys: phi(q) . phi(k) in place of exp(q . k) (Choromanski et al. 2021). A map does not change; another
/// draw of it is another map.
/// </summary>
public interface IFeatureMap
{
    /// <summary>Width of the vectors that it takes.</summary>
    int HeadDim { get; }

    /// <summary>Features of a vector, M: what is stored and multiplied for each token.</summary>
    int Count { get; }

    /// <summary>Whether the expectation of phi(q) . phi(k) over draws is exp(q . k). The factor of the scores is then folded into q and k, its root into each.</summary>
    bool EstimatesSoftmax { get; }

    /// <summary>Whether no feature is negative, and so no estimate and no denominator. Default true.</summary>
    bool Positive => true;

    /// <summary>What is added to each feature, which biases the estimate. Default 0.</summary>
    double Offset => 0;

    /// <summary>phi(x) = exp(LogScale) * Values.</summary>
    /// <param name="x">[..., tokens, headDim], Float32 or Float64.</param>
    /// <param name="scale">Over what the largest exponent is taken out. Default none.</param>
    /// <returns>Values [..., tokens, <see cref="Count"/>] and LogScale, [..., tokens, 1] for each vector, else [..., 1, 1], of the type of x; they are the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">Another width, rank or type.</exception>
    (Tensor Values, Tensor LogScale) Map(Tensor x, FeatureScale scale = FeatureScale.None);
}
