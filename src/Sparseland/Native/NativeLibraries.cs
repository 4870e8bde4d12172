using TorchSharp;

namespace Sparseland.Native;

/// <summary>What the process knows about TorchSharp's native libraries; for reports such as that of <c>sparseland doctor</c>.</summary>
/// <param name="LibTorchFolder">Folder that libtorch is loaded from, or null when it was not found.</param>
/// <param name="TorchSharpLibrary">TorchSharp's own native library as it was found, or null.</param>
/// <param name="VersionNeeded">The newest GLIBCXX version that this library asks for, or null (not Linux, or not found).</param>
/// <param name="VersionAvailable">The newest GLIBCXX version that the system's libstdc++ offers, or null.</param>
/// <param name="Patched">Whether a patched copy of the library is in use.</param>
/// <param name="CachePath">Path of the patched copy, or null.</param>
/// <param name="Loads">Whether tensors work in this process.</param>
/// <param name="Reason">If not, why, in one line.</param>
/// <param name="Remedy">If not, what to do about it.</param>
public sealed record NativeLibraryReport(
    string? LibTorchFolder,
    string? TorchSharpLibrary,
    string? VersionNeeded,
    string? VersionAvailable,
    bool Patched,
    string? CachePath,
    bool Loads,
    string? Reason,
    string? Remedy);

/// <summary>
/// TorchSharp's native libraries in this process. They are found and, on a Linux with an older libstdc++, made to load
/// without any call: the handlers are in place as soon as any code of Sparseland has run. One line on standard error
/// tells when a patched copy was made; the environment variable <c>SPARSELAND_QUIET=1</c> keeps it away.
/// </summary>
public static class NativeLibraries
{
    /// <summary>
    /// Puts the handlers in place now. Needed only by a program that uses TorchSharp before any code of Sparseland;
    /// may be called again without effect. Loads nothing native and costs about a millisecond.
    /// </summary>
    public static void Register()
    {
        // Entering this method has run the module's initialiser.
    }

    /// <summary>Loads libtorch if it is not yet loaded, and tells what was found. Never throws for a library that does not load.</summary>
    public static NativeLibraryReport Describe()
    {
        string? reason = null;
        try
        {
            using torch.Tensor one = torch.ones(1);
        }
        catch (Exception e) when (e is NotSupportedException or DllNotFoundException or TypeInitializationException
            or EntryPointNotFoundException or IOException or BadImageFormatException)
        {
            reason = OneLine((NativeLoader.Failure ?? e.GetBaseException()).Message);
        }
        return Report(reason);
    }

    private static NativeLibraryReport Report(string? reason)
    {
        var search = new NativeSearch(typeof(NativeLibraries).Assembly);
        string? wrapper = NativeLoader.WrapperPath ?? LoadedLibraries.Find("libLibTorchSharp.so") ?? search.Find("LibTorchSharp");
        string? standard = NativeLoader.StandardLibrary();
        string? torchFolder = LoadedLibraries.Find("libtorch_cpu.so") is { } loaded
            ? Path.GetDirectoryName(loaded) : NativeLoader.LibTorchFolder;
        return new NativeLibraryReport(
            torchFolder,
            wrapper,
            OperatingSystem.IsLinux() && wrapper is not null ? Newest(ElfVersions.Read(File.ReadAllBytes(wrapper)).Needs.Select(n => n.Version)) : null,
            standard is not null ? Newest(ElfVersions.Read(File.ReadAllBytes(standard)).Definitions) : null,
            NativeLoader.PatchedPath is not null,
            NativeLoader.PatchedPath,
            reason is null,
            reason,
            reason is null ? null : Remedy(wrapper, torchFolder));
    }

    private static string Remedy(string? wrapper, string? torchFolder) =>
        wrapper is null || torchFolder is null
            ? "Restore the packages (dotnet restore) and start the program from its build output; set NUGET_PACKAGES where the packages folder is not ~/.nuget/packages."
            : "Use a 64-bit system with glibc 2.28 or newer and libstdc++ of GCC 11 or newer (Debian 12, Ubuntu 22.04, RHEL 9 or newer), and a cache folder that allows programs (XDG_CACHE_HOME).";

    /// <summary>The newest GLIBCXX version of a list: versions compare by number, not by text.</summary>
    internal static string? Newest(IEnumerable<string> versions)
    {
        const string prefix = "GLIBCXX_";
        return versions
            .Where(v => v.StartsWith(prefix, StringComparison.Ordinal) && Version.TryParse(v[prefix.Length..], out _))
            .MaxBy(v => Version.Parse(v[prefix.Length..]));
    }

    private static string OneLine(string message) => string.Join(" ", message.Split(['\r', '\n'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
}
