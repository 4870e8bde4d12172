using System.Runtime.InteropServices;
using Sparseland.Native;

namespace Sparseland.Tests.Native;

public class ThreadWaitingTests
{
    [Fact]
    public void Threads_of_libtorch_sleep_unless_the_environment_says_otherwise()
    {
        if (!OperatingSystem.IsLinux()) return;
        string? policy = Marshal.PtrToStringUTF8(GetEnvironment("OMP_WAIT_POLICY"));
        Assert.Equal(Environment.GetEnvironmentVariable("GOMP_SPINCOUNT") is null ? Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") ?? "PASSIVE" : null, policy);
        ThreadWaiting.SetDefault("OMP_WAIT_POLICY", "ACTIVE");
        Assert.Equal(policy ?? "ACTIVE", Marshal.PtrToStringUTF8(GetEnvironment("OMP_WAIT_POLICY")));
    }

    [DllImport("libc", EntryPoint = "getenv", CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern nint GetEnvironment(string name);
}
