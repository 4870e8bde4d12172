using System.Runtime.InteropServices;
using Sparseland.Native;

namespace Sparseland.Tests.Native;

public class ThreadWaitingTests
{
    [Fact]
    public void Threads_of_libtorch_spin_briefly_unless_the_environment_says_otherwise()
    {
        if (!OperatingSystem.IsLinux()) return;
        string? spins = Marshal.PtrToStringUTF8(GetEnvironment("GOMP_SPINCOUNT"));
        string? given = Environment.GetEnvironmentVariable("GOMP_SPINCOUNT");
        Assert.Equal(given ?? (Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is null ? "3000" : null), spins);
        ThreadWaiting.SetDefault("GOMP_SPINCOUNT", "5");
        Assert.Equal(spins ?? "5", Marshal.PtrToStringUTF8(GetEnvironment("GOMP_SPINCOUNT")));
    }

    [DllImport("libc", EntryPoint = "getenv", CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern nint GetEnvironment(string name);
}
