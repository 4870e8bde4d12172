using Sparseland.Evaluation;
using Sparseland.Solvers;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.ArchitectureSearch;

/// <summary>How a network is trained, pruned by learned scores and tuned.</summary>
public sealed record ScorePruningOptions
{
    /// <summary>Steps of the dense training; 0 where the network has been trained. Default 300.</summary>
    public int DenseSteps { get; init; } = 300;

    /// <summary>Steps of the scores, weights fixed. Default 100.</summary>
    public int ScoreSteps { get; init; } = 100;

    /// <summary>Steps of the kept weights, masks fixed. Default 150.</summary>
    public int TuneSteps { get; init; } = 150;

    /// <summary>Images of a batch. Default 64.</summary>
    public int Batch { get; init; } = 64;

    /// <summary>Highest rate of the dense training: warm-up over 5 % of the steps, then half a cosine down to 0. Default 0.05.</summary>
    public double DenseRate { get; init; } = 0.05;

    /// <summary>Rate of the scores, constant. Default 0.1.</summary>
    public double ScoreRate { get; init; } = 0.1;

    /// <summary>Highest rate of the tuning, as for the dense training. Default 0.025.</summary>
    public double TuneRate { get; init; } = 0.025;

    /// <summary>Whether a layer that would lose all its weights keeps one. Default false: it is refused and named.</summary>
    public bool AtLeastOne { get; init; }

    /// <summary>Weights that each layer keeps, at most all it has, in place of the ratio: the control at equal kept weights. Default null, the ratio.</summary>
    public int? KeptPerLayer { get; init; }

    /// <summary>Seed of the order of images. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Refuses options out of their range.</summary>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public void Validate()
    {
        foreach ((string name, int steps) in new[] { (nameof(DenseSteps), DenseSteps), (nameof(ScoreSteps), ScoreSteps), (nameof(TuneSteps), TuneSteps) }) ArgumentOutOfRangeException.ThrowIfNegative(steps, name);
        ArgumentOutOfRangeException.ThrowIfLessThan(Batch, 2);
        if (KeptPerLayer is < 1) throw new ArgumentOutOfRangeException(nameof(KeptPerLayer), KeptPerLayer, "KeptPerLayer must be at least 1.");
        foreach ((string name, double rate) in new[] { (nameof(DenseRate), DenseRate), (nameof(ScoreRate), ScoreRate), (nameof(TuneRate), TuneRate) })
        {
            Finite.Positive(rate, name);
        }
    }
}

/// <summary>Accuracies of a network on its way to a pruned one, in [0, 1], batch norm recalibrated before each.</summary>
/// <param name="Dense">After the dense training.</param>
/// <param name="OneShot">Pruned by magnitude, nothing trained after.</param>
/// <param name="Scored">Pruned by learned scores, weights as trained densely.</param>
/// <param name="Tuned">After tuning the kept weights.</param>
/// <param name="Weights">Weights of the layers that are pruned.</param>
/// <param name="Kept">Of these, those that stay.</param>
public sealed record PrunedAccuracies(double Dense, double OneShot, double Scored, double Tuned, int Weights, int Kept);

/// <summary>Dense training, learning of masks with the weights fixed, tuning with the masks fixed: the evaluation that every architecture goes through in the same way.</summary>
public static class ScorePruning
{
    /// <summary>Trains, prunes and tunes a network in place.</summary>
    /// <param name="network">A network of chosen operations.</param>
    /// <param name="X">Training images [images, planes, rows, columns].</param>
    /// <param name="labels">Classes [images], int64.</param>
    /// <param name="testX">Images for the accuracies.</param>
    /// <param name="testLabels">Their classes.</param>
    /// <param name="ratio">Share of each layer's weights that goes, in [0, 1).</param>
    /// <param name="options">Null for the defaults.</param>
    /// <param name="cancel">Looked at before each step.</param>
    /// <exception cref="ArgumentException">Shapes do not fit, an option is out of its range, or a ratio leaves a layer nothing; nothing has been trained.</exception>
    /// <exception cref="DivergenceException">A loss is not finite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static PrunedAccuracies Run(
        SearchNetwork network, Tensor X, Tensor labels, Tensor testX, Tensor testLabels, double ratio, ScorePruningOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        options ??= new();
        options.Validate();
        DifferentiableSearch.CheckSets(X, labels);
        DifferentiableSearch.CheckSets(testX, testLabels);
        network.Space.CheckImages(X, labels);
        network.Space.CheckImages(testX, testLabels);
        if (!(ratio is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(ratio), ratio, "ratio must lie in [0, 1).");
        if (network.Mixtures.Count > 0) throw new ArgumentException("The network is a supernet; make one of a genotype.", nameof(network));
        IReadOnlyList<ScoredLayer> layers = network.Scored;
        int[] kept = [.. layers.Select(layer => options.KeptPerLayer is { } number ? Math.Min(number, layer.Count) : layer.KeptAt(ratio, options.AtLeastOne))];
        var batches = new SampleBatches(X, labels, options.Batch, options.Seed);
        long batch = 0;
        double Measured()
        {
            RecalibrateBatchNorm.Run(network, X, cancel: cancel);
            return Accuracy.Of(network, testX, testLabels);
        }

        void Train(ParameterPhase phase, int steps, Func<int, double> rate, string what)
        {
            network.train();
            for (int step = 0; step < steps; step++)
            {
                cancel.ThrowIfCancellationRequested();
                phase.Step(batches.At(batch++), rate(step), $"{what} step {step}");
            }
        }

        foreach (ScoredLayer layer in layers) layer.Keep(layer.Count);
        Weights(options.DenseSteps, options.DenseRate, "dense");
        double dense = Measured();
        foreach ((ScoredLayer layer, int k) in layers.Zip(kept))
        {
            layer.StartScores();
            layer.Keep(k);
        }

        double oneShot = Measured();
        if (layers.Count > 0)
        {
            using var scores = new ParameterPhase(network, ParameterPhase.Scores(network), n => new SgdOptimizer(n, 0.9));
            Train(scores, options.ScoreSteps, _ => options.ScoreRate, "score");
        }

        double scored = Measured();
        Weights(options.TuneSteps, options.TuneRate, "tuning");
        return new(dense, oneShot, scored, Measured(), layers.Sum(l => l.Count), network.Kept);

        void Weights(int steps, double highest, string what)
        {
            if (steps == 0) return;
            using var phase = new ParameterPhase(network, ParameterPhase.Weights(network), n => new SgdOptimizer(n, 0.9, 3e-4), 5);
            TrainingOptions schedule = new() { Steps = steps, LearningRate = highest, FinalRate = 0, WarmUp = Math.Min(steps / 20, steps - 1) };
            Train(phase, steps, step => schedule.RateOf(step), what);
        }
    }
}

/// <summary>How each operation bears pruning: the same operation in all layers, through <see cref="ScorePruning"/>.</summary>
public static class SparsityFriendliness
{
    /// <summary>Trains, prunes and tunes a network of each operation and seed, as many at a time as libtorch has threads (<see cref="Trials"/>).</summary>
    /// <param name="space">The operations.</param>
    /// <param name="X">Training images.</param>
    /// <param name="labels">Classes, int64.</param>
    /// <param name="testX">Images for the accuracies.</param>
    /// <param name="testLabels">Their classes.</param>
    /// <param name="ratio">Share of each layer's weights that goes.</param>
    /// <param name="seeds">Seeds of first weights and order, at least one, all different.</param>
    /// <param name="options">Null for the defaults; its seed is replaced by each of the seeds.</param>
    /// <param name="progress">Networks done.</param>
    /// <param name="cancel">Looked at before each step.</param>
    /// <returns>By the operation's name, an entry for each seed.</returns>
    /// <exception cref="ArgumentException">As <see cref="ScorePruning.Run"/>, or no seed or one twice.</exception>
    public static IReadOnlyDictionary<string, PrunedAccuracies[]> Of(
        SearchSpace space, Tensor X, Tensor labels, Tensor testX, Tensor testLabels, double ratio, IReadOnlyList<int> seeds, ScorePruningOptions? options = null, IProgress<ProgressReport>? progress = null,
        CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(space);
        ArgumentNullException.ThrowIfNull(seeds);
        space.Validate();
        TrialResults<PrunedAccuracies> found = Trials.Run([.. space.Operations.Select(o => o.Name)], seeds, (operation, seed) =>
        {
            using SearchNetwork network = space.Network(space.Alike(operation), seed);
            return ScorePruning.Run(network, X, labels, testX, testLabels, ratio, (options ?? new()) with { Seed = seed }, cancel);
        }, progress, cancel);
        return found.Methods.ToDictionary(operation => operation, operation => found[operation].ToArray());
    }
}
