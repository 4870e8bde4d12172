using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Sparseland.Evaluation;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Scripting;

namespace Sparseland.Kernel.Running;

/// <summary>Executes a notebook headless, in a fresh process, and gathers its outputs. Writes no file.</summary>
public sealed class NotebookRunner(RunOptions options)
{
    private static readonly TimeSpan LateSilence = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan LateLimit = TimeSpan.FromSeconds(2);

    /// <summary>Runs all code cells of a notebook in their order, up to the first that fails.</summary>
    /// <param name="path">A .ipynb or .dib file; the cells run in its folder.</param>
    /// <param name="progress">Told before each cell.</param>
    /// <param name="cancel">Ends the process and the run.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not a C# notebook.</exception>
    public async Task<NotebookRun> RunAsync(string path, IProgress<RunProgress>? progress = null, CancellationToken cancel = default)
    {
        var before = Notebook.Load(path);
        before.RequireCSharp();
        var claimsBefore = StoredClaims.Of(before);
        var scaleBefore = RunRecord.Read(before)?.Scale;

        var notebook = before.Clone();
        var cells = notebook.Cells;
        var total = cells.Count(c => c.IsCode);
        var recorder = new CellRecorder();
        var watch = Stopwatch.StartNew();
        var recorded = new List<(NotebookCell Cell, int Count)>();
        var status = RunStatus.Passed;
        CellError? error = null;
        int? failed = null;
        long peak = 0;
        var tolerated = 0;
        await using (var worker = await WorkerProcess.StartAsync(Path.GetDirectoryName(Path.GetFullPath(path))!, Variables(), cancel).ConfigureAwait(false))
        {
            for (var i = 0; i < cells.Count && status == RunStatus.Passed; i++)
            {
                if (!cells[i].IsCode)
                    continue;
                var count = recorded.Count + 1;
                progress?.Report(new RunProgress(path, count, total, watch.Elapsed));
                (status, error, var cellPeak) = await RunCellAsync(worker, cells[i].Source, count, recorder, cancel).ConfigureAwait(false);
                peak = Math.Max(peak, cellPeak);
                if (status != RunStatus.Passed)
                {
                    failed = count;
                    recorder.Cell(count).Error(error!.Name, error.Message, error.Traceback);
                    if (status == RunStatus.Failed && (options.AllowErrors || cells[i].HasTag("raises-exception")))
                    {
                        // As nbclient has it: the error is an output like any other.
                        (status, error, failed) = (RunStatus.Passed, null, null);
                        tolerated++;
                    }
                }

                recorded.Add((cells[i], count));
            }

            watch.Stop();
            if (status is RunStatus.Passed or RunStatus.Failed)
                await TakeLateOutputAsync(worker, recorder, cancel).ConfigureAwait(false);
        }

        // Only now: a later cell may have updated what an earlier one displayed.
        var cleaning = new OutputCleaning();
        foreach (var (cell, count) in recorded)
        {
            cell.Metadata.Remove("execution");
            cell.SetOutputs(count, cleaning.Clean(recorder.Cell(count).Outputs));
        }

        var scale = RunOptions.Name(options.Scale);
        if (status == RunStatus.Passed)
            new RunRecord(RunRecord.HashOf(notebook), RunRecord.CurrentVersion, scale, watch.Elapsed.TotalSeconds, (long)Math.Round(peak / 1048576.0))
            {
                Date = DateOnly.FromDateTime(DateTime.UtcNow),
                SourceHash = LibrarySources.Of(path)?.HashFor(notebook),
            }.Write(notebook);
        else
            RunRecord.Remove(notebook);

        // Of another scale only identities must hold too; measured figures may differ.
        var claims = status == RunStatus.Passed ? StoredClaims.Of(notebook) : [];
        var comparable = claimsBefore.Where(c => scaleBefore == scale || c.Kind == ClaimKind.Exact);
        return new NotebookRun(
            path, notebook, status, failed, error, watch.Elapsed, peak, claims,
            status == RunStatus.Passed ? ClaimsComparison.Regressed(comparable, claims) : [])
        {
            ToleratedErrors = tolerated,
        };
    }

    private Dictionary<string, string> Variables()
    {
        var variables = new Dictionary<string, string>
        {
            [RunOptions.ScaleVariable] = RunOptions.Name(options.Scale),

            // Notices about the machine do not belong into stored outputs.
            ["SPARSELAND_QUIET"] = "1",
        };
        if (options.Threads is { } threads)
        {
            // The first is libtorch's, the second the runtime's.
            variables["OMP_NUM_THREADS"] = variables["DOTNET_PROCESSOR_COUNT"] = threads.ToString(CultureInfo.InvariantCulture);
        }

        return variables;
    }

    private async Task<(RunStatus Status, CellError? Error, long Peak)> RunCellAsync(
        WorkerProcess worker, string code, int count, CellRecorder recorder, CancellationToken cancel)
    {
        worker.Send(new JsonObject { ["kind"] = WorkerProtocol.Cell, ["code"] = code, ["number"] = count });
        var peak = worker.PeakMemory;
        var interrupted = false;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(options.CellTimeout);
        var receive = worker.ReceiveAsync(cancel);
        using var grace = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        while (true)
        {
            var waitFor = interrupted ? grace.Token : limit.Token;
            try
            {
                await receive.WaitAsync(waitFor).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
            {
                peak = Math.Max(peak, worker.PeakMemory);
                if (interrupted)
                    return (RunStatus.TimedOut, TimedOut(count), peak);
                interrupted = true;
                worker.Send(new JsonObject { ["kind"] = WorkerProtocol.Interrupt });
                grace.CancelAfter(options.InterruptGrace);
                continue;
            }

            if (await receive.ConfigureAwait(false) is not { } message)
            {
                await Interruption.RuleOutAsync(cancel).ConfigureAwait(false);
                var reason = await worker.PostMortemAsync().ConfigureAwait(false);
                return interrupted
                    ? (RunStatus.TimedOut, TimedOut(count), peak)
                    : (RunStatus.Crashed, new CellError("ProcessEnded", reason.Split('\n')[0], reason.Split('\n')), peak);
            }

            if ((string?)message["kind"] == WorkerProtocol.Done)
            {
                peak = Math.Max(peak, (long)message["peak"]!);
                if (interrupted)
                    return (RunStatus.TimedOut, TimedOut(count), peak);
                return (string?)message["status"] == nameof(CellStatus.Ok)
                    ? (RunStatus.Passed, null, peak)
                    : (RunStatus.Failed, new CellError((string)message["name"]!, (string)message["message"]!, [.. ((JsonArray)message["traceback"]!).Select(l => (string)l!)]), peak);
            }

            Record(message, recorder);
            receive = worker.ReceiveAsync(cancel);
        }
    }

    // Background work that a cell left behind: its last words are waited for, unless it never stops writing.
    private async Task TakeLateOutputAsync(WorkerProcess worker, CellRecorder recorder, CancellationToken cancel)
    {
        var since = Stopwatch.StartNew();
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        silence.CancelAfter(LateSilence);
        try
        {
            while (await worker.ReceiveAsync(silence.Token).ConfigureAwait(false) is { } message)
            {
                var writer = Record(message, recorder);
                if (since.Elapsed > LateLimit)
                {
                    recorder.Cell(writer).Stream("stderr", "\nThe notebook ended; what this cell still wrote in the background is cut off here.\n");
                    return;
                }

                silence.CancelAfter(LateSilence);
            }
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            // Silence: nothing more comes.
        }
    }

    private static int Record(JsonObject message, CellRecorder recorder)
    {
        var number = (int)message["number"]!;
        var cell = recorder.Cell(number);
        switch ((string?)message["kind"])
        {
            case WorkerProtocol.Stream:
                cell.Stream((string)message["name"]!, (string)message["text"]!);
                break;
            case WorkerProtocol.Display:
                cell.Display(Detach(message, "data"), Detach(message, "metadata"), (string)message["displayId"]!);
                break;
            case WorkerProtocol.Update:
                recorder.Update(Detach(message, "data"), Detach(message, "metadata"), (string)message["displayId"]!);
                break;
            case WorkerProtocol.Result:
                cell.Result(Detach(message, "data"), Detach(message, "metadata"));
                break;
        }

        return number;
    }

    private static JsonObject Detach(JsonObject message, string name)
    {
        var node = (JsonObject)message[name]!;
        message.Remove(name);
        return node;
    }

    private CellError TimedOut(int count)
    {
        var text = string.Create(CultureInfo.InvariantCulture, $"Cell [{count}] took longer than {options.CellTimeout.TotalSeconds:0.###} s and was stopped.");
        return new CellError("TimeLimit", text, [text]);
    }
}
