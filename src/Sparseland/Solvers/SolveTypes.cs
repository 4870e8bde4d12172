using Sparseland.Tensors;


namespace Sparseland.Solvers;

/// <summary>What all solvers share.</summary>
public sealed record SolverOptions
{
    /// <summary>
    /// Convex penalties on least squares: the duality gap, as a share of the data fit at zero times two (||x||^2 or ||x||^2/m): scikit-learn's
    /// rule. Everything else: the largest stationarity residual, as a share of the largest gradient at zero. Default 1e-6.
    /// </summary>
    public double Tolerance { get; init; } = 1e-6;

    /// <summary>Most iterations (gradient steps, or sweeps of coordinate descent). Default 10,000.</summary>
    public int MaxIterations { get; init; } = 10_000;

    /// <summary>Iterations between two looks at the certificate, which costs about as much as an iteration. Default 10.</summary>
    public int CheckEvery { get; init; } = 10;

    internal static SolverOptions Checked(SolverOptions? options)
    {
        options ??= new SolverOptions();
        if (!(options.Tolerance >= 0) || !double.IsFinite(options.Tolerance))
            throw new ArgumentOutOfRangeException(nameof(Tolerance), options.Tolerance, "Tolerance must be finite and not negative.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.MaxIterations, nameof(MaxIterations));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.CheckEvery, nameof(CheckEvery));
        return options;
    }
}

/// <summary>One look at a solver's progress.</summary>
/// <param name="Iteration">Iterations done.</param>
/// <param name="Objective">f(a) + pen(a).</param>
/// <param name="Certificate">Duality gap or stationarity residual, in the units of the objective or gradient.</param>
/// <param name="Seconds">Since the solver started, the looks included.</param>
public sealed record SolvePoint(int Iteration, double Objective, double Certificate, double Seconds);

/// <summary>A solution and how good it is known to be.</summary>
/// <param name="Coefficients">a [inputs], with the exact zeros of the proximal operator.</param>
/// <param name="Trace">The looks, the first at the start and the last at the end.</param>
/// <param name="DualGap">f + pen at a minus a lower bound of the minimum; null where no bound is known (penalty not convex, other fits).</param>
/// <param name="StationarityResidual">Largest fixed-point residual of a coordinate, in units of the gradient; null where the gap decides.</param>
/// <param name="Iterations">Iterations done.</param>
/// <param name="StopReason">Why it ended.</param>
public sealed record SolveResult(
    double[] Coefficients,
    IReadOnlyList<SolvePoint> Trace,
    double? DualGap,
    double? StationarityResidual,
    int Iterations,
    StopReason StopReason)
{
    /// <summary>Whether the tolerance was met.</summary>
    public bool Converged => StopReason == StopReason.Converged;

    /// <summary>f(a) + pen(a) at the end.</summary>
    public double Objective => Trace[^1].Objective;

    /// <summary>Indices of the non-zero coefficients.</summary>
    public int[] Support => [.. Enumerable.Range(0, Coefficients.Length).Where(i => Coefficients[i] != 0)];

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
