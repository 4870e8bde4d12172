using System.Text.Json;

namespace Sparseland.Models.Tokenizers;

/// <summary>What a tokenizer_config.json says that the tokenizer's own file does not.</summary>
internal sealed record TokenizerConfig
{
    /// <summary>Name of the file.</summary>
    public const string FileName = "tokenizer_config.json";

    /// <summary>eos_token.</summary>
    public string? EndOfText { get; init; }

    /// <summary>do_lower_case, for a vocab.txt.</summary>
    public bool? Lowercase { get; init; }

    /// <summary>strip_accents, for a vocab.txt; null where accents go with the upper case.</summary>
    public bool? StripAccents { get; init; }

    /// <summary>tokenize_chinese_chars, for a vocab.txt.</summary>
    public bool? Ideographs { get; init; }

    /// <summary>model_max_length; files that know no length have 1e30.</summary>
    public double? Longest { get; init; }

    /// <summary>Reads it from a folder; nothing where there is none.</summary>
    /// <exception cref="InvalidDataException">It is no JSON object, or a field has a value of another kind.</exception>
    public static TokenizerConfig Read(string folder)
    {
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path)) return new();
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllText(path));
            JsonElement root = document.RootElement;
            return new()
            {
                EndOfText = root.TryGetProperty("eos_token", out JsonElement token) ? Content(token) : null,
                Lowercase = Flag(root, "do_lower_case"),
                StripAccents = Flag(root, "strip_accents"),
                Ideographs = Flag(root, "tokenize_chinese_chars"),
                Longest = root.TryGetProperty("model_max_length", out JsonElement longest) && longest.ValueKind == JsonValueKind.Number ? longest.GetDouble() : null,
            };
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException($"'{path}' cannot be read: {error.Message}", error);
        }
    }

    private static bool? Flag(JsonElement root, string name) => !root.TryGetProperty(name, out JsonElement value) ? null : value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Null => null,
        _ => throw new FormatException($"its {name} is {value}; it must be true or false."),
    };

    // Either the text or an added token with its options.
    private static string? Content(JsonElement token) => token.ValueKind switch
    {
        JsonValueKind.String => token.GetString(),
        JsonValueKind.Object when token.TryGetProperty("content", out JsonElement content) => content.GetString(),
        _ => null,
    };
}
