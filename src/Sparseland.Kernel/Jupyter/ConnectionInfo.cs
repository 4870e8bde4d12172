using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Sparseland.Kernel.Jupyter;

/// <summary>What a Jupyter connection file says: where to bind the five sockets and how messages are signed.</summary>
/// <param name="Address">The loopback address to bind.</param>
/// <param name="ShellPort">Port of the shell socket.</param>
/// <param name="ControlPort">Port of the control socket.</param>
/// <param name="IOPubPort">Port of the broadcast socket.</param>
/// <param name="StdinPort">Port of the stdin socket.</param>
/// <param name="HeartbeatPort">Port of the heartbeat socket.</param>
/// <param name="Key">Key of the HMAC-SHA256 signatures; empty when messages are not signed.</param>
public sealed record ConnectionInfo(
    IPAddress Address, int ShellPort, int ControlPort, int IOPubPort, int StdinPort, int HeartbeatPort, byte[] Key)
{
    /// <summary>Reads a connection file.</summary>
    /// <param name="path">Path of the file that the front end wrote.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not a connection file, or asks for something other than TCP on loopback with HMAC-SHA256.</exception>
    public static ConnectionInfo Load(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        if (!File.Exists(path))
            throw new FileNotFoundException($"The connection file '{path}' does not exist. Jupyter writes one when it starts a kernel.", path);
        return Parse(File.ReadAllText(path), path);
    }

    /// <summary>Reads the text of a connection file.</summary>
    /// <param name="json">The text.</param>
    /// <param name="source">Name of the file, for messages.</param>
    /// <exception cref="InvalidDataException">As for <see cref="Load"/>.</exception>
    public static ConnectionInfo Parse(string json, string source)
    {
        JsonObject root;
        try
        {
            root = JsonNode.Parse(json, documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false }) as JsonObject
                ?? throw Invalid(source, "its top level is not a JSON object");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"The connection file '{source}' is not valid JSON: {e.Message}", e);
        }

        var transport = Text(root, "transport", source, "tcp");
        if (transport != "tcp")
            throw Invalid(source, $"transport '{transport}' is not supported, only 'tcp' is");
        var scheme = Text(root, "signature_scheme", source, "hmac-sha256");
        if (scheme != "hmac-sha256")
            throw Invalid(source, $"signature_scheme '{scheme}' is not supported, only 'hmac-sha256' is");

        var ip = Text(root, "ip", source, null);
        var address = ip == "localhost" ? IPAddress.Loopback : IPAddress.TryParse(ip, out var parsed) ? parsed : null;
        if (address is null || !IPAddress.IsLoopback(address))
            throw Invalid(source, $"ip '{ip}' is not a loopback address; this kernel listens on this machine only (127.0.0.1)");

        return new ConnectionInfo(
            address,
            Port(root, "shell_port", source),
            Port(root, "control_port", source),
            Port(root, "iopub_port", source),
            Port(root, "stdin_port", source),
            Port(root, "hb_port", source),
            Encoding.UTF8.GetBytes(Text(root, "key", source, null)));
    }

    /// <summary>The NetMQ endpoint of a port.</summary>
    internal string Endpoint(int port) =>
        Address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? $"tcp://[{Address}]:{port}" : $"tcp://{Address}:{port}";

    private static string Text(JsonObject root, string name, string source, string? fallback)
    {
        if (root[name] is not { } node)
            return fallback ?? throw Invalid(source, $"'{name}' is missing");
        return node.GetValueKind() == JsonValueKind.String ? node.GetValue<string>() : throw Invalid(source, $"'{name}' is not a string");
    }

    private static int Port(JsonObject root, string name, string source)
    {
        var node = root[name] ?? throw Invalid(source, $"'{name}' is missing");
        if (node is JsonValue value && value.TryGetValue<int>(out var port) && port is >= 1 and <= 65535)
            return port;
        throw Invalid(source, $"'{name}' is {node.ToJsonString()}, but a port is a number from 1 to 65535");
    }

    private static InvalidDataException Invalid(string source, string reason) => new($"The connection file '{source}' cannot be used: {reason}.");
}
