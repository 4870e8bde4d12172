using System.CommandLine;
using Sparseland.Kernel.Running;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Formats;

namespace Sparseland.Kernel.Commands;

/// <summary>What several commands share.</summary>
internal static class Shared
{
    /// <summary>--scale.</summary>
    public static Option<RunScale> Scale() => new("--scale")
    {
        Description = "How much work the notebooks do: quick (seconds), lesson (a minute or two), full (hours or a GPU).",
        DefaultValueFactory = _ => RunScale.Lesson,
    };

    /// <summary>--timeout.</summary>
    public static Option<TimeSpan> Timeout() => new("--timeout")
    {
        Description = "The longest that one cell may take, for example 90s, 15m or 2h; then it is stopped. [default: 15m]",
        DefaultValueFactory = _ => TimeSpan.FromMinutes(15),
        CustomParser = result =>
        {
            try
            {
                return RunOptions.ParseDuration(result.Tokens[0].Value);
            }
            catch (FormatException e)
            {
                result.AddError("--timeout: " + e.Message);
                return default;
            }
        },
    };

    /// <summary>--docs.</summary>
    public static Option<string?> Docs() => new("--docs") { Description = "Folder of the .NET SDK (it holds packs/) or of documentation files; by default it is searched." };

    /// <summary>--threads.</summary>
    public static Option<int?> Threads() => new("--threads") { Description = "Threads of libtorch; a resumed training is the same bit for bit only with the same number." };

    /// <summary>Documents of a folder: of its corpus.jsonl where it has one and no endings are named, else of its text files.</summary>
    public static IReadOnlyList<RetrievalDocument> Documents(string folder, string[]? endings, CancellationToken cancel)
    {
        if (endings is []) endings = null;
        return endings is null && Beir.HasDocuments(folder) ? Beir.ReadDocuments(folder, cancel: cancel) : TextFolder.Read(folder, endings, new ProgressLines("file", Console.WriteLine), cancel);
    }

    /// <summary>Sets the threads of libtorch where they are given.</summary>
    public static void UseThreads(int? threads)
    {
        if (threads is not { } wanted) return;
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(wanted, "--threads");
        TorchSharp.torch.set_num_threads(wanted);
    }

    /// <summary>Does work that can be taken up, and says so where it is stopped or a disk is full.</summary>
    /// <param name="folder">Where the work goes.</param>
    /// <param name="canResume">Whether there is something to go on from.</param>
    /// <param name="work">The work.</param>
    public static T Resumable<T>(string folder, Func<bool> canResume, Func<T> work)
    {
        try
        {
            return work();
        }
        catch (Exception error) when (error is OperationCanceledException or IOException && canResume())
        {
            Console.Error.WriteLine($"'{folder}' holds what was done so far: the same command with --resume goes on from there.");
            throw;
        }
    }

    /// <summary>Two options of which one may be given. Their values are not asked for: one that cannot be read would throw before it is refused.</summary>
    public static void Exclude(Command command, Option first, Option second) => command.Validators.Add(result =>
    {
        if (result.GetResult(first) is { Implicit: false } && result.GetResult(second) is { Implicit: false }) result.AddError($"{first.Name} and {second.Name} exclude each other.");
    });

    /// <summary>Paths that may be left out.</summary>
    public static Argument<string[]> OptionalPaths() => new("paths")
    {
        Description = "Notebooks, or folders with notebooks; without any, those of the series.",
        Arity = ArgumentArity.ZeroOrMore,
    };

    /// <summary>The notebooks of the paths, or of the series.</summary>
    public static IReadOnlyList<string> Notebooks(string[]? paths) => paths is { Length: > 0 } ? NotebookFiles.Expand(paths) : NotebookFiles.OfTheSeries();
}
