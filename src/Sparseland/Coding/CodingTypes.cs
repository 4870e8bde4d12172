using Sparseland.Solvers;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Coding;

/// <summary>When <see cref="ThresholdCoder"/> calls a batch done.</summary>
public enum StoppingRule
{
    /// <summary>
    /// max |dR| at or below tolerance * step * max |X D^T|, for each sample by itself: the fixed-point equation, which is the optimality
    /// condition, holds for every single coefficient. A sample that meets it is left alone, so that its code does not depend on its neighbours
    /// in the batch. Ends as <see cref="StopReason.Converged"/> when all do.
    /// </summary>
    FixedPoint,

    /// <summary>
    /// ||dR||_2/(1e-2 + ||R||_2) below the tolerance, spectral norms of the batch: the rule of the V1 paper. It stops long before
    /// convergence, is meant for reproducing that loop, and ends as <see cref="StopReason.RelativeChange"/>. It is a rule for the batch as a
    /// whole: small samples beside large ones are coded less exactly.
    /// </summary>
    RelativeChange,
}

/// <summary>Options of <see cref="ThresholdCoder"/>. The defaults lead to the optimum; <see cref="V1"/> is the loop of the V1 paper.</summary>
public sealed record ThresholdCoderOptions
{
    /// <summary>The V1 paper's loop (Rentzeperis et al. 2023, methods): eta = 0.05, stopped where the codes change by less than 1 %.</summary>
    public static ThresholdCoderOptions V1 { get; } = new() { Eta = 0.05, Tolerance = 1e-2, StoppingRule = StoppingRule.RelativeChange };

    /// <summary>
    /// Gradient step eta. Default null: the longest that is safe, 0.95/||D||_2^2. A given one is cut to that, see
    /// <see cref="GuardStep"/>.
    /// </summary>
    public double? Eta { get; init; }

    /// <summary>Tolerance of the stopping rule. Default 1e-5.</summary>
    public double Tolerance { get; init; } = 1e-5;

    /// <summary>Iteration limit. Default 20,000.</summary>
    public int MaxIterations { get; init; } = 20_000;

    /// <summary>Stopping rule. Default <see cref="StoppingRule.FixedPoint"/>.</summary>
    public StoppingRule StoppingRule { get; init; } = StoppingRule.FixedPoint;

    /// <summary>Record the objective after every iteration. Default false. Costs about one more iteration each.</summary>
    public bool TraceObjective { get; init; }

    /// <summary>Keep the step at or below 0.95/||D||_2^2. Default true. Off only to show what happens otherwise.</summary>
    public bool GuardStep { get; init; } = true;

    internal void Validate()
    {
        Finite.Positive(Eta);
        Finite.NotNegative(Tolerance);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxIterations);
        if (!Enum.IsDefined(StoppingRule)) throw new ArgumentOutOfRangeException(nameof(StoppingRule), StoppingRule, "Not a stopping rule.");
        if (!GuardStep && Eta is null) throw new ArgumentException("Without the guard Eta must be given.", nameof(GuardStep));
    }
}

/// <summary>Codes of a batch and how they were reached.</summary>
/// <param name="Codes">[samples, atoms], with exact zeros. Owned by this record.</param>
/// <param name="Objective">1/2 ||X - R D||^2 + pen(R) at the start and after each iteration; empty unless asked for.</param>
/// <param name="Iterations">Iterations done.</param>
/// <param name="StopReason">Why it ended.</param>
/// <param name="Step">Step actually used.</param>
/// <param name="DictionaryNormSquared">||D||_2^2, bounded from above; see <see cref="SpectralNorm"/>.</param>
/// <param name="Seconds">Wall time.</param>
public sealed record CodingResult(
    Tensor Codes,
    IReadOnlyList<double> Objective,
    int Iterations,
    StopReason StopReason,
    double Step,
    double DictionaryNormSquared,
    double Seconds) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Codes);

    /// <summary>Whether the fixed-point equation holds to the tolerance; false after the V1 paper's rule, which promises no optimum.</summary>
    public bool Converged => StopReason == StopReason.Converged;

    /// <summary>Throughput.</summary>
    public double SamplesPerSecond => Codes.shape[0] / Seconds;

    /// <summary>Mean number of non-zero coefficients per sample.</summary>
    public double ActiveUnits
    {
        get
        {
            using Tensor count = Codes.count_nonzero();
            return (double)count.item<long>() / Math.Max(1, Codes.shape[0]);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Codes.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
