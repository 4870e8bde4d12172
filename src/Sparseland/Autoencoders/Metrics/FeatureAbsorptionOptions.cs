namespace Sparseland.Autoencoders.Metrics;

/// <summary>Settings of <see cref="FeatureAbsorption"/>: the thresholds of Chanin et al. 2024 and Karvonen et al. 2025.</summary>
public sealed record FeatureAbsorptionOptions
{
    /// <summary>Full absorption: least cosine of the absorbing latent with the probe. Default 0.025.</summary>
    public double FullCosine { get; init; } = 0.025;

    /// <summary>Least share of the probe's projection that absorbing latents carry. Default 0.4.</summary>
    public double LeastShare { get; init; } = 0.4;

    /// <summary>Fractional absorption: least cosine of an absorbing latent with the probe. Default 0.1.</summary>
    public double FractionCosine { get; init; } = 0.1;

    /// <summary>Fractional absorption: most absorbing latents of a token. Default 3.</summary>
    public int MostAbsorbing { get; init; } = 3;

    internal void Check()
    {
        foreach ((string name, double value) in ((string, double)[])[(nameof(FullCosine), FullCosine), (nameof(FractionCosine), FractionCosine)])
        {
            if (!(value is >= -1 and <= 1)) throw new ArgumentException($"{name} is {value}; a cosine lies from -1 to 1.", "options");
        }

        if (!(LeastShare > 0) || !double.IsFinite(LeastShare)) throw new ArgumentException($"{nameof(LeastShare)} is {LeastShare}; it must be positive and finite.", "options");
        if (MostAbsorbing < 1) throw new ArgumentException($"{nameof(MostAbsorbing)} is {MostAbsorbing}; it must be positive.", "options");
    }
}
