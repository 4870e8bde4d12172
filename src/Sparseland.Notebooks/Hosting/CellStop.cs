using System.ComponentModel;
using System.Runtime.CompilerServices;

namespace Sparseland.Notebooks.Hosting;

/// <summary>
/// Where a cell's own code looks whether it was interrupted. The engine writes a call of <see cref="Check"/> into every loop and
/// function of a cell: the cell then leaves in good order, on the thread pool too.
/// </summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public static class CellStop
{
    // How long work on the thread pool may take to come to its next check.
    private static readonly TimeSpan Afterwards = TimeSpan.FromSeconds(10);

    private static volatile int stops;

    /// <summary>Ends the cell's code if its cell was interrupted. Costs a read of one static field otherwise.</summary>
    /// <exception cref="OperationCanceledException">The cell was interrupted.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Check()
    {
        if (stops != 0)
        {
            Look();
        }
    }

    /// <summary>Makes the checks look closer for a while.</summary>
    internal static void Begin()
    {
        Interlocked.Increment(ref stops);
        _ = Task.Delay(Afterwards).ContinueWith(_ => Interlocked.Decrement(ref stops), TaskScheduler.Default);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Look()
    {
        if (NotebookHost.Current is { CellCancelled.IsCancellationRequested: true } && !CellPlace.IsShielded)
        {
            throw new OperationCanceledException("The cell was interrupted.");
        }
    }
}
