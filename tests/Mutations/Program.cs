using System.Diagnostics;
using System.Text.Json;
using Mutations;
using Sparseland.Evaluation;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

// dotnet run --project tests/Mutations -- [--scale quick] [filter]
// Breaks a method on purpose in a copy of the clone, runs the notebook that teaches it at lesson scale, and asks whether one of its claims
// breaks: a claim that survives every fault says nothing of the method. Prints a table; the exit code is the number of survivors.
// With --scale quick what the notebook claims is measured at that scale first; a survivor there may still fail at lesson scale.
const string NotCompiled = "does not compile";
string root = NotebookFiles.RepositoryRoot() ?? throw new DirectoryNotFoundException("Run this inside a clone.");
bool quick = args is ["--scale", "quick", ..];
if (quick) args = args[2..];
if (args.Length > 1 || args is ["--scale"]) throw new ArgumentException("The arguments are [--scale quick] [filter].");
string filter = args.Length > 0 ? args[0] : "";
var faults = new List<Fault>();
foreach (string file in Directory.EnumerateFiles(Path.Combine(root, "tests", "Mutations", "faults"), "*.json").Order(StringComparer.Ordinal))
    faults.AddRange(JsonSerializer.Deserialize<Fault[]>(File.ReadAllText(file), Fault.Json)!);
faults = [.. faults.Where(f => $"{f.Notebook} {f.Name}".Contains(filter, StringComparison.OrdinalIgnoreCase))];
foreach (Fault fault in faults) fault.Check(root);

string copy = Directory.CreateTempSubdirectory("mutations-").FullName;
int survivors = 0;
var stored = new Dictionary<string, IReadOnlyList<Claim>>();
var alone = new Dictionary<string, HashSet<string>>();      // per notebook, the claims that break without a fault
try
{
    Shell.Run(root, "git", "clone", "--quiet", "--shared", root, copy);
    Console.WriteLine("| notebook | fault | outcome | claims that broke |\n| --- | --- | --- | --- |");
    foreach (Fault fault in faults)
    {
        if (!stored.TryGetValue(fault.Notebook, out IReadOnlyList<Claim>? before))
            stored[fault.Notebook] = before = quick ? Claims(copy, fault.Notebook, quick).Now : StoredClaims.Of(Notebook.Load(Path.Combine(root, fault.Notebook)));
        string path = Path.Combine(copy, fault.File), text = File.ReadAllText(path);
        File.WriteAllText(path, fault.Apply(text));
        (string outcome, Claim[] broken) = Outcome(copy, fault.Notebook, before, quick);
        File.WriteAllText(path, text);

        // Figures of speed also break on a machine that is busy: what breaks without the fault does not count.
        if (broken.Length > 0 && broken.All(claim => claim.Kind != ClaimKind.Exact))
        {
            if (!alone.TryGetValue(fault.Notebook, out HashSet<string>? unsound))
                alone[fault.Notebook] = unsound = [.. Outcome(copy, fault.Notebook, before, quick).Broken.Select(claim => claim.Statement)];
            broken = [.. broken.Where(claim => !unsound.Contains(claim.Statement))];
        }

        if (outcome.Length == 0) outcome = broken.Length > 0 ? $"{broken.Length} broke" : "SURVIVED";
        if (outcome == "SURVIVED" || outcome.StartsWith(NotCompiled, StringComparison.Ordinal)) survivors++;
        string which = string.Join("; ", broken.Take(3).Select(claim => claim.Statement));
        Console.WriteLine($"| {Path.GetFileNameWithoutExtension(fault.Notebook)} | {fault.Name} | {outcome} | {which} |");
    }
}
finally
{
    Directory.Delete(copy, recursive: true);
}

Console.WriteLine($"\n{faults.Count} faults, {survivors} survivors.");
return survivors;

// What ended a notebook early, or nothing, and the claims that held before and do not now.
static (string Ended, Claim[] Broken) Outcome(string copy, string path, IReadOnlyList<Claim> before, bool quick)
{
    (string ended, IReadOnlyList<Claim> now) = Claims(copy, path, quick);
    return (ended, ended.Length > 0 ? [] : [.. before.Where(b => b.Outcome == ClaimOutcome.Held).Where(b => now.FirstOrDefault(c => c.Statement == b.Statement) is not { Outcome: ClaimOutcome.Held })]);
}

// Builds the copy and runs a notebook in it: what ended it early, or nothing, and its claims.
static (string Ended, IReadOnlyList<Claim> Now) Claims(string copy, string path, bool quick)
{
    if (Shell.Try(copy, out string built, "dotnet", "build", "src/Sparseland.Kernel", "-v", "q") != 0)
        return ($"{NotCompiled}: {built.Split('\n').FirstOrDefault(l => l.Contains("error", StringComparison.Ordinal))}", []);
    string report = Path.Combine(copy, "report.ipynb.folder"), executed = Path.Combine(report, Path.GetFileName(path));
    if (Directory.Exists(report)) Directory.Delete(report, recursive: true);
    string[] run = ["src/Sparseland.Kernel/bin/Debug/net10.0/Sparseland.Kernel.dll", "run", path, "--output", report, .. quick ? ["--scale", "quick"] : Array.Empty<string>()];
    int exit = Shell.Try(copy, out string ran, ["dotnet", .. run]);
    string last = ran.Split('\n').LastOrDefault(l => l.Trim().Length > 0)?.Trim() ?? $"exit {exit}";
    if (!File.Exists(executed)) return ($"stopped: {last}", []);
    var notebook = Notebook.Load(executed);

    // A run that ends early leaves the stored outputs, and so the stored claims, in the cells that it did not reach; it has no record.
    return RunRecord.Read(notebook) is null ? ($"stopped: {ErrorOf(notebook) ?? last}", []) : ("", StoredClaims.Of(notebook));
}

static string? ErrorOf(Notebook notebook) => notebook.Cells.SelectMany(cell => cell.Outputs)
    .Where(output => (string?)output["output_type"] == "error")
    .Select(output => $"{(string?)output["ename"]}: {(string?)output["evalue"]}".ReplaceLineEndings(" "))
    .LastOrDefault();
