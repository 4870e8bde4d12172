using Sparseland.Penalties;
using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Coding;

/// <summary>One lasso 300 x 1,000 on correlated atoms, where coordinate descent is slow, against Lasso of scikit-learn at the same tolerance.</summary>
public class LassoCorrelatedBenchmark : IQuickBenchmark
{
    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using PythonPeer? python = PythonPeer.Start("import numpy as np\nfrom sklearn.linear_model import Lasso");
        foreach (bool neighbours in new[] { false, true })
        {
            (Tensor Atoms, Tensor Y) problem = LassoProblem.DrawCorrelated(neighbours);
            using Tensor atoms = problem.Atoms, y = problem.Y;
            python?.Put("atoms", atoms);
            python?.Put("y", y);
            python?.Run("X = atoms.T");
            double largest = LeastSquares.FromAtoms(atoms, y, LassoScaling.MeanSquares).LargestUsefulStrength(new L1(1));
            foreach ((double share, double tolerance) in new[] { (0.1, 1e-6), (0.01, 1e-6), (0.001, 1e-6), (0.001, 1e-10) })
            {
                double alpha = share * largest;
                var options = new SolverOptions { Tolerance = tolerance, MaxIterations = 100_000 };
                SolveResult Ours() => new CoordinateDescent(options).Solve(LeastSquares.FromAtoms(atoms, y, LassoScaling.MeanSquares), new L1(alpha));
                string fit = FormattableString.Invariant($"m = Lasso(alpha={alpha:R}, fit_intercept=False, tol={tolerance:R}, max_iter=100000).fit(X, y)");
                string Note()
                {
                    SolveResult result = Ours();
                    string ours = $"{result.StopReason}, gap {result.DualGap / y.square().mean().item<double>():E1} of ||y||^2/m, objective {result.Objective:R}, {result.Support.Length} non-zero, {result.Trace.Count} looks, {result.Iterations} sweeps";
                    if (python is null) return ours;
                    double[] theirs = python.Get("[m.dual_gap_ / np.mean(y * y), np.mean((y - X @ m.coef_) ** 2) / 2 + m.alpha * np.abs(m.coef_).sum(), m.n_iter_]");
                    return $"{ours}; scikit-learn's gap {theirs[0]:E1}, objective {theirs[1]:R}, {theirs[2]} sweeps";
                }

                string kind = neighbours ? "neighbours correlated by 0.95" : "entries of mean 3";
                yield return new Comparison(
                    $"one lasso, 300 x 1000, {kind}, alpha = {share} alpha_max to {tolerance}", () => Ours(), "scikit-learn Lasso", python is null ? null : () => python.Run(fit), 1, Note);
            }
        }
    }
}
