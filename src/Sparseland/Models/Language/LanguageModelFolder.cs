using System.Text;
using System.Text.Json;
using Sparseland.IO;
using Sparseland.Models.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>A model and the tokenizer that it was trained with.</summary>
/// <param name="Model">The model, in evaluation mode, float32; dispose it.</param>
/// <param name="Tokenizer">Text to its ids and back.</param>
public sealed record LoadedLanguageModel(LanguageModel Model, TextTokenizer Tokenizer);

/// <summary>
/// Folders of Hugging Face: config.json, model.safetensors (or several files with model.safetensors.index.json) and tokenizer.json.
/// Llama, GPT-2 and GPT-NeoX (Pythia) can be read.
/// </summary>
public static class LanguageModelFolder
{
    private const string Config = "config.json";

    // Vocabularies are often padded so that their number divides well; the largest padding of a Pythia is 411.
    private const int MostPadding = 511;

    /// <summary>Reads model and tokenizer.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="progress">Told after each tensor, in bytes.</param>
    /// <param name="cancel">Checked between tensors.</param>
    /// <exception cref="IOException">The folder or one of its files is missing.</exception>
    /// <exception cref="InvalidDataException">
    /// An unknown architecture or feature, a missing, misshapen or unknown tensor, a broken file, or a tokenizer of another vocabulary;
    /// the message names it.
    /// </exception>
    public static LoadedLanguageModel Load(string path, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        (LanguageModel model, WeightLayout layout) = Empty(path);
        try
        {
            TextTokenizer tokenizer = TokenizerFile.Load(path);
            if (Misfit(model, tokenizer) is { } misfit) throw new InvalidDataException($"'{path}': {misfit}");
            Fill(model, layout, path, progress, cancel);
            return new(model, tokenizer);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Reads the model alone: for a folder without a tokenizer, or with one of a kind that is not known.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="progress">Told after each tensor, in bytes.</param>
    /// <param name="cancel">Checked between tensors.</param>
    /// <returns>The model, in evaluation mode, float32.</returns>
    /// <exception cref="IOException">The folder or one of its files is missing.</exception>
    /// <exception cref="InvalidDataException">An unknown architecture or feature, a missing, misshapen or unknown tensor, or a broken file; the message names it.</exception>
    public static LanguageModel LoadModel(string path, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        (LanguageModel model, WeightLayout layout) = Empty(path);
        try
        {
            Fill(model, layout, path, progress, cancel);
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Writes a model as a Llama folder that Hugging Face's transformers read as well. config.json comes last and an older one goes
    /// first: a folder that was cut off while it was written has none, and is not loaded.
    /// </summary>
    /// <param name="path">The folder; made where it is missing.</param>
    /// <param name="model">The model.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="notes">Kept in the safetensors file: how the weights were made.</param>
    /// <exception cref="ArgumentException">The tokenizer has another vocabulary.</exception>
    public static void Save(string path, TinyLM model, TextTokenizer tokenizer, IReadOnlyDictionary<string, string>? notes = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(tokenizer);
        if (Misfit(model, tokenizer) is { } misfit) throw new ArgumentException(misfit, nameof(tokenizer));
        Directory.CreateDirectory(path);
        string config = Path.Combine(path, Config);
        File.Delete(config);
        SafeTensors.Save(
            Path.Combine(path, "model.safetensors"), model.named_parameters().ToDictionary(p => p.name, p => (Tensor)p.parameter),
            new Dictionary<string, string>(notes ?? new Dictionary<string, string>()) { ["format"] = "pt" });
        TokenizerFile.Save(path, tokenizer.Model);
        ReplacedFile.Write(config, stream => stream.Write(new UTF8Encoding(false).GetBytes(model.Config.ToJson())));
    }

    /// <summary>The model of a config, without weights.</summary>
    private static (LanguageModel Model, WeightLayout Layout) Empty(string path)
    {
        if (!Directory.Exists(path)) throw new DirectoryNotFoundException($"There is no folder '{path}'.");
        string file = Path.Combine(path, Config);
        if (!File.Exists(file)) throw new FileNotFoundException($"'{path}' holds no {Config}; a model's folder has one, written last.", file);
        string json = File.ReadAllText(file);
        try
        {
            string type = ConfigFields.TypeOf(json);
            switch (type)
            {
                case "llama":
                    LlamaConfig llama = LlamaConfig.FromJson(json);
                    return (new TinyLM(llama, META), TinyLM.Layout(llama));
                case "gpt2":
                    Gpt2Config gpt2 = Gpt2Config.FromJson(json);
                    return (new Gpt2(gpt2, META), Gpt2.Layout(gpt2));
                case "gpt_neox":
                    GptNeoXConfig neox = GptNeoXConfig.FromJson(json);
                    return (new GptNeoX(neox, META), GptNeoX.Layout(neox));
                default:
                    throw new InvalidDataException($"The config's model_type is '{type}'; llama, gpt2 and gpt_neox are known.");
            }
        }
        catch (InvalidDataException error)
        {
            throw new InvalidDataException($"{file}: {error.Message}", error);
        }
    }

    private static void Fill(LanguageModel model, WeightLayout layout, string path, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        using WeightFolder weights = WeightFolder.Open(path);
        weights.Fill(model, layout, progress, cancel);
        model.eval();
    }

    /// <summary>What does not fit between a model and a tokenizer, or null.</summary>
    private static string? Misfit(LanguageModel model, TextTokenizer tokenizer)
    {
        if (tokenizer.Vocabulary > model.Vocabulary) return $"The tokenizer has {tokenizer.Vocabulary} tokens, more than the model's {model.Vocabulary}.";
        return model.Vocabulary - tokenizer.Vocabulary > MostPadding
            ? $"The tokenizer has {tokenizer.Vocabulary} tokens, the model {model.Vocabulary}; that is more than padding, so they do not belong together."
            : null;
    }
}
