using System.Collections.Concurrent;

namespace Sparseland.Kernel.Scripting;

/// <summary>
/// Runs one cell on a thread of its own, continuations of its awaits included, so that an interrupt can stop a loop
/// wherever it stands.
/// </summary>
internal sealed class CellThread : SynchronizationContext
{
    // A matrix of the size of a cell's recursion deserves more room than the default megabyte.
    private const int StackBytes = 16 * 1024 * 1024;

    private readonly BlockingCollection<(SendOrPostCallback Callback, object? State)> queue = [];

    public override void Post(SendOrPostCallback d, object? state)
    {
        // A continuation that comes after the cell was given up has nowhere to run any more.
        if (!queue.IsAddingCompleted)
        {
            try
            {
                queue.Add((d, state));
            }
            catch (InvalidOperationException) when (queue.IsAddingCompleted)
            {
                // Completed between the check and the add: the same case.
            }
        }
    }

    public override void Send(SendOrPostCallback d, object? state) => d(state);

    /// <summary>Runs <paramref name="body"/> to its end.</summary>
    /// <returns>False when the cell could not be stopped within <paramref name="grace"/> after the cancel (it is in native code).</returns>
    /// <exception cref="OperationCanceledException">The cell was stopped.</exception>
    public static async Task<bool> RunAsync(Func<Task> body, CancellationToken cancel, TimeSpan grace)
    {
        cancel.ThrowIfCancellationRequested();
        var context = new CellThread();
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var flow = ExecutionContext.Capture();
        var thread = new Thread(
            () =>
            {
                try
                {
                    SetSynchronizationContext(context);
#pragma warning disable SYSLIB0046 // The one way to stop a managed loop that looks at no token; the engine's state is not touched on this thread.
                    System.Runtime.ControlledExecution.Run(
                        () =>
                        {
                            if (flow is null)
                            {
                                context.Pump(body, cancel);
                            }
                            else
                            {
                                ExecutionContext.Run(flow, _ => context.Pump(body, cancel), null);
                            }
                        },
                        cancel);
#pragma warning restore SYSLIB0046
                    done.TrySetResult();
                }
                catch (Exception e)
                {
                    done.TrySetException(e);
                }
            },
            StackBytes)
        {
            IsBackground = true,
            Name = "cell",
        };
        thread.Start();
        using (cancel.Register(() => _ = Task.Delay(grace).ContinueWith(_ => done.TrySetException(new StuckCellException()), TaskScheduler.Default)))
        {
            try
            {
                await done.Task.ConfigureAwait(false);
                return true;
            }
            catch (StuckCellException)
            {
                return false;
            }
            catch (Exception) when (cancel.IsCancellationRequested)
            {
                throw new OperationCanceledException(cancel);
            }
        }
    }

    private void Pump(Func<Task> body, CancellationToken cancel)
    {
        var task = body();
        _ = task.ContinueWith(_ => queue.CompleteAdding(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        foreach (var (callback, state) in queue.GetConsumingEnumerable(cancel))
        {
            callback(state);
        }

        task.GetAwaiter().GetResult();
    }

    private sealed class StuckCellException : Exception;
}
