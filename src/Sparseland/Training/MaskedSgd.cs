using Sparseland.Data;
using Sparseland.Evaluation;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Training of a classifier with masks that stay as they are, or with none: a fresh <see cref="SgdOptimizer"/> within a <see cref="SparseOptimizer"/>, so that no
/// momentum and no decay can bring a pruned weight back. What all trainings and retrainings with fixed masks go through.
/// </summary>
public static class MaskedSgd
{
    /// <summary>Trains in place.</summary>
    /// <param name="model">The network.</param>
    /// <param name="masks">Its masks; null for a dense training.</param>
    /// <param name="train">The images.</param>
    /// <param name="options">Length, batches, decay and rates; null, the default, for the record's.</param>
    /// <param name="seed">Seed of the order of the images: all that differs between two trainings of one network. Default 1.</param>
    /// <param name="start">The rate from which it falls; null, the default, for the schedule's highest.</param>
    /// <param name="hooks">Callbacks; null, the default, for none.</param>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or the masks are another network's.</exception>
    public static TrainingResult Run(
        nn.Module<Tensor, Tensor> model, MaskSet? masks, LabelledImages train, MaskedSgdOptions? options = null, long seed = 1, double? start = null,
        TrainingHooks? hooks = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(train);
        using Tensor X = train.Planes();
        return Run(model, masks, new SampleBatches(X, train.Labels, (options ?? new()).BatchSize, seed), train.Count, options, start, Losses.CrossEntropy(model), hooks, progress, cancel);
    }

    /// <summary>Trains in place on samples with labels, by cross-entropy.</summary>
    /// <param name="model">The network, from samples to logits.</param>
    /// <param name="masks">Its masks; null for a dense training.</param>
    /// <param name="X">Samples, the first dimension counts them.</param>
    /// <param name="labels">Class numbers.</param>
    /// <param name="options">Length, batches, decay and rates; null, the default, for the record's.</param>
    /// <param name="seed">Seed of the order. Default 1.</param>
    /// <param name="hooks">Callbacks; null, the default, for none.</param>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <exception cref="ArgumentException">An option is out of its range, samples and labels do not fit, a label is no class of the network, or the masks are another network's.</exception>
    public static TrainingResult Run(
        nn.Module<Tensor, Tensor> model, MaskSet? masks, Tensor X, Tensor labels, MaskedSgdOptions? options = null, long seed = 1, TrainingHooks? hooks = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        options ??= new();
        options.Validate();
        Accuracy.CheckClasses(model, X, labels);
        return Run(model, masks, new SampleBatches(X, labels, options.BatchSize, seed), X.shape[0], options, null, Losses.CrossEntropy(model), hooks, progress, cancel);
    }

    /// <summary>Trains in place on batches of any kind with any loss.</summary>
    /// <param name="model">The network.</param>
    /// <param name="masks">Its masks; null for a dense training.</param>
    /// <param name="batches">The data, in batches of the options' size.</param>
    /// <param name="samples">Samples of an epoch.</param>
    /// <param name="options">Length, decay and rates; null for the record's.</param>
    /// <param name="start">The rate from which it falls; null for the schedule's highest.</param>
    /// <param name="loss">Mean loss of a mini-batch.</param>
    /// <param name="hooks">Callbacks; null, the default, for none.</param>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or the masks are another network's.</exception>
    public static TrainingResult Run(
        nn.Module<Tensor, Tensor> model, MaskSet? masks, IBatchSource batches, long samples, MaskedSgdOptions? options, double? start, Func<Batch, Tensor> loss,
        TrainingHooks? hooks = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(samples);
        options ??= new();
        options.Validate();
        long steps = options.Epochs * ((samples + options.BatchSize - 1) / options.BatchSize);
        TrainingOptions plan = options.Schedule.Options(steps, start ?? options.Schedule.Highest);
        SgdOptimizer sgd = new(model, options.Momentum, options.WeightDecay, options.Momentum > 0);
        if (masks is null)
        {
            using (sgd)
            using (TrainingLoop dense = new(model, batches, loss, plan, hooks, sgd))
                return dense.Run(progress, cancel);
        }

        using SparseOptimizer sparse = new(sgd, masks);
        using TrainingLoop loop = new(model, batches, loss, plan, hooks, sparse);
        return loop.Run(progress, cancel);
    }
}
