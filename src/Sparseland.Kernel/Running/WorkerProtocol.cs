using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Running;

/// <summary>The lines of JSON that the runner and the process with the cells send each other over a pipe.</summary>
internal static class WorkerProtocol
{
    public const string Cell = "cell";
    public const string Interrupt = "interrupt";
    public const string Ready = "ready";
    public const string Stream = "stream";
    public const string Display = "display";
    public const string Update = "update";
    public const string Result = "result";
    public const string Done = "done";

    private static readonly JsonSerializerOptions Compact = new() { MaxDepth = 256, NewLine = "\n" };

    /// <summary>Sends one message.</summary>
    public static void Send(StreamWriter writer, JsonObject message)
    {
        var line = message.ToJsonString(Compact);
        lock (writer)
        {
            writer.Write(line);
            writer.Write('\n');
            writer.Flush();
        }
    }

    /// <summary>The next message; null at the end.</summary>
    public static async Task<JsonObject?> ReceiveAsync(StreamReader reader, CancellationToken cancel = default) =>
        await reader.ReadLineAsync(cancel).ConfigureAwait(false) is { } line
            ? (JsonObject)JsonNode.Parse(line, documentOptions: new JsonDocumentOptions { MaxDepth = 256 })!
            : null;

    /// <summary>A bundle's data as JSON; node by node, since a node has one parent only.</summary>
    public static JsonObject ToJson(IReadOnlyDictionary<string, JsonNode>? nodes)
    {
        var json = new JsonObject();
        foreach (var (type, node) in nodes ?? new Dictionary<string, JsonNode>())
            json[type] = node.DeepClone();
        return json;
    }

    /// <summary>A message that carries a displayed value.</summary>
    public static JsonObject Of(string kind, MimeBundle bundle, string? displayId = null) => new()
    {
        ["kind"] = kind,
        ["data"] = ToJson(bundle.Data),
        ["metadata"] = ToJson(bundle.Metadata),
        ["displayId"] = displayId,
    };

    /// <summary>Text without a byte order mark over a pipe.</summary>
    public static Encoding Encoding { get; } = new UTF8Encoding(false);
}
