using System.Text;
using System.Text.Json.Nodes;

namespace Sparseland.Kernel.Jupyter;

/// <summary>
/// Orders and gathers what goes out on the broadcast socket. Text that follows text of the same stream and cell
/// becomes one message, an update that a later one replaces is not sent, and a cell that floods waits for the
/// next tick: a front end gets at most a few thousand messages and a few megabytes a second.
/// </summary>
/// <remarks>
/// The engine keeps interrupts and aborts of a cell out of these calls.
/// </remarks>
internal sealed class OutputPublisher : IDisposable
{
    private const int MaxPendingChars = 256 * 1024;
    private const int MaxPendingMessages = 200;
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(40);

    private readonly Action<Request?, string, JsonObject> send;
    private readonly Lock gate = new();
    private readonly Lock sending = new();
    private readonly AutoResetEvent work = new(false);
    private readonly ManualResetEvent room = new(true);
    private readonly Thread ticker;
    private List<Pending> pending = [];
    private int pendingChars;
    private volatile bool closed;

    /// <param name="send">Sends one message: parent, msg_type, content. Called by one thread at a time, in order.</param>
    public OutputPublisher(Action<Request?, string, JsonObject> send)
    {
        this.send = send;
        ticker = new Thread(Run) { IsBackground = true, Name = "kernel output" };
        ticker.Start();
    }

    /// <summary>Takes text that a cell wrote; waits while too much is pending.</summary>
    public void Stream(Request parent, string name, string text)
    {
        if (text.Length == 0)
            return;
        bool full;
        lock (gate)
        {
            var last = pending.Count > 0 ? pending[^1] : null;
            if (last?.Text is null || last.Name != name || !ReferenceEquals(last.Parent, parent))
                pending.Add(last = new Pending(parent, "stream", name, new StringBuilder(), null));
            last.Text!.Append(text);
            pendingChars += text.Length;
            full = CloseRoomWhenFull();
        }

        work.Set();

        WaitForRoom(full);
    }

    /// <summary>Takes any other output of a cell; waits while too much is pending.</summary>
    /// <param name="parent">The request of the cell.</param>
    /// <param name="type">msg_type.</param>
    /// <param name="content">The content; not changed afterwards.</param>
    /// <param name="replaces">Display identity of which only the newest pending update needs to be sent, or null.</param>
    public void Output(Request parent, string type, JsonObject content, string? replaces = null)
    {
        bool full;
        lock (gate)
        {
            if (replaces is not null)
                pending.RemoveAll(p => p.Type == type && p.Name == replaces);
            pending.Add(new Pending(parent, type, replaces, null, content));
            full = CloseRoomWhenFull();
        }

        work.Set();

        WaitForRoom(full);
    }

    /// <summary>Sends everything pending, then this message, at once. For the kernel's own messages.</summary>
    public void Publish(Request? parent, string type, JsonObject content)
    {
        lock (gate)
            pending.Add(new Pending(parent, type, null, null, content));
        Flush(final: true);
    }

    /// <summary>Sends what is pending.</summary>
    /// <param name="final">False keeps back half of a surrogate pair whose other half is still to come.</param>
    public void Flush(bool final)
    {
        lock (sending)
        {
            List<Pending> batch;
            lock (gate)
            {
                batch = pending;
                pending = [];
                pendingChars = 0;
                if (!final && batch.Count > 0 && batch[^1] is { Text: { Length: > 0 } text } last && char.IsHighSurrogate(text[^1]))
                {
                    pending.Add(last with { Text = new StringBuilder().Append(text[^1]) });
                    text.Length--;
                }
            }

            room.Set();
            foreach (var item in batch)
            {
                if (item.Text is not null && item.Text.Length > 0)
                    send(item.Parent, item.Type, new JsonObject { ["name"] = item.Name, ["text"] = item.Text.ToString() });
                else if (item.Content is not null)
                    send(item.Parent, item.Type, item.Content);
            }
        }
    }

    /// <summary>Sends what is left and stops; later output is dropped without waiting.</summary>
    public void Dispose()
    {
        if (closed)
            return;
        closed = true;
        work.Set();
        room.Set();
        ticker.Join();
        Flush(final: true);
    }

    private bool CloseRoomWhenFull()
    {
        var full = pendingChars >= MaxPendingChars || pending.Count >= MaxPendingMessages;
        if (full && !closed)
            room.Reset();
        return full;
    }

    private void WaitForRoom(bool full)
    {
        // Only a stopped kernel leaves the event unset for long; look again whether it has.
        while (full && !closed && !room.WaitOne(TimeSpan.FromSeconds(1)))
            continue;
    }

    private void Run()
    {
        while (!closed)
        {
            work.WaitOne();
            if (closed)
                return;
            Thread.Sleep(Tick);
            Flush(final: false);
        }
    }

    private sealed record Pending(Request? Parent, string Type, string? Name, StringBuilder? Text, JsonObject? Content);
}
