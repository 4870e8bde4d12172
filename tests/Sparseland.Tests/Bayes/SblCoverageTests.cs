using Sparseland.Bayes;
using Sparseland.Solvers;
using TorchSharp;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace Sparseland.Tests.Bayes;

/// <summary>At the defaults, over many drawn problems: what the result promises must be true.</summary>
public class SblCoverageTests(ITestOutputHelper log)
{
    /// <summary>100 problems of 60 x 150 with 8 non-zeros a noise level, 30 for the slower EM: intervals of 95 % hold the true non-zero values in at least 85 %.</summary>
    [Theory]
    [InlineData(1e-4)]
    [InlineData(2.5e-3)]
    [InlineData(0.04)]
    public void Intervals_hold_with_a_learned_noise(double variance)
    {
        foreach ((string name, int problems, int refusals, Func<Tensor, Tensor, SblResult> solve) in new (string, int, int, Func<Tensor, Tensor, SblResult>)[]
            { ("fast", 100, 5, (a, b) => FastSbl.Recover(a, b)), ("EM", 30, 2, (a, b) => EmSbl.Recover(a, b)) })
        {
            int inside = 0, all = 0, refused = 0, zerosInside = 0, zeros = 0, converged = 0;
            var noises = new List<double>();
            for (int seed = 0; seed < problems; seed++)
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
            Assert.True(refused <= refusals, $"{refused} of {problems} problems were not identified");
            Assert.InRange(sorted[sorted.Length / 2] / variance, 0.7, 1.5);
        }
    }

    /// <summary>
    /// Fewer measurements for each non-zero: what is not refused must hold all the same. With 10 or 20 measurements of 40 or 200 coefficients
    /// nearly all is refused, and what looks clear all the same is a selection: there no more than 3 of 100 non-zeros may lie outside an
    /// interval that was given. Fresh seeds; the rule was not chosen on them.
    /// </summary>
    [Theory]
    [InlineData(30, 60, 3)]
    [InlineData(30, 60, 10)]
    [InlineData(10, 40, 2)]
    [InlineData(20, 200, 4)]
    [InlineData(50, 100, 8)]
    public void Where_little_is_known_intervals_hold_or_are_refused(int m, int n, int k)
    {
        int inside = 0, all = 0, refused = 0;
        foreach (double variance in new[] { 1e-4, 2.5e-3, 0.04 })
        {
            for (int seed = 0; seed < 50; seed++)
            {
                using var scope = NewDisposeScope();
                (Tensor phi, Tensor x, Tensor y) = BayesData.Planted(m, n, k, Math.Sqrt(variance), 5000 + seed);
                using SblResult result = FastSbl.Recover(phi, y);
                if (result.StopReason == StopReason.NotIdentified)
                {
                    refused++;
                    continue;
                }

                (Tensor lower, Tensor upper) = result.CredibleInterval(0.95);
                double[] truth = x.Doubles(), low = lower.Doubles(), high = upper.Doubles();
                for (int i = 0; i < truth.Length; i++)
                {
                    if (truth[i] != 0) (all, inside) = (all + 1, inside + (low[i] <= truth[i] && truth[i] <= high[i] ? 1 : 0));
                }
            }
        }

        log.WriteLine($"{m},{n},{k}: {inside} of {all} = {inside / Math.Max(1.0, all):P1}, {refused} of 150 refused");
        if (m >= 30) Assert.True(inside >= 0.85 * all, $"{inside} of {all}");
        else Assert.True(refused >= 125 && all - inside <= 0.03 * 150 * k, $"{all - inside} of {150 * k} outside, {refused} refused");
    }

    [Fact]
    public void Progress_is_reported_with_a_learned_noise_and_the_noise_has_settled_where_it_says_so()
    {
        using var scope = NewDisposeScope();
        (Tensor phi, _, Tensor y) = BayesData.Planted(60, 150, 8, 0.05, 3);
        var reports = new List<ProgressReport>();
        using SblResult fast = FastSbl.Recover(phi, y, progress: new Direct(reports.Add));
        Assert.NotEmpty(reports);
        var noises = new List<double>();
        using SblResult em = EmSbl.Recover(phi, y, new EmSblOptions { MaxIterations = 20_000, OnIteration = state => noises.Add(state.NoiseVariance) });
        Assert.True(em.StopReason is StopReason.Converged or StopReason.RelativeChange, em.StopReason.ToString());
        Assert.InRange(Math.Abs(noises[^1] - noises[^2]) / noises[^2], 0, new EmSblOptions().Tolerance);
    }

    private sealed class Direct(Action<ProgressReport> action) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => action(value);
    }
}
