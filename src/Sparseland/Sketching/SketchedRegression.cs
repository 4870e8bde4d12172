using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Sketching;

/// <summary>
/// Sketch and solve: min ||A x - b|| over n rows becomes min ||S A x - S b|| over m. With A = U Sigma V^T the error is
/// x' - x* = V Sigma^-1 (U^T S^T S U)^-1 U^T S^T S r (error identity; Price, Song, Woodruff 2017).
/// </summary>
public static class SketchedRegression
{
    /// <summary>Sketches A and b with the same S and solves.</summary>
    /// <param name="A">[n, d], float64.</param>
    /// <param name="b">[n], float64.</param>
    /// <param name="sketch">S with n inputs and at least d rows.</param>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit, or the sketch has fewer rows than A columns.</exception>
    public static SketchedSolution Solve(Tensor A, Tensor b, ISketch sketch)
    {
        CheckSystem(A, b);
        CheckSketch(sketch, A.shape[0], A.shape[1]);
        using var scope = NewDisposeScope();
        Tensor sketched = sketch.Apply(cat([A, b.unsqueeze(1)], 1));
        return Moved(Factored(sketched));
    }

    /// <summary>The same for an A and b that are zero except on some rows: only those columns of S are drawn.</summary>
    /// <param name="problem">The problem; with <see cref="RegressionProblem.Rows"/> null, <see cref="Solve(Tensor, Tensor, ISketch)"/>.</param>
    /// <param name="sketch">S with n inputs and at least d rows.</param>
    /// <exception cref="ArgumentException">The sketch does not fit.</exception>
    public static SketchedSolution Solve(RegressionProblem problem, ISketch sketch)
    {
        ArgumentNullException.ThrowIfNull(problem);
        if (problem.Rows is null) return Solve(problem.A, problem.B, sketch);
        CheckSketch(sketch, problem.Inputs, problem.Unknowns);
        using var scope = NewDisposeScope();
        Tensor columns = sketch.Columns(problem.Rows);
        return Moved(Factored(columns.mm(cat([problem.A, problem.B.unsqueeze(1)], 1))));
    }

    /// <summary>min ||(A_1 (x) A_2) x - b|| with a tensor SRHT; the Kronecker product is never formed.</summary>
    /// <param name="A1">[n_1, d_1], float64.</param>
    /// <param name="A2">[n_2, d_2], float64.</param>
    /// <param name="b">[n_1 n_2], float64.</param>
    /// <param name="sketch">S with n_1 n_2 inputs and at least d_1 d_2 rows.</param>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit.</exception>
    public static SketchedSolution SolveKronecker(Tensor A1, Tensor A2, Tensor b, TensorSrht sketch)
    {
        ArgumentNullException.ThrowIfNull(sketch);
        using var scope = NewDisposeScope();
        Tensor left = sketch.ApplyKronecker(A1, A2);
        CheckSketch(sketch, sketch.Inputs, left.shape[1]);
        SketchInput.CheckValues(b, nameof(b), "[n_1 n_2]", 1, 1);
        return Moved(SolveSketched(left, sketch.Apply(b)));
    }

    /// <summary>The step after sketching: min ||SA x - Sb|| by QR of SA. Normal equations would square its condition number.</summary>
    /// <param name="SA">[m, d], float64, m at least d.</param>
    /// <param name="Sb">[m], float64.</param>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit.</exception>
    public static SketchedSolution SolveSketched(Tensor SA, Tensor Sb)
    {
        CheckSystem(SA, Sb, nameof(SA), nameof(Sb));
        using var scope = NewDisposeScope();
        return Moved(Factored(cat([SA, Sb.unsqueeze(1)], 1)));
    }

    /// <summary>Singular values up to this count as zero: max(m, d) eps sigma_1, the rule of NumPy's matrix_rank.</summary>
    internal static double RankTolerance(long rows, double largest) => rows * (Math.BitIncrement(1.0) - 1) * largest;

    internal static void CheckSystem(Tensor A, Tensor b, string matrix = "A", string vector = "b")
    {
        SketchInput.CheckValues(A, matrix, "[rows, columns]", 2, 2);
        SketchInput.CheckValues(b, vector, "[rows]", 1, 1);
        if (A.shape[0] != b.shape[0])
            throw new ArgumentException($"{matrix} has {A.shape[0]} rows and {vector} {b.shape[0]} numbers; they must agree.", vector);
        if (A.shape[0] < A.shape[1])
            throw new ArgumentException($"{matrix} is [{A.shape[0]}, {A.shape[1]}]; it must have at least as many rows as columns.", matrix);
    }

    private static void CheckSketch(ISketch sketch, long inputs, long columns)
    {
        ArgumentNullException.ThrowIfNull(sketch);
        if (sketch.Inputs != inputs) throw new ArgumentException($"{sketch.Name} has {sketch.Inputs} inputs for {inputs} rows.", nameof(sketch));
        if (sketch.Outputs < columns)
            throw new ArgumentException($"{sketch.Name} has {sketch.Outputs} rows for {columns} unknowns; it needs at least as many.", nameof(sketch));
    }

    // R of [SA, Sb] is [R_A, Q^T Sb; 0, residual]: everything that follows is d by d, and Q is never formed.
    private static SketchedSolution Factored(Tensor system)
    {
        long d = system.shape[1] - 1;
        Tensor all = linalg.qr(system, linalg.QRMode.R).R;
        Tensor R = all.narrow(0, 0, d).narrow(1, 0, d), right = all.narrow(0, 0, d).narrow(1, d, 1);
        double residual = all.shape[0] > d ? Math.Abs(all[d, d].item<double>()) : 0;
        Tensor singular = linalg.svdvals(R);
        double largest = singular[0].item<double>(), smallest = singular[d - 1].item<double>(), cut = RankTolerance(system.shape[0], largest);
        int rank = (int)singular.gt(cut).sum().item<long>();
        if (rank == d)
        {
            Tensor x = linalg.solve_triangular(R, right, upper: true).reshape(d);
            return new(x, SketchedStatus.Solved, rank, residual, smallest, largest);
        }

        (Tensor U, Tensor S, Tensor Vh) = linalg.svd(R);
        Tensor projected = U.narrow(1, 0, rank).t().mm(right);
        Tensor shortest = Vh.narrow(0, 0, rank).t().mm(projected.div(S.narrow(0, 0, rank).unsqueeze(1))).reshape(d);
        double lost = U.narrow(1, rank, d - rank).t().mm(right).norm().item<double>();
        return new(shortest, SketchedStatus.RankDeficient, rank, Math.Sqrt((residual * residual) + (lost * lost)), smallest, largest);
    }

    private static SketchedSolution Moved(SketchedSolution solution)
    {
        solution.X.MoveToOuterDisposeScope();
        return solution;
    }
}
