using Sparseland.Tensors;
using Sparseland.Training;

namespace Sparseland.Pruning;

/// <summary>Where a retraining goes on after a pruning.</summary>
public enum Rewind
{
    /// <summary>Fine-tuning: weights go on from where they are, at one small rate.</summary>
    None,

    /// <summary>Learning-rate rewinding: weights go on, the rate repeats the last steps of the first training (Renda et al. 2020).</summary>
    LearningRate,

    /// <summary>Weight rewinding: kept weights go back to an early moment of the first training and are trained by its schedule (Frankle et al. 2020).</summary>
    Weights,

    /// <summary>Cyclic restart: weights go on, the rate begins at the highest again and falls to 0, as the retraining schedule says (Zimmer et al. 2023).</summary>
    CyclicRestart,
}

/// <summary>Settings of <see cref="IterativeMagnitudePruning"/>.</summary>
public sealed record ImpOptions
{
    /// <summary>Sparsity at the end, above 0 and below 1. Default 0.9.</summary>
    public double Sparsity { get; init; } = 0.9;

    /// <summary>R, rounds of pruning and retraining, positive; 1 is one-shot pruning. Default 3.</summary>
    public int Rounds { get; init; } = 3;

    /// <summary>Where a retraining goes on. Default a cyclic restart.</summary>
    public Rewind Rewind { get; init; } = Rewind.CyclicRestart;

    /// <summary>Learning rate of fine-tuning (<see cref="Rewind.None"/>), positive. Default 0.001.</summary>
    public double FineTuneRate { get; init; } = 0.001;

    /// <summary>Epochs of the first training, positive: what an adaptive or rewound rate is measured against. Default 20.</summary>
    public int DenseEpochs { get; init; } = 20;

    /// <summary>One retraining. Default 6 epochs from rate 0.1.</summary>
    public MaskedSgdOptions Retrain { get; init; } = new();

    /// <summary>Prunable parameters; null for those of <see cref="Sparseland.Training.PrunableWeights"/>. Default null.</summary>
    public IReadOnlyList<string>? Prunable { get; init; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        if (!(Sparsity is > 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(Sparsity), Sparsity, "Sparsity must lie above 0 and below 1.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Rounds);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(DenseEpochs);
        Finite.Positive(FineTuneRate);
        if (!Enum.IsDefined(Rewind)) throw new ArgumentOutOfRangeException(nameof(Rewind), Rewind, "Rewind must be one of the named forms.");
        ArgumentNullException.ThrowIfNull(Retrain);
        Retrain.Validate();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
