using System.Diagnostics;
using System.Globalization;
using Sparseland.Models.Language;
using Sparseland.Pruning;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks;

/// <summary>
/// What pruning a folder block by block takes of memory beside the mapped weights: a folder of about 500 MB in the shape of a small LLaMA is written, and pruned in a process
/// of its own that is watched from inside. Printed is the peak of its private memory above what it had before, beside one block with its masks and statistics, and the model.
/// Private memory is RssAnon of Linux's /proc/self/status: mapped files do not count.
/// </summary>
internal static class Memory
{
    private const int Sequences = 16, Length = 128;
    private static readonly LlamaConfig s_config = new() { Vocabulary = 4096, Width = 1024, MlpWidth = 2816, Layers = 9, Heads = 16, KeyValueHeads = 16, Context = Length };
    private static readonly LlamaConfig s_small = new() { Vocabulary = 512, Width = 64, MlpWidth = 128, Layers = 2, Heads = 4, KeyValueHeads = 4, Context = Length };

    private static readonly ILayerPruner[] s_methods = [new MagnitudePruner(), new WandaPruner(), new SparseGptPruner()];

    internal static int Run(string filter)
    {
        if (!OperatingSystem.IsLinux())
        {
            Console.Error.WriteLine("Private memory is read from /proc/self/status, which is Linux's.");
            return 1;
        }

        string place = Directory.CreateTempSubdirectory("sparseland-benchmark-").FullName;
        try
        {
            // Written elsewhere, so that what the allocator keeps of it is not counted.
            Console.WriteLine(Child("--memory-make", place));
            foreach (ILayerPruner method in s_methods.Where(m => m.Name.Contains(filter, StringComparison.OrdinalIgnoreCase)))
            {
                // What a batch of sequences leaves on its way through a block is not the block's: one at a time shows how much it is.
                foreach (int batch in method.Needs == InputKnowledge.None ? (int[])[1] : [8, 1])
                    Console.WriteLine(Child("--memory-one", place, method.Name, batch.ToString(CultureInfo.InvariantCulture)));
            }

            return 0;
        }
        finally
        {
            Directory.Delete(place, recursive: true);
        }
    }

    /// <summary>The children's side: writes the folders.</summary>
    internal static int Make(string place)
    {
        foreach ((string name, LlamaConfig config) in new[] { ("model", s_config), ("small", s_small) })
        {
            using var model = new TinyLM(config);
            LanguageModelFolder.SaveModel(Path.Combine(place, name), model);
        }

        Console.WriteLine(FormattableString.Invariant($"folder of {Megabytes(new FileInfo(Path.Combine(place, "model", "model.safetensors")).Length)}, {s_config.Layers} blocks"));
        return 0;
    }

    /// <summary>The children's side: prunes, and watches its own memory.</summary>
    internal static int RunOne(string place, string name, int batch)
    {
        ILayerPruner method = s_methods.Single(m => m.Name == name);

        // A small folder first: what is loaded and compiled once is not the run's.
        Prune(Path.Combine(place, "small"), Path.Combine(place, "small-pruned"), method, s_small, batch);
        GC.Collect();
        long before = Private(), peak = before, start = Stopwatch.GetTimestamp();
        using (var stop = new CancellationTokenSource())
        {
            var watcher = new Thread(() =>
            {
                while (!stop.IsCancellationRequested)
                {
                    peak = Math.Max(peak, Private());
                    Thread.Sleep(2);
                }
            });
            watcher.Start();
            Prune(Path.Combine(place, "model"), Path.Combine(place, "pruned"), method, s_config, batch);
            stop.Cancel();
            watcher.Join();
        }

        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        Directory.Delete(Path.Combine(place, "pruned"), recursive: true);
        Directory.Delete(Path.Combine(place, "small-pruned"), recursive: true);
        (long width, long mlp) = (s_config.Width, s_config.MlpWidth);
        long weights = (4 * width * width) + (3 * width * mlp), block = 4 * weights;
        long gram = method.Needs == InputKnowledge.Gram ? 8 * ((3 * width * width) + (mlp * mlp)) : 0;
        long states = method.Needs == InputKnowledge.None ? 0 : 4L * Sequences * Length * width;
        long whole = new FileInfo(Path.Combine(place, "model", "model.safetensors")).Length, expected = block + weights + gram + states;
        Console.WriteLine(FormattableString.Invariant(
            $"{method.Name}, {batch} sequences at once: peak {Megabytes(peak - before)} above {Megabytes(before)}; one block {Megabytes(block)}, its masks {Megabytes(weights)}, second moments {Megabytes(gram)}, states of the texts {Megabytes(states)}: {Megabytes(expected)} without activations; peak / that {(peak - before) / (double)expected:0.00}, peak / model {(peak - before) / (double)whole:0.00}; {seconds:0.0} s"));
        return 0;
    }

    private static void Prune(string source, string target, ILayerPruner method, LlamaConfig config, int batch)
    {
        using DisposeScope scope = NewDisposeScope();
        using var generator = new Generator(1);
        Tensor ids = randint(0, config.Vocabulary, [Sequences, Length], generator: generator, dtype: ScalarType.Int64);
        FolderPruning.Run(source, target, new() { Method = method, Pattern = method.PatternOf(0.5), Calibration = method.Needs == InputKnowledge.None ? null : ids, Blockwise = new() { Batch = batch } });
    }

    private static long Private()
    {
        foreach (string line in File.ReadLines("/proc/self/status"))
        {
            if (line.StartsWith("RssAnon:", StringComparison.Ordinal)) return 1024 * long.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
        }

        throw new PlatformNotSupportedException("/proc/self/status says no RssAnon.");
    }

    private static string Megabytes(long bytes) => FormattableString.Invariant($"{bytes / 1e6:0} MB");

    private static string Child(params string[] arguments)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, arguments) { RedirectStandardOutput = true };
        using Process child = Process.Start(start)!;
        string output = child.StandardOutput.ReadToEnd().Trim();
        child.WaitForExit();
        return child.ExitCode == 0 ? output : $"failed with exit code {child.ExitCode}";
    }
}
