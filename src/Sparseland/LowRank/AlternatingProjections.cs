using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// GoDec (Zhou and Tao 2011): L becomes the best rank-r copy of M - S, S the k largest entries of M - L, in turn. The residual never rises; it is a local method, which from S = 0 does not undo gross
/// corruption (<see cref="RobustPca"/> does), and the natural tool for residuals of weights, which have none.
/// </summary>
public static class AlternatingProjections
{
    /// <summary>Takes a matrix apart, in float64.</summary>
    /// <param name="M">[out, in], of floating point, finite.</param>
    /// <param name="rank">r, from 1 to min(out, in).</param>
    /// <param name="nonZeros">k, from 0 to out in.</param>
    /// <param name="steps">Most rounds of both projections. Default 50.</param>
    /// <param name="tolerance">It stops when the residual falls by less than this share of the norm of M. Default 1e-7.</param>
    /// <param name="progress">Rounds done, with the residual.</param>
    /// <param name="cancel">Checked before each round.</param>
    /// <returns>L and S in the type of M; dispose it.</returns>
    /// <exception cref="ArgumentException">Another shape or type, NaN or infinity, or a number out of its range.</exception>
    public static LowRankPlusSparse Of(
        Tensor M, int rank, int nonZeros, int steps = 50, double tolerance = 1e-7, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor wide = Decomposition.Wide(M, nameof(M));
        Decomposition.CheckRank(rank, wide);
        if (nonZeros < 0 || nonZeros > wide.numel()) throw new ArgumentOutOfRangeException(nameof(nonZeros), nonZeros, $"nonZeros must be from 0 to the {wide.numel()} entries.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(steps);
        if (!(tolerance is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(tolerance), tolerance, "tolerance must be from 0 to below 1.");
        if (TensorInput.LargestMagnitude(wide) == 0) return new(zeros_like(M), zeros_like(M), 0, [], true);
        (wide, double scale) = Decomposition.ToUnit(wide);
        double norm = wide.norm().item<double>();
        Tensor L = zeros_like(wide), S = zeros_like(wide);
        var residuals = new List<double>();
        bool converged = false;
        for (int step = 0; step < steps && !converged; step++)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope inner = NewDisposeScope();
            (Tensor u, Tensor s, Tensor vt) = Decomposition.Svd(wide - S, nameof(M));
            L.copy_((u.narrow(1, 0, rank) * s.narrow(0, 0, rank)).mm(vt.narrow(0, 0, rank)));
            Tensor rest = wide - L;
            if (nonZeros > 0) S.copy_(rest * Select.Mask(rest.abs(), Budget.Global(nonZeros)));

            residuals.Add((rest - S).norm().item<double>() / norm);
            converged = step > 0 && residuals[^2] - residuals[^1] <= tolerance;
            progress?.Report(new(step + 1, steps, FormattableString.Invariant($"residual {residuals[^1]:G3}")));
        }

        return new(L.mul_(scale).to(M.dtype).to(M.device), S.mul_(scale).to(M.dtype).to(M.device), rank, residuals, converged);
    }
}
