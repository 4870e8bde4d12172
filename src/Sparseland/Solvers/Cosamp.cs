using System.Diagnostics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Sparseland.Solvers;

/// <summary>
/// Compressive sampling matching pursuit (Needell and Tropp 2009, algorithm 2.1): min ||y - M a|| with at most s non-zeros. Each
/// iteration merges the 2s largest correlations with the support, solves least squares there, keeps the s largest coefficients and
/// takes the new residual.
/// </summary>
public static class Cosamp
{
    /// <summary>Recovers a code with s non-zeros.</summary>
    /// <param name="fit">y and M; the scaling plays no part in the path.</param>
    /// <param name="sparsity">s, at most min(outputs, inputs).</param>
    /// <param name="options">
    /// Tolerance: relative change of the residual norm, or its share of ||y||, at which it stops. It need not decrease: the best code
    /// seen is returned. Null for the defaults of the record.
    /// </param>
    /// <param name="cancel">Checked in every iteration.</param>
    /// <returns>The trace's certificate is the residual norm. Converged where y is met to the tolerance; RelativeChange where the residual stays above it, or the iteration goes in a circle.</returns>
    /// <exception cref="ArgumentException">s is out of its range, or the map is not dense.</exception>
    public static SolveResult Solve(LeastSquares fit, int sparsity, SolverOptions? options = null, CancellationToken cancel = default)
    {
        DenseMap map = Greedy.Check(fit, sparsity);
        options = SolverOptions.Checked(options);
        long start = Stopwatch.GetTimestamp();
        double scale = Math.Sqrt(fit.SquaredNorm), norm = scale, best = scale;
        double[] a = new double[map.Inputs], answer = a, z = new double[map.Outputs], residual = fit.Target.ToArray(), correlations = new double[map.Inputs];
        var trace = new List<SolvePoint> { new(0, fit.Value(z), norm, 0) };
        StopReason reason = norm == 0 ? StopReason.Converged : StopReason.IterationLimit;
        int iteration = 0;

        // A code follows from the atoms it was chosen among, and the next atoms from the code: atoms seen before begin a circle.
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (reason == StopReason.IterationLimit && iteration < options.MaxIterations)
        {
            cancel.ThrowIfCancellationRequested();
            map.Adjoint(residual, correlations);
            int[] merged = [.. Greedy.Largest(correlations, Math.Min(2 * sparsity, map.Inputs))
                .Union(Enumerable.Range(0, a.Length).Where(j => a[j] != 0)).Order()];
            bool isCircle = !seen.Add(new string(MemoryMarshal.Cast<int, char>(merged)));
            double[] solution = Greedy.LeastSquaresOn(fit, map, merged);
            a = new double[map.Inputs];
            foreach (int i in Greedy.Largest(solution, Math.Min(sparsity, solution.Length))) a[merged[i]] = solution[i];
            map.Apply(a, z);
            TensorPrimitives.Subtract(fit.Target, z, residual);
            double before = norm;
            norm = TensorPrimitives.Norm<double>(residual);
            iteration++;
            trace.Add(new SolvePoint(iteration, fit.Value(z), norm, Stopwatch.GetElapsedTime(start).TotalSeconds));
            if (norm < best) (best, answer) = (norm, a);
            if (norm <= options.Tolerance * scale) reason = StopReason.Converged;
            else if (isCircle || Math.Abs(before - norm) <= options.Tolerance * before) reason = StopReason.RelativeChange;
        }

        // The last point of the trace tells of the answer, also where an earlier code was the best.
        map.Apply(answer, z);
        if (answer != a) trace.Add(new SolvePoint(iteration, fit.Value(z), best, Stopwatch.GetElapsedTime(start).TotalSeconds));
        return new SolveResult(answer, trace, null, null, iteration, reason);
    }
}
