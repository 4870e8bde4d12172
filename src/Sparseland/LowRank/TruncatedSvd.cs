using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>The best copy of a matrix of some rank (Eckart and Young 1936): B = U_r sqrt(S_r), A = sqrt(S_r) V_r^T. Its squared error is the sum of the squared singular values that were dropped.</summary>
/// <remarks>Signs of singular vectors are not defined, so that only products and projectors can be compared between builds.</remarks>
public static class TruncatedSvd
{
    /// <summary>Factors of a matrix, computed in float64.</summary>
    /// <param name="W">[out, in], of floating point, finite.</param>
    /// <param name="rank">r, from 1 to min(out, in).</param>
    /// <param name="name">Name of the matrix in messages; null, the default, for none.</param>
    /// <returns>Balanced factors in the type of W, and all its singular values; dispose it.</returns>
    /// <exception cref="ArgumentException">Another shape or type, NaN or infinity, a rank that there is not, or a decomposition that does not converge.</exception>
    public static FactorPair Of(Tensor W, int rank, string? name = null)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor wide = Decomposition.Wide(W, nameof(W), name);
        Decomposition.CheckRank(rank, wide);
        (Tensor u, Tensor s, Tensor vt) = Decomposition.Svd(wide, nameof(W), name);
        return Split(u, s, vt, rank, W);
    }

    /// <summary>Singular values, falling, computed in float64.</summary>
    /// <param name="W">[out, in], of floating point, finite.</param>
    /// <param name="name">Name of the matrix in messages; null, the default, for none.</param>
    /// <exception cref="ArgumentException">Another shape or type, NaN or infinity.</exception>
    public static double[] SingularValues(Tensor W, string? name = null)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor wide = Decomposition.Wide(W, nameof(W), name);
        return Decomposition.SingularValues(wide, nameof(W), name);
    }

    /// <summary>Balanced factors in the type of a matrix.</summary>
    internal static FactorPair Split(Tensor u, Tensor s, Tensor vt, int rank, Tensor like)
    {
        using DisposeScope scope = NewDisposeScope();
        double[] singular = s.contiguous().data<double>().ToArray();
        Tensor root = s.narrow(0, 0, rank).sqrt();
        Tensor b = (u.narrow(1, 0, rank) * root).to(like.dtype).contiguous().to(like.device), a = (vt.narrow(0, 0, rank) * root.unsqueeze(1)).to(like.dtype).contiguous().to(like.device);
        return new(b.MoveToOuterDisposeScope(), a.MoveToOuterDisposeScope(), singular, Decomposition.TailEnergy(singular, rank));
    }
}
