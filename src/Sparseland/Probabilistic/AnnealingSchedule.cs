namespace Sparseland.Probabilistic;

/// <summary>What is annealed over a run of <see cref="TruncatedEm"/>, and how long it takes.</summary>
/// <remarks>Deterministic annealing raises the likelihood, or the whole joint, to the power 1/T: a hot posterior spreads over many states.</remarks>
public sealed record AnnealingSchedule
{
    /// <summary>EM steps.</summary>
    public int Steps { get; init; } = 100;

    /// <summary>T, at least 1. In the max models it also softens the maximum.</summary>
    public Ramp Temperature { get; init; } = 1;

    /// <summary>Whether T acts on the prior as well.</summary>
    public bool AnnealPrior { get; init; }

    /// <summary>
    /// Ncut in [0, 1]: the M-step uses the N (1 - (1 - A) Ncut) points that the truncated model explains best, where A is the prior mass of
    /// states with at most gamma active components.
    /// </summary>
    public Ramp CutOut { get; init; } = 0;

    /// <summary>Standard deviation of Gaussian noise on each weight before a step.</summary>
    public Ramp WeightNoise { get; init; } = 0;

    /// <summary>Standard deviation of Gaussian noise on the prior probabilities.</summary>
    public Ramp PriorNoise { get; init; } = 0;

    /// <summary>Standard deviation of Gaussian noise on sigma.</summary>
    public Ramp SigmaNoise { get; init; } = 0;

    /// <summary>Standard deviation of Gaussian noise on the data, fresh at every step.</summary>
    public Ramp DataNoise { get; init; } = 0;

    /// <summary>Share of the points that a step looks at, in (0, 1]; drawn anew at every step.</summary>
    public Ramp Share { get; init; } = 1;

    /// <summary>The usual schedule: T falls linearly to 1, and the cut-out grows from 0 to 1.</summary>
    /// <param name="steps">EM steps.</param>
    /// <param name="temperature">T at the start.</param>
    /// <param name="coldAt">Fraction of the run at which T is 1. Default 0.8.</param>
    /// <param name="cutOut">Ncut from 2/3 of the run on. Default 1.</param>
    public static AnnealingSchedule Cooling(int steps, double temperature, double coldAt = 0.8, double cutOut = 1) => new()
    {
        Steps = steps,
        Temperature = Ramp.Fractions((0, temperature), (coldAt, 1)),
        CutOut = cutOut == 0 ? 0 : Ramp.Fractions((0, 0), (2 / 3.0, cutOut)),
    };

    /// <summary>The values at a step.</summary>
    /// <param name="step">From 0.</param>
    public Annealing At(int step) => new(Temperature.At(step, Steps), AnnealPrior, CutOut.At(step, Steps))
    {
        WeightNoise = WeightNoise.At(step, Steps),
        PriorNoise = PriorNoise.At(step, Steps),
        SigmaNoise = SigmaNoise.At(step, Steps),
        DataNoise = DataNoise.At(step, Steps),
        Share = Share.At(step, Steps),
    };

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range, or positions do not increase.</exception>
    public void Validate()
    {
        if (Steps < 1) throw new ArgumentOutOfRangeException(nameof(Steps), Steps, "Steps must be at least 1.");
        Check(Temperature, nameof(Temperature), v => v >= 1, "must be at least 1");
        Check(CutOut, nameof(CutOut), v => v is >= 0 and <= 1, "must be in [0, 1]");
        Check(Share, nameof(Share), v => v is > 0 and <= 1, "must be in (0, 1]");
        foreach ((Ramp ramp, string name) in new[]
        {
            (WeightNoise, nameof(WeightNoise)), (PriorNoise, nameof(PriorNoise)), (SigmaNoise, nameof(SigmaNoise)), (DataNoise, nameof(DataNoise)),
        })
        {
            Check(ramp, name, v => v >= 0, "must not be negative");
        }

        void Check(Ramp ramp, string name, Func<double, bool> allowed, string rule)
        {
            ArgumentNullException.ThrowIfNull(ramp, name);
            ramp.Check(name, Steps, allowed, rule);
        }
    }
}

/// <summary>The annealed quantities of one step.</summary>
/// <param name="Temperature">T. Default 1.</param>
/// <param name="AnnealPrior">Whether T acts on the prior as well. Default false.</param>
/// <param name="CutOut">Ncut. Default 0.</param>
public sealed record Annealing(double Temperature = 1, bool AnnealPrior = false, double CutOut = 0)
{
    /// <summary>T = 1, all data, no noise.</summary>
    public static Annealing None { get; } = new();

    /// <summary>See <see cref="AnnealingSchedule.WeightNoise"/>.</summary>
    public double WeightNoise { get; init; }

    /// <summary>See <see cref="AnnealingSchedule.PriorNoise"/>.</summary>
    public double PriorNoise { get; init; }

    /// <summary>See <see cref="AnnealingSchedule.SigmaNoise"/>.</summary>
    public double SigmaNoise { get; init; }

    /// <summary>See <see cref="AnnealingSchedule.DataNoise"/>.</summary>
    public double DataNoise { get; init; }

    /// <summary>See <see cref="AnnealingSchedule.Share"/>.</summary>
    public double Share { get; init; } = 1;
}
