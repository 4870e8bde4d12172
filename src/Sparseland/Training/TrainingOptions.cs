using System.Globalization;

namespace Sparseland.Training;

/// <summary>Settings of <see cref="TrainingLoop"/>.</summary>
public record TrainingOptions
{
    /// <summary>Steps of the optimizer in all. Default 1000.</summary>
    public long Steps { get; init; } = 1000;

    /// <summary>Highest learning rate. Default 1e-3.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>Steps over which the learning rate climbs linearly to its highest; below <see cref="Steps"/>, or 0. Default 0.</summary>
    public virtual long WarmUp { get; init; }

    /// <summary>
    /// Share of the steps after the warm-up during which the learning rate stays at its highest, from 0 to 1; then half a cosine takes it
    /// down. A training that is still on this plateau, and has no drops, may be taken up with another number of steps. Default 0.
    /// </summary>
    public double Plateau { get; init; }

    /// <summary>Whether the learning rate falls in a straight line after the plateau, in place of half a cosine. Default false.</summary>
    public bool LinearDecay { get; init; }

    /// <summary>The last learning rate as a share of the highest, from 0 to 1. Default 0.1.</summary>
    public double FinalRate { get; init; } = 0.1;

    /// <summary>Where the learning rate is multiplied with <see cref="DropTo"/> besides, as shares of the steps, ascending; none by default.</summary>
    public IReadOnlyList<double> DropAt { get; init; } = [];

    /// <summary>What the learning rate is multiplied with at each drop, above 0 and at most 1. Default 0.1.</summary>
    public double DropTo { get; init; } = 0.1;

    /// <summary>lambda of AdamW, the optimizer where no other is given: each step shrinks a decaying parameter by the factor 1 - rate lambda. Default 0.1.</summary>
    public double WeightDecay { get; init; } = 0.1;

    /// <summary>
    /// Whether norms, biases and embeddings decay too. By default only parameters of two and more dimensions do that are not embeddings:
    /// the others have no direction that decay could make simpler.
    /// </summary>
    public bool DecayAll { get; init; }

    /// <summary>Decay of the mean of the gradients, from 0 to below 1. Default 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the mean of their squares, from 0 to below 1. Default 0.95.</summary>
    public double Beta2 { get; init; } = 0.95;

    /// <summary>Added to the root of the second moment. Default 1e-8.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Largest norm of all gradients together; infinity for no clipping. Default 1.</summary>
    public double ClipNorm { get; init; } = 1;

    /// <summary>Mini-batches whose gradients are averaged for one step. Default 1.</summary>
    public int Accumulate { get; init; } = 1;

    /// <summary>Evaluates after each so many steps, and after the last; 0 for never. Default 0.</summary>
    public long EvaluateEvery { get; init; }

    /// <summary>File of the checkpoint; null for none. Default null.</summary>
    public string? Checkpoint { get; init; }

    /// <summary>Writes the checkpoint after each so many steps, after the last and on cancelling; 0 for the latter two only. Default 0.</summary>
    public long CheckpointEvery { get; init; }

    /// <summary>Seed of what the network draws (dropout); the order of the data has the seed of its source. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>What else makes a training what it is ("bfloat16"): a checkpoint is not taken up under another variant. Default empty.</summary>
    public string Variant { get; init; } = "";

    /// <summary>Learning rate of a step: linear warm-up, plateau, half a cosine (Loshchilov and Hutter 2017); times the drops before it.</summary>
    /// <param name="step">Steps done before it, from 0.</param>
    public double RateOf(long step) => Smooth(step) * Math.Pow(DropTo, DropAt.Count(share => step >= WholeSteps.From(share, Steps)));

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public virtual void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Steps);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Accumulate);
        ArgumentNullException.ThrowIfNull(Variant);
        if (WarmUp < 0 || WarmUp >= Steps) throw new ArgumentOutOfRangeException(nameof(WarmUp), WarmUp, $"WarmUp must be from 0 to below the {Steps} steps.");
        Check(LearningRate > 0 && double.IsFinite(LearningRate), LearningRate, nameof(LearningRate), "be positive and finite");
        Check(Plateau is >= 0 and <= 1, Plateau, nameof(Plateau), "be from 0 to 1");
        Check(FinalRate is >= 0 and <= 1, FinalRate, nameof(FinalRate), "be from 0 to 1");
        ArgumentNullException.ThrowIfNull(DropAt);
        for (int i = 0; i < DropAt.Count; i++)
        {
            if (!(DropAt[i] > (i == 0 ? 0 : DropAt[i - 1]) && DropAt[i] < 1))
                throw new ArgumentException($"DropAt[{i}] is {DropAt[i]}; the shares must ascend between 0 and 1.", nameof(DropAt));
        }

        Check(DropTo is > 0 and <= 1, DropTo, nameof(DropTo), "lie above 0 and not above 1");
        Check(WeightDecay >= 0 && LearningRate * WeightDecay < 1, WeightDecay, nameof(WeightDecay), "not be negative, and LearningRate * WeightDecay must be below 1");
        Check(Beta1 is >= 0 and < 1, Beta1, nameof(Beta1), "be from 0 to below 1");
        Check(Beta2 is >= 0 and < 1, Beta2, nameof(Beta2), "be from 0 to below 1");
        Check(Epsilon > 0 && double.IsFinite(Epsilon), Epsilon, nameof(Epsilon), "be positive and finite");
        Check(ClipNorm > 0, ClipNorm, nameof(ClipNorm), "be positive; infinity clips nothing");
        ArgumentOutOfRangeException.ThrowIfNegative(EvaluateEvery);
        ArgumentOutOfRangeException.ThrowIfNegative(CheckpointEvery);
        if (CheckpointEvery > 0 && Checkpoint is null) throw new ArgumentException($"CheckpointEvery is {CheckpointEvery}, but Checkpoint names no file.", nameof(Checkpoint));
        if (Checkpoint is not null && string.IsNullOrWhiteSpace(Checkpoint)) throw new ArgumentException("Checkpoint is empty; it must name a file, or be null.", nameof(Checkpoint));
    }

    /// <summary>What decides where a training goes, but its schedule: a checkpoint is taken up only where all of this is the same.</summary>
    internal IReadOnlyDictionary<string, string> Identity() => new Dictionary<string, string>
    {
        [nameof(ClipNorm)] = Text(ClipNorm), [nameof(Accumulate)] = Text(Accumulate), [nameof(Seed)] = Seed.ToString(CultureInfo.InvariantCulture), [nameof(Variant)] = Variant,
    };

    private double Smooth(long step)
    {
        if (step < WarmUp) return LearningRate * (step + 1) / WarmUp;
        double start = WarmUp + (Plateau * (Steps - WarmUp)), length = Steps - 1 - start;
        double share = step < start ? 0 : length <= 0 ? 1 : Math.Min(1, (step - start) / length);
        double left = LinearDecay ? 1 - share : 0.5 * (1 + Math.Cos(Math.PI * share));
        return LearningRate * (FinalRate + ((1 - FinalRate) * left));
    }

    private static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    private static void Check(bool holds, double value, string name, string rule)
    {
        if (!holds) throw new ArgumentOutOfRangeException(name, value, $"{name} must {rule}.");
    }
}
