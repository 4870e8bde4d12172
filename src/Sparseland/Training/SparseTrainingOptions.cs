using Sparseland.Tensors;

namespace Sparseland.Training;

/// <summary>Settings of <see cref="SparseTraining.Run"/>: AdamW, a climb over a tenth of the steps, half a cosine down to 0.</summary>
public sealed record SparseTrainingOptions
{
    /// <summary>How often each sample is seen, positive. Default 8.</summary>
    public int Epochs { get; init; } = 8;

    /// <summary>Samples of a mini-batch, positive; a smaller last one of an epoch is left out. Default 100.</summary>
    public int BatchSize { get; init; } = 100;

    /// <summary>Highest learning rate. Default 0.003.</summary>
    public double LearningRate { get; init; } = 0.003;

    /// <summary>Share of the steps in which it climbs, from 0 to below 1. Default 0.1.</summary>
    public double WarmUp { get; init; } = 0.1;

    /// <summary>Decoupled weight decay, on matrices alone. Default 0.05.</summary>
    public double WeightDecay { get; init; } = 0.05;

    /// <summary>Largest norm of the masked gradients together; infinity, the default, for no clipping.</summary>
    public double ClipNorm { get; init; } = double.PositiveInfinity;

    /// <summary>Seed of the order of the samples. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Steps of the whole training.</summary>
    /// <param name="samples">Samples of an epoch.</param>
    /// <exception cref="ArgumentException">Fewer samples than a mini-batch, or a value out of its range.</exception>
    public long StepsFor(long samples)
    {
        Validate();
        return samples >= BatchSize ? Epochs * (samples / BatchSize) : throw new ArgumentException($"There are {samples} samples, too few for one batch of {BatchSize}.", nameof(samples));
    }

    /// <summary>The loop's settings.</summary>
    /// <param name="steps">Steps, positive.</param>
    public TrainingOptions ForLoop(long steps) => new()
    {
        Steps = steps, LearningRate = LearningRate, WarmUp = Math.Min(steps - 1, WholeSteps.In(WarmUp, steps)), FinalRate = 0, WeightDecay = WeightDecay, Beta2 = 0.999, ClipNorm = ClipNorm, Seed = Seed,
    };

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Epochs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(BatchSize);
        if (!(WarmUp is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(WarmUp), WarmUp, "WarmUp must be a share from 0 to below 1.");
        ForLoop(2).Validate();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
