using System.Runtime.InteropServices;
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
/// Llama (to 3.2), Mistral, Qwen2, Qwen2.5, Qwen3, Gemma 2, GPT-2 and GPT-NeoX (Pythia) can be read and written.
/// </summary>
/// <remarks>
/// Layers that were replaced by <see cref="SparseLinear"/> are written compressed and load as such; other programs do not read such a folder. config.json then has
/// the field sparse_layers, from the name of each layer to its format, rows, columns and what the format needs (csr; bitmap; nofm: n, m; blocks: block_rows,
/// block_columns; gqsa: bits, group_size), and model.safetensors has, in place of NAME.weight, the arrays NAME.row_offsets, NAME.column_indices and NAME.values (csr,
/// blocks: of blocks, row-major), NAME.bits and NAME.values (bitmap), NAME.values and NAME.positions (nofm), or NAME.row_index, NAME.group_index, NAME.values, NAME.scale
/// and NAME.zero (gqsa), all of one dimension. 16-bit indices are unsigned in the bits of I16.
/// </remarks>
public static class LanguageModelFolder
{
    private const string Config = "config.json";
    private static readonly string[] s_companions = ["generation_config.json"];

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
    /// <exception cref="PlatformNotSupportedException">The tokenizer needs a Unicode normal form, and the program runs without ICU.</exception>
    public static LoadedLanguageModel Load(string path, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        LanguageModel model = Empty(path);
        try
        {
            TextTokenizer tokenizer = TokenizerFile.Load(path);
            if (Misfit(model, tokenizer) is { } misfit) throw new InvalidDataException($"'{path}': {misfit}");
            Fill(model, path, progress, cancel);
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
        LanguageModel model = Empty(path);
        try
        {
            Fill(model, path, progress, cancel);
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Longest sequence in tokens of a folder's model; nothing but its config is read.</summary>
    /// <param name="path">The folder.</param>
    /// <exception cref="IOException">The folder or its config is missing.</exception>
    /// <exception cref="InvalidDataException">An unknown architecture or feature.</exception>
    public static int ContextOf(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        using LanguageModel model = Empty(path);
        return model.Context;
    }

    /// <summary>
    /// Writes a model as a folder of its architecture that Hugging Face's transformers read as well and that loads again bit for bit. What was
    /// read with a loaded model is written as it was: fields of config.json that are not understood here (bos_token_id, eos_token_id and others),
    /// generation_config.json, and the tokenizer's settings and chat template; such files of a model that stood in the folder before go. config.json comes last and an older one goes first: a folder
    /// that was cut off while it was written has none, and is not loaded.
    /// </summary>
    /// <param name="path">The folder; made where it is missing.</param>
    /// <param name="model">The model.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="notes">Kept in the safetensors file: how the weights were made; null, the default, for none.</param>
    /// <exception cref="ArgumentException">The tokenizer has another vocabulary, or no config.json of the model's architecture can say its config.</exception>
    public static void Save(string path, LanguageModel model, TextTokenizer tokenizer, IReadOnlyDictionary<string, string>? notes = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(tokenizer);
        if (Misfit(model, tokenizer) is { } misfit) throw new ArgumentException(misfit, nameof(tokenizer));
        Write(path, model, tokenizer, notes);
    }

    /// <summary>Writes the model alone, as <see cref="Save"/> does: for a model whose tokenizer is not at hand.</summary>
    /// <param name="path">The folder; made where it is missing.</param>
    /// <param name="model">The model.</param>
    /// <param name="notes">Kept in the safetensors file: how the weights were made; null, the default, for none.</param>
    /// <exception cref="ArgumentException">No config.json of the model's architecture can say its config.</exception>
    public static void SaveModel(string path, LanguageModel model, IReadOnlyDictionary<string, string>? notes = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(model);
        Write(path, model, null, notes);
    }

    private static void Write(string path, LanguageModel model, TextTokenizer? tokenizer, IReadOnlyDictionary<string, string>? notes)
    {
        if (LinearSlots.Of(model).FirstOrDefault(slot => slot.Module is not (TorchSharp.Modules.Linear or SparseLinear)) is { } other)
            throw new ArgumentException($"{other.Name} is a {other.Module.GetType().Name}, which a folder of this architecture cannot hold; make it linear again with LinearSlots.Merge or Restore, or pack it as a SparseLinear.", nameof(model));

        // A config that cannot be written is refused here, before anything older is touched.
        string json = SparseLayers.Describe(KeptFields.Merge(model.ConfigJson, model.ReadConfig, model.Embeddings.dtype), model);
        WeightLayout layout = model.Layout;
        Directory.CreateDirectory(path);
        string config = Path.Combine(path, Config);
        using IDisposable off = no_grad();
        using var scope = NewDisposeScope();

        // What takes the space comes first: on a full disk an older model stays as it was.
        using ReplacedFile weights = SafeTensors.Begin(
            Path.Combine(path, "model.safetensors"),
            model.named_parameters().Select(p => KeyValuePair.Create(p.name, layout.Turned(p.name) ? p.parameter.t().contiguous() : (Tensor)p.parameter)).Concat(SparseLayers.Arrays(model)).ToDictionary(),
            new Dictionary<string, string>(notes ?? new Dictionary<string, string>()) { ["format"] = "pt" });
        File.Delete(config);
        weights.Commit();
        model.Companions.Write(path, s_companions);
        if (tokenizer is not null) TokenizerFile.SaveFolder(path, tokenizer);
        ReplacedFile.Write(config, stream => stream.Write(new UTF8Encoding(false).GetBytes(json)));
    }

    /// <summary>The model of a config, without weights.</summary>
    internal static LanguageModel Empty(string path)
    {
        if (!Directory.Exists(path)) throw new DirectoryNotFoundException($"There is no folder '{path}'.");
        string file = Path.Combine(path, Config);
        if (!File.Exists(file)) throw new FileNotFoundException($"'{path}' holds no {Config}; a model's folder has one, written last.", file);
        string json = File.ReadAllText(file);
        try
        {
            string type = ConfigFields.TypeOf(json);
            LanguageModel model = type switch
            {
                "gpt2" => new Gpt2(Gpt2Config.FromJson(json), META),
                "gpt_neox" => new GptNeoX(GptNeoXConfig.FromJson(json), META),
                _ when LlamaConfigFile.Types.Contains(type) => new TinyLM(LlamaConfig.FromJson(json), META),
                _ => throw new InvalidDataException($"The config's model_type is '{type}'; {string.Join(", ", LlamaConfigFile.Types)}, gpt2 and gpt_neox are known."),
            };
            (model.ReadConfig, model.Companions) = (json, KeptFiles.Read(path, s_companions));
            return model;
        }
        catch (InvalidDataException error)
        {
            throw new InvalidDataException($"{file}: {error.Message}", error);
        }
        catch (ExternalException error)
        {
            // Each size is one that a model may have, together they are none.
            throw new InvalidDataException($"{file}: no model of these sizes can be made: {error.Message.Split('\n')[0]}", error);
        }
    }

    private static void Fill(LanguageModel model, string path, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        using WeightFolder weights = WeightFolder.Open(path);
        HashSet<string> compressed = SparseLayers.Put(model, weights);
        WeightLayout layout = model.Layout;
        weights.Fill(model, layout with { Ignored = name => compressed.Contains(name) || layout.Ignored(name) }, model.Layers, progress, cancel);
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
