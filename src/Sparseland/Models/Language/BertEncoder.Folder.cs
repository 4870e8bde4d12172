using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.IO;
using Sparseland.Models.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

// Folders of Hugging Face and sentence-transformers.
public sealed partial class BertEncoder
{
    // The config.json and the prompts that were read.
    private string? _fields, _prompts;

    // Whether sentence-transformers normalise the vectors of the folder that was read.
    private bool _normalised = true;

    // What stands before the encoder's names where a head stands beside it.
    private const string Body = "bert.";

    private const string ConfigFile = "config.json", PromptsFile = "config_sentence_transformers.json", LengthFile = "sentence_bert_config.json", ModulesFile = "modules.json";
    private static readonly string[] s_modules = ["Transformer", "Pooling", "Normalize"];
    private const string PoolingFolder = "1_Pooling";
    private static readonly JsonSerializerOptions s_readable = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>
    /// Reads a folder of Hugging Face: config.json, model.safetensors (or several files with their index), and tokenizer.json or vocab.txt. Where
    /// the folder is one of sentence-transformers, its pooling, longest text and prefix of queries are taken too; else the longest text is the
    /// tokenizer_config.json's model_max_length. Cutting and filling that a tokenizer.json asks for are not applied.
    /// </summary>
    /// <param name="folder">The folder. Its files may hold the encoder alone or with heads, which are left out; the names gamma and beta of older files are known.</param>
    /// <param name="progress">Told after each tensor, in bytes.</param>
    /// <param name="cancel">Checked between tensors.</param>
    /// <returns>The encoder, in evaluation mode, float32; dispose it.</returns>
    /// <exception cref="IOException">The folder or one of its files is missing.</exception>
    /// <exception cref="InvalidDataException">Another architecture, a missing, misshapen or unknown tensor, a tokenizer, pooling or step that is not known, a prompt before every text, or a broken file; the message names it.</exception>
    /// <exception cref="PlatformNotSupportedException">The tokenizer needs a Unicode normal form, and the program runs without ICU.</exception>
    public static BertEncoder Load(string folder, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default) => LoadWith(folder, s_modules, progress, cancel);

    /// <summary>The same where the folder's modules.json may name other steps, which the caller knows.</summary>
    internal static BertEncoder LoadWith(string folder, IReadOnlyList<string> modules, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (!Directory.Exists(folder)) throw new DirectoryNotFoundException($"There is no folder '{folder}'.");
        if (!File.Exists(Path.Combine(folder, ConfigFile))) throw new FileNotFoundException($"'{folder}' holds no {ConfigFile}; a model's folder has one, written last.", Path.Combine(folder, ConfigFile));
        BertConfig config = Read(folder, ConfigFile, BertConfig.FromJson)!;
        (string pooling, bool normalised) = Read(folder, ModulesFile, json => ((string, bool)?)ModulesOf(json, modules)) ?? ("", true);
        string poolingFile = Path.Combine(pooling.Length == 0 ? PoolingFolder : pooling, ConfigFile);
        if (pooling.Length > 0 && !File.Exists(Path.Combine(folder, poolingFile)))
            throw new FileNotFoundException($"'{folder}' lacks {poolingFile}, which its {ModulesFile} names.", Path.Combine(folder, poolingFile));
        TextTokenizer words = Words(folder);
        if (words.Vocabulary > config.Vocabulary) throw new InvalidDataException($"'{folder}': the tokenizer has {words.Vocabulary} tokens, more than the model's {config.Vocabulary}.");
        if (!words.Lowers && Read(folder, LengthFile, json => Field(json, "do_lower_case")?.ValueKind) == JsonValueKind.True)
            throw new InvalidDataException($"{Path.Combine(folder, LengthFile)} asks for lower case, but the tokenizer keeps the case.");
        using WeightFolder weights = WeightFolder.Open(folder);
        bool pooler = weights.Names.Any(name => name.EndsWith("pooler.dense.weight", StringComparison.Ordinal));
        var encoder = new BertEncoder(config, words, pooler, META)
        {
            Pooling = Read(folder, poolingFile, PoolingOf) ?? Pooling.Cls,
            QueryPrefix = Read(folder, PromptsFile, QueryPrefixOf) ?? "",
            MostTokens = Longest(folder, config),
            _fields = Read(folder, ConfigFile, json => json),
            _prompts = Read(folder, PromptsFile, json => json),
            _normalised = normalised,
        };
        try
        {
            weights.Fill(encoder, Layout(weights.Names), encoder.Config.Layers, progress, cancel);
            encoder.eval();
            return encoder;
        }
        catch
        {
            encoder.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Writes a folder that <see cref="Load"/>, Hugging Face's transformers and sentence-transformers read. config.json comes last and an older
    /// one goes first, when the weights are on the disk: a folder that was cut off while it was written has none, and is not loaded. The tokenizer's
    /// files, the fields of config.json and the prompts that are not understood here are written as they were read.
    /// </summary>
    /// <param name="folder">The folder; made where it is missing.</param>
    /// <param name="notes">Kept in the safetensors file: where the weights come from; null for none.</param>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public void Save(string folder, IReadOnlyDictionary<string, string>? notes = null) => Save(folder, notes, null, half: false);

    /// <summary>The same with a head beside the encoder, as BertForMaskedLM has it, and in half precision where asked.</summary>
    internal void Save(string folder, IReadOnlyDictionary<string, string>? notes, IReadOnlyDictionary<string, Tensor>? head, bool half)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        using DisposeScope scope = NewDisposeScope();
        ScalarType type = half ? ScalarType.Float16 : Embeddings.dtype;
        string json = head is null ? Config.ToJson() : Config.ToJson().Replace("BertModel", "BertForMaskedLM", StringComparison.Ordinal);
        json = KeptFields.Merge(json, _fields, type);
        Directory.CreateDirectory(Path.Combine(folder, PoolingFolder));
        var tensors = named_parameters().ToDictionary(p => head is null ? p.name : Body + p.name, p => p.parameter.detach().to(type));
        foreach ((string name, Tensor value) in head ?? new Dictionary<string, Tensor>()) tensors.Add(name, value.detach().to(type));

        // What takes the space comes first: on a full disk an older encoder stays as it was.
        using ReplacedFile weights = SafeTensors.Begin(
            Path.Combine(folder, "model.safetensors"), tensors,
            new Dictionary<string, string>(notes ?? new Dictionary<string, string>()) { ["format"] = "pt" });
        File.Delete(Path.Combine(folder, ConfigFile));
        weights.Commit();
        TokenizerFile.SaveFolder(folder, Tokenizer);
        if (!Tokenizer.Companions.Has(TokenizerConfig.FileName))
            WriteJson(folder, TokenizerConfig.FileName, new JsonObject { ["tokenizer_class"] = "BertTokenizer", ["do_lower_case"] = Tokenizer.Lowers, ["model_max_length"] = MostTokens });
        WriteJson(folder, Path.Combine(PoolingFolder, ConfigFile), new JsonObject
        {
            ["word_embedding_dimension"] = Config.Width, ["pooling_mode_cls_token"] = Pooling == Pooling.Cls, ["pooling_mode_mean_tokens"] = Pooling == Pooling.Mean,
            ["pooling_mode_max_tokens"] = false, ["pooling_mode_mean_sqrt_len_tokens"] = false,
        });
        WriteJson(folder, LengthFile, new JsonObject { ["max_seq_length"] = MostTokens, ["do_lower_case"] = false });
        WriteJson(folder, PromptsFile, PromptsJson());
        JsonObject Module(int index, string path, string type) => new() { ["idx"] = index, ["name"] = $"{index}", ["path"] = path, ["type"] = $"sentence_transformers.models.{type}" };
        JsonArray modules = [Module(0, "", "Transformer"), Module(1, PoolingFolder, "Pooling")];
        if (_normalised) modules.Add(Module(2, "2_Normalize", "Normalize"));
        WriteJson(folder, ModulesFile, modules);
        Write(folder, ConfigFile, json);
    }

    /// <summary>The prompts that were read, with the prefix of queries as it is here.</summary>
    private JsonObject PromptsJson()
    {
        JsonObject json = (_prompts is null ? null : JsonNode.Parse(_prompts)) as JsonObject ?? [];
        if (json["prompts"] is not JsonObject prompts) json["prompts"] = prompts = [];
        if (QueryPrefix.Length > 0) prompts["query"] = QueryPrefix;
        else prompts.Remove("query");
        return json;
    }

    /// <summary>The prompt of queries. One that stands before every text is refused: vectors without it would be other ones.</summary>
    private static string? QueryPrefixOf(string json)
    {
        if (Field(json, "default_prompt_name")?.GetString() is { } name && Field(json, "prompts", name)?.GetString() is { Length: > 0 } prompt)
            throw new InvalidDataException($"The default_prompt_name is '{name}', so \"{prompt}\" stands before every text; that is not known.");
        return Field(json, "prompts", "query")?.GetString();
    }

    private static int Longest(string folder, BertConfig config)
    {
        double said = Read(folder, LengthFile, json => Field(json, "max_seq_length")?.GetInt32()) ?? TokenizerConfig.Read(folder).Longest ?? config.Context;
        return said >= 2 ? (int)Math.Min(said, config.Context) : throw new InvalidDataException($"'{folder}': the longest text has {said} tokens (max_seq_length or model_max_length); it must have at least 2.");
    }

    private static TextTokenizer Words(string folder)
    {
        TextTokenizer words = TokenizerFile.Load(folder);
        try
        {
            CheckSpecial(words);
            return words;
        }
        catch (FormatException error)
        {
            throw new InvalidDataException($"'{folder}': {error.Message}", error);
        }
    }

    /// <summary>Names of tensors as files have them: with "bert." before each where a head stands beside the encoder, and gamma and beta for the norms' weight and bias in older ones.</summary>
    private static WeightLayout Layout(IEnumerable<string> names)
    {
        HashSet<string> stored = [.. names];
        string prefix = stored.Any(name => name.StartsWith(Body, StringComparison.Ordinal)) ? Body : "";
        string Stored(string name)
        {
            string older = name.Replace("LayerNorm.weight", "LayerNorm.gamma", StringComparison.Ordinal).Replace("LayerNorm.bias", "LayerNorm.beta", StringComparison.Ordinal);
            return prefix + (stored.Contains(prefix + name) ? name : older);
        }

        bool Ignored(string name) => name.EndsWith("embeddings.position_ids", StringComparison.Ordinal) || name.StartsWith("cls.", StringComparison.Ordinal)
            || (prefix.Length > 0 && !name.StartsWith(prefix, StringComparison.Ordinal));
        return new WeightLayout("", _ => false, Ignored)
        {
            Stored = Stored,
            Blocks = ("layer.", "num_hidden_layers"),
            Asks = _ => "model_type",
            Sizes = name => name.Contains("word_embeddings", StringComparison.Ordinal) ? "vocab_size, hidden_size"
                : name.Contains("position_embeddings", StringComparison.Ordinal) ? "max_position_embeddings, hidden_size"
                : name.Contains("intermediate.", StringComparison.Ordinal) || (name.Contains(".output.dense", StringComparison.Ordinal) && !name.Contains("attention", StringComparison.Ordinal))
                ? "hidden_size, intermediate_size" : "hidden_size",
        };
    }

    private static Pooling? PoolingOf(string json)
    {
        bool Is(string mode) => Field(json, $"pooling_mode_{mode}") is { ValueKind: JsonValueKind.True };
        string[] modes = [.. new[] { "cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken" }.Where(Is)];
        return modes switch
        {
            ["cls_token"] => Pooling.Cls,
            ["mean_tokens"] => Pooling.Mean,
            _ => throw new InvalidDataException($"The pooling is {(modes.Length == 0 ? "none" : string.Join(" and ", modes))}; cls_token and mean_tokens are known."),
        };
    }

    /// <summary>Where the pooling's config lies, "" where no step is one, and whether vectors are normalised. Steps that would be left out without a word, as a Dense layer, are refused.</summary>
    private static (string Pooling, bool Normalised) ModulesOf(string json, IReadOnlyList<string> known)
    {
        (string pooling, bool normalised) = ("", false);
        using JsonDocument document = JsonDocument.Parse(json);
        foreach (JsonElement module in document.RootElement.EnumerateArray())
        {
            string type = Field(module.GetRawText(), "type")?.GetString() ?? "";
            if (!known.Any(name => type.EndsWith("." + name, StringComparison.Ordinal)))
                throw new InvalidDataException($"The model has a module of the type '{type}'; {string.Join(", ", known)} are known.");
            if (type.EndsWith(".Pooling", StringComparison.Ordinal)) pooling = Field(module.GetRawText(), "path")?.GetString() ?? "";
            normalised |= type.EndsWith(".Normalize", StringComparison.Ordinal);
        }

        return (pooling, normalised);
    }

    private static JsonElement? Field(string json, params string[] path)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        JsonElement at = document.RootElement;
        foreach (string name in path)
        {
            if (at.ValueKind != JsonValueKind.Object || !at.TryGetProperty(name, out at)) return null;
        }

        return at.ValueKind == JsonValueKind.Null ? null : at.Clone();
    }

    /// <summary>What a file of the folder says, or the default where there is no such file.</summary>
    private static T? Read<T>(string folder, string name, Func<string, T> read)
    {
        string file = Path.Combine(folder, name);
        if (!File.Exists(file)) return default;
        try
        {
            return read(File.ReadAllText(file));
        }
        catch (Exception error) when (error is InvalidDataException or JsonException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException($"{file}: {error.Message}", error);
        }
    }

    private static void WriteJson(string folder, string name, JsonNode json) => Write(folder, name, json.ToJsonString(s_readable).ReplaceLineEndings("\n") + "\n");

    private static void Write(string folder, string name, string text) => ReplacedFile.Write(Path.Combine(folder, name), stream => stream.Write(new UTF8Encoding(false).GetBytes(text)));
}
