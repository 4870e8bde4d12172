using System.ComponentModel;
using System.Diagnostics;
using System.Text.RegularExpressions;

namespace Sparseland.IO;

/// <summary>
/// <c>dotnet restore</c> of a temporary project: the user's feeds, credentials and package cache are used as they are.
/// </summary>
internal static partial class SdkRestore
{
    // A process that is killed is usually gone within a few milliseconds; on a busy machine it may take half a second.
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(50);

    // How long a signal that has ended the process may take to reach this one.
    private static readonly TimeSpan s_signal = TimeSpan.FromMilliseconds(300);

    /// <summary>Makes the project's folder, whose empty files keep the settings of outer folders out of it.</summary>
    /// <returns>The project's file.</returns>
    public static string Prepare(string folder, string name, string project)
    {
        Directory.CreateDirectory(folder);
        foreach (string settings in new[] { "Directory.Build.props", "Directory.Build.targets", "Directory.Packages.props" }) File.WriteAllText(Path.Combine(folder, settings), "<Project />");
        string file = Path.Combine(folder, name);
        File.WriteAllText(file, project);
        return file;
    }

    /// <summary>Restores a project.</summary>
    /// <param name="project">Its file.</param>
    /// <param name="environment">Further variables of the process.</param>
    /// <param name="cancel">Ends the call at once, and the process.</param>
    /// <param name="cancelled">Called when a cancelled process is gone, perhaps after this call has ended; must not throw.</param>
    /// <param name="dotnet">The program; null for the SDK's.</param>
    /// <returns>The process's exit code and all that it wrote.</returns>
    /// <exception cref="Win32Exception">The .NET SDK could not be started.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static async Task<(int ExitCode, string Log)> RunAsync(string project, IReadOnlyDictionary<string, string> environment, CancellationToken cancel, Action? cancelled = null, string? dotnet = null)
    {
        dotnet ??= Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } host ? host : "dotnet";
        var start = new ProcessStartInfo(dotnet, ["restore", project, "--verbosity", "quiet", "--nologo"])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Path.GetDirectoryName(project)!,
        };
        start.Environment["DOTNET_CLI_UI_LANGUAGE"] = "en";
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        foreach ((string name, string value) in environment) start.Environment[name] = value;
        var process = new Process { StartInfo = start };
        process.Start();
        Task<string> output = process.StandardOutput.ReadToEndAsync(CancellationToken.None), error = process.StandardError.ReadToEndAsync(CancellationToken.None);
        await EndsAsync(process.WaitForExitAsync(CancellationToken.None), End, cancel).ConfigureAwait(false);
        using (process)
        {
            int code = process.ExitCode;
            if (code != 0) await RuleOutAsync(cancel, cancelled).ConfigureAwait(false);
            return (code, await output.ConfigureAwait(false) + await error.ConfigureAwait(false));
        }

        void End()
        {
            using (process)
            {
                try
                {
                    process.Kill(entireProcessTree: true);
                }
                catch (AggregateException)
                {
                    // One of its children could not be ended; it has been told, and this one is gone.
                }

                process.WaitForExit();
            }

            cancelled?.Invoke();
        }
    }

    /// <summary>The error lines of a log, without the project's path.</summary>
    public static string[] Errors(string log) => [.. ErrorLine().Matches(log).Select(match => match.Groups[1].Value.Trim()).Distinct()];

    /// <summary>Waits for something, or ends at once when it is cancelled: what ends it then may take its time on a thread of its own.</summary>
    /// <param name="ended">Is done when it has ended.</param>
    /// <param name="end">Ends it and waits until it has ended.</param>
    /// <param name="cancel">Cancels.</param>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    internal static async Task EndsAsync(Task ended, Action end, CancellationToken cancel)
    {
        try
        {
            await ended.WaitAsync(cancel).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // A foreground thread, so that a program that ends now leaves nothing running and nothing half there.
            var thread = new Thread(() => end()) { Name = "end of a cancelled restore" };
            thread.Start();
            thread.Join(s_patience);
            throw;
        }
    }

    /// <summary>Ctrl+C in a terminal ends the process as well, perhaps before this one hears of it.</summary>
    private static async Task RuleOutAsync(CancellationToken cancel, Action? cancelled)
    {
        try
        {
            await Task.Delay(s_signal, cancel).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            cancelled?.Invoke();
            throw;
        }
    }

    [GeneratedRegex(@"error ((?:NU|MSB|NETSDK)\d+: [^\[\r\n]*)")]
    private static partial Regex ErrorLine();
}
