namespace Sparseland.Kernel.Scripting;

/// <summary>How a <see cref="ScriptEngine"/> is set up.</summary>
public sealed record ScriptEngineOptions
{
    /// <summary>Folder that relative paths in directives start from; the notebook's own folder.</summary>
    public string WorkingDirectory { get; init; } = Environment.CurrentDirectory;

    /// <summary>Where restored packages are described, one folder per set of references.</summary>
    public string PackageCacheDirectory { get; init; } = Path.Combine(
        Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify) is { Length: > 0 } data ? data : Path.GetTempPath(),
        "sparseland",
        "packages");

    /// <summary>Folder that restored packages are unpacked to; null for NuGet's own (an offline set-up may carry another).</summary>
    public string? NuGetPackagesDirectory { get; init; }

    /// <summary>How long an interrupted cell may stay in native code before the engine gives up on it.</summary>
    public TimeSpan InterruptGrace { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Namespaces that every cell sees without a using.</summary>
    public static IReadOnlyList<string> DefaultUsings { get; } =
    [
        "System", "System.Collections.Generic", "System.Globalization", "System.IO", "System.Linq", "System.Text",
        "System.Threading", "System.Threading.Tasks",
    ];
}
