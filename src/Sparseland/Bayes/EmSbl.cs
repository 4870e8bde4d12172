using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>
/// Sparse Bayesian learning for y = Phi x + n (Tipping 2001; Wipf and Rao 2004): every coefficient has its own prior variance gamma_i,
/// and the gamma that maximise the evidence p(y) are sparse. With several columns in y it is M-SBL (Wipf and Rao 2007): one gamma_i for
/// a row of x, gamma_i = ||mu_i||^2 / snapshots + Sigma_ii.
/// </summary>
/// <remarks>
/// One iteration prunes, factors C = s2 I + Phi diag(gamma) Phi^H and updates gamma, O(m^2 a + m^3) for a active columns. Equal columns
/// keep equal gamma and share their coefficient evenly. Components that vanish do so like 1/iteration: pruning decides when they are zero.
/// </remarks>
public static class EmSbl
{
    /// <summary>Learns the prior variances and returns the posterior.</summary>
    /// <param name="Phi">[measurements, coefficients], float64 or complex128, no zero column.</param>
    /// <param name="y">[measurements], or [measurements, snapshots] for M-SBL; the type of Phi.</param>
    /// <param name="options">Defaults: noise learned (never below <see cref="NoiseEstimate"/>), EM, gamma below 1e-3 of the largest pruned.</param>
    /// <param name="progress">Reported after each iteration.</param>
    /// <param name="cancel">Checked before each iteration.</param>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; <see cref="EmSblOptions.OnIteration"/> has seen the last state.</exception>
    public static SblResult Recover(
        Tensor Phi, Tensor y, EmSblOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        options ??= new();
        options.Validate();
        BayesInput.CheckSystem(Phi, y);
        if (options.StartGamma is { } start) BayesInput.CheckGamma(start, Phi.shape[1], nameof(EmSblOptions.StartGamma));
        using var scope = NewDisposeScope();
        BayesUnits units = BayesUnits.Of(Phi, y);
        EmSblOptions own = options with
        {
            Noise = units.Of(options.Noise),
            InitialGamma = options.InitialGamma is { } initial ? units.OfVariance(initial, nameof(EmSblOptions.InitialGamma)) : null,
            StartGamma = options.StartGamma is { } from ? [.. from.Select(g => units.OfVariance(g, nameof(EmSblOptions.StartGamma)))] : null,
            OnIteration = options.OnIteration is { } see
                ? state => see(new(state.Iteration, [.. state.Gamma.Select(units.Variance)], units.Noise(state.NoiseVariance), state.Cost + (y.numel() * units.LogUnit)))
                : null,
        };
        return Iterate(units.OfPhi(Phi), units.OfY(y), own, progress, cancel).InUnits(units);
    }

    private static SblResult Iterate(Tensor Phi, Tensor y, EmSblOptions options, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        int n = (int)Phi.shape[1];
        Tensor data = y.reshape(y.shape[0], -1), columns = Phi;
        double[] gamma = options.StartGamma is { } given ? [.. given] : [.. Enumerable.Repeat(options.InitialGamma ?? BayesInput.VarianceOfLargest(Phi, y), n)];
        double noise = BayesInput.StartOf(options.Noise, y);
        (NoiseEstimate? estimate, double floor) = NoiseEstimate.FloorOf(options.Noise, y, () => NoiseEstimate.Pursue(Phi, y, cancel));
        floor = Math.Max(floor, double.Epsilon);
        if (options.Noise.IsLearned) noise = Math.Max(noise, floor);
        int[] active = [.. Enumerable.Range(0, n)];
        var cost = new List<double>();
        StopReason reason = StopReason.IterationLimit;
        int iteration = 0;
        while (iteration < options.MaxIterations)
        {
            cancel.ThrowIfCancellationRequested();
            (active, columns) = Prune(Phi, gamma, active, columns, options.PruneRatio);
            if (active.Length == 0)
            {
                reason = StopReason.Converged;
                break;
            }

            using var inner = NewDisposeScope();
            using var system = new WhitenedSystem(columns, data, [.. active.Select(i => gamma[i])], noise);
            cost.Add(system.Cost);
            double change = 0, size = 0, slope = 0;
            for (int k = 0; k < active.Length; k++)
            {
                double old = system.Gamma[k], next = Next(options.Update, old, system.CorrelationSquared[k], system.Leverage[k]);
                change += (next - old) * (next - old);
                size += old * old;

                // next/old - 1 is minus the derivative of the cost by log gamma_i, per snapshot (EM).
                slope = Math.Max(slope, Math.Abs(next - old) / old);
                gamma[active[k]] = next;
            }

            double noiseBefore = noise;
            if (options.Noise.IsLearned) noise = Math.Max(system.NextNoise(columns, data, noise), floor);
            bool noiseIsSettled = Math.Abs(noise - noiseBefore) <= options.Tolerance * noiseBefore;
            iteration++;
            options.OnIteration?.Invoke(new(iteration, [.. gamma], noise, cost[^1]));
            progress?.Report(new(iteration, options.MaxIterations, $"{active.Length} of {n} coefficients"));
            if (noiseIsSettled && change <= options.Tolerance * options.Tolerance * size)
            {
                reason = slope <= options.Tolerance ? StopReason.Converged : StopReason.RelativeChange;
                break;
            }
        }

        if (reason is (StopReason.Converged or StopReason.RelativeChange) && estimate is { Identified: false }) reason = StopReason.NotIdentified;
        return SblResult.Of(Phi, y, gamma, noise, options.Covariance, cost, iteration, reason, estimate, options.Noise.IsLearned);
    }

    /// <summary>|mu|^2 = gamma^2 Q, Sigma = gamma - gamma^2 S, 1 - Sigma / gamma = gamma S: neither update divides by a difference.</summary>
    private static double Next(SblUpdate update, double gamma, double correlationSquared, double leverage) => update == SblUpdate.Em
        ? gamma * ((gamma * correlationSquared) + Math.Max(0, 1 - (gamma * leverage)))
        : gamma * correlationSquared / leverage;

    private static (int[] Active, Tensor Columns) Prune(Tensor Phi, double[] gamma, int[] active, Tensor columns, double ratio)
    {
        double cut = ratio * (active.Length == 0 ? 0 : active.Max(i => gamma[i]));
        int[] kept = [.. active.Where(i => gamma[i] > 0 && gamma[i] >= cut)];
        if (kept.Length == active.Length) return (active, columns);
        for (int k = 0, next = 0; k < active.Length; k++)
        {
            if (next < kept.Length && kept[next] == active[k]) next++;
            else gamma[active[k]] = 0;
        }

        if (columns.Handle != Phi.Handle) columns.Dispose();
        return (kept, kept.Length == 0 ? Phi : Phi.index_select(1, tensor(kept, dtype: ScalarType.Int64)));
    }
}
