using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Solvers;

/// <summary>
/// Largest singular value by power iteration on A^T A. Keeps its vector, so that the norm of a slowly changing matrix (a
/// dictionary that is being learned) costs a few products.
/// </summary>
public sealed class SpectralNorm : IDisposable
{
    private Tensor? _vector;

    /// <summary>||A||_2, from below, to the relative tolerance.</summary>
    /// <param name="matrix">float32 or float64 matrix [rows, columns].</param>
    /// <param name="tolerance">Relative change of the estimate at which the iteration stops.</param>
    /// <param name="maxIterations">Limit; when reached, the estimate so far is returned, still a lower bound.</param>
    /// <exception cref="ArgumentException">Not a matrix, or it holds a value that is not finite.</exception>
    public double Of(Tensor matrix, double tolerance = 1e-6, int maxIterations = 500)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        if (matrix.dim() != 2) throw new ArgumentException($"A spectral norm needs a matrix, not [{string.Join(", ", matrix.shape)}].", nameof(matrix));
        using var scope = NewDisposeScope();
        long columns = matrix.shape[1];
        Tensor v = _vector is { } warm && warm.shape[0] == columns && warm.dtype == matrix.dtype ? warm : Start(columns, matrix.dtype);
        Tensor transposed = matrix.t();
        double norm = 0;
        for (int i = 0; i < maxIterations; i++)
        {
            Tensor image = matrix.mv(v);
            double next = image.norm().to(ScalarType.Float64).item<double>();
            if (!double.IsFinite(next)) throw new ArgumentException("The matrix holds a value that is not finite.", nameof(matrix));
            Tensor back = transposed.mv(image);
            Tensor length = back.norm();
            if (length.to(ScalarType.Float64).item<double>() == 0) return next;
            v = back.div_(length);
            bool settled = Math.Abs(next - norm) <= tolerance * next;
            norm = Math.Max(norm, next);
            if (settled && i > 0) break;
        }

        if (!ReferenceEquals(v, _vector))
        {
            _vector?.Dispose();
            _vector = v.DetachFromDisposeScope();
        }

        return norm;
    }

    /// <inheritdoc/>
    public void Dispose() => _vector?.Dispose();

    /// <summary>A fixed direction without symmetry: no usual matrix has it orthogonal to its first singular vector.</summary>
    private static Tensor Start(long columns, ScalarType type)
    {
        double[] values = new double[columns];
        double sum = 0;
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = 1 + 0.5 * Math.Sin(12.9898 * (i + 1));
            if ((i * 7919L % 13) < 6) values[i] = -values[i];
            sum += values[i] * values[i];
        }

        return tensor(values, dtype: type).div_(Math.Sqrt(sum));
    }
}
