using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Running;

/// <summary>Where a run leaves its outputs.</summary>
/// <param name="Folder">Folder for copies, or null to write into the notebook itself.</param>
/// <param name="AcceptRegression">Write into the notebook although a claim was lost.</param>
public sealed record SaveTarget(string? Folder, bool AcceptRegression = false);

/// <summary>Writes outputs so that nothing is lost: neither what was there, nor what was computed.</summary>
public static class NotebookSaver
{
    /// <summary>Writes the notebook of a run.</summary>
    /// <param name="run">The run.</param>
    /// <param name="textBefore">The file's text when the run started.</param>
    /// <param name="target">Where to.</param>
    /// <returns>The file written, why it is not the expected one (or null), and whether it lies in a folder of its own since the expected one did not take it.</returns>
    public static (string Path, string? Remark, bool Rescued) Save(NotebookRun run, string textBefore, SaveTarget target)
    {
        ArgumentNullException.ThrowIfNull(run);
        ArgumentNullException.ThrowIfNull(textBefore);
        ArgumentNullException.ThrowIfNull(target);
        var text = run.Notebook.ToText();
        var name = Path.GetFileNameWithoutExtension(run.Path);
        var path = target.Folder is { } folder ? Path.Combine(folder, name + ".ipynb") : Path.ChangeExtension(run.Path, ".ipynb");
        string? remark = null;
        if (target.Folder is null && File.Exists(run.Path) && File.ReadAllText(run.Path) != textBefore)
        {
            path = Path.Combine(Path.GetDirectoryName(run.Path)!, name + ".run.ipynb");
            remark = "the notebook was changed while it ran";
        }
        else if (target.Folder is null && run.Regressed.Count > 0 && !target.AcceptRegression)
        {
            path = Path.Combine(Path.GetDirectoryName(run.Path)!, name + ".run.ipynb");
            remark = "a claim that held before was lost (--accept writes it anyway)";
        }

        try
        {
            AtomicFile.Write(path, text);
            return (path, remark, false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The folder was writable when the run began. Minutes or hours of work are not thrown away for it.
            var rescue = Path.Combine(Directory.CreateTempSubdirectory("sparseland-").FullName, name + ".ipynb");
            AtomicFile.Write(rescue, text);
            return (rescue, $"'{path}' could not be written: {e.Message}", true);
        }
    }
}
