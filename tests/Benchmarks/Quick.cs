using System.Diagnostics;
using System.Globalization;

namespace Benchmarks;

/// <summary>A comparison that quick mode runs: the same work done by the library and by what a user would take instead.</summary>
/// <param name="Name">What is done, with its shape: "TopK [2048, 8192] k=32".</param>
/// <param name="Ours">The library's way.</param>
/// <param name="PeerName">Who the other is.</param>
/// <param name="Peer">The other's way; its result is as complete as ours. Null where the peer is not installed.</param>
/// <param name="Target">How many times faster ours should be; 0 where no target is stated.</param>
/// <param name="Note">What the two results were, printed after the times: a ratio counts only for the same work.</param>
/// <param name="Point">Where it stands on a curve of cost; null for none.</param>
public sealed record Comparison(string Name, Action Ours, string PeerName, Action? Peer, double Target = 0, Func<string>? Note = null, CurvePoint? Point = null);

/// <summary>A place on a curve of cost.</summary>
/// <param name="Curve">What is done, the heading of the picture.</param>
/// <param name="Axis">What grows.</param>
/// <param name="At">How much of it, positive.</param>
public sealed record CurvePoint(string Curve, string Axis, double At);

/// <summary>A benchmark class that also takes part in quick mode. It needs a parameterless constructor.</summary>
public interface IQuickBenchmark
{
    /// <summary>Its comparisons, each set up when it is enumerated and run before the next one is asked for.</summary>
    IEnumerable<Comparison> Comparisons();
}

/// <summary>
/// Quick mode: both sides alternate (A B A B ...) in one process, so that a machine that slows down slows both; the
/// medians and their ratio are printed. For a figure to keep, run BenchmarkDotNet.
/// </summary>
internal static class Quick
{
    private const int MinimumRounds = 5;
    private const int MaximumRounds = 51;
    private static readonly TimeSpan s_timePerComparison = TimeSpan.FromSeconds(1.2);

    /// <summary>Runs all comparisons whose class contains the filter, or where no class does, whose name contains it.</summary>
    /// <param name="filter">Part of a name; empty for all.</param>
    /// <param name="results">Takes the results and is written after each class; null for none.</param>
    /// <param name="rest">Only classes of which the results have nothing yet; where there is none the page is written anew. Default false.</param>
    /// <returns>0, or 1 when nothing matches the filter or a class ended with an error; the page goes on with the next.</returns>
    internal static int Run(string filter, ResultsFile? results = null, bool rest = false)
    {
        int run = 0;
        List<string> failed = [];
        List<Type> types = [.. Types().Where(type => !rest || results?.Has(type) != true)];
        if (types.Count == 0)
        {
            // Nothing is left to measure; the reasons may be others than on the page.
            results?.Write();
            return 0;
        }


        // A filter that names classes leaves the others alone: setting one up takes time.
        List<Type> named = [.. types.Where(type => Matches(type.FullName!, filter))];
        bool whole = named.Count > 0;
        foreach (Type type in whole ? named : types)
        {
            if (whole) results?.Forget(type);
            try
            {
                foreach (Comparison comparison in ((IQuickBenchmark)Activator.CreateInstance(type)!).Comparisons())
                {
                    if (!whole && !Matches(comparison.Name, filter))
                        continue;
                    Measured measured = Measure(comparison);
                    Console.WriteLine(measured);
                    if (measured.Note.Length > 0)
                        Console.WriteLine($"  {measured.Note}");
                    results?.Add(type, measured);
                    run++;
                }
            }
            catch (Exception failure) when (results is not null)
            {
                // The page takes most of an hour: one class that fails is named and leaves the others.
                Console.Error.WriteLine($"{type.FullName}: {failure}");
                failed.Add(type.Name);
            }

            results?.Write();
        }
        if (run == 0)
            Console.Error.WriteLine($"No comparison matches '{filter}'.");
        if (failed.Count > 0)
            Console.Error.WriteLine($"Ended with an error: {string.Join(", ", failed)}.");
        return run == 0 || failed.Count > 0 ? 1 : 0;
    }

    /// <summary>All classes with comparisons, in the order in which they run.</summary>
    internal static List<Type> Types() =>
    [
        .. typeof(Quick).Assembly.GetTypes().Where(type => type.IsClass && typeof(IQuickBenchmark).IsAssignableFrom(type)).OrderBy(type => type.FullName, StringComparer.Ordinal),
    ];

    private static bool Matches(string name, string filter) => name.Contains(filter, StringComparison.OrdinalIgnoreCase);

    private static Measured Measure(Comparison comparison)
    {
        // Enough calls for tiered compilation to have settled, which begins with the thirtieth of a method; fewer of those that take seconds.
        Action other = comparison.Peer ?? (() => { });
        for (long start = Stopwatch.GetTimestamp(), n = 0; n < 3 || Stopwatch.GetElapsedTime(start) < s_timePerComparison / 4 || (n < 40 && Stopwatch.GetElapsedTime(start) < s_timePerComparison); n++)
        {
            comparison.Ours();
            if (n == 0 || Stopwatch.GetElapsedTime(start) < 2 * s_timePerComparison) other();
        }

        var ours = new List<double>();
        var peer = new List<double>();
        long begin = Stopwatch.GetTimestamp();
        while (ours.Count < MinimumRounds || (ours.Count < MaximumRounds && Stopwatch.GetElapsedTime(begin) < s_timePerComparison))
        {
            ours.Add(Milliseconds(comparison.Ours));
            Settle(ours[^1]);
            peer.Add(Milliseconds(other));
            Settle(peer[^1]);
            if (ours.Count >= 3 && Stopwatch.GetElapsedTime(begin) > 10 * s_timePerComparison) break;
        }
        double a = Median(ours), b = Median(peer);
        return new(comparison.Name, a, comparison.PeerName, comparison.Peer is null ? double.NaN : b, comparison.Target, comparison.Note?.Invoke() ?? "", comparison.Point);
    }

    /// <summary>
    /// Threads of libtorch spin for a tenth of a millisecond after their work and OpenBLAS's for twenty: on two cores they would take a core
    /// from whoever comes next.
    /// </summary>
    private static void Settle(double milliseconds) => Thread.Sleep(milliseconds < 20 ? 1 : 40);

    private static double Milliseconds(Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    private static double Median(List<double> values)
    {
        values.Sort();
        return values.Count % 2 == 1 ? values[values.Count / 2] : (values[values.Count / 2 - 1] + values[values.Count / 2]) / 2;
    }

    internal static string Format(double value) => value.ToString(value < 1 ? "0.00#" : "0.0", CultureInfo.InvariantCulture);
}
