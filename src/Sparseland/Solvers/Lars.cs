using System.Numerics.Tensors;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Solvers;

/// <summary>The exact lasso path: between two knots the coefficients are linear in lambda.</summary>
/// <param name="Knots">lambda at which the support changes, falling; the first is the smallest with the zero solution.</param>
/// <param name="Coefficients">[knots][inputs].</param>
/// <param name="Excluded">Atoms that depend linearly on the support when they would have entered; their coefficients stay 0.</param>
public sealed record LarsPath(double[] Knots, double[][] Coefficients, int[] Excluded)
{
    /// <summary>The solution for any lambda between the last knot and infinity.</summary>
    /// <param name="strength">lambda.</param>
    /// <exception cref="ArgumentOutOfRangeException">lambda lies below the last knot.</exception>
    public double[] At(double strength)
    {
        if (!(strength >= Knots[^1]))
            throw new ArgumentOutOfRangeException(nameof(strength), strength, $"The path was followed down to {Knots[^1]:G6} only.");
        int next = Array.FindIndex(Knots, knot => knot <= strength);
        if (next == 0) return new double[Coefficients[0].Length];
        double share = (Knots[next - 1] - strength) / (Knots[next - 1] - Knots[next]);
        double[] result = new double[Coefficients[0].Length];
        TensorPrimitives.Subtract<double>(Coefficients[next], Coefficients[next - 1], result);
        TensorPrimitives.MultiplyAdd(result, share, Coefficients[next - 1], result);
        return result;
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// LARS with the lasso modification (Osborne, Presnell and Turlach 2000; Efron, Hastie, Johnstone and Tibshirani 2004): follows the
/// minimizer of w/2 ||x - M a||^2 + lambda ||a||_1 from the zero solution down, from one change of the support to the next.
/// </summary>
public static class Lars
{
    /// <summary>Follows the path.</summary>
    /// <param name="fit">x, M and the scaling w.</param>
    /// <param name="smallest">lambda to end at, not negative. Default 0.</param>
    /// <param name="maxKnots">Most knots; the path may leave and enter the same atom often. Default 1000.</param>
    /// <param name="positive">Whether a >= 0. Default false.</param>
    /// <param name="cancel">Checked at every knot.</param>
    /// <exception cref="ArgumentException">A parameter is out of its range, or the map is not dense.</exception>
    public static LarsPath Solve(LeastSquares fit, double smallest = 0, int maxKnots = 1000, bool positive = false, CancellationToken cancel = default)
    {
        DenseMap map = Greedy.Check(fit, 1);
        Finite.NotNegative(smallest);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxKnots, 2);
        double weight = fit.Curvature;
        int n = map.Inputs;
        double[] a = new double[n], c = new double[n], fitted = new double[map.Outputs], slope = new double[n], residual = new double[map.Outputs];
        map.Adjoint(fit.Target, c);
        TensorPrimitives.Multiply(c, weight, c);
        double Pull(int j) => positive ? c[j] : Math.Abs(c[j]);
        double lambda = Enumerable.Range(0, n).Max(Pull);
        var knots = new List<double> { Math.Max(lambda, 0) };
        var path = new List<double[]> { new double[n] };
        var active = new List<int>();
        var excluded = new SortedSet<int>();
        int entering = lambda > smallest ? Enumerable.Range(0, n).MaxBy(Pull) : -1, left = -1;
        while (lambda > smallest && knots.Count < maxKnots)
        {
            cancel.ThrowIfCancellationRequested();
            if (entering >= 0)
            {
                active.Add(entering);
                if (active.Count > map.Outputs || Direction(map, active, c, slope, weight) is false)
                {
                    // It lies in the span of the support: no direction keeps it tied, and the solution without it stays optimal.
                    active.RemoveAt(active.Count - 1);
                    excluded.Add(entering);
                }
            }

            if (active.Count == 0 || !Direction(map, active, c, slope, weight)) break;

            // As lambda falls by d: a += d slope, and every correlation falls by d u.
            double[] u = new double[n];
            map.Apply(slope, fitted);
            map.Adjoint(fitted, u);
            TensorPrimitives.Multiply(u, weight, u);
            double step = lambda - smallest;
            (entering, int leaving) = (-1, -1);
            for (int j = 0; j < n; j++)
            {
                if (active.Contains(j))
                {
                    double zero = slope[j] == 0 ? -1 : -a[j] / slope[j];
                    if (zero > 1e-14 * lambda && zero < step) (step, entering, leaving) = (zero, -1, j);
                    continue;
                }

                if (excluded.Contains(j)) continue;
                foreach (double sign in positive ? (ReadOnlySpan<double>)[1] : [1, -1])
                {
                    // |c_j - d u_j| meets lambda - d.
                    double meets = (lambda - sign * c[j]) / (1 - sign * u[j]);
                    if (j != left && Math.Abs(1 - sign * u[j]) <= 1e-10 && lambda - sign * c[j] <= 1e-10 * lambda)
                    {
                        // Tied with the support for good: a copy of an atom, or of a combination.
                        excluded.Add(j);
                        break;
                    }

                    if (j == left && meets <= 1e-10 * lambda) continue;
                    if (1 - sign * u[j] > 1e-14 && meets >= 0 && meets < step) (step, entering, leaving) = (meets, j, -1);
                }
            }

            TensorPrimitives.MultiplyAdd(slope, step, a, a);
            if (leaving >= 0)
            {
                a[leaving] = 0;
                active.Remove(leaving);
            }

            left = leaving;
            // The end is the asked one to the last bit: lambda - (lambda - smallest) can be an ulp above it.
            lambda = entering < 0 && leaving < 0 ? smallest : lambda - step;
            if (lambda <= 1e-12 * knots[0]) lambda = 0;

            // From scratch, so that rounding does not add up along the path.
            map.Apply(a, fitted);
            TensorPrimitives.Subtract(fit.Target, fitted, residual);
            map.Adjoint(residual, c);
            TensorPrimitives.Multiply(c, weight, c);
            knots.Add(lambda);
            path.Add((double[])a.Clone());
            if (lambda == 0 || (entering < 0 && leaving < 0)) break;
        }

        return new LarsPath([.. knots], [.. path], [.. excluded]);
    }

    /// <summary>slope = (w G_SS)^-1 sign(c_S) on the support, by Cholesky; false where G_SS is singular to rounding.</summary>
    private static bool Direction(DenseMap map, List<int> active, double[] c, double[] slope, double weight)
    {
        using var scope = NewDisposeScope();
        double[] rows = new double[active.Count * map.Outputs], signs = new double[active.Count];
        for (int i = 0; i < active.Count; i++)
        {
            map.CopyColumn(active[i], rows.AsSpan(i * map.Outputs));
            signs[i] = Math.Sign(c[active[i]]) / weight;
        }

        torch.Tensor atoms = tensor(rows, [active.Count, map.Outputs]);
        (torch.Tensor factor, torch.Tensor failed) = linalg.cholesky_ex(atoms.mm(atoms.t()));
        torch.Tensor pivots = factor.diagonal();
        if (failed.item<int>() != 0 || pivots.min().item<double>() <= 1e-7 * pivots.max().item<double>()) return false;
        double[] solution = tensor(signs, [active.Count, 1]).cholesky_solve(factor).contiguous().data<double>().ToArray();
        Array.Clear(slope);
        for (int i = 0; i < active.Count; i++) slope[active[i]] = solution[i];
        return true;
    }
}
