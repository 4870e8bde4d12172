using System.Runtime.InteropServices;

namespace Sparseland.Native;

/// <summary>
/// How libtorch's threads wait for their next loop. By default they spin for milliseconds, which is fastest on an idle machine; where
/// something else wants the cores (a browser, a second notebook, this library's own threads) every spinning thread takes the core from the
/// one it waits for, and small operations become ten times slower. So they sleep, unless the user's environment says otherwise.
/// </summary>
internal static partial class ThreadWaiting
{
    private const string Policy = "OMP_WAIT_POLICY";

    /// <summary>Sets the policy for libgomp, which reads the C environment when it is loaded: before the first tensor. Other systems have other runtimes.</summary>
    public static void SleepByDefault()
    {
        // A spin count of the user's own is a policy too.
        if (OperatingSystem.IsLinux() && Environment.GetEnvironmentVariable("GOMP_SPINCOUNT") is null) SetDefault(Policy, "PASSIVE");
    }

    /// <summary>Sets a variable of the C environment that is not set. .NET's own copy of the environment is not what native code reads.</summary>
    internal static void SetDefault(string name, string value) => _ = SetEnvironment(name, value, overwrite: 0);

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SetEnvironment(string name, string value, int overwrite);
}
