using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Scripting;

/// <summary>
/// A cell's output that throws once the cell is stopped. A loop that prints ends there, in good order, and need not be
/// aborted in the middle of a write, where it could leave the console's lock taken for ever.
/// </summary>
internal sealed class StoppableOutput(ICellOutput output) : ICellOutput
{
    private readonly CancellationTokenSource stopping = new();
    private volatile bool stopped;

    /// <summary>Whether calls throw.</summary>
    public bool Stopped => stopped;

    /// <summary>From now on every call throws.</summary>
    public void Stop()
    {
        stopped = true;
        stopping.Cancel();
    }

    public void Stream(string name, string text) => Call(o => o.Stream(name, text));

    public void Display(MimeBundle bundle, string displayId) => Call(o => o.Display(bundle, displayId));

    public void Update(MimeBundle bundle, string displayId) => Call(o => o.Update(bundle, displayId));

    public void Result(MimeBundle bundle) => Call(o => o.Result(bundle));

    public string Ask(string prompt, bool isPassword, CancellationToken cancel)
    {
        var answer = "";
        Call(o => answer = o.Ask(prompt, isPassword, stopping.Token));
        return answer;
    }

    /// <summary>Ends a cell that goes on writing.</summary>
    public void ThrowIfStopped()
    {
        if (stopped)
        {
            throw new OperationCanceledException("The cell was interrupted.");
        }
    }

    // A receiver that itself prints must reach the process's console, not this cell again.
    private void Call(Action<ICellOutput> call)
    {
        ThrowIfStopped();
        using var here = CellPlace.EnterEngine();
        var flow = CellConsole.Current;
        CellConsole.Enter(null);
        try
        {
            call(output);
        }
        finally
        {
            CellConsole.Enter(flow);
        }
    }
}
