using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Running;

/// <summary>Finds outputs that do not belong to the code beside them.</summary>
public static class StaleCheck
{
    /// <summary>Why the notebook's outputs are stale, a sentence each; empty when they are current.</summary>
    /// <param name="notebook">The notebook.</param>
    /// <param name="scale">The scale at which outputs are kept.</param>
    public static IReadOnlyList<string> Reasons(Notebook notebook, RunScale scale = RunScale.Lesson)
    {
        ArgumentNullException.ThrowIfNull(notebook);
        var reasons = new List<string>();
        if (RunRecord.Read(notebook) is not { } record)
            return ["no completed run is recorded"];
        if (record.CodeHash != RunRecord.HashOf(notebook))
            reasons.Add("the code was changed after the run");
        if (LibrarySources.Of(notebook.Name) is { } library)
        {
            if (record.SourceHash is null)
                reasons.Add("its run recorded nothing of the library's code");
            else if (record.SourceHash != library.HashFor(notebook))
                reasons.Add("the library's code that it reaches was changed after the run");
        }
        else if (record.LibraryVersion != RunRecord.CurrentVersion)
        {
            reasons.Add($"it was run with library {record.LibraryVersion}, this is {RunRecord.CurrentVersion}");
        }

        if (record.Scale != RunOptions.Name(scale))
            reasons.Add($"it was run at scale '{record.Scale}', not '{RunOptions.Name(scale)}'");
        if (notebook.CodeCells.Any() && notebook.CodeCells.All(c => c.Outputs.Count == 0))
            reasons.Add("there are no outputs");
        if (notebook.CodeCells.SelectMany(c => c.Outputs).Any(o => o.Text("output_type") == "error"))
            reasons.Add("an output is an error");
        return reasons;
    }
}
