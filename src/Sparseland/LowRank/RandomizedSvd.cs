using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// A truncated decomposition through a random subspace (Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.1), for matrices whose whole decomposition costs too much: Q spans
/// (W W^T)^q W Omega, and W ~ Q (Q^T W) is decomposed in its place.
/// </summary>
public static class RandomizedSvd
{
    /// <summary>Factors of a matrix, computed in float64.</summary>
    /// <param name="W">[out, in], of floating point, finite.</param>
    /// <param name="rank">r, from 1 to min(out, in).</param>
    /// <param name="seed">Seed of Omega.</param>
    /// <param name="oversampling">Columns of Omega beyond r, not negative. Default 10.</param>
    /// <param name="powerIterations">q, not negative. Default 2; more where the spectrum falls slowly.</param>
    /// <param name="name">Name of the matrix in messages; null, the default, for none.</param>
    /// <returns>Balanced factors, the leading singular values (r + oversampling of them), and the squared error of B A, as the difference of both energies; dispose it.</returns>
    /// <exception cref="ArgumentException">Another shape or type, NaN or infinity, or a number out of its range.</exception>
    public static FactorPair Of(Tensor W, int rank, long seed, int oversampling = 10, int powerIterations = 2, string? name = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(oversampling);
        ArgumentOutOfRangeException.ThrowIfNegative(powerIterations);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor wide = Decomposition.Wide(W, nameof(W), name);
        Decomposition.CheckRank(rank, wide);
        (Tensor scaled, double scale) = Decomposition.ToUnit(wide);
        int columns = (int)Math.Min(rank + (long)oversampling, Math.Min(W.shape[0], W.shape[1]));
        using var generator = new Generator(SeededRandom.Mix(unchecked((ulong)seed)));
        Tensor q = Orthonormal(scaled.mm(randn([W.shape[1], columns], generator: generator, dtype: ScalarType.Float64)));
        for (int i = 0; i < powerIterations; i++) q = Orthonormal(scaled.mm(Orthonormal(scaled.t().mm(q))));
        (Tensor u, Tensor s, Tensor vt) = Decomposition.Svd(q.t().mm(scaled), nameof(W), name);
        using FactorPair own = TruncatedSvd.Split(q.mm(u), s.mul(scale), vt, rank, W);

        // The projection is orthogonal, so the error is what the energy of W and that of the kept part differ by.
        double all = scaled.square().sum().item<double>(), kept = s.narrow(0, 0, rank).square().sum().item<double>();
        return new(own.B.clone(), own.A.clone(), [.. own.SingularValues], Math.Max(0, all - kept) * scale * scale);
    }

    private static Tensor Orthonormal(Tensor columns) => linalg.qr(columns).Q;
}
