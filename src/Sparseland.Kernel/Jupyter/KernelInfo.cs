using System.Text.Json.Nodes;

namespace Sparseland.Kernel.Jupyter;

/// <summary>What the kernel says of itself.</summary>
internal static class KernelInfo
{
    /// <summary>The newest C# of the compiler that the engine uses (a test compares them; asking the compiler would load it before the first answer).</summary>
    public const string LanguageVersion = "15.0";

    /// <summary>Version of this kernel.</summary>
    public static string Version { get; } = typeof(KernelInfo).Assembly.GetName().Version!.ToString(3);

    /// <summary>Content of a kernel_info_reply.</summary>
    public static JsonObject Content() => new()
    {
        ["status"] = "ok",
        ["protocol_version"] = MessageCodec.ProtocolVersion,
        ["implementation"] = "sparseland",
        ["implementation_version"] = Version,
        ["banner"] = $"Sparseland {Version}: C# {LanguageVersion} on .NET {Environment.Version}",
        ["debugger"] = false,
        ["language_info"] = new JsonObject
        {
            ["name"] = "C#",
            ["version"] = LanguageVersion,
            ["mimetype"] = "text/x-csharp",
            ["file_extension"] = ".cs",
            ["pygments_lexer"] = "csharp",
            ["codemirror_mode"] = "text/x-csharp",
        },
        ["help_links"] = new JsonArray(
            Link("C# language reference", "https://learn.microsoft.com/dotnet/csharp/"),
            Link(".NET API browser", "https://learn.microsoft.com/dotnet/api/"),
            Link("TorchSharp", "https://github.com/dotnet/TorchSharp")),
    };

    private static JsonObject Link(string text, string url) => new() { ["text"] = text, ["url"] = url };
}
