using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using TorchSharp;

namespace Sparseland.Native;

/// <summary>
/// Helps the runtime to TorchSharp's native libraries where its own search fails: on a Linux whose libstdc++ is older
/// than the one TorchSharp was built with, and in a script host whose search path does not know the packages.
/// It only hangs handlers on the runtime's resolving events; nothing native is loaded before the first tensor.
/// </summary>
internal static class NativeLoader
{
    internal const string Wrapper = "LibTorchSharp";

    private static readonly Lock Gate = new();
    private static nint s_handle;

    /// <summary>Folder that libtorch was or will be loaded from, once known.</summary>
    public static string? LibTorchFolder { get; private set; }

    /// <summary>TorchSharp's native library as found, once looked for.</summary>
    public static string? WrapperPath { get; private set; }

    /// <summary>The patched copy that was loaded in its place, or null.</summary>
    public static string? PatchedPath { get; private set; }

    /// <summary>Why the library could not be loaded, or null.</summary>
    public static Exception? Failure { get; private set; }

    /// <summary>Hangs the handlers. Runs when the first code of this assembly does.</summary>
    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255", Justification = "Tensors must work without the user calling anything first.")]
    internal static void Initialize()
    {
        AssemblyLoadContext.GetLoadContext(typeof(NativeLoader).Assembly)!.Resolving += ResolveManaged;
        ThreadWaiting.SpinBriefly();
        try
        {
            Watch();
        }
        catch (Exception e) when (e is FileNotFoundException or FileLoadException or BadImageFormatException)
        {
            Failure = e; // what needs no tensor goes on working; NativeLibraries.Describe tells
        }
    }

    // A method of its own: naming a type of TorchSharp makes the runtime look for the assembly when the method starts.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Watch()
    {
        Assembly torchSharp = typeof(torch).Assembly;
        AssemblyLoadContext.GetLoadContext(torchSharp)!.ResolvingUnmanagedDll += ResolveNative;
        NativeGuard.Watch(torchSharp);
    }

    /// <summary>TorchSharp.dll and its like from beside this assembly, for hosts that load this one by path alone.</summary>
    private static Assembly? ResolveManaged(AssemblyLoadContext context, AssemblyName name)
    {
        string folder = Path.GetDirectoryName(typeof(NativeLoader).Assembly.Location) ?? "";
        string path = Path.Combine(folder, $"{name.Name}.dll");
        return folder.Length > 0 && File.Exists(path) && AssemblyName.GetAssemblyName(path).FullName == name.FullName
            ? context.LoadFromAssemblyPath(path) : null;
    }

    /// <summary>Called by the runtime when its own search for a native library has failed.</summary>
    private static nint ResolveNative(Assembly asking, string name)
    {
        if (asking != typeof(torch).Assembly || name is not (Wrapper or "torch_cpu" or "torch_cuda"))
        {
            return 0;
        }
        lock (Gate)
        {
            try
            {
                var search = new NativeSearch(typeof(torch).Assembly, typeof(NativeLoader).Assembly);
                if (name != Wrapper)
                {
                    LoadLibTorch(search);
                    string path = Path.Combine(LibTorchFolder!, NativeSearch.FileName(name));
                    return File.Exists(path) ? NativeLibrary.Load(path) : 0;
                }
                if (s_handle == 0)
                {
                    s_handle = LoadWrapper(search);
                    Failure = null;
                }
                return s_handle;
            }
            catch (Exception e) when (e is DllNotFoundException or BadImageFormatException or IOException
                or InvalidDataException or UnauthorizedAccessException)
            {
                Failure = e; // the runtime reports the failed load; NativeLibraries.Describe the reason
                return 0;
            }
        }
    }

    private static nint LoadWrapper(NativeSearch search)
    {
        string path = search.Find(Wrapper) ?? throw NotFound(Wrapper, search);
        WrapperPath = path;
        LoadLibTorch(search);
        if (OperatingSystem.IsLinux() && MissingVersions(path) is [WeakVersionPatch.MarkerVersion])
        {
            byte[] original = File.ReadAllBytes(path);
            byte[] patched = WeakVersionPatch.Apply(original, WeakVersionPatch.MarkerVersion)!;
            (path, bool written) = NativeCache.Store(original, Path.GetFileName(path), patched);
            PatchedPath = path;
            if (written && Environment.GetEnvironmentVariable("SPARSELAND_QUIET") != "1")
            {
                Console.Error.WriteLine($"Sparseland: this system's libstdc++ lacks {WeakVersionPatch.MarkerVersion}; "
                    + $"a copy of TorchSharp's native library that does without it is now at {path}");
            }
        }
        return NativeLibrary.Load(path);
    }

    /// <summary>
    /// Loads libtorch, from the folder that a part of it was loaded from already if there is one: a second copy beside
    /// the first crashes the process.
    /// </summary>
    private static void LoadLibTorch(NativeSearch search)
    {
        string? path = LoadedLibraries.Find("libtorch_cpu.so") is { } loaded
            ? Path.Combine(Path.GetDirectoryName(loaded)!, NativeSearch.FileName("torch"))
            : search.Find("torch");
        if (path is null)
        {
            throw NotFound("torch", search);
        }
        LibTorchFolder = Path.GetDirectoryName(path);
        NativeLibrary.Load(path);
    }

    /// <summary>Versions of libstdc++ that TorchSharp's native library needs and this system's one lacks.</summary>
    /// <exception cref="InvalidDataException">One of the files is damaged; the message names it.</exception>
    internal static IReadOnlyList<string> MissingVersions(string wrapper) =>
        StandardLibrary() is { } standard
            ? WeakVersionPatch.Missing(Versions(wrapper), "libstdc++.so.6", Versions(standard))
            : [];

    /// <summary>The symbol versions of a library.</summary>
    /// <exception cref="InvalidDataException">It is not a 64-bit little-endian ELF file or damaged; the message names it.</exception>
    internal static ElfVersions Versions(string path)
    {
        try
        {
            return ElfVersions.Read(File.ReadAllBytes(path));
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"{path}: {e.Message}", e);
        }
    }

    /// <summary>Path of the C++ standard library that the process uses (the .NET runtime itself needs it), or null.</summary>
    internal static string? StandardLibrary() => LoadedLibraries.Find("libstdc++.so.6");

    private static DllNotFoundException NotFound(string library, NativeSearch search) =>
        new($"{NativeSearch.FileName(library)} is in none of these folders: {string.Join(", ", search.Folders)}");
}
