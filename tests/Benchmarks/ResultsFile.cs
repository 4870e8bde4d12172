using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Sparseland.Kernels;
using TorchSharp;

namespace Benchmarks;

/// <summary>
/// RESULTS.md: all comparisons on one page. What was measured is kept beside it in results.json, class by class, so that a run which is broken off leaves what it has and a run of some classes
/// replaces theirs alone; curves/ holds the pictures, reasons.json a sentence on each kind of work that is below 1x.
/// </summary>
internal sealed class ResultsFile
{
    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };
    private readonly string _folder;
    private readonly string _machine;
    private List<Row> _rows;
    private readonly Dictionary<string, string> _reasons;

    private ResultsFile(string folder, string machine)
    {
        (_folder, _machine) = (folder, machine);
        _rows = File.Exists(DataPath) ? JsonSerializer.Deserialize<List<Row>>(File.ReadAllText(DataPath), s_json)! : [];
        string reasons = Path.Combine(folder, "reasons.json");
        _reasons = File.Exists(reasons) ? JsonSerializer.Deserialize<Dictionary<string, string>>(File.ReadAllText(reasons))! : [];
    }

    private string DataPath => Path.Combine(_folder, "results.json");

    /// <summary>The page of this clone; null, with a message, outside of one.</summary>
    public static ResultsFile? Create()
    {
        DirectoryInfo? folder = new(Environment.CurrentDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Notebooks.sln"))) folder = folder.Parent;
        if (folder is null)
        {
            Console.Error.WriteLine("No clone of Sparseland (Notebooks.sln) is above the current folder: there is no place for RESULTS.md.");
            return null;
        }

        return new(Path.Combine(folder.FullName, "tests", "Benchmarks"), Machine());
    }

    /// <summary>Drops what an earlier run has measured of a class.</summary>
    public void Forget(Type type) => _rows.RemoveAll(row => row.Class == type.FullName);

    /// <summary>Whether something of a class was measured.</summary>
    public bool Has(Type type) => _rows.Any(row => row.Class == type.FullName);

    /// <summary>Takes a result in.</summary>
    /// <param name="type">The class that it is of.</param>
    /// <param name="result">The result.</param>
    public void Add(Type type, Measured result)
    {
        _rows.RemoveAll(row => row.Class == type.FullName && row.Result.Name == result.Name && row.Result.PeerName == result.PeerName);
        _rows.Add(new(type.FullName!, DateOnly.FromDateTime(DateTime.UtcNow), _machine, result));
    }

    /// <summary>Writes the page, its data and its pictures.</summary>
    public void Write()
    {
        _rows = [.. _rows.OrderBy(row => row.Class, StringComparer.Ordinal)];
        File.WriteAllText(DataPath, JsonSerializer.Serialize(_rows, s_json) + "\n");
        IReadOnlyList<(string Title, string File)> curves = CurvePictures.Write(Path.Combine(_folder, "curves"), _rows.Select(row => row.Result));
        File.WriteAllText(Path.Combine(_folder, "RESULTS.md"), Page(curves));
    }

    private const string Prefix = "Machine: ", Middle = ". Its limits: ";

    private string Page(IReadOnlyList<(string Title, string File)> curves)
    {
        Measured[] all = [.. _rows.Select(row => row.Result)];
        int missed = all.Count(r => r.IsMissed), targets = all.Count(r => r.Target > 0 && !double.IsNaN(r.Peer)), slower = all.Count(r => r.Ratio < 1), absent = all.Count(r => double.IsNaN(r.Peer));
        var text = new StringBuilder("# Speed on one page\n\n");
        text.Append("Made by `dotnet run -c Release --project tests/Benchmarks -- --results`; not edited by hand. The library and a peer do the same work in one process in turn, A B A B; a figure is the median in milliseconds, a ratio above 1 means that the library is faster. Below 1x, or where a target is missed, the ratio is bold and the last column says why.\n\n");
        text.Append(CultureInfo.InvariantCulture, $"{all.Length} comparisons, {absent} of them without a ratio since the peer was not installed; {targets - missed} of {targets} targets reached; {slower} below 1x.\n\n");
        string[] machines = [.. _rows.Select(row => row.Computer).Distinct()];
        foreach (string machine in machines)
        {
            Row[] there = [.. _rows.Where(row => row.Computer == machine)];
            text.Append(CultureInfo.InvariantCulture, $"{Letter(machine)}: {machine}, {there.Min(row => row.Date):yyyy-MM-dd} to {there.Max(row => row.Date):yyyy-MM-dd}. Its limits, as each start measured them: {string.Join("; ", there.Select(row => row.Limits).Distinct())}.\n\n");
        }

        string[] missing = [.. Quick.Types().Select(type => type.FullName!).Except(_rows.Select(row => row.Class)).Select(name => name["Benchmarks.".Length..])];
        if (missing.Length > 0) text.Append(CultureInfo.InvariantCulture, $"Not measured yet: {string.Join(", ", missing)}.\n\n");
        foreach (IGrouping<string, Row> room in _rows.GroupBy(row => row.Room))
        {
            text.Append(CultureInfo.InvariantCulture, $"## {room.Key}\n\n| work | on | ours | peer | its time | ratio | target | remark |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n");
            foreach (Row row in room)
            {
                Measured r = row.Result;
                string ratio = double.IsNaN(r.Peer) ? "not installed" : Quick.Format(r.Ratio) + "x", target = r.Target > 0 ? $"{Quick.Format(r.Target)}x{(r.IsMissed ? ", missed" : "")}" : "";
                bool bold = r.IsMissed || r.Ratio < 1;
                string remark = string.Join(" ", new[] { r.Note, bold ? ReasonOf(r) : "" }.Where(part => part.Length > 0));
                text.Append(CultureInfo.InvariantCulture, $"| {Cell(r.Name)} | {Letter(row.Computer)} | {Quick.Format(r.Ours)} ms | {Cell(r.PeerName)} | {(double.IsNaN(r.Peer) ? "" : Quick.Format(r.Peer) + " ms")} | {(bold ? $"**{ratio}**" : ratio)} | {target} | {Cell(remark)} |\n");
            }

            text.Append('\n');
        }

        if (curves.Count > 0) text.Append("## Curves of cost\n\n");
        foreach ((string title, string file) in curves) text.Append(CultureInfo.InvariantCulture, $"![{title}](curves/{file})\n\n");
        return text.ToString().TrimEnd() + "\n";

        char Letter(string machine) => (char)('A' + Array.IndexOf(machines, machine));
    }

    /// <summary>The reason of the longest part of a name that has one.</summary>
    private string ReasonOf(Measured result) => _reasons.Where(reason => $"{result.Name} against {result.PeerName}".Contains(reason.Key, StringComparison.Ordinal))
        .OrderByDescending(reason => reason.Key.Length).Select(reason => reason.Value).FirstOrDefault() ?? "No reason is known yet.";

    private static string Machine()
    {
        string cpu = File.Exists("/proc/cpuinfo") ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[^1].Trim() ?? "" : "";
        string lanes = Vector512.IsHardwareAccelerated ? "AVX-512" : Vector256.IsHardwareAccelerated ? "AVX2, no AVX-512" : "128-bit vectors";
        MachineLimits limits = MachineLimits.Measure();
        return string.Create(CultureInfo.InvariantCulture, $"{Prefix}{(cpu.Length > 0 ? cpu + ", " : "")}{Environment.ProcessorCount} cores, {RuntimeInformation.OSArchitecture}, {lanes}, {torch.get_num_threads()} threads of libtorch{Middle}{limits}.");
    }

    private static string Cell(string text) => text.Replace("|", "\\|", StringComparison.Ordinal).Replace('\n', ' ');

    /// <summary>A result with the class, the day and the machine that it is of.</summary>
    private sealed record Row(string Class, DateOnly Date, string Machine, Measured Result)
    {
        [JsonIgnore]
        public string Room => Class.Split('.')[^2];

        /// <summary>The machine without its limits, which differ from start to start.</summary>
        [JsonIgnore]
        public string Computer => Machine.Split(Middle)[0][Prefix.Length..];

        [JsonIgnore]
        public string Limits => Machine.Split(Middle)[^1].TrimEnd('.');
    }
}
