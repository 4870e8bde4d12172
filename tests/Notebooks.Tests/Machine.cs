using System.Diagnostics;

namespace Notebooks.Tests;

/// <summary>How slow this machine is, so that time limits mean the same everywhere.</summary>
internal static class Machine
{
    // Seconds that Work takes on one quiet core of a 2.7 GHz server of 2023.
    private const double Reference = 0.20;

    private static readonly Lazy<double> Measured = new(() => Math.Max(1, Enumerable.Range(0, 3).Min(_ => Work()) / Reference));

    /// <summary>1 on the reference machine and on faster ones; measured once.</summary>
    public static double Slowness => Measured.Value;

    private static double Work()
    {
        long start = Stopwatch.GetTimestamp();
        double sum = 0;
        for (int i = 1; i <= 50_000_000; i++) sum += Math.Sqrt(i);
        if (sum < 0) throw new InvalidOperationException();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
