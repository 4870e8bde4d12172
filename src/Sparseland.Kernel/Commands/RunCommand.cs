using System.CommandLine;
using Sparseland.Kernel.Gallery;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland run</c>.</summary>
internal static class RunCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        var paths = new Argument<string[]>("paths") { Description = "Notebooks, or folders with notebooks.", Arity = ArgumentArity.OneOrMore };
        var scale = Shared.Scale();
        var timeout = Shared.Timeout();
        var html = new Option<string?>("--html") { Description = "Folder for reading copies in HTML (or one .html file for one notebook)." };
        var output = new Option<string?>("--output") { Description = "Folder for the executed notebooks; the originals stay as they are." };
        var inPlace = new Option<bool>("--in-place") { Description = "Write the outputs into the notebooks; the default at lesson scale." };
        var noSave = new Option<bool>("--no-save") { Description = "Write no notebook." };
        var accept = new Option<bool>("--accept") { Description = "Write outputs in place although a claim that held before does not hold now." };
        var changed = new Option<bool>("--changed") { Description = "Run only notebooks whose stored outputs do not belong to their code, or to the library's code that they reach; say which are skipped." };
        var allowErrors = new Option<bool>("--allow-errors") { Description = "Go on after a cell that throws and keep its error as output, as for a cell with the tag raises-exception." };
        var json = new Option<string?>("--json") { Description = "File for a report as JSON." };
        var command = new Command("run", "Execute notebooks headless, each in a process of its own, and keep their outputs.")
        {
            paths, scale, timeout, html, output, inPlace, noSave, accept, changed, allowErrors, json,
        };
        command.Validators.Add(result =>
        {
            if ((result.GetValue(output) is null ? 0 : 1) + (result.GetValue(inPlace) ? 1 : 0) + (result.GetValue(noSave) ? 1 : 0) > 1)
                result.AddError("--output, --in-place and --no-save exclude each other.");
        });
        command.SetAction((parsed, cancel) => Guard.RunAsync("run", () => RunAsync(
            new Request(
                Chosen(NotebookFiles.Expand(parsed.GetValue(paths)!), parsed.GetValue(changed), parsed.GetValue(scale)),
                new RunOptions { Scale = parsed.GetValue(scale), CellTimeout = parsed.GetValue(timeout), AllowErrors = parsed.GetValue(allowErrors) },
                Target(parsed.GetValue(output), parsed.GetValue(inPlace), parsed.GetValue(noSave), parsed.GetValue(accept), parsed.GetValue(scale)),
                parsed.GetValue(html),
                parsed.GetValue(json)),
            cancel)));
        return command;
    }

    private static IReadOnlyList<string> Chosen(IReadOnlyList<string> paths, bool changedOnly, RunScale scale)
    {
        if (!changedOnly)
            return paths;
        var chosen = new List<string>();
        foreach (var path in paths)
        {
            var reasons = StaleCheck.Reasons(Notebook.Load(path), scale);
            Console.WriteLine($"{NotebookFiles.Short(path)}: {(reasons.Count == 0 ? "skipped, its outputs are current" : string.Join("; ", reasons))}");
            if (reasons.Count > 0)
                chosen.Add(path);
        }

        return chosen;
    }

    private static SaveTarget? Target(string? output, bool inPlace, bool noSave, bool accept, RunScale scale)
    {
        if (noSave)
            return null;
        if (output is not null)
            return new SaveTarget(output);

        // Stored outputs are those of lesson scale; a quick check must not replace them by accident.
        return inPlace || scale == RunScale.Lesson ? new SaveTarget(null, accept) : null;
    }

    private static async Task<int> RunAsync(Request request, CancellationToken cancel)
    {
        CheckPlaces(request);
        var runner = new NotebookRunner(request.Options);
        var runs = new List<NotebookRun>();
        var refused = new Dictionary<string, string>();
        var rescued = false;
        foreach (var path in request.Paths)
        {
            try
            {
                using var held = request.Target is { Folder: null } ? NotebookLock.Take(path) : null;
                var textBefore = await File.ReadAllTextAsync(path, cancel).ConfigureAwait(false);
                var run = await RunConsole.FollowAsync(runner, path, cancel).ConfigureAwait(false);
                RunConsole.Report(run);
                runs.Add(run);
                if (request.Target is not null)
                {
                    var (written, remark, elsewhere) = NotebookSaver.Save(run, textBefore, request.Target);
                    rescued |= elsewhere;
                    if (remark is not null || request.Target.Folder is not null)
                        Console.WriteLine($"    outputs are in {written}{(remark is null ? "" : $": {remark}")}");
                }

                if (request.Html is not null)
                    Console.WriteLine($"    reading copy: {WriteHtml(run, request.Html)}");
            }
            catch (OperationCanceledException)
            {
                var kept = request.Target is null ? "nothing was to be written" : runs.Count == 0 ? "no notebook was finished" : $"kept: {string.Join(", ", runs.Select(r => r.Path))}";
                await Console.Error.WriteLineAsync($"sparseland run: stopped in '{path}' after {runs.Count} of {request.Paths.Count} notebooks; {kept}. '{path}' and those after it are unchanged.").ConfigureAwait(false);
                if (request.Json is not null)
                    RunReport.Write(request.Json, RunReport.Of(runs, refused, request.Options.Scale));
                return Guard.Stopped;
            }
            catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException)
            {
                refused[path] = e.Message;
                RunConsole.Line(e.Message.StartsWith(path, StringComparison.Ordinal) ? e.Message : $"{path}: {e.Message}", good: false);
            }
        }

        if (request.Json is not null)
            RunReport.Write(request.Json, RunReport.Of(runs, refused, request.Options.Scale));
        if (request.Target is null && request.Html is null)
            Console.WriteLine("No notebook was written; --output FOLDER keeps executed copies, --html FOLDER pages to read.");
        return refused.Count == 0 && !rescued && runs.All(r => r.IsGood) ? Guard.Good : Guard.Bad;
    }

    /// <summary>Finds out before the work that its results can be kept.</summary>
    private static void CheckPlaces(Request request)
    {
        if (request.Target is { Folder: null })
        {
            foreach (var folder in request.Paths.Select(p => Path.GetDirectoryName(Path.GetFullPath(p))!).Distinct())
                AtomicFile.CheckFolder(folder);
        }
        else if (request.Target is { Folder: { } folder })
        {
            var twice = request.Paths.GroupBy(p => Path.GetFileNameWithoutExtension(p), StringComparer.OrdinalIgnoreCase).FirstOrDefault(g => g.Count() > 1);
            if (twice is not null)
                throw new ArgumentException($"--output: two notebooks have the name '{twice.Key}' ({string.Join(", ", twice)}).");
            AtomicFile.CheckFolder(folder);
            foreach (var path in request.Paths)
                AtomicFile.CheckFile(Path.Combine(folder, Path.GetFileNameWithoutExtension(path) + ".ipynb"), "--output");
        }

        if (request.Html is { } html)
        {
            if (!IsHtmlFile(html, request.Paths.Count))
                AtomicFile.CheckFolder(html);
            foreach (var path in request.Paths)
                AtomicFile.CheckFile(HtmlPath(path, html, request.Paths.Count), "--html");
        }

        if (request.Json is not null)
            AtomicFile.CheckFile(request.Json, "--json");
    }

    private static bool IsHtmlFile(string place, int notebooks)
    {
        if (!place.EndsWith(".html", StringComparison.OrdinalIgnoreCase))
            return false;
        return notebooks == 1 ? true : throw new ArgumentException($"--html: '{place}' is one file, but {notebooks} notebooks are run; name a folder.");
    }

    private static string HtmlPath(string path, string place, int notebooks) =>
        IsHtmlFile(place, notebooks) ? place : Path.Combine(place, Path.GetFileNameWithoutExtension(path) + ".html");

    private static string WriteHtml(NotebookRun run, string place)
    {
        var path = HtmlPath(run.Path, place, 1);
        AtomicFile.Write(path, ReadingCopy.Render(run.Notebook, new ReadingCopyOptions()));
        return path;
    }

    private sealed record Request(IReadOnlyList<string> Paths, RunOptions Options, SaveTarget? Target, string? Html, string? Json);
}
