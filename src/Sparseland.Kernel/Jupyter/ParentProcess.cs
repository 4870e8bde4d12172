using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Sparseland.Kernel.Jupyter;

/// <summary>
/// Watches the process that started the kernel (JPY_PARENT_PID: a process id, on Windows an inherited handle), so
/// that a kernel does not outlive a front end that died without saying goodbye.
/// </summary>
internal static class ParentProcess
{
    /// <summary>Environment variable set by Jupyter.</summary>
    public const string Variable = "JPY_PARENT_PID";

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>Calls <paramref name="died"/> once when the parent is gone; does nothing when no parent is named.</summary>
    public static void Watch(string? parent, Action died, CancellationToken stop, KernelLog log)
    {
        if (!long.TryParse(parent, NumberStyles.None, CultureInfo.InvariantCulture, out var id) || id <= 1)
            return;
        var thread = new Thread(() =>
        {
            if (OperatingSystem.IsWindows() ? WaitForHandle(id, stop) : WaitForExit((int)id, stop))
            {
                log.Write($"the process that started this kernel ({id}) is gone");
                died();
            }
        })
        {
            IsBackground = true,
            Name = "kernel parent watch",
        };
        thread.Start();
    }

    private static bool WaitForHandle(long handle, CancellationToken stop)
    {
        using var parent = new ManualResetEvent(false) { SafeWaitHandle = new SafeWaitHandle((nint)handle, ownsHandle: false) };
        return WaitHandle.WaitAny([parent, stop.WaitHandle]) == 0;
    }

    private static bool WaitForExit(int id, CancellationToken stop)
    {
        // A direct child sees its parent change, also when the dead parent stays as a zombie; a kernel that was
        // started through another program can only look whether the process still exists.
        var direct = ParentId() == id;
        while (!stop.WaitHandle.WaitOne(Interval))
        {
            if (direct ? ParentId() != id : !Exists(id))
                return true;
        }

        return false;
    }

    private static bool Exists(int id)
    {
        try
        {
            using var process = Process.GetProcessById(id);
            return true;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    [DllImport("libc", EntryPoint = "getppid")]
    private static extern int ParentId();
}
