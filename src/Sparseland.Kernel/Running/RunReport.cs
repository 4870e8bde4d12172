using System.Text.Json.Nodes;
using Sparseland.Evaluation;
using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Running;

/// <summary>The runs of a command as JSON, for other programs.</summary>
public static class RunReport
{
    /// <summary>One object with a member per run.</summary>
    /// <param name="runs">The completed runs.</param>
    /// <param name="refused">Files that could not be run, with the reason.</param>
    /// <param name="scale">The scale of the runs.</param>
    public static JsonObject Of(IEnumerable<NotebookRun> runs, IReadOnlyDictionary<string, string> refused, RunScale scale)
    {
        ArgumentNullException.ThrowIfNull(runs);
        ArgumentNullException.ThrowIfNull(refused);
        return new JsonObject
        {
            ["libraryVersion"] = RunRecord.CurrentVersion,
            ["scale"] = RunOptions.Name(scale),
            ["notebooks"] = new JsonArray(
            [
                .. runs.Select(Of),
                .. refused.Select(r => (JsonNode)new JsonObject { ["path"] = r.Key, ["status"] = "refused", ["error"] = r.Value }),
            ]),
        };
    }

    /// <summary>Writes the report as a file.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(string path, JsonObject report)
    {
        ArgumentNullException.ThrowIfNull(report);
        AtomicFile.Write(path, NotebookJson.Write(report) + "\n");
    }

    private static JsonNode Of(NotebookRun run) => new JsonObject
    {
        ["path"] = run.Path,
        ["title"] = run.Notebook.Title,
        ["status"] = run.Status.ToString().ToLowerInvariant(),
        ["failedCell"] = run.FailedCell,
        ["error"] = run.Error?.Message,
        ["codeHash"] = RunRecord.HashOf(run.Notebook),
        ["seconds"] = Math.Round(run.Elapsed.TotalSeconds, 1),
        ["peakMemoryMB"] = run.PeakMemory / 1048576,
        ["held"] = run.Held,
        ["stated"] = run.Stated,
        ["paper"] = Of(run.Counts.Paper),
        ["identities"] = Of(run.Counts.Identities),
        ["findings"] = Of(run.Counts.Findings),
        ["notJudged"] = run.Counts.NotJudged,
        ["notReproduced"] = new JsonArray([.. run.Claims.Where(c => c.IsStated && c.Outcome == ClaimOutcome.NotReproduced).Select(c => (JsonNode)c.Statement)]),
        ["regressed"] = new JsonArray([.. run.Regressed.Select(c => (JsonNode)c.Statement)]),
    };

    private static JsonObject Of(HeldOf count) => new() { ["held"] = count.Held, ["stated"] = count.Stated };
}
