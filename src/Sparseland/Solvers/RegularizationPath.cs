using Sparseland.Penalties;
using Sparseland.Tensors;

namespace Sparseland.Solvers;

/// <summary>Solutions for a falling sequence of strengths.</summary>
/// <param name="Strengths">lambda, falling.</param>
/// <param name="Solutions">The solution at each.</param>
public sealed record PathResult(double[] Strengths, SolveResult[] Solutions)
{
    /// <summary>Coefficients [strengths][inputs].</summary>
    public double[][] Coefficients => [.. Solutions.Select(s => s.Coefficients)];

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// A penalty's solutions over a grid of strengths, each started from the one before. With coordinate descent the working set, its Gram matrix
/// and what is known of the correlations go along, so that a strength reads few columns of the matrix; each certificate is still over all.
/// </summary>
public static class RegularizationPath
{
    /// <summary>A geometric grid from the smallest strength with the zero solution downwards.</summary>
    /// <param name="fit">Data fit.</param>
    /// <param name="penalty">Penalty; its own strength plays no part.</param>
    /// <param name="count">Strengths, at least 2. Default 50.</param>
    /// <param name="ratio">Smallest strength over largest, between 0 and 1. Default 0.01.</param>
    /// <param name="solver">Default <see cref="CoordinateDescent"/> with its defaults.</param>
    /// <param name="progress">Strengths done.</param>
    /// <param name="cancel">Checked by the solver.</param>
    /// <exception cref="ArgumentException">A parameter is out of its range, or the target is zero.</exception>
    public static PathResult Solve(
        LeastSquares fit,
        IPenalty penalty,
        int count = 50,
        double ratio = 1e-2,
        ISolver? solver = null,
        IProgress<ProgressReport>? progress = null,
        CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(fit);
        ArgumentNullException.ThrowIfNull(penalty);
        if (count < 2) throw new ArgumentOutOfRangeException(nameof(count), count, "count must be at least 2.");
        if (ratio is not (> 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(ratio), ratio, "ratio must lie strictly between 0 and 1.");
        double largest = fit.LargestUsefulStrength(penalty);
        if (!(largest > 0)) throw new ArgumentException("Every correlation is zero, so every solution is zero.", nameof(fit));
        solver ??= new CoordinateDescent();
        double[] strengths = [.. Enumerable.Range(0, count).Select(i => largest * Math.Pow(ratio, i / (count - 1.0)))];
        var solutions = new SolveResult[count];
        double[] a = [];
        CoordinateDescent.Run? run = (solver as CoordinateDescent)?.Start(fit);
        for (int i = 0; i < count; i++)
        {
            IPenalty at = penalty.WithStrength(strengths[i]);
            solutions[i] = run is null ? solver.Solve(fit, at, a, null, cancel) : run.Solve(at, null, cancel);
            a = solutions[i].Coefficients;
            progress?.Report(new ProgressReport(i + 1, count, $"{penalty.Name}: {solutions[i].Support.Length} non-zero"));
        }

        return new PathResult(strengths, solutions);
    }
}
