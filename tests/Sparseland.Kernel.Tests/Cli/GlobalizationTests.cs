using Sparseland.Kernel.Running;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Tests.Running;

namespace Sparseland.Kernel.Tests.Cli;

public class GlobalizationTests
{
    /// <summary>The variable makes the runtime look for a version of ICU that no machine has.</summary>
    [Fact]
    public async Task Without_icu_a_notebook_runs_says_so_and_makes_cultures_all_the_same()
    {
        if (!OperatingSystem.IsLinux()) return;
        var path = Notes.Single("1.5.ToString(new System.Globalization.CultureInfo(\"de-DE\"))");
        using var process = Command.Start(Path.GetDirectoryName(path)!, new Dictionary<string, string> { ["CLR_ICU_VERSION_OVERRIDE"] = "1.1" }, "run", path);
        var error = process.StandardError.ReadToEndAsync();
        var text = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, text + await error);
        Assert.Equal("1.5", Notebook.Load(path).CodeCells.Single().Shown());
        Assert.Single((await error).Split('\n'), line => line.Contains("ICU", StringComparison.Ordinal));
    }
}
