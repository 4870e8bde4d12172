namespace Sparseland.Kernel.Jupyter;

/// <summary>What an interrupt stops: the work that the shell thread is doing now.</summary>
internal sealed class RunningCell
{
    private readonly Lock gate = new();
    private CancellationTokenSource? current;
    private bool closed;

    /// <summary>Runs work that an interrupt may cancel; after <see cref="Close"/> it starts cancelled.</summary>
    public T Run<T>(Func<CancellationToken, T> work)
    {
        var source = new CancellationTokenSource();
        lock (gate)
        {
            current = source;
            if (closed)
                source.Cancel();
        }

        try
        {
            return work(source.Token);
        }
        finally
        {
            lock (gate)
                current = null;
        }
    }

    /// <summary>Cancels the running work and all that comes: a cell that begins while the kernel ends must not keep it.</summary>
    public void Close()
    {
        lock (gate)
            closed = true;
        Interrupt();
    }

    /// <summary>Cancels the running work; false when there is none.</summary>
    public bool Interrupt()
    {
        CancellationTokenSource? source;
        lock (gate)
            source = current;
        if (source is null)
            return false;

        // Callbacks of the token may block until the cell has really stopped, and the thread pool may be full of
        // the cell's own work: a thread of its own keeps the control channel responsive.
        new Thread(source.Cancel) { IsBackground = true, Name = "kernel interrupt" }.Start();
        return true;
    }
}
