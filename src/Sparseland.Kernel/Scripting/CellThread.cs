using System.Collections.Concurrent;
using System.Diagnostics;
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
/// <remarks>
/// A stop strikes a thread only while it is in the cell's own code (<see cref="CellPlace"/>). What the engine shares between
/// threads is free of locks all the same: a cell may interrupt its threads itself. Work that the cell gave to the thread pool
/// (Task.Run, ConfigureAwait(false)) runs on threads that everybody uses, which nothing may strike: it ends when it writes
/// something or looks at the cell's token.
/// </remarks>
internal sealed class CellThread : SynchronizationContext
{
    // Recursive student code deserves more room than the default megabyte and a half.
    private const int StackBytes = 16 * 1024 * 1024;

    // How long a cell may take to leave by itself (a check, a token, a throwing write, an interrupted sleep) before it is
    // aborted. An abort can strike between a lock's taking and its protection, and inside the runtime it can end the process:
    // it is for loops of libraries that look at nothing.
    private static readonly TimeSpan Politeness = TimeSpan.FromSeconds(1);

    // A formatter that never ends is stopped all the same.
    private static readonly TimeSpan ShieldLimit = TimeSpan.FromMilliseconds(500);

    // A thread that waits again, in a finally block say, is interrupted again.
    private static readonly TimeSpan StrikeAgain = TimeSpan.FromMilliseconds(250);

    private readonly ConcurrentQueue<(SendOrPostCallback Callback, object? State)> queue = new();
    private readonly ConcurrentQueue<Worker> workers = new();
    private readonly Semaphore wake = new(0, int.MaxValue);
    private readonly TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource idleAfterStop = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Action<Exception> stray;
    private volatile bool ended;
    private volatile bool stopped;
    private int idle;
    private int coming;
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
            run.ended = true;
            run.WakeAll();
            await run.done.Task.ConfigureAwait(false);
            return CellEnd.Finished;
        }

        // A thread of its own: the pool may be full of the cell's work.
        new Thread(run.Stop) { IsBackground = true, Name = "cell stop" }.UnsafeStart();
        await Task.WhenAny(run.idleAfterStop.Task, Task.Delay(Politeness + grace, CancellationToken.None)).ConfigureAwait(false);

        // Not by which came first: where the pool is full, the news of both wait there, and the later one may overtake.
        return run.idleAfterStop.Task.IsCompleted ? CellEnd.Stopped : CellEnd.Stuck;
    }

    public override SynchronizationContext CreateCopy() => this;

    public override void Send(SendOrPostCallback d, object? state) => d(state);

    public override void Post(SendOrPostCallback d, object? state)
    {
        if (stopped)
        {
            // What a stopped cell still awaited must not come back to life.
            return;
        }

        using (CellPlace.EnterAlways())
        {
            if (ended)
            {
                // Background work of a finished cell goes on, on the pool as everywhere in .NET.
                ThreadPool.UnsafeQueueUserWorkItem(_ => Invoke(d, state), null);
                return;
            }

            queue.Enqueue((d, state));

            // A thread that is busy does not count: it may wait for just this item. One that is on its way does.
            if (Volatile.Read(ref coming) < queue.Count)
            {
                Summon();
            }
        }
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
                    using (CellPlace.EnterAlways())
                    {
                        if (t.Exception is { } e)
                        {
                            done.TrySetException(e.InnerExceptions);
                        }
                        else
                        {
                            done.TrySetResult();
                        }
                    }
                },
                CancellationToken.None,
                TaskContinuationOptions.ExecuteSynchronously,
                TaskScheduler.Default);
        }
    }

    private void Summon()
    {
        Interlocked.Increment(ref coming);
        if (TryTakeIdle())
        {
            wake.Release();
            return;
        }

        var worker = new Worker();
        workers.Enqueue(worker);
        Interlocked.Increment(ref alive);
        worker.Thread = new Thread(() => Work(worker), StackBytes) { IsBackground = true, Name = "cell" };
        worker.Thread.UnsafeStart();
    }

    private void Work(Worker worker)
    {
        worker.Place.Own();
        Interlocked.Decrement(ref coming);
        while (TryTake(out var item))
        {
            try
            {
#pragma warning disable SYSLIB0046 // The one way to stop a managed loop that looks at no token. The engine's own state is not touched inside.
                System.Runtime.ControlledExecution.Run(() => worker.Place.RunCell(() => Call(item.Callback, item.State)), worker.Abort.Token);
#pragma warning restore SYSLIB0046
            }
            catch (Exception e)
            {
                Tell(e);
            }
        }

        if (Interlocked.Decrement(ref alive) == 0 && stopped)
        {
            idleAfterStop.TrySetResult();
        }
    }

    private void Invoke(SendOrPostCallback callback, object? state)
    {
        try
        {
            Call(callback, state);
        }
        catch (Exception e)
        {
            Tell(e);
        }
    }

    private void Call(SendOrPostCallback callback, object? state)
    {
        var before = Current;
        SetSynchronizationContext(this);
        try
        {
            callback(state);
        }
        finally
        {
            SetSynchronizationContext(before);
        }
    }

    // An async void method: nobody awaits it, and an exception that leaves the thread would end the process.
    private void Tell(Exception e)
    {
        if (stopped)
        {
            // The stop itself, or what came of it.
            return;
        }

        try
        {
            stray(e);
        }
        catch (Exception told)
        {
            // The receiver of the cell's output is gone: the process's own stream is what is left.
            CellConsole.WriteToProcess($"{e}\n{told}\n");
        }
    }

    private bool TryTake(out (SendOrPostCallback Callback, object? State) item)
    {
        while (!stopped)
        {
            if (queue.TryDequeue(out item))
            {
                return true;
            }

            // Whoever takes this thread from the idle ones also wakes it.
            Interlocked.Increment(ref idle);
            if ((ended || stopped) && TryTakeIdle())
            {
                break;
            }

            WaitForWake();
            Interlocked.Decrement(ref coming);
        }

        item = default;
        return false;
    }

    private void WaitForWake()
    {
        while (true)
        {
            try
            {
                wake.WaitOne();
                return;
            }
            catch (ThreadInterruptedException)
            {
                // The cell interrupted its own thread, after its code had left it.
            }
        }
    }

    private bool TryTakeIdle()
    {
        while (Volatile.Read(ref idle) is > 0 and var seen)
        {
            if (Interlocked.CompareExchange(ref idle, seen - 1, seen) == seen)
            {
                return true;
            }
        }

        return false;
    }

    private void WakeAll()
    {
        // After the flag that tells them why.
        Interlocked.MemoryBarrier();
        while (TryTakeIdle())
        {
            Interlocked.Increment(ref coming);
            wake.Release();
        }
    }

    private void Stop()
    {
        stopped = true;
        queue.Clear();
        WakeAll();
        var watch = Stopwatch.StartNew();
        while (Volatile.Read(ref alive) > 0)
        {
            foreach (var worker in workers)
            {
                Strike(worker, watch.Elapsed);
            }

            Thread.Sleep(watch.Elapsed < TimeSpan.FromSeconds(2) ? 4 : 50);
        }

        idleAfterStop.TrySetResult();
    }

    private static void Strike(Worker worker, TimeSpan elapsed)
    {
        // Set before the thread starts; the thread may not have been made yet.
        if (worker.Thread is not { } thread || elapsed < worker.Next)
        {
            return;
        }

        var abort = elapsed >= Politeness;
        if (worker.Place.TryStrike(thread, alsoShielded: elapsed >= ShieldLimit, abort ? worker.AskForAbort : null))
        {
            worker.Next = elapsed + StrikeAgain;
        }
    }

    /// <summary>A thread of the cell and what stops it.</summary>
    private sealed class Worker
    {
        public CellPlace Place { get; } = new();

        public CancellationTokenSource Abort { get; } = new();

        public Thread? Thread { get; set; }

        /// <summary>When to strike next, counted from the stop.</summary>
        public TimeSpan Next { get; set; }

        // Cancel blocks while its thread is in native code: one such thread must not keep the others running.
        public void AskForAbort() => new Thread(Abort.Cancel) { IsBackground = true, Name = "cell abort" }.UnsafeStart();
    }
}
