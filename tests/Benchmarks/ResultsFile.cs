using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text;
using Sparseland.Kernels;
using TorchSharp;

namespace Benchmarks;

/// <summary>RESULTS.md: all comparisons on one page, written anew after each class so that a run which is broken off leaves what it has.</summary>
internal sealed class ResultsFile
{
    private readonly string _path;
    private readonly string _machine;
    private readonly List<(string Room, Measured Result)> _rows = [];

    private ResultsFile(string path, string machine) => (_path, _machine) = (path, machine);

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

        return new(Path.Combine(folder.FullName, "tests", "Benchmarks", "RESULTS.md"), Machine());
    }

    /// <summary>Takes a result in.</summary>
    /// <param name="type">The class that it is of.</param>
    /// <param name="result">The result.</param>
    public void Add(Type type, Measured result) => _rows.Add((type.Namespace!.Split('.')[^1], result));

    /// <summary>Writes the page.</summary>
    public void Write()
    {
        int missed = _rows.Count(r => r.Result.IsMissed), targets = _rows.Count(r => r.Result.Target > 0 && !double.IsNaN(r.Result.Peer)), slower = _rows.Count(r => r.Result.Ratio < 1);
        var text = new StringBuilder("# Speed on one page\n\n");
        text.Append(CultureInfo.InvariantCulture, $"Made by `dotnet run -c Release --project tests/Benchmarks -- --results` on {DateTime.UtcNow:yyyy-MM-dd}; not edited by hand. {_machine}\n\n");
        text.Append("The library and a peer do the same work in one process in turn, A B A B; a figure is the median in milliseconds, a ratio above 1 means that the library is faster. Peers that are not installed on this machine have no ratio. ");
        text.Append(CultureInfo.InvariantCulture, $"{_rows.Count} comparisons; {targets - missed} of {targets} targets reached; {slower} below 1x.\n");
        foreach (IGrouping<string, (string Room, Measured Result)> room in _rows.GroupBy(r => r.Room))
        {
            text.Append(CultureInfo.InvariantCulture, $"\n## {room.Key}\n\n| work | ours | peer | its time | ratio | target | remark |\n| --- | --- | --- | --- | --- | --- | --- |\n");
            foreach ((_, Measured r) in room)
            {
                string ratio = double.IsNaN(r.Peer) ? "not installed" : Quick.Format(r.Ratio) + "x", target = r.Target > 0 ? $"{Quick.Format(r.Target)}x{(r.IsMissed ? ", missed" : "")}" : "";
                text.Append(CultureInfo.InvariantCulture, $"| {Cell(r.Name)} | {Quick.Format(r.Ours)} ms | {Cell(r.PeerName)} | {(double.IsNaN(r.Peer) ? "" : Quick.Format(r.Peer) + " ms")} | {(r.IsMissed || r.Ratio < 1 ? $"**{ratio}**" : ratio)} | {target} | {Cell(r.Note)} |\n");
            }
        }

        File.WriteAllText(_path, text.ToString());
    }

    private static string Machine()
    {
        string cpu = File.Exists("/proc/cpuinfo") ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[^1].Trim() ?? "" : "";
        string lanes = Vector512.IsHardwareAccelerated ? "AVX-512" : Vector256.IsHardwareAccelerated ? "AVX2, no AVX-512" : "128-bit vectors";
        MachineLimits limits = MachineLimits.Measure();
        return string.Create(CultureInfo.InvariantCulture, $"Machine: {(cpu.Length > 0 ? cpu + ", " : "")}{Environment.ProcessorCount} cores, {RuntimeInformation.OSArchitecture}, {lanes}, {torch.get_num_threads()} threads of libtorch. Its limits: {limits}.");
    }

    private static string Cell(string text) => text.Replace("|", "\\|", StringComparison.Ordinal).Replace('\n', ' ');
}
