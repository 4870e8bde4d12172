using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Security;

namespace Sparseland.IO;

/// <summary>
/// A NuGet package as a folder of files: taken from the user's package cache, or restored into it once through the .NET SDK, whose feeds and
/// credentials are used as they are. Its dependencies are not restored and its code is not loaded.
/// </summary>
internal sealed class NuGetPackage(string id, string version, int megabytes, string? dotnet = null)
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
    /// <param name="cancel">Stops the restore at once; what it had begun is removed as soon as its process is gone.</param>
    /// <exception cref="IOException">The package could not be restored; the message says why and what helps.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public string FindOrRestore(string cache, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        if (Find(cache) is { } present) return present;
        Directory.CreateDirectory(cache);
        RemoveAbandoned(cache);

        progress?.Report(new(0, Bytes, $"restoring {Label} through the .NET SDK, once"));

        // Beside the place where it belongs: what is whole is moved there in one step, and what is not never stands there.
        string work = Path.Combine(cache, Working + Path.GetRandomFileName());
        bool cancelled = false;
        try
        {
            if (Restore(work, progress, cancel) is { } problem) throw Failed(cache, problem);
            Adopt(Find(Path.Combine(work, "packages")) ?? throw Failed(cache, "the restore ended without it"), Place(cache));
        }
        catch (OperationCanceledException)
        {
            cancelled = true;
            throw;
        }
        finally
        {
            if (!cancelled) Remove(work);
        }

        progress?.Report(new(Bytes, Bytes, $"{Label} is in {cache}"));
        return Find(cache) ?? throw Failed(cache, "it was removed while it was restored");
    }

    private long Bytes => megabytes * 1_000_000L;

    private string Place(string cache) => Path.Combine(cache, id.ToLowerInvariant(), version.ToLowerInvariant());

    /// <summary>Restores into a folder, which goes when this is cancelled.</summary>
    /// <returns>What went wrong, or null.</returns>
    private string? Restore(string work, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        string download = Path.Combine(work, "http");
        string project = SdkRestore.Prepare(work, "package.csproj",
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
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        Task<(int ExitCode, string Log)> run = SdkRestore.RunAsync(project, new Dictionary<string, string> { ["NUGET_HTTP_CACHE_PATH"] = download }, stop.Token, () => RemoveLater(work), dotnet);
        try
        {
            while (Task.WaitAny([run], TimeSpan.FromSeconds(0.5)) < 0)
                progress?.Report(new(Math.Min(Size(download), Bytes), Bytes, $"restoring {Label} through the .NET SDK, once"));
            (int exitCode, string log) = run.GetAwaiter().GetResult();
            if (exitCode == 0) return null;
            string[] reasons = [.. SdkRestore.Errors(log).Select(line => line[(line.IndexOf(' ', StringComparison.Ordinal) + 1)..]).Take(2)];
            return reasons.Length > 0 ? string.Join(" ", reasons) : log.Trim();
        }
        catch (Win32Exception error)
        {
            return $"the .NET SDK ('dotnet restore') could not be started: {error.Message}";
        }
        finally
        {
            // Nothing is left running where the one who is told of the progress throws.
            stop.Cancel();
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

    /// <summary>Removes what a cancelled restore had begun; what cannot be removed now goes with what is abandoned.</summary>
    private static void RemoveLater(string folder)
    {
        try
        {
            Remove(folder);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Trace.WriteLine($"'{folder}' could not be removed: {error.Message}");
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
}
