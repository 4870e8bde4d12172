using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Scripting.Hosting;

namespace Sparseland.Kernel.Scripting;

/// <summary>
/// Assemblies that the cells of one engine can use. Everything is loaded into the default context, each assembly once:
/// a second copy of FSharp.Core or of the library would be a different type to the compiler.
/// </summary>
internal sealed class References
{
    // What the default context finds beside the program's own files; one map for the process, as there is one context.
    private static readonly ConcurrentDictionary<string, string> ManagedFiles = new(StringComparer.OrdinalIgnoreCase);
    private static readonly ConcurrentDictionary<string, byte> NativeFolders = new(StringComparer.Ordinal);

    private readonly InteractiveAssemblyLoader loader;
    private readonly Dictionary<string, MetadataReference> byName = new(StringComparer.OrdinalIgnoreCase);

    static References()
    {
        AssemblyLoadContext.Default.Resolving += static (context, name) =>
            name.Name is not null && ManagedFiles.TryGetValue(name.Name, out var file) ? context.LoadFromAssemblyPath(file) : null;
        AssemblyLoadContext.Default.ResolvingUnmanagedDll += static (_, name) => LoadNative(name);
    }

    public References(InteractiveAssemblyLoader loader)
    {
        this.loader = loader;
        var carried = CarriedPackages.Instance;
        foreach (var file in carried.FrameworkFiles)
        {
            AddPlatform(file);
        }

        // What a cell sees without any directive: the notebooks' library and all that it stands on.
        foreach (var file in carried.FilesOf(typeof(Sparseland.Notebooks.Hosting.CellGlobals).Assembly.GetName().Name!))
        {
            AddPlatform(file);
        }

        All = [.. byName.Values];
    }

    /// <summary>Every reference; a snapshot that a completion on another thread may keep.</summary>
    public ImmutableArray<MetadataReference> All { get; private set; } = [];

    /// <summary>Adds a package that the program carries. False when it does not.</summary>
    public bool AddCarried(string package)
    {
        var files = CarriedPackages.Instance.FilesOf(package);
        foreach (var file in files)
        {
            AddPlatform(file);
        }

        All = [.. byName.Values];
        return CarriedPackages.Instance.VersionOf(package) is not null;
    }

    /// <summary>Adds restored packages, leaving alone what is loaded already.</summary>
    public void AddRestored(RestoredPackages packages)
    {
        foreach (var folder in packages.NativeFolders)
        {
            NativeFolders.TryAdd(folder, 0);
        }

        foreach (var file in packages.RuntimeFiles)
        {
            ManagedFiles.TryAdd(Path.GetFileNameWithoutExtension(file), file);
        }

        foreach (var file in packages.CompileFiles)
        {
            var name = Path.GetFileNameWithoutExtension(file);
            if (CarriedPackages.Instance.PlatformAssemblies.TryGetValue(name, out var own))
            {
                AddPlatform(own);
            }
            else if (ManagedFiles.TryGetValue(name, out var runtime))
            {
                AddLoaded(runtime);
            }
        }

        All = [.. byName.Values];
    }

    /// <summary>Adds an assembly file of the user's.</summary>
    /// <exception cref="DirectiveException">There is no such file, or it is not a managed assembly.</exception>
    public void AddFile(string path)
    {
        if (!File.Exists(path))
        {
            // C# scripts may name an assembly of the framework without a path: #r "System.Xml.Linq".
            if (CarriedPackages.Instance.PlatformAssemblies.TryGetValue(Path.GetFileName(path), out var named))
            {
                AddWithDependencies(named);
                return;
            }

            // The setup cell may name the library's own file where it is not built: the running copy serves.
            if (CarriedPackages.Instance.PlatformAssemblies.TryGetValue(Path.GetFileNameWithoutExtension(path), out var own) && Path.GetExtension(path) == ".dll")
            {
                AddWithDependencies(own);
                return;
            }

            throw new DirectiveException($"#r: the file '{path}' does not exist.");
        }

        AssemblyName name;
        try
        {
            name = AssemblyName.GetAssemblyName(path);
        }
        catch (BadImageFormatException e)
        {
            throw new DirectiveException($"#r: '{path}' is not a .NET assembly.", e);
        }

        if (CarriedPackages.Instance.PlatformAssemblies.TryGetValue(name.Name!, out var carried))
        {
            AddWithDependencies(carried);
            return;
        }

        foreach (var neighbour in Directory.EnumerateFiles(Path.GetDirectoryName(Path.GetFullPath(path))!, "*.dll"))
        {
            ManagedFiles.TryAdd(Path.GetFileNameWithoutExtension(neighbour), neighbour);
        }

        NativeFolders.TryAdd(Path.GetDirectoryName(Path.GetFullPath(path))!, 0);
        AddLoaded(Path.GetFullPath(path));
        All = [.. byName.Values];
    }

    private void AddWithDependencies(string file)
    {
        AddPlatform(file);
        AddCarried(Path.GetFileNameWithoutExtension(file));
    }

    private void AddPlatform(string file)
    {
        if (IsManaged(file))
        {
            byName.TryAdd(Path.GetFileNameWithoutExtension(file), CachingReferenceResolver.File(file));
        }
    }

    private void AddLoaded(string file)
    {
        if (byName.ContainsKey(Path.GetFileNameWithoutExtension(file)))
        {
            return;
        }

        try
        {
            loader.RegisterDependency(AssemblyLoadContext.Default.LoadFromAssemblyPath(file));
        }
        catch (Exception e) when (e is FileLoadException or BadImageFormatException)
        {
            throw new DirectiveException($"#r: '{file}' cannot be loaded: {e.Message}", e);
        }

        byName.Add(Path.GetFileNameWithoutExtension(file), CachingReferenceResolver.File(file));
    }

    // The trusted list names a few native files of the runtime too.
    private static bool IsManaged(string file)
    {
        var name = Path.GetFileName(file);
        return name.EndsWith(".dll", StringComparison.OrdinalIgnoreCase) && !name.Contains(".Native.", StringComparison.Ordinal)
            && !name.StartsWith("coreclr", StringComparison.Ordinal) && !name.StartsWith("clr", StringComparison.Ordinal)
            && !name.StartsWith("mscordac", StringComparison.Ordinal) && !name.StartsWith("mscordbi", StringComparison.Ordinal)
            && !name.StartsWith("host", StringComparison.Ordinal) && !name.StartsWith("msquic", StringComparison.Ordinal)
            && !name.StartsWith("ucrtbase", StringComparison.Ordinal) && !name.StartsWith("api-ms-", StringComparison.Ordinal)
            && name != "Microsoft.DiaSymReader.Native.amd64.dll";
    }

    private static IntPtr LoadNative(string name)
    {
        string[] names = OperatingSystem.IsWindows() ? [name, name + ".dll"]
            : OperatingSystem.IsMacOS() ? [name, name + ".dylib", "lib" + name + ".dylib"]
            : [name, name + ".so", "lib" + name + ".so"];
        foreach (var folder in NativeFolders.Keys)
        {
            foreach (var candidate in names)
            {
                var file = Path.Combine(folder, candidate);
                if (File.Exists(file) && NativeLibrary.TryLoad(file, out var handle))
                {
                    return handle;
                }
            }
        }

        return IntPtr.Zero;
    }
}
