using Sparseland.Tensors;

namespace Sparseland.Unmixing;

/// <summary>
/// The penalty lambda sum_n sum_k A_kn^{1 - h_n} on abundances: none, one power for all pixels, or a power of each pixel's own
/// that is learned.
/// </summary>
public abstract record AbundanceSparsity
{
    private protected AbundanceSparsity(double lambda) => Lambda = lambda;

    /// <summary>Strength lambda.</summary>
    public double Lambda { get; init; }

    /// <summary>No penalty.</summary>
    public static AbundanceSparsity None { get; } = new NoSparsity();

    /// <summary>lambda sum A^p with one p; p = 1/2 with the squared loss is the penalty of Qian et al. 2011.</summary>
    /// <param name="power">p in (0, 1]. With sums of one, p = 1 is a constant and does nothing.</param>
    /// <param name="lambda">Strength, not negative.</param>
    public static FixedPower Fixed(double power, double lambda) => new(power, lambda);

    /// <summary>lambda sum A^{1 - h_n} with h_n learned from the abundances.</summary>
    /// <param name="lambda">Strength, not negative. Large ones run away: more sparsity raises h, which lowers the power further.</param>
    public static LearnedPower Learned(double lambda) => new(lambda);

    /// <summary>h of all pixels before the first sweep.</summary>
    internal abstract double InitialGuidance { get; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public virtual void Validate() => Finite.NotNegative(Lambda);

    private sealed record NoSparsity() : AbundanceSparsity(0)
    {
        internal override double InitialGuidance => 0;
    }
}

/// <summary>One power for all pixels.</summary>
public sealed record FixedPower : AbundanceSparsity
{
    internal FixedPower(double power, double lambda)
        : base(lambda) => Power = power;

    /// <summary>p in (0, 1].</summary>
    public double Power { get; init; }

    internal override double InitialGuidance => 1 - Power;

    /// <inheritdoc/>
    public override void Validate()
    {
        base.Validate();
        if (!(Power > 0 && Power <= 1)) throw new ArgumentOutOfRangeException(nameof(Power), Power, "Power must be in (0, 1].");
    }
}

/// <summary>
/// A guidance map h with the power p_n = 1 - h_n: the purer a pixel looks, the smaller its power. How the paper updates h could not be
/// consulted; this schedule is our reading.
/// </summary>
public sealed record LearnedPower : AbundanceSparsity
{
    internal LearnedPower(double lambda)
        : base(lambda)
    {
    }

    /// <summary>What purity is measured by. Default <see cref="PurityMeasure.Gini"/>.</summary>
    public PurityMeasure Measure { get; init; } = PurityMeasure.Gini;

    /// <summary>Largest h, in [0, 1). Default 0.9: a power of 0 would count materials and have no slope.</summary>
    public double Cap { get; init; } = 0.9;

    /// <summary>Sweeps with h = 0 before the map is first learned. Default 20: the first abundances say nothing about purity.</summary>
    public int WarmUp { get; init; } = 20;

    /// <summary>Sweeps from one update of the map to the next. Default 10.</summary>
    public int Every { get; init; } = 10;

    /// <summary>The map stays as it is for this many last sweeps, in which the objective cannot rise and may stop the run. Default 50.</summary>
    public int FrozenSweeps { get; init; } = 50;

    /// <summary>Height and width of the image where h is to be averaged over 3 x 3 pixels, for noisy scenes; Default null: no averaging.</summary>
    public (int Height, int Width)? SmoothOver { get; init; }

    internal override double InitialGuidance => 0;

    /// <summary>Whether the map is learned anew before a sweep, counted from 0.</summary>
    internal bool IsDue(int sweep, int maxSweeps) => !IsFrozen(sweep, maxSweeps) && sweep >= WarmUp && (sweep - WarmUp) % Every == 0;

    internal bool IsFrozen(int sweep, int maxSweeps) => sweep >= maxSweeps - FrozenSweeps;

    /// <inheritdoc/>
    public override void Validate()
    {
        base.Validate();
        if (!Enum.IsDefined(Measure)) throw new ArgumentOutOfRangeException(nameof(Measure), Measure, "Measure must be Gini or Hoyer.");
        UnmixingInput.CheckCap(Cap, nameof(Cap));
        if (WarmUp < 0) throw new ArgumentOutOfRangeException(nameof(WarmUp), WarmUp, "WarmUp must not be negative.");
        if (Every < 1) throw new ArgumentOutOfRangeException(nameof(Every), Every, "Every must be at least 1.");
        if (FrozenSweeps < 0) throw new ArgumentOutOfRangeException(nameof(FrozenSweeps), FrozenSweeps, "FrozenSweeps must not be negative.");
    }
}
