using NetMQ;
using NetMQ.Sockets;

namespace Sparseland.Kernel.Jupyter;

/// <summary>Where a message came from and its answer goes.</summary>
internal enum Channel
{
    Shell,
    Control,
    IOPub,
    Stdin,
}

/// <summary>
/// The five sockets of a kernel on one thread of their own. What comes in is handed to a callback on that
/// thread; what goes out may be sent from any thread.
/// </summary>
internal sealed class KernelSockets : IDisposable
{
    private readonly RouterSocket shell = new();
    private readonly RouterSocket control = new();
    private readonly RouterSocket stdin = new();
    private readonly RouterSocket heartbeat = new();
    private readonly PublisherSocket iopub = new();
    private readonly NetMQQueue<(Channel Channel, IReadOnlyList<byte[]> Frames)> outgoing = new();
    private readonly NetMQPoller poller = [];
    private readonly Action<Channel, IReadOnlyList<byte[]>> received;
    private readonly KernelLog log;

    /// <summary>Binds the sockets; nothing is received before <see cref="Start"/>.</summary>
    /// <exception cref="IOException">A port is taken.</exception>
    public KernelSockets(ConnectionInfo connection, Action<Channel, IReadOnlyList<byte[]>> received, KernelLog log)
    {
        this.received = received;
        this.log = log;
        try
        {
            Bind(shell, connection, connection.ShellPort, "shell");
            Bind(control, connection, connection.ControlPort, "control");
            Bind(stdin, connection, connection.StdinPort, "stdin");
            Bind(heartbeat, connection, connection.HeartbeatPort, "heartbeat");
            Bind(iopub, connection, connection.IOPubPort, "iopub");
        }
        catch
        {
            DisposeSockets();
            throw;
        }

        Receive(shell, frames => received(Channel.Shell, frames));
        Receive(control, frames => received(Channel.Control, frames));
        Receive(stdin, frames => received(Channel.Stdin, frames));
        Receive(heartbeat, frames => Send(heartbeat, frames));
        outgoing.ReceiveReady += (_, _) => SendQueued();
        poller.Add(outgoing);
    }

    public void Start() => poller.RunAsync("kernel sockets");

    /// <summary>Queues a message for sending; messages of all channels leave in the order of the calls.</summary>
    public void Send(Channel channel, IReadOnlyList<byte[]> frames) => outgoing.Enqueue((channel, frames));

    /// <summary>Sends what is queued and closes the sockets.</summary>
    public void Dispose()
    {
        if (poller.IsRunning)
            poller.Stop();
        SendQueued();
        DisposeSockets();
    }

    private static void Bind(NetMQSocket socket, ConnectionInfo connection, int port, string name)
    {
        // Without a limit on the queue nothing is dropped; how fast a cell may fill it is the publisher's business.
        socket.Options.SendHighWatermark = 0;
        socket.Options.ReceiveHighWatermark = 0;
        socket.Options.IPv4Only = connection.Address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork;
        socket.Options.Linger = TimeSpan.FromMilliseconds(500);
        try
        {
            socket.Bind(connection.Endpoint(port));
        }
        catch (NetMQException e)
        {
            throw new IOException($"The {name} port {connection.Address}:{port} of the connection file cannot be opened: {e.Message}", e);
        }
    }

    private void Receive(NetMQSocket socket, Action<IReadOnlyList<byte[]>> handle)
    {
        socket.ReceiveReady += (_, _) =>
        {
            var frames = new List<byte[]>();
            try
            {
                while (socket.TryReceiveMultipartBytes(ref frames!))
                    handle(frames);
            }
            catch (Exception e)
            {
                // One bad message must not end the thread that serves all others.
                log.Write($"a message could not be handled: {e}");
            }
        };
        poller.Add(socket);
    }

    private void SendQueued()
    {
        while (outgoing.TryDequeue(out var message, TimeSpan.Zero))
        {
            NetMQSocket socket = message.Channel switch
            {
                Channel.Shell => shell,
                Channel.Control => control,
                Channel.Stdin => stdin,
                _ => iopub,
            };
            Send(socket, message.Frames);
        }
    }

    private void Send(NetMQSocket socket, IReadOnlyList<byte[]> frames)
    {
        try
        {
            socket.SendMultipartBytes(frames);
        }
        catch (NetMQException e)
        {
            log.Write($"a message could not be sent: {e.Message}");
        }
    }

    private void DisposeSockets()
    {
        poller.Dispose();
        foreach (var socket in new NetMQSocket[] { shell, control, stdin, heartbeat, iopub })
            socket.Dispose();
        outgoing.Dispose();
    }
}
