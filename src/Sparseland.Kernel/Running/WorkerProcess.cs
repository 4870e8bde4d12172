using System.Diagnostics;
using System.IO.Pipes;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;

namespace Sparseland.Kernel.Running;

/// <summary>A process of its own for the cells of one notebook, so that it can be ended whatever the cells do.</summary>
internal sealed class WorkerProcess : IAsyncDisposable
{
    // A crash report begins with the reason; the stack below it may be long.
    private const int MostFirstWords = 2000;
    private const int MostLastWords = 1000;

    private readonly NamedPipeServerStream pipe;
    private readonly Process process;
    private readonly StringBuilder ownWords = new();
    private readonly StreamReader reader;
    private readonly StreamWriter writer;

    private WorkerProcess(NamedPipeServerStream pipe, Process process)
    {
        this.pipe = pipe;
        this.process = process;
        reader = new StreamReader(pipe, WorkerProtocol.Encoding, false, 1 << 16, leaveOpen: true);
        writer = new StreamWriter(pipe, WorkerProtocol.Encoding, 1 << 16, leaveOpen: true);
    }

    /// <summary>The most memory the process has held so far, in bytes; 0 once it has ended.</summary>
    public long PeakMemory
    {
        get
        {
            try
            {
                process.Refresh();
                return process.PeakWorkingSet64;
            }
            catch (InvalidOperationException)
            {
                return 0;
            }
        }
    }

    /// <summary>What the process itself (not its cells) wrote, and how it ended.</summary>
    public async Task<string> PostMortemAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(5));
        await process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
        lock (ownWords)
        {
            var words = ownWords.ToString().Trim();
            return $"The process that ran the cells ended with exit code {process.ExitCode}{(words.Length > 0 ? ": " + words : ".")}";
        }
    }

    /// <summary>Starts the process and waits until it is ready.</summary>
    /// <param name="folder">Working directory of the cells.</param>
    /// <param name="variables">Environment variables beside the inherited ones.</param>
    /// <param name="cancel">Ends the start.</param>
    /// <exception cref="InvalidOperationException">The process ended before it was ready.</exception>
    public static async Task<WorkerProcess> StartAsync(string folder, IReadOnlyDictionary<string, string> variables, CancellationToken cancel)
    {
        var name = $"sparseland-{Environment.ProcessId}-{Guid.NewGuid():N}";
        var pipe = new NamedPipeServerStream(name, PipeDirection.InOut, 1, PipeTransmissionMode.Byte, PipeOptions.Asynchronous | PipeOptions.CurrentUserOnly);
        var start = new ProcessStartInfo
        {
            FileName = DotnetPath(),
            WorkingDirectory = folder,
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            CreateNoWindow = true,
            ArgumentList = { "exec", typeof(WorkerProcess).Assembly.Location, Worker.CommandName, name },
        };
        // Garbage of half a gigabyte before the first collection is no good companion of tensors on a laptop.
        if (Environment.GetEnvironmentVariable(KernelMemory.Variable) is null)
            start.Environment[KernelMemory.Variable] = KernelMemory.YoungestGeneration;
        foreach (var (key, value) in variables)
            start.Environment[key] = value;
        var process = Process.Start(start) ?? throw new InvalidOperationException($"'{start.FileName}' could not be started.");
        process.StandardInput.Close();
        var worker = new WorkerProcess(pipe, process);
        process.OutputDataReceived += worker.Keep;
        process.ErrorDataReceived += worker.Keep;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        try
        {
            using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            var connect = pipe.WaitForConnectionAsync(ended.Token);
            if (await Task.WhenAny(connect, process.WaitForExitAsync(ended.Token)).ConfigureAwait(false) != connect)
            {
                await Interruption.RuleOutAsync(cancel).ConfigureAwait(false);
                throw new InvalidOperationException(await worker.PostMortemAsync().ConfigureAwait(false));
            }

            await connect.ConfigureAwait(false);
            if (await worker.ReceiveAsync(cancel).ConfigureAwait(false) is null)
            {
                await Interruption.RuleOutAsync(cancel).ConfigureAwait(false);
                throw new InvalidOperationException(await worker.PostMortemAsync().ConfigureAwait(false));
            }

            return worker;
        }
        catch
        {
            await worker.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Sends a message; a process that is gone is noticed at the next <see cref="ReceiveAsync"/>.</summary>
    public void Send(JsonObject message)
    {
        try
        {
            WorkerProtocol.Send(writer, message);
        }
        catch (IOException) when (!pipe.IsConnected)
        {
            // The reader sees the end of the pipe and reports it with the exit code.
        }
    }

    /// <summary>The next message; null when the process is gone.</summary>
    public async Task<JsonObject?> ReceiveAsync(CancellationToken cancel)
    {
        try
        {
            return await WorkerProtocol.ReceiveAsync(reader, cancel).ConfigureAwait(false);
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <summary>Ends the process and what it started.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync().ConfigureAwait(false);
        }

        process.Dispose();
        reader.Dispose();
        await pipe.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>The dotnet command of the running runtime: the program may run as a tool, through dotnet, or inside a test host.</summary>
    internal static string DotnetPath()
    {
        var name = OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet";
        if (Environment.ProcessPath is { } path && Path.GetFileName(path).Equals(name, StringComparison.OrdinalIgnoreCase))
            return path;
        var beside = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", name));
        return File.Exists(beside) ? beside : name;
    }

    private void Keep(object sender, DataReceivedEventArgs e)
    {
        lock (ownWords)
        {
            if (e.Data is not null)
                ownWords.AppendLine(e.Data);
            if (ownWords.Length > MostFirstWords + MostLastWords)
                ownWords.Remove(MostFirstWords, ownWords.Length - MostFirstWords - MostLastWords);
        }
    }
}
