using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Security;
using System.Text.RegularExpressions;

namespace Sparseland.IO;

/// <summary>
/// A NuGet package as a folder of files: taken from the user's package cache, or restored into it once through the .NET SDK, whose feeds and
/// credentials are used as they are. Its dependencies are not restored and its code is not loaded.
/// </summary>
internal sealed partial class NuGetPackage(string id, string version, int megabytes)
{
    private const string Working = ".sparseland-";

    // NuGet writes this file last.
    private const string Whole = ".nupkg.metadata";
    private static readonly TimeSpan Abandoned = TimeSpan.FromDays(1);

    private string Label => $"{id} {version} ({megabytes} MB)";

    /// <summary>Folder of the user's packages: NUGET_PACKAGES, else .nuget/packages in the user's folder.</summary>
    public static string Cache =>
        Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } named ? named
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");

    /// <summary>The package's folder in a cache, or null where it is not there or not whole.</summary>
    /// <param name="cache">Folder of packages.</param>
    public string? Find(string cache) => Place(cache) is var folder && File.Exists(Path.Combine(folder, Whole)) ? folder : null;

    /// <summary>The package's folder; restored first where it is missing.</summary>
    /// <param name="cache">Folder of packages.</param>
    /// <param name="progress">Told what is done, in bytes where they are known.</param>
    /// <param name="cancel">Stops the restore; what it had begun is removed.</param>
    /// <exception cref="IOException">The package could not be restored; the message says why and what helps.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public string FindOrRestore(string cache, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        if (Find(cache) is { } present) return present;
        Directory.CreateDirectory(cache);
        RemoveAbandoned(cache);

        // Beside the place where it belongs: what is whole is moved there in one step, and what is not never stands there.
        string work = Path.Combine(cache, Working + Path.GetRandomFileName());
        try
        {
            Directory.CreateDirectory(work);
            progress?.Report(new(0, Bytes, $"restoring {Label} through the .NET SDK, once"));
            Restore(work, progress, cancel);
            Adopt(Find(Path.Combine(work, "packages")) ?? throw Failed(cache, "the restore ended without it"), Place(cache));
        }
        catch (RestoreException error)
        {
            throw Failed(cache, error.Message);
        }
        finally
        {
            Remove(work);
        }

        progress?.Report(new(Bytes, Bytes, $"{Label} is in {cache}"));
        return Find(cache) ?? throw Failed(cache, "it was removed while it was restored");
    }

    private long Bytes => megabytes * 1_000_000L;

    private string Place(string cache) => Path.Combine(cache, id.ToLowerInvariant(), version.ToLowerInvariant());

    private void Restore(string work, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        // Empty files keep the settings of outer folders out of this project.
        File.WriteAllText(Path.Combine(work, "Directory.Build.props"), "<Project />");
        File.WriteAllText(Path.Combine(work, "Directory.Build.targets"), "<Project />");
        File.WriteAllText(Path.Combine(work, "Directory.Packages.props"), "<Project />");
        string project = Path.Combine(work, "package.csproj"), download = Path.Combine(work, "http");
        File.WriteAllText(project,
            $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <TargetFramework>net{Environment.Version.Major}.0</TargetFramework>
                <UseAppHost>false</UseAppHost>
                <ManagePackageVersionsCentrally>false</ManagePackageVersionsCentrally>
                <RestorePackagesPath>{SecurityElement.Escape(Path.Combine(work, "packages"))}</RestorePackagesPath>
              </PropertyGroup>
              <ItemGroup>
                <PackageDownload Include="{SecurityElement.Escape(id)}" Version="[{SecurityElement.Escape(version)}]" />
              </ItemGroup>
            </Project>
            """);
        string dotnet = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } host ? host : "dotnet";
        var start = new ProcessStartInfo(dotnet, ["restore", project, "--verbosity", "quiet", "--nologo"])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = work,
        };
        start.Environment["DOTNET_CLI_UI_LANGUAGE"] = "en";
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["NUGET_HTTP_CACHE_PATH"] = download;
        using Process process = Begin(start);
        Task<string> output = process.StandardOutput.ReadToEndAsync(CancellationToken.None), error = process.StandardError.ReadToEndAsync(CancellationToken.None);
        try
        {
            Task ended = process.WaitForExitAsync(CancellationToken.None);
            while (!ended.Wait(TimeSpan.FromSeconds(0.5), cancel))
                progress?.Report(new(Math.Min(Size(download), Bytes), Bytes, $"restoring {Label} through the .NET SDK, once"));
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
            throw;
        }

        string log = output.Result + error.Result;
        if (process.ExitCode == 0) return;
        string[] reasons = [.. ErrorLine().Matches(log).Select(match => match.Groups[1].Value.Trim()).Distinct().Take(2)];
        throw new RestoreException(reasons.Length > 0 ? string.Join(" ", reasons) : log.Trim());
    }

    private static Process Begin(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start) ?? throw new RestoreException("the .NET SDK ('dotnet restore') could not be started");
        }
        catch (Win32Exception error)
        {
            throw new RestoreException($"the .NET SDK ('dotnet restore') could not be started: {error.Message}");
        }
    }

    private static void Adopt(string restored, string place)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(place)!);
        if (Directory.Exists(place) && !File.Exists(Path.Combine(place, Whole))) Remove(place);
        try
        {
            Directory.Move(restored, place);
        }
        catch (IOException) when (File.Exists(Path.Combine(place, Whole)))
        {
            // Another process restored the same package in the meantime.
        }
    }

    /// <summary>Removes what processes left that were killed while they restored.</summary>
    private static void RemoveAbandoned(string cache)
    {
        foreach (string folder in Directory.EnumerateDirectories(cache, Working + "*"))
        {
            if (DateTime.UtcNow - Directory.GetLastWriteTimeUtc(folder) > Abandoned) Remove(folder);
        }
    }

    private static void Remove(string folder)
    {
        for (int attempt = 1; Directory.Exists(folder); attempt++)
        {
            try
            {
                Directory.Delete(folder, recursive: true);
            }
            catch (IOException) when (attempt < 10)
            {
                // A process that was ended a moment ago still holds or writes a file of it.
                Thread.Sleep(50);
            }
        }
    }

    private static long Size(string folder)
    {
        long size = 0;
        if (!Directory.Exists(folder)) return size;
        foreach (FileInfo file in new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories))
        {
            // NuGet renames a file when it is whole; one that went away between the listing and here counts at the next look.
            if (file.Exists) size += file.Length;
        }

        return size;
    }

    private IOException Failed(string cache, string reason) => new(string.Create(CultureInfo.InvariantCulture,
        $"The package {Label} is not in '{cache}' and could not be restored: {reason.TrimEnd('.')}. It is needed once, with a network or a feed that has it; afterwards it is read from '{cache}' without one. NUGET_PACKAGES names another folder of packages."));

    [GeneratedRegex(@"error (?:NU|MSB|NETSDK)\d+: ([^\[\r\n]*)")]
    private static partial Regex ErrorLine();

    private sealed class RestoreException(string message) : Exception(message);
}
