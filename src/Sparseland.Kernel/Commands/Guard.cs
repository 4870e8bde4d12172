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

    /// <summary>Runs a command's action.</summary>
    public static async Task<int> RunAsync(string command, Func<Task<int>> action)
    {
        try
        {
            // Ctrl+C is listened to only once the action's task is there: work that keeps this thread would be killed by it.
            return await Task.Run(action).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            await Console.Error.WriteLineAsync($"sparseland {command}: stopped; what was not finished is unchanged.").ConfigureAwait(false);
            return Stopped;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or InvalidDataException or FormatException or InvalidOperationException)
        {
            await Console.Error.WriteLineAsync($"sparseland {command}: {e.Message}").ConfigureAwait(false);
            return Refused;
        }
    }
}
