using static TorchSharp.torch;

namespace Sparseland.Sketching;

/// <summary>
/// How far x' is from x*, in units of what a sketch of m rows can do. The l2 error is of order eps_0 ||r|| ||A^+|| with
/// eps_0 = sqrt(d/m); were its direction random, no coordinate would be wrong by much more than a sqrt(d)-th of that.
/// </summary>
/// <param name="L2">||x' - x*||_2.</param>
/// <param name="LInf">||x' - x*||_inf.</param>
/// <param name="L2Normalized">||x' - x*||_2 / (eps_0 ||r|| ||A^+||): about 1 for every good sketch of an orthonormal A. NaN where the fit is exact.</param>
/// <param name="LInfNormalized">
/// Z = sqrt(d) ||x' - x*||_inf / (eps_0 ||r|| ||A^+||): of order sqrt(log d) under the coordinate-wise guarantee, up to sqrt(d) without.
/// NaN where the fit is exact.
/// </param>
/// <param name="ExactFit">r = 0: x' = x* for every sketch of full rank, and there is nothing to divide by.</param>
public readonly record struct RegressionError(double L2, double LInf, double L2Normalized, double LInfNormalized, bool ExactFit)
{
    /// <summary>Measures a solution.</summary>
    /// <param name="problem">The problem with its exact solution.</param>
    /// <param name="x">x' [d], float64.</param>
    /// <param name="sketchRows">m, at least 1.</param>
    /// <exception cref="ArgumentException">x has another length, or m is below 1.</exception>
    public static RegressionError Of(RegressionProblem problem, Tensor x, int sketchRows)
    {
        ArgumentNullException.ThrowIfNull(problem);
        SketchInput.CheckValues(x, nameof(x), "[unknowns]", 1, 1);
        if (x.shape[0] != problem.Unknowns) throw new ArgumentException($"x has {x.shape[0]} numbers for {problem.Unknowns} unknowns.", nameof(x));
        ArgumentOutOfRangeException.ThrowIfLessThan(sketchRows, 1);
        using var scope = NewDisposeScope();
        Tensor error = x - problem.Solution;
        double l2 = error.norm().item<double>(), largest = error.abs().max().item<double>();
        if (problem.ResidualNorm == 0) return new(l2, largest, double.NaN, double.NaN, true);
        double unit = Math.Sqrt((double)problem.Unknowns / sketchRows) * problem.ResidualNorm * problem.PseudoInverseNorm;
        return new(l2, largest, l2 / unit, Math.Sqrt(problem.Unknowns) * largest / unit, false);
    }
}
