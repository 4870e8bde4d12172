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
                answer = "ok"
            except Exception:
                answer = traceback.format_exc()
            print(json.dumps(answer), flush=True)
        """;

    private static readonly string[] s_interpreters = ["/usr/bin/python3", "python3", "python"];
    private readonly Process _process;
    private readonly string _folder = Directory.CreateTempSubdirectory("peer").FullName;

    private PythonPeer(Process process) => _process = process;

    /// <summary>Starts Python with a module, or returns null where no Python has it.</summary>
    /// <param name="imports">Statements that must succeed, such as "import numpy".</param>
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
                if (peer.Ask(imports) == "ok") return peer;
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
