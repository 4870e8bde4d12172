using System.Text.Json.Nodes;

namespace Sparseland.Kernel.Jupyter;

/// <summary>The answer to a request.</summary>
internal sealed record Reply(JsonObject Content, JsonObject? Metadata = null);

/// <summary>The error form that replies and the error broadcast share.</summary>
internal static class ErrorContent
{
    public static JsonObject Of(string name, string message, IEnumerable<string> traceback)
    {
        var content = Broadcast(name, message, traceback);
        content["status"] = "error";
        return content;
    }

    public static JsonObject Broadcast(string name, string message, IEnumerable<string> traceback) => new()
    {
        ["ename"] = name,
        ["evalue"] = message,
        ["traceback"] = new JsonArray([.. traceback.Select(line => (JsonNode)line)]),
    };
}
