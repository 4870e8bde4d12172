using System.Diagnostics;

namespace Sparseland.Notebooks;

/// <summary>What one of several pieces of work took.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Median">Median of its runs, in seconds.</param>
/// <param name="Least">Shortest of its runs, in seconds.</param>
/// <param name="Runs">Runs that were timed.</param>
public sealed record TimedWork(string Name, double Median, double Least, int Runs)
{
    /// <summary>The median in milliseconds.</summary>
    public double Milliseconds => 1e3 * Median;
}

/// <summary>Times of pieces of work that are to be compared: they run in turn, so that whatever else the machine does falls on all of them alike.</summary>
public static class Timing
{
    private const int WarmUp = 2;
    private const int FewestRounds = 3;

    /// <summary>Runs every piece twice unseen and then in turn, until the rounds are done or the time is up; at least three rounds.</summary>
    /// <param name="works">Names, all different, and what is to be timed.</param>
    /// <param name="rounds">Most runs of each. Default 15.</param>
    /// <param name="seconds">After so many seconds no further round begins. Default 2.</param>
    /// <param name="before">Runs before each run, outside the clock: to empty the caches, say. Default: nothing.</param>
    /// <param name="cancel">Checked before each run.</param>
    /// <returns>One for each piece, in their order.</returns>
    /// <exception cref="ArgumentException">No work, two of one name, or a number that is not positive.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static IReadOnlyList<TimedWork> InTurn(IReadOnlyList<(string Name, Action Work)> works, int rounds = 15, double seconds = 2, Action? before = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(works);
        if (works.Count == 0) throw new ArgumentException("There is no work to time.", nameof(works));
        if (works.Select(w => w.Name).Distinct().Count() < works.Count) throw new ArgumentException("Two pieces of work have one name; they could not be told apart.", nameof(works));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rounds);
        if (!(seconds > 0)) throw new ArgumentOutOfRangeException(nameof(seconds), seconds, "seconds must be positive.");
        List<double>[] times = [.. works.Select(_ => new List<double>())];
        long begun = Stopwatch.GetTimestamp();
        for (int round = -WarmUp; round < rounds && (round < FewestRounds || Stopwatch.GetElapsedTime(begun).TotalSeconds < seconds); round++)
        {
            for (int i = 0; i < works.Count; i++)
            {
                cancel.ThrowIfCancellationRequested();
                before?.Invoke();
                long start = Stopwatch.GetTimestamp();
                works[i].Work();
                if (round >= 0) times[i].Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
        }

        return [.. works.Select((work, i) => new TimedWork(work.Name, times[i].Order().ElementAt(times[i].Count / 2), times[i].Min(), times[i].Count))];
    }
}
