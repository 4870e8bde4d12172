using System.Diagnostics;
using System.Text.Json;
using Mutations;
using Sparseland.Evaluation;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

// dotnet run --project tests/Mutations -- [filter]
// Breaks a method on purpose in a copy of the clone, runs the notebook that teaches it at lesson scale, and asks whether one of its claims
// breaks: a claim that survives every fault says nothing of the method. Prints a table; the exit code is the number of survivors.
string root = NotebookFiles.RepositoryRoot() ?? throw new DirectoryNotFoundException("Run this inside a clone.");
string filter = args.Length > 0 ? args[0] : "";
var faults = new List<Fault>();
foreach (string file in Directory.EnumerateFiles(Path.Combine(root, "tests", "Mutations", "faults"), "*.json").Order(StringComparer.Ordinal))
    faults.AddRange(JsonSerializer.Deserialize<Fault[]>(File.ReadAllText(file), Fault.Json)!);
faults = [.. faults.Where(f => $"{f.Notebook} {f.Name}".Contains(filter, StringComparison.OrdinalIgnoreCase))];
foreach (Fault fault in faults) fault.Check(root);

string copy = Directory.CreateTempSubdirectory("mutations-").FullName;
int survivors = 0;
try
{
    Shell.Run(root, "git", "clone", "--quiet", "--shared", root, copy);
    Console.WriteLine("| notebook | fault | outcome | claims that broke |\n| --- | --- | --- | --- |");
    foreach (Fault fault in faults)
    {
        string path = Path.Combine(copy, fault.File), text = File.ReadAllText(path);
        File.WriteAllText(path, fault.Apply(text));
        string outcome, broken = "";
        if (Shell.Try(copy, out string built, "dotnet", "build", "src/Sparseland.Kernel", "-v", "q") != 0)
        {
            outcome = $"does not compile: {built.Split('\n').FirstOrDefault(l => l.Contains("error", StringComparison.Ordinal))}";
            survivors++;
        }
        else
        {
            string report = Path.Combine(copy, "report.ipynb.folder");
            int exit = Shell.Try(copy, out string ran, "dotnet", "src/Sparseland.Kernel/bin/Debug/net10.0/Sparseland.Kernel.dll", "run", fault.Notebook, "--output", report);
            (outcome, broken) = Judge(Path.Combine(root, fault.Notebook), Path.Combine(report, Path.GetFileName(fault.Notebook)), exit, ran);
            if (outcome == "SURVIVED") survivors++;
            if (Directory.Exists(report)) Directory.Delete(report, recursive: true);
        }

        File.WriteAllText(path, text);
        Console.WriteLine($"| {Path.GetFileNameWithoutExtension(fault.Notebook)} | {fault.Name} | {outcome} | {broken} |");
    }
}
finally
{
    Directory.Delete(copy, recursive: true);
}

Console.WriteLine($"\n{faults.Count} faults, {survivors} survivors.");
return survivors;

static (string Outcome, string Broken) Judge(string stored, string executed, int exit, string output)
{
    // An exact check that throws, a cell that fails: the notebook says so.
    if (!File.Exists(executed)) return ("stopped", output.Split('\n').LastOrDefault(l => l.Trim().Length > 0)?.Trim() ?? $"exit {exit}");
    var notebook = Notebook.Load(executed);

    // A run that ends early leaves the stored outputs, and so the stored claims, in the cells that it did not reach; it has no record.
    if (RunRecord.Read(notebook) is null) return ("stopped", ErrorOf(notebook));
    string[] held = [.. StoredClaims.Of(Notebook.Load(stored)).Where(c => c.Outcome == ClaimOutcome.Held).Select(c => c.Statement)];
    IReadOnlyList<Claim> now = StoredClaims.Of(notebook);
    string[] broken = [.. held.Where(statement => now.FirstOrDefault(c => c.Statement == statement) is not { Outcome: ClaimOutcome.Held })];
    return broken.Length > 0 ? ($"{broken.Length} broke", string.Join("; ", broken.Take(3))) : ("SURVIVED", "");
}

static string ErrorOf(Notebook notebook) => notebook.Cells.SelectMany(cell => cell.Outputs)
    .Where(output => (string?)output["output_type"] == "error")
    .Select(output => $"{(string?)output["ename"]}: {(string?)output["evalue"]}".ReplaceLineEndings(" "))
    .LastOrDefault() ?? "no error kept";
