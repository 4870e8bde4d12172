using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.IO;

namespace Sparseland.Models.Tokenizers;

/// <summary>The tokenizer.json of Hugging Face, and the older pair vocab.json + merges.txt, for byte-level byte-pair vocabularies.</summary>
public static class TokenizerFile
{
    private const string Json = "tokenizer.json";

    /// <summary>Writes a tokenizer.json. The same vocabulary gives the same bytes; the file appears only when it is whole.</summary>
    /// <param name="path">The file, or a folder that then holds tokenizer.json.</param>
    /// <param name="model">The vocabulary.</param>
    public static void Save(string path, BpeModel model)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        _ = new TextTokenizer(model);
        if (Directory.Exists(path)) path = Path.Combine(path, Json);
        var special = model.SpecialTokens.ToHashSet(StringComparer.Ordinal);
        var added = new JsonArray();
        var vocabulary = new JsonObject();
        for (int i = 0; i < model.Tokens.Count; i++)
        {
            vocabulary[model.Tokens[i]] = i;
            if (special.Contains(model.Tokens[i]))
                added.Add(new JsonObject { ["id"] = i, ["content"] = model.Tokens[i], ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false, ["special"] = true });
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
        string text = file.ToJsonString(new JsonSerializerOptions { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        ReplacedFile.Write(path, stream => stream.Write(new UTF8Encoding(false).GetBytes(text.ReplaceLineEndings("\n") + "\n")));
    }

    /// <summary>Reads a tokenizer.json, or vocab.json and merges.txt.</summary>
    /// <param name="path">A tokenizer.json, or a folder with it or with the older pair of files.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is not JSON, cut short, or another kind of tokenizer; the message names what does not fit.</exception>
    public static TextTokenizer Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        try
        {
            if (!Directory.Exists(path)) return new TextTokenizer(ReadJson(path));
            if (File.Exists(Path.Combine(path, Json))) return new TextTokenizer(ReadJson(Path.Combine(path, Json)));
            string vocabulary = Path.Combine(path, "vocab.json"), merges = Path.Combine(path, "merges.txt");
            if (File.Exists(vocabulary) && File.Exists(merges)) return new TextTokenizer(ReadPair(vocabulary, merges));
            string hint = File.Exists(Path.Combine(path, "tokenizer.model")) ? " It holds a SentencePiece tokenizer.model, which is another kind; convert it to tokenizer.json." : "";
            throw new FileNotFoundException($"'{path}' holds neither tokenizer.json nor vocab.json with merges.txt.{hint}", Path.Combine(path, Json));
        }
        catch (Exception error) when (error is JsonException or FormatException or InvalidOperationException or KeyNotFoundException)
        {
            throw new InvalidDataException($"'{path}' cannot be read as a tokenizer: {error.Message}", error);
        }
    }

    private static BpeModel ReadJson(string path)
    {
        if (!File.Exists(path)) throw new FileNotFoundException($"There is no tokenizer '{path}'.", path);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(path));
        JsonElement model = document.RootElement.GetProperty("model");
        string type = model.TryGetProperty("type", out JsonElement named) ? named.GetString() ?? "" : "BPE";
        if (type != "BPE") throw new FormatException($"its model is '{type}'; only BPE is known.");
        if (model.TryGetProperty("byte_fallback", out JsonElement fallback) && fallback.ValueKind == JsonValueKind.True)
            throw new FormatException("it is a SentencePiece vocabulary with byte_fallback; only byte-level ones (GPT-2, Llama 3, Pythia) are known.");
        string? pattern = document.RootElement.TryGetProperty("pre_tokenizer", out JsonElement pieces) ? PatternOf(pieces) : null;
        if (pattern is null) throw new FormatException("its pre_tokenizer is not ByteLevel, alone or after a Split with a regular expression.");
        if (document.RootElement.TryGetProperty("normalizer", out JsonElement normalizer) && normalizer.ValueKind == JsonValueKind.Object)
        {
            string kind = normalizer.GetProperty("type").GetString() ?? "";
            if (kind != "NFC") throw new FormatException($"its normalizer '{kind}' is not known; text would not come back as it was.");
        }

        var tokens = new SortedDictionary<int, string>();
        foreach (JsonProperty entry in model.GetProperty("vocab").EnumerateObject()) Put(tokens, entry.Value.GetInt32(), entry.Name);
        var special = new List<string>();
        if (document.RootElement.TryGetProperty("added_tokens", out JsonElement added) && added.ValueKind == JsonValueKind.Array)
        {
            foreach (JsonElement token in added.EnumerateArray())
            {
                string content = token.GetProperty("content").GetString()!;
                Put(tokens, token.GetProperty("id").GetInt32(), content);
                special.Add(content);
            }
        }

        (string, string)[] merges = [.. model.GetProperty("merges").EnumerateArray().Select(m =>
            m.ValueKind == JsonValueKind.String ? Pair(m.GetString()!) : (m[0].GetString()!, m[1].GetString()!))];
        return new BpeModel(Dense(tokens), merges, special, pattern);
    }

    private static BpeModel ReadPair(string vocabulary, string merges)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(vocabulary));
        var tokens = new SortedDictionary<int, string>();
        foreach (JsonProperty entry in document.RootElement.EnumerateObject()) Put(tokens, entry.Value.GetInt32(), entry.Name);
        (string, string)[] pairs = [.. File.ReadLines(merges).Where(l => l.Length > 0 && !l.StartsWith("#version", StringComparison.Ordinal)).Select(Pair)];
        string[] special = [.. tokens.Values.Where(t => t == "<|endoftext|>")];
        return new BpeModel(Dense(tokens), pairs, special, BpeModel.Gpt2Pattern);
    }

    /// <summary>The pattern of a ByteLevel pre-tokenizer, alone or behind one Split; null for anything else.</summary>
    private static string? PatternOf(JsonElement pieces)
    {
        if (pieces.ValueKind != JsonValueKind.Object) return null;
        string type = pieces.GetProperty("type").GetString() ?? "";
        if (type == "ByteLevel") return !pieces.TryGetProperty("use_regex", out JsonElement use) || use.ValueKind != JsonValueKind.False ? BpeModel.Gpt2Pattern : null;
        if (type != "Sequence") return null;
        JsonElement[] parts = [.. pieces.GetProperty("pretokenizers").EnumerateArray()];
        bool fits = parts.Length == 2 && parts[0].GetProperty("type").GetString() == "Split" && parts[1].GetProperty("type").GetString() == "ByteLevel";
        return fits && parts[0].GetProperty("pattern").TryGetProperty("Regex", out JsonElement regex) ? regex.GetString() : null;
    }

    private static (string, string) Pair(string line)
    {
        int blank = line.IndexOf(' ', StringComparison.Ordinal);
        return blank > 0 && blank < line.Length - 1 ? (line[..blank], line[(blank + 1)..]) : throw new FormatException($"merge '{line}' is not two tokens with a blank between them.");
    }

    private static void Put(SortedDictionary<int, string> tokens, int id, string token)
    {
        if (!tokens.TryAdd(id, token) && tokens[id] != token) throw new FormatException($"id {id} belongs to two tokens, '{tokens[id]}' and '{token}'.");
    }

    private static string[] Dense(SortedDictionary<int, string> tokens)
    {
        int next = 0;
        foreach (int id in tokens.Keys)
        {
            if (id != next) throw new FormatException($"no token has id {next}; ids must run from 0 without gaps.");
            next++;
        }

        return [.. tokens.Values];
    }
}
