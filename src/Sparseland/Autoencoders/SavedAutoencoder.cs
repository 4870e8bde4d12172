using System.Text.Json.Nodes;
using Sparseland.Models.Language;
using Sparseland.Tensors;

namespace Sparseland.Autoencoders;

/// <summary>Where an autoencoder belongs, as far as its folder says.</summary>
public sealed record AutoencoderOrigin
{
    /// <summary>Name of the model; null where it is not said. Default null.</summary>
    public string? Model { get; init; }

    /// <summary>Name of the place in the words of the kit that wrote the folder; null where it is not said. Default null.</summary>
    public string? Hook { get; init; }

    /// <summary>The place; null where the name is not one of ours. Default null.</summary>
    public ActivationSite? Site { get; init; }

    /// <summary>Keys of the folder's config that were not used, kept for writing it again. Default null.</summary>
    public JsonObject? Unused { get; init; }
}

/// <summary>An autoencoder from a folder. It owns the autoencoder.</summary>
/// <param name="Autoencoder">The autoencoder, on the scale of the model's activations.</param>
/// <param name="Origin">Where it belongs.</param>
/// <param name="Remarks">What a user should know: tensors that were not used, types that were widened, norms that were folded.</param>
public sealed record SavedAutoencoder(SparseAutoencoder Autoencoder, AutoencoderOrigin Origin, IReadOnlyList<string> Remarks) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => Autoencoder.Dispose();

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
