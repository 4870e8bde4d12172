namespace Sparseland.Training;

/// <summary>Settings of <see cref="ProximalTraining"/>.</summary>
public sealed record ProximalTrainingOptions
{
    /// <summary>Passes over the samples.</summary>
    public int Epochs { get; init; } = 30;

    /// <summary>Samples of a mini-batch; the last one of an epoch may be smaller.</summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>eta of the first epoch.</summary>
    public double LearningRate { get; init; } = 0.1;

    /// <summary>Momentum of the gradient step, from 0 to below 1.</summary>
    public double Momentum { get; init; }

    /// <summary>Where the learning rate drops, as shares of the epochs, ascending.</summary>
    public IReadOnlyList<double> DropAt { get; init; } = [0.5, 0.75];

    /// <summary>What the learning rate is multiplied with at each drop, above 0 and at most 1.</summary>
    public double DropTo { get; init; } = 0.3;

    /// <summary>Seed of the order of the samples.</summary>
    public long Seed { get; init; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Epochs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(BatchSize);
        if (!(Momentum >= 0 && Momentum < 1)) throw new ArgumentOutOfRangeException(nameof(Momentum), Momentum, "Momentum must be from 0 to below 1.");
        ToLoop(1).Validate();
    }

    /// <summary>The same for <see cref="TrainingLoop"/>.</summary>
    internal TrainingOptions ToLoop(long stepsPerEpoch) => new()
    {
        Steps = Epochs * stepsPerEpoch, LearningRate = LearningRate, FinalRate = 1, DropAt = DropAt, DropTo = DropTo, WeightDecay = 0, ClipNorm = double.PositiveInfinity, Seed = Seed,
    };
}
