using Sparseland.Penalties;
using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Coding;

/// <summary>
/// 100 lassos 1,000 x 5,000, strengths down to a hundredth of the largest, each to a gap of 1e-6 of ||y||^2, against glmnet at a threshold
/// that reaches the same gap; and one lasso beside one product X^T r, which no method can do without.
/// </summary>
public class LassoPathBenchmark : IQuickBenchmark
{
    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using RPeer? r = RPeer.Start("library(glmnet)");
        (Tensor Atoms, Tensor Y) problem = LassoProblem.Draw();
        using Tensor atoms = problem.Atoms, y = problem.Y;
        r?.Put("X", atoms.data<double>().ToArray(), 1000, 5000);
        r?.Put("y", y.data<double>().ToArray(), 1000, 1);
        LeastSquares fit = LeastSquares.FromAtoms(atoms, y, LassoScaling.MeanSquares);
        PathResult Ours() => RegularizationPath.Solve(fit, new L1(1), 100, 0.01);
        string Note()
        {
            PathResult path = Ours();
            double power = y.square().mean().item<double>(), worst = path.Solutions.Max(s => s.DualGap!.Value) / power;
            string ours = $"largest gap {worst:E1} of ||y||^2/m, {path.Solutions[^1].Support.Length} non-zero at the end, {path.Solutions.Sum(s => s.Trace.Count)} looks, {path.Solutions.Sum(s => s.Iterations)} sweeps";
            if (r is null) return ours;
            double[] theirs = r.Get("{ b <- as.matrix(m$beta); l <- m$lambda; max(sapply(seq_along(l), function(i) { e <- as.vector(y - X %*% b[, i]); k <- max(abs(crossprod(X, e))) / nrow(X); s <- min(1, l[i] / k); (sum(e^2) / 2 / nrow(X) + l[i] * sum(abs(b[, i])) - (s * sum(y * e) - s^2 * sum(e^2) / 2) / nrow(X)) / mean(y^2) })) }");
            return $"{ours}; glmnet's largest gap {theirs[0]:E1}";
        }

        yield return new Comparison(
            "lasso path, 1000 x 5000, 100 strengths", () => Ours(), "glmnet",
            r is null ? null : () => r.Run("m <- glmnet(X, y, nlambda = 100, lambda.min.ratio = 0.01, standardize = FALSE, intercept = FALSE, thresh = 1e-10)"), 1.5, Note);
        double largest = fit.LargestUsefulStrength(new L1(1));
        double[] residual = y.data<double>().ToArray(), correlations = new double[5000];
        foreach (double share in new[] { 0.1, 0.02 })
        {
            yield return new Comparison(
                $"one lasso, 1000 x 5000, {share} of the largest", () => new CoordinateDescent().Solve(LeastSquares.FromAtoms(atoms, y, LassoScaling.MeanSquares), new L1(share * largest)),
                "one product X^T r", () => fit.Map.Adjoint(residual, correlations), 1 / 6.0);
        }
    }
}
