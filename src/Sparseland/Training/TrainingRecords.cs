using Sparseland.Tensors;

namespace Sparseland.Training;

/// <summary>What one step of a training left behind.</summary>
/// <param name="Step">Steps done, from 1.</param>
/// <param name="Loss">Loss of its mini-batches, before the step.</param>
/// <param name="LearningRate">Its learning rate.</param>
/// <param name="GradientNorm">Norm of all gradients, before clipping.</param>
/// <param name="Evaluation">Figure of the evaluation after the step; null where there was none.</param>
public sealed record StepReport(long Step, double Loss, double LearningRate, double GradientNorm, double? Evaluation = null);

/// <summary>What a training left behind.</summary>
/// <param name="History">All steps, those before a resumption too.</param>
/// <param name="Seconds">Time of all steps and evaluations, in all processes that took part.</param>
public sealed record TrainingResult(IReadOnlyList<StepReport> History, double Seconds)
{
    /// <summary>Mean loss of the last steps.</summary>
    /// <param name="steps">How many. Default 100.</param>
    public double RecentLoss(int steps = 100) => History.TakeLast(steps).Average(s => s.Loss);

    /// <summary>The last evaluation; null where there was none.</summary>
    public double? LastEvaluation => History.LastOrDefault(s => s.Evaluation is not null)?.Evaluation;

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>What a training calls on its way. State that must outlive a kill belongs into a buffer of the network: a checkpoint keeps those.</summary>
public sealed record TrainingHooks
{
    /// <summary>A figure of how good the network is (accuracy, held-out loss), computed in evaluation mode and without gradients.</summary>
    public Func<CancellationToken, double>? Evaluate { get; init; }

    /// <summary>Called before the gradients of a step are computed, also of the first one after a checkpoint was taken up: the place to set what a step's number decides.</summary>
    public Action<TrainingLoop>? OnBeforeStep { get; init; }

    /// <summary>Called when the gradients of a step are there, before they are clipped: the place to mask or add to them.</summary>
    public Action<TrainingLoop>? OnGradients { get; init; }

    /// <summary>Called after each step, before its evaluation and checkpoint: the place to mask parameters or look at them.</summary>
    public Action<TrainingLoop, StepReport>? OnStep { get; init; }
}
