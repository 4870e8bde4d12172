using Sparseland.Tensors;
using static TorchSharp.torch;

namespace Sparseland.Unmixing;

/// <summary>How the misfit Y - M A is measured.</summary>
public enum UnmixingLoss
{
    /// <summary>1/2 ||Y - M A||_F^2: every channel counts by its square.</summary>
    Squared,

    /// <summary>sum_l ||(Y - M A)_l||_2 over channels l, the l_{2,1} norm: a channel of garbage counts by its norm only.</summary>
    RobustL21,
}

/// <summary>The number that says how pure a pixel is, 0 for an even mixture and 1 for a single material.</summary>
public enum PurityMeasure
{
    /// <summary>The Gini index, rescaled to [0, 1] (Hurley and Rickard 2009).</summary>
    Gini,

    /// <summary>Hoyer's measure (Hoyer 2004).</summary>
    Hoyer,
}

/// <summary>Settings of <see cref="SpectralUnmixing"/>.</summary>
public sealed record UnmixingOptions
{
    /// <summary>The misfit. Default <see cref="UnmixingLoss.RobustL21"/>.</summary>
    public UnmixingLoss Loss { get; init; } = UnmixingLoss.RobustL21;

    /// <summary>
    /// The penalty on abundances. Default: a learned guidance map with lambda = 0.1. Strengths are not comparable between the two losses: the robust
    /// one divides each channel by the norm of its residual.
    /// </summary>
    public AbundanceSparsity Sparsity { get; init; } = AbundanceSparsity.Learned(0.1);

    /// <summary>
    /// delta in (delta^2/2) ||1^T A - 1^T||^2; 0 leaves the sums free. Default 3, for spectra of unit scale: a larger one makes the
    /// multiplicative update of A very slow, because this term then stands large above and below the fraction.
    /// </summary>
    public double SumToOneWeight { get; init; } = 3;

    /// <summary>
    /// eps in the weight 1/sqrt(||r_l||^2 + eps^2) of the robust loss. Default 1e-6. Without it the weight of a channel that is fitted
    /// perfectly is infinite.
    /// </summary>
    public double Epsilon { get; init; } = 1e-6;

    /// <summary>Most sweeps (one update of A and one of M each). Default 400.</summary>
    public int MaxSweeps { get; init; } = 400;

    /// <summary>Stop when a sweep changes the objective by less than this share of it, with the guidance map frozen. Default 1e-6; 0 never.</summary>
    public double Tolerance { get; init; } = 1e-6;

    /// <summary>Start of M [channels, endmembers], not negative. Default null: pixels chosen by <see cref="EndmemberInit.Spa"/>.</summary>
    public Tensor? InitialEndmembers { get; init; }

    /// <summary>Start of A [endmembers, pixels], not negative. Default null: <see cref="EndmemberInit.EvenAbundances"/>.</summary>
    public Tensor? InitialAbundances { get; init; }

    /// <summary>Seed of the jitter of the first abundances. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>
    /// Negative data are set to 0, and <see cref="UnmixingResult.ClippedValues"/> says how many. Default false: they are refused, because a multiplicative
    /// update needs data that are not negative, and a silent clip hides a wrong calibration.
    /// </summary>
    public bool ClipNegative { get; init; }

    /// <summary>Called after every sweep. The tensors it sees belong to the run and are valid during the call only. Default null.</summary>
    public Action<UnmixingSweep>? OnSweep { get; init; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        if (!Enum.IsDefined(Loss)) throw new ArgumentOutOfRangeException(nameof(Loss), Loss, "Loss must be Squared or RobustL21.");
        ArgumentNullException.ThrowIfNull(Sparsity);
        Sparsity.Validate();
        Finite.NotNegative(SumToOneWeight);
        Finite.Positive(Epsilon);
        if (MaxSweeps < 1) throw new ArgumentOutOfRangeException(nameof(MaxSweeps), MaxSweeps, "MaxSweeps must be at least 1.");
        Finite.NotNegative(Tolerance);
    }
}

/// <summary>The state after a sweep, for pictures and for stopping a run from outside.</summary>
/// <param name="Sweep">From 1.</param>
/// <param name="Objective">The objective after it.</param>
/// <param name="Endmembers">M [channels, endmembers].</param>
/// <param name="Abundances">A [endmembers, pixels], columns not normalised.</param>
/// <param name="ChannelWeights">u_l [channels] of the residuals after the sweep; all 1 for the squared loss.</param>
/// <param name="GuidanceMap">h_n [pixels].</param>
public readonly record struct UnmixingSweep(
    int Sweep, double Objective, Tensor Endmembers, Tensor Abundances, IReadOnlyList<double> ChannelWeights, IReadOnlyList<double> GuidanceMap);
