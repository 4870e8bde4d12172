using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Bayes.Networks;

/// <summary>What a training by <see cref="Ssvi"/> left behind; the masks are a copy of the last ones.</summary>
/// <param name="Training">Losses, rates, time.</param>
/// <param name="Masks">The last masks; null for a dense posterior. Disposed with this.</param>
/// <param name="Sigmas">Deviations of the active weights over time, every <see cref="SsviOptions.Interval"/> steps.</param>
/// <param name="Updates">All moves of the masks.</param>
public sealed record SsviResult(TrainingResult Training, MaskSet? Masks, IReadOnlyList<SigmaQuantiles> Sigmas, IReadOnlyList<TopologyReport> Updates) : IDisposable
{
    /// <summary>A remark on settings that contradict each other; null for none.</summary>
    public string? Warning { get; init; }

    /// <summary>Frees the masks.</summary>
    public void Dispose() => Masks?.Dispose();

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Sparse subspace variational inference (Li, Miao, Qiu and Zhang, ICLR 2024, arXiv 2402.11025): a posterior over a small, constant number of weights, all others exactly 0. Between two moves the
/// variational bound is optimised within the support; a move removes the weights whose distributions matter least and adds those whose means have the largest gradients.
/// </summary>
public static class Ssvi
{
    /// <summary>
    /// The optimizer of a network of distributions: AdamW on means and biases, another with its own rate on rho, and around both masks that mu and rho share. A new weight begins at mu = 0 with the mean
    /// rho of its layer.
    /// </summary>
    /// <param name="network">The network, see <see cref="BayesNetwork.Convert"/>.</param>
    /// <param name="masks">Masks of means; they move, and stay the caller's. Null for a dense posterior.</param>
    /// <param name="steps">Steps of the training.</param>
    /// <param name="options">Settings; null, the default, for the record's.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or the masks are not of the means.</exception>
    public static IOptimizer Optimizer(nn.Module network, MaskSet? masks, long steps, SsviOptions? options = null)
    {
        options ??= new();
        options.Validate();
        IReadOnlyList<(string Weight, BayesLayer Layer)> layers = BayesNetwork.LayersOf(network);
        if (masks is not null) BayesNetwork.SetMasks(network, masks);
        string[] rhos = [.. layers.Select(l => RhoOf(l.Weight))];
        (string Name, Parameter Parameter)[] all = [.. network.named_parameters().Select(p => (p.name, p.parameter)).Where(p => p.parameter.requires_grad)];
        ParameterGroups inner = new(
            new ParameterGroup("means", new AdamWOptimizer(all.Where(p => !rhos.Contains(p.Name)), weightDecay: 0)),
            new ParameterGroup("rho", new AdamWOptimizer(all.Where(p => rhos.Contains(p.Name)), weightDecay: 0), options.RhoRate / options.LearningRate));
        if (masks is null) return inner;
        try
        {
            TopologyScope scope = new() { Companions = masks.Names.ToDictionary(name => name, name => (IReadOnlyList<Companion>)[new(RhoOf(name), CompanionStart.MeanOfActive)]) };
            return options.Moves
                ? new SparseOptimizer(inner, masks, options.Topology(steps), new DropCriterion(options.Criterion), new GrowGradient(), scope)
                : new SparseOptimizer(inner, masks, scope: scope);
        }
        catch
        {
            inner.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Hooks of such a training: before each step every layer gets the mask as it is now and noise that depends on seed, step and layer alone, so that a resumed training goes on as if nothing had
    /// happened.
    /// </summary>
    /// <param name="network">The network.</param>
    /// <param name="optimizer">What <see cref="Optimizer"/> gave.</param>
    /// <param name="options">Settings; null, the default, for the record's.</param>
    /// <param name="others">Hooks that are called as well; null, the default, for none.</param>
    public static TrainingHooks Hooks(nn.Module network, IOptimizer optimizer, SsviOptions? options = null, TrainingHooks? others = null)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        options ??= new();
        IReadOnlyList<(string Weight, BayesLayer Layer)> layers = BayesNetwork.LayersOf(network);
        var sparse = optimizer as SparseOptimizer;
        TrainingHooks own = (others ?? new()) with
        {
            OnBeforeStep = loop =>
            {
                if (sparse is not null) BayesNetwork.SetMasks(network, sparse.Masks);
                BayesNetwork.SeedNoise(network, options.Seed, loop.Done + 1);
                bool quiet = !options.Noise || (options.GrowAtMean && sparse is { NeedsDenseGradient: true });
                foreach ((_, BayesLayer layer) in layers) layer.Deterministic = quiet;
                others?.OnBeforeStep?.Invoke(loop);
            },
        };
        return sparse?.Hooks(own) ?? own;
    }

    /// <summary>
    /// The loss: mean cross-entropy of one draw of the outputs + kappa/N KL, N the number of training samples: -1/N of the variational bound where kappa is 1.
    /// </summary>
    /// <param name="network">The network.</param>
    /// <param name="samples">N.</param>
    /// <param name="prior">Deviation of the prior, positive.</param>
    /// <param name="kappa">Asked for at each call: kappa now.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static Func<Batch, Tensor> Loss(nn.Module<Tensor, Tensor> network, long samples, double prior, Func<double> kappa)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(kappa);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(samples);
        Finite.Positive(prior);
        Func<Batch, Tensor> entropy = Losses.CrossEntropy(network);
        return batch =>
        {
            Tensor loss = entropy(batch);
            double now = kappa();
            return now == 0 ? loss : loss + (BayesNetwork.Kl(network, prior) * (now / samples));
        };
    }

    /// <summary>Trains a classifier in place.</summary>
    /// <param name="network">The network, from samples to logits, see <see cref="BayesNetwork.Convert"/>.</param>
    /// <param name="X">Samples, the first dimension counts them; stays the caller's.</param>
    /// <param name="labels">Class numbers.</param>
    /// <param name="masks">The masks to begin with; they move with the training and stay the caller's. Null, the default, for a dense posterior.</param>
    /// <param name="options">Settings; null, the default, for the record's.</param>
    /// <param name="hooks">Evaluation and callbacks; null, the default, for none.</param>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <exception cref="ArgumentException">An option is out of its range, samples and labels do not fit, or masks are not of the means.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; the network is that of the last whole step.</exception>
    public static SsviResult Run(
        nn.Module<Tensor, Tensor> network, Tensor X, Tensor labels, MaskSet? masks = null, SsviOptions? options = null, TrainingHooks? hooks = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(X);
        options ??= new();
        long samples = X.shape[0], steps = options.StepsFor(samples);
        if (masks is not null && options.Moves && options.Interval > steps) throw new ArgumentException($"Masks move every {options.Interval} steps, and the training has only {steps}.", nameof(options));
        using IOptimizer optimizer = Optimizer(network, masks, steps, options);
        List<TopologyReport> updates = [];
        List<SigmaQuantiles> sigmas = [BayesNetwork.Quantiles(network)];
        if (optimizer is SparseOptimizer sparse) sparse.OnUpdate = updates.Add;
        TrainingHooks plan = Hooks(network, optimizer, options, (hooks ?? new()) with
        {
            OnStep = (loop, report) =>
            {
                if (masks is not null) BayesNetwork.SetMasks(network, masks);
                if (report.Step % options.Interval == 0 || report.Step == steps) sigmas.Add(BayesNetwork.Quantiles(network, report.Step));
                hooks?.OnStep?.Invoke(loop, report);
            },
        });
        SampleBatches batches = new(X, labels, options.BatchSize, options.Seed, whole: true);
        TrainingLoop? running = null;
        using TrainingLoop training = new(
            network, batches, Loss(network, samples, options.Prior, () => options.KappaAt(running!.Done, steps)), options.Schedule.ForLoop(steps), plan, optimizer);
        running = training;
        try
        {
            TrainingResult result = training.Run(progress, cancel);
            return new(result, masks?.Copy(), sigmas, updates)
            {
                Warning = !options.Noise && options.Kappa > 0 ? "The KL term pulls at deviations that the loss does not see: the noise is off." : null,
            };
        }
        finally
        {
            BayesNetwork.SetDeterministic(network, false);
        }
    }

    /// <summary>Name of the rho that belongs to a mean.</summary>
    private static string RhoOf(string weight) => weight[..^"weight".Length] + "rho";
}
