namespace Sparseland.Autoencoders.Metrics;

/// <summary>Settings of <see cref="Steering"/>.</summary>
public sealed record SteeringOptions
{
    /// <summary>Latents drawn, and as many random directions. Default 96.</summary>
    public int Latents { get; init; } = 96;

    /// <summary>Only latents above this density are drawn. Default 1e-4.</summary>
    public double MinDensity { get; init; } = 1e-4;

    /// <summary>c, how far activations are moved; a quarter of their mean norm on the measured windows where null, the default.</summary>
    public double? Strength { get; init; }

    /// <summary>Tokens of a window; the model's context, 256 at most, where null, the default.</summary>
    public int? Length { get; init; }

    /// <summary>Windows measured, from the beginning of the text; 4, or fewer where the text has fewer, where null, the default.</summary>
    public int? Windows { get; init; }

    /// <summary>Seed of the draw and of the random directions. Default 1.</summary>
    public long Seed { get; init; } = 1;
}
