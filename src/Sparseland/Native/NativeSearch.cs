using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Xml;
using System.Xml.Linq;

namespace Sparseland.Native;

/// <summary>
/// Finds TorchSharp's native files where the .NET host looks for them, beside the assemblies, and, for a library that was
/// loaded by path into a script host, in the NuGet packages that its .deps.json or its own package's .nuspec names.
/// </summary>
internal sealed class NativeSearch
{
    private readonly List<string> _folders = [];

    /// <param name="anchors">Assemblies beside which natives may lie, and whose .deps.json may name packages.</param>
    /// <exception cref="InvalidDataException">A .deps.json is damaged.</exception>
    public NativeSearch(params IEnumerable<Assembly> anchors)
    {
        Add((AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string)?.Split(Path.PathSeparator) ?? []);
        string[] places = [.. anchors.Select(a => a.Location).Where(l => l.Length > 0).Distinct()];
        foreach (string place in places)
        {
            string folder = Path.GetDirectoryName(place)!;
            Add(folder, Path.Combine(folder, "runtimes", Rid, "native"));
        }
        foreach (string place in places)
        {
            Add(OfPackage(place));
        }
        foreach (string place in places)
        {
            string deps = Path.ChangeExtension(place, ".deps.json");
            if (File.Exists(deps))
            {
                try
                {
                    Add(PackageFolders(deps, [.. PackageRoots(places)]));
                }
                catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
                {
                    throw new InvalidDataException($"{deps} is not a dependency file of .NET: {e.Message}", e);
                }
            }
        }
    }

    /// <summary>The runtime identifier of the packages' native folders on this machine.</summary>
    public static string Rid { get; } =
        (OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux")
        + "-" + RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();

    /// <summary>The existing folders, in the order in which they are looked at.</summary>
    public IReadOnlyList<string> Folders => _folders;

    /// <summary>The platform's file name of a native library.</summary>
    public static string FileName(string library) =>
        OperatingSystem.IsWindows() ? $"{library}.dll" : OperatingSystem.IsMacOS() ? $"lib{library}.dylib" : $"lib{library}.so";

    /// <summary>Path of a native library, or null.</summary>
    /// <param name="library">Name without prefix and extension, such as torch_cpu.</param>
    public string? Find(string library) =>
        _folders.Select(folder => Path.Combine(folder, FileName(library))).FirstOrDefault(File.Exists);

    private void Add(params IEnumerable<string> folders) =>
        _folders.AddRange(folders.Where(f => Directory.Exists(f) && !_folders.Contains(f)));

    /// <summary>
    /// Native folders of the package that an assembly lies in (ROOT/torchsharp/0.107.0/lib/net8.0/TorchSharp.dll) and of those that its
    /// .nuspec names: a host such as .NET Interactive loads assemblies from there, one by one.
    /// </summary>
    /// <exception cref="InvalidDataException">The .nuspec is damaged.</exception>
    private static IEnumerable<string> OfPackage(string place)
    {
        if (new DirectoryInfo(Path.GetDirectoryName(place)!).Parent is not { Name: "lib", Parent: { Parent.Parent: { } root } package })
        {
            yield break;
        }
        yield return Path.Combine(package.FullName, "runtimes", Rid, "native");
        string nuspec = Path.Combine(package.FullName, $"{package.Parent!.Name}.nuspec");
        if (!File.Exists(nuspec))
        {
            yield break;
        }
        foreach ((string id, string version) in Dependencies(nuspec))
        {
            yield return Path.Combine(root.FullName, id.ToLowerInvariant(), version, "runtimes", Rid, "native");
        }
    }

    private static List<(string Id, string Version)> Dependencies(string nuspec)
    {
        try
        {
            return [.. XDocument.Load(nuspec).Descendants().Where(e => e.Name.LocalName == "dependency")
                .Select(e => ((string?)e.Attribute("id") ?? "", ((string?)e.Attribute("version") ?? "").Trim('[', ']', ' '))).Where(d => d.Item1.Length > 0).Distinct()];
        }
        catch (XmlException e)
        {
            throw new InvalidDataException($"{nuspec} is not a package's description: {e.Message}", e);
        }
    }

    /// <summary>The native folders of the packages that a .deps.json lists for this platform.</summary>
    private static List<string> PackageFolders(string depsFile, string[] roots)
    {
        using JsonDocument deps = JsonDocument.Parse(File.ReadAllBytes(depsFile));
        var folders = new List<string>();
        foreach (JsonProperty target in deps.RootElement.GetProperty("targets").EnumerateObject())
        {
            foreach (JsonProperty library in target.Value.EnumerateObject())
            {
                if (!library.Value.TryGetProperty("runtimeTargets", out JsonElement assets)
                    || !deps.RootElement.GetProperty("libraries").GetProperty(library.Name).TryGetProperty("path", out JsonElement package))
                {
                    continue;
                }
                foreach (JsonProperty asset in assets.EnumerateObject())
                {
                    if (asset.Value.TryGetProperty("rid", out JsonElement rid) && rid.GetString() == Rid
                        && asset.Value.TryGetProperty("assetType", out JsonElement type) && type.GetString() == "native")
                    {
                        folders.AddRange(roots.Select(root => Path.Combine(root, package.GetString()!, Path.GetDirectoryName(asset.Name)!)));
                    }
                }
            }
        }
        return [.. folders.Distinct()];
    }

    /// <summary>NuGet's global packages folder, by its setting, by where an assembly was loaded from, and by default.</summary>
    private static IEnumerable<string> PackageRoots(string[] places)
    {
        if (Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } set)
        {
            yield return set;
        }
        foreach (string place in places)
        {
            // <root>/torchsharp/0.107.0/lib/net8.0/TorchSharp.dll
            var folder = new DirectoryInfo(Path.GetDirectoryName(place)!);
            if (folder.Parent is { Name: "lib", Parent.Parent.Parent: { } root })
            {
                yield return root.FullName;
            }
        }
        if (Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) is { Length: > 0 } home)
        {
            yield return Path.Combine(home, ".nuget", "packages");
        }
    }
}
