using System.Buffers;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Sparseland.Kernel.Jupyter;

/// <summary>
/// The multipart wire form of Jupyter messages: identities, delimiter, signature, then header, parent header,
/// metadata and content as JSON.
/// </summary>
internal sealed class MessageCodec(byte[] key)
{
    /// <summary>Version of the messaging protocol spoken here.</summary>
    public const string ProtocolVersion = "5.3";

    private static readonly byte[] Empty = "{}"u8.ToArray();
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };
    private static readonly JsonWriterOptions Compact = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly MessageSigner signer = new(key);
    private readonly string session = Guid.NewGuid().ToString("N");

    /// <summary>Frames of a message to a front end.</summary>
    /// <param name="identities">Routing frames, or the topic of a broadcast.</param>
    /// <param name="type">msg_type.</param>
    /// <param name="parent">The request that caused the message, or null.</param>
    /// <param name="content">The content.</param>
    /// <param name="metadata">Metadata, or null.</param>
    public IReadOnlyList<byte[]> Encode(IEnumerable<byte[]> identities, string type, Request? parent, JsonObject content, JsonObject? metadata = null)
    {
        var header = new JsonObject
        {
            ["msg_id"] = Guid.NewGuid().ToString(),
            ["session"] = session,
            ["username"] = "kernel",
            ["date"] = DateTime.UtcNow.ToString("yyyy-MM-ddTHH:mm:ss.ffffffZ", CultureInfo.InvariantCulture),
            ["msg_type"] = type,
            ["version"] = ProtocolVersion,
        };
        byte[][] parts = [Bytes(header), parent?.HeaderJson ?? Empty, metadata is null ? Empty : Bytes(metadata), Bytes(content)];
        return [.. identities, Delimiter, signer.Sign(parts), .. parts];
    }

    /// <summary>Reads the frames of a message from a front end. One thread at a time.</summary>
    /// <exception cref="MalformedMessageException">The frames are no message, or the signature is wrong or was seen before.</exception>
    public Request Decode(IReadOnlyList<byte[]> frames)
    {
        var delimiter = 0;
        while (delimiter < frames.Count && !frames[delimiter].AsSpan().SequenceEqual(Delimiter))
            delimiter++;
        if (delimiter == frames.Count)
            throw new MalformedMessageException($"no <IDS|MSG> delimiter in {frames.Count} frames");
        if (frames.Count - delimiter < 6)
            throw new MalformedMessageException($"{frames.Count - delimiter - 1} frames after the delimiter, a message has a signature and four more");

        byte[][] parts = [frames[delimiter + 2], frames[delimiter + 3], frames[delimiter + 4], frames[delimiter + 5]];
        if (!signer.Accepts(frames[delimiter + 1], parts, out var reason))
            throw new MalformedMessageException(reason);

        var header = Object(parts[0], "header");
        if (header["msg_type"] is not JsonValue type || type.GetValueKind() != JsonValueKind.String)
            throw new MalformedMessageException("the header has no msg_type");
        if (header["msg_id"] is not JsonValue id || id.GetValueKind() != JsonValueKind.String)
            throw new MalformedMessageException("the header has no msg_id");
        return new Request([.. frames.Take(delimiter)], parts[0], type.GetValue<string>(), Object(parts[3], "content"));
    }

    internal static byte[] Delimiter { get; } = "<IDS|MSG>"u8.ToArray();

    private static JsonObject Object(byte[] json, string what)
    {
        try
        {
            return JsonNode.Parse(json, documentOptions: Strict) as JsonObject
                ?? throw new MalformedMessageException($"the {what} is not a JSON object");
        }
        catch (JsonException e)
        {
            throw new MalformedMessageException($"the {what} is not valid JSON: {e.Message}");
        }
    }

    private static byte[] Bytes(JsonObject node)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, Compact))
            node.WriteTo(writer);
        return buffer.WrittenSpan.ToArray();
    }
}
