using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>What sparse Bayesian learning found.</summary>
/// <param name="Posterior">Posterior of the coefficients with the learned prior: mean, variances, covariance of the active ones.</param>
/// <param name="Gamma">Prior variance of each coefficient [coefficients], 0 where it was pruned.</param>
/// <param name="NoiseVariance">s2, as given or as learned.</param>
/// <param name="Cost">snapshots log det C + tr(Y^H C^-1 Y) at the start of each iteration, and at the end; Iterations + 1 values.</param>
/// <param name="LogEvidence">log p(y) for the same points.</param>
/// <param name="Iterations">Iterations, for the fast algorithm single actions.</param>
/// <param name="StopReason">Whether the stopping rule was met.</param>
public sealed record SblResult(
    GaussianPosterior Posterior, double[] Gamma, double NoiseVariance, IReadOnlyList<double> Cost, IReadOnlyList<double> LogEvidence, int Iterations,
    StopReason StopReason) : IDisposable
{
    /// <summary>Posterior mean, [coefficients] or [coefficients, snapshots].</summary>
    public Tensor Mean => Posterior.Mean;

    /// <summary>Posterior variance of each coefficient, 0 where it was pruned.</summary>
    public double[] Variance => Posterior.Variance;

    /// <summary>Indices of the coefficients that were not pruned, in the numbering of Phi's columns.</summary>
    public int[] Active => Posterior.Active;

    /// <summary>Whether the stopping rule was met before the iteration limit.</summary>
    public bool Converged => StopReason == StopReason.Converged;

    /// <summary>The actions of <see cref="FastSbl"/> in their order; empty for the other algorithms.</summary>
    public IReadOnlyList<FastSblAction> Actions { get; init; } = [];

    /// <inheritdoc cref="GaussianPosterior.Support"/>
    public int[] Support(double relativeThreshold = 1e-3) => Posterior.Support(relativeThreshold);

    /// <inheritdoc cref="GaussianPosterior.CredibleInterval"/>
    public (Tensor Lower, Tensor Upper) CredibleInterval(double level) => Posterior.CredibleInterval(level);

    /// <inheritdoc/>
    public void Dispose() => Posterior.Dispose();
}

/// <summary>The state after an iteration; the arrays are copies of their own.</summary>
/// <param name="Iteration">From 1.</param>
/// <param name="Gamma">Prior variance of each coefficient [coefficients], 0 where it was pruned.</param>
/// <param name="NoiseVariance">s2.</param>
/// <param name="Cost">Cost at the start of the iteration.</param>
public sealed record SblIteration(int Iteration, double[] Gamma, double NoiseVariance, double Cost);
