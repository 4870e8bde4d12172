using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Metrics;

/// <summary>Some windows of a text through a model, clean and changed. Log-probabilities are in float64: a small KL is a difference of nearly equal numbers.</summary>
internal sealed class WindowRun(LanguageModel model, TokenText text, int length, int skip)
{
    private Tensor? _ids, _next, _clean;
    private int _count;

    /// <summary>Runs the clean model on windows from a number on; tensors live in the caller's scope.</summary>
    public void Take(int from, int count, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        (_ids, _next) = text.Windows([.. Enumerable.Range(from, count).Select(w => w * length)], length);
        _next = _next.narrow(1, skip, length - skip);
        _clean = Counted(model.Logits(_ids));
        _count = count;
    }

    /// <summary>Cross-entropy of each window.</summary>
    public void CleanLoss(Span<double> losses)
    {
        for (int w = 0; w < _count; w++)
        {
            using DisposeScope scope = NewDisposeScope();
            losses[w] = Loss(LogProbabilities(_clean!, w), w);
        }
    }

    /// <summary>Cross-entropy of each window under a hook, and KL(clean || changed) where wanted; what is not wanted is empty.</summary>
    /// <param name="hook">The change.</param>
    /// <param name="losses">[windows] or empty.</param>
    /// <param name="divergences">[windows] or empty.</param>
    /// <param name="cancel">Looked at between windows.</param>
    /// <param name="logitChange">[vocabulary] float64, to which the sums over tokens of the logits' changes are added; null for none.</param>
    public void Changed(IActivationHook hook, Span<double> losses, Span<double> divergences, CancellationToken cancel, Tensor? logitChange = null)
    {
        cancel.ThrowIfCancellationRequested();
        using DisposeScope scope = NewDisposeScope();
        Tensor changed = Counted(model.Logits(_ids!, hook));
        for (int w = 0; w < _count; w++)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope inner = NewDisposeScope();
            Tensor after = LogProbabilities(changed, w);
            if (!losses.IsEmpty) losses[w] = Loss(after, w);
            if (!divergences.IsEmpty)
            {
                Tensor before = LogProbabilities(_clean!, w);
                divergences[w] = (before.exp() * (before - after)).sum(1).mean().item<double>();
            }

            logitChange?.add_((changed[w].to(ScalarType.Float64) - _clean![w].to(ScalarType.Float64)).sum([0L]));
        }
    }

    private static Tensor LogProbabilities(Tensor logits, int window) => logits[window].to(ScalarType.Float64).log_softmax(1);

    private double Loss(Tensor logProbabilities, int window) => -logProbabilities.gather(1, _next![window].unsqueeze(1)).mean().item<double>();

    private Tensor Counted(Tensor logits) => logits.narrow(1, skip, length - skip).to(CPU);
}
