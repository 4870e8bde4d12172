namespace Sparseland.AssociativeMemory;

/// <summary>What the support of a cell by its active inputs is divided by.</summary>
public enum InputNormalizer
{
    /// <summary>The number of inputs active now: inputs of different size look equally familiar.</summary>
    Current,

    /// <summary><see cref="MacOptions.MinActive"/>, always; support above it counts as 1.</summary>
    Static,
}

/// <summary>How winners are drawn while learning. All but the first are controls.</summary>
public enum LearningNoise
{
    /// <summary>From rho, whose noise shrinks as the familiarity G grows: the method.</summary>
    Familiarity,

    /// <summary>Uniformly, whatever the input: codes without similarity.</summary>
    Uniform,

    /// <summary>The cell of highest V, ties at random: no noise at all.</summary>
    None,
}

/// <summary>Powers of the three signals in V = U^lambdaU H^lambdaH D^lambdaD.</summary>
/// <param name="U">Of the bottom-up signal, positive. Default 1.</param>
/// <param name="H">Of the horizontal signal, positive. Default 1.</param>
/// <param name="D">Of the top-down signal, positive. Default 1.</param>
public sealed record SignalExponents(double U = 1, double H = 1, double D = 1);

/// <summary>
/// Forgetting: a coincidence lasts <see cref="Window"/> steps; one repeated in time rises a level and lasts
/// <see cref="Growth"/> times as long; at level <see cref="Levels"/> it stays for good.
/// </summary>
public sealed record PermanenceOptions
{
    /// <summary>Steps that a lone coincidence lasts, at least 1. Default 100.</summary>
    public int Window { get; init; } = 100;

    /// <summary>By how much each level lengthens the window, at least 1. Default 4.</summary>
    public int Growth { get; init; } = 4;

    /// <summary>Repetitions after which a weight is permanent, from 1 to 8. Default 2.</summary>
    public int Levels { get; init; } = 2;
}

/// <summary>
/// Backoff at recall: the fullest combination of signals whose familiarity reaches its threshold is used. With all three signals the
/// order is HUD, then the better of HU and UD, then U; with two, that pair and then U.
/// </summary>
public sealed record BackoffOptions
{
    /// <summary>Least G for all three signals, 0 to 1. Default 0.5 (our choice).</summary>
    public double Full { get; init; } = 0.5;

    /// <summary>Least G for a pair of signals, 0 to 1. Default 0.5 (our choice).</summary>
    public double Pair { get; init; } = 0.5;
}

/// <summary>
/// Several equally good hypotheses at recall: where zeta cells tie at the maximum in the average module, each hypothesis has only about
/// 1/zeta of the winners, and outgoing signals are multiplied by zeta^Exponent to make up for it.
/// </summary>
public sealed record HypothesesOptions
{
    /// <summary>A in zeta^A, not negative. Default 1.</summary>
    public double Exponent { get; init; } = 1;

    /// <summary>B: above this many hypotheses there is no boost, because their union supports nearly everything. Default 3.</summary>
    public int Cap { get; init; } = 3;
}

/// <summary>Shape and constants of a <see cref="Macrocolumn"/>.</summary>
public sealed record MacOptions
{
    /// <summary>N, inputs of the receptive field, at least 1.</summary>
    public required int Inputs { get; init; }

    /// <summary>Q, competitive modules, each with one winner. Default 32.</summary>
    public int Q { get; init; } = 32;

    /// <summary>K, cells of a module. Default 16.</summary>
    public int K { get; init; } = 16;

    /// <summary>Cells of a higher macrocolumn that send top-down signals; 0 (default) for none.</summary>
    public int TopDownCells { get; init; }

    /// <summary>pi-: with fewer active inputs the macrocolumn stays off. Default 1.</summary>
    public int MinActive { get; init; } = 1;

    /// <summary>pi+: with more active inputs it stays off. Default: no upper bound.</summary>
    public int MaxActive { get; init; } = int.MaxValue;

    /// <summary>Divisor of the bottom-up support. Default <see cref="InputNormalizer.Current"/>.</summary>
    public InputNormalizer Normalizer { get; init; } = InputNormalizer.Current;

    /// <summary>Powers of U, H and D. Default all at their own defaults.</summary>
    public SignalExponents Exponents { get; init; } = new();

    /// <summary>G0: up to this familiarity the choice is uniform; in [0, 1). Default 0.2.</summary>
    public double G0 { get; init; } = 0.2;

    /// <summary>gamma of the expansivity, positive. Default 2.</summary>
    public double Gamma { get; init; } = 2;

    /// <summary>chi of the expansivity, not negative: eta is 1 + chi K at full familiarity. Default 100.</summary>
    public double Chi { get; init; } = 100;

    /// <summary>From V to the relative win weight. Default <see cref="LogisticSigmoid"/>.</summary>
    public WinSigmoid Sigmoid { get; init; } = new LogisticSigmoid();

    /// <summary>
    /// A cell's weights from one source (U, H or D) stop changing once the share of ones among them is above this; in (0, 1].
    /// 1 (default) never freezes: right for few items, ruinous for many, when every cell gets connected to everything.
    /// </summary>
    public double FreezeFraction { get; init; } = 1;

    /// <summary>How winners are drawn while learning; anything but the default is a control.</summary>
    public LearningNoise Noise { get; init; } = LearningNoise.Familiarity;

    /// <summary>Forgetting, or null (default) for none.</summary>
    public PermanenceOptions? Permanence { get; init; }

    /// <summary>Backoff at recall, or null (default): then all signals present are used.</summary>
    public BackoffOptions? Backoff { get; init; }

    /// <summary>Boost of several hypotheses, or null (default) for none.</summary>
    public HypothesesOptions? Hypotheses { get; init; }

    /// <summary>Same seed and same items, same codes. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Q K, all cells.</summary>
    public int Cells => Q * K;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range; the message says which and why.</exception>
    public void Validate()
    {
        Require(Inputs >= 1, nameof(Inputs), Inputs, "at least 1");
        Require(Q >= 1, nameof(Q), Q, "at least 1");
        Require(K >= 1, nameof(K), K, "at least 1");
        Require((long)Q * K <= 1 << 24, nameof(K), K, $"such that Q K is at most 2^24, but Q is {Q}");
        Require(TopDownCells >= 0, nameof(TopDownCells), TopDownCells, "0 or positive");
        Require(MinActive >= 1, nameof(MinActive), MinActive, "at least 1");
        Require(MaxActive >= MinActive, nameof(MaxActive), MaxActive, $"at least {nameof(MinActive)} = {MinActive}");
        Require(Enum.IsDefined(Normalizer), nameof(Normalizer), Normalizer, "Current or Static");
        Require(Enum.IsDefined(Noise), nameof(Noise), Noise, "Familiarity, Uniform or None");
        ArgumentNullException.ThrowIfNull(Exponents);
        Require(Positive(Exponents.U), nameof(Exponents), Exponents.U, "positive and finite (U)");
        Require(Positive(Exponents.H), nameof(Exponents), Exponents.H, "positive and finite (H)");
        Require(Positive(Exponents.D), nameof(Exponents), Exponents.D, "positive and finite (D)");
        Require(G0 is >= 0 and < 1, nameof(G0), G0, "in [0, 1)");
        Require(Positive(Gamma), nameof(Gamma), Gamma, "positive and finite");
        Require(Chi >= 0 && double.IsFinite(Chi), nameof(Chi), Chi, "finite and not negative");
        Require(FreezeFraction is > 0 and <= 1, nameof(FreezeFraction), FreezeFraction, "in (0, 1]");
        ArgumentNullException.ThrowIfNull(Sigmoid);
        Sigmoid.Validate();
        if (Permanence is { } permanence)
        {
            Require(permanence.Window >= 1, nameof(permanence.Window), permanence.Window, "at least 1");
            Require(permanence.Growth >= 1, nameof(permanence.Growth), permanence.Growth, "at least 1");
            Require(permanence.Levels is >= 1 and <= 8, nameof(permanence.Levels), permanence.Levels, "from 1 to 8");
        }

        if (Backoff is { } backoff)
        {
            Require(backoff.Full is >= 0 and <= 1, nameof(backoff.Full), backoff.Full, "from 0 to 1");
            Require(backoff.Pair is >= 0 and <= 1, nameof(backoff.Pair), backoff.Pair, "from 0 to 1");
        }

        if (Hypotheses is { } several)
        {
            Require(several.Exponent >= 0 && double.IsFinite(several.Exponent), nameof(several.Exponent), several.Exponent, "finite and not negative");
            Require(several.Cap >= 1, nameof(several.Cap), several.Cap, "at least 1");
        }
    }

    private static bool Positive(double value) => value > 0 && double.IsFinite(value);

    private static void Require(bool holds, string name, object value, string rule)
    {
        if (!holds) throw new ArgumentOutOfRangeException(name, value, $"{name} must be {rule}.");
    }
}
