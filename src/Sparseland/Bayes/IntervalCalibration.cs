using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>How often credible intervals hold the truth, by simulation.</summary>
/// <param name="Levels">Nominal probabilities.</param>
/// <param name="Coverage">Share of the coefficients inside, over all trials, for each level.</param>
/// <param name="StandardError">Of each share, from the spread over trials (coefficients of one trial are not independent).</param>
public sealed record IntervalCalibration(double[] Levels, double[] Coverage, double[] StandardError)
{
    /// <summary>
    /// Draws x_i ~ N(0, gamma_i) and y = Phi x + N(0, s2), and counts the coefficients with gamma_i &gt; 0 inside their interval. With the
    /// true gamma and s2 (no solver) the coverage is the level, exactly in expectation; with a solver it shows what plugging in learned
    /// variances costs.
    /// </summary>
    /// <param name="Phi">[measurements, coefficients], float64.</param>
    /// <param name="gamma">True prior variances, not all zero.</param>
    /// <param name="noise">True s2, positive.</param>
    /// <param name="levels">Nominal probabilities in (0, 1).</param>
    /// <param name="trials">Number of draws, at least 2.</param>
    /// <param name="seed">Seed of the draws; trial t uses stream t.</param>
    /// <param name="solver">Turns (Phi, y) into a posterior, from learned variances say; null for the true ones.</param>
    /// <param name="cancel">Checked before each trial.</param>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit.</exception>
    public static IntervalCalibration Simulate(
        Tensor Phi, IReadOnlyList<double> gamma, double noise, IReadOnlyList<double> levels, int trials, long seed,
        Func<Tensor, Tensor, GaussianPosterior>? solver = null, CancellationToken cancel = default)
    {
        BayesInput.CheckValues(Phi, nameof(Phi), "[measurements, coefficients]", 2, 2);
        if (Phi.dtype != ScalarType.Float64) throw new ArgumentException($"Phi is {Phi.dtype}; intervals need Float64.", nameof(Phi));
        BayesInput.CheckColumns(Phi, nameof(Phi));
        BayesInput.CheckGamma(gamma, Phi.shape[1], nameof(gamma));
        Finite.Positive(noise);
        ArgumentNullException.ThrowIfNull(levels);
        if (levels.Count == 0) throw new ArgumentException("There is no level.", nameof(levels));
        if (trials < 2) throw new ArgumentOutOfRangeException(nameof(trials), trials, "At least 2 trials.");
        int[] planted = [.. Enumerable.Range(0, gamma.Count).Where(i => gamma[i] > 0)];
        if (planted.Length == 0) throw new ArgumentException("All prior variances are zero; there is nothing to cover.", nameof(gamma));
        double[] quantiles = [.. levels.Select(GaussianPosterior.Quantile)];
        solver ??= (phi, y) => GaussianPosterior.Solve(phi, y, gamma, noise, covariance: false);
        double[,] shares = new double[levels.Count, trials];
        for (int t = 0; t < trials; t++)
        {
            cancel.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var random = new SeededRandom(seed, t);
            double[] x = new double[gamma.Count], rest = new double[Phi.shape[0]];
            for (int i = 0; i < x.Length; i++) x[i] = Math.Sqrt(gamma[i]) * random.NextGaussian();
            for (int i = 0; i < rest.Length; i++) rest[i] = Math.Sqrt(noise) * random.NextGaussian();
            using GaussianPosterior posterior = solver(Phi, Phi.mv(tensor(x)).add(tensor(rest)));
            double[] mean = posterior.Mean.Doubles();
            for (int l = 0; l < quantiles.Length; l++)
            {
                double z = quantiles[l];
                shares[l, t] = planted.Count(i => Math.Abs(x[i] - mean[i]) <= z * Math.Sqrt(posterior.Variance[i])) / (double)planted.Length;
            }
        }

        double[] Row(int l) => [.. Enumerable.Range(0, trials).Select(t => shares[l, t])];
        double[] coverage = [.. Enumerable.Range(0, quantiles.Length).Select(l => Row(l).Average())];
        double[] error = [.. coverage.Select((c, l) => Math.Sqrt(Row(l).Sum(v => (v - c) * (v - c)) / (trials - 1.0) / trials))];
        return new([.. levels], coverage, error);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
