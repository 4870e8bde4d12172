using Sparseland.Evaluation;
using Sparseland.Solvers;
using Sparseland.Tensors;
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
    private readonly NativeSize _size = NativeSize.Of();

    /// <summary>Posterior mean, [coefficients] or [coefficients, snapshots].</summary>
    public Tensor Mean => Posterior.Mean;

    /// <summary>Posterior variance of each coefficient, 0 where it was pruned.</summary>
    public double[] Variance => Posterior.Variance;

    /// <summary>Indices of the coefficients that were not pruned, in the numbering of Phi's columns.</summary>
    public int[] Active => Posterior.Active;

    /// <summary>Whether the stopping rule was met before the iteration limit, with a noise variance that is known or that the data determine.</summary>
    public bool Converged => StopReason == StopReason.Converged;

    /// <summary>The estimate that bounded a learned noise variance from below; null where the variance was known.</summary>
    public NoiseEstimate? NoiseFloor { get; init; }

    /// <summary>
    /// Estimate of each coefficient without the shrinkage of its own prior, Q_i/S_i with S_i = phi_i^H C^-1 phi_i and
    /// Q_i = phi_i^H C^-1 y, of the shape of <see cref="Mean"/>: the posterior mean under a flat prior for this coefficient alone and the
    /// learned prior for all others. Pruned coefficients have one too.
    /// </summary>
    public required Tensor Unshrunk
    {
        get;
        init => (field, _size) = (value, NativeSize.Of(value));
    }

    /// <summary>Its posterior standard deviation, sqrt((1 - gamma_i S_i)/S_i) [coefficients].</summary>
    public required double[] Deviation { get; init; }

    /// <summary>The actions of <see cref="FastSbl"/> in their order; empty for the other algorithms.</summary>
    public IReadOnlyList<FastSblAction> Actions { get; init; } = [];

    /// <summary>
    /// Degrees of freedom that a learned noise variance rests on, snapshots (m - sum_i gamma_i S_i), at least 1; infinite where the variance was
    /// given.
    /// </summary>
    public double ResidualDegrees { get; init; } = double.PositiveInfinity;

    /// <inheritdoc cref="GaussianPosterior.Support"/>
    public int[] Support(double relativeThreshold = 1e-3) => Posterior.Support(relativeThreshold);

    /// <summary>
    /// Credible interval of every coefficient: <see cref="Unshrunk"/> -/+ q <see cref="Deviation"/>, q the normal quantile where the noise is known
    /// and that of Student's t with <see cref="ResidualDegrees"/> where it was learned. It holds given the support that was found: it takes the
    /// prior variances of all other coefficients as known, so a coefficient that the support misses is missing from the widths of the others. The interval of <see cref="Posterior"/>
    /// takes the learned prior variances as known, which says of a pruned coefficient that it is zero for certain, and is much too narrow;
    /// here a coefficient's own variance plays no part, so that nothing learned from its own value narrows it.
    /// </summary>
    /// <remarks>
    /// Measured with a learned noise, intervals of 95 %: 92 to 95 % of the non-zeros inside for 60 x 150 with 8 non-zeros, 91 to 95 % for
    /// 50 x 100 and 30 x 60. Of 10 x 40 and 20 x 200 problems 95 % are refused as <see cref="StopReason.NotIdentified"/>; of the few others,
    /// a selection of those that look clear, 72 to 83 %. Where columns are so alike that what tells two of them apart is no larger than the
    /// noise, another support explains the data as well and no interval here knows of it: 77 to 81 % of 34 x 80 with 4 non-zeros, columns
    /// correlated by 0.99 to 0.999 with their neighbours or with all others; 85 to 94 % where the noise is a tenth of that.
    /// </remarks>
    /// <param name="level">Probability inside, in (0, 1).</param>
    /// <returns>Lower and upper end, each shaped like the mean.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The level is outside (0, 1).</exception>
    /// <exception cref="InvalidOperationException">The data are complex (an interval needs an order), or the noise variance is not identified.</exception>
    public (Tensor Lower, Tensor Upper) CredibleInterval(double level)
    {
        double z = GaussianPosterior.Quantile(level);
        if (double.IsFinite(ResidualDegrees)) z = StudentT.Quantile((1 + level) / 2, ResidualDegrees);
        if (Mean.dtype == ScalarType.ComplexFloat64)
            throw new InvalidOperationException("Complex coefficients have no intervals; use the deviation.");
        if (StopReason == StopReason.NotIdentified)
            throw new InvalidOperationException($"Noise and signal cannot be told apart in these data ({NoiseFloor}), so no width of an interval is right. Give the noise variance, or more measurements.");
        using var scope = NewDisposeScope();
        Tensor half = tensor(Deviation).mul(z);
        if (Mean.dim() == 2) half = half.unsqueeze(1);
        return (Unshrunk.sub(half).MoveToOuterDisposeScope(), Unshrunk.add(half).MoveToOuterDisposeScope());
    }

    /// <summary>
    /// <see cref="Unshrunk"/> and <see cref="Deviation"/> as a posterior, for <see cref="IntervalCalibration"/>. It shares this result's tensors, and
    /// its covariance, evidence and active set are those of the learned prior.
    /// </summary>
    public GaussianPosterior WithoutOwnPrior() => Posterior with { Mean = Unshrunk.alias(), Variance = [.. Deviation.Select(d => d * d)], Covariance = null };

    /// <summary>This result, computed in the units of the computation, in those of the data.</summary>
    internal SblResult InUnits(BayesUnits units)
    {
        double root = units.Coefficient;
        double[] gamma = [.. Gamma.Select(units.Variance)];
        if (!gamma.All(double.IsFinite)) throw new ArgumentException("A prior variance is no float64 in the units of y/Phi, squared; scale Phi or y.", "Phi");
        (double shift, double density) = Posterior.LogShift(units);
        Unshrunk.mul_(root);
        return this with
        {
            Posterior = Posterior.InUnits(units), Gamma = gamma, NoiseVariance = units.Noise(NoiseVariance), Cost = [.. Cost.Select(c => c + shift)],
            LogEvidence = [.. LogEvidence.Select(e => e - density)], NoiseFloor = NoiseFloor?.InUnits(units),
            Deviation = [.. Deviation.Select(d => d * root)], Actions = [.. Actions.Select(a => a with { Gamma = units.Variance(a.Gamma) })],
        };
    }

    /// <summary>The result that belongs to a model; <paramref name="cost"/> holds the costs before the end.</summary>
    internal static SblResult Of(
        Tensor Phi, Tensor y, double[] gamma, double noise, bool covariance, List<double> cost, int iterations, StopReason reason, NoiseEstimate? floor,
        bool isLearned)
    {
        GaussianPosterior posterior = GaussianPosterior.Solve(Phi, y, gamma, noise, covariance).ToOuterScope();
        cost.Add(posterior.Cost);
        using var whole = new WhitenedSystem(Phi, y.reshape(y.shape[0], -1), gamma, noise);
        using Tensor leverage = tensor(whole.Leverage), column = leverage.unsqueeze(1), ratio = whole.Correlation.div(column);
        return new(posterior, gamma, noise, cost, [.. cost.Select(c => GaussianPosterior.Evidence(c, y))], iterations, reason)
        {
            NoiseFloor = floor,
            ResidualDegrees = isLearned ? Math.Max(1, whole.Snapshots * (y.shape[0] - gamma.Zip(whole.Leverage, (g, s) => g * s).Sum())) : double.PositiveInfinity,
            Unshrunk = ratio.reshape(posterior.Mean.shape).MoveToOuterDisposeScope(),
            Deviation = [.. gamma.Zip(whole.Leverage, (g, s) => Math.Sqrt(Math.Max(0, 1 - (g * s)) / s))],
        };
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Posterior.Dispose();
        Unshrunk.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>The state after an iteration; the arrays are copies of their own.</summary>
/// <param name="Iteration">From 1.</param>
/// <param name="Gamma">Prior variance of each coefficient [coefficients], 0 where it was pruned.</param>
/// <param name="NoiseVariance">s2.</param>
/// <param name="Cost">Cost at the start of the iteration.</param>
public sealed record SblIteration(int Iteration, double[] Gamma, double NoiseVariance, double Cost)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
