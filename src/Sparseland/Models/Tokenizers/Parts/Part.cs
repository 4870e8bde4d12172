using System.Text.Json;

namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>One part of a tokenizer.json: its values, and where it stands, so that an error can name it.</summary>
internal readonly record struct Part(JsonElement Json, string Name)
{
    /// <summary>The part's "type"; empty where it has none.</summary>
    public string Type => Json.ValueKind == JsonValueKind.Object && Json.TryGetProperty("type", out JsonElement type) ? type.GetString() ?? "" : "";

    /// <summary>The parts of a list.</summary>
    public IEnumerable<Part> Parts(string name)
    {
        string owner = name == Name ? name : $"{Name}.{name}";
        return Get(name).EnumerateArray().Select((json, i) => new Part(json, $"{owner}[{i}]"));
    }

    public JsonElement Get(string name) =>
        Json.ValueKind == JsonValueKind.Object && Json.TryGetProperty(name, out JsonElement value) ? value : throw Wrong($"it has no '{name}'");

    public string Text(string name, string? otherwise = null) =>
        Json.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString()! : otherwise ?? throw Wrong($"it has no text '{name}'");

    public string? TextOrNull(string name) => Json.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    public bool Flag(string name, bool otherwise) => FlagOrNull(name) ?? otherwise;

    public bool? FlagOrNull(string name) => !Json.TryGetProperty(name, out JsonElement value) ? null : value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Null => null,
        _ => throw Wrong($"'{name}' is not true or false"),
    };

    public int Number(string name, int? otherwise = null) => Json.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number
        ? value.GetInt32()
        : otherwise ?? throw Wrong($"it has no number '{name}'");

    /// <summary>An error that names the part and its type.</summary>
    public FormatException Wrong(string what) => new($"{Name} '{Type}': {what}.");

    /// <summary>The error of a part that is not known.</summary>
    public FormatException Unknown() => new($"its {Name} '{Type}' is not known.");
}
