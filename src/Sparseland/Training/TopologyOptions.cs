namespace Sparseland.Training;

/// <summary>Whether a topology update takes the place of the optimizer's step or follows it.</summary>
public enum UpdateOrder
{
    /// <summary>The optimizer steps, then weights move: SET, ITOP, MEST, DSL.</summary>
    AfterStep,

    /// <summary>The update is made in place of the step, and the optimizer's own count stays: RigL. An update in which nothing moves swallows no step.</summary>
    ReplacesStep,
}

/// <summary>What becomes of an optimizer's moments where weights are switched off and on.</summary>
public enum MomentRule
{
    /// <summary>Gradients are masked before each step, and moments of inactive and of new weights are zero.</summary>
    Reset,

    /// <summary>
    /// Moments of inactive weights run on with their dense gradients, so that a new weight meets moments that are warm: what the published code
    /// of DSL does. It needs a dense gradient in every step.
    /// </summary>
    Keep,
}

/// <summary>When a sparse training moves its weights, how many, and how (<see cref="SparseOptimizer"/>).</summary>
public sealed record TopologyOptions
{
    /// <summary>Steps between two updates; step t, counted from 1, has one where t is a multiple of it. Default 100.</summary>
    public long Interval { get; init; } = 100;

    /// <summary>First step that may have an update. Default 0.</summary>
    public long Begin { get; init; }

    /// <summary>No step from this one on has an update. Default none, the largest number.</summary>
    public long End { get; init; } = long.MaxValue;

    /// <summary>Steps over which <see cref="Schedule"/> runs; null, the default, for <see cref="End"/>.</summary>
    public long? Length { get; init; }

    /// <summary>Share of a layer's active weights that an update drops. Default a constant 0.3, SET's.</summary>
    public DropSchedule Schedule { get; init; } = DropSchedule.Constant(0.3);

    /// <summary>Whether the number of dropped weights is rounded up (DSL) in place of down. Default false.</summary>
    public bool RoundUp { get; init; }

    /// <summary>Place of the update in a step. Default after it.</summary>
    public UpdateOrder Order { get; init; } = UpdateOrder.AfterStep;

    /// <summary>What becomes of moments. Default <see cref="MomentRule.Reset"/>.</summary>
    public MomentRule Moments { get; init; } = MomentRule.Reset;

    /// <summary>Value of a new weight. Default zero.</summary>
    public NewWeight NewWeights { get; init; } = NewWeight.Zero;

    /// <summary>Decay of the running average of raw gradients, from 0 to below 1, where a rule asks for one. Default 0.9.</summary>
    public double AverageDecay { get; init; } = 0.9;

    /// <summary>
    /// Whether an update grows first, exceeds the budget until the next update, and then drops as many, fresh ones too (MEST's soft memory bound). The last update
    /// before <see cref="End"/> drops alone. Default false.
    /// </summary>
    public bool SoftBound { get; init; }

    /// <summary>
    /// Whether layers exchange their budgets: what all layers drop grows in proportion to the mean size of the averaged gradient at each layer's active places (SNFS). The total stays, and every layer
    /// keeps a weight. Default false.
    /// </summary>
    public bool Redistribute { get; init; }

    /// <summary>Seed of growth at random; what an update draws depends on it, the step and the layer alone. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Whether a step has an update.</summary>
    /// <param name="step">Counted from 1.</param>
    public bool IsDue(long step) => step >= Begin && step < End && step % Interval == 0;

    /// <summary>Share of the active weights that the update of a step drops.</summary>
    /// <param name="step">Counted from 1.</param>
    public double FractionAt(long step) => Schedule.At(step, Length ?? End);

    /// <summary>How many of n active weights a share means: f n rounded down or up, with a guard of 1e-6 against the last bits of a product.</summary>
    /// <param name="fraction">f.</param>
    /// <param name="active">n.</param>
    public long CountOf(double fraction, long active) =>
        RoundUp ? Math.Min(active, Math.Max(0, (long)Math.Ceiling((fraction * active) - 1e-6))) : (long)Math.Floor((fraction * active) + 1e-6);

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Interval);
        ArgumentOutOfRangeException.ThrowIfNegative(Begin);
        ArgumentOutOfRangeException.ThrowIfNegative(End);
        ArgumentNullException.ThrowIfNull(Schedule);
        if (Length is { } length) ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length, nameof(Length));
        ArgumentNullException.ThrowIfNull(NewWeights);
        if (!(AverageDecay is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(AverageDecay), AverageDecay, "AverageDecay must be from 0 to below 1.");
        if (SoftBound && Redistribute) throw new ArgumentException("SoftBound and Redistribute both change how many weights a layer has; take one of them.", nameof(SoftBound));
        if (SoftBound && End == long.MaxValue) throw new ArgumentException("With SoftBound the last update must be known, which gives back what is over the budget: set End.", nameof(End));
        if (!Enum.IsDefined(Order)) throw new ArgumentOutOfRangeException(nameof(Order), Order, "Order is AfterStep or ReplacesStep.");
        if (!Enum.IsDefined(Moments)) throw new ArgumentOutOfRangeException(nameof(Moments), Moments, "Moments is Reset or Keep.");
    }
}
