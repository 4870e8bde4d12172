using Sparseland.Tensors;

namespace Sparseland.Pruning;

/// <summary>When a row of <see cref="DSnoT"/> stops.</summary>
public enum SwapStop
{
    /// <summary>
    /// A swap is made only where it brings the row's expected error closer to zero, else the row stops.
    /// </summary>
    Decrease,

    /// <summary>As published: no such test. Both halves of a swap push the error towards zero and may overshoot, after which the other ends of the lists are used.</summary>
    AsPublished,
}

/// <summary>Settings of <see cref="DSnoT"/>.</summary>
public sealed record DSnoTOptions
{
    /// <summary>
    /// Most swaps of a row; null, the default, for <see cref="CycleShare"/> of its inputs. The paper's 50 belong to rows of 4,096: in a row of 128 as many would replace most of
    /// the mask.
    /// </summary>
    public int? MaxCycles { get; init; }

    /// <summary>Most swaps of a row as a share of its inputs, at least one swap. Default 50 / 4096.</summary>
    public double CycleShare { get; init; } = 50.0 / 4096;

    /// <summary>epsilon: rows whose expected error, summed over the tokens of a sequence, is not larger are left. Default 0.1.</summary>
    public double Threshold { get; init; } = 0.1;

    /// <summary>p: growing divides a weight's contribution by the variance of its input to this power. Default 1.</summary>
    public double VariancePower { get; init; } = 1;

    /// <summary>When a row stops. Default <see cref="SwapStop.Decrease"/>.</summary>
    public SwapStop Stop { get; init; } = SwapStop.Decrease;

    /// <summary>Whether the variance is the mean of those within sequences, as in the published code, in place of that over all tokens. Default false.</summary>
    public bool VarianceWithinSequences { get; init; }

    /// <summary>Whether the expected errors after every swap are kept for pictures. Default false.</summary>
    public bool KeepTrajectory { get; init; }

    /// <summary>Swaps that a row of some inputs may make.</summary>
    /// <param name="inputs">Inputs.</param>
    public int CyclesOf(int inputs) => MaxCycles ?? Math.Max(1, (int)Math.Ceiling((inputs * CycleShare) - 1e-9));

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        if (MaxCycles is { } cycles) ArgumentOutOfRangeException.ThrowIfNegative(cycles, nameof(MaxCycles));
        if (!(CycleShare is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(CycleShare), CycleShare, "CycleShare is a share above 0 and at most 1.");
        if (!(Threshold >= 0)) throw new ArgumentOutOfRangeException(nameof(Threshold), Threshold, "Threshold is not negative.");
        Finite.NotNegative(VariancePower);
        if (!Enum.IsDefined(Stop)) throw new ArgumentOutOfRangeException(nameof(Stop), Stop, "Stop is Decrease or AsPublished.");
    }
}
