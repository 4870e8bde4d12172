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

    /// <summary>What was measured when it was made here; null where the folder says nothing of it. Default null.</summary>
    public AutoencoderFigures? Figures { get; init; }

    /// <summary>Keys of the folder's config that were not used, kept for writing it again. Default null.</summary>
    public JsonObject? Unused { get; init; }
}

/// <summary>An autoencoder from a folder. It owns the autoencoder.</summary>
/// <param name="Autoencoder">The autoencoder, on the scale of the model's activations.</param>
/// <param name="Origin">Where it belongs.</param>
/// <param name="Remarks">What a user should know: tensors that were not used, types that were widened, norms that were folded.</param>
public sealed record SavedAutoencoder(SparseAutoencoder Autoencoder, AutoencoderOrigin Origin, IReadOnlyList<string> Remarks) : IDisposable
{
    /// <summary>The place in a decoder where the autoencoder belongs; refused where it cannot.</summary>
    /// <param name="model">The model.</param>
    /// <param name="name">What messages call the model. Default "the model".</param>
    /// <param name="site">The place; null, the default, for the one that the folder names.</param>
    /// <exception cref="ArgumentException">No place is known, the model has no such layer or place, or the widths differ; the message names both.</exception>
    public ActivationSite SiteIn(LanguageModel model, string name = "the model", ActivationSite? site = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        return SiteIn(name, model.Layers, site, place => ModelActivations.WidthOf(model, place));
    }

    /// <summary>The place in an encoder where the autoencoder belongs; refused where it cannot.</summary>
    /// <param name="encoder">The encoder.</param>
    /// <param name="name">What messages call the encoder. Default "the encoder".</param>
    /// <param name="site">The place; null, the default, for the one that the folder names.</param>
    /// <exception cref="ArgumentException">No place is known, the encoder has no such layer or place, or the widths differ; the message names both.</exception>
    public ActivationSite SiteIn(BertEncoder encoder, string name = "the encoder", ActivationSite? site = null)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        return SiteIn(name, encoder.Config.Layers, site, place => EncoderActivations.WidthOf(encoder, place));
    }

    /// <inheritdoc/>
    public void Dispose() => Autoencoder.Dispose();

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    private ActivationSite SiteIn(string name, int layers, ActivationSite? wanted, Func<ActivationSite, int> widthAt)
    {
        string of = Origin.Model is null ? "" : $" of '{Origin.Model}'";
        ActivationSite site = wanted ?? Origin.Site
            ?? throw new ArgumentException($"The autoencoder's folder names {(Origin.Hook is null ? "no place" : $"the place '{Origin.Hook}'{of}, which is none of ours")}; say which it is, such as {HookNames.Example}.", nameof(site));
        if (site.Layer < 0 || site.Layer >= layers)
            throw new ArgumentException($"The place is {HookNames.Name(site)}{(wanted is null ? of : "")}, but {name} has blocks 0 to {layers - 1}.", nameof(site));
        int width = widthAt(site);
        return width == Autoencoder.Width ? site : throw new ArgumentException(
            $"The autoencoder{(Origin.Hook is null ? "" : $" of '{Origin.Hook}'")}{of} has width {Autoencoder.Width}, but {HookNames.Name(site)} of {name} has {width}: it belongs to another model or place.", nameof(site));
    }
}
