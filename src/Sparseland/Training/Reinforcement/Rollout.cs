using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.Reinforcement;

/// <summary>How completions are sampled.</summary>
public sealed record RolloutOptions
{
    /// <summary>K, most tokens of a completion, at least 1. Default 20.</summary>
    public int NewTokens { get; init; } = 20;

    /// <summary>Logits are divided by this, positive. Default 1.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Token that ends a completion and belongs to it; null, the default, for none.</summary>
    public int? End { get; init; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        if (NewTokens < 1) throw new ArgumentOutOfRangeException(nameof(NewTokens), NewTokens, "NewTokens must be at least 1: a completion of no token has no probability to learn.");
        Finite.Positive(Temperature);
        if (End is < 0) throw new ArgumentOutOfRangeException(nameof(End), End, "End must be a token.");
    }
}

/// <summary>Completions sampled from a model, of prompts of equal length; n of them, with at most K tokens.</summary>
public sealed class Rollout : IDisposable
{
    private readonly NativeSize _size;

    private Rollout(Tensor ids, Tensor logProbabilities, Tensor mask, int promptLength) =>
        (Ids, LogProbabilities, Mask, PromptLength, _size) = (ids, logProbabilities, mask, promptLength, NativeSize.Of(ids, logProbabilities, mask));

    /// <summary>Prompts and completions [n, promptLength + K'], Int64, where K' is the length of the longest; behind the end of a completion stands 0.</summary>
    public Tensor Ids { get; }

    /// <summary>log pi of each sampled token at the temperature that it was sampled with [n, K']; 0 behind the end.</summary>
    public Tensor LogProbabilities { get; }

    /// <summary>Tokens that were sampled, up to and including the end token: Bool [n, K'].</summary>
    public Tensor Mask { get; }

    /// <summary>Tokens of each prompt.</summary>
    public int PromptLength { get; }

    /// <summary>Number of completions, n.</summary>
    public int Count => (int)Ids.shape[0];

    /// <summary>The tokens of one completion, its end token included.</summary>
    /// <param name="row">From 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such completion.</exception>
    public IReadOnlyList<int> Completion(int row)
    {
        if (row < 0 || row >= Count) throw new ArgumentOutOfRangeException(nameof(row), row, $"There are {Count} completions.");
        using DisposeScope scope = NewDisposeScope();
        int length = (int)MaskSet.TrueIn(Mask[row]);
        return [.. Ids[row].narrow(0, PromptLength, length).data<long>().Select(t => (int)t)];
    }

    /// <summary>
    /// Samples one completion for each prompt, all rows together over one <see cref="KeyValueCache"/>. Every row has random numbers of its own by the seed and its
    /// number, so a step that is made again with its seed samples the same.
    /// </summary>
    /// <param name="model">The policy.</param>
    /// <param name="prompts">Prompts of one length, at least one token; the same prompt may stand several times.</param>
    /// <param name="options">Length, temperature, end token; null for their defaults.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <param name="cancel">Checked before each token.</param>
    /// <returns>Dispose it.</returns>
    /// <exception cref="ArgumentException">
    /// No prompt, prompts of different lengths, more tokens than the context, a token that the vocabulary has not, or an option out of its range.
    /// </exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static Rollout Sample(LanguageModel model, IReadOnlyList<IReadOnlyList<int>> prompts, RolloutOptions? options = null, long seed = 1, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        options ??= new();
        options.Validate();
        (int count, int length) = Shape(prompts);
        if (length + options.NewTokens - 1 > model.Context)
            throw new ArgumentException($"Prompts of {length} tokens and completions of {options.NewTokens} are more than the context of {model.Context}.", nameof(prompts));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using KeyValueCache cache = model.NewCache(count);
        SeededRandom[] random = [.. Enumerable.Range(0, count).Select(row => new SeededRandom(seed, 40_000 + row))];
        long[][] made = [.. prompts.Select(_ => new long[options.NewTokens])];
        float[][] logs = [.. prompts.Select(_ => new float[options.NewTokens])];
        int[] lengths = new int[count];
        bool[] ended = new bool[count];
        Tensor next = tensor([.. prompts.SelectMany(p => p).Select(t => (long)t)], [count, length]);
        int done = 0;
        while (done < options.NewTokens && ended.Contains(false))
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope inner = NewDisposeScope();
            Tensor logits = model.Logits(next, cache: cache, lastOnly: true).squeeze(1).to(ScalarType.Float32);
            Tensor log = (options.Temperature == 1 ? logits : logits.div(options.Temperature)).log_softmax(-1), share = log.exp().contiguous();
            ReadOnlySpan<float> values = TensorMemory.Read<float>(log), shares = TensorMemory.Read<float>(share);
            int vocabulary = (int)log.shape[1];
            long[] tokens = new long[count];
            for (int row = 0; row < count; row++)
            {
                if (ended[row]) continue;
                int token = Choose(shares.Slice(row * vocabulary, vocabulary), random[row].NextDouble());
                (tokens[row], made[row][done], logs[row][done]) = (token, token, values[(row * vocabulary) + token]);
                lengths[row] = done + 1;
                ended[row] = token == options.End;
            }

            done++;
            next = tensor(tokens, [count, 1]).MoveToOuterDisposeScope();
        }

        int longest = lengths.Max();
        Tensor ids = tensor([.. prompts.SelectMany((p, row) => p.Select(t => (long)t).Concat(made[row][..longest]))], [count, length + longest]);
        Tensor all = tensor([.. logs.SelectMany(l => l[..longest])], [count, longest]);
        Tensor mask = tensor([.. lengths.SelectMany(n => Enumerable.Range(0, longest).Select(t => t < n))], [count, longest]);
        return new(ids.DetachFromDisposeScope(), all.DetachFromDisposeScope(), mask.DetachFromDisposeScope(), length);
    }

    /// <summary>The completions of some prompts and the places of <see cref="Ids"/> that they take, for a pass with gradients.</summary>
    /// <param name="rows">Rows, at least one, in the order wanted.</param>
    /// <returns>Ids [rows, tokens] and Bool of the same shape; dispose them.</returns>
    public (Tensor Ids, Tensor Mask) Select(IReadOnlyList<int> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        if (rows.Count == 0) throw new ArgumentException("rows is empty.", nameof(rows));
        using DisposeScope scope = NewDisposeScope();
        Tensor at = tensor([.. rows.Select(r => (long)r)]);
        Tensor before = zeros([rows.Count, PromptLength], dtype: ScalarType.Bool);
        return (Ids.index_select(0, at).MoveToOuterDisposeScope(), cat([before, Mask.index_select(0, at)], 1).MoveToOuterDisposeScope());
    }

    /// <summary>Frees the tensors.</summary>
    public void Dispose()
    {
        Ids.Dispose();
        LogProbabilities.Dispose();
        Mask.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Count} completions of prompts of {PromptLength} tokens";

    private static (int Count, int Length) Shape(IReadOnlyList<IReadOnlyList<int>> prompts)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        if (prompts.Count == 0) throw new ArgumentException("prompts is empty.", nameof(prompts));
        for (int i = 0; i < prompts.Count; i++)
        {
            if (prompts[i] is null || prompts[i].Count == 0) throw new ArgumentException($"Prompt {i} is empty.", nameof(prompts));
            if (prompts[i].Count != prompts[0].Count)
                throw new ArgumentException($"Prompt {i} has {prompts[i].Count} tokens, the first {prompts[0].Count}; prompts that are sampled together must have one length, since nothing is padded.", nameof(prompts));
        }

        return (prompts.Count, prompts[0].Count);
    }

    private static int Choose(ReadOnlySpan<float> shares, double draw)
    {
        double left = draw * TotalOf(shares);
        int last = -1;
        for (int i = 0; i < shares.Length; i++)
        {
            if (!(shares[i] > 0)) continue;
            (last, left) = (i, left - shares[i]);
            if (left < 0) return i;
        }

        return last;
    }

    private static double TotalOf(ReadOnlySpan<float> shares)
    {
        double total = 0;
        foreach (float share in shares) total += share;
        return total > 0 && double.IsFinite(total) ? total : throw new ArgumentException("The model's logits are not finite.", "model");
    }
}
