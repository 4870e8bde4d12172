using System.Text.Json;
using System.Text.RegularExpressions;
using Mutations;
using Sparseland.Evaluation;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

// dotnet run --project tests/Mutations -- [--scale quick] [--report FILE] [filter ...]
// Breaks a method on purpose in a copy of the clone, runs the notebook that teaches it, and asks whether one of its claims breaks: a claim
// that survives every fault says nothing of the method. At quick scale first, where only identities are judged; what they do not notice is
// run again at lesson scale, unless --scale quick says that this is enough. Prints a table; the exit code is the number of survivors.
// What was found is kept in tests/Mutations/results.jsonl, or in another report: a run that was broken off goes on there, and faults that were
// edited since are tried again. RESULTS.md beside it is the table of all that is known.
string root = NotebookFiles.RepositoryRoot() ?? throw new DirectoryNotFoundException("Run this inside a clone.");
string results = Path.Combine(root, "tests", "Mutations", "results.jsonl");
string? scale = Option("--scale");
string report = Option("--report") ?? results;
if (scale is not (null or "quick") || args.Any(filter => filter.StartsWith('-'))) throw new ArgumentException("The arguments are [--scale quick] [--report FILE] [filter ...].");
var faults = new List<Fault>();
foreach (string file in Directory.EnumerateFiles(Path.Combine(root, "tests", "Mutations", "faults"), "*.json").Order(StringComparer.Ordinal))
    faults.AddRange(JsonSerializer.Deserialize<Fault[]>(File.ReadAllText(file), Fault.Json)!);
Fault[] every = [.. faults];
if (args.Length > 0) faults = [.. faults.Where(f => args.Any(filter => $"{f.Notebook} {f.Name}".Contains(filter, StringComparison.OrdinalIgnoreCase)))];
foreach (Fault fault in faults) fault.Check(root);

Dictionary<string, Verdict> known = Verdict.Read(report);
string copy = Directory.CreateTempSubdirectory("mutations-").FullName;
int survivors = 0;
try
{
    Shell.Run(root, "git", "clone", "--quiet", "--shared", root, copy);
    var compiler = new LibraryCompiler(copy);
    KernelCopy whole = new(copy, "whole"), one = new(copy, "one"), two = new(copy, "two");
    var alone = new Dictionary<(string, bool), IReadOnlyList<Claim>>();      // per notebook and scale, what it claims without a fault
    Console.WriteLine("| notebook | fault | scale | outcome | claims that broke |\n| --- | --- | --- | --- | --- |");

    // What is known first, then what is open: while one library is tried the next is compiled.
    Fault[] open = [.. faults.Where(fault => !known.TryGetValue(fault.Key, out Verdict? verdict) || (scale is null && verdict is { IsSurvivor: true, Scale: "quick" }))];
    foreach (Fault fault in faults.Where(fault => !open.Contains(fault))) Tell(known[fault.Key]);
    Task<string?> next = Compiled(0);
    for (int i = 0; i < open.Length; i++)
    {
        string? error = next.GetAwaiter().GetResult();
        next = Compiled(i + 1);
        Verdict? found = known.GetValueOrDefault(open[i].Key);
        if (found is null) (found = Try(open[i], KernelOf(i), error, quick: true)).AppendTo(report);
        if (found is { IsSurvivor: true, Scale: "quick" } && scale is null) (found = Try(open[i], KernelOf(i), error, quick: false)).AppendTo(report);
        Tell(found);
    }

    void Tell(Verdict verdict)
    {
        if (verdict.IsSurvivor) survivors++;
        Console.WriteLine(verdict.Row());
    }

    KernelCopy KernelOf(int index) => index % 2 == 0 ? one : two;

    Task<string?> Compiled(int index) => index >= open.Length ? Task.FromResult<string?>(null) : Task.Run(() =>
    {
        string path = Path.Combine(copy, open[index].File);
        return compiler.Emit(path, open[index].Apply(File.ReadAllText(path)), KernelOf(index).Library);
    });

    Verdict Try(Fault fault, KernelCopy kernel, string? error, bool quick)
    {
        string name = quick ? "quick" : "lesson";
        if (error is not null) return new(fault.Notebook, fault.Name, fault.Key, name, $"{Verdict.NotCompiled}: {error}", []);
        (string ended, IReadOnlyList<Claim> now) = kernel.Run(fault.Notebook, quick);
        if (ended.Length > 0) return new(fault.Notebook, fault.Name, fault.Key, name, ended, []);
        string[] broken = Broken(quick ? Alone(fault, quick) : StoredClaims.Of(Notebook.Load(Path.Combine(root, fault.Notebook))), now);

        // Figures of speed also break on a machine that is busy: what breaks without the fault does not count. All others are the same in every run.
        if (!quick && broken.Length > 0 && now.Where(claim => broken.Contains(claim.Statement)).All(MayBeOfSpeed))
            broken = [.. broken.Intersect(Broken(Alone(fault, quick), now))];
        return new(fault.Notebook, fault.Name, fault.Key, name, broken.Length > 0 ? $"{broken.Length} broke" : Verdict.Survived, broken);
    }

    IReadOnlyList<Claim> Alone(Fault fault, bool quick)
    {
        if (alone.TryGetValue((fault.Notebook, quick), out IReadOnlyList<Claim>? claims)) return claims;
        (string ended, claims) = whole.Run(fault.Notebook, quick);
        if (ended.Length > 0) throw new InvalidOperationException($"{fault.Notebook} without a fault {ended}.");
        return alone[(fault.Notebook, quick)] = claims;
    }
}
finally
{
    Directory.Delete(copy, recursive: true);
    if (report == results) SurvivorTable.Write(Path.Combine(root, "tests", "Mutations", "RESULTS.md"), every, Verdict.Read(results));
}

Console.WriteLine($"\n{faults.Count} faults, {survivors} survivors.");
return survivors;

static bool MayBeOfSpeed(Claim claim) => claim.Kind == ClaimKind.Exploratory
    || (claim.Kind == ClaimKind.Statistical && Regex.IsMatch(claim.Statement, @"\b(fast|faster|slower|time)\b"));

static string[] Broken(IReadOnlyList<Claim> before, IReadOnlyList<Claim> now) =>
    [.. before.Where(b => b.Outcome == ClaimOutcome.Held && now.FirstOrDefault(c => c.Statement == b.Statement) is not { Outcome: ClaimOutcome.Held }).Select(b => b.Statement)];

// Takes "name value" out of the arguments.
string? Option(string name)
{
    int at = Array.IndexOf(args, name);
    if (at < 0) return null;
    if (at + 1 == args.Length) throw new ArgumentException($"{name} needs a value.");
    string value = args[at + 1];
    args = [.. args[..at], .. args[(at + 2)..]];
    return value;
}
