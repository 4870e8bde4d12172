using System.Text.Json;
using System.Text.Json.Nodes;

namespace Sparseland.Kernel.Jupyter;

/// <summary>A message that cannot be understood; it is answered with an error where an answer is possible, and logged.</summary>
internal sealed class MalformedMessageException(string message) : Exception(message);

/// <summary>One message from a front end.</summary>
/// <param name="Identities">Routing frames, sent back unchanged in front of the reply.</param>
/// <param name="HeaderJson">The header as it came: the parent header of everything this request causes.</param>
/// <param name="Type">msg_type of the header.</param>
/// <param name="Content">The content.</param>
internal sealed record Request(IReadOnlyList<byte[]> Identities, byte[] HeaderJson, string Type, JsonObject Content)
{
    /// <summary>msg_type of the answer.</summary>
    public string ReplyType => Type.EndsWith("_request", StringComparison.Ordinal) ? Type[..^"_request".Length] + "_reply" : Type + "_reply";

    public string Text(string name, string? fallback = null) => Content[name] switch
    {
        null => fallback ?? throw new MalformedMessageException($"{Type}: '{name}' is missing"),
        JsonValue value when value.GetValueKind() == JsonValueKind.String => value.GetValue<string>(),
        _ => throw new MalformedMessageException($"{Type}: '{name}' is not a string"),
    };

    public bool Flag(string name, bool fallback) => Content[name] switch
    {
        null => fallback,
        JsonValue value when value.TryGetValue<bool>(out var flag) => flag,
        _ => throw new MalformedMessageException($"{Type}: '{name}' is not true or false"),
    };

    public int? Number(string name) => Content[name] switch
    {
        null => null,
        JsonValue value when value.TryGetValue<int>(out var number) => number,
        _ => throw new MalformedMessageException($"{Type}: '{name}' is not a whole number"),
    };
}
