using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using NetMQ;
using NetMQ.Sockets;

namespace Sparseland.Kernel.Tests.Jupyter;

/// <summary>A message as a front end sees it.</summary>
internal sealed record Received(JsonObject Header, JsonObject Parent, JsonObject Content)
{
    public string Type => (string)Header["msg_type"]!;

    public string? ParentId => (string?)Parent["msg_id"];
}

/// <summary>A small front end with its own writing of the wire format, so that it does not share a mistake with the kernel.</summary>
internal sealed class KernelClient : IDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private const string Key = "a key ü";
    private readonly string session = Guid.NewGuid().ToString();
    private readonly DealerSocket shell = new();
    private readonly DealerSocket control = new();
    private readonly DealerSocket stdin = new();
    private readonly RequestSocket heartbeat = new();
    private readonly SubscriberSocket iopub = new();

    public KernelClient(string ip = "127.0.0.1")
    {
        var ports = FreePorts(5);
        Folder = Directory.CreateTempSubdirectory("kernel test ü ");
        ConnectionFile = Path.Combine(Folder.FullName, "connection file.json");
        File.WriteAllText(ConnectionFile, new JsonObject
        {
            ["shell_port"] = ports[0], ["control_port"] = ports[1], ["iopub_port"] = ports[2], ["stdin_port"] = ports[3], ["hb_port"] = ports[4],
            ["ip"] = ip, ["transport"] = "tcp", ["key"] = Key, ["signature_scheme"] = "hmac-sha256", ["kernel_name"] = "test",
        }.ToJsonString());
        NetMQSocket[] sockets = [shell, control, iopub, stdin, heartbeat];
        // Shell and stdin of one client share their routing identity: it is how the kernel finds the way back.
        shell.Options.Identity = stdin.Options.Identity = Guid.NewGuid().ToByteArray();
        for (var i = 0; i < sockets.Length; i++)
        {
            sockets[i].Options.ReceiveHighWatermark = 0;
            sockets[i].Options.Linger = TimeSpan.Zero;
            sockets[i].Connect($"tcp://127.0.0.1:{ports[i]}");
        }

        iopub.SubscribeToAnyTopic();
    }

    public DirectoryInfo Folder { get; }

    public string ConnectionFile { get; }

    /// <summary>Sends requests until the broadcast socket is connected too, as Jupyter's own client does.</summary>
    public Received WaitUntilReady()
    {
        var watch = Stopwatch.StartNew();
        while (watch.Elapsed < Patience)
        {
            var id = Send("kernel_info_request", []);
            var reply = Reply(id);
            if (Broadcast(TimeSpan.FromMilliseconds(200)) is not null)
            {
                while (Broadcast(TimeSpan.FromMilliseconds(100)) is not null)
                    continue;
                return reply;
            }
        }

        throw new TimeoutException("the kernel did not become ready");
    }

    public string Send(string type, JsonObject content, byte[]? signature = null, bool onControl = false)
    {
        var id = Guid.NewGuid().ToString();
        SendFrames(Frames(type, id, content, signature), onControl);
        return id;
    }

    public List<byte[]> Frames(string type, string id, JsonObject content, byte[]? signature = null)
    {
        var header = new JsonObject
        {
            ["msg_id"] = id, ["session"] = session, ["username"] = "tester", ["date"] = "2026-01-01T00:00:00.000000Z", ["msg_type"] = type, ["version"] = "5.3",
        };
        byte[][] parts = [Utf8(header), "{}"u8.ToArray(), "{}"u8.ToArray(), Utf8(content)];
        return ["<IDS|MSG>"u8.ToArray(), signature ?? Sign(parts), .. parts];
    }

    public void SendFrames(IEnumerable<byte[]> frames, bool onControl = false) => (onControl ? control : shell).SendMultipartBytes(frames);

    public string Execute(string code, bool silent = false, bool stopOnError = true, bool storeHistory = true, JsonObject? expressions = null, bool allowStdin = false) =>
        Send("execute_request", new JsonObject
        {
            ["code"] = code, ["silent"] = silent, ["store_history"] = storeHistory, ["user_expressions"] = expressions ?? [], ["allow_stdin"] = allowStdin, ["stop_on_error"] = stopOnError,
        });

    /// <summary>The answer to a request, with the order and signature of its frames checked.</summary>
    public Received Reply(string id, bool onControl = false)
    {
        var message = Receive(onControl ? control : shell, Patience) ?? throw new TimeoutException("no reply");
        Assert.Equal(id, message.ParentId);
        return message;
    }

    /// <summary>The question of a running cell.</summary>
    public Received Question() => Receive(stdin, Patience) ?? throw new TimeoutException("no input_request");

    public void Answer(string value) => stdin.SendMultipartBytes(Frames("input_reply", Guid.NewGuid().ToString(), new JsonObject { ["value"] = value }));

    public Received? Broadcast(TimeSpan patience) => Receive(iopub, patience);

    /// <summary>All broadcasts up to the idle status of a request.</summary>
    public List<Received> BroadcastsOf(string id)
    {
        var found = new List<Received>();
        while (true)
        {
            var message = Broadcast(Patience) ?? throw new TimeoutException($"no idle status; got {string.Join(", ", found.Select(m => m.Type))}");
            if (message.ParentId != id)
                continue;
            found.Add(message);
            if (message.Type == "status" && (string?)message.Content["execution_state"] == "idle")
                return found;
        }
    }

    /// <summary>Runs a cell and gives its reply and its broadcasts without busy and idle.</summary>
    public (Received Reply, List<Received> Output) Run(string code)
    {
        var id = Execute(code);
        var reply = Reply(id);
        return (reply, [.. BroadcastsOf(id).Where(m => m.Type is not ("status" or "execute_input"))]);
    }

    public bool HeartBeats()
    {
        heartbeat.SendFrame("ping");
        return heartbeat.TryReceiveFrameString(Patience, out var answer) && answer == "ping";
    }

    public void Dispose()
    {
        foreach (var socket in new NetMQSocket[] { shell, control, iopub, stdin, heartbeat })
            socket.Dispose();
        Folder.Delete(recursive: true);
    }

    private static Received? Receive(NetMQSocket socket, TimeSpan patience)
    {
        var frames = new List<byte[]>();
        if (!socket.TryReceiveMultipartBytes(patience, ref frames!))
            return null;
        var delimiter = frames.FindIndex(f => f.AsSpan().SequenceEqual("<IDS|MSG>"u8));
        Assert.True(delimiter >= 0, "no delimiter");
        Assert.Equal(delimiter + 6, frames.Count);
        Assert.Equal(Sign([.. frames.Skip(delimiter + 2)]), frames[delimiter + 1]);
        return new Received(Json(frames[delimiter + 2]), Json(frames[delimiter + 3]), Json(frames[delimiter + 5]));
    }

    private static byte[] Sign(byte[][] parts) =>
        Encoding.ASCII.GetBytes(Convert.ToHexString(HMACSHA256.HashData(Encoding.UTF8.GetBytes(Key), parts.SelectMany(p => p).ToArray())).ToLowerInvariant());

    private static byte[] Utf8(JsonObject node) => Encoding.UTF8.GetBytes(node.ToJsonString());

    private static JsonObject Json(byte[] bytes) => JsonNode.Parse(bytes)!.AsObject();

    private static int[] FreePorts(int count)
    {
        var listeners = Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0)).ToList();
        listeners.ForEach(l => l.Start());
        var ports = listeners.Select(l => ((IPEndPoint)l.LocalEndpoint).Port).ToArray();
        listeners.ForEach(l => l.Stop());
        return ports;
    }
}
