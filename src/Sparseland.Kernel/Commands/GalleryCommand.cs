using System.CommandLine;
using System.Diagnostics;
using Sparseland.Kernel.Gallery;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland gallery</c>.</summary>
internal static class GalleryCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        var paths = Shared.OptionalPaths();
        var folder = new Option<string?>("--out") { Description = "Folder for the pages. [default: artifacts/gallery]" };
        var scale = Shared.Scale();
        var timeout = Shared.Timeout();
        var stored = new Option<bool>("--stored") { Description = "Run nothing; show the outputs that the notebooks hold." };
        var ledger = new Option<bool>("--ledger") { Description = "Run nothing; write notebooks/README.md and RESULTS.md, their pictures, the summary in README.md and the cells that say what to read before and after, from the stored outputs." };
        var open = new Option<bool>("--open") { Description = "Open the page in the browser." };
        var command = new Command("gallery", "Execute notebooks and write HTML pages with their pictures and claims; the notebooks stay as they are.")
        {
            paths, folder, scale, timeout, stored, ledger, open,
        };
        command.Validators.Add(result =>
        {
            if (result.GetValue(ledger) && result.GetValue(paths) is { Length: > 0 })
                result.AddError("--ledger is always about all notebooks of the series; give no paths.");
        });
        command.SetAction((parsed, cancel) => Guard.RunAsync("gallery", () =>
        {
            if (parsed.GetValue(ledger))
                return Task.FromResult(WriteLedger());
            var options = new RunOptions { Scale = parsed.GetValue(scale), CellTimeout = parsed.GetValue(timeout) };
            return RunAsync(Shared.Notebooks(parsed.GetValue(paths)), parsed.GetValue(folder), parsed.GetValue(stored) ? null : options, parsed.GetValue(open), cancel);
        }));
        return command;
    }

    /// <summary>The cards of the notebooks with their stored outputs.</summary>
    internal static IReadOnlyList<Card> StoredCards(IReadOnlyList<string> paths)
    {
        var root = CommonFolder(paths);
        return [.. paths.Select(p => new Card(Notebook.Load(p), Below(root, p)))];
    }

    private static int WriteLedger()
    {
        var root = NotebookFiles.RepositoryRoot() ?? throw new DirectoryNotFoundException("No clone of Sparseland (Notebooks.sln) is above the current folder.");
        var cards = StoredCards(NotebookFiles.OfTheSeries());
        var changed = Ledger.Write(root, cards);
        foreach (var file in changed)
            Console.WriteLine($"wrote {NotebookFiles.Short(file)}");
        Console.WriteLine($"{GalleryPage.Summary(cards)}; {(changed.Count == 0 ? "the ledger was current" : "the ledger is current now")}.");
        return Guard.Good;
    }

    private static async Task<int> RunAsync(IReadOnlyList<string> paths, string? folder, RunOptions? options, bool open, CancellationToken cancel)
    {
        var place = Path.GetFullPath(folder ?? Path.Combine(NotebookFiles.RepositoryRoot() ?? Environment.CurrentDirectory, "artifacts", "gallery"));
        AtomicFile.CheckFolder(place);
        var root = CommonFolder(paths);
        var cards = new List<Card>();
        var bad = 0;
        var stopped = false;
        foreach (var path in paths)
        {
            try
            {
                if (options is null)
                {
                    cards.Add(new Card(Notebook.Load(path), Below(root, path)));
                    continue;
                }

                var run = await RunConsole.FollowAsync(new NotebookRunner(options), path, cancel).ConfigureAwait(false);
                RunConsole.Report(run);
                bad += run.IsGood ? 0 : 1;
                cards.Add(new Card(run.Notebook, Below(root, path), Failure(run)));
            }
            catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException)
            {
                bad++;
                RunConsole.Line(e.Message, good: false);
            }
            catch (OperationCanceledException)
            {
                await Console.Error.WriteLineAsync($"sparseland gallery: stopped in '{path}' after {cards.Count} of {paths.Count} notebooks; {(cards.Count == 0 ? "no page was written." : "the pages show these.")}").ConfigureAwait(false);
                if (cards.Count == 0)
                    return Guard.Stopped;
                stopped = true;
                break;
            }
        }

        if (cards.Count == 0)
        {
            await Console.Error.WriteLineAsync("sparseland gallery: no notebook could be read; no page was written.").ConfigureAwait(false);
            return Guard.Bad;
        }

        var index = GalleryFolder.Write(place, cards);
        foreach (var claim in cards.SelectMany(c => c.Claims).Where(c => c.IsStated && c.Outcome == Evaluation.ClaimOutcome.NotReproduced))
            Console.WriteLine($"not reproduced: {claim.Statement}");
        Console.WriteLine(GalleryPage.Summary(cards));
        Console.WriteLine($"Gallery: {index}");
        if (open && !stopped)
            Process.Start(new ProcessStartInfo(index) { UseShellExecute = true })?.Dispose();
        return stopped ? Guard.Stopped : bad == 0 ? Guard.Good : Guard.Bad;
    }

    private static string? Failure(NotebookRun run) => run.Status switch
    {
        RunStatus.Passed => run.Regressed.Count > 0 ? "Held before, not now: " + string.Join("; ", run.Regressed.Select(c => c.Statement)) : null,
        _ => $"Cell [{run.FailedCell}]: {run.Error?.Message}",
    };

    /// <summary>The folder that all paths are measured from: the series' own, or the deepest one that holds them all.</summary>
    private static string CommonFolder(IReadOnlyList<string> paths)
    {
        var folders = paths.Select(p => Path.GetDirectoryName(Path.GetFullPath(p))!).ToList();
        if (NotebookFiles.RepositoryRoot() is { } root && Path.Combine(root, "notebooks") is var series && folders.All(f => IsBelow(series, f)))
            return series;
        var common = folders[0];
        while (!folders.All(f => IsBelow(common, f)) && Path.GetDirectoryName(common) is { } up)
            common = up;
        return common;
    }

    private static bool IsBelow(string folder, string path) =>
        path == folder || path.StartsWith(folder.TrimEnd(Path.DirectorySeparatorChar) + Path.DirectorySeparatorChar, StringComparison.Ordinal);

    private static string Below(string root, string path) => Path.GetRelativePath(root, Path.GetFullPath(path)).Replace('\\', '/');
}
