using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.Reinforcement;

/// <summary>
/// Prompts with a completion each, ready for a pass with gradients. They may have any length: shorter ones are filled up behind their end, which a decoder that only
/// looks back does not see.
/// </summary>
public sealed class Completions : IDisposable
{
    private readonly NativeSize _size;

    /// <summary>Puts them together.</summary>
    /// <param name="items">Tokens of a prompt and of its completion, each at least one.</param>
    /// <exception cref="ArgumentException">Nothing, or an empty prompt or completion.</exception>
    public Completions(IReadOnlyList<(IReadOnlyList<int> Prompt, IReadOnlyList<int> Completion)> items)
    {
        ArgumentNullException.ThrowIfNull(items);
        if (items.Count == 0) throw new ArgumentException("items is empty.", nameof(items));
        for (int i = 0; i < items.Count; i++)
        {
            if (items[i].Prompt.Count == 0) throw new ArgumentException($"Prompt {i} is empty.", nameof(items));
            if (items[i].Completion.Count == 0) throw new ArgumentException($"Completion {i} is empty: it has no probability to learn.", nameof(items));
        }

        int length = items.Max(item => item.Prompt.Count + item.Completion.Count);
        long[] ids = new long[items.Count * length];
        bool[] counts = new bool[ids.Length];
        for (int i = 0; i < items.Count; i++)
        {
            (IReadOnlyList<int> prompt, IReadOnlyList<int> completion) = items[i];
            for (int t = 0; t < prompt.Count; t++) ids[(i * length) + t] = prompt[t];
            for (int t = 0; t < completion.Count; t++)
            {
                int at = (i * length) + prompt.Count + t;
                (ids[at], counts[at]) = (completion[t], true);
            }
        }

        Ids = tensor(ids, [items.Count, length]).DetachFromDisposeScope();
        Mask = tensor(counts, [items.Count, length]).DetachFromDisposeScope();
        _size = NativeSize.Of(Ids, Mask);
    }

    /// <summary>Tokens [n, tokens], Int64; 0 behind the end of a completion.</summary>
    public Tensor Ids { get; }

    /// <summary>Tokens of the completions, Bool [n, tokens].</summary>
    public Tensor Mask { get; }

    /// <summary>log pi of the tokens of completions, each given all before it.</summary>
    /// <param name="model">The policy.</param>
    /// <param name="ids">[n, tokens], Int64.</param>
    /// <param name="mask">Tokens wanted, Bool [n, tokens]; none in the first place, which nothing stands before.</param>
    /// <param name="temperature">Logits are divided by this, positive. Default 1.</param>
    /// <returns>[n, tokens], with a gradient; 0 where the mask is false.</returns>
    /// <exception cref="ArgumentException">Shapes, types or a temperature out of range, or a mask that wants a first token.</exception>
    public static Tensor LogProbabilities(LanguageModel model, Tensor ids, Tensor mask, double temperature = 1)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(ids);
        ArgumentNullException.ThrowIfNull(mask);
        if (ids.dim() != 2 || ids.numel() == 0 || ids.shape[1] < 2) throw new ArgumentException($"ids must be [n, tokens] with at least two tokens, but are [{string.Join(", ", ids.shape)}].", nameof(ids));
        if (mask.dtype != ScalarType.Bool || !mask.shape.SequenceEqual(ids.shape))
            throw new ArgumentException($"mask must be Bool [{string.Join(", ", ids.shape)}], but is {mask.dtype} [{string.Join(", ", mask.shape)}].", nameof(mask));
        Finite.Positive(temperature);
        using DisposeScope scope = NewDisposeScope();
        if (mask.select(1, 0).any().item<bool>()) throw new ArgumentException("mask wants the first token of a row; nothing stands before it that could predict it.", nameof(mask));
        (long rows, long tokens) = (ids.shape[0], ids.shape[1] - 1);
        Tensor logits = model.Logits(ids.narrow(1, 0, tokens)).to(ScalarType.Float32);
        if (temperature != 1) logits = logits.div(temperature);
        Tensor loss = nn.functional.cross_entropy(logits.reshape(rows * tokens, -1), ids.narrow(1, 1, tokens).reshape(-1), reduction: nn.Reduction.None);
        Tensor log = loss.neg().view(rows, tokens).masked_fill(mask.narrow(1, 1, tokens).logical_not(), 0);
        return cat([zeros([rows, 1], dtype: log.dtype), log], 1).MoveToOuterDisposeScope();
    }

    /// <summary>log pi of the tokens of these completions; see the other form.</summary>
    /// <param name="model">The policy.</param>
    /// <returns>[n, tokens].</returns>
    public Tensor LogProbabilities(LanguageModel model) => LogProbabilities(model, Ids, Mask);

    /// <summary>Supervised learning: the mean over all tokens of completions of - log pi.</summary>
    /// <param name="model">The policy.</param>
    /// <returns>One number, with a gradient.</returns>
    public Tensor NegativeLogLikelihood(LanguageModel model)
    {
        using DisposeScope scope = NewDisposeScope();
        return LogProbabilities(model).sum().div(-MaskSet.TrueIn(Mask)).MoveToOuterDisposeScope();
    }

    /// <summary>Frees the tensors.</summary>
    public void Dispose()
    {
        Ids.Dispose();
        Mask.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Ids.shape[0]} completions";
}
