using System.Text.Json;

namespace Sparseland.Models.Tokenizers;

/// <summary>What a tokenizer_config.json says that the tokenizer itself does not.</summary>
internal sealed record TokenizerConfig(string? EndOfText, bool? Lowercase)
{
    /// <summary>Reads it from a folder; nothing where there is none.</summary>
    /// <exception cref="InvalidDataException">It is no JSON object.</exception>
    public static TokenizerConfig Read(string folder)
    {
        string path = Path.Combine(folder, "tokenizer_config.json");
        if (!File.Exists(path)) return new(null, null);
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllText(path));
            JsonElement root = document.RootElement;
            string? end = root.TryGetProperty("eos_token", out JsonElement token) ? Content(token) : null;
            bool? lowercase = root.TryGetProperty("do_lower_case", out JsonElement lower) && lower.ValueKind is JsonValueKind.True or JsonValueKind.False ? lower.GetBoolean() : null;
            return new(end, lowercase);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new InvalidDataException($"'{path}' cannot be read: {error.Message}", error);
        }
    }

    // Either the text or an added token with its options.
    private static string? Content(JsonElement token) => token.ValueKind switch
    {
        JsonValueKind.String => token.GetString(),
        JsonValueKind.Object when token.TryGetProperty("content", out JsonElement content) => content.GetString(),
        _ => null,
    };
}
