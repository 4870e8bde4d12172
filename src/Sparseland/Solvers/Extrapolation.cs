using Sparseland.Tensors;

namespace Sparseland.Solvers;

/// <summary>
/// Anderson acceleration of coordinate descent (Bertrand and Massias 2021, algorithm 1, with the five differences they recommend): of the
/// last iterates the affine combination whose differences nearly cancel. On correlated atoms plain sweeps creep along one direction, and
/// this is what sees it. The caller keeps the combination only where it lowers the objective.
/// </summary>
/// <remarks>Correlations c = q - G a are affine in a, so the same combination of them belongs to the combined point: no product is needed.</remarks>
internal sealed class Extrapolation
{
    private const int Depth = 5;
    private readonly double[] _differences = new double[Depth * Depth];
    private readonly double[] _shares = new double[Depth];
    private double[] _points = [];
    private double[] _correlations = [];
    private int _length;
    private int _held;

    /// <summary>Forgets all iterates; the next ones have this many coefficients.</summary>
    public void Restart(int length)
    {
        (_length, _held) = (length, 0);
        if (_points.Length >= (Depth + 1) * length) return;
        _points = new double[(Depth + 1) * length];
        _correlations = new double[(Depth + 1) * length];
    }

    /// <summary>
    /// Takes an iterate. Every sixth time it gives a combination, which has replaced the first iterate it held, and begins anew; otherwise, and
    /// where the iterates do not determine one, it gives false.
    /// </summary>
    /// <param name="a">Coefficients.</param>
    /// <param name="c">Correlations.</param>
    /// <param name="point">The combined coefficients, valid until the next call.</param>
    /// <param name="correlations">The combined correlations.</param>
    public bool Take(ReadOnlySpan<double> a, ReadOnlySpan<double> c, out Span<double> point, out Span<double> correlations)
    {
        a.CopyTo(Row(_points, _held));
        c.CopyTo(Row(_correlations, _held));
        _held++;
        point = Row(_points, 0);
        correlations = Row(_correlations, 0);
        if (_held <= Depth) return false;
        _held = 0;
        if (!Shares()) return false;
        Combine(_points);
        Combine(_correlations);
        return true;
    }

    private Span<double> Row(double[] rows, int i) => rows.AsSpan(i * _length, _length);

    // The shares z of the points 1 .. Depth: z = (U^T U)^-1 1, divided by its sum, U the differences of neighbours.
    private bool Shares()
    {
        for (int i = 1; i <= Depth; i++)
        {
            for (int j = 1; j <= i; j++) _differences[((i - 1) * Depth) + j - 1] = Product(i, j);
        }

        double trace = 0, sum = 0;
        for (int i = 0; i < Depth; i++) trace += _differences[i * (Depth + 1)];
        if (!(trace > 0) || !double.IsFinite(trace)) return false;

        // Differences that are nearly parallel must not be divided by their rounding.
        for (int i = 0; i < Depth; i++)
        {
            _differences[i * (Depth + 1)] += 1e-13 * trace;
            _shares[i] = 1;
        }

        if (!Cholesky()) return false;
        foreach (double share in _shares) sum += share;
        if (!(sum > 0) || !double.IsFinite(sum)) return false;
        for (int i = 0; i < Depth; i++) _shares[i] /= sum;
        return true;
    }

    private double Product(int i, int j)
    {
        ReadOnlySpan<double> u = Row(_points, i), v = Row(_points, i - 1), x = Row(_points, j), y = Row(_points, j - 1);
        double sum = 0;
        for (int k = 0; k < u.Length; k++) sum += (u[k] - v[k]) * (x[k] - y[k]);
        return sum;
    }

    /// <summary>Solves in place; false where the matrix is singular to rounding.</summary>
    private bool Cholesky()
    {
        for (int i = 0; i < Depth; i++)
        {
            for (int j = 0; j <= i; j++)
            {
                double sum = _differences[(i * Depth) + j];
                for (int k = 0; k < j; k++) sum -= _differences[(i * Depth) + k] * _differences[(j * Depth) + k];
                if (i == j && !(sum > 0)) return false;
                _differences[(i * Depth) + j] = i == j ? Math.Sqrt(sum) : sum / _differences[j * (Depth + 1)];
            }
        }

        for (int i = 0; i < Depth; i++)
        {
            for (int k = 0; k < i; k++) _shares[i] -= _differences[(i * Depth) + k] * _shares[k];
            _shares[i] /= _differences[i * (Depth + 1)];
        }

        for (int i = Depth - 1; i >= 0; i--)
        {
            for (int k = i + 1; k < Depth; k++) _shares[i] -= _differences[(k * Depth) + i] * _shares[k];
            _shares[i] /= _differences[i * (Depth + 1)];
        }

        return true;
    }

    private void Combine(double[] rows)
    {
        Span<double> target = Row(rows, 0);
        target.Clear();
        for (int i = 0; i < Depth; i++) VectorMath.AddScaled(Row(rows, i + 1), _shares[i], target);
    }
}
