using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.IO;

namespace Sparseland.Models.Tokenizers;

/// <summary>The vocab.txt of BERT, as the tokenizer.json that Hugging Face makes of it.</summary>
internal static class WordPieceVocabulary
{
    /// <summary>Name of the file.</summary>
    public const string FileName = "vocab.txt";

    private static readonly string[] s_special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

    /// <summary>Reads a file.</summary>
    public static TextTokenizer Load(string path, TokenizerConfig config, KeptFiles companions)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!File.Exists(path)) throw new FileNotFoundException($"There is no vocabulary '{path}'.", path);
        try
        {
            return Make(Lines(File.ReadAllText(path)), config, companions);
        }
        catch (Exception error) when (error is JsonException or FormatException)
        {
            throw new InvalidDataException($"'{path}' cannot be read as a WordPiece vocabulary: {error.Message}", error);
        }
    }

    /// <summary>A tokenizer of the tokens in the order of their ids.</summary>
    /// <exception cref="FormatException">A token is empty, has a line break, stands twice or is missing.</exception>
    public static TextTokenizer Of(IReadOnlyList<string> tokens, bool lowercase = true)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        for (int i = 0; i < tokens.Count; i++)
        {
            if (string.IsNullOrWhiteSpace(tokens[i]) || tokens[i].AsSpan().IndexOfAny('\r', '\n') >= 0) throw new FormatException($"Token {i} of the vocabulary is empty or has a line break.");
        }

        string text = string.Concat(tokens.Select(token => token + "\n"));
        return Make(Lines(text), new() { Lowercase = lowercase }, new((FileName, new UTF8Encoding(false).GetBytes(text))));
    }

    /// <summary>A tokenizer of a file's bytes.</summary>
    /// <exception cref="FormatException">A token stands twice or is missing.</exception>
    public static TextTokenizer Read(byte[] utf8) => Make(Lines(Encoding.UTF8.GetString(utf8).TrimStart('\uFEFF')), new(), new((FileName, utf8)));

    private static TextTokenizer Make(Dictionary<string, int> ids, TokenizerConfig config, KeptFiles companions) =>
        TokenizerFile.Read(JsonSerializer.SerializeToUtf8Bytes(Describe(ids, config), TokenizerFile.Layout), config.EndOfText, companions);

    /// <summary>Tokens and ids; only line feeds separate, and blanks at the end of a line do not count.</summary>
    private static Dictionary<string, int> Lines(string text)
    {
        string[] lines = text.Split('\n');
        int count = lines[^1].Length == 0 ? lines.Length - 1 : lines.Length;
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        for (int i = 0; i < count; i++)
        {
            string token = lines[i].TrimEnd();
            if (!ids.TryAdd(token, i)) throw new FormatException($"token '{token}' stands in lines {ids[token] + 1} and {i + 1}.");
        }

        foreach (string token in s_special[1..4].Where(t => !ids.ContainsKey(t))) throw new FormatException($"it has no line {token}.");
        return ids;
    }

    private static JsonObject Describe(Dictionary<string, int> ids, TokenizerConfig config)
    {
        var vocabulary = new JsonObject();
        foreach ((string token, int id) in ids) vocabulary[token] = id;
        JsonArray added = [.. s_special.Where(ids.ContainsKey).OrderBy(t => ids[t]).Select(t => TokenizerFile.Special(ids[t], t))];
        JsonObject Special(string token) => new() { ["id"] = token, ["ids"] = new JsonArray(ids[token]), ["tokens"] = new JsonArray(token) };
        JsonObject Token(string token, int type) => new() { ["SpecialToken"] = new JsonObject { ["id"] = token, ["type_id"] = type } };
        JsonObject Text(string name, int type) => new() { ["Sequence"] = new JsonObject { ["id"] = name, ["type_id"] = type } };
        return new JsonObject
        {
            ["version"] = "1.0", ["truncation"] = null, ["padding"] = null, ["added_tokens"] = added,
            ["normalizer"] = new JsonObject
            {
                ["type"] = "BertNormalizer", ["clean_text"] = true, ["handle_chinese_chars"] = config.Ideographs ?? true, ["strip_accents"] = config.StripAccents, ["lowercase"] = config.Lowercase ?? true,
            },
            ["pre_tokenizer"] = new JsonObject { ["type"] = "BertPreTokenizer" },
            ["post_processor"] = new JsonObject
            {
                ["type"] = "TemplateProcessing",
                ["single"] = new JsonArray(Token("[CLS]", 0), Text("A", 0), Token("[SEP]", 0)),
                ["pair"] = new JsonArray(Token("[CLS]", 0), Text("A", 0), Token("[SEP]", 0), Text("B", 1), Token("[SEP]", 1)),
                ["special_tokens"] = new JsonObject { ["[CLS]"] = Special("[CLS]"), ["[SEP]"] = Special("[SEP]") },
            },
            ["decoder"] = new JsonObject { ["type"] = "WordPiece", ["prefix"] = "##", ["cleanup"] = true },
            ["model"] = new JsonObject { ["type"] = "WordPiece", ["unk_token"] = "[UNK]", ["continuing_subword_prefix"] = "##", ["max_input_chars_per_word"] = 100, ["vocab"] = vocabulary },
        };
    }
}
