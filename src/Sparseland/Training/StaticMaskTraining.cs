using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Settings of <see cref="StaticMaskTraining"/>: the recipe of Liu et al. (ICLR 2022) at a smaller size.</summary>
public sealed record StaticMaskTrainingOptions
{
    /// <summary>How often each sample is seen. Default 20.</summary>
    public int Epochs { get; init; } = 20;

    /// <summary>Samples of a mini-batch. Default 128.</summary>
    public int Batch { get; init; } = 128;

    /// <summary>Highest learning rate; it climbs to it over a tenth of the steps and falls along half a cosine to 0. Default 0.1.</summary>
    public double LearningRate { get; init; } = 0.1;

    /// <summary>Momentum of Nesterov's kind, from 0 (plain descent) to below 1. Default 0.9.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>Weight decay, not negative. Default 5e-4.</summary>
    public double WeightDecay { get; init; } = 5e-4;

    /// <summary>Seed of the order of the data. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Epochs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Batch);
        if (!(LearningRate > 0 && double.IsFinite(LearningRate))) throw new ArgumentOutOfRangeException(nameof(LearningRate), LearningRate, "LearningRate must be positive and finite.");
        if (!(Momentum is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(Momentum), Momentum, "Momentum must be from 0 to below 1.");
        if (!(WeightDecay >= 0 && double.IsFinite(WeightDecay))) throw new ArgumentOutOfRangeException(nameof(WeightDecay), WeightDecay, "WeightDecay must be finite and not negative.");
    }
}

/// <summary>
/// Trains a classifier whose pruned weights stay zero throughout: gradients are masked, the optimizer steps, the masks are applied. With no masks it is the same
/// training of the dense network, step for step.
/// </summary>
public static class StaticMaskTraining
{
    /// <summary>Trains.</summary>
    /// <param name="model">Classifier, from samples to logits; it changes.</param>
    /// <param name="masks">What is kept; null for everything. They stay the caller's and do not change.</param>
    /// <param name="X">Samples.</param>
    /// <param name="labels">Class numbers.</param>
    /// <param name="options">Settings; null for the defaults.</param>
    /// <param name="hooks">Callbacks; null, the default, for none.</param>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or samples and labels do not fit.</exception>
    /// <exception cref="Solvers.DivergenceException">A loss or a gradient is not finite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; the network is that of the last whole step.</exception>
    public static TrainingResult Run(
        nn.Module<Tensor, Tensor> model, MaskSet? masks, Tensor X, Tensor labels, StaticMaskTrainingOptions? options = null, TrainingHooks? hooks = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        options ??= new();
        options.Validate();
        var batches = new SampleBatches(X, labels, options.Batch, options.Seed);
        long steps = options.Epochs * batches.PerEpoch;
        TrainingOptions schedule = new()
        {
            Steps = steps, WarmUp = steps / 10, LearningRate = options.LearningRate, FinalRate = 0, ClipNorm = double.PositiveInfinity, Seed = options.Seed,
        };
        using var sgd = new SgdOptimizer(model, options.Momentum, options.WeightDecay, nesterov: options.Momentum > 0);
        if (masks is null)
        {
            using var dense = new TrainingLoop(model, batches, Losses.CrossEntropy(model), schedule, hooks, sgd);
            return dense.Run(progress, cancel);
        }

        using var sparse = new SparseOptimizer(sgd, masks);
        using var loop = new TrainingLoop(model, batches, Losses.CrossEntropy(model), schedule, sparse.Hooks(hooks), sparse);
        return loop.Run(progress, cancel);
    }
}
