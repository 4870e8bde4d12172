using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>A vector times the inverse of the Fisher matrix of n sample gradients, F = (1/n) sum_i g_i g_i^T.</summary>
public static class WoodFisher
{
    /// <summary>
    /// The recursion of the published unlearning code: o = g_1 and k = v; for each further g, with t = o.g: k = k - (k.g)/(n + t) o, then o = o - t/(n + t) o. One vector o
    /// stands for what would be one for each sample, so this is a caricature of rank one of the inverse; see <see cref="Solve"/> for the inverse.
    /// </summary>
    /// <param name="v">[parameters].</param>
    /// <param name="gradients">g_1, g_2, ...: each [parameters], disposed after its use.</param>
    /// <param name="n">n in the formula, positive.</param>
    /// <returns>[parameters]; the caller's.</returns>
    /// <exception cref="ArgumentException">No gradient, or one of another length.</exception>
    public static Tensor AsPublished(Tensor v, IEnumerable<Tensor> gradients, int n)
    {
        ArgumentNullException.ThrowIfNull(v);
        ArgumentNullException.ThrowIfNull(gradients);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(n);
        using DisposeScope scope = NewDisposeScope();
        Tensor k = v.detach().to(ScalarType.Float64).clone();
        Tensor? o = null;
        foreach (Tensor gradient in gradients)
        {
            // Within the loop alone: gradients may be computed as they are asked for.
            using IDisposable off = no_grad();
            using Tensor given = gradient;
            if (!given.shape.SequenceEqual(v.shape)) throw new ArgumentException($"A gradient is [{string.Join(", ", given.shape)}] and v is [{string.Join(", ", v.shape)}].", nameof(gradients));
            using DisposeScope inner = NewDisposeScope();
            Tensor g = given.to(ScalarType.Float64);
            if (o is null)
            {
                o = g.clone().MoveToOuterDisposeScope();
                continue;
            }

            double t = o.dot(g).item<double>(), along = k.dot(g).item<double>();
            k.add_(o, alpha: -along / (n + t));

            // o - t/(n + t) o: as a difference nothing would be left of it where t is large.
            o.mul_(n / (n + t));
        }

        if (o is null) throw new ArgumentException("There is no gradient.", nameof(gradients));
        return scope.MoveToOuter(k);
    }

    /// <summary>(lambda I + F)^-1 v exactly, through the n x n matrix of the gradients' products: for small n.</summary>
    /// <param name="v">[parameters].</param>
    /// <param name="gradients">[n, parameters].</param>
    /// <param name="damping">lambda, positive.</param>
    /// <returns>[parameters], float64; the caller's.</returns>
    /// <exception cref="ArgumentException">Shapes that do not fit, or a damping that is not positive, or so small beside the gradients that float64 does not see it.</exception>
    public static Tensor Solve(Tensor v, Tensor gradients, double damping)
    {
        ArgumentNullException.ThrowIfNull(v);
        ArgumentNullException.ThrowIfNull(gradients);
        Finite.Positive(damping);
        if (v.dim() != 1 || gradients.dim() != 2 || gradients.shape[1] != v.shape[0])
            throw new ArgumentException($"gradients are [{string.Join(", ", gradients.shape)}] and v is [{string.Join(", ", v.shape)}]; they must be [n, parameters] and [parameters].", nameof(gradients));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor g = gradients.to(ScalarType.Float64), x = v.to(ScalarType.Float64).unsqueeze(1);
        long n = g.shape[0];

        // Woodbury: (lambda I + G^T G / n)^-1 v = (v - G^T (n lambda I + G G^T)^-1 G v) / lambda.
        Tensor products = g.MatMul(g.t());
        double least = n == 0 ? 0 : 1e-12 * products.diagonal().max().item<double>() / n;
        if (damping < least) throw new ArgumentOutOfRangeException(nameof(damping), damping, $"Beside gradients of this size float64 resolves a damping of {least:G3} and more.");
        Tensor inner = products + (eye(n, dtype: ScalarType.Float64) * (n * damping));
        Tensor solved = linalg.solve(inner, g.MatMul(x));
        return scope.MoveToOuter((x - g.t().MatMul(solved)).squeeze(1).div_(damping));
    }
}
