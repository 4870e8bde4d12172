using Sparseland.Evaluation;
using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Metrics;

/// <summary>
/// What a model loses when an autoencoder's reconstruction takes the place of its activations: cross-entropy (nats a token) of the clean model, the
/// spliced one, and with zeros and with the mean in the place, window by window; and KL(clean || spliced).
/// </summary>
/// <remarks>
/// <see cref="CrossEntropyIncrease"/> and <see cref="KullbackLeibler"/> are the honest pair: the share of loss recovered depends on the ablation and is near one for
/// any autoencoder of a residual stream.
/// </remarks>
public sealed record DownstreamFaithfulness
{
    private DownstreamFaithfulness()
    {
    }

    /// <summary>The place.</summary>
    public required ActivationSite Site { get; init; }

    /// <summary>Windows measured.</summary>
    public required int Windows { get; init; }

    /// <summary>Tokens counted of each window.</summary>
    public required int TokensPerWindow { get; init; }

    /// <summary>Tokens counted in all.</summary>
    public long Tokens => (long)Windows * TokensPerWindow;

    /// <summary>Cross-entropy of the model as it is, per window.</summary>
    public required double[] Clean { get; init; }

    /// <summary>With the reconstruction, per window.</summary>
    public required double[] Spliced { get; init; }

    /// <summary>With zeros, per window.</summary>
    public required double[] Zeros { get; init; }

    /// <summary>With the mean activation of the measured tokens, per window.</summary>
    public required double[] Mean { get; init; }

    /// <summary>Mean KL(clean || spliced) of a token, per window, in nats.</summary>
    public required double[] Divergence { get; init; }

    /// <summary>Cross-entropy of the model as it is.</summary>
    public WindowEstimate CleanCrossEntropy => WindowEstimate.Mean(Clean);

    /// <summary>Cross-entropy with the reconstruction.</summary>
    public WindowEstimate SplicedCrossEntropy => WindowEstimate.Mean(Spliced);

    /// <summary>Cross-entropy with zeros.</summary>
    public WindowEstimate ZeroCrossEntropy => WindowEstimate.Mean(Zeros);

    /// <summary>Cross-entropy with the mean.</summary>
    public WindowEstimate MeanCrossEntropy => WindowEstimate.Mean(Mean);

    /// <summary>Spliced minus clean, paired by window.</summary>
    public WindowEstimate CrossEntropyIncrease => WindowEstimate.Mean(Minus(Spliced, Clean));

    /// <summary>Mean KL(clean || spliced) of a token, in nats.</summary>
    public WindowEstimate KullbackLeibler => WindowEstimate.Mean(Divergence);

    /// <summary>(zeros - spliced) / (zeros - clean).</summary>
    public WindowEstimate RecoveredOfZeros => WindowEstimate.Ratio(Minus(Zeros, Spliced), Minus(Zeros, Clean));

    /// <summary>(mean - spliced) / (mean - clean).</summary>
    public WindowEstimate RecoveredOfMean => WindowEstimate.Ratio(Minus(Mean, Spliced), Minus(Mean, Clean));

    /// <summary>Measures over a text.</summary>
    /// <param name="model">The model; left in the mode it was in.</param>
    /// <param name="site">The place; its values must be [batch, tokens, d].</param>
    /// <param name="autoencoder">The autoencoder.</param>
    /// <param name="text">The text; a held-out one.</param>
    /// <param name="options">Settings; null, the default, for their defaults.</param>
    /// <param name="progress">Windows done; null, the default, for none.</param>
    /// <param name="cancel">Looked at between calls of the model. Never by default.</param>
    /// <exception cref="ArgumentException">The widths differ, the model has no such place, the text is too short, or a setting is out of its range.</exception>
    /// <exception cref="InvalidDataException">A value at the place is not finite; the message names window and token (counted after those left out).</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static DownstreamFaithfulness Of(
        LanguageModel model, ActivationSite site, SparseAutoencoder autoencoder, TokenText text, DownstreamFaithfulnessOptions? options = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(autoencoder);
        return OfAll(model, site, [autoencoder], text, options, progress, cancel)[0];
    }

    /// <summary>Measures several autoencoders over the same text: the model runs once as it is and with the place wiped, and once for each of them.</summary>
    /// <param name="model">The model; left in the mode it was in.</param>
    /// <param name="site">The place; its values must be [batch, tokens, d].</param>
    /// <param name="autoencoders">The autoencoders, at least one.</param>
    /// <param name="text">The text; a held-out one.</param>
    /// <param name="options">Settings; null, the default, for their defaults.</param>
    /// <param name="progress">Windows done; null, the default, for none.</param>
    /// <param name="cancel">Looked at between calls of the model. Never by default.</param>
    /// <returns>In the order of the autoencoders.</returns>
    /// <exception cref="ArgumentException">There is none, widths differ, the model has no such place, the text is too short, or a setting is out of its range.</exception>
    /// <exception cref="InvalidDataException">A value at the place is not finite; the message names window and token (counted after those left out).</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static IReadOnlyList<DownstreamFaithfulness> OfAll(
        LanguageModel model, ActivationSite site, IReadOnlyList<SparseAutoencoder> autoencoders, TokenText text, DownstreamFaithfulnessOptions? options = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(autoencoders);
        ArgumentNullException.ThrowIfNull(text);
        if (autoencoders.Count == 0) throw new ArgumentException("There is no autoencoder to measure.", nameof(autoencoders));
        options ??= new();
        (int length, int windows, int batch) = options.For(model, text);
        var source = new ModelActivations(model, site, text, length, options.SkipFirst, batch);
        foreach (SparseAutoencoder autoencoder in autoencoders)
        {
            ArgumentNullException.ThrowIfNull(autoencoder, nameof(autoencoders));
            CodeStream.CheckWidth(autoencoder, source.Width, source.Description, "autoencoder");
        }

        bool training = model.training;
        model.eval();
        try
        {
            using IDisposable off = no_grad();
            using DisposeScope scope = NewDisposeScope();
            Tensor mean = MeanOf(source, windows, batch, progress, cancel);
            var run = new WindowRun(model, text, length, options.SkipFirst);
            IActivationHook[] hooks =
            [
                ActivationHook.Replace(site, value => Splice.Changed(site, value, options.SkipFirst, rest => zeros_like(rest))),
                ActivationHook.Replace(site, value => Splice.Changed(site, value, options.SkipFirst, rest => mean.to(rest.dtype).to(rest.device).expand(rest.shape))),
                .. autoencoders.Select(autoencoder => new Splice(autoencoder, site, options.SkipFirst)),
            ];
            const int Wiped = 2;
            double[] clean = new double[windows];
            double[][] changed = [.. hooks.Select(_ => new double[windows])], divergences = [.. autoencoders.Select(_ => new double[windows])];
            for (int from = 0; from < windows; from += batch)
            {
                int count = Math.Min(batch, windows - from);
                using DisposeScope inner = NewDisposeScope();
                run.Take(from, count, cancel);
                run.CleanLoss(clean.AsSpan(from, count));
                for (int h = 0; h < hooks.Length; h++)
                    run.Changed(hooks[h], changed[h].AsSpan(from, count), h >= Wiped ? divergences[h - Wiped].AsSpan(from, count) : [], cancel);
                progress?.Report(new(from + count, windows, FormattableString.Invariant($"cross-entropy {clean.Take(from + count).Average():F3}, spliced {changed[^1].Take(from + count).Average():F3}")));
            }

            return [.. divergences.Select((divergence, a) => new DownstreamFaithfulness
            {
                Site = site, Windows = windows, TokensPerWindow = length - options.SkipFirst,
                Clean = [.. clean], Spliced = changed[Wiped + a], Zeros = [.. changed[0]], Mean = [.. changed[1]], Divergence = divergence,
            })];
        }
        finally
        {
            model.train(training);
        }
    }

    /// <summary>Whether another autoencoder costs more or less cross-entropy on the same windows: this one's increase minus the other's, paired.</summary>
    /// <param name="other">Measured with the same model, text and windows.</param>
    /// <param name="seed">Seed of the resamples. Default 1.</param>
    /// <exception cref="ArgumentException">The windows or the clean cross-entropies differ, or there is one window only.</exception>
    public PairedBootstrap CompareCrossEntropy(DownstreamFaithfulness other, int seed = 1)
    {
        CheckPaired(other);
        return PairedBootstrap.Compare(Spliced, other.Spliced, seed);
    }

    /// <summary>Whether another autoencoder changes the predictions more or less on the same windows: this one's KL minus the other's, paired.</summary>
    /// <param name="other">Measured with the same model, text and windows.</param>
    /// <param name="seed">Seed of the resamples. Default 1.</param>
    /// <exception cref="ArgumentException">The windows or the clean cross-entropies differ, or there is one window only.</exception>
    public PairedBootstrap CompareDivergence(DownstreamFaithfulness other, int seed = 1)
    {
        CheckPaired(other);
        return PairedBootstrap.Compare(Divergence, other.Divergence, seed);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    private void CheckPaired(DownstreamFaithfulness other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (other.Windows != Windows || other.TokensPerWindow != TokensPerWindow)
            throw new ArgumentException($"The other was measured on {other.Windows} windows of {other.TokensPerWindow} tokens, this on {Windows} of {TokensPerWindow}; pairs need the same.", nameof(other));

        // Sums of another batch size differ in the last digits alone.
        int differs = Array.FindIndex([.. Clean.Zip(other.Clean)], pair => Math.Abs(pair.First - pair.Second) > 1e-4);
        if (differs >= 0)
            throw new ArgumentException(FormattableString.Invariant($"The clean model's cross-entropy of window {differs} is {Clean[differs]} here and {other.Clean[differs]} there: another model or text."), nameof(other));
    }

    private static double[] Minus(double[] a, double[] b) => [.. a.Zip(b, (x, y) => x - y)];

    private static Tensor MeanOf(ModelActivations source, int windows, int batch, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        // sum(0) would read its argument as a type: 0 is a byte.
        Tensor sum = zeros(source.Width, dtype: ScalarType.Float64);
        for (int from = 0; from < windows; from += batch)
        {
            using DisposeScope scope = NewDisposeScope();
            int count = Math.Min(batch, windows - from);
            Tensor x = source.Read([.. Enumerable.Range(from, count)], cancel).Activations;
            CodeStream.CheckFinite(x, (long)from * source.TokensPerWindow, CodeStream.PlaceIn(source));
            sum.add_(x.to(ScalarType.Float64).sum([0L]));
            progress?.Report(new(0, windows, $"mean activation, {from + count} of {windows} windows"));
        }

        return sum.div_((double)windows * source.TokensPerWindow);
    }
}
