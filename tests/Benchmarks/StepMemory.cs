using System.Globalization;
using Sparseland.Native;

namespace Benchmarks;

/// <summary>The peak of resident memory that a step needs, here and in a peer's process. Linux only.</summary>
internal static class StepMemory
{
    /// <summary>The peer's side: peak() of its step(), above what it holds before, or above what held() gave earlier.</summary>
    public const string Peak = """
        import ctypes

        def status(key):
            return next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith(key))

        def held():
            ctypes.CDLL('libc.so.6').malloc_trim(0)
            return status('VmRSS')

        def peak(before=None):
            step()
            now = held()
            open('/proc/self/clear_refs', 'w').write('5')
            step()
            return status('VmHWM') - (now if before is None else before)
        """;

    /// <summary>Resident memory in KiB, after what is free was given back; 0 where it cannot be read.</summary>
    public static long Held()
    {
        if (!OperatingSystem.IsLinux()) return 0;
        // Arrays that went to the peer are given back too.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        FreedMemory.GiveBack();
        return Status("VmRSS");
    }

    /// <summary>Peaks of one step in words.</summary>
    /// <param name="step">Ours.</param>
    /// <param name="python">The peer, whose step() is the same; null for none.</param>
    /// <param name="before">What was held here before anything of the step was made; null for what is held right before it. The peer's is in its variable "before".</param>
    public static string Note(Action step, PythonPeer? python, long? before = null)
    {
        if (!OperatingSystem.IsLinux()) return "";
        step();
        long now = Held();
        File.WriteAllText("/proc/self/clear_refs", "5");
        step();
        double ours = (Status("VmHWM") - (before ?? now)) / 1024.0, theirs = python is null ? double.NaN : python.Get(before is null ? "[peak()]" : "[peak(before)]")[0] / 1024.0;
        string above = before is null ? "above what is held before it" : "with all that the training holds";
        return string.Create(CultureInfo.InvariantCulture, $"peak of one step {above} {ours:F1} MB, peer {theirs:F1} MB: {ours / theirs:F2}");
    }

    private static long Status(string key) =>
        long.Parse(File.ReadLines("/proc/self/status").First(l => l.StartsWith(key, StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
}
