using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Scripting;

/// <summary>How a cell's code left its threads.</summary>
internal enum CellEnd
{
    /// <summary>It ran to its end or threw.</summary>
    Finished,

    /// <summary>It was stopped.</summary>
    Stopped,

    /// <summary>It was asked to stop but sits in native code, which nothing can end.</summary>
    Stuck,
}

/// <summary>
/// Runs one cell on threads of its own, continuations of its awaits included, so that an interrupt can stop a loop wherever
/// it stands. Continuations take any free thread of the cell, not one certain thread: <c>SomethingAsync().Result</c>
/// inside a cell would otherwise wait for itself.
/// </summary>
internal sealed class CellThread : SynchronizationContext
{
    // Recursive student code deserves more room than the default megabyte and a half.
    private const int StackBytes = 16 * 1024 * 1024;

    // How long a cell may take to leave by itself (a token, a throwing write, an interrupted sleep) before it is aborted.
    // An abort can strike between a lock's taking and its protection; what leaves by itself releases its locks.
    private static readonly TimeSpan Politeness = TimeSpan.FromMilliseconds(40);

    private static readonly TimeSpan ShieldLimit = TimeSpan.FromMilliseconds(500);

    private readonly object gate = new();
    private readonly Queue<(SendOrPostCallback Callback, object? State)> queue = new();
    private readonly List<(Thread Thread, CancellationTokenSource Stop, AbortShield Shield)> threads = [];
    private readonly TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource idleAfterStop = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Action<Exception> stray;
    private int waiting;
    private bool ended;
    private volatile bool stopped;
    private int alive;

    private CellThread(Action<Exception> stray) => this.stray = stray;

    /// <summary>Runs <paramref name="body"/> to its end.</summary>
    /// <param name="body">The cell; its exceptions are thrown here unless it was stopped.</param>
    /// <param name="stray">Takes exceptions that nobody awaits (async void), now or after the cell's end.</param>
    /// <param name="grace">How long a stopped cell may take to leave native code.</param>
    /// <param name="cancel">Stops the cell.</param>
    public static async Task<CellEnd> RunAsync(Func<Task> body, Action<Exception> stray, TimeSpan grace, CancellationToken cancel)
    {
        if (cancel.IsCancellationRequested)
        {
            return CellEnd.Stopped;
        }

        var run = new CellThread(stray);
        var flow = ExecutionContext.Capture();
        run.Post(_ => run.Begin(body, flow), null);
        var interrupted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using (cancel.Register(interrupted.SetResult))
        {
            await Task.WhenAny(run.done.Task, interrupted.Task).ConfigureAwait(false);
        }

        if (!cancel.IsCancellationRequested)
        {
            run.End();
            await run.done.Task.ConfigureAwait(false);
            return CellEnd.Finished;
        }

        run.Ask();
        await Task.WhenAny(run.idleAfterStop.Task, Task.Delay(Politeness, CancellationToken.None)).ConfigureAwait(false);
        run.Abort();
        var left = await Task.WhenAny(run.idleAfterStop.Task, Task.Delay(grace, CancellationToken.None)).ConfigureAwait(false);
        return left == run.idleAfterStop.Task ? CellEnd.Stopped : CellEnd.Stuck;
    }

    public override SynchronizationContext CreateCopy() => this;

    public override void Send(SendOrPostCallback d, object? state) => d(state);

    public override void Post(SendOrPostCallback d, object? state)
    {
        lock (gate)
        {
            if (stopped)
            {
                // What a stopped cell still awaited must not come back to life.
                return;
            }

            if (!ended)
            {
                queue.Enqueue((d, state));
                if (waiting >= queue.Count)
                {
                    Monitor.Pulse(gate);
                }
                else
                {
                    StartThread();
                }

                return;
            }
        }

        // Background work of a finished cell goes on, on the pool as everywhere in .NET.
        ThreadPool.UnsafeQueueUserWorkItem(_ => Invoke(d, state), null);
    }

    private void Begin(Func<Task> body, ExecutionContext? flow)
    {
        if (flow is null)
        {
            Start();
        }
        else
        {
            ExecutionContext.Run(flow, _ => Start(), null);
        }

        void Start()
        {
            // Never awaited under this context: the end of the cell must not need a thread of the cell.
            _ = body().ContinueWith(
                t =>
                {
                    if (t.Exception is { } e)
                    {
                        done.TrySetException(e.InnerExceptions);
                    }
                    else
                    {
                        done.TrySetResult();
                    }
                },
                CancellationToken.None,
                TaskContinuationOptions.ExecuteSynchronously,
                TaskScheduler.Default);
        }
    }

    private void Invoke(SendOrPostCallback callback, object? state)
    {
        var before = Current;
        SetSynchronizationContext(this);
        try
        {
            callback(state);
        }
        catch (Exception e) when (!stopped)
        {
            // An async void method: nobody awaits it, and an exception that leaves the thread would end the process.
            stray(e);
        }
        finally
        {
            SetSynchronizationContext(before);
        }
    }

    // Called under the gate.
    private void StartThread()
    {
        var stop = new CancellationTokenSource();
        var shield = new AbortShield();
        var thread = new Thread(() => Work(stop, shield), StackBytes) { IsBackground = true, Name = "cell" };
        threads.RemoveAll(t => !t.Thread.IsAlive);
        threads.Add((thread, stop, shield));
        Interlocked.Increment(ref alive);
        thread.UnsafeStart();
    }

    private void Work(CancellationTokenSource stop, AbortShield shield)
    {
        shield.Own();
        try
        {
#pragma warning disable SYSLIB0046 // The one way to stop a managed loop that looks at no token. The engine's own state is not touched on this thread.
            System.Runtime.ControlledExecution.Run(
                () =>
                {
                    while (Take() is { } item)
                    {
                        Invoke(item.Callback, item.State);
                    }
                },
                stop.Token);
#pragma warning restore SYSLIB0046
        }
        catch (Exception e) when (stopped && e is OperationCanceledException or ThreadInterruptedException or ThreadAbortException)
        {
            // Stopped, as asked.
        }

        // No lock here: a pending interrupt of the thread would strike in it.
        if (Interlocked.Decrement(ref alive) == 0 && stopped)
        {
            idleAfterStop.TrySetResult();
        }
    }

    private (SendOrPostCallback Callback, object? State)? Take()
    {
        lock (gate)
        {
            while (queue.Count == 0 && !ended && !stopped)
            {
                waiting++;
                try
                {
                    Monitor.Wait(gate);
                }
                finally
                {
                    waiting--;
                }
            }

            return stopped || queue.Count == 0 ? null : queue.Dequeue();
        }
    }

    private void End()
    {
        lock (gate)
        {
            ended = true;
            Monitor.PulseAll(gate);
        }
    }

    private void Ask()
    {
        lock (gate)
        {
            stopped = true;
            queue.Clear();
            Monitor.PulseAll(gate);
            if (Volatile.Read(ref alive) == 0)
            {
                idleAfterStop.TrySetResult();
            }

            foreach (var (thread, _, _) in threads)
            {
                // Ends sleeps and waits, which an abort alone does not reach on every platform.
                thread.Interrupt();
            }
        }
    }

    private void Abort()
    {
        lock (gate)
        {
            foreach (var (_, stop, shield) in threads.Where(t => t.Thread.IsAlive))
            {
                // Cancel blocks while its thread is in native code: one such thread must not keep the others running.
                void Cancel() => Task.Factory.StartNew(stop.Cancel, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
                shield.WhenOpen(Cancel);

                // A formatter that never ends is aborted all the same.
                _ = Task.Delay(ShieldLimit).ContinueWith(_ => Cancel(), TaskScheduler.Default);
            }
        }
    }
}
