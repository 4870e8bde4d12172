using System.Diagnostics;
using System.Numerics.Tensors;
using Sparseland.Penalties;

namespace Sparseland.Solvers;

/// <summary>
/// Coordinate descent with a working set for w/2 ||x - D a||^2 + pen(a), w = 1 or 1/m: a_j &lt;- prox(a_j + d_j^T r/||d_j||^2) with step
/// 1/(w ||d_j||^2), coefficient by coefficient (Friedman, Hastie and Tibshirani 2010), group by group for the group penalties (Yuan and
/// Lin 2006). Only the coordinates that violate optimality most are worked on, on their Gram matrix, until their own gap is a part of the whole
/// one (Massias, Gramfort and Salmon 2018), with Anderson's extrapolation between sweeps (Bertrand and Massias 2021); the certificate is
/// taken over all of them.
/// </summary>
/// <remarks>
/// Convex penalties stop on the duality gap. The others stop where every coordinate is a fixed point of its own proximal step within
/// the tolerance: a stationary point, and coordinate-wise a global minimum; no certificate of the whole is possible. Duplicated atoms
/// share their weight in the order of the sweep; nothing becomes infinite. Memory grows with the square of the working set.
/// </remarks>
/// <param name="options">Tolerance and limits; an iteration is one sweep over the working set. Default: those of <see cref="SolverOptions"/>.</param>
/// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
public sealed class CoordinateDescent(SolverOptions? options = null) : ISolver
{
    private const int SmallestWorkingSet = 64;

    // The gap of the working set, as a share of the whole one, at which it is time to look at the other coordinates (celer's 0.3).
    private const double InnerShare = 0.3;

    // Sweeps between two looks at the gap of the working set, and fewest sweeps before a look at all coordinates for their cost's sake.
    private const int CheckEvery = 10;
    private const int LeastSweeps = 200;

    /// <summary>Tolerance and limits.</summary>
    public SolverOptions Options { get; } = SolverOptions.Checked(options);

    /// <inheritdoc/>
    public string Name => "coordinate descent";

    /// <inheritdoc/>
    public SolveResult Solve(
        IDataFit fit,
        IPenalty penalty,
        ReadOnlySpan<double> initial = default,
        IProgress<ProgressReport>? progress = null,
        CancellationToken cancel = default)
    {
        double[] a = SolverInput.Start(fit, penalty, initial);
        if (fit is not LeastSquares { Map: DenseMap map } squares)
            throw new ArgumentException("Coordinate descent needs LeastSquares over a DenseMap; use ProximalGradient for other data fits.", nameof(fit));
        return new Run(squares, map, a, Options).Solve(penalty, progress, cancel);
    }

    /// <summary>
    /// A run that goes on from one penalty to the next: it keeps coefficients, working set, Gram matrix and what is known of the correlations.
    /// </summary>
    internal Run? Start(IDataFit fit) => fit is LeastSquares { Map: DenseMap map } squares ? new Run(squares, map, new double[map.Inputs], Options) : null;

    internal sealed class Run(LeastSquares fit, DenseMap map, double[] a, SolverOptions options)
    {
        private readonly double _weight = fit.Curvature;
        private readonly double[] _fitted = new double[map.Outputs];
        private readonly double[] _residual = new double[map.Outputs];
        private readonly double[] _correlations = new double[map.Inputs];
        private readonly double[] _violations = new double[map.Inputs];
        private readonly WorkingSet _set = new(map);
        private readonly CorrelationBounds _bounds = new(map);
        private readonly InnerProblem _inner = new(fit, map);
        private double _gradientScale = double.NaN;

        /// <summary>Minimizes with this penalty, from where the run stands.</summary>
        public SolveResult Solve(IPenalty penalty, IProgress<ProgressReport>? progress, CancellationToken cancel)
        {
            long start = Stopwatch.GetTimestamp();
            var trace = new List<SolvePoint>();
            bool hasGap = Certificate.HasGap(penalty);
            IBlocks blocks = Blocks(map, penalty, fit.Curvature);
            int sweeps = 0;
            double limit = double.NaN, gradientScale = 0;
            while (true)
            {
                cancel.ThrowIfCancellationRequested();
                map.Apply(a, _fitted);
                TensorPrimitives.Subtract(fit.Target, _fitted, _residual);
                if (hasGap && !double.IsNaN(blocks.ZeroUpTo(0))) _bounds.Update(_residual, blocks.ZeroUpTo, j => a[j] != 0 || _set.Contains(j), _correlations);
                else map.Adjoint(_residual, _correlations);
                if (double.IsNaN(limit))
                {
                    gradientScale = hasGap ? _weight * Math.Sqrt(map.SquaredNorms.Max()) * Math.Sqrt(fit.SquaredNorm) : GradientScale();
                    limit = options.Tolerance * (hasGap ? _weight * fit.SquaredNorm : gradientScale);
                }

                double worst = blocks.Violations(a, _correlations, _violations);
                double certificate = hasGap ? Gap(penalty) : worst;
                trace.Add(new SolvePoint(sweeps, fit.Value(_fitted) + penalty.Value<double>(a), certificate, Stopwatch.GetElapsedTime(start).TotalSeconds));
                bool done = certificate <= limit;
                if (done || sweeps >= options.MaxIterations)
                {
                    return new SolveResult(
                        (double[])a.Clone(), trace, hasGap ? certificate : null, hasGap ? null : certificate, sweeps, done ? StopReason.Converged : StopReason.IterationLimit);
                }

                progress?.Report(new ProgressReport(sweeps, options.MaxIterations, $"{penalty.Name}: {_set.Count} coordinates, certificate {certificate:E1}"));
                bool grown = Extend(blocks);
                _set.Load(a, _correlations);
                if (hasGap) _inner.Restart(_set, penalty, _residual);

                // Well below what the outer look still sees, so that the next one tells of new coordinates, not of unfinished work. Below
                // rounding there is nothing to gain. On correlated atoms steps are small long before the gap is: so the gap decides too,
                // and a set that is hard to solve is left for a larger one as soon as its sweeps have cost some looks.
                double target = Math.Max((hasGap ? 1e-3 : 0.1) * worst, 1e-15 * gradientScale);
                double wanted = Math.Max(grown ? InnerShare * certificate : 0, 0.5 * limit);
                long most = grown ? Math.Max(LeastSweeps, 8L * map.Inputs * map.Outputs / ((long)_set.Count * _set.Count)) : long.MaxValue;
                for (int sweep = 1; sweeps < options.MaxIterations && sweep <= most; sweep++)
                {
                    sweeps++;
                    if (sweep % CheckEvery == 0) cancel.ThrowIfCancellationRequested();
                    if (blocks.Sweep(_set) <= target) break;
                    if (!hasGap) continue;
                    _inner.Accelerate();
                    if (sweep % CheckEvery == 0 && _inner.Gap() <= wanted) break;
                }

                _set.Store(a);
            }
        }

        private double GradientScale()
        {
            if (!double.IsNaN(_gradientScale)) return _gradientScale;
            double[] gradient = new double[map.Inputs];
            map.Adjoint(fit.Target, gradient);
            return _gradientScale = _weight * Math.Abs(TensorPrimitives.MaxMagnitude<double>(gradient));
        }

        private double Gap(IPenalty penalty) => Certificate.DualGap(
            penalty, a, _correlations, TensorPrimitives.SumOfSquares<double>(_residual), TensorPrimitives.Dot(fit.Target, _residual), _weight);

        /// <summary>Adds the support and the worst violators, as many again as the support. Whether there were any.</summary>
        private bool Extend(IBlocks blocks)
        {
            int support = 0;
            for (int j = 0; j < a.Length; j++)
            {
                if (a[j] == 0) continue;
                support++;
                _violations[j] = double.PositiveInfinity;
            }

            int room = support + Math.Max(SmallestWorkingSet, support);
            int[] candidates = [.. Enumerable.Range(0, a.Length).Where(j => _violations[j] > 0 && (a[j] != 0 || !_set.Contains(j)))];
            if (candidates.Length > room)
            {
                Array.Sort(candidates, (i, j) => _violations[j].CompareTo(_violations[i]) is not 0 and int order ? order : i.CompareTo(j));
                Array.Resize(ref candidates, room);
            }

            int before = _set.Count;
            _set.Add(blocks.Whole(candidates));
            return _set.Count > before;
        }

        private static IBlocks Blocks(DenseMap map, IPenalty penalty, double weight)
        {
            IPenalty inner = penalty is NonNegative constrained ? constrained.Inner : penalty;
            if (inner is IGroupPenalty groups) return new GroupBlocks(map, groups, penalty, weight);
            if (CoordinatePenalties.TryRun(penalty, new Make(map, penalty, weight), out IBlocks? blocks)) return blocks!;
            throw new ArgumentException($"The {penalty.Name} couples its coefficients; use ProximalGradient.", nameof(penalty));
        }

        private sealed class Make(DenseMap map, IPenalty penalty, double weight) : ICoordinateWork<IBlocks>
        {
            public IBlocks Run<TPenalty>(TPenalty coordinate)
                where TPenalty : struct, ICoordinatePenalty => new Coordinates<TPenalty>(map, penalty, coordinate, weight);
        }
    }
}
