using System.Diagnostics;
using System.Numerics.Tensors;
using Sparseland.Tensors;

namespace Sparseland.Solvers;

/// <summary>
/// Iterative hard thresholding: a &lt;- H_s(a + mu M^T (y - M a)), H_s keeps the s largest magnitudes (Blumensath and Davies 2009), and
/// its normalised form, whose step follows the support (Blumensath and Davies 2010).
/// </summary>
public static class HardThresholding
{
    private const double Slack = 0.99;

    /// <summary>IHT with step 1.</summary>
    /// <param name="fit">y and M with ||M||_2 &lt; 1; the scaling plays no part.</param>
    /// <param name="sparsity">s, at most min(outputs, inputs).</param>
    /// <param name="options">Tolerance: ||a' - a||/||a'|| at which it stops, or the residual's share of ||y||. Default: those of <see cref="SolverOptions"/>.</param>
    /// <param name="cancel">Checked in every iteration.</param>
    /// <returns>The trace's certificate is the residual norm.</returns>
    /// <exception cref="ArgumentException">s is out of its range, or ||M||_2 is not below 1, where IHT need not converge.</exception>
    public static SolveResult Iht(LeastSquares fit, int sparsity, SolverOptions? options = null, CancellationToken cancel = default)
    {
        Greedy.Check(fit, sparsity);
        double norm = Math.Sqrt(ProximalGradient.Lipschitz(fit) / fit.Curvature / 1.001);
        if (norm >= 1)
            throw new ArgumentException($"IHT with step 1 needs ||M||_2 < 1, but it is {norm:G4}. Divide M and y by a little more, or use Niht.", nameof(fit));
        return Run(fit, sparsity, false, options, cancel);
    }

    /// <summary>
    /// Normalised IHT: mu = ||g_S||^2/||M g_S||^2 on the support S; where the support changes and mu > 0.99 ||da||^2/||M da||^2, mu is
    /// halved until it is not.
    /// </summary>
    /// <param name="fit">y and M of any norm; the scaling plays no part.</param>
    /// <param name="sparsity">s, at most min(outputs, inputs).</param>
    /// <param name="options">Tolerance: ||a' - a||/||a'|| at which it stops, or the residual's share of ||y||. Default: those of <see cref="SolverOptions"/>.</param>
    /// <param name="cancel">Checked in every iteration.</param>
    /// <returns>
    /// The trace's certificate is the residual norm. Converged means a fixed point of the step a = H_s(a + mu M^T r) to the tolerance, which is what
    /// a local minimum satisfies, or that y is met.
    /// </returns>
    /// <exception cref="ArgumentException">s is out of its range.</exception>
    public static SolveResult Niht(LeastSquares fit, int sparsity, SolverOptions? options = null, CancellationToken cancel = default)
    {
        Greedy.Check(fit, sparsity);
        return Run(fit, sparsity, true, options, cancel);
    }

    private static SolveResult Run(LeastSquares fit, int sparsity, bool normalised, SolverOptions? options, CancellationToken cancel)
    {
        options = SolverOptions.Checked(options);
        long start = Stopwatch.GetTimestamp();
        ILinearMap map = fit.Map;
        double scale = Math.Sqrt(fit.SquaredNorm);
        double[] a = new double[map.Inputs], next = new double[map.Inputs], change = new double[map.Inputs], gradient = new double[map.Inputs];
        double[] z = new double[map.Outputs], image = new double[map.Outputs], residual = fit.Target.ToArray();
        map.Adjoint(residual, gradient);
        int[] support = Greedy.Largest(gradient, sparsity);
        var trace = new List<SolvePoint> { new(0, fit.Value(z), scale, 0) };
        StopReason reason = scale == 0 ? StopReason.Converged : StopReason.IterationLimit;
        int iteration = 0;
        while (reason != StopReason.Converged && iteration < options.MaxIterations)
        {
            cancel.ThrowIfCancellationRequested();
            double mu = normalised ? OnSupport(map, gradient, support, image) : 1;
            int[] chosen;
            while (true)
            {
                TensorPrimitives.MultiplyAdd(gradient, mu, a, next);
                chosen = Greedy.Largest(next, sparsity);
                KeepOnly(next, chosen);
                if (!normalised || chosen.AsSpan().SequenceEqual(support)) break;
                TensorPrimitives.Subtract<double>(next, a, change);
                map.Apply(change, image);
                double allowed = Slack * SquaredRatio(change, image);
                if (!(mu > allowed)) break;
                mu /= 2;
            }

            TensorPrimitives.Subtract<double>(next, a, change);
            double moved = PowerOfTwoScale.Norm(change), size = PowerOfTwoScale.Norm(next);
            (a, next, support) = (next, a, chosen);
            map.Apply(a, z);
            TensorPrimitives.Subtract(fit.Target, z, residual);
            map.Adjoint(residual, gradient);
            double norm = TensorPrimitives.Norm<double>(residual);
            iteration++;
            trace.Add(new SolvePoint(iteration, fit.Value(z), norm, Stopwatch.GetElapsedTime(start).TotalSeconds));
            if (!double.IsFinite(norm)) throw new DivergenceException($"Hard thresholding left the finite numbers after {iteration} iterations.");
            if (moved <= options.Tolerance * size || norm <= options.Tolerance * scale) reason = StopReason.Converged;
        }

        return new SolveResult(a, trace, null, null, iteration, reason);
    }

    /// <summary>||g_S||^2/||M g_S||^2; 1 where the gradient vanishes on the support.</summary>
    private static double OnSupport(ILinearMap map, double[] gradient, int[] support, double[] image)
    {
        double[] restricted = (double[])gradient.Clone();
        KeepOnly(restricted, support);
        map.Apply(restricted, image);
        double ratio = SquaredRatio(restricted, image);
        return double.IsFinite(ratio) ? ratio : 1;
    }

    /// <summary>||above||^2/||below||^2 by the ratio of the norms: the squares of a gradient leave the range of double long before the step does.</summary>
    private static double SquaredRatio(double[] above, double[] below)
    {
        double ratio = PowerOfTwoScale.Norm(above) / PowerOfTwoScale.Norm(below);
        return ratio * ratio;
    }

    private static void KeepOnly(double[] values, int[] ascending)
    {
        int at = 0;
        for (int j = 0; j < values.Length; j++)
        {
            if (at < ascending.Length && ascending[at] == j) at++;
            else values[j] = 0;
        }
    }
}
