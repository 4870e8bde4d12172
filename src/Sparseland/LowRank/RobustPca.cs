using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>Settings of <see cref="RobustPca"/>.</summary>
public sealed record RobustPcaOptions
{
    /// <summary>Weight lambda of the 1-norm; null, the default, for 1 / sqrt(max(out, in)) (Candes, Li, Ma and Wright 2011).</summary>
    public double? Lambda { get; init; }

    /// <summary>Most steps. Default 500.</summary>
    public int MaxSteps { get; init; } = 500;

    /// <summary>It stops when the norm of M - L - S is at most this share of that of M. Default 1e-7.</summary>
    public double Tolerance { get; init; } = 1e-7;

    /// <summary>Factor of the penalty mu from step to step, above 1. Default 1.5.</summary>
    public double Growth { get; init; } = 1.5;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        Finite.Positive(Lambda);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxSteps);
        if (!(Tolerance is > 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(Tolerance), Tolerance, "Tolerance must lie between 0 and 1.");
        if (!(Growth > 1 && double.IsFinite(Growth))) throw new ArgumentOutOfRangeException(nameof(Growth), Growth, "Growth must be above 1 and finite.");
    }
}

/// <summary>A matrix taken apart into one of low rank and a sparse one, M ~ L + S.</summary>
public sealed class LowRankPlusSparse : IDisposable
{
    private readonly NativeSize _size;

    internal LowRankPlusSparse(Tensor l, Tensor s, int rank, IReadOnlyList<double> residuals, bool converged) =>
        (L, S, Rank, Residuals, Converged, _size) = (l.DetachFromDisposeScope(), s.DetachFromDisposeScope(), rank, residuals, converged, NativeSize.Of(l, s));

    /// <summary>L [out, in], in the type of M. It belongs to the result.</summary>
    public Tensor L { get; }

    /// <summary>S [out, in], in the type of M. It belongs to the result.</summary>
    public Tensor S { get; }

    /// <summary>Rank of L.</summary>
    public int Rank { get; }

    /// <summary>The norm of M - L - S over that of M, after each step.</summary>
    public IReadOnlyList<double> Residuals { get; }

    /// <summary>Whether the stopping rule was met before the last allowed step.</summary>
    public bool Converged { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        L.Dispose();
        S.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"L of rank {Rank} plus S, relative residual {(Residuals.Count == 0 ? 0 : Residuals[^1]):G3} after {Residuals.Count} steps{(Converged ? "" : ", not converged")}";
}

/// <summary>
/// Principal component pursuit (Candes, Li, Ma and Wright 2011): min norm_*(L) + lambda norm_1(S) with L + S = M, by the inexact augmented Lagrangian method (Lin, Chen and Ma 2010). It recovers a planted
/// pair exactly while rank and share of corrupted entries are low, and fails beyond an edge.
/// </summary>
public static class RobustPca
{
    /// <summary>Takes a matrix apart, in float64.</summary>
    /// <param name="M">[out, in], of floating point, finite.</param>
    /// <param name="options">lambda, steps, tolerance; null for the defaults of the record.</param>
    /// <param name="progress">Steps done, with the residual.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <returns>L and S in the type of M; dispose it.</returns>
    /// <exception cref="ArgumentException">Another shape or type, NaN or infinity, or an option out of its range.</exception>
    public static LowRankPlusSparse Admm(Tensor M, RobustPcaOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        options ??= new();
        options.Validate();
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor wide = Decomposition.Wide(M, nameof(M));
        if (TensorInput.LargestMagnitude(wide) == 0) return new(zeros_like(M), zeros_like(M), 0, [], true);
        (wide, double scale) = Decomposition.ToUnit(wide);
        double lambda = options.Lambda ?? 1 / Math.Sqrt(Math.Max(M.shape[0], M.shape[1]));
        double spectral = linalg.svdvals(wide).max().item<double>(), frobenius = wide.norm().item<double>(), mu = 1.25 / spectral, cap = 1e7 * mu;
        Tensor Y = wide / Math.Max(spectral, TensorInput.LargestMagnitude(wide) / lambda), L = zeros_like(wide), S = zeros_like(wide);
        var residuals = new List<double>();
        int rank = 0;
        for (int step = 0; step < options.MaxSteps && (step == 0 || residuals[^1] > options.Tolerance); step++)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope inner = NewDisposeScope();
            (Tensor newL, rank) = Shrink(wide - S + (Y / mu), 1 / mu);
            Tensor newS = Soft(wide - newL + (Y / mu), lambda / mu), rest = wide - newL - newS;
            Y.add_(rest, alpha: mu);
            L.copy_(newL);
            S.copy_(newS);
            mu = Math.Min(mu * options.Growth, cap);
            residuals.Add(rest.norm().item<double>() / frobenius);
            progress?.Report(new(step + 1, options.MaxSteps, FormattableString.Invariant($"residual {residuals[^1]:G3}, rank {rank}")));
        }

        return new(L.mul_(scale).to(M.dtype).to(M.device), S.mul_(scale).to(M.dtype).to(M.device), rank, residuals, residuals[^1] <= options.Tolerance);
    }

    /// <summary>Soft threshold of singular values. While the threshold is large the eigenvectors of the smaller product say all that is needed, at a third of the cost.</summary>
    private static (Tensor Value, int Rank) Shrink(Tensor matrix, double threshold)
    {
        // Eigenvectors of the product are exact to about 1e-16 (s_1 / s)^2: 1e-8 for the values that stay here.
        Tensor product = matrix.shape[0] >= matrix.shape[1] ? matrix.t().mm(matrix) : matrix.mm(matrix.t());
        (Tensor values, Tensor vectors) = linalg.eigh(product);
        double largest = Math.Sqrt(Math.Max(0, values[-1].item<double>()));
        int kept = (int)Training.MaskSet.TrueIn(values.gt(threshold * threshold));
        if (kept == 0) return (zeros_like(matrix), 0);
        if (threshold > 1e-4 * largest)
        {
            Tensor basis = vectors.narrow(1, vectors.shape[1] - kept, kept), share = 1 - (threshold / values.narrow(0, values.shape[0] - kept, kept).sqrt());
            return (matrix.shape[0] >= matrix.shape[1] ? (matrix.mm(basis) * share).mm(basis.t()) : (basis * share).mm(basis.t().mm(matrix)), kept);
        }

        (Tensor u, Tensor s, Tensor vt) = linalg.svd(matrix, fullMatrices: false);
        Tensor left = (s - threshold).clamp_min(0);
        int rank = (int)Training.MaskSet.TrueIn(left.gt(0));
        return rank == 0 ? (zeros_like(matrix), 0) : ((u.narrow(1, 0, rank) * left.narrow(0, 0, rank)).mm(vt.narrow(0, 0, rank)), rank);
    }

    private static Tensor Soft(Tensor x, double threshold) => x.sign() * (x.abs() - threshold).clamp_min(0);
}
