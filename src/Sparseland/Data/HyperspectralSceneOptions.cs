namespace Sparseland.Data;

/// <summary>What all generated hyperspectral scenes have.</summary>
public abstract record HyperspectralSceneOptions
{
    private protected HyperspectralSceneOptions(int height, int width, int channels, int endmembers, double snr, int badChannels) =>
        (Height, Width, Channels, Endmembers, Snr, BadChannels) = (height, width, channels, endmembers, snr, badChannels);

    /// <summary>Rows of the image.</summary>
    public int Height { get; init; }

    /// <summary>Columns of the image.</summary>
    public int Width { get; init; }

    /// <summary>Spectral channels.</summary>
    public int Channels { get; init; }

    /// <summary>Materials, from 2 to min(channels, pixels).</summary>
    public int Endmembers { get; init; }

    /// <summary>Mean square of the clean data over the variance of the white noise that is added, in decibel.</summary>
    public double Snr { get; init; }

    /// <summary>Channels that are replaced by noise, fewer than all.</summary>
    public int BadChannels { get; init; }

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range; the message says which and why.</exception>
    public virtual void Validate()
    {
        Require(Height >= 1, nameof(Height), Height, "at least 1");
        Require(Width >= 1, nameof(Width), Width, "at least 1");
        Require(Channels >= 2, nameof(Channels), Channels, "at least 2");
        Require((long)Height * Width * Channels <= int.MaxValue, nameof(Channels), Channels, $"such that Height x Width x Channels is at most {int.MaxValue}");
        long most = Math.Min(Channels, (long)Height * Width);
        Require(Endmembers >= 2 && Endmembers <= most, nameof(Endmembers), Endmembers, $"from 2 to min(channels, pixels) = {most}");
        Require(double.IsFinite(Snr), nameof(Snr), Snr, "finite");
        Require(BadChannels >= 0 && BadChannels < Channels, nameof(BadChannels), BadChannels, $"from 0 to {Channels - 1}");
    }

    private protected static void Require(bool holds, string name, object value, string rule)
    {
        if (!holds) throw new ArgumentOutOfRangeException(name, value, $"{name} must be {rule}.");
    }
}

/// <summary>
/// A landscape: abundances are the softmax of smooth random fields over a temperature that varies smoothly too, so that mixing is low in
/// one part of the image and high in another. Defaults: 40 x 40 pixels, 120 channels, 4 materials, 30 dB, 12 bad channels.
/// </summary>
public sealed record LandscapeSceneOptions : HyperspectralSceneOptions
{
    /// <summary>The defaults.</summary>
    public LandscapeSceneOptions()
        : base(40, 40, 120, 4, 30, 12)
    {
    }

    /// <summary>Temperature of the purest pixel, positive. Default 0.05.</summary>
    public double PureTemperature { get; init; } = 0.05;

    /// <summary>Temperature of the most mixed pixel, not below <see cref="PureTemperature"/>. Default 1.25.</summary>
    public double MixedTemperature { get; init; } = 1.25;

    /// <summary>Standard deviation in pixels of the blur that makes the fields smooth, positive. Default 4; the temperature has half as much again.</summary>
    public double Smoothness { get; init; } = 4;

    /// <inheritdoc/>
    public override void Validate()
    {
        base.Validate();
        Require(PureTemperature > 0 && double.IsFinite(PureTemperature), nameof(PureTemperature), PureTemperature, "positive and finite");
        Require(
            MixedTemperature >= PureTemperature && double.IsFinite(MixedTemperature), nameof(MixedTemperature), MixedTemperature,
            $"finite and not below {nameof(PureTemperature)} = {PureTemperature}");
        Require(Smoothness > 0 && Smoothness <= 1000, nameof(Smoothness), Smoothness, "positive and at most 1000 pixels");
    }
}

/// <summary>
/// Two halves: left, every pixel has one dominant material and a minor one; right, all materials in shares drawn from a Dirichlet distribution.
/// Defaults: 30 x 30 pixels, 60 channels, 6 materials, 15 dB, 6 bad channels.
/// </summary>
public sealed record TwoRegionSceneOptions : HyperspectralSceneOptions
{
    /// <summary>The defaults.</summary>
    public TwoRegionSceneOptions()
        : base(30, 30, 60, 6, 15, 6)
    {
    }

    /// <summary>Least share of the dominant material, from 0.5 to 1; it is uniform between this and 1. Default 0.7.</summary>
    public double LeastDominant { get; init; } = 0.7;

    /// <summary>Parameter of the Dirichlet distribution, the same for all materials, from 1 to 1000. Default 4; a larger one mixes more evenly.</summary>
    public int Concentration { get; init; } = 4;

    /// <inheritdoc/>
    public override void Validate()
    {
        base.Validate();
        Require(Width >= 2, nameof(Width), Width, "at least 2, for two regions");
        Require(LeastDominant is >= 0.5 and <= 1, nameof(LeastDominant), LeastDominant, "from 0.5 to 1");
        Require(Concentration is >= 1 and <= 1000, nameof(Concentration), Concentration, "from 1 to 1000");
    }
}
