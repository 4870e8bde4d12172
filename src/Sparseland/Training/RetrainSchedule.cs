using Sparseland.Tensors;

namespace Sparseland.Training;

/// <summary>How the learning rate goes in a retraining after pruning.</summary>
public enum RetrainRate
{
    /// <summary>One rate throughout.</summary>
    Constant,

    /// <summary>LLR: from the highest rate of the first training in a straight line to 0 (Zimmer, Spiegel and Pokutta 2023).</summary>
    Linear,

    /// <summary>ALLR: as <see cref="Linear"/>, but from a rate that is lower where the pruning did little and the retraining is short.</summary>
    Adaptive,

    /// <summary>From the highest rate along half a cosine to 0.</summary>
    Cosine,
}

/// <summary>Learning rates of the retraining after a pruning (Zimmer, Spiegel and Pokutta, "How I learned to stop worrying and love retraining", ICLR 2023).</summary>
/// <param name="Rate">The form.</param>
/// <param name="Highest">eta_max, the highest rate of the first training (of <see cref="RetrainRate.Constant"/>: the rate); positive.</param>
public sealed record RetrainSchedule(RetrainRate Rate, double Highest)
{
    /// <summary>Share of the steps in which the rate climbs to where it begins to fall, from 0 to below 1; a constant rate does not climb. Default 0.1.</summary>
    public double WarmUp { get; init; } = 0.1;

    /// <summary>The rate from which it falls.</summary>
    /// <param name="normDrop">sqrt(|w|^2 - |w pruned|^2) / |w| of this pruning, from 0 to 1.</param>
    /// <param name="pruned">Share of the weights that were there which this pruning removed, above 0 and at most 1.</param>
    /// <param name="length">Length of this retraining over that of the first training, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public double StartOf(double normDrop, double pruned, double length)
    {
        Finite.Positive(Highest);
        if (Rate != RetrainRate.Adaptive) return Highest;
        if (!(normDrop is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(normDrop), normDrop, "The drop of the norm must be from 0 to 1.");
        if (!(pruned is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(pruned), pruned, "The pruned share must lie above 0 and not above 1.");
        Finite.Positive(length);
        return Highest * Math.Clamp(normDrop / Math.Sqrt(pruned), Math.Min(1, length), 1);
    }

    /// <summary>Settings of the training loop for one retraining; gradients are not clipped.</summary>
    /// <param name="steps">Steps, positive.</param>
    /// <param name="start">The rate from which it falls, see <see cref="StartOf"/>.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public TrainingOptions Options(long steps, double start)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(steps);
        if (!(WarmUp is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(WarmUp), WarmUp, "The warm-up must be a share from 0 to below 1.");
        bool constant = Rate == RetrainRate.Constant;
        TrainingOptions options = new()
        {
            Steps = steps, LearningRate = start, WarmUp = constant ? 0 : Math.Min(steps - 1, WholeSteps.In(WarmUp, steps)), LinearDecay = Rate != RetrainRate.Cosine, FinalRate = constant ? 1 : 0,
            ClipNorm = double.PositiveInfinity, WeightDecay = 0,
        };
        options.Validate();
        return options;
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
