using System.Text;
using System.Text.Json;
using Microsoft.ML.Tokenizers;

namespace Sparseland.Models.Language;

/// <summary>Text to the ids of a WordPiece vocabulary, as BERT reads it. Splitting is that of Microsoft.ML.Tokenizers.</summary>
internal sealed class WordPieces
{
    public const string VocabularyFile = "vocab.txt", SettingsFile = "tokenizer_config.json", WholeFile = "tokenizer.json";
    private const string Classification = "[CLS]", Separator = "[SEP]", Padding = "[PAD]";
    private static readonly string[] s_special = [Padding, "[UNK]", Classification, Separator, "[MASK]"];
    private readonly BertTokenizer _tokenizer;
    private readonly IReadOnlyList<string> _tokens;

    /// <summary>A vocabulary.</summary>
    /// <param name="tokens">Tokens in the order of their ids.</param>
    /// <param name="lowerCase">Whether text becomes lower case and loses its accents, as in the uncased models.</param>
    /// <exception cref="FormatException">A special token is missing, or a token stands twice or is empty or has a line break.</exception>
    public WordPieces(IReadOnlyList<string> tokens, bool lowerCase = true)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        var ids = new Dictionary<string, int>(tokens.Count, StringComparer.Ordinal);
        for (int i = 0; i < tokens.Count; i++)
        {
            if (string.IsNullOrEmpty(tokens[i]) || tokens[i].AsSpan().IndexOfAny('\r', '\n') >= 0) throw new FormatException($"Token {i} of the vocabulary is empty or has a line break.");
            if (!ids.TryAdd(tokens[i], i)) throw new FormatException($"Token '{tokens[i]}' stands twice in the vocabulary, at {ids[tokens[i]]} and {i}.");
        }

        foreach (string token in s_special.Where(token => !ids.ContainsKey(token))) throw new FormatException($"The vocabulary has no token {token}.");
        (_tokens, LowerCase, PaddingId) = (tokens, lowerCase, ids[Padding]);
        (ClassificationId, SeparatorId) = (ids[Classification], ids[Separator]);
        using var lines = new MemoryStream(Encoding.UTF8.GetBytes(string.Join('\n', tokens)));
        _tokenizer = BertTokenizer.Create(lines, new BertOptions { LowerCaseBeforeTokenization = lowerCase, RemoveNonSpacingMarks = lowerCase });
    }

    /// <summary>Number of tokens.</summary>
    public int Count => _tokens.Count;

    /// <summary>Whether text becomes lower case.</summary>
    public bool LowerCase { get; }

    /// <summary>Id of the token that stands where nothing stands.</summary>
    public int PaddingId { get; }

    private int ClassificationId { get; }

    private int SeparatorId { get; }

    /// <summary>A token.</summary>
    public string this[int id] => _tokens[id];

    /// <summary>[CLS], the text's pieces, [SEP]; pieces at the end are left out where there are more than fit.</summary>
    /// <param name="text">Any text.</param>
    /// <param name="most">Most ids, at least 2.</param>
    public int[] Encode(string text, int most)
    {
        // Half a character cannot be normalised; as UTF-8 it becomes U+FFFD, which is left out as other unreadable characters are.
        if (text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF') >= 0) text = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));
        IReadOnlyList<int> pieces = text.Length == 0 ? [] : _tokenizer.EncodeToIds(text, addSpecialTokens: false);
        return [ClassificationId, .. pieces.Take(most - 2), SeparatorId];
    }

    /// <summary>The tokens, one a line, as a vocab.txt has them.</summary>
    public string ToText() => string.Concat(_tokens.Select(token => token + "\n"));

    /// <summary>Reads a vocab.txt.</summary>
    /// <exception cref="FormatException">See the constructor.</exception>
    public static WordPieces FromText(string text, bool lowerCase = true)
    {
        using var reader = new StringReader(text.TrimStart('\uFEFF'));
        var tokens = new List<string>();
        while (reader.ReadLine() is { } line) tokens.Add(line);
        return new WordPieces(tokens, lowerCase);
    }

    /// <summary>Reads a folder's tokenizer.json, or its vocab.txt and tokenizer_config.json.</summary>
    /// <exception cref="FileNotFoundException">It has neither.</exception>
    /// <exception cref="InvalidDataException">Another kind of tokenizer, or a broken file; the message names it.</exception>
    public static WordPieces Load(string folder)
    {
        string whole = Path.Combine(folder, WholeFile), vocabulary = Path.Combine(folder, VocabularyFile), settings = Path.Combine(folder, SettingsFile), at = whole;
        try
        {
            if (File.Exists(whole)) return FromJson(File.ReadAllText(whole));
            if (!File.Exists(vocabulary)) throw new FileNotFoundException($"'{folder}' holds neither {WholeFile} nor {VocabularyFile}.", vocabulary);
            at = settings;
            bool lowerCase = true;
            if (File.Exists(settings))
            {
                using JsonDocument document = JsonDocument.Parse(File.ReadAllText(settings));
                if (document.RootElement.TryGetProperty("do_lower_case", out JsonElement value)) lowerCase = value.GetBoolean();
                if (document.RootElement.TryGetProperty("strip_accents", out JsonElement strip)) CheckAccents(strip, lowerCase);
                if (document.RootElement.TryGetProperty("tokenize_chinese_chars", out _)) Require(document.RootElement, "tokenize_chinese_chars", "True");
            }

            at = vocabulary;
            return FromText(File.ReadAllText(vocabulary), lowerCase);
        }
        catch (Exception error) when (error is JsonException or FormatException or InvalidOperationException or KeyNotFoundException)
        {
            throw new InvalidDataException($"'{at}' cannot be read as a WordPiece tokenizer: {error.Message}", error);
        }
    }

    private static WordPieces FromJson(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        JsonElement root = document.RootElement, model = root.GetProperty("model"), normalizer = root.GetProperty("normalizer");
        Require(model, "type", "WordPiece");
        Require(model, "continuing_subword_prefix", "##");
        Require(model, "unk_token", "[UNK]");
        Require(model, "max_input_chars_per_word", "100");
        Require(normalizer, "type", "BertNormalizer");
        Require(normalizer, "clean_text", "True");
        Require(normalizer, "handle_chinese_chars", "True");
        Require(root.GetProperty("pre_tokenizer"), "type", "BertPreTokenizer");
        bool lowerCase = normalizer.GetProperty("lowercase").GetBoolean();
        CheckAccents(normalizer.GetProperty("strip_accents"), lowerCase);
        JsonProperty[] entries = [.. model.GetProperty("vocab").EnumerateObject().OrderBy(entry => entry.Value.GetInt32())];
        for (int i = 0; i < entries.Length; i++)
        {
            if (entries[i].Value.GetInt32() != i) throw new FormatException($"its token '{entries[i].Name}' has id {entries[i].Value.GetInt32()} where {i} is next; ids must run from 0 without gaps.");
        }

        if (root.TryGetProperty("added_tokens", out JsonElement added) && added.ValueKind == JsonValueKind.Array)
        {
            foreach (JsonElement token in added.EnumerateArray())
            {
                (string content, int id) = (token.GetProperty("content").GetString()!, token.GetProperty("id").GetInt32());
                if (id < 0 || id >= entries.Length || entries[id].Name != content) throw new FormatException($"its added token '{content}' ({id}) is not in its vocabulary; such tokens are not known.");
            }
        }

        return new WordPieces([.. entries.Select(entry => entry.Name)], lowerCase);
    }

    private static void Require(JsonElement part, string name, string value)
    {
        string found = part.ValueKind == JsonValueKind.Object && part.TryGetProperty(name, out JsonElement element) ? element.ToString() : "missing";
        if (found != value) throw new FormatException($"its {name} is '{found}'; only '{value}' is known.");
    }

    private static void CheckAccents(JsonElement strip, bool lowerCase)
    {
        if (strip.ValueKind is JsonValueKind.True or JsonValueKind.False && strip.GetBoolean() != lowerCase)
            throw new FormatException($"its strip_accents is {strip}, with lower case {lowerCase}; only accents that go with the upper case are known.");
    }
}
