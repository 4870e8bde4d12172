using Sparseland.Tensors;

namespace Sparseland.Autoencoders;

/// <summary>
/// Planted tokens of unequal difficulty: feature r (from 1) is present with a probability proportional to 1 / (r + 5), and each token multiplies all
/// probabilities by exp(0.8 n - 0.32), n normal, of mean one: easy tokens have few features, hard ones many. Strengths are 1 + |n| / 2.
/// </summary>
/// <remarks>Test bed of mutual and feature choice (Ayonrinde 2024): a fixed number of active latents fits no token in particular.</remarks>
public sealed class UnequalTokens : PlantedFeatures
{
    private const double Offset = 5, Spread = 0.8, MostProbable = 0.95;
    private readonly double[] _density;

    /// <summary>A world with Gaussian unit features.</summary>
    /// <param name="seed">Seed of features and tokens. Default 1.</param>
    /// <param name="width">d. Default 64.</param>
    /// <param name="features">Number of features. Default 128.</param>
    /// <param name="active">Mean number of features of a token, before a probability is cut at 0.95. Default 8.</param>
    /// <param name="noise">Standard deviation of the noise. Default 0.02.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or a feature would be present in more than 95 % of the tokens.</exception>
    public UnequalTokens(long seed = 1, int width = 64, int features = 128, double active = 8, double noise = 0.02)
        : base(Directions(Positive(features), width, orthonormal: false, seed), noise, seed)
    {
        if (!(active > 0)) throw new ArgumentOutOfRangeException(nameof(active), active, "active must be positive.");
        _density = new ZipfLaw(1, Offset).Densities(features, active);
        if (_density[0] > MostProbable)
            throw new ArgumentException(FormattableString.Invariant($"With {active} of {features} features active the first would be present with probability {_density[0]:0.###}, above {MostProbable}."), nameof(active));
        Active = active;
    }

    /// <summary>Mean number of features of a token, before a probability is cut at 0.95.</summary>
    public double Active { get; }

    /// <summary>Probability of each feature in a token of mean difficulty [features], falling.</summary>
    public IReadOnlyList<double> Density => _density;

    /// <inheritdoc/>
    public override string Description => FormattableString.Invariant($"unequal tokens, {Count} features in {Width} dimensions, {Active} active");

    private protected override void DrawToken(ref SeededRandom random, Span<float> strengths)
    {
        double factor = Math.Exp((Spread * random.NextGaussian()) - (Spread * Spread / 2));
        for (int i = 0; i < strengths.Length; i++)
        {
            if (random.NextDouble() < Math.Min(MostProbable, factor * _density[i])) strengths[i] = (float)Magnitude(ref random);
        }
    }

    private static int Positive(int features)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(features);
        return features;
    }
}
