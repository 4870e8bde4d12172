using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

namespace Sparseland.Kernel.Tests.Running;

public class NotebookRunnerTests
{
    private static Task<NotebookRun> Run(string path, RunOptions? options = null) => new NotebookRunner(options ?? new RunOptions()).RunAsync(path);

    [Fact]
    public async Task Cells_run_in_the_notebooks_folder_at_the_given_scale_and_share_their_state()
    {
        var path = Notes.Single(
            "var x = 20; Console.WriteLine(Environment.GetEnvironmentVariable(\"SPARSELAND_SCALE\"));",
            "",
            "Directory.GetFiles(\".\", \"*.ipynb\").Select(Path.GetFileName).Single()",
            "x + 22");
        var run = await Run(path, new RunOptions { Scale = RunScale.Quick });
        Assert.True(run.IsGood, run.Error?.Message);
        var cells = run.Notebook.CodeCells.ToList();
        Assert.Equal("quick\n", cells[0].Shown());
        Assert.Equal("a b ü.ipynb", cells[2].Shown());
        Assert.Equal("42", cells[3].Shown());
        Assert.Equal(4, cells[3].Json["execution_count"]!.GetValue<int>());
        var record = RunRecord.Read(run.Notebook)!;
        Assert.Equal("quick", record.Scale);
        Assert.Equal(RunRecord.HashOf(run.Notebook), record.CodeHash);
        Assert.True(record.PeakMemoryMB > 10 && record.Seconds > 0);
        Assert.Empty(StaleCheck.Reasons(run.Notebook, RunScale.Quick));
        Assert.NotEmpty(StaleCheck.Reasons(run.Notebook));

        // The runner itself writes nothing.
        Assert.Null(RunRecord.Read(Notebook.Load(path)));
    }

    [Fact]
    public async Task A_cell_that_throws_ends_its_notebook_and_later_outputs_stay_as_they_were()
    {
        var path = Notes.Single("1", "throw new InvalidOperationException(\"no such luck\");", "3");
        var before = Notebook.Load(path);
        before.CodeCells.Last().SetOutputs(7, [new() { ["name"] = "stdout", ["output_type"] = "stream", ["text"] = NotebookJson.ToLines("kept") }]);
        new RunRecord("x", "0", "lesson", 1, 1).Write(before);
        AtomicFile.Write(path, before.ToText());

        var run = await Run(path);
        Assert.Equal(RunStatus.Failed, run.Status);
        Assert.Equal(2, run.FailedCell);
        var cells = run.Notebook.CodeCells.ToList();
        Assert.Equal("1", cells[0].Shown());
        Assert.Equal("InvalidOperationException: no such luck", cells[1].Shown());
        Assert.Equal("kept", cells[2].Shown());
        Assert.Null(RunRecord.Read(run.Notebook));
    }

    [Fact]
    public async Task Background_output_belongs_to_the_cell_that_began_it()
    {
        var path = Notes.Single(
            "_ = Task.Run(async () => { await Task.Delay(400); Console.WriteLine(\"late of one\"); });",
            "await Task.Delay(900); 2",
            "_ = Task.Run(async () => { await Task.Delay(100); Console.WriteLine(\"late of three\"); }); 3");
        var run = await Run(path);
        Assert.True(run.IsGood, run.Error?.Message);
        Assert.Equal(["late of one\n", "2", "3late of three\n"], run.Notebook.CodeCells.Select(c => c.Shown()));
    }

    [Fact]
    public async Task Background_output_without_end_is_said_to_be_cut_off()
    {
        var run = await Run(Notes.Single("_ = Task.Run(async () => { while (true) { Console.WriteLine(\"more\"); await Task.Delay(20); } });", "2"));
        Assert.True(run.IsGood, run.Error?.Message);
        Assert.Contains("cut off", run.Notebook.CodeCells.First().Shown(), StringComparison.Ordinal);
        Assert.Equal("2", run.Notebook.CodeCells.Last().Shown());
    }

    [Fact]
    public async Task A_cell_tagged_raises_exception_may_throw()
    {
        var path = Notes.Single("1", "throw new FormatException(\"on purpose\");", "3");
        var notebook = Notebook.Load(path);
        notebook.CodeCells.ElementAt(1).Metadata["tags"] = new System.Text.Json.Nodes.JsonArray("other", "raises-exception");
        AtomicFile.Write(path, notebook.ToText());
        var run = await Run(path);
        Assert.True(run.IsGood);
        Assert.Equal(1, run.ToleratedErrors);
        Assert.Equal(["1", "FormatException: on purpose", "3"], run.Notebook.CodeCells.Select(c => c.Shown()));

        var allowed = await Run(Notes.Single("int i = \"s\";", "2"), new RunOptions { AllowErrors = true });
        Assert.True(allowed.IsGood);
        Assert.Equal("2", allowed.Notebook.CodeCells.Last().Shown());
    }

    [Theory]
    [InlineData("while (true) { }")]
    [InlineData("Thread.Sleep(Timeout.Infinite);")]
    [InlineData("await Task.Delay(-1);")]
    [InlineData("Console.WriteLine(\"begun\"); while (true) { try { Thread.Sleep(50); } catch { } }")]
    [InlineData("[System.Runtime.InteropServices.DllImport(\"libc\")] static extern int pause();\nwhile (true) pause();")]
    public async Task A_cell_that_never_ends_is_stopped_and_named(string endless)
    {
        if (endless.Contains("libc", StringComparison.Ordinal) && OperatingSystem.IsWindows())
            endless = "while (true) { }";
        // The limit covers the start of the compiler too; only the case that looks at its output needs that to be over.
        var begins = endless.Contains("begun", StringComparison.Ordinal);
        var run = await Run(
            Notes.Single(endless, "3"),
            new RunOptions { CellTimeout = TimeSpan.FromSeconds(begins ? 8 : 2), InterruptGrace = TimeSpan.FromSeconds(1) });
        Assert.Equal(RunStatus.TimedOut, run.Status);
        Assert.Equal(1, run.FailedCell);
        Assert.Contains($"Cell [1] took longer than {(begins ? 8 : 2)} s", run.Error!.Message, StringComparison.Ordinal);
        Assert.Contains("TimeLimit", run.Notebook.Cells[1].Shown(), StringComparison.Ordinal);
        if (begins)
            Assert.StartsWith("begun", run.Notebook.Cells[1].Shown(), StringComparison.Ordinal);
        Assert.Empty(run.Notebook.Cells[2].Outputs);
    }

    [Fact]
    public async Task A_process_that_dies_is_reported_with_its_cell()
    {
        var run = await Run(Notes.Single("1", "Environment.FailFast(\"the end of it\");"));
        Assert.Equal(RunStatus.Crashed, run.Status);
        Assert.Equal(2, run.FailedCell);
        Assert.Contains("exit code", run.Error!.Message, StringComparison.Ordinal);
        Assert.Contains("the end of it", string.Join('\n', run.Error.Traceback), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_cell_can_end_its_own_process_without_harm_to_the_runner()
    {
        var run = await Run(Notes.Single("Environment.Exit(0);", "2"));
        Assert.Equal(RunStatus.Crashed, run.Status);
        Assert.Equal(1, run.FailedCell);
    }

    [Fact]
    public async Task An_exact_claim_that_held_and_does_not_now_has_regressed_at_every_scale()
    {
        var path = Notes.Single(Notes.ClaimCell(1));
        var first = await Run(path);
        Assert.Equal((1, 1), (first.Held, first.Stated));
        Assert.True(first.IsGood);
        first.Notebook.CodeCells.Single().Source = Notes.ClaimCell(2);
        AtomicFile.Write(path, first.Notebook.ToText());

        var second = await Run(path, new RunOptions { Scale = RunScale.Quick });
        Assert.Equal("one is one", Assert.Single(second.Regressed).Statement);
        Assert.Equal((0, 1), (second.Held, second.Stated));
        Assert.False(second.IsGood);
    }

    [Fact]
    public async Task A_statistical_claim_is_compared_at_the_same_scale_only()
    {
        var path = Notes.Single(Notes.ClaimCell(1, kind: "Statistical"));
        var first = await Run(path);
        first.Notebook.CodeCells.Single().Source = Notes.ClaimCell(2, kind: "Statistical");
        AtomicFile.Write(path, first.Notebook.ToText());
        Assert.Empty((await Run(path, new RunOptions { Scale = RunScale.Quick })).Regressed);
        Assert.Single((await Run(path)).Regressed);
    }

    [Fact]
    public async Task A_display_that_a_later_cell_updates_is_stored_in_its_last_form()
    {
        var run = await Run(Notes.Single("var d = display(\"first\");", "d.Update(\"second\");"));
        Assert.Equal("second", run.Notebook.CodeCells.First().Shown());
    }

    [Fact]
    public async Task The_same_notebook_gives_the_same_outputs_twice()
    {
        var path = Notes.Single("new { A = 1, B = new[] { 1, 2 } }", "Enumerable.Range(0, 5).Select(i => new { i, Square = i * i })", "HTML(\"<p>x</p>\")");
        var first = await Run(path);
        var second = await Run(path);
        RunRecord.Remove(first.Notebook);
        RunRecord.Remove(second.Notebook);
        Assert.Equal(first.Notebook.ToText(), second.Notebook.ToText());
    }

    [Fact]
    public async Task A_dib_file_runs()
    {
        var path = Path.Combine(Notes.Folder(), "a.dib");
        File.WriteAllText(path, "#!markdown\n\n# T\n\n#!csharp\n\n1 + 1\n");
        Assert.Equal("2", (await Run(path)).Notebook.CodeCells.Single().Shown());
    }

    [Fact]
    public async Task A_cancelled_run_ends_its_process()
    {
        using var cancel = new CancellationTokenSource();
        var path = Notes.Single("File.WriteAllText(\"pid\", Environment.ProcessId.ToString()); while (true) { }");
        var run = new NotebookRunner(new RunOptions()).RunAsync(path, null, cancel.Token);
        var pidFile = Path.Combine(Path.GetDirectoryName(path)!, "pid");
        while (!File.Exists(pidFile) || new FileInfo(pidFile).Length == 0)
            await Task.Delay(50);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
        Assert.Throws<ArgumentException>(() => System.Diagnostics.Process.GetProcessById(int.Parse(File.ReadAllText(pidFile))));
    }
}
