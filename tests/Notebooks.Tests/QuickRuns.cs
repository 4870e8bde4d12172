using System.Collections.Concurrent;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

namespace Notebooks.Tests;

/// <summary>
/// Every notebook's run at quick scale: once for all tests, two at a time where the machine has memory for two. The executed notebooks are
/// left in artifacts/executed, where the gallery of the project's checks finds them.
/// </summary>
internal static class QuickRuns
{
    private const long MemoryOfTwo = 8L << 30;
    private static readonly int AtATime = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes >= MemoryOfTwo && Environment.ProcessorCount > 1 ? 2 : 1;
    private static readonly SemaphoreSlim Room = new(AtATime);
    private static readonly ConcurrentDictionary<string, Task<NotebookRun>> Runs = new();
    private static readonly Lock Start = new();
    private static bool started;

    /// <summary>The run of one notebook.</summary>
    /// <param name="path">Path below notebooks/.</param>
    public static Task<NotebookRun> Of(string path)
    {
        lock (Start)
        {
            // All of them as soon as one is asked for, so that two run at a time; not when a filter asks for one alone.
            if (!started && Environment.GetEnvironmentVariable("CI") is not null)
            {
                foreach (string each in Series.All()) Runs.GetOrAdd(each, RunAsync);
            }

            started = true;
        }

        return Runs.GetOrAdd(path, RunAsync);
    }

    private static async Task<NotebookRun> RunAsync(string path)
    {
        await Room.WaitAsync();
        try
        {
            var runner = new NotebookRunner(new RunOptions
            {
                Scale = RunScale.Quick,
                CellTimeout = TimeLimit.Of(TimeSpan.FromMinutes(3)),
                Threads = Math.Max(1, Environment.ProcessorCount / AtATime),
            });
            NotebookRun run = await runner.RunAsync(Series.FullPath(path));
            AtomicFile.Write(Path.Combine(Series.Root, "artifacts", "executed", path), run.Notebook.ToText());
            return run;
        }
        finally
        {
            Room.Release();
        }
    }
}
