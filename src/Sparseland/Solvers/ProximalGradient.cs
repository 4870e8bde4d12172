using System.Diagnostics;
using System.Numerics.Tensors;
using Sparseland.Penalties;
using Sparseland.Tensors;

namespace Sparseland.Solvers;

/// <summary>How <see cref="ProximalGradient"/> moves.</summary>
public enum Acceleration
{
    /// <summary>a &lt;- prox(a - f'(a)/L): ISTA (Daubechies, Defrise and De Mol 2004).</summary>
    None,

    /// <summary>FISTA (Beck and Teboulle 2009): momentum t' = (1 + sqrt(1 + 4 t^2))/2.</summary>
    Fista,

    /// <summary>FISTA whose momentum starts again whenever the objective rises (O'Donoghue and Candes 2015).</summary>
    FistaRestart,
}

/// <summary>
/// Proximal gradient for any data fit and any penalty: minimizes f(a) + pen(a) by steps of length 1/L, L the data fit's curvature
/// times ||M||_2^2.
/// </summary>
/// <remarks>
/// For a penalty that is not convex the plain iteration still never raises the objective; a start at zero may stay there (hard
/// thresholds), so start from a lasso solution. Momentum is refused for such penalties.
/// </remarks>
/// <param name="acceleration">How to move. Default <see cref="Acceleration.FistaRestart"/>.</param>
/// <param name="options">Tolerance and limits. Default: those of <see cref="SolverOptions"/>.</param>
/// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
public sealed class ProximalGradient(Acceleration acceleration = Acceleration.FistaRestart, SolverOptions? options = null) : ISolver
{
    /// <summary>How it moves.</summary>
    public Acceleration Acceleration { get; } = Enum.IsDefined(acceleration)
        ? acceleration
        : throw new ArgumentOutOfRangeException(nameof(acceleration), acceleration, "No such acceleration.");

    /// <summary>Tolerance and limits.</summary>
    public SolverOptions Options { get; } = SolverOptions.Checked(options);

    /// <inheritdoc/>
    public string Name => Acceleration switch { Acceleration.None => "ISTA", Acceleration.Fista => "FISTA", _ => "FISTA, restarted" };

    /// <summary>L of the step 1/L: curvature times a bound of ||M||_2^2, see <see cref="SpectralNorm.SquaredBound(ILinearMap, long)"/>.</summary>
    /// <param name="fit">The data fit.</param>
    public static double Lipschitz(IDataFit fit)
    {
        ArgumentNullException.ThrowIfNull(fit);
        return SpectralNorm.SquaredBound(fit.Map) * fit.Curvature;
    }

    /// <inheritdoc/>
    public SolveResult Solve(
        IDataFit fit,
        IPenalty penalty,
        ReadOnlySpan<double> initial = default,
        IProgress<ProgressReport>? progress = null,
        CancellationToken cancel = default)
    {
        double[] a = SolverInput.Start(fit, penalty, initial);
        if (Acceleration != Acceleration.None && !penalty.IsConvex)
            throw new ArgumentException($"Momentum needs a convex penalty; {penalty.Name} is not. Use Acceleration.None.", nameof(penalty));
        double lipschitz = Lipschitz(fit), t = 1;
        if (!(lipschitz > 0)) throw new ArgumentException("The map of the data fit sends every vector to zero.", nameof(fit));
        if (!double.IsFinite(lipschitz) || lipschitz < 1e-290)
            throw new ArgumentException($"||M||^2 is {lipschitz:G3}: steps of 1/||M||^2 leave the range of double. Scale the map and the data.", nameof(fit));
        var look = new Looks(fit, penalty, lipschitz, Options);
        int n = a.Length, m = fit.Map.Outputs;
        double[] z = new double[m], extrapolatedZ = new double[m], derivative = new double[m], gradient = new double[n];
        double[] next = new double[n], nextZ = new double[m], extrapolated = (double[])a.Clone();
        fit.Map.Apply(a, z);
        z.CopyTo(extrapolatedZ, 0);
        double objective = fit.Value(z) + penalty.Value<double>(a);
        for (int iteration = 0; ; iteration++)
        {
            bool last = iteration == Options.MaxIterations;
            if (iteration % Options.CheckEvery == 0 || last)
            {
                cancel.ThrowIfCancellationRequested();
                if (look.Take(iteration, a, z) || last) return look.Result(a, iteration);
                progress?.Report(new ProgressReport(iteration, Options.MaxIterations, $"{Name}: certificate {look.Last.Certificate:E1}"));
            }

            fit.Derivative(extrapolatedZ, derivative);
            fit.Map.Adjoint(derivative, gradient);
            TensorPrimitives.MultiplyAdd(gradient, -1 / lipschitz, extrapolated, next);
            penalty.Prox<double>(next, 1 / lipschitz, next);
            fit.Map.Apply(next, nextZ);
            double reached = fit.Value(nextZ) + penalty.Value<double>(next);
            if (!double.IsFinite(reached)) throw new DivergenceException($"{Name} left the finite numbers after {iteration + 1} iterations with L = {lipschitz:G6}.");
            if (Acceleration == Acceleration.FistaRestart && reached > objective && t > 1)
            {
                // The step with momentum went up: forget the momentum and step again from where we were.
                t = 1;
                a.CopyTo(extrapolated, 0);
                z.CopyTo(extrapolatedZ, 0);
                continue;
            }

            double grown = Acceleration == Acceleration.None ? 1 : (1 + Math.Sqrt(1 + 4 * t * t)) / 2;
            double momentum = (t - 1) / grown;
            Extrapolate(a, next, momentum, extrapolated);
            Extrapolate(z, nextZ, momentum, extrapolatedZ);
            (a, next) = (next, a);
            (z, nextZ) = (nextZ, z);
            (t, objective) = (grown, reached);
        }
    }

    /// <summary>result = to + momentum (to - from).</summary>
    private static void Extrapolate(double[] from, double[] to, double momentum, double[] result)
    {
        if (momentum == 0)
        {
            to.CopyTo(result, 0);
            return;
        }

        TensorPrimitives.Subtract<double>(to, from, result);
        TensorPrimitives.MultiplyAdd(result, momentum, to, result);
    }

    /// <summary>The certificate at the current point, and its history.</summary>
    private sealed class Looks(IDataFit fit, IPenalty penalty, double lipschitz, SolverOptions options)
    {
        private readonly long _start = Stopwatch.GetTimestamp();
        private readonly List<SolvePoint> _trace = [];
        private readonly double[] _derivative = new double[fit.Map.Outputs];
        private readonly double[] _gradient = new double[fit.Map.Inputs];
        private readonly LeastSquares? _squares = Certificate.HasGap(penalty) ? fit as LeastSquares : null;
        private double _scale = double.NaN;
        private bool _done;

        public SolvePoint Last => _trace[^1];

        public bool Take(int iteration, double[] a, double[] z)
        {
            if (double.IsNaN(_scale)) _scale = Scale();
            double objective = fit.Value(z) + penalty.Value<double>(a), certificate;
            fit.Derivative(z, _derivative);
            fit.Map.Adjoint(_derivative, _gradient);
            if (_squares is not null)
            {
                // derivative = -w r, gradient = -w M^T r.
                double w = fit.Curvature;
                double residualSquared = TensorPrimitives.SumOfSquares<double>(_derivative) / (w * w);
                double targetDotResidual = -TensorPrimitives.Dot(_squares.Target, _derivative) / w;
                TensorPrimitives.Multiply(_gradient, -1 / w, _gradient);
                certificate = Certificate.DualGap(penalty, a, _gradient, residualSquared, targetDotResidual, w);
            }
            else
            {
                certificate = lipschitz * Optimality.FixedPointResidual<double>(penalty, a, _gradient, 1 / lipschitz);
            }

            _trace.Add(new SolvePoint(iteration, objective, certificate, Stopwatch.GetElapsedTime(_start).TotalSeconds));
            return _done = certificate <= options.Tolerance * _scale;
        }

        public SolveResult Result(double[] a, int iterations) => new(
            a, _trace, _squares is null ? null : Last.Certificate, _squares is null ? Last.Certificate : null, iterations,
            _done ? StopReason.Converged : StopReason.IterationLimit);

        private double Scale()
        {
            if (_squares is not null) return _squares.SquaredNorm * fit.Curvature;
            double[] zero = new double[fit.Map.Outputs];
            fit.Derivative(zero, _derivative);
            fit.Map.Adjoint(_derivative, _gradient);
            return Math.Abs(TensorPrimitives.MaxMagnitude<double>(_gradient));
        }
    }
}
