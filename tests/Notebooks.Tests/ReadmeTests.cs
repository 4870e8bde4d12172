using System.Text.RegularExpressions;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;
using Sparseland.Notebooks;

namespace Notebooks.Tests;

/// <summary>The code that README.md shows runs as it stands there.</summary>
public partial class ReadmeTests
{
    [Fact]
    public async Task Its_code_runs()
    {
        var blocks = CodeBlock().Matches(File.ReadAllText(Path.Combine(Series.Root, "README.md")).ReplaceLineEndings("\n")).Select(m => m.Groups[1].Value).ToList();
        Assert.NotEmpty(blocks);
        var folder = Directory.CreateTempSubdirectory("readme");
        try
        {
            var path = Path.Combine(folder.FullName, "readme.ipynb");
            var notebook = Notebook.Create(path);
            foreach (var block in blocks)
                notebook.Add("code", block);
            File.WriteAllText(path, notebook.ToText());
            Environment.SetEnvironmentVariable(SeriesData.FolderVariable, Path.Combine(Series.Root, "data"));
            var run = await new NotebookRunner(new RunOptions { Scale = RunScale.Quick, CellTimeout = TimeSpan.FromMinutes(2) }).RunAsync(path);
            Assert.True(run.Status == RunStatus.Passed, $"block {run.FailedCell}: {string.Join('\n', run.Error?.Traceback ?? [])}");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Theory]
    [InlineData("README.md")]
    [InlineData("environment.md")]
    [InlineData("notebooks/README.md")]
    [InlineData("notebooks/RESULTS.md")]
    [InlineData("src/Sparseland/README.md")]
    [InlineData("tests/README.md")]
    public void Its_links_lead_somewhere(string file)
    {
        string path = Path.Combine(Series.Root, file), folder = Path.GetDirectoryName(path)!;
        string[] lost = [.. Link().Matches(File.ReadAllText(path)).Select(m => m.Groups[1].Value).Where(l => !l.Contains(':', StringComparison.Ordinal) && !l.StartsWith('#'))
            .Select(l => Uri.UnescapeDataString(l.Split('#')[0])).Where(l => !File.Exists(Path.Combine(folder, l)) && !Directory.Exists(Path.Combine(folder, l)))];
        Assert.Empty(lost);
    }

    [Fact]
    public void The_types_that_it_sends_readers_to_exist()
    {
        string text = File.ReadAllText(Path.Combine(Series.Root, "README.md")).ReplaceLineEndings("\n");
        string[] rows = [.. text[text.IndexOf("| I want to |", StringComparison.Ordinal)..].Split("\n\n")[0].Split('\n').Skip(2)];
        HashSet<string> known = [.. typeof(Sparseland.Evaluation.Claim).Assembly.GetExportedTypes().Select(t => t.Name.Split('`')[0])];
        Assert.True(rows.Length >= 10);
        foreach (string row in rows)
        {
            string[] types = [.. Word().Matches(row.Split('|')[^2]).Select(m => m.Groups[1].Value.Split('.')[0])];
            Assert.Empty(types.Except(known));
        }
    }

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Word();

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex CodeBlock();
}
