using System.Numerics.Tensors;
using Sparseland.Solvers;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Unmixing;

/// <summary>
/// For every pixel y the abundances that minimise ||y - M a||^2 over a >= 0, 1^T a = 1 (fully constrained least squares, Heinz and Chang 2001).
/// </summary>
/// <remarks>
/// Heinz and Chang append a row of large weights for the sum and meet it approximately. Here it is met exactly: with sum one,
/// y - M a = D a for the columns d_k = y - m_k, and a is the minimiser w of ||D w||^2 + (1^T w - 1)^2 over w >= 0, divided by its
/// sum. (For w = s a the least value over s is d/(1 + d) with d = ||D a||^2, which grows with d.) One non-negative problem per pixel.
/// </remarks>
public static class FullyConstrainedLeastSquares
{
    /// <summary>The abundances of all pixels.</summary>
    /// <param name="Y">[channels, pixels], float64, finite; negative values are allowed.</param>
    /// <param name="M">[channels, endmembers], float64, finite.</param>
    /// <param name="cancel">Checked before each pixel.</param>
    /// <returns>A [endmembers, pixels], not negative, columns of sum one. Endmembers that depend on others may be left at 0.</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or a value is not finite.</exception>
    public static Tensor Abundances(Tensor Y, Tensor M, CancellationToken cancel = default)
    {
        UnmixingInput.CheckMatrix(Y, nameof(Y), "[channels, pixels]", allowNegative: true);
        UnmixingInput.CheckMatrix(M, nameof(M), "[channels, endmembers]", allowNegative: true);
        UnmixingInput.CheckAgree(Y, M, null);
        int channels = (int)Y.shape[0], pixels = (int)Y.shape[1], endmembers = (int)M.shape[1];
        using Tensor Yt = Y.t(), Mt = M.t();
        double[] y = UnmixingInput.Doubles(Yt), m = UnmixingInput.Doubles(Mt), a = new double[endmembers * pixels];
        Parallel.For(0, pixels, new ParallelOptions { CancellationToken = cancel }, n =>
        {
            double[] solution = Pixel(y.AsSpan(n * channels, channels), m, endmembers);
            for (int k = 0; k < endmembers; k++) a[(k * pixels) + n] = solution[k];
        });
        return tensor(a).view(endmembers, pixels);
    }

    private static double[] Pixel(ReadOnlySpan<double> y, double[] m, int endmembers)
    {
        int channels = y.Length;
        double[] rest = new double[endmembers * channels], ones = new double[endmembers];
        double largest = 0;
        for (int k = 0; k < endmembers; k++)
        {
            Span<double> column = rest.AsSpan(k * channels, channels);
            TensorPrimitives.Subtract(y, m.AsSpan(k * channels, channels), column);
            largest = Math.Max(largest, TensorPrimitives.MaxMagnitude<double>(column));
        }

        // The scale of D does not change a; this one keeps D^T D within reach of the 1 that is added.
        double scale = largest > 0 ? 1 / (largest * Math.Sqrt(channels)) : 1;
        TensorPrimitives.Multiply(rest, scale, rest);
        double[,] gram = new double[endmembers, endmembers];
        for (int i = 0; i < endmembers; i++)
        {
            ones[i] = 1;
            for (int j = 0; j <= i; j++)
            {
                double product = TensorPrimitives.Dot<double>(rest.AsSpan(i * channels, channels), rest.AsSpan(j * channels, channels));
                gram[i, j] = gram[j, i] = 1 + product;
            }
        }

        double[] w = NonNegativeLeastSquares.SolveGram(gram, ones);
        TensorPrimitives.Divide(w, TensorPrimitives.Sum<double>(w), w);
        return w;
    }
}
