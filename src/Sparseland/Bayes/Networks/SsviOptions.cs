using Sparseland.Tensors;
using Sparseland.Training;

namespace Sparseland.Bayes.Networks;

/// <summary>Settings of <see cref="Ssvi.Run"/>. AdamW without decay for means and biases, another with a larger rate for rho; a climb, then half a cosine to 0.</summary>
public sealed record SsviOptions
{
    /// <summary>How often each sample is seen, positive. Default 60.</summary>
    public int Epochs { get; init; } = 60;

    /// <summary>Samples of a mini-batch, positive; a smaller last one of an epoch is left out. Default 50.</summary>
    public int BatchSize { get; init; } = 50;

    /// <summary>Highest learning rate of means and biases. Default 0.005.</summary>
    public double LearningRate { get; init; } = 0.005;

    /// <summary>Highest learning rate of rho, positive: at the rate of the means the deviations hardly leave where they begin. Default 0.03.</summary>
    public double RhoRate { get; init; } = 0.03;

    /// <summary>Share of the steps in which the rates climb, from 0 to below 1. Default 0.1.</summary>
    public double WarmUp { get; init; } = 0.1;

    /// <summary>Largest norm of the masked gradients together; infinity for no clipping. Default 1.</summary>
    public double ClipNorm { get; init; } = 1;

    /// <summary>Deviation of the prior, positive. Default 0.3.</summary>
    public double Prior { get; init; } = 0.3;

    /// <summary>Weight of the KL term against the sum of the log-likelihoods, not negative; 1 is the true bound. Default 0.1.</summary>
    public double Kappa { get; init; } = 0.1;

    /// <summary>Share of the steps over which kappa rises linearly from 0, from 0 to 1. Default 0.5.</summary>
    public double KappaWarmUp { get; init; } = 0.5;

    /// <summary>Whether masks move. Default true.</summary>
    public bool Moves { get; init; } = true;

    /// <summary>Steps between two moves of the masks, positive. Default 20.</summary>
    public long Interval { get; init; } = 20;

    /// <summary>Share of a layer's active weights that the first move drops, from 0 to 1; it falls along half a cosine until three quarters of the steps. Default 0.3.</summary>
    public double Alpha { get; init; } = 0.3;

    /// <summary>Who is removed. Default |mu|/sigma, which chooses what the paper's does.</summary>
    public RemovalCriterion Criterion { get; init; } = RemovalCriterion.Snr;

    /// <summary>Whether outputs are drawn while training. Without noise and with kappa 0 the training is RigL's. Default true.</summary>
    public bool Noise { get; init; } = true;

    /// <summary>Whether the gradient that decides what grows is that at the means, without noise. Default false, as in the published code.</summary>
    public bool GrowAtMean { get; init; }

    /// <summary>Seed of the noise and of the order of the samples. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Steps of the whole training.</summary>
    /// <param name="samples">Samples of an epoch.</param>
    /// <exception cref="ArgumentException">Fewer samples than a mini-batch, or a value out of its range.</exception>
    public long StepsFor(long samples)
    {
        Validate();
        return Schedule.StepsFor(samples);
    }

    /// <summary>kappa at a step.</summary>
    /// <param name="step">Steps done before it.</param>
    /// <param name="steps">Steps of the training.</param>
    public double KappaAt(long step, long steps) => KappaWarmUp * steps <= 0 ? Kappa : Kappa * Math.Min(1, step / (KappaWarmUp * steps));

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        Schedule.Validate();
        Finite.Positive(RhoRate);
        Finite.Positive(Prior);
        Finite.NotNegative(Kappa);
        if (!(KappaWarmUp is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(KappaWarmUp), KappaWarmUp, "KappaWarmUp must be a share from 0 to 1.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Interval);
        if (!(Alpha is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(Alpha), Alpha, "Alpha must be a share from 0 to 1.");
        ArgumentNullException.ThrowIfNull(Criterion);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    /// <summary>What a sparse training without distributions has as well.</summary>
    internal SparseTrainingOptions Schedule => new()
    {
        Epochs = Epochs, BatchSize = BatchSize, LearningRate = LearningRate, WarmUp = WarmUp, WeightDecay = 0, ClipNorm = ClipNorm, Seed = Seed,
    };

    /// <summary>When and how masks move: RigL's schedule.</summary>
    internal TopologyOptions Topology(long steps) => SparseTraining.RigL(steps, Interval, Alpha, Seed).Topology!;
}
