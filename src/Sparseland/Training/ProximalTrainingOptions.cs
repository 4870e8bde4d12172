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

    /// <summary>eta of an epoch.</summary>
    /// <param name="epoch">From 0.</param>
    public double RateOf(int epoch) => LearningRate * Math.Pow(DropTo, DropAt.Count(share => epoch >= share * Epochs));

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Epochs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(BatchSize);
        if (!(LearningRate > 0) || !double.IsFinite(LearningRate))
            throw new ArgumentOutOfRangeException(nameof(LearningRate), LearningRate, "LearningRate must be positive and finite.");
        if (!(Momentum >= 0 && Momentum < 1)) throw new ArgumentOutOfRangeException(nameof(Momentum), Momentum, "Momentum must be from 0 to below 1.");
        ArgumentNullException.ThrowIfNull(DropAt);
        for (int i = 0; i < DropAt.Count; i++)
        {
            if (!(DropAt[i] > (i == 0 ? 0 : DropAt[i - 1]) && DropAt[i] < 1))
                throw new ArgumentException($"DropAt[{i}] is {DropAt[i]}; the shares must ascend between 0 and 1.", nameof(DropAt));
        }

        if (!(DropTo > 0 && DropTo <= 1)) throw new ArgumentOutOfRangeException(nameof(DropTo), DropTo, "DropTo must lie above 0 and not above 1.");
    }
}
