using Sparseland.Evaluation;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

namespace Mutations;

/// <summary>A kernel whose library can be another one: the built program of a copy of the clone, in hard links.</summary>
internal sealed class KernelCopy
{
    private readonly string copy, folder;

    public KernelCopy(string copy, string name)
    {
        this.copy = copy;
        folder = Path.Combine(copy, "kernels", name);
        Directory.CreateDirectory(Path.Combine(copy, "kernels"));
        Shell.Run(copy, "cp", "-al", "src/Sparseland.Kernel/bin/Debug/net10.0", folder);
    }

    /// <summary>The library's file, which <see cref="LibraryCompiler.Emit"/> writes.</summary>
    public string Library => Path.Combine(folder, "Sparseland.dll");

    /// <summary>Runs a notebook: what ended it early, or nothing, and its claims.</summary>
    public (string Ended, IReadOnlyList<Claim> Claims) Run(string path, bool quick)
    {
        string report = Path.Combine(copy, "executed"), executed = Path.Combine(report, Path.GetFileName(path));
        if (Directory.Exists(report)) Directory.Delete(report, recursive: true);
        string[] run = ["run", path, "--output", report, .. quick ? ["--scale", "quick"] : Array.Empty<string>()];
        int exit = Shell.Try(copy, out string ran, ["dotnet", Path.Combine(folder, "Sparseland.Kernel.dll"), .. run]);
        string last = ran.Split('\n').LastOrDefault(l => l.Trim().Length > 0)?.Trim() ?? $"exit {exit}";
        if (!File.Exists(executed)) return ($"stopped: {last}", []);
        var notebook = Notebook.Load(executed);

        // A run that ends early leaves the stored outputs, and so the stored claims, in the cells that it did not reach; it has no record.
        return RunRecord.Read(notebook) is null ? ($"stopped: {ErrorOf(notebook) ?? last}", []) : ("", StoredClaims.Of(notebook));
    }

    private static string? ErrorOf(Notebook notebook) => notebook.Cells.SelectMany(cell => cell.Outputs)
        .Where(output => (string?)output["output_type"] == "error")
        .Select(output => $"{(string?)output["ename"]}: {(string?)output["evalue"]}".ReplaceLineEndings(" "))
        .LastOrDefault();
}
