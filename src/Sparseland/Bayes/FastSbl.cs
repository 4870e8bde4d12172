using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Sparseland.Bayes;

/// <summary>
/// Fast marginal likelihood maximisation (Tipping and Faul 2003) for real data: starts from the empty model and takes, in every action,
/// the one coefficient whose best prior variance raises the evidence most: add it, estimate it anew, or delete it.
/// </summary>
/// <remarks>
/// With S_i = phi_i^T C^-1 phi_i and Q_i = phi_i^T C^-1 y, what the rest of the model says about coefficient i is s = S/(1 - gamma S),
/// q = Q/(1 - gamma S). The cost as a function of its variance alone is log(1 + g s) - q^2 g/(1 + g s), smallest at g = (q^2 - s)/s^2 or,
/// if that is negative, at 0: one formula for all three actions. C changes by a rank-one term, so S and Q follow in O(m n), and C^-1 in
/// O(m^2). Several snapshots share gamma, with the mean of q^2. Of equal columns only one enters the model: with it at
/// its best variance, its twins have q^2 = s and gain nothing.
/// </remarks>
public static class FastSbl
{
    /// <summary>Learns the prior variances and returns the posterior.</summary>
    /// <param name="Phi">[measurements, coefficients], float64, no zero column.</param>
    /// <param name="y">[measurements] or [measurements, snapshots], float64.</param>
    /// <param name="options">Defaults: noise learned (never below <see cref="NoiseEstimate"/>), stop at a gain of 1e-9.</param>
    /// <param name="progress">Reported with each computation from scratch.</param>
    /// <param name="cancel">Checked before each action.</param>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit; complex data.</exception>
    /// <exception cref="InvalidOperationException">The noise variance is below the rounding of the covariance of the measurements.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static SblResult Recover(
        Tensor Phi, Tensor y, FastSblOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        options ??= new();
        options.Validate();
        BayesInput.CheckSystem(Phi, y);
        if (Phi.dtype != ScalarType.Float64)
            throw new ArgumentException($"Phi is {Phi.dtype}; the fast algorithm is for Float64. Use EmSbl for complex data.", nameof(Phi));
        using var scope = NewDisposeScope();
        BayesUnits units = BayesUnits.Of(Phi, y);
        return Iterate(units.OfPhi(Phi), units.OfY(y), options with { Noise = units.Of(options.Noise) }, progress, cancel).InUnits(units);
    }

    private static SblResult Iterate(Tensor Phi, Tensor y, FastSblOptions options, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        (NoiseEstimate? estimate, double floor) = NoiseEstimate.FloorOf(options.Noise, y, () => NoiseEstimate.Pursue(Phi, y, cancel));
        var state = new State(Phi, y, Math.Max(BayesInput.StartOf(options.Noise, y), floor));
        var actions = new List<FastSblAction>();
        var cost = new List<double> { state.Cost };
        StopReason reason = StopReason.IterationLimit;

        // y = 0 says nothing of the noise: its start stays.
        bool noiseIsSettled = !options.Noise.IsLearned || floor == 0;

        // Updates of the noise are counted too: a variance that creeps towards its floor must not keep the loop alive.
        for (int step = 0; step < options.MaxIterations; step++)
        {
            cancel.ThrowIfCancellationRequested();
            FastSblAction best = state.Best();
            bool isDone = best.Gain <= options.Tolerance;
            if (isDone && noiseIsSettled)
            {
                reason = StopReason.Converged;
                break;
            }

            if (!isDone)
            {
                state.Take(best);
                actions.Add(best);
                cost.Add(state.Cost);
            }

            if (options.Noise.IsLearned && floor > 0 && (isDone || actions.Count % options.NoiseEvery == 0))
            {
                double before = state.Noise;
                state.Refresh(Math.Max(state.NextNoise(), floor));
                noiseIsSettled = isDone && Math.Abs(state.Noise - before) <= 1e-6 * before;
                cost[^1] = state.Cost;
                Report();
            }
            else if (actions.Count % options.RefreshEvery == 0)
            {
                state.Refresh(state.Noise);
                cost[^1] = state.Cost;
                Report();
            }
        }

        void Report() => progress?.Report(new(actions.Count, options.MaxIterations, $"{state.Gamma.Count(g => g > 0)} coefficients"));

        if (reason == StopReason.Converged && estimate is { Identified: false }) reason = StopReason.NotIdentified;
        cost.RemoveAt(cost.Count - 1);
        SblResult result = SblResult.Of(Phi, y, state.Gamma, state.Noise, options.Covariance, cost, actions.Count, reason, estimate, options.Noise.IsLearned);
        return result with { Actions = actions };
    }

    /// <summary>C^-1, S and Q of a model that changes by one column at a time.</summary>
    private sealed class State
    {
        private readonly Tensor _phi, _y;
        private readonly int _m, _n, _snapshots;
        private readonly double[] _columns, _s, _q, _direction, _projection;
        private double[] _inverse = [];

        public State(Tensor phi, Tensor y, double noise)
        {
            (_phi, _y) = (phi, y.reshape(y.shape[0], -1));
            (_m, _n, _snapshots) = ((int)phi.shape[0], (int)phi.shape[1], (int)_y.shape[1]);
            using Tensor transposed = phi.t();
            _columns = transposed.Doubles();
            _s = new double[_n];
            _q = new double[_n * _snapshots];
            _direction = new double[_m];
            _projection = new double[_n];
            Gamma = new double[_n];
            Refresh(noise);
        }

        public double[] Gamma { get; }

        public double Noise { get; private set; }

        public double Cost { get; private set; }

        /// <summary>
        /// The action with the largest gain; the first of equals. Adding the twin of a column in the model gains exactly what estimating
        /// that column anew gains, so additions must be better by more than rounding.
        /// </summary>
        public FastSblAction Best()
        {
            int index = 0;
            double gain = double.NegativeInfinity, value = 0;
            for (int pass = 0; pass < 2; pass++)
            {
                double hurdle = pass == 0 || gain < 0 ? double.NegativeInfinity : (gain * (1 + 1e-6)) + 1e-10;
                for (int i = 0; i < _n; i++)
                {
                    if (Gamma[i] > 0 != (pass == 0)) continue;
                    (double next, double own) = Candidate(i);
                    if (own > gain && own > hurdle) (index, gain, value) = (i, own, next);
                }
            }

            FastSblMove move = Gamma[index] == 0 ? FastSblMove.Add : value == 0 ? FastSblMove.Delete : FastSblMove.Reestimate;
            return new(move, index, value, gain);
        }

        public void Take(FastSblAction action)
        {
            int i = action.Index;
            double step = action.Gamma - Gamma[i], factor = step / (1 + (step * _s[i]));
            ReadOnlySpan<double> column = _columns.AsSpan(i * _m, _m);
            for (int r = 0; r < _m; r++) _direction[r] = TensorPrimitives.Dot(_inverse.AsSpan(r * _m, _m), column);
            for (int j = 0; j < _n; j++) _projection[j] = TensorPrimitives.Dot(_columns.AsSpan(j * _m, _m), _direction);
            Span<double> own = stackalloc double[_snapshots <= 64 ? _snapshots : 0];
            if (_snapshots > 64) own = new double[_snapshots];
            _q.AsSpan(i * _snapshots, _snapshots).CopyTo(own);
            for (int j = 0; j < _n; j++)
            {
                double share = factor * _projection[j];
                _s[j] -= share * _projection[j];
                Span<double> row = _q.AsSpan(j * _snapshots, _snapshots);
                for (int l = 0; l < own.Length; l++) row[l] -= share * own[l];
            }

            for (int r = 0; r < _m; r++)
            {
                Span<double> row = _inverse.AsSpan(r * _m, _m);
                TensorPrimitives.MultiplyAdd(_direction, -factor * _direction[r], row, row);
            }

            Gamma[i] = action.Gamma;
            Cost -= action.Gain;
        }

        /// <summary>Everything from scratch, with this noise variance.</summary>
        public void Refresh(double noise)
        {
            using var scope = NewDisposeScope();
            Noise = noise;
            Tensor gamma = tensor(Gamma);
            Tensor covariance = _phi.mul(gamma).mm(_phi.t()).add(eye(_m, dtype: ScalarType.Float64).mul(noise));
            (Tensor factor, Tensor info) = linalg.cholesky_ex(covariance);
            if (info.item<int>() != 0)
                throw new InvalidOperationException($"The noise variance {noise:g3} is below the rounding of the covariance of the measurements.");
            Tensor inverse = linalg.solve_triangular(factor, eye(_m, dtype: ScalarType.Float64), upper: false);
            Tensor white = inverse.mm(_phi), data = inverse.mm(_y);
            _inverse = inverse.t().mm(inverse).Doubles();
            white.square().sum([0]).Doubles().CopyTo(_s, 0);
            white.t().mm(data).Doubles().CopyTo(_q, 0);
            Cost = (_snapshots * 2 * factor.diagonal().log().sum().item<double>()) + data.square().sum().item<double>();
        }

        public double NextNoise()
        {
            using var scope = NewDisposeScope();
            Tensor mean = tensor(_q).view(_n, _snapshots).mul(tensor(Gamma).unsqueeze(1));
            double residual = _y.sub(_phi.mm(mean)).square().sum().item<double>() / _snapshots;
            return (residual + (Noise * TensorPrimitives.Dot(Gamma, _s))) / _m;
        }

        /// <summary>The best variance of one coefficient, all others fixed, and what it gains.</summary>
        private (double Gamma, double Gain) Candidate(int i)
        {
            double gamma = Gamma[i], outside = 1 - (gamma * _s[i]);
            double s = _s[i] / outside, squared = TensorPrimitives.SumOfSquares(_q.AsSpan(i * _snapshots, _snapshots)) / (_snapshots * outside * outside);
            double theta = squared - s, next = theta > 0 ? theta / (s * s) : 0;
            if (next == gamma) return (next, double.NegativeInfinity);
            return (next, _snapshots * (Part(gamma, s, squared) - Part(next, s, squared)));
        }

        private static double Part(double gamma, double s, double squared) => Math.Log(1 + (gamma * s)) - (squared * gamma / (1 + (gamma * s)));
    }
}
