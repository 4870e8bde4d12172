using System.Text.Json.Nodes;
using Sparseland.Kernel.Jupyter;

namespace Sparseland.Kernel.Tests.Jupyter;

public sealed class ConnectionInfoTests
{
    [Theory]
    [InlineData("127.0.0.1", "tcp://127.0.0.1:1")]
    [InlineData("localhost", "tcp://127.0.0.1:1")]
    [InlineData("::1", "tcp://[::1]:1")]
    public void Loopback_is_accepted(string ip, string endpoint)
    {
        var file = Valid();
        file["ip"] = ip;
        var connection = ConnectionInfo.Parse(file.ToJsonString(), "file");
        Assert.Equal(endpoint, connection.Endpoint(connection.ShellPort));
    }

    [Theory]
    [InlineData("ip", "\"0.0.0.0\"", "loopback")]
    [InlineData("ip", "\"192.168.1.4\"", "loopback")]
    [InlineData("ip", "\"*\"", "loopback")]
    [InlineData("ip", "\"\"", "loopback")]
    [InlineData("ip", "7", "'ip' is not a string")]
    [InlineData("ip", null, "'ip' is missing")]
    [InlineData("key", null, "'key' is missing")]
    [InlineData("transport", "\"ipc\"", "transport 'ipc'")]
    [InlineData("signature_scheme", "\"hmac-md5\"", "signature_scheme 'hmac-md5'")]
    [InlineData("shell_port", "0", "'shell_port' is 0")]
    [InlineData("hb_port", "65536", "'hb_port' is 65536")]
    [InlineData("control_port", "\"5\"", "'control_port' is \"5\"")]
    [InlineData("iopub_port", null, "'iopub_port' is missing")]
    public void Anything_else_is_refused_with_the_reason(string field, string? value, string reason)
    {
        var file = Valid();
        if (value is null)
            file.Remove(field);
        else
            file[field] = JsonNode.Parse(value);
        var error = Assert.Throws<InvalidDataException>(() => ConnectionInfo.Parse(file.ToJsonString(), "the file"));
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        Assert.Contains("the file", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("""{"ip":"127.0.0.1","ip":"127.0.0.1"}""")]
    public void Text_that_is_no_object_is_refused(string text) =>
        Assert.Throws<InvalidDataException>(() => ConnectionInfo.Parse(text, "file"));

    [Fact]
    public void A_missing_file_is_named()
    {
        var error = Assert.Throws<FileNotFoundException>(() => ConnectionInfo.Load("/no/such file.json"));
        Assert.Contains("/no/such file.json", error.Message, StringComparison.Ordinal);
    }

    private static JsonObject Valid() => new()
    {
        ["shell_port"] = 1, ["control_port"] = 2, ["iopub_port"] = 3, ["stdin_port"] = 4, ["hb_port"] = 5,
        ["ip"] = "127.0.0.1", ["transport"] = "tcp", ["key"] = "", ["signature_scheme"] = "hmac-sha256",
    };
}
