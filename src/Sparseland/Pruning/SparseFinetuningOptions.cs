using Sparseland.Tensors;
using Sparseland.Training;

namespace Sparseland.Pruning;

/// <summary>What a pruned decoder is finetuned on: loss = CrossEntropy L_CE + KullbackLeibler L_KL + SquareHead L_SQ + StateError L_MSE.</summary>
public sealed record SparseFinetuningOptions
{
    /// <summary>Coefficient of the cross-entropy of the labels, not negative. Default 1.</summary>
    public double CrossEntropy { get; init; } = 1;

    /// <summary>Coefficient of <see cref="Distillation.KullbackLeibler"/> over the labelled tokens, not negative. Default 0.</summary>
    public double KullbackLeibler { get; init; }

    /// <summary>Coefficient of <see cref="SquareHead"/> over all tokens that are not padding, not negative. Default 1.</summary>
    public double SquareHead { get; init; } = 1;

    /// <summary>Coefficient of <see cref="StateError"/>, the plain squared error of the states, for comparison; not negative. Default 0.</summary>
    public double StateError { get; init; }

    /// <summary>T of the divergence, positive. Default 1.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Where the last hidden state is taken. Default <see cref="Pruning.FinalState.AfterNorm"/>.</summary>
    public FinalState FinalState { get; init; } = FinalState.AfterNorm;

    /// <summary>
    /// Whether gradients of pruned weights are set to zero before anything else sees them. Default true. The published code does not: there they count in the norm by
    /// which gradients are clipped, and their moments grow.
    /// </summary>
    public bool MaskGradients { get; init; } = true;

    /// <summary>Token id that pads texts at their end; such tokens are left out of the states' losses. Null, the default, where nothing is padded.</summary>
    public long? Padding { get; init; }

    /// <summary>Whether the teacher runs at all.</summary>
    public bool NeedsTeacher => KullbackLeibler > 0 || NeedsStates;

    internal bool NeedsStates => SquareHead > 0 || StateError > 0;

    /// <summary>
    /// How the notebook finetunes: AdamW with betas of 0.9 and 0.95 and no decay, a tenth of the steps to climb to the rate and a straight line down to zero, clipped at 1.
    /// </summary>
    /// <param name="steps">Steps, positive. Default 120.</param>
    /// <param name="rate">Highest learning rate; sparse networks want a higher one than dense. Default 1e-3.</param>
    public static TrainingOptions Recipe(long steps = 120, double rate = 1e-3) =>
        new() { Steps = steps, LearningRate = rate, WarmUp = steps / 10, LinearDecay = true, FinalRate = 0, WeightDecay = 0, Beta1 = 0.9, Beta2 = 0.95, ClipNorm = 1 };

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range, or all coefficients are zero.</exception>
    public void Validate()
    {
        foreach ((double value, string name) in new[] { (CrossEntropy, nameof(CrossEntropy)), (KullbackLeibler, nameof(KullbackLeibler)), (SquareHead, nameof(SquareHead)), (StateError, nameof(StateError)) })
        {
            Finite.NotNegative(value, name);
        }

        if (CrossEntropy + KullbackLeibler + SquareHead + StateError == 0) throw new ArgumentException("All coefficients are zero; there is no loss.", nameof(CrossEntropy));
        Finite.Positive(Temperature);
        if (!Enum.IsDefined(FinalState)) throw new ArgumentOutOfRangeException(nameof(FinalState), FinalState, "FinalState is AfterNorm or BeforeNorm.");
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>One step of a sparse finetuning. A loss whose coefficient is zero is not computed and is NaN.</summary>
/// <param name="Step">Steps done, from 1.</param>
/// <param name="Loss">The whole loss of the step's batch, before the step.</param>
/// <param name="CrossEntropy">Mean of a labelled token, in nats.</param>
/// <param name="KullbackLeibler">Mean of a labelled token, in nats, times T^2.</param>
/// <param name="SquareHead">Sum over layers.</param>
/// <param name="StateError">Sum over layers.</param>
/// <param name="GradientNorm">Norm by which the gradients are clipped; without <see cref="SparseFinetuningOptions.MaskGradients"/> pruned weights are in it.</param>
/// <param name="LearningRate">Learning rate.</param>
/// <param name="Evaluation">Figure of the evaluation after the step; null where there was none.</param>
public sealed record FinetuningStep(
    long Step, double Loss, double CrossEntropy, double KullbackLeibler, double SquareHead, double StateError, double GradientNorm, double LearningRate, double? Evaluation = null)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>A sparse finetuning.</summary>
/// <param name="Steps">All steps.</param>
/// <param name="Sparsity">Share of zeros among the masked weights afterwards, counted in the weights.</param>
/// <param name="Seconds">Time of all steps.</param>
public sealed record SparseFinetuningResult(IReadOnlyList<FinetuningStep> Steps, double Sparsity, double Seconds)
{
    /// <summary>Mean of a figure over the last steps.</summary>
    /// <param name="figure">The figure.</param>
    /// <param name="steps">How many, positive. Default 10.</param>
    public double Recent(Func<FinetuningStep, double> figure, int steps = 10)
    {
        ArgumentNullException.ThrowIfNull(figure);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(steps);
        return Steps.TakeLast(steps).Average(figure);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
