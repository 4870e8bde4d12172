using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Sketching;

/// <summary>
/// min ||A x - b|| with its exact solution. A and b may be given on some rows only, where all others are zero: then n can be large at no cost.
/// </summary>
/// <param name="Inputs">n, rows of the whole problem.</param>
/// <param name="Rows">The rows that A and B hold, or null for all n.</param>
/// <param name="A">[rows, d].</param>
/// <param name="B">b [rows].</param>
/// <param name="Solution">x* [d].</param>
/// <param name="ResidualNorm">||r|| = ||A x* - b||, 0 where the fit is exact.</param>
/// <param name="PseudoInverseNorm">||A^+||, the inverse of the smallest singular value of A.</param>
public sealed record RegressionProblem(
    int Inputs, IReadOnlyList<int>? Rows, Tensor A, Tensor B, Tensor Solution, double ResidualNorm, double PseudoInverseNorm) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(A, B, Solution);

    /// <summary>d.</summary>
    public int Unknowns => (int)A.shape[1];

    /// <summary>Solves a problem exactly, by QR. The problem has copies of A and b.</summary>
    /// <param name="A">[n, d], float64, d at most n, full column rank.</param>
    /// <param name="b">[n], float64.</param>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit, or A has not full column rank.</exception>
    public static RegressionProblem From(Tensor A, Tensor b)
    {
        SketchedRegression.CheckSystem(A, b);
        using var scope = NewDisposeScope();
        long d = A.shape[1];
        (Tensor Q, Tensor R) = linalg.qr(A);
        Tensor singular = linalg.svdvals(R);
        double largest = singular[0].item<double>(), smallest = singular[d - 1].item<double>();
        if (!(smallest > SketchedRegression.RankTolerance(A.shape[0], largest)))
            throw new ArgumentException($"A has singular values from {smallest:0.###E0} to {largest:0.###E0}; it must have full column rank.", nameof(A));
        Tensor right = Q.t().mv(b);
        Tensor x = linalg.solve_triangular(R, right.unsqueeze(1), upper: true).view(d);
        double norm = (b - A.mv(x)).norm().item<double>();

        // Rounding leaves about 1e-16 of b where the fit is exact.
        if (norm <= 1e-13 * b.norm().item<double>()) norm = 0;
        return new RegressionProblem((int)A.shape[0], null, A.clone(), b.clone(), x, norm, 1 / smallest).MovedToOuterScope();
    }

    /// <summary>A [n, d] and b [n] with their zero rows. The caller disposes them.</summary>
    public (Tensor A, Tensor B) ToDense()
    {
        if (Rows is null) return (A.clone(), B.clone());
        using var scope = NewDisposeScope();
        Tensor rows = tensor([.. Rows.Select(r => (long)r)]);
        return (
            zeros([Inputs, Unknowns], dtype: ScalarType.Float64).index_copy(0, rows, A).MoveToOuterDisposeScope(),
            zeros([Inputs], dtype: ScalarType.Float64).index_copy(0, rows, B).MoveToOuterDisposeScope());
    }

    internal RegressionProblem MovedToOuterScope()
    {
        A.MoveToOuterDisposeScope();
        B.MoveToOuterDisposeScope();
        Solution.MoveToOuterDisposeScope();
        return this;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        A.Dispose();
        B.Dispose();
        Solution.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
