using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>How a Kronecker SBL ended.</summary>
public enum KroneckerSblStatus
{
    /// <summary>||gamma_new - gamma|| fell below the tolerance times ||gamma||, and the noise variance came to rest likewise: a rule for saving time, met by slow progress too.</summary>
    RelativeChange,

    /// <summary>The iteration limit came first.</summary>
    IterationLimit,

    /// <summary>All entries of a factor were pruned: the estimate is zero.</summary>
    AllPruned,

    /// <summary>gamma stopped changing, but noise and signal cannot be told apart; see <see cref="NoiseEstimate.Identified"/>.</summary>
    NotIdentified,
}

/// <summary>What Kronecker SBL found.</summary>
/// <param name="Mean">Posterior mean [coefficients], last factor fastest.</param>
/// <param name="VarianceDiagonal">Posterior variance of each coefficient.</param>
/// <param name="Gammas">gamma_i [N_i] of each factor, 0 where pruned.</param>
/// <param name="Supports">Indices of each factor's entries that were not pruned.</param>
/// <param name="NoiseVariance">s2, as given or as learned.</param>
/// <param name="CostTrace">log det C + y^H C^-1 y at the start of each iteration and at the end; Iterations + 1 values.</param>
/// <param name="Iterations">Iterations.</param>
/// <param name="InnerCycles">Cycles of the alternation over all iterations; 0 for the SVD update.</param>
/// <param name="Status">How it ended.</param>
public sealed record KroneckerSblResult(
    Tensor Mean, double[] VarianceDiagonal, double[][] Gammas, int[][] Supports, double NoiseVariance, IReadOnlyList<double> CostTrace,
    int Iterations, int InnerCycles, KroneckerSblStatus Status) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Mean);

    /// <summary>The estimate that bounded a learned noise variance from below; null where the variance was known.</summary>
    public NoiseEstimate? NoiseFloor { get; init; }

    /// <summary>This result, computed in the units of the computation, in those of the data; the mean is changed in place.</summary>
    internal KroneckerSblResult InUnits(BayesUnits units, long measurements)
    {
        double root = units.Coefficient;
        Mean.mul_(root).MoveToOuterDisposeScope();
        return this with
        {
            VarianceDiagonal = [.. VarianceDiagonal.Select(units.Variance)], Gammas = units.Variances(Gammas), NoiseVariance = units.Noise(NoiseVariance),
            CostTrace = [.. CostTrace.Select(c => c + (measurements * units.LogUnit))], NoiseFloor = NoiseFloor?.InUnits(units),
        };
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Mean.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>The state after an iteration; the arrays are copies of their own.</summary>
/// <param name="Iteration">From 1.</param>
/// <param name="Gammas">gamma_i [N_i] of each factor, 0 where pruned.</param>
/// <param name="NoiseVariance">s2.</param>
/// <param name="Cost">Cost at the start of the iteration.</param>
/// <param name="InnerCycles">Cycles of the alternation in this iteration.</param>
public sealed record KroneckerSblIteration(int Iteration, double[][] Gammas, double NoiseVariance, double Cost, int InnerCycles)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
