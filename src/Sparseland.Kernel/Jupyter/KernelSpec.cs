using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Jupyter;

/// <summary>A kernel that Jupyter knows on this machine.</summary>
/// <param name="Name">Its name: the folder's, in lower case as Jupyter has it.</param>
/// <param name="Folder">Where its kernel.json is.</param>
/// <param name="DisplayName">What front ends show, or null when kernel.json cannot be read.</param>
/// <param name="IsOurs">Whether Sparseland installed it.</param>
public sealed record InstalledKernel(string Name, string Folder, string? DisplayName, bool IsOurs);

/// <summary>What and where to install.</summary>
/// <param name="DataFolder">Jupyter data folder that gets the kernel; see <see cref="JupyterPaths"/>.</param>
/// <param name="Name">Kernel name; null takes .net-csharp, or sparseland-csharp where a foreign .net-csharp exists.</param>
/// <param name="DisplayName">What front ends show.</param>
public sealed record KernelSpecOptions(string DataFolder, string? Name = null, string DisplayName = KernelSpec.DefaultDisplayName);

/// <summary>
/// Installs, finds and removes the kernel in Jupyter's data folders. A kernel that Sparseland did not install is
/// never touched, and never hidden by one of the same name.
/// </summary>
public static partial class KernelSpec
{
    /// <summary>The name that C# notebooks of .NET Interactive carry.</summary>
    public const string SharedName = ".net-csharp";

    /// <summary>The name used where the shared one belongs to another kernel.</summary>
    public const string OwnName = "sparseland-csharp";

    /// <summary>What front ends show unless told otherwise.</summary>
    public const string DefaultDisplayName = ".NET (C#)";

    private const string Mark = "sparseland";
    private static readonly string[] Logos = ["logo-32x32.png", "logo-64x64.png", "logo-svg.svg"];
    private static readonly JsonSerializerOptions Indented = new()
    {
        WriteIndented = true,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>All kernels in Jupyter's data folders, the winning folder first.</summary>
    /// <param name="paths">Where to look.</param>
    public static IReadOnlyList<InstalledKernel> Find(JupyterPaths paths)
    {
        ArgumentNullException.ThrowIfNull(paths);
        return [.. paths.All.SelectMany(In)];
    }

    /// <summary>Installs the kernel, or updates the one that Sparseland installed before.</summary>
    /// <param name="options">What and where.</param>
    /// <param name="paths">Where other kernels may be.</param>
    /// <param name="launcher">The command line in front of "kernel start"; null takes the running program's.</param>
    /// <returns>The installed kernel.</returns>
    /// <exception cref="ArgumentException">The name has characters that Jupyter does not allow.</exception>
    /// <exception cref="InvalidOperationException">A kernel of that name exists that Sparseland did not install.</exception>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder cannot be written.</exception>
    public static InstalledKernel Install(KernelSpecOptions options, JupyterPaths paths, IReadOnlyList<string>? launcher = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(paths);
        ArgumentException.ThrowIfNullOrWhiteSpace(options.DataFolder);
        ArgumentException.ThrowIfNullOrWhiteSpace(options.DisplayName);
        if (options.Name is not null && !ValidName().IsMatch(options.Name))
            throw new ArgumentException($"Name '{options.Name}' is not a kernel name: letters, digits, '.', '-' and '_' are allowed.", nameof(options));

        // The target need not be one of the folders that Jupyter searches today, --prefix may name any.
        var foreign = Find(paths).Concat(In(options.DataFolder)).Where(kernel => !kernel.IsOurs).ToList();
        var name = options.Name?.ToLowerInvariant() ?? (foreign.Any(kernel => kernel.Name == SharedName) ? OwnName : SharedName);
        if (foreign.FirstOrDefault(kernel => kernel.Name == name) is { } other)
        {
            throw new InvalidOperationException(
                $"A kernel named '{name}' that Sparseland did not install is in '{other.Folder}'. It is left alone; give another name with --name.");
        }

        var folder = Path.Combine(Path.GetFullPath(options.DataFolder), "kernels", name);
        using var files = new FileSet();
        foreach (var logo in Logos)
            files.Add(Path.Combine(folder, logo), Resource(logo));
        files.Add(Path.Combine(folder, "kernel.json"), KernelJson(options.DisplayName, launcher ?? Launcher()).ToJsonString(Indented) + "\n");
        files.Commit();
        return new InstalledKernel(name, folder, options.DisplayName, IsOurs: true);
    }

    /// <summary>Removes kernels that Sparseland installed; other kernels and files a user added stay.</summary>
    /// <param name="paths">Where to look.</param>
    /// <param name="name">Only the kernel of this name; null removes all of ours.</param>
    /// <param name="dataFolder">Only in this data folder; null looks through all of <paramref name="paths"/>.</param>
    /// <returns>What was removed; empty when none of ours was found.</returns>
    /// <exception cref="IOException">A file cannot be removed.</exception>
    /// <exception cref="UnauthorizedAccessException">A file cannot be removed.</exception>
    public static IReadOnlyList<InstalledKernel> Uninstall(JupyterPaths paths, string? name = null, string? dataFolder = null)
    {
        ArgumentNullException.ThrowIfNull(paths);
        var found = dataFolder is null ? Find(paths) : In(dataFolder);
        var ours = found.Where(kernel => kernel.IsOurs && (name is null || kernel.Name == name.ToLowerInvariant())).ToList();
        foreach (var kernel in ours)
        {
            foreach (var file in Logos.Append("kernel.json"))
                File.Delete(Path.Combine(kernel.Folder, file));
            if (!Directory.EnumerateFileSystemEntries(kernel.Folder).Any())
                Directory.Delete(kernel.Folder);
        }

        return ours;
    }

    /// <summary>The command line that starts this program again: its executable, or dotnet and its library.</summary>
    public static IReadOnlyList<string> Launcher()
    {
        var process = Environment.ProcessPath
            ?? throw new InvalidOperationException("The path of the running program is not known; the kernel cannot be installed from here.");
        return Path.GetFileNameWithoutExtension(process).Equals("dotnet", StringComparison.OrdinalIgnoreCase)
            ? [process, System.Reflection.Assembly.GetEntryAssembly()!.Location]
            : [process];
    }

    internal static JsonObject KernelJson(string displayName, IReadOnlyList<string> launcher)
    {
        var environment = new JsonObject { [KernelMemory.Variable] = KernelMemory.YoungestGeneration };

        // A front end started from the desktop does not have the shell's variables, and a program that is not
        // started through dotnet needs this one to find a runtime outside of the usual places.
        if (launcher.Count == 1 && Environment.GetEnvironmentVariable("DOTNET_ROOT") is { Length: > 0 } root)
            environment["DOTNET_ROOT"] = root;
        return new JsonObject
        {
            ["argv"] = new JsonArray([.. launcher.Concat(["kernel", "start", "-f", "{connection_file}"]).Select(part => (JsonNode)part)]),
            ["display_name"] = displayName,
            ["language"] = "C#",
            ["interrupt_mode"] = "message",
            ["env"] = environment,
            ["metadata"] = new JsonObject
            {
                ["debugger"] = false,
                [Mark] = new JsonObject { ["version"] = KernelInfo.Version },
            },
        };
    }

    private static IEnumerable<InstalledKernel> In(string dataFolder)
    {
        var kernels = Path.Combine(dataFolder, "kernels");
        if (!Directory.Exists(kernels))
            yield break;
        foreach (var folder in Directory.EnumerateDirectories(kernels, "*", new EnumerationOptions { AttributesToSkip = 0, IgnoreInaccessible = true }).Order(StringComparer.Ordinal))
        {
            var file = Path.Combine(folder, "kernel.json");
            if (!File.Exists(file))
                continue;
            var json = Read(file);
            var display = json?["display_name"] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
            var ours = json?["metadata"] is JsonObject metadata && metadata[Mark] is JsonObject;
            yield return new InstalledKernel(Path.GetFileName(folder).ToLowerInvariant(), folder, display, ours);
        }
    }

    /// <summary>kernel.json as an object; null when it is not one, and then it is certainly not ours.</summary>
    private static JsonObject? Read(string file)
    {
        try
        {
            return JsonNode.Parse(File.ReadAllText(file), documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false }) as JsonObject;
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static byte[] Resource(string name)
    {
        using var stream = typeof(KernelSpec).Assembly.GetManifestResourceStream($"Sparseland.Kernel.Jupyter.Resources.{name}")
            ?? throw new InvalidOperationException($"The resource {name} is missing in this build.");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    [GeneratedRegex("^[A-Za-z0-9._-]+$")]
    private static partial Regex ValidName();
}
