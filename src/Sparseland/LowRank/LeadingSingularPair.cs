using Sparseland.Tensors;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Sparseland.LowRank;

/// <summary>
/// The largest singular value of a small matrix with its vectors, to the last digits that float64 has, by Lanczos steps on M^T M (Golub and Kahan) that are kept orthogonal to all before. A full
/// decomposition finds all values to give one; plain power steps come near at the ratio of two neighbouring values, which for random matrices is close to 1.
/// </summary>
/// <remarks>At most as many steps as the shorter side, after which the result is exact for any spectrum. Not for two threads at a time.</remarks>
internal sealed class LeadingSingularPair
{
    private const int FirstLook = 10, LookEvery = 6;
    private const double Rounding = 4.44e-16;
    private readonly int _rows, _columns, _most;
    private readonly double[] _start, _image, _next, _alpha, _beta, _pivot, _ritz;
    private readonly List<double[]> _basis = [];

    public LeadingSingularPair(int rows, int columns)
    {
        (_rows, _columns, _most) = (rows, columns, Math.Min(rows, columns));
        (_start, _image, _next) = (new double[rows], new double[rows], new double[columns]);
        (_alpha, _beta, _pivot, _ritz) = (new double[_most], new double[_most], new double[_most], new double[_most]);
        var random = new SeededRandom(1, rows);
        for (int i = 0; i < rows; i++) _start[i] = random.NextGaussian();
    }

    /// <summary>sigma, u and v of a matrix; 0 and zeros for a matrix of zeros. u = M v / sigma, so that what is left, M - sigma u v^T, is orthogonal to the pair also before the last digit is right.</summary>
    /// <param name="matrix">[rows, columns], row after row, squares in the range of float64.</param>
    /// <param name="u">[rows].</param>
    /// <param name="v">[columns].</param>
    public double Of(ReadOnlySpan<double> matrix, Span<double> u, Span<double> v)
    {
        if (!Start(matrix))
        {
            u.Clear();
            v.Clear();
            return 0;
        }

        int size = Steps(matrix);
        v.Clear();
        for (int i = 0; i < size; i++) TensorPrimitives.MultiplyAdd(_basis[i], _ritz[i], v, v);
        Times(matrix, v, u);
        // One power step takes off what rounding has left of the neighbours.
        TransposedTimes(matrix, u, v);
        TensorPrimitives.Divide(v, TensorPrimitives.Norm<double>(v), v);
        Times(matrix, v, u);
        double sigma = TensorPrimitives.Norm<double>(u);
        TensorPrimitives.Divide(u, sigma, u);
        return sigma;
    }

    private bool Start(ReadOnlySpan<double> matrix)
    {
        Span<double> first = Basis(0);
        TransposedTimes(matrix, _start, first);
        double norm = TensorPrimitives.Norm<double>(first);
        if (norm == 0) return false;
        TensorPrimitives.Divide(first, norm, first);
        return true;
    }

    /// <summary>Lanczos steps until the largest value stands; gives how many, with the coefficients of its vector.</summary>
    private int Steps(ReadOnlySpan<double> matrix)
    {
        double lowest = 0;
        for (int step = 0; ; step++)
        {
            Span<double> q = Basis(step);
            Times(matrix, q, _image);
            _alpha[step] = TensorPrimitives.SumOfSquares<double>(_image);
            TransposedTimes(matrix, _image, _next);
            double norm = Orthogonalise(step + 1);
            int size = step + 1;
            lowest = Math.Max(lowest, _alpha[step]);
            bool ended = size == _most || norm <= Rounding * lowest;
            if (ended || (size >= FirstLook && (size - FirstLook) % LookEvery == 0))
            {
                lowest = Ritz(size, lowest);
                if (ended || norm * Math.Abs(_ritz[size - 1]) <= Rounding / 4 * lowest) return size;
            }

            _beta[step] = norm;
            TensorPrimitives.Divide(_next, norm, Basis(step + 1));
        }
    }

    /// <summary>Takes the directions of the basis out of the next vector; twice where much was taken, since then rounding is what is left. Gives the norm.</summary>
    private double Orthogonalise(int size)
    {
        double before = TensorPrimitives.Norm<double>(_next);
        while (true)
        {
            for (int i = size - 1; i >= 0; i--) TensorPrimitives.MultiplyAdd(_basis[i], -TensorPrimitives.Dot<double>(_basis[i], _next), _next, _next);
            double after = TensorPrimitives.Norm<double>(_next);
            if (after > 0.7 * before || after <= Rounding * _alpha[0] || after == 0) return after;
            before = after;
        }
    }

    /// <summary>The largest eigenvalue of the tridiagonal matrix by bisection, and its vector by inverse iteration from above, where all pivots are positive.</summary>
    private double Ritz(int size, double low)
    {
        double high = 0;
        for (int i = 0; i < size; i++) high = Math.Max(high, _alpha[i] + (i > 0 ? _beta[i - 1] : 0) + (i < size - 1 ? _beta[i] : 0));
        high *= 1 + 1e-14;
        while (high - low > Rounding / 4 * high)
        {
            double middle = low + ((high - low) / 2);
            if (middle <= low || middle >= high) break;
            if (IsAbove(middle, size)) high = middle;
            else low = middle;
        }

        // Off-diagonals are positive, so that the vector wanted has no negative entry and a start of ones a part in it.
        Span<double> x = _ritz.AsSpan(0, size);
        x.Fill(1);
        Pivots(high, size);
        for (int pass = 0; pass < 3; pass++)
        {
            for (int i = 1; i < size; i++) x[i] += _beta[i - 1] / _pivot[i - 1] * x[i - 1];
            x[size - 1] /= _pivot[size - 1];
            for (int i = size - 2; i >= 0; i--) x[i] = (x[i] + (_beta[i] * x[i + 1])) / _pivot[i];
            TensorPrimitives.Divide(x, PowerOfTwoScale.Norm(x), x);
        }

        return high;
    }

    private bool IsAbove(double value, int size)
    {
        double pivot = value - _alpha[0];
        for (int i = 1; i < size && pivot > 0; i++) pivot = value - _alpha[i] - (_beta[i - 1] * _beta[i - 1] / pivot);
        return pivot > 0;
    }

    private void Pivots(double value, int size)
    {
        // At the root itself a pivot may come out as nothing: as small as a rounding serves as well.
        double least = 1e-17 * value;
        for (int i = 0; i < size; i++)
        {
            double pivot = value - _alpha[i] - (i > 0 ? _beta[i - 1] * _beta[i - 1] / _pivot[i - 1] : 0);
            _pivot[i] = Math.Max(pivot, least);
        }
    }

    private Span<double> Basis(int at)
    {
        if (at == _basis.Count) _basis.Add(new double[_columns]);
        return _basis[at];
    }

    private void Times(ReadOnlySpan<double> matrix, ReadOnlySpan<double> v, Span<double> image)
    {
        for (int i = 0; i < _rows; i++) image[i] = TensorPrimitives.Dot(matrix.Slice(i * _columns, _columns), v);
    }

    private void TransposedTimes(ReadOnlySpan<double> matrix, ReadOnlySpan<double> u, Span<double> result)
    {
        result.Clear();
        for (int i = 0; i < _rows; i++) TensorPrimitives.MultiplyAdd(matrix.Slice(i * _columns, _columns), u[i], result, result);
    }
}
