using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Commands;

/// <summary>Turns mistakes of the user into one line and an exit code.</summary>
internal static class Guard
{
    /// <summary>All is well.</summary>
    public const int Good = 0;

    /// <summary>A notebook failed, a claim was lost, outputs are stale.</summary>
    public const int Bad = 1;

    /// <summary>The command could not do its work: a missing path, an unwritable folder.</summary>
    public const int Refused = 2;

    /// <summary>Stopped by Ctrl+C.</summary>
    public const int Stopped = 130;

    /// <summary>Environment variable: 1 shows where a fault of the program itself arose.</summary>
    public const string TraceVariable = "SPARSELAND_TRACE";

    /// <summary>Runs a command's action.</summary>
    /// <param name="command">Its name, for messages; empty for the program itself.</param>
    /// <param name="action">The action.</param>
    public static async Task<int> RunAsync(string command, Func<Task<int>> action)
    {
        if (command.Length > 0) EarlyStop.Begun();
        try
        {
            // Ctrl+C is listened to only once the action's task is there: work that keeps this thread would be killed by it.
            return await Task.Run(action).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            await SayAsync(command, "stopped; what was not finished is unchanged.").ConfigureAwait(false);
            return Stopped;
        }
        catch (UnauthorizedAccessException e)
        {
            await SayAsync(command, e.Message + HintOf(command)).ConfigureAwait(false);
            return Refused;
        }
        catch (Exception e) when (e is IOException or ArgumentException or InvalidDataException or FormatException or InvalidOperationException or NotSupportedException)
        {
            await SayAsync(command, e.Message).ConfigureAwait(false);
            return Refused;
        }
        catch (Exception e) when (e is OutOfMemoryException || e.Message.Contains("can't allocate memory", StringComparison.Ordinal))
        {
            await SayAsync(command, $"there is not enough memory for this: {OneLine(e)}.").ConfigureAwait(false);
            return Refused;
        }
        catch (Exception e)
        {
            // No mistake of the user: said as such, with its kind, and with its place where somebody looks for it.
            await SayAsync(command, $"{OneLine(e.GetBaseException())} (a {e.GetBaseException().GetType().Name}, which is no mistake of yours; {TraceVariable}=1 shows where)").ConfigureAwait(false);
            if (Environment.GetEnvironmentVariable(TraceVariable) == "1")
                await SayAsync(command, e.ToString()).ConfigureAwait(false);
            return Refused;
        }
        finally
        {
            MadeFolders.RemoveEmpty();
        }
    }

    private static async Task SayAsync(string command, string text)
    {
        try
        {
            await Console.Error.WriteLineAsync($"sparseland{(command.Length > 0 ? " " : "")}{command}: {text}").ConfigureAwait(false);
        }
        catch (IOException)
        {
            // Standard error goes to a full disk: only the exit code is left to tell.
        }
    }

    private static string HintOf(string command) => command == "kernel" ? " Choose a folder that you may write with --user or --prefix." : "";

    /// <summary>libtorch puts its own stack below its first line.</summary>
    private static string OneLine(Exception e) => e.Message.Split('\n')[0].TrimEnd('\r', '.');
}
