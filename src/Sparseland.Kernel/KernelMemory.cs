using System.Runtime.InteropServices;

namespace Sparseland.Kernel;

/// <summary>How processes that run cells hold memory.</summary>
internal static partial class KernelMemory
{
    /// <summary>The runtime's variable for the budget of the youngest generation; the project's file of settings cannot hold it, and the user's own setting wins.</summary>
    public const string Variable = "DOTNET_GCgen0size";

    /// <summary>48 MB, in the runtime's hexadecimal: by default it is as large as the processor's caches, hundreds of MB on a server.</summary>
    public const string YoungestGeneration = "3000000";

    // What a shorter cell leaves is little, and giving it back takes some milliseconds.
    private static readonly TimeSpan s_longCell = TimeSpan.FromSeconds(0.5);
    private static volatile bool s_trims = OperatingSystem.IsLinux();

    /// <summary>
    /// Gives back what a long cell's tensors held. The C library keeps what was freed for its next calls, in a heap per thread, and each cell
    /// has a thread of its own: half a gigabyte stayed after a minute of a language model, and the next cell's came on top.
    /// </summary>
    /// <param name="cell">How long the cell took.</param>
    public static void GiveBack(TimeSpan cell)
    {
        if (!s_trims || cell < s_longCell) return;
        try
        {
            _ = Trim(0);
        }
        catch (Exception error) when (error is EntryPointNotFoundException or DllNotFoundException)
        {
            // Another C library than glibc (musl), which has no such call and keeps little.
            s_trims = false;
        }
    }

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int Trim(nuint keep);
}
