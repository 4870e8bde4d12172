using System.Text.Json.Nodes;
using Sparseland.Kernel.Scripting;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Tests.Jupyter;

/// <summary>An engine whose cells are one word and an argument, so that the protocol is tested without a compiler.</summary>
internal sealed class FakeEngine : IScriptEngine
{
    public bool Disposed { get; private set; }

    public Task<CellResult> ExecuteAsync(string code, ICellOutput output, CancellationToken cancel = default)
    {
        var (word, argument) = code.Split(' ', 2) is [var first, var rest] ? (first, rest) : (code, "");
        switch (word)
        {
            case "print":
                output.Stream("stdout", argument + "\n");
                break;
            case "warn":
                output.Stream("stderr", argument + "\n");
                break;
            case "flood":
                for (var i = 0; i < int.Parse(argument); i++)
                    output.Stream("stdout", $"line {i}\n");
                break;
            case "mixed":
                for (var i = 0; i < int.Parse(argument); i++)
                {
                    output.Stream("stdout", $"{i}\n");
                    output.Display(Text($"{i}"), $"d{i}");
                }

                break;
            case "chars":
                foreach (var unit in argument)
                    output.Stream("stdout", unit.ToString());
                break;
            case "display":
                output.Display(Text(argument), "id");
                output.Update(Text(argument + " later"), "id");
                break;
            case "updates":
                output.Display(Text("0"), "id");
                for (var i = 1; i <= int.Parse(argument); i++)
                    output.Update(Text($"{i}"), "id");
                break;
            case "ask":
                output.Stream("stdout", "before");
                try
                {
                    output.Result(Text(output.Ask(argument, argument.StartsWith("secret", StringComparison.Ordinal), cancel)));
                }
                catch (OperationCanceledException)
                {
                    return Task.FromResult(new CellResult(CellStatus.Interrupted, null, TimeSpan.Zero));
                }

                break;
            case "value":
                output.Result(Text(argument));
                break;
            case "sleep":
                Thread.Sleep(int.Parse(argument));
                break;
            case "later":
                _ = Task.Run(async () =>
                {
                    await Task.Delay(int.Parse(argument), CancellationToken.None);
                    output.Stream("stdout", "from the background\n");
                }, CancellationToken.None);
                break;
            case "forever":
                output.Stream("stdout", "started\n");
                cancel.WaitHandle.WaitOne();
                return Task.FromResult(new CellResult(CellStatus.Interrupted, null, TimeSpan.Zero));
            case "fail":
                return Task.FromResult(new CellResult(CellStatus.Error, new CellError("TestException", argument, ["line 1", argument]), TimeSpan.Zero));
            case "throw":
                throw new InvalidTimeZoneException("the engine itself broke");
        }

        return Task.FromResult(new CellResult(CellStatus.Ok, null, TimeSpan.Zero));
    }

    /// <summary>One match, which stands for the word in front of the cursor.</summary>
    public Task<Completions> CompleteAsync(string code, int position, CancellationToken cancel = default)
    {
        var start = position;
        while (start > 0 && char.IsAsciiLetter(code[start - 1]))
            start--;
        return Task.FromResult(new Completions([code[start..position] + "Completed"], start, position));
    }

    public Task<MimeBundle?> InspectAsync(string code, int position, CancellationToken cancel = default) =>
        Task.FromResult(code.Length == 0 ? null : Text($"before the cursor: {code[..position]}"));

    public Completeness IsComplete(string code) =>
        code.EndsWith('{') ? Completeness.Incomplete : code.EndsWith('}') ? Completeness.Complete : Completeness.Invalid;

    public ValueTask DisposeAsync()
    {
        Disposed = true;
        return ValueTask.CompletedTask;
    }

    private static MimeBundle Text(string text) => new(new Dictionary<string, JsonNode> { ["text/plain"] = JsonValue.Create(text) });
}
