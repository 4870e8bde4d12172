using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Metrics;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernel.Autoencoders;

/// <summary>Looks for the usual reasons why an autoencoder that others trained rebuilds nothing: another layer, another scale, a centred residual stream.</summary>
internal static class MismatchHints
{
    // Above this FVU something is probably wrong; what has less than half of it explains it.
    private const double Suspicious = 0.7, Share = 0.5;
    private const int Windows = 16;

    /// <summary>What was found, a line each; empty where nothing is wrong.</summary>
    /// <param name="autoencoder">The autoencoder.</param>
    /// <param name="model">Its model.</param>
    /// <param name="reading">How activations were read.</param>
    /// <param name="text">The text of a decoder; null for encoders.</param>
    /// <param name="fvu">What was measured.</param>
    /// <param name="cancel">Stops the call.</param>
    public static IReadOnlyList<string> Of(SparseAutoencoder autoencoder, HostModel model, Reading reading, TokenText? text, double fvu, CancellationToken cancel)
    {
        if (!(fvu > Suspicious)) return [];
        var hints = new List<string> { FormattableString.Invariant($"an FVU of {fvu:G3} is {(fvu > 1 ? "worse than the mean of the activations alone" : "hardly better than the mean of the activations alone")}; the usual reasons are a wrong layer or place, another scale of the activations, a centred residual stream, or another model") };
        if (text is null) return hints;
        foreach (int layer in (int[])[reading.Site.Layer - 1, reading.Site.Layer + 1])
        {
            if (layer < 0 || layer >= model.Layers) continue;
            var other = reading.Site with { Layer = layer };
            if (FvuAt(other, x => x) is { } there && there < Share * fvu)
                hints.Add(FormattableString.Invariant($"{HookNames.Short(other)} fits far better: FVU {there:G3}. Lists of hidden states count the embeddings first, so their index is one higher than a block's; give --site {HookNames.Short(other)}"));
        }

        if (FvuAt(reading.Site, x => x - x.mean([1L], keepdim: true)) is { } centred && centred < Share * fvu)
            hints.Add(FormattableString.Invariant($"with the mean over the width subtracted FVU is {centred:G3}: it was trained on a model whose writing weights were centred"));
        if (FvuAt(reading.Site, x => x * ActivationScaling.FactorOf(x)) is { } scaled && scaled < Share * fvu)
            hints.Add(FormattableString.Invariant($"on activations scaled to a mean norm of sqrt(d) FVU is {scaled:G3}: it was trained on scaled activations; give --activation-scale (scaling_factor of the training)"));
        return hints;

        double? FvuAt(ActivationSite site, Func<Tensor, Tensor> change)
        {
            using DisposeScope scope = NewDisposeScope();
            using IDisposable off = no_grad();
            var source = new ModelActivations(model.Decoder!, site, text, reading.Length(model), reading.SkipFirst);
            if (source.Width != autoencoder.Width) return null;
            Tensor x = source.Read([.. Enumerable.Range(0, Math.Min(Windows, source.Windows))], cancel).Activations;
            return ReconstructionReport.Of(autoencoder, change(x), cancel: cancel).Fvu;
        }
    }
}
