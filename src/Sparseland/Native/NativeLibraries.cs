using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp;

namespace Sparseland.Native;

/// <summary>What the process knows about TorchSharp's native libraries; for reports such as that of <c>sparseland doctor</c>.</summary>
/// <param name="LibTorchFolder">Folder that libtorch is loaded from, or null when it was not found.</param>
/// <param name="TorchSharpLibrary">TorchSharp's own native library as it was found, or null.</param>
/// <param name="VersionNeeded">The newest GLIBCXX version that this library asks for, or null (not Linux, not found, or not readable).</param>
/// <param name="VersionAvailable">The newest GLIBCXX version that the system's libstdc++ offers, or null.</param>
/// <param name="Patched">Whether a patched copy of the library is in use.</param>
/// <param name="CachePath">Path of the patched copy, or null.</param>
/// <param name="Guarded">
/// Whether functions of TorchSharp whose mistakes would end the process (matmul, autograd.grad, cummax, cummin and a few
/// more) throw an ordinary exception instead. Linux on x64 only; elsewhere use <c>MatMul</c>.
/// </param>
/// <param name="GuardFailure">Why they are not guarded on a system where they could be, or null.</param>
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
    bool Guarded,
    string? GuardFailure,
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
        (string? found, Exception? failure) = Load();
        string? wrapper = NativeLoader.WrapperPath ?? LoadedLibraries.Find("libLibTorchSharp.so") ?? found;
        string? torchFolder = LoadedLibraries.Find("libtorch_cpu.so") is { } loaded ? Path.GetDirectoryName(loaded) : NativeLoader.LibTorchFolder;
        string? standard = NativeLoader.StandardLibrary();
        return new NativeLibraryReport(
            torchFolder,
            wrapper,
            OperatingSystem.IsLinux() && wrapper is not null && failure is not InvalidDataException
                ? Newest(NativeLoader.Versions(wrapper).Needs.Select(need => need.Version)) : null,
            standard is null ? null : Newest(NativeLoader.Versions(standard).Definitions),
            NativeLoader.PatchedPath is not null,
            NativeLoader.PatchedPath,
            NativeGuard.Active,
            NativeGuard.Failure is { } unguarded ? OneLine(unguarded.Message) : null,
            failure is null,
            failure is null ? null : OneLine(failure.Message),
            failure switch
            {
                null => null,
                InvalidDataException => "Delete that file and its package's folder in the NuGet cache, restore (dotnet restore) and build again.",
                _ when wrapper is null || torchFolder is null => "Restore the packages (dotnet restore) and start the program from its build output; "
                    + "set NUGET_PACKAGES where the packages folder is not ~/.nuget/packages.",
                _ => "Use a 64-bit system with glibc 2.28 or newer and libstdc++ of GCC 11 or newer (Debian 12, Ubuntu 22.04, RHEL 9 "
                    + "or newer), and a cache folder that allows programs (XDG_CACHE_HOME).",
            });
    }

    private static (string? Found, Exception? Failure) Load()
    {
        string? found = null;
        try
        {
            found = new NativeSearch(typeof(NativeLibraries).Assembly).Find(NativeLoader.Wrapper);
            if (OperatingSystem.IsLinux() && found is not null)
            {
                NativeLoader.Versions(found); // the system's own loader dies of a file that ends in the middle
            }
            MakeTensor();
            return (found, null);
        }
        catch (InvalidDataException e)
        {
            return (found, e);
        }
        catch (Exception e) when (e is NotSupportedException or DllNotFoundException or TypeInitializationException
            or EntryPointNotFoundException or IOException or BadImageFormatException)
        {
            return (found, NativeLoader.Failure ?? e.GetBaseException());
        }
    }

    // A method of its own: without TorchSharp.dll the runtime refuses to start it, which must happen within the try.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void MakeTensor()
    {
        // The library by itself first: where it does not load, TorchSharp would copy all of libtorch to a folder beside it.
        NativeLibrary.Load(NativeLoader.Wrapper, typeof(torch).Assembly, null);
        torch.ones(1).Dispose();
    }

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
