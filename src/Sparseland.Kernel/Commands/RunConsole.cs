using System.Diagnostics;
using System.Globalization;
using Sparseland.Kernel.Running;
using Spectre.Console;

namespace Sparseland.Kernel.Commands;

/// <summary>Shows runs: a moving line on a terminal, plain lines elsewhere.</summary>
internal static class RunConsole
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(15);

    /// <summary>Whether somebody watches.</summary>
    private static bool IsLive => !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Interactive;

    /// <summary>Runs one notebook and shows how far it is.</summary>
    public static async Task<NotebookRun> FollowAsync(NotebookRunner runner, string path, CancellationToken cancel)
    {
        if (IsLive)
        {
            return await AnsiConsole.Status().StartAsync(
                Markup.Escape(path),
                context => runner.RunAsync(path, new Direct(p => context.Status(Markup.Escape($"{p.Path}  cell [{p.Cell}] of {p.Cells}  {Seconds(p.Elapsed)}"))), cancel)).ConfigureAwait(false);
        }

        Console.WriteLine($"{path}: running");
        var since = Stopwatch.StartNew();
        return await runner.RunAsync(
            path,
            new Direct(p =>
            {
                if (since.Elapsed < Pause)
                    return;
                since.Restart();
                Console.WriteLine($"{path}: cell [{p.Cell}] of {p.Cells}, {Seconds(p.Elapsed)}");
            }),
            cancel).ConfigureAwait(false);
    }

    /// <summary>The line of a notebook, and what went wrong below it.</summary>
    public static void Report(NotebookRun run)
    {
        var claims = run.Claims.Count > 0 ? $", {run.Counts}" : "";
        var end = run.Status switch
        {
            RunStatus.Passed => (run.Regressed.Count == 0 ? "ok" : "REGRESSED") + (run.ToleratedErrors > 0 ? $", {run.ToleratedErrors} allowed to throw" : ""),
            RunStatus.Failed => $"FAILED in cell [{run.FailedCell}]",
            RunStatus.TimedOut => $"STOPPED in cell [{run.FailedCell}]",
            _ => $"CRASHED in cell [{run.FailedCell}]",
        };
        Line($"{run.Path}: {end}, {Seconds(run.Elapsed)}, {run.PeakMemory / 1048576} MB{claims}", run.IsGood);
        foreach (var line in run.Error?.Traceback ?? [])
            Console.WriteLine("    " + line);
        foreach (var claim in run.Regressed)
            Console.WriteLine("    held before, not now: " + claim.Statement);
    }

    /// <summary>A line in the colour of its outcome.</summary>
    public static void Line(string text, bool good)
    {
        if (IsLive)
            AnsiConsole.MarkupLine($"[{(good ? "green" : "red")}]{Markup.Escape(text)}[/]");
        else
            Console.WriteLine(text);
    }

    private static string Seconds(TimeSpan time) => time.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture) + " s";

    /// <summary>Reports at once: Progress&lt;T&gt; would post to the pool and may come after the end.</summary>
    private sealed class Direct(Action<RunProgress> action) : IProgress<RunProgress>
    {
        public void Report(RunProgress value) => action(value);
    }
}
