using Sparseland.Bayes;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Bayes;

/// <summary>
/// Kronecker SBL against classical EM-SBL on the dense product: ten iterations of each without pruning, at growing size (the ratio must
/// grow); and the cost of ten classical iterations against the fast algorithm's whole run.
/// </summary>
public class SblBenchmark : IQuickBenchmark
{
    private const int Iterations = 10;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        foreach ((int n, int m) in new[] { (4, 3), (6, 5), (8, 6), (10, 8) })
        {
            KroneckerProblem problem = KroneckerProblem.Draw([n, n, n], [m, m, m], 2, 20, 1);
            Tensor dense = problem.Dictionary.ToDense();
            var noise = NoiseModel.Known(problem.NoiseVariance);
            var classical = new EmSblOptions { Noise = noise, MaxIterations = Iterations, Tolerance = 0, PruneRatio = 0, Covariance = false };
            foreach (KroneckerUpdate update in new[] { KroneckerUpdate.Alternating, KroneckerUpdate.Svd })
            {
                var options = new KroneckerSblOptions { Noise = noise, Update = update, MaxIterations = Iterations, Tolerance = 0, PruneRatios = [0, 0, 0] };
                yield return new Comparison(
                    $"{Iterations} iterations of {update} KroSBL, {m * m * m} x {n * n * n}", () => KroneckerSbl.Fit(problem.Dictionary, problem.Measurements, options).Dispose(),
                    "EM-SBL on the dense product", () => EmSbl.Recover(dense, problem.Measurements, classical).Dispose());
            }
        }

        foreach ((int m, int n) in new[] { (50, 200), (50, 800), (100, 400), (200, 800) })
        {
            using var generator = new Generator(2);
            Tensor phi = randn([m, n], dtype: ScalarType.Float64, generator: generator), x = zeros([n], dtype: ScalarType.Float64);
            x.narrow(0, 0, m / 10).fill_(1);
            Tensor y = phi.mv(x).add(randn([m], dtype: ScalarType.Float64, generator: generator).mul(0.05));
            var noise = NoiseModel.Known(0.0025);
            yield return new Comparison(
                $"cost: {Iterations} EM iterations, {m} x {n}",
                () => EmSbl.Recover(phi, y, new() { Noise = noise, MaxIterations = Iterations, Tolerance = 0, PruneRatio = 0, Covariance = false }).Dispose(),
                "fast marginal likelihood, whole run", () => FastSbl.Recover(phi, y, new() { Noise = noise }).Dispose());
        }
    }
}
