using Sparseland.Tensors;

namespace Sparseland.Training;

/// <summary>Settings of a training with fixed masks by stochastic gradient descent.</summary>
public sealed record MaskedSgdOptions
{
    /// <summary>How often each image is seen, positive. Default 6.</summary>
    public int Epochs { get; init; } = 6;

    /// <summary>Images of a mini-batch, at least 2. Default 128.</summary>
    public int BatchSize { get; init; } = 128;

    /// <summary>Momentum from 0 to below 1, in Nesterov's form where it is not 0. Default 0.9.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>Weight decay on all parameters, not negative. Default 5e-4.</summary>
    public double WeightDecay { get; init; } = 5e-4;

    /// <summary>How the learning rate goes. Default linear from 0.1 to 0, after a climb over a tenth of the steps.</summary>
    public RetrainSchedule Schedule { get; init; } = new(RetrainRate.Linear, 0.1);

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Epochs);
        ArgumentOutOfRangeException.ThrowIfLessThan(BatchSize, 2);
        ArgumentNullException.ThrowIfNull(Schedule);
        if (!(Momentum is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(Momentum), Momentum, "Momentum must be from 0 to below 1.");
        Finite.NotNegative(WeightDecay);
        _ = Schedule.Options(1, Schedule.Highest);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
