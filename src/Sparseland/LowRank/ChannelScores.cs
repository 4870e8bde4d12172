using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>Scores of input channels, the columns of a weight.</summary>
public static class ChannelScores
{
    /// <summary>
    /// The norm of each column in what a factorisation of rank r leaves: c_j = ||R[:, j]||, R = sum of s_i u_i v_i^T over the components after the first r (Li et al. 2025, arXiv 2508.02668). The squares
    /// of all scores sum up to the squares of these singular values.
    /// </summary>
    /// <param name="weight">W [out, in], finite.</param>
    /// <param name="rank">r, from 0 to below min(out, in).</param>
    /// <param name="components">How many components make R, at least 1; all of the rest where there are fewer. Default 256.</param>
    /// <param name="tail">Which ones. Default <see cref="ResidualTail.Leading"/>.</param>
    /// <param name="name">Name of the matrix in messages; null, the default, for none.</param>
    /// <returns>c [in], Float64.</returns>
    /// <exception cref="ArgumentException">Another shape or type, NaN or infinity, or a rank that leaves nothing.</exception>
    public static Tensor Residual(Tensor weight, int rank, int components = 256, ResidualTail tail = ResidualTail.Leading, string? name = null)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor wide = Decomposition.Wide(weight, nameof(weight), name);
        long most = Math.Min(wide.shape[0], wide.shape[1]);
        if (rank < 0 || rank >= most) throw new ArgumentOutOfRangeException(nameof(rank), rank, $"rank must be from 0 to {most - 1} for a weight [{wide.shape[0]}, {wide.shape[1]}]: above there is no residual.");
        ArgumentOutOfRangeException.ThrowIfLessThan(components, 1);
        (_, Tensor s, Tensor vt) = Decomposition.Svd(wide, nameof(weight), name);
        return Of(s, vt, rank, components, tail).MoveToOuterDisposeScope();
    }

    /// <summary>The same of a decomposition that is there. The columns of U are orthonormal, so that it plays no part.</summary>
    internal static Tensor Of(Tensor s, Tensor vt, int rank, int components, ResidualTail tail)
    {
        long count = Math.Min(components, s.shape[0] - rank), from = tail == ResidualTail.Leading ? rank : s.shape[0] - count;
        return (s.narrow(0, from, count).unsqueeze(1) * vt.narrow(0, from, count)).square().sum([0L]).sqrt();
    }
}
