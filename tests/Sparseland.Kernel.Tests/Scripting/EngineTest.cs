using Sparseland.Kernel.Scripting;

namespace Sparseland.Kernel.Tests.Scripting;

/// <summary>One engine and one folder for each test.</summary>
public abstract class EngineTest : IAsyncLifetime
{
    private protected string Folder { get; } = Directory.CreateTempSubdirectory("sparseland engine ä ").FullName;

    private protected ScriptEngine Engine { get; private set; } = null!;

    public Task InitializeAsync()
    {
        Engine = new ScriptEngine(new ScriptEngineOptions
        {
            WorkingDirectory = Folder,
            PackageCacheDirectory = Path.Combine(Folder, "packages"),
            NuGetPackagesDirectory = Path.Combine(Folder, "unpacked"),
            InterruptGrace = TimeSpan.FromSeconds(1),
        });
        return Task.CompletedTask;
    }

    public async Task DisposeAsync()
    {
        await Engine.DisposeAsync();
        Directory.Delete(Folder, recursive: true);
    }

    /// <summary>Runs a cell that must succeed.</summary>
    private protected async Task<RecordedOutput> Run(string code)
    {
        var (result, output) = await Try(code);
        Assert.True(result.Status == CellStatus.Ok, result.Error is null ? result.Status.ToString() : string.Join('\n', result.Error.Traceback));
        return output;
    }

    /// <summary>Runs a cell that must fail, and gives its error.</summary>
    private protected async Task<CellError> Fail(string code)
    {
        var (result, _) = await Try(code);
        Assert.Equal(CellStatus.Error, result.Status);
        return result.Error!;
    }

    private protected async Task<(CellResult Result, RecordedOutput Output)> Try(string code, CancellationToken cancel = default)
    {
        var output = new RecordedOutput();
        return (await Engine.ExecuteAsync(code, output, cancel), output);
    }

    private protected static string Text(CellError error) => string.Join('\n', error.Traceback);

    private protected string Write(string name, string text)
    {
        var path = Path.Combine(Folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
        return path;
    }
}
