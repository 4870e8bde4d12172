using Sparseland.Attention.Tasks;
using Sparseland.Evaluation;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Frontier;

/// <summary>
/// The comparison of Nawrot et al. (2025): methods of sparse attention without training at the same budgets, on questions of different kind, while a prompt is read and while tokens are written,
/// with a paired bootstrap against dense attention.
/// </summary>
/// <remarks>On the CPU only: a model on another device is refused.</remarks>
public static class FrontierStudy
{
    /// <summary>Fewest texts of a point: below, no interval is narrow enough to say anything.</summary>
    public const int FewestTexts = 20;

    // So few at a time that a study can be stopped soon.
    private const int Together = 8;

    /// <summary>Runs every method at every sparsity on the same texts.</summary>
    /// <param name="model">A decoder that answers the questions of <see cref="TaskSequences"/>.</param>
    /// <param name="tasks">Sizes of the texts, one entry a length.</param>
    /// <param name="methods">Methods of one or both phases.</param>
    /// <param name="sparsities">Shares that are left out, each from 0 to below 1.</param>
    /// <param name="seeds">Seeds of the texts; each gives <see cref="FrontierOptions.Sequences"/> of them.</param>
    /// <param name="options">Constants of the methods; null for the defaults.</param>
    /// <param name="name">Name of the model in the table. Default "model".</param>
    /// <param name="progress">Passes over the texts that are done.</param>
    /// <param name="cancel">Checked between parts of a pass.</param>
    /// <returns>A row for each method, sparsity, length and kind of question.</returns>
    /// <exception cref="ArgumentException">An empty list, a number out of its range, a budget below what a method is forced to compute, fewer than 20 texts of a point, texts longer than the context, or a model that is not on the CPU.</exception>
    public static FrontierTable Run(
        LanguageModel model, IReadOnlyList<TaskOptions> tasks, IReadOnlyList<FrontierMethod> methods, IReadOnlyList<double> sparsities, IReadOnlyList<long> seeds, FrontierOptions? options = null, string name = "model",
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        options ??= new();
        options.Validate();
        Check(model, tasks, methods, sparsities, seeds, options);
        List<FrontierRow> rows = [];
        long done = 0, all = (long)tasks.Count * (1 + (methods.Count * sparsities.Count));
        using IDisposable off = no_grad();
        foreach (TaskOptions task in tasks)
        {
            TaskSequences[] texts = [.. seeds.Select(s => TaskSequences.Generate(options.Sequences, task, s))];
            try
            {
                Dictionary<TaskKind, double[]> dense = Answers(model, texts, null, cancel);
                progress?.Report(new(++done, all, $"{name}: {task.Tokens} tokens, dense"));
                foreach (FrontierMethod method in methods)
                {
                    foreach (double sparsity in sparsities)
                    {
                        (IAttentionMethod attention, Func<(long Cells, long Allowed)> counted) = Make(method, sparsity, task, options);
                        Dictionary<TaskKind, double[]> sparse = Answers(model, texts, attention, cancel);
                        (long cells, long allowed) = counted();
                        rows.AddRange(sparse.Select(s => new FrontierRow(
                            name, method, s.Key, task.Tokens, sparsity, cells, allowed, s.Value, dense[s.Key], PairedBootstrap.Compare(s.Value, dense[s.Key], seed: 1, options.Resamples, cancellation: cancel))));
                        progress?.Report(new(++done, all, $"{name}: {task.Tokens} tokens, {method}"));
                    }
                }
            }
            finally
            {
                foreach (TaskSequences text in texts) text.Dispose();
            }
        }

        return new(rows);
    }

    /// <summary>Share of right answers of each text, by kind of question.</summary>
    private static Dictionary<TaskKind, double[]> Answers(LanguageModel model, TaskSequences[] texts, IAttentionMethod? attention, CancellationToken cancel)
    {
        Dictionary<TaskKind, double[]> right = Enum.GetValues<TaskKind>().ToDictionary(kind => kind, _ => Array.Empty<double>());
        foreach (TaskSequences text in texts)
        {
            using DisposeScope scope = NewDisposeScope();
            List<Tensor> parts = [];
            for (int from = 0; from < text.Count; from += Together)
            {
                cancel.ThrowIfCancellationRequested();
                parts.Add(model.Logits(text.Ids.narrow(0, from, Math.Min(Together, text.Count - from)), attention: attention));
            }

            Tensor logits = cat(parts);
            foreach (TaskKind kind in right.Keys) right[kind] = [.. right[kind], .. text.Right(logits, kind)];
        }

        return right.Where(r => r.Value.Length > 0).ToDictionary();
    }

    private static (IAttentionMethod Method, Func<(long Cells, long Allowed)> Counted) Make(FrontierMethod method, double sparsity, TaskOptions task, FrontierOptions options)
    {
        if (FrontierMethods.PhaseOf(method) == FrontierPhase.Prefill)
        {
            PrefillFrontier prefill = new(method, sparsity, task.Tail, options);
            return (prefill, () => (prefill.Cells, prefill.Allowed));
        }

        DecodeFrontier decode = new(method, sparsity, task.Tokens - task.Tail, options);
        return (decode, () => (decode.Cells, decode.Allowed));
    }

    private static void Check(LanguageModel model, IReadOnlyList<TaskOptions> tasks, IReadOnlyList<FrontierMethod> methods, IReadOnlyList<double> sparsities, IReadOnlyList<long> seeds, FrontierOptions options)
    {
        Some(tasks, nameof(tasks));
        Some(methods, nameof(methods));
        Some(sparsities, nameof(sparsities));
        Some(seeds, nameof(seeds));
        if (model.Embeddings.device_type != DeviceType.CPU) throw new ArgumentException($"The model is on {model.Embeddings.device_type}; a study works on the CPU only.", nameof(model));
        if (model.Vocabulary != TaskSequences.Vocabulary) throw new ArgumentException($"The model has {model.Vocabulary} tokens, the texts {TaskSequences.Vocabulary}.", nameof(model));
        if ((long)options.Sequences * seeds.Count < FewestTexts)
            throw new ArgumentException($"{options.Sequences} texts for each of {seeds.Count} seeds are fewer than {FewestTexts}: no loss could be told from chance.", nameof(options));
        if (seeds.Distinct().Count() != seeds.Count) throw new ArgumentException("A seed stands twice: its texts would count double.", nameof(seeds));
        foreach (TaskOptions task in tasks)
        {
            ArgumentNullException.ThrowIfNull(task, nameof(tasks));
            task.Validate();
            if (task.Tail == 0) throw new ArgumentException("A text without questions tests nothing.", nameof(tasks));
            if (task.Tokens > model.Context) throw new ArgumentException($"Texts of {task.Tokens} tokens are longer than the context of {model.Context}.", nameof(tasks));
            foreach (FrontierMethod method in methods)
            {
                foreach (double sparsity in sparsities)
                {
                    if (FrontierMethods.PhaseOf(method) == FrontierPhase.Prefill) AttentionBudget.ForPrefillSparsity(method, task.Tokens, sparsity, options);
                    else AttentionBudget.ForDecodeSparsity(method, task.Tokens - task.Tail, task.Tokens, sparsity, options);
                }
            }
        }
    }

    private static void Some<T>(IReadOnlyList<T> list, string name)
    {
        ArgumentNullException.ThrowIfNull(list, name);
        if (list.Count == 0) throw new ArgumentException($"{name} is empty.", name);
    }
}
