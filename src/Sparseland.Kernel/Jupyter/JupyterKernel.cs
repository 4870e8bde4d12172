using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;
using Sparseland.Kernel.Scripting;

namespace Sparseland.Kernel.Jupyter;

/// <summary>
/// A Jupyter kernel: the messaging protocol 5.3 over ZeroMQ on loopback, in front of a script engine.
/// https://jupyter-client.readthedocs.io/en/stable/messaging.html
/// </summary>
/// <remarks>
/// Four threads of its own, so that a cell which fills the thread pool cannot stop it: sockets, shell requests
/// (one after another), control requests (at any time), gathered output.
/// </remarks>
public sealed class JupyterKernel : IAsyncDisposable
{
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(1);

    private readonly KernelLog log;
    private readonly MessageCodec codec;
    private readonly KernelSockets sockets;
    private readonly OutputPublisher output;
    private readonly InputRequests input;
    private readonly RunningCell running = new();
    private readonly Task<IScriptEngine> engine;
    private readonly ShellHandler shell;
    private readonly BlockingCollection<(Channel Channel, Request Request, long Number)> shellQueue = [];
    private readonly BlockingCollection<(Channel Channel, Request Request)> controlQueue = [];
    private readonly TaskCompletionSource stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource stopping = new();
    private readonly Thread shellThread;
    private readonly Thread controlThread;
    private long received;

    private JupyterKernel(ConnectionInfo connection, Func<IScriptEngine> engineFactory, KernelLog log)
    {
        this.log = log;
        codec = new MessageCodec(connection.Key);
        sockets = new KernelSockets(connection, Receive, log);
        output = new OutputPublisher((parent, type, content) =>
            sockets.Send(Channel.IOPub, codec.Encode([Encoding.ASCII.GetBytes(type)], type, parent, content)));

        input = new InputRequests((request, content) => sockets.Send(Channel.Stdin, codec.Encode(request.Identities, "input_request", request, content)));

        // The engine warms up while the front end still introduces itself.
        engine = Task.Factory.StartNew(engineFactory, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        shell = new ShellHandler(engine, output, input, running, () => Interlocked.Read(ref received), connection, log);
        shellThread = new Thread(ShellLoop) { IsBackground = true, Name = "kernel shell" };
        controlThread = new Thread(ControlLoop) { IsBackground = true, Name = "kernel control" };
    }

    /// <summary>Runs a kernel until it is shut down, its parent process ends, or <paramref name="cancel"/> is signalled.</summary>
    /// <param name="connectionFilePath">The connection file that the front end wrote.</param>
    /// <param name="engineFactory">Makes the engine; called once, on a thread of its own, while the kernel already answers.</param>
    /// <param name="cancel">Stops the kernel.</param>
    /// <param name="logging">True writes a log to standard error; the environment variable SPARSELAND_KERNEL_LOG=1 does too.</param>
    /// <exception cref="FileNotFoundException">There is no such connection file.</exception>
    /// <exception cref="InvalidDataException">The connection file is malformed or asks for what this kernel does not do.</exception>
    /// <exception cref="IOException">A port is taken.</exception>
    public static async Task RunAsync(
        string connectionFilePath, Func<IScriptEngine> engineFactory, CancellationToken cancel = default, bool logging = false)
    {
        ArgumentNullException.ThrowIfNull(engineFactory);
        var log = KernelLog.Create(logging);
        var connection = ConnectionInfo.Load(connectionFilePath);
        await using var kernel = new JupyterKernel(connection, engineFactory, log);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal =>
        {
            signal.Cancel = true;
            log.Write("SIGINT");
            kernel.running.Interrupt();
        });
        using var cancelled = cancel.Register(() => kernel.stopped.TrySetResult());
        ParentProcess.Watch(
            Environment.GetEnvironmentVariable(ParentProcess.Variable), () => kernel.stopped.TrySetResult(), kernel.stopping.Token, log);

        kernel.Start();
        await kernel.stopped.Task.ConfigureAwait(false);
        log.Write("stopping");
    }

    /// <summary>Stops the running cell, sends what is queued and closes the sockets.</summary>
    public async ValueTask DisposeAsync()
    {
        if (stopping.IsCancellationRequested)
            return;
        await stopping.CancelAsync().ConfigureAwait(false);
        running.Close();
        shellQueue.CompleteAdding();
        controlQueue.CompleteAdding();
        var idle = shellThread.Join(StopPatience);
        output.Dispose();
        sockets.Dispose();

        // A cell that does not stop still uses its engine.
        if (idle && engine.IsCompletedSuccessfully)
            await (await engine.ConfigureAwait(false)).DisposeAsync().ConfigureAwait(false);
    }

    private void Start()
    {
        sockets.Start();
        output.Publish(null, "status", new JsonObject { ["execution_state"] = "starting" });
        shellThread.Start();
        controlThread.Start();
        log.Write("ready");
    }

    /// <summary>Takes a message from the socket thread to the thread that handles it.</summary>
    private void Receive(Channel channel, IReadOnlyList<byte[]> frames)
    {
        Request request;
        try
        {
            request = codec.Decode(frames);
        }
        catch (MalformedMessageException e)
        {
            log.Write($"dropped a message on {channel}: {e.Message}");
            return;
        }

        if (stopping.IsCancellationRequested)
            return;

        // Old clients send these two on the shell channel; behind a busy cell they would come too late.
        if (channel == Channel.Control || request.Type is "interrupt_request" or "shutdown_request")
            controlQueue.Add((channel, request));
        else if (channel == Channel.Shell)
            shellQueue.Add((channel, request, Interlocked.Increment(ref received)));
        else if (channel == Channel.Stdin && request.Type == "input_reply")
            TakeAnswer(request);
        else
            log.Write($"ignored {request.Type} on {channel}");
    }

    private void TakeAnswer(Request reply)
    {
        try
        {
            if (!input.Answer(reply))
                log.Write("input_reply: no cell waits for an answer");
        }
        catch (MalformedMessageException e)
        {
            log.Write($"dropped a message on {Channel.Stdin}: {e.Message}");
        }
    }

    private void ShellLoop()
    {
        foreach (var (channel, request, number) in shellQueue.GetConsumingEnumerable())
        {
            if (stopping.IsCancellationRequested)
                return;
            Answer(channel, request, () => shell.Handle(request, number));
        }
    }

    private void ControlLoop()
    {
        foreach (var (channel, request) in controlQueue.GetConsumingEnumerable())
        {
            Answer(channel, request, () => request.Type switch
            {
                "kernel_info_request" => new Reply(KernelInfo.Content()),
                "interrupt_request" => Interrupt(),
                "shutdown_request" => new Reply(new JsonObject { ["status"] = "ok", ["restart"] = request.Flag("restart", false) }),
                _ => null,
            });
            if (request.Type == "shutdown_request")
                stopped.TrySetResult();
        }
    }

    private Reply Interrupt()
    {
        if (!running.Interrupt())
            log.Write("interrupt: no cell is running");
        return new Reply(new JsonObject { ["status"] = "ok" });
    }

    /// <summary>Handles one request between busy and idle; whatever goes wrong is answered, never thrown.</summary>
    private void Answer(Channel channel, Request request, Func<Reply?> handle)
    {
        output.Publish(request, "status", new JsonObject { ["execution_state"] = "busy" });
        try
        {
            Reply? reply;
            try
            {
                reply = handle();
                if (reply is null)
                    log.Write($"ignored {request.Type} on {channel}");
            }
            catch (Exception e)
            {
                log.Write($"{request.Type} failed: {e}");
                reply = new Reply(ErrorContent.Of(e is MalformedMessageException ? "MalformedMessage" : e.GetType().Name, e.Message, []));
            }

            output.Flush(final: true);
            if (reply is not null)
            {
                sockets.Send(channel, codec.Encode(request.Identities, request.ReplyType, request, reply.Content, reply.Metadata));
                if (request.Type == "shutdown_request")
                    output.Publish(request, "shutdown_reply", reply.Content);
            }
        }
        finally
        {
            output.Publish(request, "status", new JsonObject { ["execution_state"] = "idle" });
        }
    }
}
