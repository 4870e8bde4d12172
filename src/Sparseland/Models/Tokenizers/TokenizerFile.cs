using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.IO;
using Sparseland.Models.Tokenizers.Parts;

namespace Sparseland.Models.Tokenizers;

/// <summary>
/// The tokenizer.json of Hugging Face with the models BPE, WordPiece, Unigram and WordLevel, and the older pair vocab.json + merges.txt of
/// byte-level vocabularies. Reading the file is done here: Microsoft.ML.Tokenizers 2.0.1 has no reader of tokenizer.json.
/// </summary>
/// <remarks>
/// What a file says under "truncation" and "padding" is kept when it is saved, but not applied, as Hugging Face's transformers does not apply it
/// unless asked: they are leftovers of whoever saved the file. The argument "most" of <see cref="TextTokenizer.Encode"/> cuts;
/// <see cref="Language.BertEncoder"/> cuts at its MostTokens and fills its batches itself. A tokenizer that needs Unicode normal forms is
/// refused with a <see cref="PlatformNotSupportedException"/> where the program runs without ICU.
/// </remarks>
public static class TokenizerFile
{
    private const string Json = "tokenizer.json";

    // What else of a folder belongs to the tokenizer: settings and chat template of Hugging Face's transformers, BERT's list of tokens.
    private static readonly string[] s_companions = [TokenizerConfig.FileName, "special_tokens_map.json", "chat_template.jinja", WordPieceVocabulary.FileName];

    /// <summary>How tokenizer.json is laid out.</summary>
    internal static JsonSerializerOptions Layout { get; } = new() { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes a tokenizer.json. The same vocabulary gives the same bytes; the file appears only when it is whole.</summary>
    /// <param name="path">The file, or a folder that then holds tokenizer.json.</param>
    /// <param name="model">The vocabulary.</param>
    /// <exception cref="FormatException">The vocabulary does not hold together, see <see cref="TextTokenizer(BpeModel)"/>.</exception>
    public static void Save(string path, BpeModel model) => Save(path, new TextTokenizer(model));

    /// <summary>Writes a tokenizer.json that reads back as the same tokenizer: for one that was read, all its parts as they were.</summary>
    /// <param name="path">The file, or a folder that then holds tokenizer.json. It appears only when it is whole.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    public static void Save(string path, TextTokenizer tokenizer)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(tokenizer);
        if (Directory.Exists(path)) path = Path.Combine(path, Json);
        byte[] json = tokenizer.Json();
        ReplacedFile.Write(path, stream => stream.Write(json));
    }

    /// <summary>Writes tokenizer.json and what else was read of the tokenizer; such files of an older tokenizer go.</summary>
    internal static void SaveFolder(string folder, TextTokenizer tokenizer)
    {
        Save(folder, tokenizer);
        tokenizer.Companions.Write(folder, s_companions);
    }

    /// <summary>Reads a tokenizer.json, or vocab.json and merges.txt, or the vocab.txt of BERT.</summary>
    /// <param name="path">
    /// A tokenizer.json, or a folder with it, with the older pair of files or with vocab.txt. A tokenizer_config.json beside them says which
    /// token ends a text and, for vocab.txt, what becomes of case, accents and ideographs (do_lower_case, default true; strip_accents, default as
    /// do_lower_case; tokenize_chinese_chars, default true).
    /// </param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is not JSON, cut short, or has a part that is not known; the message names the part and its type.</exception>
    /// <exception cref="PlatformNotSupportedException">It needs a Unicode normal form, and the program runs without ICU; the message names the part.</exception>
    public static TextTokenizer Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!Directory.Exists(path)) return ReadJson(path);
        string json = Path.Combine(path, Json), vocabulary = Path.Combine(path, "vocab.json"), merges = Path.Combine(path, "merges.txt"), words = Path.Combine(path, WordPieceVocabulary.FileName);
        if (File.Exists(json)) return ReadJson(json);
        if (File.Exists(vocabulary) && File.Exists(merges)) return Named(path, () => new TextTokenizer(ReadPair(vocabulary, merges)) { Companions = KeptFiles.Read(path, s_companions) });
        if (File.Exists(words)) return WordPieceVocabulary.Load(words, TokenizerConfig.Read(path), KeptFiles.Read(path, s_companions));
        string hint = File.Exists(Path.Combine(path, "tokenizer.model")) ? " A SentencePiece tokenizer.model is not read; Hugging Face writes a tokenizer.json of it." : "";
        throw new FileNotFoundException($"'{path}' holds neither tokenizer.json nor vocab.json with merges.txt nor vocab.txt.{hint}", json);
    }

    /// <summary>Reads the text of a tokenizer.json.</summary>
    internal static TextTokenizer Read(byte[] json, string? end, KeptFiles companions)
    {
        ReadOnlyMemory<byte> text = json.AsSpan().StartsWith("\uFEFF"u8) ? json.AsMemory(3) : json;
        using JsonDocument document = JsonDocument.Parse(text);
        Pipeline pipeline = Pipeline.Read(document.RootElement);
        return new TextTokenizer(pipeline, ModelOf(document.RootElement, pipeline), Decodes(document.RootElement, "ByteLevel"), end, () => json) { Companions = companions };
    }

    /// <summary>The tokenizer.json of a byte-level vocabulary.</summary>
    internal static byte[] Write(BpeModel model)
    {
        var special = model.SpecialTokens.ToHashSet(StringComparer.Ordinal);
        var added = new JsonArray();
        var vocabulary = new JsonObject();
        for (int i = 0; i < model.Tokens.Count; i++)
        {
            vocabulary[model.Tokens[i]] = i;
            if (special.Contains(model.Tokens[i])) added.Add(Special(i, model.Tokens[i]));
        }

        JsonObject ByteLevel(bool useRegex) => new() { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = useRegex };
        JsonObject pieces = model.Pattern == BpeModel.Gpt2Pattern ? ByteLevel(true) : new JsonObject
        {
            ["type"] = "Sequence",
            ["pretokenizers"] = new JsonArray(
                new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = model.Pattern }, ["behavior"] = "Isolated", ["invert"] = false }, ByteLevel(false)),
        };
        var file = new JsonObject
        {
            ["version"] = "1.0", ["truncation"] = null, ["padding"] = null, ["added_tokens"] = added, ["normalizer"] = null,
            ["pre_tokenizer"] = pieces, ["post_processor"] = null, ["decoder"] = ByteLevel(true),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE", ["dropout"] = null, ["unk_token"] = null, ["continuing_subword_prefix"] = null, ["end_of_word_suffix"] = null,
                ["fuse_unk"] = false, ["byte_fallback"] = false, ["vocab"] = vocabulary,
                ["merges"] = new JsonArray([.. model.Merges.Select(m => (JsonNode)$"{m.Left} {m.Right}")]),
            },
        };
        return new UTF8Encoding(false).GetBytes(file.ToJsonString(Layout) + "\n");
    }

    /// <summary>An added token that is special and taken as it is written.</summary>
    internal static JsonObject Special(int id, string content) =>
        new() { ["id"] = id, ["content"] = content, ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false, ["special"] = true };

    private static TextTokenizer ReadJson(string path)
    {
        if (!File.Exists(path)) throw new FileNotFoundException($"There is no tokenizer '{path}'.", path);
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        TokenizerConfig config = TokenizerConfig.Read(folder);
        return Named(path, () => Read(File.ReadAllBytes(path), config.EndOfText, KeptFiles.Read(folder, s_companions)));
    }

    /// <summary>Names the file where it cannot be read.</summary>
    private static TextTokenizer Named(string path, Func<TextTokenizer> read)
    {
        try
        {
            return read();
        }
        catch (Exception error) when (error is JsonException or FormatException or InvalidOperationException or KeyNotFoundException)
        {
            throw new InvalidDataException($"'{path}' cannot be read as a tokenizer: {error.Message}", error);
        }
    }

    /// <summary>The byte-level vocabulary with one pattern, if that is all that the file says about making tokens; else null.</summary>
    private static BpeModel? ModelOf(JsonElement root, Pipeline pipeline)
    {
        Part model = new(root.GetProperty("model"), "model");
        bool plain = model.Json.TryGetProperty("merges", out JsonElement merges) && !model.Flag("byte_fallback", false) && !model.Flag("ignore_merges", false) && model.TextOrNull("unk_token") is null
            && string.IsNullOrEmpty(model.TextOrNull("continuing_subword_prefix")) && string.IsNullOrEmpty(model.TextOrNull("end_of_word_suffix"));
        if (!plain || Pipeline.Optional(root, "normalizer") is { Type: not "NFC" } || Pipeline.Optional(root, "pre_tokenizer") is not { } pieces || PatternOf(pieces) is not { } pattern) return null;
        (string, string)[] pairs = [.. merges.EnumerateArray().Select(BytePairs.Pair)];
        return new BpeModel(pipeline.Tokens, pairs, [.. pipeline.Added.Select(t => t.Content)], pattern);
    }

    private static bool Decodes(JsonElement root, string type) => Pipeline.Optional(root, "decoder") is { } decoder
        && (decoder.Type == type || (decoder.Type == "Sequence" && decoder.Parts("decoders").Any(p => p.Type == type)));

    private static BpeModel ReadPair(string vocabulary, string merges)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(vocabulary));
        var tokens = new SortedDictionary<int, string>();
        foreach (JsonProperty entry in document.RootElement.EnumerateObject())
        {
            int id = entry.Value.GetInt32();
            if (!tokens.TryAdd(id, entry.Name)) throw new FormatException($"id {id} belongs to two tokens, '{tokens[id]}' and '{entry.Name}'.");
        }

        foreach ((int id, int i) in tokens.Keys.Select((id, i) => (id, i)))
        {
            if (id != i) throw new FormatException($"no token has id {i}; ids must run from 0 without gaps.");
        }

        (string, string)[] pairs = [.. File.ReadLines(merges).Where(l => l.Length > 0 && !l.StartsWith("#version", StringComparison.Ordinal)).Select(BytePairs.Pair)];
        return new BpeModel([.. tokens.Values], pairs, [.. tokens.Values.Where(t => t == "<|endoftext|>")], BpeModel.Gpt2Pattern);
    }

    /// <summary>The pattern of a ByteLevel pre-tokenizer, alone or behind one Split; null for anything else.</summary>
    private static string? PatternOf(Part pieces)
    {
        if (pieces.Type == "ByteLevel") return pieces.Flag("use_regex", true) && !pieces.Flag("add_prefix_space", true) ? BpeModel.Gpt2Pattern : null;
        if (pieces.Type != "Sequence") return null;
        Part[] parts = [.. pieces.Parts("pretokenizers")];
        bool fits = parts.Length == 2 && parts[0].Type == "Split" && parts[0].Text("behavior") == Splitting.Isolated && parts[1].Type == "ByteLevel" && !parts[1].Flag("use_regex", true) && !parts[1].Flag("add_prefix_space", true);
        return fits && parts[0].Get("pattern").TryGetProperty("Regex", out JsonElement regex) ? regex.GetString() : null;
    }
}
