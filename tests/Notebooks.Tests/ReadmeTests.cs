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

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex CodeBlock();
}
