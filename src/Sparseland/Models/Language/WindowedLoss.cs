using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>Loss of a model on each of some disjoint windows of a text, so that two models can be compared window by window.</summary>
/// <param name="Losses">Mean negative log-probability of a token of each window, in nats.</param>
/// <param name="Length">Tokens predicted in each window.</param>
/// <param name="Accuracy">Share of tokens that the model held most likely.</param>
public sealed record WindowedLoss(IReadOnlyList<double> Losses, int Length, double Accuracy)
{
    /// <summary>Mean negative log-probability of a token, in nats.</summary>
    public double Loss => Losses.Average();

    /// <summary>exp(loss).</summary>
    public double Perplexity => Math.Exp(Loss);

    /// <summary>Tokens predicted.</summary>
    public long Tokens => (long)Losses.Count * Length;

    /// <summary>Measures a model on the first windows of a text; what is left at its end is not used.</summary>
    /// <param name="model">The model; left in the mode it was in.</param>
    /// <param name="text">The text.</param>
    /// <param name="length">Tokens of a window, from 1 to the model's context.</param>
    /// <param name="windows">Most windows; null, the default, for all.</param>
    /// <param name="hook">Replaces activations; null, the default, for none.</param>
    /// <param name="cancel">Checked between batches.</param>
    /// <param name="attention">Takes the place of the model's attention; null, the default, for its own.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or the text is shorter than a window.</exception>
    public static WindowedLoss Of(LanguageModel model, TokenText text, int length, int? windows = null, IActivationHook? hook = null, CancellationToken cancel = default, IAttentionMethod? attention = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        int[] starts = Starts(text, length, model.Context, windows);
        int together = (int)Math.Clamp((1L << 22) / ((long)length * model.Vocabulary), 1, 16);
        bool training = model.training;
        model.eval();
        try
        {
            using IDisposable off = no_grad();
            var parts = new List<(double[] Losses, double Right)>();
            for (int from = 0; from < starts.Length; from += together)
            {
                cancel.ThrowIfCancellationRequested();
                using DisposeScope scope = NewDisposeScope();
                (Tensor ids, Tensor next) = text.Windows(starts.AsSpan(from, Math.Min(together, starts.Length - from)), length);
                parts.Add(OfLogits(model.Logits(ids, hook, attention: attention), next.to(model.Embeddings.device)));
            }

            return new([.. parts.SelectMany(p => p.Losses)], length, parts.Sum(p => p.Right) / ((double)starts.Length * length));
        }
        finally
        {
            model.train(training);
        }
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"perplexity {Perplexity:F3} over {Losses.Count} windows of {Length} tokens");

    /// <summary>First tokens of disjoint windows.</summary>
    internal static int[] Starts(TokenText text, int length, int context, int? windows)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (length < 1 || length > context) throw new ArgumentOutOfRangeException(nameof(length), length, $"length must be from 1 to the context of {context}.");
        if (windows is { } most) ArgumentOutOfRangeException.ThrowIfNegativeOrZero(most, nameof(windows));
        int count = Math.Min(windows ?? int.MaxValue, (text.Count - 1) / length);
        if (count < 1) throw new ArgumentException($"The text has {text.Count} tokens, too few for a window of {length} and a token to predict behind it.", nameof(text));
        return [.. Enumerable.Range(0, count).Select(i => i * length)];
    }

    /// <summary>Mean loss of each row of logits, and how many tokens had the highest logit.</summary>
    internal static (double[] Losses, double Right) OfLogits(Tensor logits, Tensor next)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor each = nn.functional.cross_entropy(logits.flatten(0, 1), next.flatten(), reduction: nn.Reduction.None).view(next.shape).to(ScalarType.Float64);
        return (each.mean([1L]).cpu().contiguous().data<double>().ToArray(), logits.argmax(-1).eq(next).to(ScalarType.Float64).sum().item<double>());
    }
}
