using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Notebooks;

/// <summary>
/// A progress bar with time left that ends as one line: "Learning dictionaries: 480 steps in 12.3 s". In Sparseland's engine
/// it is redrawn in place, at most ten times a second; elsewhere it writes at most one line per second to standard output.
/// </summary>
/// <example><code>
/// using (var progress = lesson.Progress("Learning dictionaries"))
///     learner.Fit(patches, options, progress, progress.Cancel);
/// </code></example>
public sealed class LiveProgress : IProgress<ProgressReport>, IDisposable
{
    private static readonly TimeSpan RedrawInterval = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LineInterval = TimeSpan.FromSeconds(1);
    private static long created;

    private readonly string what;
    private readonly INotebookHost? host;
    private readonly Func<TimeSpan> clock;
    private readonly TextWriter console;
    private readonly string displayId = "sparseland-progress-" + Interlocked.Increment(ref created).ToString(CultureInfo.InvariantCulture);
    private readonly Lock gate = new();
    private ProgressReport latest;
    private TimeSpan? shownAt;
    private bool displayed;
    private bool ended;

    /// <summary>A progress bar that appears with its first report.</summary>
    /// <param name="what">What is being done: "Learning dictionaries".</param>
    /// <exception cref="ArgumentException"><paramref name="what"/> is empty.</exception>
    public LiveProgress(string what)
        : this(what, NotebookHost.Current, Watch(), Console.Out)
    {
    }

    internal LiveProgress(string what, INotebookHost? host, Func<TimeSpan> clock, TextWriter console)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(what);
        (this.what, this.host, this.clock, this.console) = (what, host, clock, console);
        Cancel = host?.CellCancelled ?? CancellationToken.None;
    }

    /// <summary>Signalled when the cell is interrupted; hand it to the long call.</summary>
    public CancellationToken Cancel { get; }

    /// <summary>Unit of the count in the final line.</summary>
    public string Unit { get; init; } = "steps";

    /// <summary>Takes a report. May be called from any thread.</summary>
    public void Report(ProgressReport value)
    {
        lock (gate)
        {
            if (ended)
                return;
            latest = value;
            TimeSpan now = clock();

            // All done is shown at once, as the line that stays: whoever does not dispose the bar must not be left with half of one.
            if (host is not null && value.Total > 0 && value.Done >= value.Total)
            {
                shownAt = now;
                DrawSummary(now);
                return;
            }

            // The very first report only starts the clock of a line-writing host: short work then writes its last line only.
            TimeSpan interval = host is null ? LineInterval : RedrawInterval;
            if (shownAt is { } before ? now - before < interval : host is null && now < interval)
                return;
            shownAt = now;
            if (host is not null)
                Draw(Running(value, now));
            else
                console.WriteLine(Line(value, now));
        }
    }

    /// <summary>Ends the bar and leaves one line.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            if (ended)
                return;
            ended = true;
            TimeSpan elapsed = clock();
            if (host is not null)
                DrawSummary(elapsed);
            else
                console.WriteLine(Summary() + Time(elapsed));
        }
    }

    /// <summary>A span of time as a reader says it: "0.4 s", "12.3 s", "3 min 20 s", "2 h 5 min".</summary>
    internal static string Duration(TimeSpan time)
    {
        double seconds = time.TotalSeconds;
        return seconds < 59.95 ? seconds.ToString("0.0", CultureInfo.InvariantCulture) + " s"
            : seconds < 3599.5 ? string.Create(CultureInfo.InvariantCulture, $"{(int)Math.Round(seconds) / 60} min {(int)Math.Round(seconds) % 60} s")
            : string.Create(CultureInfo.InvariantCulture, $"{(long)Math.Round(seconds / 60) / 60} h {(long)Math.Round(seconds / 60) % 60} min");
    }

    private static Func<TimeSpan> Watch()
    {
        var watch = Stopwatch.StartNew();
        return () => watch.Elapsed;
    }

    private static string Left(ProgressReport report, TimeSpan elapsed)
    {
        if (report.Total <= 0 || report.Done <= 0 || report.Done >= report.Total)
            return "";
        return Duration(elapsed * ((report.Total - report.Done) / (double)report.Done)) + " left";
    }

    private static MimeBundle Bundle(string html, string plain) => new(new Dictionary<string, JsonNode>
    {
        ["text/html"] = JsonValue.Create(html),
        ["text/plain"] = JsonValue.Create(plain),
    });

    private string Summary()
    {
        string Number(long count) => count.ToString("N0", CultureInfo.InvariantCulture);
        string done = Number(latest.Done) + (latest.Total > latest.Done ? $" of {Number(latest.Total)}" : "");
        string unit = done == "1" && Unit.EndsWith('s') ? Unit[..^1] : Unit;
        string count = latest.Done > 0 ? $": {done} {unit}" : ": done";
        string stopped = Cancel.IsCancellationRequested ? " (interrupted)" : "";

        // Where no report came, as when the work throws at once, there is no message either; an error here would hide the work's own.
        string message = latest.Message is { Length: > 0 } said ? $" ({said})" : "";
        return what + count + stopped + message;
    }

    private string Line(ProgressReport report, TimeSpan elapsed)
    {
        string share = report.Total > 0 ? string.Create(CultureInfo.InvariantCulture, $" {report.Fraction:0%}") : $" {report.Done.ToString("N0", CultureInfo.InvariantCulture)} {Unit}";
        string[] details = [report.Message, Duration(elapsed), Left(report, elapsed)];
        return what + share + ": " + string.Join(", ", details.Where(d => d.Length > 0));
    }

    private MimeBundle Running(ProgressReport report, TimeSpan elapsed)
    {
        string percent = (100 * report.Fraction).ToString("0.#", CultureInfo.InvariantCulture);
        string bar = report.Total > 0
            ? $"<progress max=\"100\" value=\"{percent}\" style=\"width:240px;vertical-align:middle\"></progress>"
            : "<progress style=\"width:240px;vertical-align:middle\"></progress>";
        string times = string.Join(", ", new[] { Duration(elapsed), Left(report, elapsed) }.Where(t => t.Length > 0));
        string count = report.Total > 0
            ? string.Create(CultureInfo.InvariantCulture, $"{report.Done:N0} of {report.Total:N0}")
            : string.Create(CultureInfo.InvariantCulture, $"{report.Done:N0} {Unit}");
        string message = report.Message.Length > 0 ? ", " + report.Message : "";
        return Bundle(
            $"<div>{Markup.Escape(what)} {bar} {count}{Markup.Escape(message)}{StoredTimes.Mark(" (" + times + ")")}</div>",
            Line(report, elapsed));
    }

    private static string Time(TimeSpan elapsed) => " in " + Duration(elapsed);

    private void DrawSummary(TimeSpan elapsed)
    {
        string summary = Summary(), time = Time(elapsed);
        Draw(Bundle($"<div>{Markup.Escape(summary)}{StoredTimes.Mark(time)}</div>", summary + time));
    }

    private void Draw(MimeBundle bundle)
    {
        if (displayed)
            host!.Update(bundle, displayId);
        else
            host!.Display(bundle, displayId);
        displayed = true;
    }
}
