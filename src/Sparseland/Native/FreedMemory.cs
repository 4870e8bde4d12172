using System.Runtime.InteropServices;

namespace Sparseland.Native;

/// <summary>
/// Gives memory that was freed back to the system. The allocator of glibc keeps what large tensors leave, in the hope of more of their kind, and what lies between them keeps it
/// in pieces: a run that holds one block at a time would come to hold many times as much. Elsewhere nothing is done, and nothing need be.
/// </summary>
internal static unsafe class FreedMemory
{
    private static readonly delegate* unmanaged<nuint, int> s_trim = Find();

    private const long Worthwhile = 2L << 20;

    /// <summary>Gives back what can be after a piece of work of some bytes, where these are many: for small pieces it would take longer than the work.</summary>
    /// <param name="bytes">Size of the piece.</param>
    public static void GiveBackAfter(long bytes)
    {
        if (bytes > Worthwhile) GiveBack();
    }

    /// <summary>Gives back what can be; some milliseconds. For the end of a large piece of work, not for loops.</summary>
    public static void GiveBack()
    {
        if (s_trim != null) s_trim(0);
    }

    private static delegate* unmanaged<nuint, int> Find() =>
        OperatingSystem.IsLinux() && NativeLibrary.TryLoad("libc.so.6", out nint library) && NativeLibrary.TryGetExport(library, "malloc_trim", out nint trim)
            ? (delegate* unmanaged<nuint, int>)trim : null;
}
