using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// The copy of a layer of some rank that changes its outputs least (as in SVD-LLM, Wang et al. 2024): What minimises the norm of (W - What) X^T over calibration inputs X, of which only the Gram matrix
/// C = X^T X is needed. With C + damp I = L L^T, the decomposition of W L is truncated and multiplied by L^-1.
/// </summary>
public static class ActivationAwareSvd
{
    /// <summary>Factors of a layer's weight, computed in float64.</summary>
    /// <param name="W">[out, in], of floating point, finite.</param>
    /// <param name="gram">C [in, in], symmetric and positive semidefinite; any multiple of X^T X serves.</param>
    /// <param name="rank">r, from 1 to min(out, in).</param>
    /// <param name="damping">What is added to the diagonal of C, as a share of its mean; above 0. Default 1e-6.</param>
    /// <param name="name">Name of the matrix in messages; null, the default, for none.</param>
    /// <returns>
    /// Balanced factors; singular values of W L; and the squared error tr((W - What) (C + damp I) (W - What)^T), which is the sum of the squares of those that were dropped. Dispose it.
    /// </returns>
    /// <exception cref="ArgumentException">A Gram matrix of another width, with NaN, or that is not positive definite with the damping; another shape or type, or a rank that there is not.</exception>
    public static FactorPair Of(Tensor W, Tensor gram, int rank, double damping = 1e-6, string? name = null)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor wide = Decomposition.Wide(W, nameof(W), name);
        Decomposition.CheckRank(rank, wide);
        Tensor L = WhiteningOf(gram, W, damping, name);
        return Cut(Decompose(wide, L, name), y => Unwhiten(L, y), rank, W);
    }

    /// <summary>L of C + damp I = L L^T.</summary>
    internal static Tensor WhiteningOf(Tensor gram, Tensor W, double damping, string? name)
    {
        Tensor C = Square(gram, W, name);
        Finite.Positive(damping);
        double mean = C.diagonal().mean().item<double>();
        if (!(mean > 0)) throw new ArgumentException($"The diagonal of gram{Label(name)} has the mean {mean}; inputs that are all zero decide nothing.", nameof(gram));
        return Cholesky(C + (eye(C.shape[0], dtype: ScalarType.Float64) * (damping * mean)), name);
    }

    /// <summary>Y L^-1.</summary>
    internal static Tensor Unwhiten(Tensor L, Tensor y) => linalg.solve_triangular(L.t(), y.t(), upper: true).t();

    /// <summary>The cheap variant that looks at the size of each input alone (the diagonal of C), as ASVD does (Yuan et al. 2023). It is NOT always better than the plain decomposition.</summary>
    /// <param name="W">[out, in], of floating point, finite.</param>
    /// <param name="gram">C [in, in]; only its diagonal is read.</param>
    /// <param name="rank">r, from 1 to min(out, in).</param>
    /// <param name="damping">As in <see cref="Of"/>. Default 1e-6.</param>
    /// <param name="name">Name of the matrix in messages; null, the default, for none.</param>
    /// <returns>As <see cref="Of"/>, with the diagonal in the place of C.</returns>
    /// <exception cref="ArgumentException">As <see cref="Of"/>.</exception>
    public static FactorPair Diagonal(Tensor W, Tensor gram, int rank, double damping = 1e-6, string? name = null)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor wide = Decomposition.Wide(W, nameof(W), name), diagonal = Square(gram, W, name).diagonal();
        Decomposition.CheckRank(rank, wide);
        Finite.Positive(damping);
        double mean = diagonal.mean().item<double>();
        if (!(mean > 0) || diagonal.min().item<double>() < 0) throw new ArgumentException($"The diagonal of gram{Label(name)} must not be negative or all zero.", nameof(gram));
        Tensor size = (diagonal + (damping * mean)).sqrt();
        return Cut(Decompose(wide, diag(size), name), y => y / size, rank, W);
    }

    /// <summary>The decomposition of W L over a power of two of W.</summary>
    internal static (Tensor U, Tensor S, Tensor Vt, PowerOfTwoScale Scale) Decompose(Tensor wide, Tensor L, string? name)
    {
        // Of a very large or small matrix neither the product nor a norm has a place in float64.
        double largest = TensorInput.LargestMagnitude(wide);
        PowerOfTwoScale scale = PowerOfTwoScale.IsSafe(largest) ? new(0) : PowerOfTwoScale.Of(largest);
        if (scale.Exponent != 0) wide = scale.Down(wide);
        (Tensor u, Tensor s, Tensor vt) = Decomposition.Svd(wide.mm(L), "W", name);
        return (u, s, vt, scale);
    }

    /// <summary>Factors of What of a rank.</summary>
    internal static FactorPair Cut((Tensor U, Tensor S, Tensor Vt, PowerOfTwoScale Scale) parts, Func<Tensor, Tensor> unwhiten, int rank, Tensor W)
    {
        (Tensor u, Tensor s, Tensor vt, PowerOfTwoScale scale) = parts;
        double[] singular = s.contiguous().data<double>().ToArray();
        Tensor root = s.narrow(0, 0, rank).sqrt();
        Tensor b = u.narrow(1, 0, rank) * root, a = unwhiten(vt.narrow(0, 0, rank) * root.unsqueeze(1));

        // W L and L^-1 scale the two sides apart; the pair is balanced by what both have.
        double ratio = Math.Sqrt(b.norm().item<double>() / Math.Max(a.norm().item<double>(), double.Epsilon));
        if (!(ratio > 0 && double.IsFinite(ratio))) ratio = 1;
        (b, a) = (b.div(ratio), a.mul(ratio));
        if (scale.Exponent != 0)
        {
            (b, a) = (b * Math.ScaleB(1, scale.Exponent / 2), a * Math.ScaleB(1, scale.Exponent - (scale.Exponent / 2)));
            singular = Array.ConvertAll(singular, scale.Up);
        }

        return new(b.to(W.dtype).contiguous().to(W.device), a.to(W.dtype).contiguous().to(W.device), singular, Decomposition.TailEnergy(singular, rank));
    }

    private static Tensor Square(Tensor gram, Tensor W, string? name)
    {
        Tensor C = Decomposition.Wide(gram, nameof(gram), name);
        if (C.shape[0] != C.shape[1] || C.shape[0] != W.shape[1])
            throw new ArgumentException($"gram{Label(name)} is [{C.shape[0]}, {C.shape[1]}]; the layer has {W.shape[1]} inputs.", nameof(gram));
        double largest = TensorInput.LargestMagnitude(C), off = (C - C.t()).abs().max().item<double>();
        if (off > 1e-4 * largest) throw new ArgumentException($"gram{Label(name)} is not symmetric: entries that mirror each other differ by up to {off:G3}.", nameof(gram));
        return (C / 2) + (C.t() / 2);
    }

    private static Tensor Cholesky(Tensor C, string? name)
    {
        (Tensor L, Tensor info) = linalg.cholesky_ex(C);
        int failed = info.to(ScalarType.Int32).item<int>();
        return failed == 0 ? L : throw new ArgumentException($"gram{Label(name)} is not positive definite with this damping (row {failed}); it is no X^T X, or the damping is too small for its rounding.", "gram");
    }

    private static string Label(string? name) => name is null ? "" : $" of {name}";
}
