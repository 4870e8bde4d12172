using System.Diagnostics;
using Sparseland.Data.Documentation;
using Sparseland.Kernel.Commands;
using Sparseland.Kernel.Notebooks;
using Sparseland.Models.Language;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Collections;
using Sparseland.Retrieval.Learned;
using Sparseland.Solvers;
using Sparseland.Training;

namespace Sparseland.Kernel.Retrieval;

/// <summary>Makes the retrievers that are shipped, one after the other; those that are done stay as they are.</summary>
internal sealed class RetrieverMaking(RetrieverRecipe recipe, string folder, string command, bool resume, bool keep, string? docs)
{
    private const string CheckpointFile = "training.safetensors", VocabularyFile = "vocab.txt";

    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private readonly Dictionary<string, RetrieverFigures> _figures = [];

    /// <summary>Runs until all is made, or until it is stopped.</summary>
    /// <returns>The exit code.</returns>
    public int Run(CancellationToken cancel)
    {
        string[] begun = [.. RetrieverRecipe.Names.Select(n => Path.Combine(folder, n, CheckpointFile)).Where(File.Exists)];
        if (!resume && begun.Length > 0) throw new IOException($"'{begun[0]}' is a training that is not done; go on with --resume, or delete it.");
        AtomicFile.CheckFolder(folder);
        DotNetDocCollection documentation = DotNetDocCollection.Build(DotNetDocs.Load(DotNetDocs.FindFiles(docs), cancel: cancel), cancel: cancel);
        Say($"{documentation}");
        try
        {
            return Shared.Resumable(folder, CanGoOn, () => Run(documentation, cancel));
        }
        finally
        {
            // Without anything that is begun it is no beginning either.
            if (!CanGoOn()) File.Delete(Path.Combine(folder, VocabularyFile));
        }
    }

    private bool CanGoOn() => RetrieverRecipe.Names.Any(n => File.Exists(Path.Combine(folder, n, CheckpointFile)) || File.Exists(Path.Combine(folder, n, "config.json")));

    private int Run(DotNetDocCollection documentation, CancellationToken cancel)
    {
        IReadOnlyList<string> words = Words(documentation, cancel);
        TrainingPairs pairs = recipe.Pairs(documentation);
        Say($"{words.Count:N0} tokens, {pairs.Pairs.Count:N0} pairs for training");
        var bed = new RetrieverBed(documentation);
        try
        {
            foreach (string name in RetrieverRecipe.Names)
            {
                Make(name, documentation, words, pairs, bed, cancel);

                // After each, so that a call that is stopped leaves a sheet of what is done.
                AtomicFile.Write(Path.Combine(folder, "README.md"), RetrieverSheet.Of(recipe, command, documentation, bed, _figures));
            }
        }
        catch (DivergenceException e)
        {
            Console.Error.WriteLine($"sparseland train retrievers: {e.Message}");
            return Guard.Bad;
        }

        Say($"the retrievers are in {folder}");
        return Guard.Good;
    }

    private void Say(string line) => Console.WriteLine($"{_watch.Elapsed:h\\:mm\\:ss}  {line}");

    private IReadOnlyList<string> Words(DotNetDocCollection documentation, CancellationToken cancel)
    {
        string file = Path.Combine(folder, VocabularyFile);
        if (resume && File.Exists(file)) return [.. File.ReadAllText(file).Split('\n', StringSplitOptions.RemoveEmptyEntries)];
        IReadOnlyList<string> words = recipe.Words(documentation, cancel);
        AtomicFile.Write(file, string.Concat(words.Select(w => w + "\n")));
        return words;
    }

    private void Make(string name, DotNetDocCollection documentation, IReadOnlyList<string> words, TrainingPairs pairs, RetrieverBed bed, CancellationToken cancel)
    {
        string own = Path.Combine(folder, name), checkpoint = Path.Combine(own, CheckpointFile);
        bool done = File.Exists(Path.Combine(own, "config.json"));
        BertEncoder body = done ? BertEncoder.Load(own, cancel: cancel) : recipe.Body(words);
        using BertEncoder? kept = name == RetrieverRecipe.Dense ? body : null;
        using SpladeEncoder? sparse = name == RetrieverRecipe.Dense ? null : done ? Again(own, body, cancel) : new SpladeEncoder(body, new VocabularyHead(body, recipe.Seed + 1));
        ITextScorer? scorer = name switch
        {
            RetrieverRecipe.Masked => null,
            RetrieverRecipe.Dense => new DenseScorer(body),
            RetrieverRecipe.Siamese => sparse,
            _ => new InferenceFreeScorer(sparse!, RetrieverBed.Table(name == RetrieverRecipe.Binary, sparse!.Body, pairs.Collection)),
        };
        if (!done)
        {
            MadeFolders.Make(own);
            if (name != RetrieverRecipe.Masked) Take(Path.Combine(folder, RetrieverRecipe.Masked), body, sparse, cancel);
            List<IDisposable> teachers = [];
            try
            {
                using TrainingLoop loop = scorer is null
                    ? recipe.MaskedLoop(documentation, sparse!, checkpoint)
                    : recipe.Loop(pairs, scorer, name == RetrieverRecipe.Distilled ? Teachers(pairs, teachers, cancel) : null, checkpoint);
                Train(name, loop, checkpoint, cancel);
                if (sparse is null) body.Save(own, null, null, half: true);
                else sparse.Save(own, half: true);
                if (!keep) File.Delete(checkpoint);
            }
            finally
            {
                foreach (IDisposable teacher in teachers) teacher.Dispose();
            }
        }

        // Figures are those of the weights as they are stored, in half precision.
        if (scorer is null) return;
        using BertEncoder? stored = sparse is null ? BertEncoder.Load(own, cancel: cancel) : null;
        using SpladeEncoder? storedSparse = sparse is null ? null : SpladeEncoder.Load(own, cancel: cancel);
        RetrieverFigures figures = stored is not null ? bed.Dense(stored, cancel)
            : bed.Sparse(storedSparse!, name == RetrieverRecipe.Siamese ? null : RetrieverBed.Table(name == RetrieverRecipe.Binary, storedSparse!.Body, pairs.Collection), cancel);
        _figures[name] = figures;
        Say($"{name}: {figures}");
    }

    private static SpladeEncoder Again(string own, BertEncoder body, CancellationToken cancel)
    {
        body.Dispose();
        return SpladeEncoder.Load(own, cancel: cancel);
    }

    private void Train(string name, TrainingLoop loop, string checkpoint, CancellationToken cancel)
    {
        if (resume && File.Exists(checkpoint))
        {
            loop.Load(checkpoint);
            Say($"{name}: goes on after step {loop.Done:N0}");
        }

        TrainingResult result = loop.Run(new ProgressLines($"{name}: step", Say), cancel);
        Say(FormattableString.Invariant($"{name}: {result.History.Count:N0} steps in {result.Seconds:F0} s, loss {result.RecentLoss():F3}"));
    }

    /// <summary>Starts from masked words.</summary>
    private static void Take(string start, BertEncoder body, SpladeEncoder? sparse, CancellationToken cancel)
    {
        using SpladeEncoder masked = SpladeEncoder.Load(start, cancel: cancel);
        using IDisposable off = TorchSharp.torch.no_grad();
        foreach (var (name, parameter) in body.named_parameters()) parameter.copy_(masked.Body.get_parameter(name)!);
        if (sparse is null) return;
        foreach (var (name, parameter) in sparse.Head.named_parameters()) parameter.copy_(masked.Head.get_parameter(name)!);
    }

    private Func<IReadOnlyList<int>, IReadOnlyList<int>, TorchSharp.torch.Tensor> Teachers(TrainingPairs pairs, List<IDisposable> owned, CancellationToken cancel)
    {
        BertEncoder dense = BertEncoder.Load(Path.Combine(folder, RetrieverRecipe.Dense), cancel: cancel);
        owned.Add(dense);
        SpladeEncoder siamese = SpladeEncoder.Load(Path.Combine(folder, RetrieverRecipe.Siamese), cancel: cancel);
        owned.Add(siamese);
        return RetrieverRecipe.Teacher(pairs, [new DenseScorer(dense), siamese]);
    }
}
