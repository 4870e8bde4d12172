using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>Settings of <see cref="PstTraining"/>.</summary>
public sealed record PstTrainingOptions
{
    /// <summary>The final sparsity of every layer, from 0, which is no pruning, to below 1. Default 0.9.</summary>
    public double Sparsity { get; init; } = 0.9;

    /// <summary>Share of the steps at the beginning with sparsity 0, from 0 to below 1. Default 0.1.</summary>
    public double InitialShare { get; init; } = 0.1;

    /// <summary>Share of the steps at the end with the final sparsity, from 0 to below 1 - <see cref="InitialShare"/>. Default 0.3.</summary>
    public double FinalShare { get; init; } = 0.3;

    /// <summary>Steps, rate and the like. Default 400 steps of AdamW without decay, the rate from 1e-3 in a straight line to zero.</summary>
    public TrainingOptions Training { get; init; } = new() { Steps = 400, LearningRate = 1e-3, LinearDecay = true, FinalRate = 0, WeightDecay = 0 };

    /// <summary>The cubic schedule of these settings.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public SparsitySchedule Schedule()
    {
        Validate();
        return SparsitySchedule.Cubic(Sparsity, WholeSteps.In(InitialShare, Training.Steps), Training.Steps - WholeSteps.In(FinalShare, Training.Steps));
    }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Training);
        Training.Validate();
        if (!(Sparsity is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(Sparsity), Sparsity, "Sparsity is a share from 0 to below 1.");
        if (!(InitialShare is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(InitialShare), InitialShare, "InitialShare must be from 0 to below 1.");
        if (!(FinalShare >= 0 && InitialShare + FinalShare < 1))
            throw new ArgumentOutOfRangeException(nameof(FinalShare), FinalShare, $"FinalShare must not be negative, and with InitialShare {InitialShare} below 1: sparsity needs steps to rise in.");
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Trains a network whose layers learn their masks, while sparsity climbs from 0 along the cubic schedule: one training for PST, magnitude and movement pruning, and LoRA, which
/// differ in their layers alone.
/// </summary>
public static class PstTraining
{
    /// <summary>Trains to the final sparsity.</summary>
    /// <param name="model">The network with its layers, at a sparsity not above 0 where the training begins.</param>
    /// <param name="batches">The data.</param>
    /// <param name="loss">From a mini-batch to its mean loss; see <see cref="Losses"/>.</param>
    /// <param name="options">Steps, rates, sparsity; null for the defaults of the record.</param>
    /// <param name="hooks">Evaluation and callbacks; null, the default, for none.</param>
    /// <param name="optimizer">Another optimizer than AdamW; it stays the caller's. Null, the default, for AdamW.</param>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <exception cref="ArgumentException">An option is out of its range, the network was pruned already, or an importance became infinite or NaN (its layer is named).</exception>
    /// <exception cref="Solvers.DivergenceException">The loss or a gradient is not finite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; the network is that of the last whole step, and <see cref="PstModel.Merge"/> will warn.</exception>
    public static TrainingResult Run(
        PstModel model, IBatchSource batches, Func<Batch, Tensor> loss, PstTrainingOptions? options = null, TrainingHooks? hooks = null, IOptimizer? optimizer = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        options ??= new();
        using TrainingLoop loop = Loop(model, batches, loss, options, hooks, optimizer);
        TrainingResult result = loop.Run(progress, cancel);
        model.SetSparsity(options.Sparsity);
        return result;
    }

    /// <summary>The training, ready for its first step or for a checkpoint; each step sets the sparsity that its number asks for.</summary>
    /// <param name="model">The network with its layers.</param>
    /// <param name="batches">The data.</param>
    /// <param name="loss">From a mini-batch to its mean loss.</param>
    /// <param name="options">Steps, rates, sparsity.</param>
    /// <param name="hooks">Evaluation and callbacks; null, the default, for none.</param>
    /// <param name="optimizer">Another optimizer than AdamW; null, the default, for AdamW.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or the network was pruned already.</exception>
    public static TrainingLoop Loop(
        PstModel model, IBatchSource batches, Func<Batch, Tensor> loss, PstTrainingOptions options, TrainingHooks? hooks = null, IOptimizer? optimizer = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(loss);
        ArgumentNullException.ThrowIfNull(options);
        SparsitySchedule schedule = options.Schedule();
        if (model.Sparsity > schedule.At(0)) throw new ArgumentException($"The network has the sparsity {model.Sparsity} already; the schedule begins at {schedule.At(0)}.", nameof(model));
        TrainingLoop? loop = null;
        loop = new(model.Module, batches, batch =>
        {
            model.SetSparsity(schedule.At(loop!.Done));
            return loss(batch);
        }, options.Training, hooks, optimizer);
        model.Target = schedule.Final;
        return loop;
    }
}
