using System.Text.Json.Nodes;

namespace Sparseland.Kernel.Scripting;

/// <summary>
/// The packages that the running program brings along, read from its own .deps.json. A <c>#r "nuget:"</c> for one of
/// them needs no restore: the assembly is loaded already or lies in the program's folder.
/// </summary>
internal sealed class CarriedPackages
{
    private static readonly Lazy<CarriedPackages> Lazy = new(Read);

    private readonly Dictionary<string, Package> packages = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, string> platform = new(StringComparer.OrdinalIgnoreCase);

    private sealed record Package(string Name, string Version, string[] Dependencies, string[] Assemblies);

    /// <summary>The packages of this process.</summary>
    public static CarriedPackages Instance => Lazy.Value;

    /// <summary>Simple assembly name to file, for everything that the runtime finds by itself.</summary>
    public IReadOnlyDictionary<string, string> PlatformAssemblies => platform;

    /// <summary>Files of the .NET runtime itself (not of packages).</summary>
    public IReadOnlyList<string> FrameworkFiles { get; private set; } = [];

    /// <summary>The version that this program carries, or null.</summary>
    public string? VersionOf(string package)
    {
        if (packages.TryGetValue(package, out var found) || packages.TryGetValue(Canonical(package), out found))
        {
            // The natives have versions of their own, whatever platform's package is named.
            return package.StartsWith("libtorch-", StringComparison.OrdinalIgnoreCase)
                ? packages.FirstOrDefault(p => p.Key.StartsWith("libtorch-", StringComparison.OrdinalIgnoreCase)).Value?.Version ?? found.Version
                : found.Version;
        }

        return null;
    }

    /// <summary>Names of all carried packages, for completion.</summary>
    public IEnumerable<string> Names => packages.Keys;

    /// <summary>Assembly files of a carried package and of all that it depends on.</summary>
    public IReadOnlyList<string> FilesOf(string package)
    {
        var files = new List<string>();
        var seen = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        var open = new Stack<string>([Canonical(package)]);
        while (open.TryPop(out var name))
        {
            if (!seen.Add(name) || !packages.TryGetValue(name, out var found))
            {
                continue;
            }

            files.AddRange(found.Assemblies.Where(platform.ContainsKey).Select(a => platform[a]));
            foreach (var dependency in found.Dependencies)
            {
                open.Push(dependency);
            }
        }

        return files;
    }

    // These are the same binding with natives for one platform; the natives come with the program.
    private string Canonical(string package) =>
        (package.StartsWith("TorchSharp-", StringComparison.OrdinalIgnoreCase) || package.StartsWith("libtorch-", StringComparison.OrdinalIgnoreCase))
        && packages.ContainsKey("TorchSharp")
            ? "TorchSharp"
            : package;

    private static CarriedPackages Read()
    {
        var result = new CarriedPackages();
        var runtimeFolder = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        var framework = new List<string>();
        foreach (var file in ((string?)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
        {
            result.platform.TryAdd(Path.GetFileNameWithoutExtension(file), file);
            if (Path.GetDirectoryName(file) == runtimeFolder)
            {
                framework.Add(file);
            }
        }

        result.FrameworkFiles = framework;
        foreach (var file in ((string?)AppContext.GetData("APP_CONTEXT_DEPS_FILES") ?? "").Split(';', StringSplitOptions.RemoveEmptyEntries))
        {
            if (File.Exists(file))
            {
                result.ReadDependencies(JsonNode.Parse(File.ReadAllText(file))!.AsObject());
            }
        }

        return result;
    }

    private void ReadDependencies(JsonObject deps)
    {
        foreach (var (_, target) in deps["targets"]?.AsObject() ?? [])
        {
            foreach (var (key, entry) in target!.AsObject())
            {
                var slash = key.LastIndexOf('/');
                var name = key[..slash];
                packages.TryAdd(name, new Package(
                    name,
                    key[(slash + 1)..],
                    [.. (entry!["dependencies"]?.AsObject() ?? []).Select(d => d.Key)],
                    [.. (entry["runtime"]?.AsObject() ?? []).Select(a => Path.GetFileNameWithoutExtension(a.Key))]));
            }
        }
    }
}
