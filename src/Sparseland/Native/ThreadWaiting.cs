using System.Runtime.InteropServices;

namespace Sparseland.Native;

/// <summary>
/// How libtorch's threads wait for their next loop. By default they spin for milliseconds; where something else wants the cores (a browser,
/// a second notebook, this library's own threads) every spinning thread takes the core from the one it waits for, and small operations
/// become ten times slower. Threads that sleep at once cost an idle machine half of its speed again: waking one takes longer than most
/// loops. So they spin for about a tenth of a millisecond and then sleep, unless the user's environment says otherwise.
/// </summary>
internal static partial class ThreadWaiting
{
    /// <summary>libgomp's number of turns before a thread sleeps; its own default is 300,000.</summary>
    private const string Spins = "3000";

    /// <summary>Sets it for libgomp, which reads the C environment when it is loaded: before the first tensor. Other systems have other runtimes.</summary>
    public static void SpinBriefly()
    {
        // A policy of the user's own stays.
        if (OperatingSystem.IsLinux() && Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is null) SetDefault("GOMP_SPINCOUNT", Spins);
    }

    /// <summary>Sets a variable of the C environment that is not set. .NET's own copy of the environment is not what native code reads.</summary>
    internal static void SetDefault(string name, string value) => _ = SetEnvironment(name, value, overwrite: 0);

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SetEnvironment(string name, string value, int overwrite);
}
