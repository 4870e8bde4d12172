namespace Sparseland.Bayes;

/// <summary>How the factors of gamma are updated.</summary>
public enum KroneckerUpdate
{
    /// <summary>AM-KroSBL: the M-step solved by alternating minimisation. With a tight inner tolerance and no pruning the cost never rises.</summary>
    Alternating,

    /// <summary>KSBL, the earlier method: one cycle of the alternation in every iteration.</summary>
    OneSweep,

    /// <summary>SVD-KroSBL: the rank-one projection of the statistic. Not a step of expectation maximisation: that the cost falls is observed, not proved.</summary>
    Svd,

    /// <summary>PC-KroSBL: alternation with neighbours coupled, for supports in blocks.</summary>
    PatternCoupled,
}

/// <summary>Settings of <see cref="KroneckerSbl"/>; the defaults are those of the paper's code, with its absolute constants as shares of the data's own scale.</summary>
public sealed record KroneckerSblOptions
{
    /// <summary>Noise variance, known or, by default, learned.</summary>
    public NoiseModel Noise { get; init; } = NoiseModel.Learn();

    /// <summary>The update; SVD by default.</summary>
    public KroneckerUpdate Update { get; init; } = KroneckerUpdate.Svd;

    /// <summary>beta of each factor in [0, 1] for <see cref="KroneckerUpdate.PatternCoupled"/>; 0 leaves a factor uncoupled. Empty by default, which the other updates need.</summary>
    public IReadOnlyList<double> Coupling { get; init; } = [];

    /// <summary>
    /// Per factor: entries below this share of the factor's largest are set to 0 and dropped at the start of an iteration. One value for
    /// all factors or one for each; 0 keeps all. Null, the default, takes the code's values: 5e-3 where the noise is learned, else 1e-3 (SVD), 1e-2
    /// (alternating, one sweep), and 1e-2 for coupled and 1e-1 for uncoupled factors (pattern-coupled).
    /// </summary>
    public IReadOnlyList<double>? PruneRatios { get; init; }

    /// <summary>
    /// An entry of a factor is dropped too when none of its coefficients has a prior variance of at least this, squared units of x; null, the default, for
    /// 1e-4 of the default of <see cref="StartGammas"/> (pattern-coupled) or 0. The reference compares the factor's own entry with
    /// 1e-4, which depends on the units of the data and on how the factors share their scale.
    /// </summary>
    public double? PruneBelow { get; init; }

    /// <summary>Stop when ||gamma_new - gamma|| is at most this share of ||gamma||, and a learned noise variance changed no more than that; 1e-4 by default.</summary>
    public double Tolerance { get; init; } = 1e-4;

    /// <summary>Most iterations, 150 by default.</summary>
    public int MaxIterations { get; init; } = 150;

    /// <summary>Of the alternation; on the change of gamma in one cycle, relative to gamma; null, the default, for 1e-5, or 1e-4 for the pattern-coupled one.</summary>
    public double? InnerTolerance { get; init; }

    /// <summary>Most cycles of the alternation in one iteration; null, the default, for 1000, or 10 for the pattern-coupled one.</summary>
    public int? MaxInnerCycles { get; init; }

    /// <summary>
    /// Start of the factors of gamma [N_i], squared units of x; null, the default, for equal variances (pattern-coupled: C times equal ones): of the
    /// ||y||^2/||A||^2 that would explain y, ten times for the SVD update and a hundredth for the others. The reference starts at 1, whatever the units.
    /// </summary>
    public IReadOnlyList<double[]>? StartGammas { get; init; }

    /// <summary>Called after every iteration with a copy of the state. Default null.</summary>
    public Action<KroneckerSblIteration>? OnIteration { get; init; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <param name="factors">Number of factors of the dictionary.</param>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate(int factors)
    {
        ArgumentNullException.ThrowIfNull(Noise);
        ArgumentNullException.ThrowIfNull(Coupling);
        if (!Enum.IsDefined(Update)) throw new ArgumentOutOfRangeException(nameof(Update), Update, "Update is not one of the four.");
        BayesInput.CheckLoop(Tolerance, MaxIterations);
        if (InnerTolerance is { } inner) BayesInput.CheckLoop(inner, 1);
        if (MaxInnerCycles is { } cycles) BayesInput.CheckLoop(0, cycles);
        if (PruneRatios is { } ratios)
        {
            if (ratios.Count != 1 && ratios.Count != factors)
                throw new ArgumentException($"PruneRatios has {ratios.Count} values; it needs 1 or one for each of the {factors} factors.", nameof(PruneRatios));
            foreach (double ratio in ratios) BayesInput.CheckRatio(ratio, nameof(PruneRatios));
        }

        if (PruneBelow is { } below && !(below >= 0)) throw new ArgumentOutOfRangeException(nameof(PruneBelow), below, "PruneBelow must not be negative.");
        if (Update == KroneckerUpdate.PatternCoupled) KroneckerMStep.CheckCoupling(Coupling, factors);
        else if (Coupling.Count > 0) throw new ArgumentException($"Coupling is for PatternCoupled; the update is {Update}.", nameof(Coupling));
    }

    internal double RatioOf(int factor) => PruneRatios is { } ratios ? ratios[ratios.Count == 1 ? 0 : factor]
        : Update == KroneckerUpdate.PatternCoupled ? (Coupling[factor] > 0 ? 1e-2 : 1e-1)
        : Noise.IsLearned ? 5e-3
        : Update == KroneckerUpdate.Svd ? 1e-3 : 1e-2;
}
