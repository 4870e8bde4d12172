using Sparseland.Solvers;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// Trains any <see cref="SparseAutoencoder"/>: pre-activations, choice, sparse decoding, losses, sparse gradients, Adam, decoder of unit rows, statistics. It
/// is a <see cref="TrainingLoop"/>, so it goes on from a checkpoint bit for bit, thresholds, densities and silent latents included.
/// </summary>
public sealed class AutoencoderTrainer : IDisposable
{
    private readonly TrainingLoop _loop;
    private readonly AutoencoderTrainingOptions _options;
    private readonly IBatchSource _batches;
    private readonly List<SparseCode> _codes = [];

    /// <summary>Prepares a training.</summary>
    /// <param name="autoencoder">Trained in place; stays the caller's.</param>
    /// <param name="batches">Activations [tokens, d] as the input of each batch; a target of the same shape is taken as gradients.</param>
    /// <param name="options">Settings; null for their defaults.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or the first batch does not fit the autoencoder.</exception>
    public AutoencoderTrainer(SparseAutoencoder autoencoder, IBatchSource batches, AutoencoderTrainingOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(autoencoder);
        ArgumentNullException.ThrowIfNull(batches);
        (Autoencoder, _batches, _options) = (autoencoder, batches, options ?? new());
        _options.Validate();
        Check();
        double tokens = (double)Start() * _options.Steps * _options.Accumulate;
        Statistics = new(autoencoder.Latents, Math.Max(1, tokens / 10));
        Warnings = autoencoder.Rule.NeedsMixtures ? [.. Unmixed()] : [];
        _loop = new(new State(autoencoder, Statistics), batches, Gradients, _options with { Variant = Variant() }, new() { OnBeforeStep = _ => Forget(), OnGradients = _ => Project(), OnStep = (_, _) => Finish() });
    }

    /// <summary>What is trained.</summary>
    public SparseAutoencoder Autoencoder { get; }

    /// <summary>How often latents fire and how long they have been silent.</summary>
    public LatentStatistics Statistics { get; }

    /// <summary>What will probably go wrong though nothing forbids it, such as batches of neighbours where latents choose their tokens; empty where nothing is known.</summary>
    public IReadOnlyList<string> Warnings { get; }

    /// <summary>Reports of all steps so far; the loss is that of the reconstruction with all that was added to it.</summary>
    public IReadOnlyList<StepReport> History => _loop.History;

    /// <summary>Makes the remaining steps.</summary>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <exception cref="ArgumentException">A batch does not fit or holds a value that is not finite; the message names batch and token.</exception>
    /// <exception cref="DivergenceException">A loss or gradient is not finite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; the autoencoder is that of the last whole step.</exception>
    public TrainingResult Run(IProgress<ProgressReport>? progress = null, CancellationToken cancel = default) => _loop.Run(progress, cancel);

    /// <summary>Makes one step.</summary>
    /// <param name="cancel">Checked before it.</param>
    public StepReport Step(CancellationToken cancel = default) => _loop.Step(cancel);

    /// <summary>Writes all that the training needs to go on.</summary>
    /// <param name="path">The file.</param>
    public void Save(string path) => _loop.Save(path);

    /// <summary>Goes on where a checkpoint stopped.</summary>
    /// <param name="path">A file that <see cref="Save"/> wrote for an equal training.</param>
    /// <exception cref="InvalidDataException">It is of another training; the message names what differs. Nothing has changed.</exception>
    public void Load(string path) => _loop.Load(path);

    /// <summary>Frees the moments; the autoencoder stays.</summary>
    public void Dispose()
    {
        Forget();
        _loop.Dispose();
    }

    /// <summary>What must be the same where a checkpoint is taken up.</summary>
    private string Variant() =>
        $"{_options.Variant}{Autoencoder.Rule.Description}; {string.Join(", ", _options.Losses.Select(loss => loss.Description))}; {(_options.UnitDecoder ? "unit" : "free")} decoder, {(_options.ScaleActivations ? "scaled" : "as they are")}{(Autoencoder.CentreInput ? "" : ", input not centred")}";

    /// <summary>What must fit together before any work is done.</summary>
    private void Check()
    {
        if (Autoencoder.TokenScaling != TokenScaling.None)
            throw new ArgumentException($"The autoencoder scales each token by itself ({Autoencoder.TokenScaling}), which a training here does not: it scales all by one constant.", "autoencoder");
        if (_options.EvaluateEvery > 0)
            throw new ArgumentException($"{nameof(_options.EvaluateEvery)} is {_options.EvaluateEvery}, but a training of an autoencoder evaluates nothing by itself: make steps one by one and measure between them.", "options");
        foreach (AuxiliaryLoss loss in _options.Losses) loss.Check(Autoencoder);
        Autoencoder.Rule.CheckLosses(_options.Losses);
        if (!_options.UnitDecoder)
        {
            if (Autoencoder.Rule.ComparesLatents)
                throw new ArgumentException($"{Autoencoder.Rule.Architecture} compares latents with one another, and with a free decoder a latent would win by a short row; set {nameof(_options.UnitDecoder)}.", "options");
            return;
        }

        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        double gap = (Autoencoder.Decoder.norm(1) - 1).abs().max().to(ScalarType.Float64).item<double>();
        if (!(gap <= 1e-3))
            throw new ArgumentException(FormattableString.Invariant($"{nameof(_options.UnitDecoder)} is set, but a row of the decoder has a norm that differs from one by {gap:G3}. Begin with norm one, or set it to false."), "options");
    }

    /// <summary>Looks at the first batches: sizes, the scale, and the mean that the decoder's bias begins with. Gives the tokens of a batch.</summary>
    private long Start()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Batch batch = _batches.At(0);
        Tensor first = Checked(batch, 0);
        if (Autoencoder.Rule.NeedsGradients && GradientsOf(batch) is null)
        {
            string there = batch.Target is null || batch.Target.numel() == 0 ? "none" : $"[{string.Join(", ", batch.Target.shape)}]";
            throw new ArgumentException($"{Autoencoder.Rule.Architecture} needs gradients in training, [{string.Join(", ", first.shape)}] as the activations, but the first batch has {there} ({_batches.Description}): take a source that has them, such as {nameof(ModelActivations)} with gradients.", "batches");
        }

        if (_options.CentreOn == 0 && !_options.ScaleActivations) return first.shape[0];
        Tensor sum = zeros(Autoencoder.Width, dtype: ScalarType.Float64);
        long seen = 0, wanted = _options.CentreOn == 0 ? 20_000 : _options.CentreOn;
        double norms = 0;

        // Batches beyond those of the training might not exist.
        for (long i = 0; seen < wanted && i < _options.Steps * _options.Accumulate; i++)
        {
            using DisposeScope inner = NewDisposeScope();
            Tensor x = i == 0 ? first : Checked(_batches.At(i), i);
            x = x.narrow(0, 0, Math.Min(x.shape[0], wanted - seen));
            sum.add_(x.sum([0L], type: ScalarType.Float64));
            norms += x.to(ScalarType.Float64).norm(1).sum().item<double>();
            seen += x.shape[0];
        }

        if (_options.ScaleActivations) Autoencoder.Scaling.Set(ActivationScaling.FactorOf(norms / seen, Autoencoder.Width));
        if (_options.CentreOn > 0) Autoencoder.DecoderBias.copy_(Autoencoder.Scaling.Apply(sum.div_(seen)));
        return first.shape[0];
    }

    /// <summary>Says so where the first batches are no mixtures.</summary>
    private IEnumerable<string> Unmixed()
    {
        long there = Math.Min(8, _options.Steps * _options.Accumulate);
        double spread = there < 2 ? double.NaN : BatchMixture.Of(_batches, (int)there);
        if (spread > BatchMixture.MostOfMixtures)
            yield return FormattableString.Invariant($"The means of the first {there} batches scatter {spread:0.#} times as much as those of mixtures: neighbours of a text stand together. Under {Autoencoder.Rule.Architecture} a latent gets the same share of every batch, so codes will be worse than on mixed batches; {nameof(ActivationBuffer)} mixes ({_batches.Description}).");
    }

    /// <summary>The activations of a batch; what is wrong with them is said with its number and with where batches come from.</summary>
    private Tensor Checked(Batch batch, long index)
    {
        try
        {
            Autoencoder.CheckActivations(batch.Input);
            return batch.Input;
        }
        catch (ArgumentException e)
        {
            throw new ArgumentException($"Batch {index} ({_batches.Description}) does not fit: {e.Message}", "batches", e);
        }
    }

    private static Tensor? GradientsOf(Batch batch) => batch.Target is not null && batch.Target.shape.SequenceEqual(batch.Input.shape) ? batch.Target : null;

    private double Gradients(Batch batch, double weight)
    {
        Tensor x = Checked(batch, (_loop.Done * _options.Accumulate) + _codes.Count);
        using var pass = new AutoencoderPass(Autoencoder, x, GradientsOf(batch), training: true);
        double loss = pass.Loss;
        foreach (AuxiliaryLoss extra in _options.Losses) loss += extra.Apply(pass, new(_loop.Done, _options.Steps, Statistics, _options.Accumulate));
        pass.Backward(weight);
        pass.Code.Values.DetachFromDisposeScope();
        _codes.Add(pass.Code);
        return loss;
    }

    /// <summary>Removes from each row's gradient what would only change the row's norm.</summary>
    private void Project()
    {
        if (!_options.UnitDecoder) return;
        using Tensor gradient = Autoencoder.Decoder.grad!;
        DecoderRows.Project(gradient, Autoencoder.Decoder);
    }

    private void Finish()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        if (_options.UnitDecoder) Autoencoder.Decoder.div_(Autoencoder.Decoder.norm(1, keepdim: true));
        foreach (SparseCode code in _codes) Statistics.Update(code);
        Autoencoder.Rule.Learn(_codes, new(_loop.Done, _options.Steps, Statistics));

        Forget();
    }

    // Codes of a step that was not made (its loss was not finite, or it was stopped between its mini-batches) teach nothing.
    private void Forget()
    {
        foreach (SparseCode code in _codes) code.Dispose();
        _codes.Clear();
    }

    /// <summary>All that a checkpoint keeps.</summary>
    private sealed class State : nn.Module
    {
        public State(SparseAutoencoder autoencoder, LatentStatistics statistics)
            : base("training")
        {
            register_module("autoencoder", autoencoder);
            register_module("statistics", statistics);
        }
    }
}
