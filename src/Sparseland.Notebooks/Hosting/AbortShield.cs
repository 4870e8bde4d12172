namespace Sparseland.Notebooks.Hosting;

/// <summary>
/// Keeps the abort of an interrupted cell out of a stretch of code that it would leave broken for the rest of the process:
/// the formatting library keeps the outcome of its first use of a type, an abort included.
/// </summary>
internal sealed class AbortShield
{
    [ThreadStatic]
    private static AbortShield? current;

    private readonly Lock gate = new();
    private int depth;
    private bool aborting;
    private Action? pending;

    /// <summary>Makes this the shield of the calling thread.</summary>
    public void Own() => current = this;

    /// <summary>Starts a stretch that is not aborted; none outside the engine's threads.</summary>
    /// <exception cref="OperationCanceledException">The cell is being aborted already.</exception>
    public static Stretch Enter()
    {
        current?.Begin();
        return new Stretch(current);
    }

    /// <summary>Runs <paramref name="abort"/> now, or when the thread leaves its shielded stretch.</summary>
    public void WhenOpen(Action abort)
    {
        lock (gate)
        {
            if (depth > 0)
            {
                pending = abort;
                return;
            }

            aborting = true;
        }

        abort();
    }

    private void Begin()
    {
        lock (gate)
        {
            if (aborting)
            {
                throw new OperationCanceledException("The cell was interrupted.");
            }

            depth++;
        }
    }

    private void End()
    {
        Action? abort = null;
        lock (gate)
        {
            depth--;
            if (depth == 0 && pending is not null)
            {
                (abort, pending) = (pending, null);
                aborting = true;
            }
        }

        abort?.Invoke();
    }

    /// <summary>A shielded stretch; its end is the end of the shield.</summary>
    internal readonly struct Stretch(AbortShield? shield) : IDisposable
    {
        public void Dispose() => shield?.End();
    }
}
