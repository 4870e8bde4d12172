using System.Diagnostics;
using System.Reflection;
using Sparseland.Kernel.Notebooks;

namespace Notebooks.Tests;

/// <summary>
/// The notebooks in a host that is not ours: the plainest Roslyn script host, which knows nothing of displays, progress or
/// packages. What works there does not lean on the engine.
/// </summary>
public class OtherHostTests
{
    // What C# kernels import by themselves.
    private const string Imports = "using System; using System.Collections.Generic; using System.IO; using System.Linq; using System.Text; using System.Threading.Tasks;";

    [Fact]
    public async Task The_start_notebook_runs_in_a_plain_script_host()
    {
        var library = Built("src/Sparseland.Notebooks", "Sparseland.Notebooks.dll");
        var cells = Series.Load("00-start-here.ipynb").CodeCells.Select(c => c.Source)
            .Where(source => !source.Contains("Plotly.NET.", StringComparison.Ordinal))       // the notebook says that other hosts leave it out
            .Select(source => source.Replace("#r \"nuget: Sparseland.Notebooks, 0.1.0\"", $"#r \"{library}\"", StringComparison.Ordinal));
        var show = (string value) => $"Microsoft.DotNet.Interactive.Formatting.Formatter.ToDisplayString({value}, \"text/html\")";
        string[] script = [Imports, .. cells, $"{show("claims")} + {show("Draw(penalties[0])")} + {show("frame")}"];
        var output = await Run(Built("tests/Sparseland.Tests/Native/ScriptHost", "ScriptHost.dll"), string.Join("\n//---\n", script));
        Assert.Contains("Sparseland 0.1.0, scale quick", output, StringComparison.Ordinal);
        Assert.Contains("A loop worth watching: 20 steps", output, StringComparison.Ordinal);
        Assert.Contains("identities 5 of 5 held", output, StringComparison.Ordinal);
        Assert.Contains("<img src=\"data:image/svg+xml;base64,", output, StringComparison.Ordinal);
        Assert.Contains("<table", output, StringComparison.Ordinal);
    }

    private static string Built(string project, string file)
    {
        var configuration = typeof(OtherHostTests).Assembly.GetCustomAttribute<AssemblyConfigurationAttribute>()!.Configuration;
        var path = Path.Combine(Series.Root, project, "bin", configuration, "net10.0", file);
        Assert.True(File.Exists(path), $"{path} is not built.");
        return path.Replace('\\', '/');
    }

    private static async Task<string> Run(string program, string input)
    {
        var start = new ProcessStartInfo("dotnet", [program]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["SPARSELAND_SCALE"] = "quick";
        using var process = Process.Start(start)!;
        using var limit = new CancellationTokenSource(TimeLimit.Of(TimeSpan.FromMinutes(3)));
        limit.Token.Register(() => process.Kill(entireProcessTree: true));
        Task<string> output = process.StandardOutput.ReadToEndAsync(CancellationToken.None), errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
        await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        await process.WaitForExitAsync(CancellationToken.None);
        Assert.True(process.ExitCode == 0, $"exit {process.ExitCode}\n{await output}\n{await errors}");
        return await output;
    }
}
