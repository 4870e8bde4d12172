using Sparseland.Autoencoders;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using Sparseland.Notebooks;

namespace Sparseland.Kernel.Autoencoders;

/// <summary>The model whose activations an autoencoder reads: a decoder, or a text encoder.</summary>
internal sealed class HostModel : IDisposable
{
    private HostModel(string name, LoadedLanguageModel? decoder, BertEncoder? encoder) => (Name, Decoder, Tokenizer, Encoder) = (name, decoder?.Model, decoder?.Tokenizer, encoder);

    /// <summary>What folders and messages call it.</summary>
    public string Name { get; }

    /// <summary>The decoder; null for an encoder.</summary>
    public LanguageModel? Decoder { get; }

    /// <summary>The decoder's tokenizer.</summary>
    public TextTokenizer? Tokenizer { get; }

    /// <summary>The encoder; null for a decoder.</summary>
    public BertEncoder? Encoder { get; }

    /// <summary>Blocks.</summary>
    public int Layers => Decoder?.Layers ?? Encoder!.Config.Layers;

    /// <summary>Loads a model.</summary>
    /// <param name="model">A folder of Hugging Face, "tinylm" for the one that is shipped, or "arctic" for the encoder that comes as a package.</param>
    /// <param name="cancel">Stops the loading.</param>
    public static HostModel Load(string model, CancellationToken cancel)
    {
        string config = Path.Combine(model, "config.json");
        if (!File.Exists(config))
        {
            if (model == "arctic") return new("snowflake-arctic-embed-xs", null, Pretrained.ArcticXs(cancel: cancel));
            if (model == "tinylm") return new("tinylm", LanguageModelFolder.Load(SeriesData.Find("tinylm"), cancel: cancel), null);
            throw new FileNotFoundException($"'{model}' is no folder with a config.json; give a model's folder as Hugging Face has them, tinylm for the model that is shipped, or arctic for the text encoder.", config);
        }

        string name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(model)));
        return TypeOf(config) == "bert"
            ? new(name, null, BertEncoder.Load(model, cancel: cancel))
            : new(name, LanguageModelFolder.Load(model, cancel: cancel), null);
    }

    private static string TypeOf(string config)
    {
        try
        {
            return ConfigFields.TypeOf(File.ReadAllText(config));
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"{config}: {e.Message}", e);
        }
    }

    /// <summary>A place by any of its names, which the model must have.</summary>
    /// <exception cref="ArgumentException">The name is not known, or the model has no such block.</exception>
    public ActivationSite Site(string name)
    {
        ActivationSite site = HookNames.Parse(name) ?? throw new ArgumentException($"--site is '{name}'; places are named {HookNames.Example}.");
        if (site.Layer >= Layers) throw new ArgumentException($"--site is '{name}', but {Name} has blocks 0 to {Layers - 1}.");
        return site;
    }

    /// <summary>The place where a saved autoencoder belongs.</summary>
    /// <exception cref="ArgumentException">It does not fit the model; the message names both.</exception>
    public ActivationSite SiteOf(SavedAutoencoder saved, ActivationSite? wanted) =>
        Decoder is null ? saved.SiteIn(Encoder!, Name, wanted) : saved.SiteIn(Decoder, Name, wanted);

    /// <inheritdoc/>
    public void Dispose()
    {
        Decoder?.Dispose();
        Encoder?.Dispose();
    }
}
