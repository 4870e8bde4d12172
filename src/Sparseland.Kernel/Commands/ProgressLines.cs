using System.Diagnostics;

namespace Sparseland.Kernel.Commands;

/// <summary>Progress of long work as lines: one every half minute, and the last one.</summary>
/// <param name="unit">What is counted, such as "step".</param>
/// <param name="say">Writes a line.</param>
/// <param name="first">Called once, with the first report, whether that is a line or not; null, the default, for nobody.</param>
internal sealed class ProgressLines(string unit, Action<string> say, Action? first = null) : IProgress<ProgressReport>
{
    private long _last = Stopwatch.GetTimestamp();
    private Action? _first = first;

    /// <inheritdoc/>
    public void Report(ProgressReport value)
    {
        Interlocked.Exchange(ref _first, null)?.Invoke();
        if (value.Done < value.Total && Stopwatch.GetElapsedTime(_last) < TimeSpan.FromSeconds(30)) return;
        _last = Stopwatch.GetTimestamp();
        say(FormattableString.Invariant($"{unit} {value.Done:N0} of {value.Total:N0}: {value.Message}"));
    }
}
