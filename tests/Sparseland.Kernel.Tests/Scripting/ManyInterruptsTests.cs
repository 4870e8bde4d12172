using Sparseland.Kernel.Scripting;

namespace Sparseland.Kernel.Tests.Scripting;

/// <summary>
/// Five hundred interrupts, at drawn moments, of cells that run and wait in every way. An interrupt that strikes in the engine's
/// own code ends the process or leaves a lock taken; it took 3 to 25 interrupts until one did.
/// </summary>
public sealed class ManyInterruptsTests : EngineTest
{
    private const int Interrupts = 500;

    // An interrupt that goes astray never returns; a busy machine is slow.
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(20);

    // 'go' is false as soon as the next cell runs.
    private static readonly string[] Bodies =
    [
        "while (true) ;",
        "while (true) await Task.Yield();",
        "while (true) { try { await Task.Yield(); } catch (Exception) { } }",
        "while (true) await Task.Delay(1);",
        "await Task.Delay(-1);",
        "await Task.WhenAll(Enumerable.Range(0, 4).Select(async _ => { while (true) await Task.Yield(); }));",
        "await Task.WhenAny(Enumerable.Range(0, 4).Select(async _ => { while (true) await Task.Delay(1); }));",
        "Task.Run(() => { while (true) ; }).Wait();",
        "await Task.Run(async () => { while (true) await Task.Yield(); });",
        "while (true) await Task.Run(() => 1);",
        "while (true) await Task.Delay(1).ConfigureAwait(false);",
        "while (true) await Task.Delay(1).ConfigureAwait(true);",
        "var held = new object(); _ = Task.Run(() => { lock (held) { while (go) Thread.Sleep(1); } }); await Task.Delay(1); lock (held) { }",
        "var fought = new object(); async Task Fight() { while (true) { lock (fought) { Math.Sqrt(2); } await Task.Yield(); } } await Task.WhenAll(Fight(), Fight(), Fight());",
        "Thread.Sleep(-1);",
        "while (true) Thread.Sleep(0);",
        "while (true) { try { Thread.Sleep(1); } catch (ThreadInterruptedException) { } }",
        "Parallel.For(0, 1000000000, i => { Math.Sqrt(i); });",
        "using (var a = torch.ones(48, 48)) { while (true) { using var b = torch.mm(a, a); } }",
        "using (var a = torch.ones(48, 48)) { while (true) { using var b = torch.mm(a, a); await Task.Yield(); } }",
        "while (true) Console.Write(\"x\");",
        "while (true) { try { Console.WriteLine(\"x\"); } catch (Exception) { } }",
        "while (true) { Console.Write(\"x\"); await Task.Yield(); }",
        "while (true) display(1);",
        "IEnumerable<int> Endless() { try { for (var i = 0; ; i++) yield return i; } finally { Math.Sqrt(2); } } Endless().Where(i => i < 0).ToList();",
        "async IAsyncEnumerable<int> Endless() { while (true) { await Task.Yield(); yield return 1; } } await foreach (var one in Endless()) { }",
        "try { while (true) ; } finally { for (var i = 0; i < 100000; i++) Math.Sqrt(i); }",
        "try { while (true) await Task.Yield(); } finally { await Task.Yield(); Console.Write(\"left\"); }",
        "try { Thread.Sleep(-1); } finally { Thread.Sleep(5); }",
        "async Task Deep(int n) { if (n > 0) { await Deep(n - 1); } while (true) await Task.Yield(); } await Deep(20);",
        "async void Loose() { while (true) await Task.Yield(); } Loose(); Loose(); await Task.Delay(-1);",
        "var gate = new SemaphoreSlim(0); await gate.WaitAsync();",
        "new ManualResetEventSlim().Wait();",
        "var channel = System.Threading.Channels.Channel.CreateBounded<int>(1); async Task Fill() { while (true) await channel.Writer.WriteAsync(1); } _ = Fill(); await foreach (var one in channel.Reader.ReadAllAsync()) { }",
        "while (true) { try { throw new InvalidOperationException(\"again\"); } catch (InvalidOperationException) { await Task.Yield(); } }",
        "while (true) _ = new List<int>(Enumerable.Range(0, 100)).ConvertAll(i => i.ToString()).Count;",
        "var own = Thread.CurrentThread; while (true) { own.Interrupt(); await Task.Yield(); }",
        "Sparseland.Notebooks.Hosting.NotebookHost.Current!.CellCancelled.Register(() => throw new InvalidOperationException()); while (true) await Task.Yield();",
        "Sparseland.Notebooks.Hosting.NotebookHost.Current!.CellCancelled.Register(() => { while (go) Thread.Sleep(1); }); while (true) ;",
    ];

    [Fact]
    public async Task Every_interrupt_returns_and_keeps_the_variables()
    {
        await Run("using static TorchSharp.torch; using TorchSharp; var go = true; var count = 0; torch.mm(torch.ones(2, 2), torch.ones(2, 2)).sum().item<float>()");
        var random = new Random(1);
        for (var i = 0; i < Interrupts; i++)
        {
            var body = Bodies[i % Bodies.Length];
            var output = new RecordedOutput();
            using var cancel = new CancellationTokenSource();
            var cell = Engine.ExecuteAsync($"go = true; count++; Console.Error.Write(\"running\"); {body}", output, cancel.Token);
            while (output.Events.Count == 0 && !cell.IsCompleted)
            {
                await Task.Delay(1);
            }

            await Task.Delay(random.Next(8));
            Assert.False(cell.IsCompleted, $"interrupt {i} of '{body}': " + (cell.IsCompleted ? string.Join('\n', (await cell).Error?.Traceback ?? ["ran to its end"]) : ""));
            await cancel.CancelAsync();
            var result = await Within(cell, $"interrupt {i} of '{body}'");
            Assert.True(result.Status == CellStatus.Interrupted, $"interrupt {i} of '{body}': {result.Status} {result.Error?.Message}");
            Assert.False(result.Error!.Message.Contains("native code", StringComparison.Ordinal), $"interrupt {i} of '{body}': {result.Error.Message}");

            var (next, after) = await Within(Try("go = false; Console.Write(\"next\"); await Task.Yield(); count"), $"the cell after interrupt {i} of '{body}'");
            Assert.True(next.Status == CellStatus.Ok, $"the cell after interrupt {i} of '{body}': {next.Error?.Message}");
            Assert.Equal((i + 1).ToString(System.Globalization.CultureInfo.InvariantCulture), after.ResultText);
            Assert.Equal("next", after.Stdout);
        }
    }

    private static async Task<T> Within<T>(Task<T> task, string what)
    {
        try
        {
            return await task.WaitAsync(Bound);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"{what} did not return in {Bound.TotalSeconds} s");
        }
    }
}
