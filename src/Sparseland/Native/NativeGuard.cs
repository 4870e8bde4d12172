using System.Reflection;
using System.Runtime.InteropServices;

namespace Sparseland.Native;

/// <summary>
/// Keeps the process alive when a native function of TorchSharp throws a C++ exception that TorchSharp forgot to catch.
/// The same for scalars that TorchSharp frees while an operation still reads them: their end is put off. Each such import is bound, before its first use, to a function of the same name in a small library of our own
/// (Guard/guard.cpp), which calls the real one and catches. The means are the runtime's documented ones: an import
/// resolver, and <see cref="Marshal.Prelink"/> to bind one import at a chosen moment.
/// </summary>
internal static unsafe class NativeGuard
{
    private const string Resource = "guard-linux-x64.so";

    // The order is that of sparseland_real in guard.cpp. The first hands out the messages of all others.
    private static readonly string[] Functions =
    [
        "THSTorch_get_and_reset_last_err", "THSTensor_matmul", "THSAutograd_grad", "THSTensor_cummax", "THSTensor_cummin",
        "THSGenerator_set_rng_state", "THSNN_LBFGS_ctor", "THSTorch_dispose_scalar",
    ];

    private static readonly Lock Gate = new();
    private static bool s_tried;
    private static nint s_redirect;
    private static bool s_redirected;

    /// <summary>Whether the functions are guarded.</summary>
    public static bool Active { get; private set; }

    /// <summary>Why they are not, where they could be, or null.</summary>
    public static Exception? Failure { get; private set; }

    /// <summary>Waits for TorchSharp's first native call.</summary>
    public static void Watch(Assembly torchSharp)
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
        {
            return; // Windows turns a C++ exception into an SEHException by itself
        }
        try
        {
            NativeLibrary.SetDllImportResolver(torchSharp, Resolve);
        }
        catch (InvalidOperationException e)
        {
            Failure = e; // the program resolves TorchSharp's imports itself, and there can be only one resolver
        }
    }

    private static nint Resolve(string library, Assembly torchSharp, DllImportSearchPath? searchPath)
    {
        if (library != NativeLoader.Wrapper)
        {
            return 0;
        }
        lock (Gate)
        {
            if (s_redirect != 0)
            {
                s_redirected = true; // Bind, below, is linking a guarded function on this thread
                return s_redirect;
            }
            if (!s_tried && NativeLibrary.TryLoad(library, torchSharp, searchPath, out nint real))
            {
                s_tried = true;
                try
                {
                    Install(torchSharp, real);
                }
                catch (Exception e) when (e is IOException or DllNotFoundException or EntryPointNotFoundException
                    or UnauthorizedAccessException or MissingMethodException or BadImageFormatException)
                {
                    Failure = e; // tensors work without the guard; NativeLibraries.Describe tells
                }
            }
        }
        return 0; // the runtime's own search
    }

    private static void Install(Assembly torchSharp, nint real)
    {
        using Stream stream = typeof(NativeGuard).Assembly.GetManifestResourceStream(Resource)!;
        var content = new byte[stream.Length];
        stream.ReadExactly(content);
        nint guard = NativeLibrary.Load(NativeCache.Store(content, Resource, content).Path);
        var table = (nint*)NativeLibrary.GetExport(guard, "sparseland_real");
        Type imports = torchSharp.GetType("TorchSharp.PInvoke.NativeMethods", throwOnError: false)
            ?? throw new MissingMethodException("TorchSharp.PInvoke.NativeMethods is not in this version of TorchSharp.");
        MethodInfo[] methods = [.. Functions.Select(name => imports.GetMethod(name, BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public)
            ?? throw new MissingMethodException(imports.FullName, name))];
        for (int i = 0; i < Functions.Length; i++)
        {
            table[i] = NativeLibrary.GetExport(real, Functions[i]);
        }
        // Without the first, a caught mistake would go unnoticed: then none is guarded.
        Active = methods.All(method => Bind(method, guard));
    }

    /// <summary>Links one import to the guard; false if it was linked before, to the real function.</summary>
    private static bool Bind(MethodInfo import, nint guard)
    {
        (s_redirect, s_redirected) = (guard, false);
        try
        {
            Marshal.Prelink(import);
            return s_redirected;
        }
        finally
        {
            s_redirect = 0;
        }
    }
}
