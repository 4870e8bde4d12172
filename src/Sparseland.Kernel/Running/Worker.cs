using System.Diagnostics;
using System.IO.Pipes;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Sparseland.Kernel.Scripting;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Running;

/// <summary>The other side of <see cref="WorkerProcess"/>: runs the cells of one notebook in a process of its own.</summary>
internal static class Worker
{
    /// <summary>Name of the hidden command that starts a worker.</summary>
    public const string CommandName = "run-cells";

    /// <summary>Runs the cells that come over the pipe until it closes.</summary>
    /// <param name="pipeName">Name of the runner's pipe.</param>
    public static async Task<int> RunAsync(string pipeName)
    {
        // Ctrl+C reaches this process too; the runner ends it, once it has decided what becomes of the outputs.
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, static signal => signal.Cancel = true);
        using var pipe = new NamedPipeClientStream(".", pipeName, PipeDirection.InOut, PipeOptions.Asynchronous | PipeOptions.CurrentUserOnly);
        await pipe.ConnectAsync(30_000).ConfigureAwait(false);
        using var reader = new StreamReader(pipe, WorkerProtocol.Encoding, false, 1 << 16, leaveOpen: true);
        using var writer = new StreamWriter(pipe, WorkerProtocol.Encoding, 1 << 16, leaveOpen: true) { AutoFlush = false };

        await using var engine = new ScriptEngine(new ScriptEngineOptions { WorkingDirectory = Environment.CurrentDirectory });
        CancellationTokenSource? running = null;
        WorkerProtocol.Send(writer, new JsonObject { ["kind"] = WorkerProtocol.Ready });
        while (await WorkerProtocol.ReceiveAsync(reader).ConfigureAwait(false) is { } message)
        {
            switch ((string?)message["kind"])
            {
                case WorkerProtocol.Cell:
                    running = new CancellationTokenSource();
                    _ = ExecuteAsync((string)message["code"]!, new PipeOutput(writer, (int)message["number"]!), running.Token);
                    break;
                case WorkerProtocol.Interrupt when running is not null:
                    await running.CancelAsync().ConfigureAwait(false);
                    break;
            }
        }

        // Threads that a cell left behind must not keep the process.
        Environment.Exit(0);
        return 0;

        async Task ExecuteAsync(string code, PipeOutput output, CancellationToken cancel)
        {
            CellResult result;
            try
            {
                result = await Task.Run(() => engine.ExecuteAsync(code, output, cancel), CancellationToken.None).ConfigureAwait(false);
            }
            catch (Exception e)
            {
                // A fault of the engine: whoever runs the notebook must hear of it, or would wait until the time limit.
                result = new CellResult(CellStatus.Error, new CellError("EngineError", e.Message, e.ToString().Split('\n')), TimeSpan.Zero);
            }

            using var process = Process.GetCurrentProcess();
            WorkerProtocol.Send(writer, new JsonObject
            {
                ["kind"] = WorkerProtocol.Done,
                ["status"] = result.Status.ToString(),
                ["name"] = result.Error?.Name,
                ["message"] = result.Error?.Message,
                ["traceback"] = result.Error is { } error ? new JsonArray([.. error.Traceback.Select(l => (JsonNode)l)]) : null,
                ["peak"] = process.PeakWorkingSet64,
            });
        }
    }

    /// <summary>Output of one cell, with its number: background work of an earlier one may write at any time.</summary>
    private sealed class PipeOutput(StreamWriter writer, int number) : ICellOutput
    {
        public void Stream(string name, string text) => Send(new JsonObject { ["kind"] = WorkerProtocol.Stream, ["name"] = name, ["text"] = text });

        public void Display(MimeBundle bundle, string displayId) => Send(WorkerProtocol.Of(WorkerProtocol.Display, bundle, displayId));

        public void Update(MimeBundle bundle, string displayId) => Send(WorkerProtocol.Of(WorkerProtocol.Update, bundle, displayId));

        public void Result(MimeBundle bundle) => Send(WorkerProtocol.Of(WorkerProtocol.Result, bundle));

        private void Send(JsonObject message)
        {
            message["number"] = number;
            WorkerProtocol.Send(writer, message);
        }
    }
}
