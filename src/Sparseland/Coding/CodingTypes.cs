using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Coding;

/// <summary>When an iterative coder calls a batch done.</summary>
public enum StoppingRule
{
    /// <summary>
    /// ||dR||_2/(1e-2 + ||R||_2) below the tolerance, spectral norms of the batch: the rule of the V1 paper. It stops long before
    /// convergence and is meant for reproducing that loop.
    /// </summary>
    RelativeChange,

    /// <summary>max |dR| at or below tolerance * step * max |X D^T|: the fixed-point equation holds for every single coefficient.</summary>
    FixedPoint,
}

/// <summary>Options of <see cref="ThresholdCoder"/>. The defaults are the V1 paper's.</summary>
public sealed record ThresholdCoderOptions
{
    /// <summary>Gradient step eta. What is used is at most 0.95/||D||_2^2, see <see cref="GuardStep"/>.</summary>
    public double Eta { get; init; } = 0.05;

    /// <summary>Tolerance of the stopping rule.</summary>
    public double Tolerance { get; init; } = 1e-2;

    /// <summary>Iteration limit.</summary>
    public int MaxIterations { get; init; } = 5000;

    /// <summary>Stopping rule.</summary>
    public StoppingRule StoppingRule { get; init; } = StoppingRule.RelativeChange;

    /// <summary>Record the objective after every iteration. Costs about one more iteration each.</summary>
    public bool TraceObjective { get; init; }

    /// <summary>Keep the step below 0.95/||D||_2^2. Off only to show what happens otherwise.</summary>
    public bool GuardStep { get; init; } = true;

    internal void Validate()
    {
        if (!(Eta > 0) || !double.IsFinite(Eta)) throw new ArgumentOutOfRangeException(nameof(Eta), Eta, "Eta must be positive and finite.");
        if (!(Tolerance >= 0) || !double.IsFinite(Tolerance)) throw new ArgumentOutOfRangeException(nameof(Tolerance), Tolerance, "Tolerance must be finite and not negative.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxIterations);
    }
}

/// <summary>Codes of a batch and how they were reached.</summary>
/// <param name="Codes">[samples, atoms], with exact zeros. Owned by this record.</param>
/// <param name="Objective">1/2 ||X - R D||^2 + pen(R) at the start and after each iteration; empty unless asked for.</param>
/// <param name="Iterations">Iterations done.</param>
/// <param name="StopReason">Why it ended.</param>
/// <param name="Step">Step actually used.</param>
/// <param name="DictionaryNormSquared">||D||_2^2.</param>
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
    /// <summary>Whether the stopping rule was met.</summary>
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
    public void Dispose() => Codes.Dispose();
}
