using System.Numerics.Tensors;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Solvers;

/// <summary>
/// The largest singular value of a matrix or map, and bounds of it from above. A step length needs the bound: power iteration approaches
/// the norm from below, as slowly as the start happens to lie, and a step of 1/(too little) diverges.
/// </summary>
public static class SpectralNorm
{
    // Up to this size all eigenvalues of the smaller Gram matrix cost milliseconds.
    private const long Exact = 256;
    private const int Steps = 60;
    private const double Risk = 1e-10;
    private const double LeastNormal = 2.2250738585072014e-308;

    /// <summary>||A||_2, to rounding, from all eigenvalues of the smaller of A A^T and A^T A.</summary>
    /// <param name="matrix">A [rows, columns], float32 or float64, on the CPU.</param>
    /// <exception cref="ArgumentException">Not a matrix, or it holds a value that is not finite.</exception>
    public static double Of(Tensor matrix)
    {
        TensorInput.CheckMatrix(matrix, nameof(matrix), "[rows, columns]");
        using var scope = NewDisposeScope();
        Tensor scaled = matrix.to(ScalarType.Float64), largest = scaled.abs().max();
        double scale = largest.item<double>();
        if (scale == 0) return 0;
        scaled = scaled.div(largest);
        Tensor gram = scaled.shape[0] <= scaled.shape[1] ? scaled.mm(scaled.t()) : scaled.t().mm(scaled);
        return scale * Math.Sqrt(Math.Max(0, linalg.eigvalsh(gram).max().item<double>()));
    }

    /// <summary>An upper bound of ||A||_2^2: exact to 1e-10 where a side of A has at most 256 entries, at most about 6 % above otherwise.</summary>
    /// <param name="matrix">A [rows, columns], float32 or float64, on the CPU.</param>
    /// <param name="seed">Of the random start of Lanczos's iteration; see <see cref="SquaredBound(ILinearMap, long)"/>. Default 0.</param>
    /// <returns>
    /// 0 for the zero matrix only: where the square is below the normal numbers of double, 2.2e-308, which is a bound still; infinity where it is above
    /// its range.
    /// </returns>
    /// <exception cref="ArgumentException">Not a matrix, or it holds a value that is not finite.</exception>
    public static double SquaredBound(Tensor matrix, long seed = 0)
    {
        TensorInput.CheckMatrix(matrix, nameof(matrix), "[rows, columns]");
        if (Math.Min(matrix.shape[0], matrix.shape[1]) <= Exact)
        {
            double norm = Of(matrix);
            return Above(norm > 0, norm * norm * (1 + 1e-10));
        }

        using var scope = NewDisposeScope();
        Tensor wide = matrix.shape[0] <= matrix.shape[1] ? matrix.to(ScalarType.Float64) : matrix.to(ScalarType.Float64).t();
        Tensor largest = wide.abs().max();
        double scale = largest.item<double>();
        if (scale == 0) return 0;
        wide = wide.div(largest).contiguous();
        return Above(true, Bound((int)wide.shape[0], seed, (v, into) =>
        {
            using var step = NewDisposeScope();
            Tensor image = wide.mv(wide.t().mv(tensor(v)));
            image.data<double>().CopyTo(into);
        }) * scale * scale);
    }

    /// <summary>
    /// An upper bound of ||M||_2^2 by 60 steps of Lanczos's iteration from a random start. Its largest Ritz value is below
    /// (1 - eps) ||M||^2 with a probability of at most 1.648 sqrt(n) exp(-sqrt(eps) (2 k - 1)) whatever the map (Kuczynski and Wozniakowski
    /// 1992, theorem 4.2); eps is chosen for a probability of 1e-10, about 0.05, and the Ritz value divided by 1 - eps.
    /// </summary>
    /// <param name="map">M.</param>
    /// <param name="seed">Of the random start. Default 0.</param>
    /// <returns>0 only for a map that sends every vector to zero, at least 2.2e-308 otherwise; infinity where the square is above the range of double.</returns>
    public static double SquaredBound(ILinearMap map, long seed = 0)
    {
        ArgumentNullException.ThrowIfNull(map);
        double[] image = new double[map.Outputs];
        double scale = 0;
        double bound = Bound(map.Inputs, seed, (v, into) =>
        {
            map.Apply(v, image);

            // A power of two that brings the first image near one: squares of numbers near 1e200 must not overflow on the way.
            if (scale == 0) scale = PowerOfTwoScale.ToOne(image);
            TensorPrimitives.Multiply(image, scale, image);
            map.Adjoint(image, into);
            TensorPrimitives.Multiply(into, scale, into);
        });
        return Above(bound > 0, bound / scale / scale);
    }

    // Below the normal numbers the square is zero or has lost its digits: the least normal number still lies above it.
    private static double Above(bool isPositive, double bound) => isPositive ? Math.Max(bound, LeastNormal) : bound;

    /// <summary>Bound of the largest eigenvalue of a symmetric positive semidefinite operator.</summary>
    private static double Bound(int n, long seed, Action<double[], double[]> apply)
    {
        var random = new SeededRandom(seed, 0x4C61);
        int steps = Math.Min(Steps, n);
        var basis = new List<double[]>(steps);
        double[] v = new double[n], diagonal = new double[steps], off = new double[steps];
        for (int i = 0; i < n; i++) v[i] = random.NextGaussian();
        TensorPrimitives.Divide(v, TensorPrimitives.Norm<double>(v), v);
        int k = 0;
        bool whole = false;
        while (k < steps && !whole)
        {
            basis.Add((double[])v.Clone());
            double[] next = new double[n];
            apply(v, next);
            diagonal[k] = TensorPrimitives.Dot<double>(v, next);

            // Against all earlier directions, twice: otherwise rounding brings copies of the first Ritz values back.
            for (int pass = 0; pass < 2; pass++)
            {
                foreach (double[] earlier in basis) TensorPrimitives.MultiplyAdd(earlier, -TensorPrimitives.Dot<double>(earlier, next), next, next);
            }

            off[k] = TensorPrimitives.Norm<double>(next);
            whole = k + 1 == n || off[k] <= 1e-12 * diagonal.Max();
            k++;
            if (!whole) TensorPrimitives.Divide(next, off[k - 1], v);
        }

        using var scope = NewDisposeScope();
        double[] rows = new double[k * k];
        for (int i = 0; i < k; i++)
        {
            rows[(i * k) + i] = diagonal[i];
            if (i + 1 < k) (rows[(i * k) + i + 1], rows[((i + 1) * k) + i]) = (off[i], off[i]);
        }

        double ritz = linalg.eigvalsh(tensor(rows, [k, k])).max().item<double>();
        if (whole) return ritz * (1 + 1e-10);
        double root = Math.Log(1.648 * Math.Sqrt(n) / Risk) / ((2 * k) - 1);
        return ritz / (1 - Math.Min(0.5, root * root));
    }
}
