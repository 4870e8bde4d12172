using Sparseland.Tensors;

namespace Sparseland.FeatureSelection;

/// <summary>What the outputs of the autoencoder go through.</summary>
public enum AutoencoderOutput
{
    /// <summary>Nothing: standardised features.</summary>
    Linear,

    /// <summary>The hyperbolic tangent, as the published code has it for one of its sets.</summary>
    Tanh,
}

/// <summary>The backward pass through dropout.</summary>
public enum DropoutBackward
{
    /// <summary>A dropped hidden unit gets no gradient.</summary>
    Correct,

    /// <summary>As the published code: the gradient of the hidden units forgets which were dropped.</summary>
    Published,
}

/// <summary>Settings of <see cref="SparselyConnectedAutoencoder"/> (Atashgahi et al. 2022).</summary>
public sealed record QuickSelectionOptions
{
    /// <summary>h, hidden units, positive. Default 1000, the paper's.</summary>
    public int Hidden { get; init; } = 1000;

    /// <summary>epsilon: each matrix begins with epsilon (inputs + outputs) places drawn with replacement. Default 13, the paper's.</summary>
    public double Epsilon { get; init; } = 13;

    /// <summary>zeta, share of the weights of each sign that an evolution drops, from 0 to below 1; 0 for connections that stay. Default 0.2.</summary>
    public double Zeta { get; init; } = 0.2;

    /// <summary>Deviation of first and of new weights, positive. Default 0.1.</summary>
    public double WeightDeviation { get; init; } = 0.1;

    /// <summary>Deviation of the normal noise on the inputs, not negative. Default 0.2.</summary>
    public double Noise { get; init; } = 0.2;

    /// <summary>Whether the noise is drawn once for the whole training, as in the published code, and not for each mini-batch. Default true.</summary>
    public bool NoiseOnce { get; init; } = true;

    /// <summary>Share of hidden units that a mini-batch drops, from 0 to below 1; what stays is not scaled up. Default 0.2.</summary>
    public double Dropout { get; init; } = 0.2;

    /// <summary>Learning rate of gradients that are summed over features and averaged over samples, positive. Default 0.01.</summary>
    public double LearningRate { get; init; } = 0.01;

    /// <summary>Momentum, from 0 to below 1. Default 0.9.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>Share of each weight that a step takes away, NOT multiplied by the learning rate; from 0 to below 1. Default 1e-5.</summary>
    public double WeightDecay { get; init; } = 1e-5;

    /// <summary>Samples of a mini-batch, positive; a smaller last one of an epoch is left out. Default 100.</summary>
    public int BatchSize { get; init; } = 100;

    /// <summary>What the outputs go through. Default nothing.</summary>
    public AutoencoderOutput Output { get; init; } = AutoencoderOutput.Linear;

    /// <summary>The backward pass through dropout. Default the correct one.</summary>
    public DropoutBackward Backward { get; init; } = DropoutBackward.Correct;

    /// <summary>Seed of everything that is drawn. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Hidden);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(BatchSize);
        Check(Epsilon > 0 && double.IsFinite(Epsilon), Epsilon, nameof(Epsilon), "be positive and finite");
        Check(Zeta is >= 0 and < 1, Zeta, nameof(Zeta), "be from 0 to below 1");
        Check(WeightDeviation > 0 && double.IsFinite(WeightDeviation), WeightDeviation, nameof(WeightDeviation), "be positive and finite");
        Check(Noise >= 0 && double.IsFinite(Noise), Noise, nameof(Noise), "be finite and not negative");
        Check(Dropout is >= 0 and < 1, Dropout, nameof(Dropout), "be from 0 to below 1");
        Check(LearningRate > 0 && double.IsFinite(LearningRate), LearningRate, nameof(LearningRate), "be positive and finite");
        Check(Momentum is >= 0 and < 1, Momentum, nameof(Momentum), "be from 0 to below 1");
        Check(WeightDecay is >= 0 and < 1, WeightDecay, nameof(WeightDecay), "be from 0 to below 1");
        if (!Enum.IsDefined(Output)) throw new ArgumentOutOfRangeException(nameof(Output), Output, "Output is Linear or Tanh.");
        if (!Enum.IsDefined(Backward)) throw new ArgumentOutOfRangeException(nameof(Backward), Backward, "Backward is Correct or Published.");
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    private static void Check(bool holds, double value, string name, string rule)
    {
        if (!holds) throw new ArgumentOutOfRangeException(name, value, $"{name} must {rule}.");
    }
}
