using Sparseland.Bayes;
using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Bayes;

/// <summary>A change of units of Phi or y changes the units of the answer, and nothing else.</summary>
public class BayesScaleTests
{
    [Theory]
    [InlineData(1e-150, 1e-150)]
    [InlineData(1e150, 1e150)]
    [InlineData(1e80, 1)]
    [InlineData(1, 1e100)]
    [InlineData(1, 1e-149)]
    [InlineData(3, 7)]
    public void Results_follow_the_units(double a, double b)
    {
        using var scope = NewDisposeScope();
        (Tensor phi, _, Tensor y) = BayesData.Planted(40, 80, 4, 0.03, 5);
        foreach (Func<Tensor, Tensor, SblResult> recover in new Func<Tensor, Tensor, SblResult>[] { (p, d) => FastSbl.Recover(p, d), (p, d) => EmSbl.Recover(p, d) })
        {
            using SblResult plain = recover(phi, y), scaled = recover(phi.mul(a), y.mul(b));
            Assert.NotEmpty(plain.Active);
            Assert.Equal(plain.StopReason, scaled.StopReason);
            Assert.Equal(plain.Active, scaled.Active);
            Assert.InRange(BayesData.MaxDifference(plain.Mean, scaled.Mean.mul(a / b)), 0, 1e-6);
            Assert.Equal(1, Math.Sqrt(scaled.NoiseVariance / plain.NoiseVariance) / b, 1e-6);
        }

        NoiseEstimate small = NoiseEstimate.Of(phi, y), large = NoiseEstimate.Of(phi.mul(a), y.mul(b));
        Assert.Equal((small.Coefficients, small.Identified), (large.Coefficients, large.Identified));
    }

    [Theory]
    [InlineData(1e200, 1, "Phi")]
    [InlineData(1e-200, 1, "Phi")]
    [InlineData(1, 1e200, "y")]
    [InlineData(1, 1e-200, "y")]
    public void What_no_float64_holds_is_refused(double a, double b, string name)
    {
        using var scope = NewDisposeScope();
        (Tensor phi, _, Tensor y) = BayesData.Planted(20, 30, 2, 0.03, 5);
        (Tensor p, Tensor d) = (phi.mul(a), y.mul(b));
        foreach (Action act in new Action[] { () => EmSbl.Recover(p, d), () => FastSbl.Recover(p, d), () => NoiseEstimate.Of(p, d) })
            Assert.Equal(name, Assert.Throws<ArgumentException>(act).ParamName);
        using var product = new KroneckerDictionary(p.slice(0, 0, 4, 1), eye(5, dtype: ScalarType.Float64));
        foreach (Action act in new Action[] { () => KroneckerSbl.Fit(product, d), () => KroneckerOmp.Recover(product, d, [1, 1]) })
            Assert.Equal(name == "Phi" ? "dictionary" : name, Assert.Throws<ArgumentException>(act).ParamName);
    }

    /// <summary>Every solver, its noise fixed or learned; the noise is given in units of y and the answer compared in units of y/Phi.</summary>
    public static TheoryData<string, bool> Solvers()
    {
        var cases = new TheoryData<string, bool>();
        foreach (string name in Systems.Keys.Concat(Products.Keys))
        {
            cases.Add(name, true);
            cases.Add(name, false);
        }

        return cases;
    }

    private static readonly Dictionary<string, Func<Tensor, Tensor, NoiseModel, (Tensor Mean, int[][] Supports, double Noise, string Reason)>> Systems = new()
    {
        ["EM"] = (phi, y, noise) => Of(EmSbl.Recover(phi, y, new() { Noise = noise })),
        ["MacKay"] = (phi, y, noise) => Of(EmSbl.Recover(phi, y, new() { Noise = noise, Update = SblUpdate.MacKay })),
        ["Fast"] = (phi, y, noise) => Of(FastSbl.Recover(phi, y, new() { Noise = noise })),
    };

    private static readonly Dictionary<string, Func<KroneckerDictionary, Tensor, NoiseModel, (Tensor Mean, int[][] Supports, double Noise, string Reason)>> Products =
        new()
        {
            ["Svd"] = (a, y, noise) => Of(KroneckerSbl.Fit(a, y, new() { Noise = noise, Update = KroneckerUpdate.Svd })),
            ["Alternating"] = (a, y, noise) => Of(KroneckerSbl.Fit(a, y, new() { Noise = noise, Update = KroneckerUpdate.Alternating })),
            ["OneSweep"] = (a, y, noise) => Of(KroneckerSbl.Fit(a, y, new() { Noise = noise, Update = KroneckerUpdate.OneSweep })),
            ["PatternCoupled"] = (a, y, noise) =>
                Of(KroneckerSbl.Fit(a, y, new() { Noise = noise, Update = KroneckerUpdate.PatternCoupled, Coupling = [0.5, 0, 0.8] })),
            ["Omp"] = (a, y, noise) =>
            {
                KroneckerOmpResult found = KroneckerOmp.Recover(a, y, [2, 2, 2], noise.IsLearned ? 0 : 0.01);
                return (found.Mean, found.Supports, found.ResidualSquared, $"{found.StopReason} {found.Iterations}");
            },
        };

    private static (Tensor, int[][], double, string) Of(SblResult r) => (r.Mean, [r.Active], r.NoiseVariance, $"{r.StopReason} {r.Iterations}");

    private static (Tensor, int[][], double, string) Of(KroneckerSblResult r) => (r.Mean, r.Supports, r.NoiseVariance, $"{r.Status} {r.Iterations}");

    [Theory]
    [MemberData(nameof(Solvers))]
    public void Data_times_a_factor_give_the_same_support_and_means_times_it(string solver, bool isLearned)
    {
        using var scope = NewDisposeScope();
        using KroneckerProblem problem = KroneckerProblem.Draw([6, 5, 7], [4, 4, 5], 2, 20, 3);
        (Tensor phi, _, Tensor planted) = BayesData.Planted(40, 80, 4, 0.03, 5);
        (Tensor Mean, int[][] Supports, double Noise, string Reason) Run(double scale)
        {
            if (Systems.TryGetValue(solver, out var system))
                return system(phi, planted.mul(scale), isLearned ? NoiseModel.Learn() : NoiseModel.Known(9e-4 * scale * scale));
            return Products[solver](
                problem.Dictionary, problem.Measurements.mul(scale), isLearned ? NoiseModel.Learn() : NoiseModel.Known(problem.NoiseVariance * scale * scale));
        }

        var plain = Run(1);
        Assert.All(plain.Supports, Assert.NotEmpty);
        foreach (int exponent in new[] { -90, -40, 40, 90 })
        {
            // A power of two changes no bit.
            double scale = Math.ScaleB(1, exponent);
            var moved = Run(scale);
            Assert.Equal(plain.Reason, moved.Reason);
            Assert.Equal(plain.Supports, moved.Supports);
            Assert.Equal(plain.Mean.mul(scale).data<double>().ToArray(), moved.Mean.data<double>().ToArray());
            Assert.Equal(plain.Noise * scale * scale, moved.Noise);
        }

        // Other factors move rounding alone: no constant of the algorithm has units.
        foreach (double scale in new[] { 1.0 / 7, 1.3, 1e6 })
        {
            var moved = Run(scale);
            Assert.Equal(plain.Reason, moved.Reason);
            Assert.Equal(plain.Supports, moved.Supports);
            Assert.InRange(BayesData.MaxDifference(plain.Mean, moved.Mean.div(scale)), 0, 1e-7 * plain.Mean.abs().max().item<double>());
        }
    }

    [Fact]
    public void Scales_of_the_factors_and_options_with_units_move_with_the_data()
    {
        using var scope = NewDisposeScope();
        using KroneckerProblem problem = KroneckerProblem.Draw([6, 5, 7], [4, 4, 5], 2, 20, 3);
        Tensor[] factors = [.. problem.Dictionary.Factors];
        double[][] start = [.. factors.Select(f => Enumerable.Range(1, (int)f.shape[1]).Select(a => 1.0 / a).ToArray())];
        (double y, double phi) = (Math.ScaleB(1, 70), Math.ScaleB(1, 30));
        using var scaled = new KroneckerDictionary(factors[0].mul(phi * phi), factors[1].div(phi), factors[2].clone());
        foreach (KroneckerUpdate update in Enum.GetValues<KroneckerUpdate>())
        {
            KroneckerSblOptions options = new()
            {
                Update = update, Coupling = update == KroneckerUpdate.PatternCoupled ? [0.5, 0, 0.8] : [], StartGammas = start, PruneBelow = 1e-3,
                Noise = NoiseModel.Learn(0.1, 1e-3),
            };
            List<KroneckerSblIteration> seen = [], moved = [];
            using KroneckerSblResult plain = KroneckerSbl.Fit(problem.Dictionary, problem.Measurements, options with { OnIteration = seen.Add });
            double variance = y / phi * (y / phi);
            KroneckerSblOptions own = options with
            {
                StartGammas = [start[0], [.. start[1].Select(g => g * variance)], start[2]], PruneBelow = 1e-3 * variance,
                Noise = NoiseModel.Learn(0.1 * y * y, 1e-3 * y * y), OnIteration = moved.Add,
            };
            using KroneckerSblResult other = KroneckerSbl.Fit(scaled, problem.Measurements.mul(y), own);
            Assert.Equal((plain.Status, plain.Iterations), (other.Status, other.Iterations));
            Assert.Equal(plain.Supports, other.Supports);
            Assert.InRange(BayesData.MaxDifference(plain.Mean, other.Mean.mul(phi / y)), 0, 1e-9);
            Assert.Equal(1, other.NoiseVariance / plain.NoiseVariance / (y * y), 1e-9);
            Assert.Equal(plain.VarianceDiagonal.Max(), other.VarianceDiagonal.Max() / variance, 1e-9);
            Assert.Equal(seen[^1].NoiseVariance, moved[^1].NoiseVariance / (y * y), 1e-9);
            Assert.Equal(plain.Gammas[2].Max(), other.Gammas[2].Max() / variance, 1e-6);

            // log det C gains log of the square for each measurement.
            double gain = problem.Measurements.numel() * 2 * Math.Log(y);
            Assert.All(plain.CostTrace.Zip(other.CostTrace), c => Assert.Equal(c.First, c.Second - gain, 1e-6));
            Assert.All(seen.Zip(moved), c => Assert.Equal(c.First.Cost, c.Second.Cost - gain, 1e-6));
        }
    }

    [Theory]
    [InlineData(1e-140, 1e-140)]
    [InlineData(1e140, 1e140)]
    [InlineData(1, 1e140)]
    [InlineData(1e100, 1e-40)]
    public void Posteriors_at_the_ends_of_the_range_are_those_in_its_middle(double a, double b)
    {
        using var scope = NewDisposeScope();
        (Tensor phi, _, Tensor y) = BayesData.Planted(12, 20, 3, 0.03, 5);
        double[] gamma = [.. Enumerable.Range(0, 20).Select(i => i % 5 * 0.3)];
        double variance = b / a * (b / a);
        using GaussianPosterior plain = GaussianPosterior.Compute(phi, y, gamma, 0.01);
        using GaussianPosterior moved = GaussianPosterior.Compute(phi.mul(a), y.mul(b), [.. gamma.Select(g => g * variance)], 0.01 * b * b);
        Assert.InRange(BayesData.MaxDifference(plain.Mean, moved.Mean.mul(a / b)), 0, 1e-10);
        Assert.All(plain.Variance.Zip(moved.Variance), v => Assert.Equal(v.First, v.Second / variance, 1e-10));
        Assert.InRange(BayesData.MaxDifference(plain.Covariance!, moved.Covariance!.div(b / a).div(b / a)), 0, 1e-10);
        Assert.Equal(plain.Cost, moved.Cost - (24 * Math.Log(b)), 1e-8);
        Assert.Equal(plain.LogEvidence, moved.LogEvidence + (12 * Math.Log(b)), 1e-8);
        using KroneckerProblem problem = KroneckerProblem.Draw([4, 5], [3, 4], 2, 20, 3);
        using var scaled = new KroneckerDictionary(problem.Dictionary.Factors[0].mul(a), problem.Dictionary.Factors[1].clone());
        double[][] gammas = [[1, 0, 2, 0.5], [0.1, 1, 0, 1, 3]];
        using KroneckerPosterior fast = KroneckerPosterior.Compute(problem.Dictionary, gammas, problem.Measurements, 0.01);
        using KroneckerPosterior far = KroneckerPosterior.Compute(scaled, [gammas[0], [.. gammas[1].Select(g => g * variance)]], problem.Measurements.mul(b), 0.01 * b * b);
        Assert.InRange(BayesData.MaxDifference(fast.Mean, far.Mean.mul(a / b)), 0, 1e-10);
        Assert.Equal(fast.Cost, far.Cost - (24 * Math.Log(b)), 1e-8);
        Assert.Equal(fast.ResidualSquared, far.ResidualSquared / b / b, 1e-10);
        Assert.Equal(fast.Explained, far.Explained, 1e-10);
    }
}
