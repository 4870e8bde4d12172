namespace Sparseland.Kernel.Jupyter;

/// <summary>What an interrupt stops: the work that the shell thread is doing now.</summary>
internal sealed class RunningCell
{
    private readonly Lock gate = new();
    private CancellationTokenSource? current;

    /// <summary>Runs work that an interrupt may cancel.</summary>
    public T Run<T>(Func<CancellationToken, T> work)
    {
        var source = new CancellationTokenSource();
        lock (gate)
            current = source;
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
