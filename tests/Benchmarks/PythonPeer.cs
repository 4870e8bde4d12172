using System.Diagnostics;
using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks;

/// <summary>
/// A Python process that a comparison runs against: arrays are handed over once, then each call is one line there and one answer back,
/// far below the times measured.
/// </summary>
internal sealed class PythonPeer : IDisposable
{
    private const string Server = """
        import sys, json, traceback
        scope = {}
        for line in sys.stdin:
            try:
                exec(json.loads(line), scope)
                answer = scope.pop("answer", "ok")
            except Exception:
                answer = traceback.format_exc()
            print(json.dumps(answer), flush=True)
        """;

    // Netlib's reference BLAS (Debian's libblas3) is tens of times slower than any library a user would compute with: a ratio against it
    // says nothing. /proc/self/maps is Linux's; elsewhere NumPy and PyTorch bring a library of their own.
    private const string Inspect = """
        import os, sys
        maps = open("/proc/self/maps").read().split() if os.path.exists("/proc/self/maps") else []
        libraries = sorted({os.path.realpath(m) for m in maps if m.startswith("/") and ".cpython" not in m and any(b in os.path.basename(m) for b in ("blas", "mkl", "blis", "atlas"))})
        if any("/blas/libblas.so" in m for m in libraries):
            raise RuntimeError("NumPy here computes with the reference BLAS, which is no peer: apt-get install libopenblas0-pthread")
        answer = "Python " + sys.version.split()[0] + "".join(", " + m + " " + sys.modules[m].__version__ for m in ("numpy", "scipy", "sklearn", "torch") if m in sys.modules)
        answer += "".join(", " + "/".join(m.split("/")[-2:]) for m in libraries)
        """;

    private static readonly string[] s_interpreters = ["/usr/bin/python3", "python3", "python"];
    private static readonly HashSet<string> s_told = [];
    private readonly Process _process;
    private readonly string _folder = Directory.CreateTempSubdirectory("peer").FullName;

    private PythonPeer(Process process) => _process = process;

    /// <summary>Starts Python with a module, or returns null where no Python has it.</summary>
    /// <param name="imports">Statements that must succeed, such as "import numpy".</param>
    /// <exception cref="InvalidOperationException">Its NumPy computes with the reference BLAS.</exception>
    public static PythonPeer? Start(string imports)
    {
        foreach (string interpreter in s_interpreters)
        {
            var start = new ProcessStartInfo(interpreter) { RedirectStandardInput = true, RedirectStandardOutput = true };
            start.ArgumentList.Add("-W");
            start.ArgumentList.Add("ignore");
            start.ArgumentList.Add("-c");
            start.ArgumentList.Add(Server);
            try
            {
                var peer = new PythonPeer(Process.Start(start)!);
                if (peer.Ask(imports) == "ok")
                {
                    string versions = peer.Ask(Inspect);
                    if (versions.StartsWith("Traceback", StringComparison.Ordinal)) throw new InvalidOperationException($"Python: {versions}");
                    if (s_told.Add(versions)) Console.WriteLine($"peer: {versions}");
                    return peer;
                }

                peer.Dispose();
            }
            catch (System.ComponentModel.Win32Exception)
            {
                // This interpreter is not there; the next may be.
            }
        }

        return null;
    }

    /// <summary>Runs statements.</summary>
    public void Run(string statements)
    {
        string answer = Ask(statements);
        if (answer != "ok") throw new InvalidOperationException($"Python: {answer}");
    }

    /// <summary>Hands a tensor over as a numpy array; numpy must be imported as np.</summary>
    public void Put(string name, Tensor value)
    {
        string file = Path.Combine(_folder, name);
        using Tensor copy = value.to(ScalarType.Float64).contiguous();
        File.WriteAllBytes(file, copy.bytes.ToArray());
        Run($"{name} = np.fromfile({JsonSerializer.Serialize(file)}).reshape({string.Join(",", value.shape)})");
    }

    /// <summary>Fetches an expression as float64 numbers.</summary>
    public double[] Get(string expression)
    {
        string file = Path.Combine(_folder, "answer");
        Run($"np.ascontiguousarray({expression}, dtype=np.float64).tofile({JsonSerializer.Serialize(file)})");
        byte[] bytes = File.ReadAllBytes(file);
        double[] values = new double[bytes.Length / sizeof(double)];
        Buffer.BlockCopy(bytes, 0, values, 0, bytes.Length);
        return values;
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        _process.WaitForExit();
        _process.Dispose();
        Directory.Delete(_folder, true);
    }

    private string Ask(string statements)
    {
        _process.StandardInput.WriteLine(JsonSerializer.Serialize(statements));
        _process.StandardInput.Flush();
        string line = _process.StandardOutput.ReadLine() ?? throw new InvalidOperationException("Python ended.");
        return JsonSerializer.Deserialize<string>(line)!;
    }
}
