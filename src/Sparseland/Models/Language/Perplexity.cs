using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>How well a model predicts a text.</summary>
/// <param name="Loss">Mean negative log-probability of a token, in nats.</param>
/// <param name="Tokens">Tokens predicted.</param>
public sealed record TextLoss(double Loss, long Tokens)
{
    /// <summary>exp(loss): among how many equally likely tokens the model wavers.</summary>
    public double Perplexity => Math.Exp(Loss);
}

/// <summary>Loss over a text in windows.</summary>
public static class Perplexity
{
    /// <summary>
    /// Loss of a model over a text. Windows overlap by <paramref name="length"/> - <paramref name="stride"/> tokens, and each token counts
    /// once, with at least that much text before it (but at the beginning of the text).
    /// </summary>
    /// <param name="model">The model; left in the mode it was in.</param>
    /// <param name="text">The text.</param>
    /// <param name="length">Tokens of a window; the model's context where null. A shorter text is one window.</param>
    /// <param name="stride">From window to window; half a window where null. <paramref name="length"/> is fastest, 1 the fairest.</param>
    /// <param name="batch">Windows at once; as many as keep the logits within 2^24 numbers, at most 16, where null.</param>
    /// <param name="hook">Replaces activations: what does a change of them cost? Null, the default, for none.</param>
    /// <param name="progress">Windows done.</param>
    /// <param name="cancel">Checked between batches.</param>
    /// <param name="attention">Takes the place of the model's attention; null, the default, for its own.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or a token outside the vocabulary.</exception>
    public static TextLoss Of(
        LanguageModel model, TokenText text, int? length = null, int? stride = null, int? batch = null, IActivationHook? hook = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default, IAttentionMethod? attention = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(text);
        if (length is { } wanted && (wanted < 1 || wanted > model.Context))
            throw new ArgumentOutOfRangeException(nameof(length), length, $"length must be from 1 to the context of {model.Context}.");
        int window = Math.Min(length ?? model.Context, text.Count - 1), step = stride ?? Math.Max(1, window / 2);
        if (step < 1 || step > window) throw new ArgumentOutOfRangeException(nameof(stride), stride, $"stride must be from 1 to the window of {window}.");
        int together = batch ?? (int)Math.Clamp((1L << 24) / ((long)window * model.Vocabulary), 1, 16);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(together, nameof(batch));
        var starts = new List<int>();
        for (int start = 0; ; start += step)
        {
            starts.Add(Math.Min(start, text.Count - 1 - window));
            if (start + window >= text.Count - 1) break;
        }

        bool training = model.training;
        model.eval();
        try
        {
            return Sum(model, text, [.. starts], window, together, new(hook, Attention: attention), progress, cancel);
        }
        finally
        {
            model.train(training);
        }
    }

    private static TextLoss Sum(LanguageModel model, TokenText text, int[] starts, int window, int batch, ModelCall call, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        using IDisposable off = no_grad();
        double sum = 0;
        long tokens = 0;
        int counted = 0;
        for (int from = 0; from < starts.Length; from += batch)
        {
            cancel.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            int[] some = starts[from..Math.Min(starts.Length, from + batch)];
            (Tensor ids, Tensor next) = text.Windows(some, window);
            next = next.to(model.Embeddings.device);
            Tensor losses = nn.functional.cross_entropy(model.Logits(ids, call.Hook, attention: call.Attention).flatten(0, 1), next.flatten(), reduction: nn.Reduction.None).view(some.Length, window).to(ScalarType.Float64);
            for (int w = 0; w < some.Length; w++)
            {
                // Tokens up to `counted` have been predicted by the windows before.
                int fresh = some[w] + window - counted;
                sum += losses[w].narrow(0, window - fresh, fresh).sum().item<double>();
                tokens += fresh;
                counted += fresh;
            }

            progress?.Report(new(from + some.Length, starts.Length, FormattableString.Invariant($"loss {sum / tokens:F3}")));
        }

        return new(sum / tokens, tokens);
    }
}
