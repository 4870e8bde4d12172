using System.CommandLine;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland verify</c>.</summary>
internal static class VerifyCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        var paths = Shared.OptionalPaths();
        var command = new Command("verify", "Find stored outputs that do not belong to the code any more.") { paths };
        command.SetAction((parsed, cancel) => Guard.RunAsync("verify", () => Task.FromResult(Verify(Shared.Notebooks(parsed.GetValue(paths)), cancel))));
        return command;
    }

    private static int Verify(IReadOnlyList<string> paths, CancellationToken cancel)
    {
        var stale = 0;
        foreach (var path in paths)
        {
            cancel.ThrowIfCancellationRequested();
            try
            {
                var reasons = StaleCheck.Reasons(Notebook.Load(path));
                Console.WriteLine($"{path}: {(reasons.Count == 0 ? "current" : "STALE: " + string.Join("; ", reasons))}");
                stale += reasons.Count == 0 ? 0 : 1;
            }
            catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException)
            {
                Console.WriteLine(e.Message);
                stale++;
            }
        }

        Console.WriteLine(stale == 0 ? $"All {paths.Count} current." : $"{stale} of {paths.Count} stale; 'sparseland run PATH' makes them current.");
        return stale == 0 ? Guard.Good : Guard.Bad;
    }
}
