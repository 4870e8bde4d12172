namespace Sparseland.Notebooks.Dashboards;

/// <summary>What a page of latents says of its subject beside what was measured.</summary>
public sealed record LatentPageOptions
{
    /// <summary>Name of the model. Default "a language model".</summary>
    public string Model { get; init; } = "a language model";

    /// <summary>Name of the autoencoder; left out where null, the default.</summary>
    public string? Autoencoder { get; init; }

    /// <summary>Name of the text; left out where null, the default.</summary>
    public string? Text { get; init; }
}
