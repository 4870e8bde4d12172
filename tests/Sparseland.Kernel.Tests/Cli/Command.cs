using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Sparseland.Kernel.Running;

namespace Sparseland.Kernel.Tests.Cli;

/// <summary>Runs the sparseland command as a user does: as a process.</summary>
internal static class Command
{
    public static async Task<(int Code, string Out, string Error)> RunAsync(string folder, params string[] arguments)
    {
        using var process = Start(folder, arguments);
        var error = process.StandardError.ReadToEndAsync();
        var text = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, text, await error);
    }

    /// <summary>Starts a command and sends it what Ctrl+C sends, once a file is there; not for Windows, which has no such signal.</summary>
    public static Task<(int Code, string Error)> InterruptAsync(string folder, string file, params string[] arguments) =>
        InterruptAsync(folder, () => File.Exists(Path.Combine(folder, file)), arguments);

    private const int SigInt = 2;

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int process, int signal);

    /// <summary>The same once something else is so.</summary>
    public static async Task<(int Code, string Error)> InterruptAsync(string folder, Func<bool> ready, params string[] arguments)
    {
        using var process = Start(folder, arguments);
        Task<string> error = process.StandardError.ReadToEndAsync(), text = process.StandardOutput.ReadToEndAsync();

        // A thread of its own looks and signals: those of the pool may all be held by other tests until the command is done.
        Task told = Task.Factory.StartNew(() =>
        {
            while (!ready() && !process.HasExited) Thread.Sleep(2);
            if (!process.HasExited) _ = Kill(process.Id, SigInt);
        }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await told.ConfigureAwait(false);
        await process.WaitForExitAsync().ConfigureAwait(false);
        await text.ConfigureAwait(false);
        return (process.ExitCode, await error.ConfigureAwait(false));
    }

    /// <summary>
    /// Starts a command as the leader of a group of processes, as a shell does, with Ctrl+C doing what it does by default: a shell's background jobs, the tests
    /// perhaps among them, have it ignored. Linux only, for setsid and env.
    /// </summary>
    public static Process StartAlone(string folder, params string[] arguments) =>
        Process.Start(new ProcessStartInfo("setsid", ["env", "--default-signal=INT", WorkerProcess.DotnetPath(), "exec", typeof(WorkerProcess).Assembly.Location, .. arguments])
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;

    public static Process Start(string folder, params string[] arguments) => Start(folder, new Dictionary<string, string>(), arguments);

    public static Process Start(string folder, IReadOnlyDictionary<string, string> variables, params string[] arguments)
    {
        var start = new ProcessStartInfo(WorkerProcess.DotnetPath(), ["exec", typeof(WorkerProcess).Assembly.Location, .. arguments])
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in variables)
            start.Environment[name] = value;
        return Process.Start(start)!;
    }
}
