using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Benchmarks;

/// <summary>
/// An R session as the other side of a comparison, kept open so that both sides can alternate. Null where no R with the packages is
/// installed (Debian: apt-get install r-cran-glmnet libopenblas0-pthread).
/// </summary>
internal sealed class RPeer : IDisposable
{
    private readonly Process _process;

    private RPeer(Process process) => _process = process;

    /// <summary>Starts R and loads what the comparison needs.</summary>
    public static RPeer? Start(string setup)
    {
        try
        {
            var start = new ProcessStartInfo("R", ["--vanilla", "--no-echo"]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
            var peer = new RPeer(Process.Start(start)!);
            peer._process.ErrorDataReceived += (_, _) => { };
            peer._process.BeginErrorReadLine();
            return peer.TryRun($"{{ {setup} }}") is null ? null : peer;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }

    /// <summary>Runs code to its end.</summary>
    public void Run(string code)
    {
        if (TryRun(code) is null) throw new InvalidOperationException($"R ended at: {code}");
    }

    /// <summary>Numbers that code prints with cat.</summary>
    public double[] Get(string code) =>
        [.. (TryRun($"cat({code})") ?? throw new InvalidOperationException($"R ended at: {code}")).Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(v => double.Parse(v, CultureInfo.InvariantCulture))];

    /// <summary>Hands over a matrix, column after column.</summary>
    public void Put(string name, double[] columnMajor, int rows, int columns)
    {
        string file = Path.GetTempFileName();
        File.WriteAllBytes(file, MemoryMarshal.AsBytes<double>(columnMajor).ToArray());
        Run($"{name} <- matrix(readBin('{file}', 'double', {rows} * {columns}), {rows}, {columns})");
        File.Delete(file);
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        if (!_process.WaitForExit(2000)) _process.Kill();
        _process.Dispose();
    }

    private string? TryRun(string code)
    {
        _process.StandardInput.WriteLine(code);
        _process.StandardInput.WriteLine("cat('\\n==done==\\n'); flush(stdout())");
        _process.StandardInput.Flush();
        var text = new List<string>();
        while (_process.StandardOutput.ReadLine() is { } line)
        {
            if (line == "==done==") return string.Join(" ", text);
            text.Add(line);
        }

        return null;
    }
}
