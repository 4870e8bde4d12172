using System.Numerics.Tensors;
using Sparseland.Penalties;

namespace Sparseland.Solvers;

/// <summary>The problem of a working set alone, as coordinate descent sees it between two looks at all coordinates: its gap, and Anderson's extrapolation.</summary>
internal sealed class InnerProblem(LeastSquares fit, DenseMap map)
{
    // Of all coordinates, zero outside the set: a run has one set, which only grows.
    private readonly double[] _whole = new double[map.Inputs];
    private readonly double[] _pulls = new double[map.Inputs];
    private readonly Extrapolation _extrapolation = new();
    private double[] _startA = [];
    private double[] _startC = [];
    private double _residualSquared;
    private double _targetDotResidual;
    private WorkingSet? _set;
    private IPenalty? _penalty;

    /// <summary>Begins with the coefficients and correlations that the set has now.</summary>
    /// <param name="set">Holds the support.</param>
    /// <param name="penalty">pen, convex.</param>
    /// <param name="residual">r of the set's coefficients.</param>
    public void Restart(WorkingSet set, IPenalty penalty, double[] residual)
    {
        (_set, _penalty) = (set, penalty);
        if (_startA.Length < set.Count) (_startA, _startC) = (new double[2 * set.Count], new double[2 * set.Count]);
        set.Coefficients.AsSpan(0, set.Count).CopyTo(_startA);
        set.Correlations.AsSpan(0, set.Count).CopyTo(_startC);
        _residualSquared = TensorPrimitives.SumOfSquares<double>(residual);
        _targetDotResidual = TensorPrimitives.Dot(fit.Target, residual);
        _extrapolation.Restart(set.Count);
    }

    /// <summary>The duality gap of the set's own problem.</summary>
    public double Gap()
    {
        // With d = a - a0 and G d = c0 - c: ||r||^2 = ||r0||^2 - d^T (c0 + c) and x^T r = x^T r0 - d^T c0 - a0^T (c0 - c).
        WorkingSet set = _set!;
        double squared = _residualSquared, dot = _targetDotResidual;
        for (int i = 0; i < set.Count; i++)
        {
            double c = set.Correlations[i], moved = set.Coefficients[i] - _startA[i];
            squared -= moved * (_startC[i] + c);
            dot -= (moved * _startC[i]) + (_startA[i] * (_startC[i] - c));
            (_whole[set[i]], _pulls[set[i]]) = (set.Coefficients[i], c);
        }

        return Certificate.DualGap(_penalty!, _whole, _pulls, Math.Max(0, squared), dot, fit.Curvature);
    }

    /// <summary>Takes the set's iterate; now and then moves it to a combination of the last ones, where that lowers the objective.</summary>
    public void Accelerate()
    {
        WorkingSet set = _set!;
        Span<double> a = set.Coefficients.AsSpan(0, set.Count), c = set.Correlations.AsSpan(0, set.Count);
        if (!_extrapolation.Take(a, c, out Span<double> point, out Span<double> correlations)) return;
        double before = Value(a), after = Value(point), change = 0;

        // The squares change by -d^T (c + c')/2, d = a' - a: no large numbers that cancel.
        for (int i = 0; i < a.Length; i++) change -= (point[i] - a[i]) * (c[i] + correlations[i]) / 2;
        if (!(fit.Curvature * change + after - before < 0)) return;
        point.CopyTo(a);
        correlations.CopyTo(c);

        double Value(ReadOnlySpan<double> coefficients)
        {
            for (int i = 0; i < coefficients.Length; i++) _whole[set[i]] = coefficients[i];
            return _penalty!.Value<double>(_whole);
        }
    }
}
