using Sparseland.Models.Language;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Sparseland.ActivationSparsity;

/// <summary>
/// Contextual sparsity with correction: Sirius (Zhou et al., NeurIPS 2024, arXiv 2409.03856). A model that uses some hidden units only drafts K - 1 tokens; the full model, which has the same weights
/// and the same cache, reads them in one pass, keeps the longest beginning whose tokens it finds likely enough, puts its own token behind it and its own keys and values into the cache.
/// </summary>
/// <remarks>
/// Greedy and for one sequence. Not speculative decoding: what stays is what the full model finds likely enough, not what it would have written; with <see cref="Acceptance.Argmax"/> the two are the same.
/// </remarks>
public sealed class CorrectedGenerator
{
    /// <summary>A generator.</summary>
    /// <param name="sparse">The model with its sparsity; borrowed.</param>
    /// <param name="options">Null for the defaults.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public CorrectedGenerator(SparseNeurons sparse, CorrectionOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(sparse);
        options ??= new();
        options.Validate();
        if (options.StopAt is { } stop && (stop < 0 || stop >= sparse.Model.Vocabulary))
            throw new ArgumentOutOfRangeException(nameof(options), stop, $"StopAt must be a token, 0 to {sparse.Model.Vocabulary - 1}.");
        if (options.TreeWidth > sparse.Model.Vocabulary) throw new ArgumentOutOfRangeException(nameof(options), options.TreeWidth, $"TreeWidth is more than the {sparse.Model.Vocabulary} tokens there are.");
        (Sparse, Options) = (sparse, options);
    }

    /// <summary>The model with its sparsity.</summary>
    public SparseNeurons Sparse { get; }

    /// <summary>How drafts are checked.</summary>
    public CorrectionOptions Options { get; }

    /// <summary>Reads a prompt with the full model and stands ready for the first check.</summary>
    /// <param name="prompt">Tokens, at least one, and at most the context less K.</param>
    /// <exception cref="ArgumentException">An empty or too long prompt, or an id outside the vocabulary.</exception>
    public CorrectedRun Start(IReadOnlyList<int> prompt)
    {
        CheckPrompt(prompt);
        return new(Sparse, Options, prompt);
    }

    /// <summary>Goes on with a text.</summary>
    /// <param name="prompt">Tokens, at least one, and at most the context less K.</param>
    /// <param name="progress">Tokens that stay.</param>
    /// <param name="cancel">Looked at before each token; the text up to the last check is given.</param>
    /// <exception cref="ArgumentException">An empty or too long prompt, or an id outside the vocabulary.</exception>
    public CorrectedText Generate(IReadOnlyList<int> prompt, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        CheckPrompt(prompt);
        if (cancel.IsCancellationRequested) return new([], [], CorrectedEnd.Cancelled, Sparse.Step, default, default);
        using CorrectedRun run = Start(prompt);
        CorrectedEnd? end = null;
        while ((end = EndOf(run)) is null)
        {
            try
            {
                run.Step(cancel);
            }
            catch (OperationCanceledException) when (cancel.IsCancellationRequested)
            {
                end = CorrectedEnd.Cancelled;
                break;
            }

            progress?.Report(new(Math.Min(run.Tokens.Count, Options.NewTokens), Options.NewTokens));
        }

        int stop = StopOf(run), count = Math.Min(run.Tokens.Count, Options.NewTokens);
        if (stop >= 0) count = Math.Min(count, stop + 1);
        return new([.. run.Tokens.Take(count)], run.Checks, end.Value, Sparse.Step, run.DraftReads, run.CheckReads);
    }

    /// <summary>Goes on with a text by the sparse model alone, greedily; the full model reads the prompt and writes the first token.</summary>
    /// <param name="prompt">Tokens, at least one, and at most the context less K.</param>
    /// <param name="cancel">Looked at before each token.</param>
    /// <returns>As many new tokens as the options ask for; fewer where the context is full or the stop token came.</returns>
    /// <exception cref="ArgumentException">An empty or too long prompt, or an id outside the vocabulary.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public IReadOnlyList<int> Uncorrected(IReadOnlyList<int> prompt, CancellationToken cancel = default)
    {
        using CorrectedRun run = Start(prompt);
        List<int> ids = [run.Tokens[0].Id];
        while (ids.Count < Options.NewTokens && ids[^1] != Options.StopAt && run.Cache.Count < run.Cache.Context)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            Tensor logits = Sparse.Draft(tensor(new long[] { ids[^1] }, [1, 1]), run.Cache);
            ids.Add(new LogitRows(logits).Best(0));
        }

        return ids;
    }

    private CorrectedEnd? EndOf(CorrectedRun run)
    {
        int stop = StopOf(run);
        if (stop >= 0 && stop < Options.NewTokens) return CorrectedEnd.StopToken;
        if (run.Tokens.Count >= Options.NewTokens) return CorrectedEnd.Length;
        return run.Cache.Count >= run.Cache.Context ? CorrectedEnd.Context : null;
    }

    private int StopOf(CorrectedRun run)
    {
        for (int i = 0; i < run.Tokens.Count; i++)
        {
            if (run.Tokens[i].Id == Options.StopAt) return i;
        }

        return -1;
    }

    private void CheckPrompt(IReadOnlyList<int> prompt)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        if (prompt.Count == 0) throw new ArgumentException("The prompt is empty; start with the token that ends a text.", nameof(prompt));
        int most = Sparse.Model.Context - Options.KernelSize;
        if (prompt.Count > most) throw new ArgumentException($"The prompt has {prompt.Count} tokens; a context of {Sparse.Model.Context} less a check of {Options.KernelSize} leaves {most}.", nameof(prompt));
    }
}

/// <summary>Rows of logits and what is read off them.</summary>
internal readonly struct LogitRows
{
    private readonly float[] _values;
    private readonly int _width;

    public LogitRows(Tensor logits)
    {
        using DisposeScope scope = NewDisposeScope();
        _width = (int)logits.shape[^1];
        _values = TensorMemory.Read<float>(logits.detach().to(ScalarType.Float32).cpu().contiguous()).ToArray();
    }

    /// <summary>The most likely token behind a node, of equals the first; NaN is refused.</summary>
    public int Best(int row)
    {
        ReadOnlySpan<float> logits = Row(row);
        int best = TensorPrimitives.IndexOfMax(logits);
        return float.IsNaN(logits[best]) ? throw new ArgumentException($"The logit of token {best} is NaN.") : best;
    }

    /// <summary>The most likely tokens, ascending by id.</summary>
    public int[] Best(int row, int count) => Select.TopK(Row(row), Budget.Global(count)).ColumnIndices.ToArray();

    /// <summary>Logarithms of the likelihoods of some tokens at a temperature.</summary>
    public double LogLikelihood(int row, int token, double temperature)
    {
        ReadOnlySpan<float> logits = Row(row);
        double top = double.NegativeInfinity, sum = 0;
        foreach (float logit in logits) top = Math.Max(top, logit);
        foreach (float logit in logits) sum += Math.Exp((logit - top) / temperature);
        return ((logits[token] - top) / temperature) - Math.Log(sum);
    }

    private ReadOnlySpan<float> Row(int row) => _values.AsSpan(row * _width, _width);
}
