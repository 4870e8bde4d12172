using Sparseland.Bayes;
using Sparseland.Solvers;
using TorchSharp;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace Sparseland.Tests.Bayes;

/// <summary>At the defaults, over many drawn problems: what the result promises must be true.</summary>
public class SblCoverageTests(ITestOutputHelper log)
{
    /// <summary>100 problems of 60 x 150 with 8 non-zeros a noise level: intervals of 95 % hold the true non-zero values in at least 85 %.</summary>
    [Theory]
    [InlineData(1e-4)]
    [InlineData(2.5e-3)]
    [InlineData(0.04)]
    public void Intervals_hold_with_a_learned_noise(double variance)
    {
        foreach ((string name, Func<Tensor, Tensor, SblResult> solve) in new (string, Func<Tensor, Tensor, SblResult>)[]
            { ("fast", (a, b) => FastSbl.Recover(a, b)), ("EM", (a, b) => EmSbl.Recover(a, b)) })
        {
            int inside = 0, all = 0, refused = 0, zerosInside = 0, zeros = 0, converged = 0;
            var noises = new List<double>();
            for (int seed = 0; seed < 100; seed++)
            {
                using var scope = NewDisposeScope();
                (Tensor phi, Tensor x, Tensor y) = BayesData.Planted(60, 150, 8, Math.Sqrt(variance), 1000 + seed);
                using SblResult result = solve(phi, y);
                if (result.Converged) converged++;
                if (result.StopReason == StopReason.NotIdentified)
                {
                    refused++;
                    continue;
                }

                noises.Add(result.NoiseVariance);
                (Tensor lower, Tensor upper) = result.CredibleInterval(0.95);
                double[] truth = x.Doubles(), low = lower.Doubles(), high = upper.Doubles();
                for (int i = 0; i < truth.Length; i++)
                {
                    bool hit = low[i] <= truth[i] && truth[i] <= high[i];
                    if (truth[i] != 0) (all, inside) = (all + 1, inside + (hit ? 1 : 0));
                    else (zeros, zerosInside) = (zeros + 1, zerosInside + (hit ? 1 : 0));
                }
            }

            double[] sorted = [.. noises.Order()];
            log.WriteLine($"{name}, variance {variance}: non-zeros {inside / (double)all:P1} of {all}, zeros {zerosInside / (double)zeros:P1}, {refused} refused, {converged} converged, "
                + $"noise over truth {sorted[5] / variance:G3} {sorted[sorted.Length / 2] / variance:G3} {sorted[^6] / variance:G3}");
            Assert.True(inside >= 0.85 * all, $"{name}: {inside} of {all}");
            Assert.True(refused <= 5, $"{refused} of 100 problems were not identified");
            Assert.InRange(sorted[sorted.Length / 2] / variance, 0.7, 1.5);
        }
    }
}
