using Sparseland.Penalties;
using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Coding;

/// <summary>One lasso 1,000 x 5,000 to a gap of 1e-6 of ||y||^2, against Lasso of scikit-learn on the layout it likes best.</summary>
public class LassoBenchmark : IQuickBenchmark
{
    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using PythonPeer? python = PythonPeer.Start("import numpy as np\nfrom sklearn.linear_model import Lasso");
        (Tensor Atoms, Tensor Y) problem = LassoProblem.Draw();
        using Tensor atoms = problem.Atoms, y = problem.Y;
        python?.Put("atoms", atoms);
        python?.Put("y", y);
        python?.Run("X = atoms.T");
        double largest = LeastSquares.FromAtoms(atoms, y, LassoScaling.MeanSquares).LargestUsefulStrength(new L1(1));
        foreach (double share in new[] { 0.1, 0.02 })
        {
            double alpha = share * largest;
            SolveResult Ours() => new CoordinateDescent().Solve(LeastSquares.FromAtoms(atoms, y, LassoScaling.MeanSquares), new L1(alpha));
            string fit = FormattableString.Invariant($"m = Lasso(alpha={alpha:R}, fit_intercept=False, tol=1e-6, max_iter=10000).fit(X, y)");
            string Note()
            {
                SolveResult result = Ours();
                string ours = $"gap {result.DualGap / y.square().mean().item<double>():E1} of ||y||^2/m, objective {result.Objective:R}, {result.Support.Length} non-zero, {result.Trace.Count} looks";
                if (python is null) return ours;
                double[] theirs = python.Get("[m.dual_gap_ / np.mean(y * y), np.mean((y - X @ m.coef_) ** 2) / 2 + m.alpha * np.abs(m.coef_).sum()]");
                return $"{ours}; scikit-learn's gap {theirs[0]:E1}, objective {theirs[1]:R}";
            }

            yield return new Comparison(
                $"one lasso, 1000 x 5000, alpha = {share} alpha_max", () => Ours(), "scikit-learn Lasso", python is null ? null : () => python.Run(fit), 1.5, Note);
        }
    }
}
