namespace Sparseland.Training;

/// <summary>
/// Settings of <see cref="ProximalTraining"/>: those of the loop, counted in epochs. <see cref="TrainingOptions.Steps"/> follows from
/// <see cref="Epochs"/>. Other defaults than the loop's: a learning rate of 0.1 that drops to 0.3 of itself after half and three quarters
/// of the epochs and is constant between, no clipping, seed 0 (also of the order of the samples). Weight decay and moments of AdamW do not
/// apply.
/// </summary>
public sealed record ProximalTrainingOptions : TrainingOptions
{
    /// <summary>The defaults.</summary>
    public ProximalTrainingOptions()
    {
        LearningRate = 0.1;
        FinalRate = 1;
        DropAt = [0.5, 0.75];
        DropTo = 0.3;
        WeightDecay = 0;
        ClipNorm = double.PositiveInfinity;
        Seed = 0;
    }

    /// <summary>Passes over the samples. Default 30.</summary>
    public int Epochs { get; init; } = 30;

    /// <summary>Samples of a mini-batch; the last one of an epoch may be smaller. Default 64.</summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>Momentum of the gradient step, from 0 to below 1. Default 0.</summary>
    public double Momentum { get; init; }

    /// <inheritdoc/>
    public override void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Epochs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(BatchSize);
        if (!(Momentum >= 0 && Momentum < 1)) throw new ArgumentOutOfRangeException(nameof(Momentum), Momentum, "Momentum must be from 0 to below 1.");
        if (Accumulate != 1) throw new ArgumentOutOfRangeException(nameof(Accumulate), Accumulate, "Accumulate must be 1: an epoch's last mini-batch may be smaller; take a larger BatchSize.");
        if (EvaluateEvery != 0) throw new ArgumentOutOfRangeException(nameof(EvaluateEvery), EvaluateEvery, "EvaluateEvery must be 0: test samples are looked at after each epoch.");
        base.Validate();
    }

    /// <summary>The same with the loop's number of steps.</summary>
    internal ProximalTrainingOptions Over(long stepsPerEpoch) => this with { Steps = Epochs * stepsPerEpoch };
}
