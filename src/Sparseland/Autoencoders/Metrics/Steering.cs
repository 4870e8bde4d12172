using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Metrics;

/// <summary>
/// How strongly latents steer a model: x + c w at every position, w the unit decoder row of a latent, over latents drawn at random; random unit directions
/// are the control. An effect is the mean KL(clean || steered) of a token and the largest mean change of a logit.
/// </summary>
public sealed record Steering
{
    private Steering()
    {
    }

    /// <summary>The place.</summary>
    public required ActivationSite Site { get; init; }

    /// <summary>c.</summary>
    public required double Strength { get; init; }

    /// <summary>Mean norm of the activations on the measured windows.</summary>
    public required double MeanNorm { get; init; }

    /// <summary>Windows measured.</summary>
    public required int Windows { get; init; }

    /// <summary>Tokens of a window.</summary>
    public required int TokensPerWindow { get; init; }

    /// <summary>Tokens that each direction was measured on.</summary>
    public long Tokens => (long)Windows * TokensPerWindow;

    /// <summary>Latents that were dense enough to be drawn.</summary>
    public required int Eligible { get; init; }

    /// <summary>Effect of each latent that was drawn, by number of latent.</summary>
    public required IReadOnlyList<SteeringEffect> Latents { get; init; }

    /// <summary>Effect of each random direction.</summary>
    public required IReadOnlyList<SteeringEffect> Random { get; init; }

    /// <summary>The latents together.</summary>
    public SteeringDistribution OfLatents => SteeringEffect.Of(Latents);

    /// <summary>The random directions together.</summary>
    public SteeringDistribution OfRandom => SteeringEffect.Of(Random);

    /// <summary>Steers a model over a text.</summary>
    /// <param name="model">The model; left in the mode it was in.</param>
    /// <param name="site">The place; its values must be [batch, tokens, d].</param>
    /// <param name="autoencoder">The autoencoder.</param>
    /// <param name="density">Its densities.</param>
    /// <param name="text">The text; a held-out one.</param>
    /// <param name="options">Settings; null, the default, for their defaults.</param>
    /// <param name="progress">Calls of the model done; null, the default, for none.</param>
    /// <param name="cancel">Looked at between calls of the model. Never by default.</param>
    /// <exception cref="ArgumentException">
    /// Widths or numbers of latents differ, the model has no such place, a setting is out of its range, or fewer latents are dense enough than are to be drawn.
    /// </exception>
    /// <exception cref="InvalidDataException">A value at the place is not finite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static Steering Of(
        LanguageModel model, ActivationSite site, SparseAutoencoder autoencoder, LatentDensity density, TokenText text, SteeringOptions? options = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(autoencoder);
        ArgumentNullException.ThrowIfNull(density);
        ArgumentNullException.ThrowIfNull(text);
        options ??= new();
        (int length, int windows, int batch) = Sizes(model, text, options);
        int[] eligible = Eligibles(autoencoder, density, options);
        var source = new ModelActivations(model, site, text, length, batch: batch);
        CodeStream.CheckWidth(autoencoder, source.Width, source.Description, nameof(autoencoder));
        bool training = model.training;
        model.eval();
        try
        {
            using IDisposable off = no_grad();
            using DisposeScope scope = NewDisposeScope();
            double norm = MeanNormOf(source, windows, batch, cancel);
            double strength = options.Strength ?? (norm / 4);
            int[] latents = Drawn(eligible, options);
            Tensor directions = Directions(autoencoder, latents, options);
            var (divergences, changes) = Measure(model, site, text, (length, windows, batch), directions * strength, progress, cancel);
            SteeringEffect[] effects = [.. Enumerable.Range(0, divergences.Length).Select(i => Effect(i < latents.Length ? latents[i] : null, divergences[i], changes[i] / ((double)windows * length)))];
            return new()
            {
                Site = site, Strength = strength, MeanNorm = norm, Windows = windows, TokensPerWindow = length, Eligible = eligible.Length,
                Latents = effects[..latents.Length], Random = effects[latents.Length..],
            };
        }
        finally
        {
            model.train(training);
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    private static (int Length, int Windows, int Batch) Sizes(LanguageModel model, TokenText text, SteeringOptions options)
    {
        if (options.Latents < 1) throw new ArgumentException($"{nameof(options.Latents)} is {options.Latents}; it must be positive.", nameof(options));
        if (options.Strength is { } c && !double.IsFinite(c)) throw new ArgumentException($"{nameof(options.Strength)} is {c}; it must be finite.", nameof(options));
        if (!(options.MinDensity >= 0)) throw new ArgumentException($"{nameof(options.MinDensity)} is {options.MinDensity}; it must not be negative.", nameof(options));
        (int length, int all, int batch) = new DownstreamFaithfulnessOptions { Length = options.Length, Windows = options.Windows }.For(model, text);
        return (length, options.Windows ?? Math.Min(all, 4), batch);
    }

    private static int[] Eligibles(SparseAutoencoder autoencoder, LatentDensity density, SteeringOptions options)
    {
        if (density.Density.Length != autoencoder.Latents)
            throw new ArgumentException($"The densities are of {density.Density.Length} latents, the autoencoder has {autoencoder.Latents}.", nameof(density));
        int[] eligible = [.. Enumerable.Range(0, autoencoder.Latents).Where(i => density.Density[i] > options.MinDensity)];
        return eligible.Length >= options.Latents
            ? eligible
            : throw new ArgumentException(FormattableString.Invariant($"{eligible.Length} latents have a density above {options.MinDensity} on {density.Tokens} tokens, but {options.Latents} are to be drawn; set {nameof(options.Latents)} lower."), nameof(options));
    }

    private static int[] Drawn(int[] eligible, SteeringOptions options)
    {
        int[] order = [.. eligible];
        new SeededRandom(options.Seed, 640).Shuffle(order.AsSpan());
        return [.. order.Take(options.Latents).Order()];
    }

    // Unit rows: those of the latents, then as many random ones.
    private static Tensor Directions(SparseAutoencoder autoencoder, int[] latents, SteeringOptions options)
    {
        var random = new SeededRandom(options.Seed, 641);
        double[] numbers = new double[latents.Length * autoencoder.Width];
        for (int i = 0; i < numbers.Length; i++) numbers[i] = random.NextGaussian();
        Tensor rows = cat([autoencoder.Decoder.index_select(0, tensor(latents, dtype: ScalarType.Int64)).to(ScalarType.Float64), tensor(numbers, [latents.Length, autoencoder.Width])]);
        Tensor norms = rows.norm(1, keepdim: true);
        long zero = Array.FindIndex(norms.data<double>().ToArray(), n => !(n > 0));
        return zero < 0 ? rows / norms : throw new ArgumentException($"The decoder row of latent {latents[zero]} is zero; it has no direction.", nameof(autoencoder));
    }

    private static double MeanNormOf(ModelActivations source, int windows, int batch, CancellationToken cancel)
    {
        double sum = 0;
        for (int from = 0; from < windows; from += batch)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor x = source.Read([.. Enumerable.Range(from, Math.Min(batch, windows - from))], cancel).Activations;
            CodeStream.CheckFinite(x, (long)from * source.TokensPerWindow, CodeStream.PlaceIn(source));
            sum += x.to(ScalarType.Float64).norm(1).sum().item<double>();
        }

        return sum / ((double)windows * source.TokensPerWindow);
    }

    private static (double[][] Divergences, Tensor[] Changes) Measure(
        LanguageModel model, ActivationSite site, TokenText text, (int Length, int Windows, int Batch) sizes, Tensor steps, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        int n = (int)steps.shape[0], calls = (sizes.Windows + sizes.Batch - 1) / sizes.Batch * n, done = 0;
        double[][] divergences = [.. Enumerable.Range(0, n).Select(_ => new double[sizes.Windows])];
        Tensor[] changes = [.. Enumerable.Range(0, n).Select(_ => zeros(model.Vocabulary, dtype: ScalarType.Float64))];
        var run = new WindowRun(model, text, sizes.Length, skip: 0);
        for (int from = 0; from < sizes.Windows; from += sizes.Batch)
        {
            int count = Math.Min(sizes.Batch, sizes.Windows - from);
            using DisposeScope scope = NewDisposeScope();
            run.Take(from, count, cancel);
            for (int i = 0; i < n; i++)
            {
                Tensor step = steps[i];
                IActivationHook hook = ActivationHook.Replace(site, value => Splice.Changed(site, value, 0, x => x + step.to(x.dtype).to(x.device)));
                run.Changed(hook, [], divergences[i].AsSpan(from, count), cancel, changes[i]);
                progress?.Report(new(++done, calls, "steering"));
            }
        }

        return (divergences, changes);
    }

    private static SteeringEffect Effect(int? latent, double[] divergences, Tensor change)
    {
        int token = (int)change.abs().argmax().item<long>();
        return new(latent, WindowEstimate.Mean(divergences), change[token].item<double>(), token);
    }
}
