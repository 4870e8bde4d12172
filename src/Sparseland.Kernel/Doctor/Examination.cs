using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.Kernel.Jupyter;
using Sparseland.Kernel.Running;
using Sparseland.Native;

namespace Sparseland.Kernel.Doctor;

/// <summary>Looks at this machine: what of Sparseland works here, and what to do about what does not.</summary>
internal static class Examination
{
    /// <summary>Name of the hidden command that describes the native libraries of its own process.</summary>
    public const string NativesCommandName = "describe-natives";

    private const double NeededGigabytes = 3;

    /// <summary>All findings, the essential ones first.</summary>
    public static async Task<IReadOnlyList<Finding>> RunAsync(CancellationToken cancel) =>
    [
        await SdkAsync(cancel).ConfigureAwait(false),
        await LibTorchAsync(cancel).ConfigureAwait(false),
        Processor(),
        Memory(),
        Disk(),
        .. KernelSpecs(JupyterPaths.Current),
        await JupyterAsync(cancel).ConfigureAwait(false),
        Chromium(),
    ];

    /// <summary>What <see cref="NativesCommandName"/> prints.</summary>
    public static string DescribeNatives() => JsonSerializer.Serialize(NativeLibraries.Describe());

    private static async Task<Finding> SdkAsync(CancellationToken cancel)
    {
        var (code, text) = await OutputOfAsync(WorkerProcess.DotnetPath(), ["--list-sdks"], cancel).ConfigureAwait(false);
        var versions = text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split(' ')[0]).ToList();
        return code == 0 && versions.LastOrDefault(v => v.StartsWith("10.", StringComparison.Ordinal)) is { } version
            ? new Finding(".NET SDK", Health.Works, $"{version}, runtime {Environment.Version}")
            : new Finding(".NET SDK", Health.Fails, versions.Count == 0 ? "none" : string.Join(", ", versions), "Install the .NET 10 SDK: https://dotnet.microsoft.com/download/dotnet/10.0");
    }

    /// <summary>In a process of its own: a native library that does not fit can end the process that loads it.</summary>
    private static async Task<Finding> LibTorchAsync(CancellationToken cancel)
    {
        const string thing = "libtorch";
        const string restore = "Build again (dotnet build); if it stays, delete the package folder of libtorch and restore.";
        var (code, text) = await OutputOfAsync(WorkerProcess.DotnetPath(), ["exec", typeof(Examination).Assembly.Location, NativesCommandName], cancel).ConfigureAwait(false);
        var json = text.Split('\n').LastOrDefault(l => l.StartsWith('{'));
        if (code != 0 || json is null)
            return new Finding(thing, Health.Fails, $"the process that loads it ends with exit code {code}", restore);
        var report = JsonSerializer.Deserialize<NativeLibraryReport>(json)!;
        if (!report.Loads)
            return new Finding(thing, Health.Fails, report.Reason ?? "does not load", report.Remedy ?? restore);
        var patched = report.Patched ? $", with a patched copy for this system's older libstdc++ ({report.VersionAvailable})" : "";
        return new Finding(thing, Health.Works, $"loads from {report.LibTorchFolder}{patched}");
    }

    private static Finding Processor()
    {
        var level = Avx512F.IsSupported ? "AVX-512" : Avx2.IsSupported ? "AVX2" : Sse42.IsSupported ? "SSE 4.2" : System.Runtime.Intrinsics.Arm.AdvSimd.IsSupported ? "NEON" : "no vector unit that is used";
        var found = $"{Environment.ProcessorCount} cores, {RuntimeInformation.ProcessArchitecture}, {level}";
        return Avx2.IsSupported || System.Runtime.Intrinsics.Arm.AdvSimd.IsSupported
            ? new Finding("processor", Health.Works, found)
            : new Finding("processor", Health.Optional, found, "Everything runs, several times slower than on a processor with AVX2.");
    }

    private static Finding Memory()
    {
        var gigabytes = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 1073741824.0;
        var found = string.Create(CultureInfo.InvariantCulture, $"{gigabytes:0.0} GB");
        return gigabytes >= 3.5
            ? new Finding("memory", Health.Works, found)
            : new Finding("memory", Health.Optional, found, "Close other programs before running notebooks; some hold up to 2 GB.");
    }

    private static Finding Disk()
    {
        var packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } given
            ? given
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        var existing = Path.GetFullPath(packages);
        while (!Directory.Exists(existing))
            existing = Path.GetDirectoryName(existing)!;
        var free = new DriveInfo(existing).AvailableFreeSpace / 1073741824.0;
        var found = string.Create(CultureInfo.InvariantCulture, $"{free:0.0} GB free for packages in {packages}");
        return free >= NeededGigabytes
            ? new Finding("disk", Health.Works, found)
            : new Finding("disk", Health.Optional, found, $"The packages take up to {NeededGigabytes} GB; make room or set NUGET_PACKAGES to a folder on another disk.");
    }

    private static IEnumerable<Finding> KernelSpecs(JupyterPaths paths)
    {
        var ours = KernelSpec.Find(paths).Where(k => k.IsOurs).ToList();
        if (ours.Count == 0)
            yield return new Finding("Jupyter kernel", Health.Optional, "not installed", "sparseland kernel install --user (only for work in JupyterLab, Notebook or VS Code)");
        foreach (var kernel in ours)
        {
            var missing = MissingProgram(Path.Combine(kernel.Folder, "kernel.json"));
            yield return missing is null
                ? new Finding("Jupyter kernel", Health.Works, $"{kernel.Name} in {kernel.Folder}")
                : new Finding("Jupyter kernel", Health.Optional, $"{kernel.Name} points to '{missing}', which does not exist", "sparseland kernel install --user");
        }
    }

    private static string? MissingProgram(string kernelJson)
    {
        try
        {
            var parts = JsonNode.Parse(File.ReadAllText(kernelJson))?["argv"]?.AsArray().Select(p => (string?)p ?? "").ToList() ?? [];
            return parts.Where(Path.IsPathRooted).FirstOrDefault(p => !File.Exists(p));
        }
        catch (Exception e) when (e is JsonException or IOException or InvalidOperationException)
        {
            return kernelJson;
        }
    }

    private static async Task<Finding> JupyterAsync(CancellationToken cancel)
    {
        const string remedy = "Only for work in a browser: 'python3 -m pip install jupyterlab', or Debian's package jupyter-notebook.";
        if (OnPath("jupyter") is not { } path)
            return new Finding("Jupyter", Health.Optional, "not found", remedy);
        var (code, text) = await OutputOfAsync(path, ["--version"], cancel).ConfigureAwait(false);
        var versions = text.Split('\n').Where(l => l.Contains(':', StringComparison.Ordinal) && !l.Contains("not installed", StringComparison.Ordinal))
            .Select(l => string.Join(' ', l.Split([' ', ':'], StringSplitOptions.RemoveEmptyEntries)))
            .Where(l => l.StartsWith("notebook", StringComparison.Ordinal) || l.StartsWith("jupyterlab", StringComparison.Ordinal) || l.StartsWith("jupyter_client", StringComparison.Ordinal));
        return code == 0
            ? new Finding("Jupyter", Health.Works, string.Join(", ", versions) is { Length: > 0 } list ? list : path)
            : new Finding("Jupyter", Health.Optional, $"'jupyter --version' ends with exit code {code}", remedy);
    }

    private static Finding Chromium()
    {
        var path = ((string[])["chromium", "chromium-browser", "google-chrome", "chrome"]).Select(OnPath).FirstOrDefault(p => p is not null);
        return path is not null
            ? new Finding("Chromium", Health.Works, path)
            : new Finding("Chromium", Health.Optional, "not found", "Only the checks of the notebook page need it; Debian's packages: chromium, chromium-driver.");
    }

    private static string? OnPath(string name)
    {
        var names = OperatingSystem.IsWindows() ? new[] { name + ".exe", name + ".cmd" } : [name];
        return (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .SelectMany(folder => names.Select(n => Path.Combine(folder, n)))
            .FirstOrDefault(File.Exists);
    }

    private static async Task<(int Code, string Text)> OutputOfAsync(string program, string[] arguments, CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(TimeSpan.FromSeconds(30));
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        Process? process = null;
        try
        {
            process = Process.Start(start)!;
            var errors = process.StandardError.ReadToEndAsync(limit.Token);
            var text = await process.StandardOutput.ReadToEndAsync(limit.Token).ConfigureAwait(false);
            await errors.ConfigureAwait(false);
            await process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
            if (process.ExitCode != 0)
                await Interruption.RuleOutAsync(cancel).ConfigureAwait(false);
            return (process.ExitCode, text);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return (-1, "");
        }
        catch (OperationCanceledException)
        {
            process?.Kill(entireProcessTree: true);
            cancel.ThrowIfCancellationRequested();
            return (-1, "");
        }
        finally
        {
            process?.Dispose();
        }
    }
}
