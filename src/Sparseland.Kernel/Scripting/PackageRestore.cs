using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Security;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Sparseland.IO;

namespace Sparseland.Kernel.Scripting;

/// <summary>A package asked for by a cell; a null version means the newest.</summary>
internal sealed record PackageRequest(string Name, string? Version);

/// <summary>What a restore found.</summary>
internal sealed record RestoredPackages(
    IReadOnlyDictionary<string, string> Versions,
    IReadOnlyList<string> CompileFiles,
    IReadOnlyList<string> RuntimeFiles,
    IReadOnlyList<string> NativeFolders);

/// <summary>
/// Restores packages through the SDK: a temporary project, <c>dotnet restore</c>, and its assets file. The user's feeds,
/// credentials and package cache are used as they are. One folder per set of packages makes a second restore free.
/// </summary>
internal sealed class PackageRestore(string cacheDirectory, string? packagesDirectory = null)
{
    /// <summary>Restores the packages together.</summary>
    /// <param name="packages">All packages of the notebook so far.</param>
    /// <param name="sources">Further sources (<c>#i</c>).</param>
    /// <param name="cancel">Stops the restore.</param>
    /// <exception cref="DirectiveException">The restore failed; the message is NuGet's own.</exception>
    public async Task<RestoredPackages> RestoreAsync(IReadOnlyCollection<PackageRequest> packages, IReadOnlyCollection<string> sources, CancellationToken cancel)
    {
        var project = ProjectText(packages, sources);
        var key = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(project)))[..16];
        var folder = Path.Combine(cacheDirectory, key);
        var assets = Path.Combine(folder, "obj", "project.assets.json");
        if (File.Exists(assets) && Read(assets) is { } known)
        {
            return known;
        }

        var (exitCode, log) = await RunRestoreAsync(SdkRestore.Prepare(folder, "packages.csproj", project), cancel).ConfigureAwait(false);
        if (exitCode != 0 || !File.Exists(assets) || Read(assets) is not { } restored)
        {
            File.Delete(assets);
            throw new DirectiveException(Reason(log, packages));
        }

        return restored;
    }

    private string ProjectText(IEnumerable<PackageRequest> packages, IReadOnlyCollection<string> sources)
    {
        var text = new StringBuilder();
        text.Append(
            $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <TargetFramework>net{Environment.Version.Major}.0</TargetFramework>
                <RuntimeIdentifier>{RuntimeInformation.RuntimeIdentifier}</RuntimeIdentifier>
                <SelfContained>false</SelfContained>
                <UseAppHost>false</UseAppHost>
                <ManagePackageVersionsCentrally>false</ManagePackageVersionsCentrally>
                <NoWarn>$(NoWarn);NU1603;NU1701;NU1901;NU1902;NU1903;NU1904</NoWarn>
                <RestorePackagesPath>{SecurityElement.Escape(packagesDirectory ?? "")}</RestorePackagesPath>
                <RestoreAdditionalProjectSources>{SecurityElement.Escape(string.Join(';', sources))}</RestoreAdditionalProjectSources>
              </PropertyGroup>
              <ItemGroup>

            """);
        foreach (var package in packages.OrderBy(p => p.Name, StringComparer.OrdinalIgnoreCase))
        {
            text.Append(System.Globalization.CultureInfo.InvariantCulture, $"    <PackageReference Include=\"{SecurityElement.Escape(package.Name)}\" Version=\"{SecurityElement.Escape(package.Version ?? "*")}\" />\n");
        }

        return text.Append("  </ItemGroup>\n</Project>\n").ToString();
    }

    private static async Task<(int ExitCode, string Log)> RunRestoreAsync(string project, CancellationToken cancel)
    {
        try
        {
            return await SdkRestore.RunAsync(project, new Dictionary<string, string>(), cancel).ConfigureAwait(false);
        }
        catch (Win32Exception error)
        {
            throw new DirectiveException($"The .NET SDK could not be started ('dotnet restore'): {error.Message}");
        }
    }

    private static string Reason(string log, IReadOnlyCollection<PackageRequest> packages)
    {
        var errors = SdkRestore.Errors(log);
        var names = string.Join(", ", packages.Select(p => p.Version is null ? p.Name : $"{p.Name} {p.Version}"));
        return $"Packages could not be restored ({names}). " + (errors.Length > 0 ? string.Join(" ", errors.Take(3)) : log.Trim());
    }

    private static RestoredPackages? Read(string assetsFile)
    {
        var root = JsonNode.Parse(File.ReadAllText(assetsFile))!;
        var target = root["targets"]!.AsObject().LastOrDefault(t => t.Key.Contains('/', StringComparison.Ordinal)).Value;
        if (target is null || (root["logs"]?.AsArray() ?? []).Any(l => (string?)l!["level"] == "Error"))
        {
            return null;
        }

        var roots = root["packageFolders"]!.AsObject().Select(f => f.Key).ToArray();
        var versions = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        List<string> compile = [], runtime = [], native = [];
        foreach (var (key, entry) in target.AsObject())
        {
            var slash = key.LastIndexOf('/');
            versions[key[..slash]] = key[(slash + 1)..];
            var folder = (string?)root["libraries"]?[key]?["path"] ?? key.ToLowerInvariant();
            bool Collect(string kind, List<string> into)
            {
                foreach (var (path, _) in entry![kind]?.AsObject() ?? [])
                {
                    if (Path.GetFileName(path) == "_._")
                    {
                        continue;
                    }

                    var file = roots.Select(r => Path.Combine(r, folder, path)).FirstOrDefault(File.Exists);
                    if (file is null)
                    {
                        return false;
                    }

                    into.Add(file);
                }

                return true;
            }

            // A package that was removed from the cache since makes the whole entry stale.
            if (!Collect("compile", compile) || !Collect("runtime", runtime) || !Collect("native", native))
            {
                return null;
            }
        }

        return new RestoredPackages(versions, compile, runtime, [.. native.Select(f => Path.GetDirectoryName(f)!).Distinct()]);
    }
}
