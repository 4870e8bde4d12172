using System.Text.Json.Nodes;

namespace Sparseland.Kernel.Jupyter;

/// <summary>Questions of a cell to its user over the stdin channel: one at a time, each waits for its answer or for the cell's stop.</summary>
/// <param name="send">Sends an input_request to the front end of a request.</param>
internal sealed class InputRequests(Action<Request, JsonObject> send)
{
    private readonly Lock gate = new();
    private readonly SemaphoreSlim one = new(1, 1);
    private TaskCompletionSource<string>? open;

    /// <summary>Asks and waits.</summary>
    /// <exception cref="OperationCanceledException">The cell was stopped.</exception>
    public string Ask(Request request, string prompt, bool isPassword, CancellationToken cancel)
    {
        one.Wait(cancel);
        try
        {
            var answer = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (gate)
                open = answer;
            send(request, new JsonObject { ["prompt"] = prompt, ["password"] = isPassword });
            answer.Task.Wait(cancel);
            return answer.Task.Result;
        }
        finally
        {
            lock (gate)
                open = null;
            one.Release();
        }
    }

    /// <summary>Takes an input_reply; false where nobody waits for one (the cell was stopped meanwhile).</summary>
    /// <exception cref="MalformedMessageException">The reply has no value.</exception>
    public bool Answer(Request reply)
    {
        var value = reply.Text("value");
        lock (gate)
            return open?.TrySetResult(value) == true;
    }
}
