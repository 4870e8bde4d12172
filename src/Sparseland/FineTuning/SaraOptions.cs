using Sparseland.Tensors;
using Sparseland.Training;

namespace Sparseland.FineTuning;

/// <summary>Settings of <see cref="SaraTraining"/>.</summary>
public sealed record SaraOptions
{
    /// <summary>
    /// Step before which the second selection is made, from 1 to below the steps; 0 for none. Default null: half of the steps where the delta has a threshold, none otherwise.
    /// </summary>
    public long? ProgressiveStep { get; init; }

    /// <summary>lambda of the nuclear norm of P * M, not negative. Default 5e-4; 0 for none.</summary>
    public double RankPenalty { get; init; } = 5e-4;

    /// <summary>Steps between two that have the penalty, of one matrix drawn at random; at least 1. Default 1.</summary>
    public int RankPenaltyEvery { get; init; } = 1;

    /// <summary>Matrices with a side below this have no penalty. Default 64.</summary>
    public int MinimumSide { get; init; } = 64;

    /// <summary>Highest learning rate. Default null: the rule 1e-3 exp(-350 theta) where the delta has a finite threshold, else the rate of <see cref="Training"/>.</summary>
    public double? LearningRate { get; init; }

    /// <summary>Seed of the draw of matrices. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Steps, shape of the rate, decay of p, clipping. Default 5,000 steps, a cosine down to zero, betas 0.9 and 0.999, decay 0.01, no clipping.</summary>
    public TrainingOptions Training { get; init; } = new() { Steps = 5_000, FinalRate = 0, Beta2 = 0.999, WeightDecay = 0.01, ClipNorm = double.PositiveInfinity };

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Training);
        Training.Validate();
        if (Training.Checkpoint is not null || Training.EvaluateEvery > 0) throw new ArgumentException("SaRA has no checkpoints and evaluates by the callbacks after a step: leave Checkpoint and EvaluateEvery as they are.", nameof(Training));
        if (ProgressiveStep is { } step && (step < 0 || step >= Training.Steps)) throw new ArgumentOutOfRangeException(nameof(ProgressiveStep), step, $"ProgressiveStep must be from 0 (none) to below the {Training.Steps} steps.");
        Finite.NotNegative(RankPenalty);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(RankPenaltyEvery);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MinimumSide);
        Finite.Positive(LearningRate);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>What a SaRA training left behind.</summary>
/// <param name="Training">All steps of both phases.</param>
/// <param name="Selected">Entries that were trained at first.</param>
/// <param name="Remaining">Entries that were trained after the second selection; as many as at first without one.</param>
/// <param name="LearningRate">The highest rate.</param>
/// <param name="EmptyPenalties">Steps whose matrix was all zero, or too small, so that the penalty had no gradient.</param>
public sealed record SaraResult(TrainingResult Training, long Selected, long Remaining, double LearningRate, int EmptyPenalties)
{
    /// <summary>What is to be known: of the selection (<see cref="SparseDelta.Warning"/>), and of a rate that the rule makes too small to move anything, below 1e-6; null for nothing.</summary>
    public string? Warning { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
