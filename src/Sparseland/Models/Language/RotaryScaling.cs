using Sparseland.Tensors;

namespace Sparseland.Models.Language;

/// <summary>How rotary positions reach beyond the length that a model was first trained on.</summary>
public enum RotaryScalingKind
{
    /// <summary>All frequencies divided by the factor (Chen et al. 2023).</summary>
    Linear,

    /// <summary>
    /// The base grows with the sequence once it is longer than the trained length ("NTK-aware", dynamic). The length is that of each call:
    /// keys that a cache holds keep the turn of the length at which they came, as in transformers.
    /// </summary>
    Dynamic,

    /// <summary>High frequencies stay, low ones are divided, a ramp between them; cosines and sines grow a little (Peng et al. 2023).</summary>
    Yarn,

    /// <summary>As Llama 3.1: by wavelength, short ones stay, long ones are divided, those between are blended.</summary>
    Llama3,

    /// <summary>
    /// The base is multiplied by factor^(turned / (turned - 2)) once and for all ("NTK-aware", bloc97 2023): high frequencies hardly change, low ones are
    /// divided by the factor. A config.json says it as a larger rope_theta.
    /// </summary>
    Ntk,
}

/// <summary>Scaled rotary positions, with the formulas of Hugging Face's transformers; rope_scaling or rope_parameters of a config.json.</summary>
public sealed record RotaryScaling
{
    /// <summary>rope_type. Default linear.</summary>
    public RotaryScalingKind Kind { get; init; }

    /// <summary>factor: how many times longer sequences become, at least 1. Default 1.</summary>
    public double Factor { get; init; } = 1;

    /// <summary>original_max_position_embeddings: the length before scaling; null for the config's context. Llama3 needs it.</summary>
    public int? Original { get; init; }

    /// <summary>low_freq_factor of llama3: wavelengths above Original / this are divided. Default 1.</summary>
    public double LowFrequency { get; init; } = 1;

    /// <summary>high_freq_factor of llama3: wavelengths below Original / this stay. Default 4.</summary>
    public double HighFrequency { get; init; } = 4;

    /// <summary>beta_fast of yarn: pairs that turn more often than this within Original stay. Default 32.</summary>
    public double BetaFast { get; init; } = 32;

    /// <summary>beta_slow of yarn: pairs that turn less often than this within Original are divided. Default 1.</summary>
    public double BetaSlow { get; init; } = 1;

    /// <summary>attention_factor of yarn: multiplies cosines and sines; null for 0.1 ln(Factor) + 1, or what the mscales say.</summary>
    public double? AttentionFactor { get; init; }

    /// <summary>mscale of yarn; with <see cref="MScaleAllDim"/> the attention factor is (0.1 MScale ln(Factor) + 1) / (0.1 MScaleAllDim ln(Factor) + 1).</summary>
    public double? MScale { get; init; }

    /// <summary>mscale_all_dim of yarn; see <see cref="MScale"/>.</summary>
    public double? MScaleAllDim { get; init; }

    /// <summary>truncate of yarn: the ends of the ramp are rounded outwards to whole pairs. Default true.</summary>
    public bool Truncate { get; init; } = true;

    /// <summary>Scaling that needs no training: the base of the frequencies grown by factor^(turned / (turned - 2)).</summary>
    /// <param name="factor">At least 1; about three times the ratio of the lengths serves small models best.</param>
    public static RotaryScaling Ntk(double factor) => new() { Kind = RotaryScalingKind.Ntk, Factor = factor };

    /// <summary>What cosines and sines are multiplied with.</summary>
    public double Amplitude
    {
        get
        {
            if (Kind != RotaryScalingKind.Yarn) return 1;
            if (AttentionFactor is { } given) return given;
            double Raised(double by) => Factor <= 1 ? 1 : (0.1 * by * Math.Log(Factor)) + 1;
            return MScale is { } one && MScaleAllDim is { } all && one != 0 && all != 0 ? Raised(one) / Raised(all) : Raised(1);
        }
    }

    /// <summary>Throws when values do not fit each other.</summary>
    /// <param name="turned">Entries of a head that are turned.</param>
    /// <exception cref="ArgumentException">A value is out of its range.</exception>
    internal void Validate(int turned)
    {
        if (!Enum.IsDefined(Kind)) throw new ArgumentOutOfRangeException(nameof(Kind), Kind, "Kind is no kind of scaling.");
        if (!(Factor >= 1) || !double.IsFinite(Factor)) throw new ArgumentOutOfRangeException(nameof(Factor), Factor, "Factor must be at least 1 and finite.");
        if (Original is < 1) throw new ArgumentOutOfRangeException(nameof(Original), Original, "Original must be positive.");
        if (Kind is RotaryScalingKind.Dynamic or RotaryScalingKind.Ntk && turned <= 2) throw new ArgumentException($"{Kind} scaling needs more than one turned pair, but {turned} entries are turned.", nameof(Kind));
        if (Kind == RotaryScalingKind.Llama3)
        {
            if (Original is null) throw new ArgumentException("Llama3 scaling needs Original, the length before scaling.", nameof(Original));
            Finite.Positive(LowFrequency);
            if (!(HighFrequency > LowFrequency) || !double.IsFinite(HighFrequency)) throw new ArgumentOutOfRangeException(nameof(HighFrequency), HighFrequency, "HighFrequency must be above LowFrequency and finite.");
        }

        if (Kind != RotaryScalingKind.Yarn) return;
        Finite.Positive(BetaSlow);
        if (!(BetaFast >= BetaSlow) || !double.IsFinite(BetaFast)) throw new ArgumentOutOfRangeException(nameof(BetaFast), BetaFast, "BetaFast must be at least BetaSlow and finite.");
        foreach ((string name, double? value) in new[] { (nameof(AttentionFactor), AttentionFactor), (nameof(MScale), MScale), (nameof(MScaleAllDim), MScaleAllDim) })
        {
            if (value is { } number && (!(number >= 0) || !double.IsFinite(number))) throw new ArgumentOutOfRangeException(name, number, $"{name} must be finite and not negative.");
        }
    }

    /// <summary>The longest sequence: the config's context, or Factor times the length before scaling where that is more. Llama3 and NTK state the scaled length.</summary>
    /// <param name="context">max_position_embeddings.</param>
    internal int Longest(int context) =>
        Kind is RotaryScalingKind.Llama3 or RotaryScalingKind.Ntk ? context : (int)Math.Min(int.MaxValue, Math.Max(context, Math.Floor(Factor * (Original ?? context))));

    /// <summary>Angle per position of each pair.</summary>
    /// <param name="turned">Entries of a head that are turned.</param>
    /// <param name="theta">Base of the frequencies.</param>
    /// <param name="context">max_position_embeddings.</param>
    /// <param name="length">Length of the sequence; matters to dynamic scaling alone.</param>
    internal double[] Frequencies(int turned, double theta, int context, long length)
    {
        if (Kind == RotaryScalingKind.Dynamic)
            return Plain(turned, theta * Math.Pow((Factor * Math.Max(length, context) / context) - (Factor - 1), turned / (turned - 2.0)));
        if (Kind == RotaryScalingKind.Ntk) return Plain(turned, Grown(theta, turned));
        double[] plain = Plain(turned, theta);
        return Kind switch
        {
            RotaryScalingKind.Linear => Array.ConvertAll(plain, f => f / Factor),
            RotaryScalingKind.Llama3 => Array.ConvertAll(plain, ByWavelength),
            _ => Ramped(plain, turned, theta, Original ?? context),
        };
    }

    /// <summary>The base of NTK scaling.</summary>
    internal double Grown(double theta, int turned) => theta * Math.Pow(Factor, turned / (turned - 2.0));

    /// <summary>theta^(-2i/turned).</summary>
    internal static double[] Plain(int turned, double theta) => [.. Enumerable.Range(0, turned / 2).Select(i => Math.Pow(theta, -2.0 * i / turned))];

    private double ByWavelength(double frequency)
    {
        double turns = Original!.Value * frequency / (2 * Math.PI);
        if (turns > HighFrequency) return frequency;
        if (turns < LowFrequency) return frequency / Factor;
        double kept = (turns - LowFrequency) / (HighFrequency - LowFrequency);
        return ((1 - kept) * frequency / Factor) + (kept * frequency);
    }

    private double[] Ramped(double[] plain, int turned, double theta, int original)
    {
        // The pair, as a real number, that turns so many times within the original length.
        double Pair(double turns) => turned * Math.Log(original / (turns * 2 * Math.PI)) / (2 * Math.Log(theta));
        double low = Pair(BetaFast), high = Pair(BetaSlow);
        if (Truncate) (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, turned - 1));
        if (low == high) high += 0.001;
        return [.. plain.Select((f, i) =>
        {
            double divided = Math.Clamp((i - low) / (high - low), 0, 1);
            return (divided * f / Factor) + ((1 - divided) * f);
        })];
    }
}
