namespace Sparseland.Notebooks.Hosting;

/// <summary>
/// Whose code a thread of a running cell is in, as one word that the thread and whoever stops the cell change by
/// compare-exchange: an interrupt or an abort strikes only in the cell's own code, never in the engine's.
/// </summary>
/// <remarks>
/// A strike in engine code would leave a lock taken, an item lost or an exception where nobody expects one. Code of other
/// libraries that the cell calls counts as the cell's.
/// </remarks>
internal sealed class CellPlace
{
    /// <summary>The engine's code: no strike.</summary>
    private const int Engine = 0;

    /// <summary>The cell's code.</summary>
    private const int Cell = 1;

    /// <summary>The cell's code inside the formatting library, which keeps the outcome of its first use of a type: struck late only.</summary>
    private const int Shielded = 2;

    /// <summary>Being struck; the thread waits before it leaves the cell's code.</summary>
    private const int Held = 3;

    /// <summary>The cell's code, which an abort will end at any instruction.</summary>
    private const int Doomed = 4;

    [ThreadStatic]
    private static CellPlace? current;

    private int place = Engine;
    private volatile bool stopping;
    private volatile bool shieldOver;

    /// <summary>Whether the calling thread is in a shielded stretch that may still end by itself.</summary>
    public static bool IsShielded => current is { } own && Volatile.Read(ref own.place) == Shielded && !own.shieldOver;

    /// <summary>Makes this the place of the calling thread.</summary>
    public void Own() => current = this;

    /// <summary>Runs a piece of the cell on this thread. Afterwards the thread is in engine code, and nothing is pending on it.</summary>
    public void RunCell(Action code)
    {
        try
        {
            Volatile.Write(ref place, Cell);
            if (!stopping)
            {
                code();
            }

            // An abort that was asked for strikes here, and not in what follows.
            while (!TryLeave())
            {
                Pause();
            }
        }
        finally
        {
            // Reached from an exception this is out of an abort's reach; reached from above the place is the engine's already.
            while (Volatile.Read(ref place) is var seen and not Engine && (seen == Held || !TryMove(seen)))
            {
                Thread.SpinWait(10);
            }

            if (stopping)
            {
                DropInterrupt();
            }
        }
    }

    /// <summary>Starts a stretch of engine code that the cell called; none outside a cell's threads.</summary>
    /// <exception cref="OperationCanceledException">The cell is being stopped.</exception>
    public static Stretch EnterEngine()
    {
        var stretch = current?.Begin(Engine, orDoomed: false) ?? default;
        if (stretch.Of is { stopping: true })
        {
            stretch.Dispose();
            throw Stopped();
        }

        return stretch;
    }

    /// <summary>Starts a stretch of engine code that must be done also for a cell that is being stopped. Throws nothing.</summary>
    public static Stretch EnterAlways()
    {
        var stretch = current?.Begin(Engine, orDoomed: true) ?? default;
        if (stretch.Of is { stopping: true })
        {
            DropInterrupt();
        }

        return stretch;
    }

    /// <summary>Starts a stretch of the cell's code that should not be struck unless it never ends; none outside a cell's threads.</summary>
    /// <exception cref="OperationCanceledException">The cell is being stopped.</exception>
    public static Stretch EnterShield()
    {
        var stretch = current?.Begin(Shielded, orDoomed: false) ?? default;
        if (stretch.Of is { stopping: true })
        {
            stretch.Dispose();
            throw Stopped();
        }

        return stretch;
    }

    /// <summary>Stops the cell's code on <paramref name="thread"/> if it stands there now.</summary>
    /// <param name="thread">The thread of this place.</param>
    /// <param name="alsoShielded">Strike a shielded stretch too.</param>
    /// <param name="abort">Asks for the thread's abort; null for an interrupt of its waits alone.</param>
    /// <returns>False when the thread is in engine code: try again later.</returns>
    public bool TryStrike(Thread thread, bool alsoShielded, Action? abort)
    {
        stopping = true;
        shieldOver = alsoShielded;
        foreach (var from in alsoShielded ? [Cell, Doomed, Shielded] : new[] { Cell, Doomed })
        {
            if (Interlocked.CompareExchange(ref place, Held, from) != from)
            {
                continue;
            }

            // Ends sleeps and waits, which an abort alone does not reach on every platform.
            thread.Interrupt();
            if (from != Doomed)
            {
                abort?.Invoke();
            }

            Volatile.Write(ref place, abort is null ? from : Doomed);
            return true;
        }

        return false;
    }

    private static OperationCanceledException Stopped() => new("The cell was interrupted.");

    private static void DropInterrupt()
    {
        try
        {
            Thread.Sleep(0);
        }
        catch (ThreadInterruptedException)
        {
            // Meant for the cell's code, which this thread has left.
        }
    }

    private static void Pause()
    {
        try
        {
            Thread.Sleep(1);
        }
        catch (ThreadInterruptedException)
        {
            // The abort is what is waited for.
        }
    }

    private Stretch Begin(int to, bool orDoomed)
    {
        while (true)
        {
            var from = Volatile.Read(ref place);
            switch (from)
            {
                case Engine:
                case Shielded when to == Shielded:
                    return default;
                case Doomed when !orDoomed:
                    throw Stopped();
                case Held:
                    Thread.SpinWait(10);
                    break;
                default:
                    if (Interlocked.CompareExchange(ref place, to, from) == from)
                    {
                        return new Stretch(this, to, from);
                    }

                    break;
            }
        }
    }

    private void End(int from, int to)
    {
        // Only a shielded stretch can have been struck meanwhile: a doomed thread stays so.
        while (Interlocked.CompareExchange(ref place, to, from) is var seen && seen != from && seen != Doomed)
        {
            Thread.SpinWait(10);
        }
    }

    private bool TryLeave() => TryMove(Cell) || Volatile.Read(ref place) == Engine;

    private bool TryMove(int from) => Interlocked.CompareExchange(ref place, Engine, from) == from;

    /// <summary>A stretch of code in one place; its end leads back to where it began.</summary>
    internal readonly struct Stretch(CellPlace of, int place, int before) : IDisposable
    {
        /// <summary>The thread's place; null for a stretch that changes nothing.</summary>
        public CellPlace? Of => of;

        public void Dispose() => of?.End(place, before);
    }
}
