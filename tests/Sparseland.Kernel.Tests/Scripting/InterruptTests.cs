using Sparseland.Kernel.Scripting;

namespace Sparseland.Kernel.Tests.Scripting;

public sealed class InterruptTests : EngineTest
{
    [Theory]
    [InlineData("while (true) ;")]
    [InlineData("await Task.Yield(); while (true) ;")]
    [InlineData("Thread.Sleep(-1);")]
    [InlineData("await Task.Delay(-1);")]
    [InlineData("Task.Delay(-1).Wait();")]
    [InlineData("await new TaskCompletionSource().Task;")]
    [InlineData("try { while (true) ; } catch (Exception) { } finally { var done = 1; }")]
    [InlineData("while (true) { try { while (true) Math.Sqrt(2); } catch (Exception) { } }")]
    [InlineData("class Endless { public override string ToString() { while (true) ; } } new Endless()")]
    [InlineData("while (true) Console.WriteLine(\"x\");")]
    [InlineData("while (true) display(1);")]
    [InlineData("Parallel.For(0, 4, _ => { while (true) Console.Write(\"\"); });")]
    [InlineData("lock (new object()) { while (true) Console.Write(\"\"); }")]
    [InlineData("async Task Forever() { while (true) await Task.Delay(1); } await Forever();")]
    public async Task A_running_cell_stops_and_state_is_kept(string body)
    {
        await Run("var kept = 5;");
        using var cancel = new CancellationTokenSource();
        var output = new RecordedOutput();
        var cell = Engine.ExecuteAsync("kept = 6; Console.Write(\"running\");\n" + body, output, cancel.Token);
        while (output.Events.Count == 0 && !cell.IsCompleted)
        {
            await Task.Delay(5);
        }

        await Task.Delay(30);
        Assert.False(cell.IsCompleted, cell.IsCompleted ? string.Join('\n', (await cell).Error?.Traceback ?? ["ran to its end"]) : "");
        await cancel.CancelAsync();
        var result = await cell.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal(CellStatus.Interrupted, result.Status);
        Assert.Equal("Interrupted", result.Error!.Name);
        Assert.Equal("6", (await Run("kept")).ResultText);
    }

    [Fact]
    public async Task A_stopped_cell_does_not_come_back()
    {
        using var cancel = new CancellationTokenSource();
        var output = new RecordedOutput();
        await Run("var gate = new TaskCompletionSource(); var passed = 0;");
        var cell = Engine.ExecuteAsync("display(0); await gate.Task; passed++;", output, cancel.Token);
        while (output.Displays.Count == 0 && !cell.IsCompleted)
        {
            await Task.Delay(5);
        }

        await cancel.CancelAsync();
        Assert.Equal(CellStatus.Interrupted, (await cell).Status);
        Assert.Equal("0", (await Run("gate.SetResult(); await Task.Delay(50); passed")).ResultText);
    }

    [Fact]
    public async Task A_cancelled_token_runs_nothing()
    {
        var (result, output) = await Try("Console.Write(1);", new CancellationToken(canceled: true));
        Assert.Equal(CellStatus.Interrupted, result.Status);
        Assert.Empty(output.Events);
    }

    [Fact]
    public async Task Native_code_is_given_up_after_the_grace()
    {
        using var cancel = new CancellationTokenSource();
        var output = new RecordedOutput();
        var sleep = OperatingSystem.IsWindows()
            ? "[System.Runtime.InteropServices.DllImport(\"kernel32\")] static extern void Sleep(uint ms); void Wait() => Sleep(4000);"
            : "[System.Runtime.InteropServices.DllImport(\"libc\")] static extern int system(string command); void Wait() => system(\"sleep 3\");";
        await Run(sleep);
        var cell = Engine.ExecuteAsync("display(0); Wait();", output, cancel.Token);
        while (output.Displays.Count == 0 && !cell.IsCompleted)
        {
            await Task.Delay(5);
        }

        await cancel.CancelAsync();
        var result = await cell;
        Assert.Equal(CellStatus.Interrupted, result.Status);
        Assert.Contains("native code", result.Error!.Message, StringComparison.Ordinal);
        Assert.Equal("2", (await Run("1 + 1")).ResultText);
    }

    [Fact]
    public async Task Library_calls_see_the_interrupt_through_the_host()
    {
        using var cancel = new CancellationTokenSource();
        var output = new RecordedOutput();
        var cell = Engine.ExecuteAsync("display(0); var token = Sparseland.Notebooks.Hosting.NotebookHost.Current!.CellCancelled; await Task.Delay(-1, token);", output, cancel.Token);
        while (output.Displays.Count == 0 && !cell.IsCompleted)
        {
            await Task.Delay(5);
        }

        await cancel.CancelAsync();
        Assert.Equal(CellStatus.Interrupted, (await cell).Status);
    }
}
