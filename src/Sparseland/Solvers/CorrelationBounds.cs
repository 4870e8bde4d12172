using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using Sparseland.Tensors;

namespace Sparseland.Solvers;

/// <summary>
/// Correlations M^T r of all columns, computed exactly only where they could matter. Against a reference residual r0 with known
/// correlations, |d_j^T r| &lt;= s |d_j^T r0| + ||d_j|| ||r - s r0|| for every s; the best s is r^T r0/||r0||^2. Where that stays below what
/// keeps the coefficient at zero, the column need not be read. Along a path of strengths the residual mostly shrinks in its own
/// direction, so one reference serves many strengths (the idea of the gap-safe sphere tests, Fercoq, Gramfort and Salmon 2015, applied to
/// the residual itself).
/// </summary>
internal sealed class CorrelationBounds(DenseMap map)
{
    // A product with the whole matrix, in order and on all threads, costs less than a third of its columns picked one by one.
    private const double PickedShare = 0.3;
    private readonly double[] _reference = new double[map.Outputs];
    private readonly double[] _known = new double[map.Inputs];
    private readonly double[] _difference = new double[map.Outputs];
    private readonly double[] _norms = [.. map.SquaredNorms.Select(Math.Sqrt)];
    private readonly int[] _picked = new int[map.Inputs];
    private double _referenceSquared;

    /// <summary>Every correlation exactly; the residual becomes the reference.</summary>
    public void Whole(double[] residual, double[] correlations)
    {
        map.Adjoint(residual, correlations);
        residual.CopyTo(_reference, 0);
        correlations.CopyTo(_known, 0);
        _referenceSquared = TensorPrimitives.SumOfSquares<double>(residual);
    }

    /// <summary>
    /// Correlations that are exact where needed: for the members, and wherever the bound exceeds the limit. The others are replaced by
    /// s d_j^T r0, whose magnitude, like that of the true one, does not exceed the limit.
    /// </summary>
    /// <param name="residual">r [outputs].</param>
    /// <param name="limits">Largest |d_j^T r| that decides nothing, for each column.</param>
    /// <param name="isMember">Columns that are always computed.</param>
    /// <param name="correlations">Receives [inputs].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Update(double[] residual, Func<int, double> limits, Func<int, bool> isMember, double[] correlations)
    {
        if (_referenceSquared == 0)
        {
            Whole(residual, correlations);
            return;
        }

        double scale = TensorPrimitives.Dot<double>(residual, _reference) / _referenceSquared;
        TensorPrimitives.MultiplyAdd(_reference, -scale, residual, _difference);

        // A little more than the distance: the dot products that the bound is compared with are rounded.
        double distance = TensorPrimitives.Norm<double>(_difference) + (1e-13 * TensorPrimitives.Norm<double>(residual));
        int picked = 0;
        for (int j = 0; j < correlations.Length; j++)
        {
            double estimate = scale * _known[j];
            correlations[j] = estimate;
            if (Math.Abs(estimate) + (_norms[j] * distance) > limits(j) || isMember(j)) _picked[picked++] = j;
        }

        if (picked > PickedShare * correlations.Length)
        {
            Whole(residual, correlations);
            return;
        }

        void Exact(int i) => correlations[_picked[i]] = map.Dot(_picked[i], residual);
        if ((long)picked * residual.Length < 1 << 18)
        {
            for (int i = 0; i < picked; i++) Exact(i);
        }
        else
        {
            Pieces.Each(picked, i => Exact((int)i));
        }
    }
}
