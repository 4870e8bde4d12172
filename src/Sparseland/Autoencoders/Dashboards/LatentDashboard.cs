using Sparseland.Autoencoders.Metrics;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Dashboards;

/// <summary>
/// What there is to read of every latent of an autoencoder: how often and how strongly it is active, the tokens on which it is, the tokens that it promotes,
/// and the latents near it. Measured in one pass over a text that the autoencoder was not trained on; memory does not grow with the text.
/// </summary>
/// <remarks>
/// Bricken et al. 2023. Top examples alone flatter a latent: many look clear at their largest values and are not below, so each comes with examples from
/// every tenth of its values. Logit weights are those of the direct path and ignore later blocks.
/// </remarks>
public sealed record LatentDashboard
{
    private readonly KeptExamples _examples;
    private readonly ValueHistograms _values;
    private readonly TokenWeight[][] _promoted, _suppressed;
    private readonly LatentNeighbour[][] _nearest;
    private readonly LatentCompanion[][] _together;
    private readonly LatentRemoval?[] _removals;
    private readonly double[] _encoderDecoder;
    private readonly int[] _rank;
    private readonly TextTokenizer _tokenizer;

    private LatentDashboard(
        KeptExamples examples, ValueHistograms values, (TokenWeight[][] Promoted, TokenWeight[][] Suppressed) logits, LatentNeighbour[][] nearest, LatentCompanion[][] together,
        LatentRemoval?[] removals, double[] encoderDecoder, int[] rank, TextTokenizer tokenizer)
    {
        (_examples, _values, _nearest, _together, _removals, _encoderDecoder, _rank, _tokenizer) = (examples, values, nearest, together, removals, encoderDecoder, rank, tokenizer);
        (_promoted, _suppressed) = logits;
    }

    /// <summary>The place in the model.</summary>
    public required ActivationSite Site { get; init; }

    /// <summary>The rule of the autoencoder with its settings.</summary>
    public required string Architecture { get; init; }

    /// <summary>d, the width of the activations.</summary>
    public required int Width { get; init; }

    /// <summary>M, the number of latents.</summary>
    public required int Latents { get; init; }

    /// <summary>Settings of the measurement.</summary>
    public required LatentDashboardOptions Options { get; init; }

    /// <summary>FVU and L0 on the tokens measured.</summary>
    public required ReconstructionReport Reconstruction { get; init; }

    /// <summary>Densities on the tokens measured.</summary>
    public required LatentDensity Density { get; init; }

    /// <summary>Whether the place is in the residual stream, so that latents have logit weights.</summary>
    public required bool HasLogitWeights { get; init; }

    /// <summary>Tokens on which co-activation was counted: all measured, or a random part of them where all supports are too many to hold.</summary>
    public required int CoActivationTokens { get; init; }

    /// <summary>What there is to read of one latent.</summary>
    /// <param name="latent">Its number, from 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such latent.</exception>
    public LatentSummary this[int latent]
    {
        get
        {
            if (latent < 0 || latent >= Latents) throw new ArgumentOutOfRangeException(nameof(latent), latent, $"Latents run from 0 to {Latents - 1}.");
            long active = Density.Active[latent];
            return new()
            {
                Latent = latent,
                Active = active,
                Density = Density.Density[latent],
                DensityRank = _rank[latent],
                Max = _values.Max[latent],
                Mean = active == 0 ? 0 : _values.Sum[latent] / active,
                EncoderDecoder = _encoderDecoder[latent],
                Values = _values.Of(latent),
                Top = _examples.Top(latent),
                Sampled = _examples.Sampled(latent),
                Promoted = _promoted[latent],
                Suppressed = _suppressed[latent],
                Nearest = _nearest[latent],
                Together = _together[latent],
                Removal = _removals[latent],
            };
        }
    }

    /// <summary>Measures an autoencoder on a text.</summary>
    /// <param name="model">The model; in evaluation mode while it is run.</param>
    /// <param name="tokenizer">Its tokenizer, for the texts of tokens.</param>
    /// <param name="autoencoder">The autoencoder, as it codes at inference.</param>
    /// <param name="site">Where it belongs.</param>
    /// <param name="text">A text that it was not trained on.</param>
    /// <param name="options">Settings; null for their defaults.</param>
    /// <param name="progress">Windows done, then latents; null, the default, for none.</param>
    /// <param name="cancel">Stops the call. Never by default.</param>
    /// <exception cref="ArgumentException">An option is out of its range, the text is shorter than a window, the model has no such place, widths differ, or the activations have no variance.</exception>
    /// <exception cref="InvalidDataException">An activation or a value of a latent is not finite; the message names window and token.</exception>
    /// <exception cref="InvalidOperationException">The rule needs what has not been learned yet, such as a threshold.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static LatentDashboard Of(
        LanguageModel model, TextTokenizer tokenizer, SparseAutoencoder autoencoder, ActivationSite site, TokenText text, LatentDashboardOptions? options = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(autoencoder);
        ArgumentNullException.ThrowIfNull(text);
        options ??= new();
        (int length, int windows) = options.For(model, text);
        int[] ids = text.Ids[..((windows * length) + 1)].ToArray();
        var source = new ModelActivations(model, site, new TokenText(ids), length, options.SkipFirst, options.Batch);
        CodeStream.CheckWidth(autoencoder, source.Width, source.Description, nameof(autoencoder));
        bool training = model.training;
        model.eval();
        try
        {
            using IDisposable off = no_grad();
            return Measure(source, site, ids, length, tokenizer, autoencoder, model, options, progress, cancel);
        }
        finally
        {
            model.train(training);
        }
    }

    /// <summary>Measures an autoencoder on the tokens of a text encoder; an encoder has no logits, so there are no weights of tokens.</summary>
    /// <param name="tokenizer">The encoder's tokenizer, for the texts of tokens.</param>
    /// <param name="autoencoder">The autoencoder, as it codes at inference.</param>
    /// <param name="source">States of the encoder at tokens of texts that it was not trained on.</param>
    /// <param name="options">Settings; null for their defaults. Length, windows and batch are those of the source.</param>
    /// <param name="progress">Windows done, then latents; null, the default, for none.</param>
    /// <param name="cancel">Stops the call. Never by default.</param>
    /// <exception cref="ArgumentException">
    /// An option is out of its range, or says what is the source's; the source pools its tokens, widths differ, or the activations have no variance.
    /// </exception>
    /// <exception cref="InvalidDataException">An activation or a value of a latent is not finite; the message names window and token.</exception>
    /// <exception cref="InvalidOperationException">The rule needs what has not been learned yet, such as a threshold.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static LatentDashboard Of(
        TextTokenizer tokenizer, SparseAutoencoder autoencoder, EncoderActivations source, LatentDashboardOptions? options = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(autoencoder);
        ArgumentNullException.ThrowIfNull(source);
        options ??= new();
        options.Check();
        if (options.Length is not null || options.Windows is not null || options.SkipFirst != 0)
            throw new ArgumentException($"{nameof(options.Length)}, {nameof(options.Windows)} and {nameof(options.SkipFirst)} are those of the source; leave them out.", nameof(options));
        if (options.RemovalExamples != 0) throw new ArgumentException($"{nameof(options.RemovalExamples)} is {options.RemovalExamples}; an encoder has no next token that a latent could change, so leave it out.", nameof(options));
        int[] ids = source.Ids() ?? throw new ArgumentException("The source gives a mean over the tokens of each text; examples need a row for each token.", nameof(source));
        CodeStream.CheckWidth(autoencoder, source.Width, source.Description, nameof(autoencoder));
        using IDisposable off = no_grad();
        return Measure(source, source.Site, ids, source.TokensPerWindow, tokenizer, autoencoder, null, options, progress, cancel);
    }

    private static LatentDashboard Measure(
        IActivationSource source, ActivationSite site, int[] ids, int length, TextTokenizer tokenizer, SparseAutoencoder autoencoder, LanguageModel? model, LatentDashboardOptions options,
        IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        var reconstruction = new ReconstructionReport.Measure(autoencoder, source);
        var densities = new LatentDensity.Measure(autoencoder.Latents, source);
        var together = new CoActivation(autoencoder.Latents, options.Seed);
        var values = new ValueHistograms(autoencoder.Latents);
        var examples = new KeptExamples(autoencoder.Latents, ids, length, options);
        var codes = new WindowCodes(source, options.SkipFirst, (latent, run) =>
        {
            foreach (float value in run.Values) values.Add(latent, value);
            examples.Add(latent, run);
        });
        CodeStream.Each(autoencoder, source, "reading activations", progress, cancel, (x, code, first) =>
        {
            reconstruction.Add(x, code, first);
            densities.Add(x, code, first);
            together.Add(x, code, first);
            codes.Add(x, code, first);
        });
        codes.Close();

        LanguageModel? unembedding = model is not null && Directions.ReachLogits(model, autoencoder, site) ? model : null;
        LatentDensity density = densities.Report();
        int[] alive = [.. Enumerable.Range(0, autoencoder.Latents).Where(i => density.Active[i] > 0)], rank = new int[autoencoder.Latents];
        foreach ((int i, int place) in Enumerable.Range(0, autoencoder.Latents).OrderByDescending(i => density.Active[i]).Select((i, place) => (i, place))) rank[i] = place + 1;
        TokenWeight[][] none = new TokenWeight[autoencoder.Latents][];
        Array.Fill(none, []);
        (TokenWeight[][], TokenWeight[][]) logits = unembedding is null
            ? (none, none)
            : Directions.Logits(unembedding, autoencoder, Math.Min(unembedding.Vocabulary, tokenizer.Vocabulary), options.LogitTokens, progress, cancel);
        LatentNeighbour[][] nearest = Directions.Nearest(autoencoder, alive, options.Neighbours, progress, cancel);
        LatentCompanion[][] companions = together.Companions(options.Neighbours, options.MinTogether, progress, cancel);
        LatentRemoval?[] removals = model is null || options.RemovalExamples == 0
            ? new LatentRemoval?[autoencoder.Latents]
            : new LatentRemovals(model, site, autoencoder, ids, length, options).Of(examples, progress, cancel);
        return new(examples, values, logits, nearest, companions, removals, Directions.EncoderDecoder(autoencoder), rank, tokenizer)
        {
            Site = site, Architecture = autoencoder.Rule.Description, Width = autoencoder.Width, Latents = autoencoder.Latents, Options = options,
            Reconstruction = reconstruction.Report(), Density = density, HasLogitWeights = unembedding is not null, CoActivationTokens = together.Tokens,
        };
    }

    /// <summary>The pieces of a token, for showing it.</summary>
    /// <param name="token">Id of the token.</param>
    public IReadOnlyList<TokenPart> Spell(int token) => TokenPart.Of(_tokenizer, token);

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
