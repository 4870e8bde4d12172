using FsCheck;
using FsCheck.Fluent;
using Sparseland.Penalties;

namespace Sparseland.Tests.Penalties;

public class ProxTests
{
    public static TheoryData<string> Cases() => PenaltyCases.All();

    [Theory]
    [MemberData(nameof(Cases))]
    public void Minimizes_its_scalar_objective(string name)
    {
        var random = new Random(17);
        for (int trial = 0; trial < 200; trial++)
        {
            ISeparablePenalty penalty = PenaltyCases.Create(name, Math.Exp(random.NextDouble() * 4 - 3));
            double step = 0.02 + 0.9 * random.NextDouble(), z = 8 * random.NextDouble() - 4;
            AssertMinimizer(penalty, z, step);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Minimizes_just_below_and_above_the_threshold(string name)
    {
        var random = new Random(18);
        for (int trial = 0; trial < 20; trial++)
        {
            ISeparablePenalty penalty = PenaltyCases.Create(name, Math.Exp(random.NextDouble() * 4 - 3));
            double step = 0.02 + 0.9 * random.NextDouble(), cut = PenaltyCases.Cut(penalty, step);
            foreach (double factor in (double[])[0.999, 1 - 1e-7, 1 - 1e-12, 1 + 1e-12, 1 + 1e-7, 1.001])
            {
                AssertMinimizer(penalty, cut * factor, step);
                Assert.Equal(factor < 1, penalty.Prox(cut * factor, step) == 0);
            }
        }
    }

    [Fact]
    public void Jumps_where_the_papers_say()
    {
        const double t = 0.4, lambda = 0.7, mu = t * lambda;
        Check(new L0(lambda), Math.Sqrt(2 * mu), Math.Sqrt(2 * mu));
        Check(new LHalf(lambda), 1.5 * Math.Pow(mu, 2.0 / 3), Math.Pow(mu, 2.0 / 3));
        Check(new LHalf(lambda), Math.Cbrt(54) / 4 * Math.Pow(2 * mu, 2.0 / 3), Math.Pow(mu, 2.0 / 3));
        Check(new LTwoThirds(lambda), 2.0 / 3 * Math.Pow(3 * Math.Pow(2 * mu, 3), 0.25), Math.Pow(2 * mu / 3, 0.75));
        Check(new L1(lambda), mu, 0);
        Check(new Cel0(lambda, 0.8), t * 0.8 * Math.Sqrt(2 * lambda), 0);
        Check(new Cel0(lambda, 2), Math.Sqrt(2 * mu), Math.Sqrt(2 * mu));

        static void Check(ISeparablePenalty penalty, double cut, double jump)
        {
            Assert.Equal(cut, PenaltyCases.Cut(penalty, t), 12);
            Assert.Equal(jump, penalty.Prox(cut * (1 + 1e-14), t), 6);
        }
    }

    [Fact]
    public void A_tie_gives_zero()
    {
        // sqrt(2 * 1 * 2) is exactly 2: 0 and 2 both cost 2.
        Assert.Equal(0, new L0(2).Prox(2.0, 1));
        Assert.Equal(0, new L1(0.5).Prox(-0.5, 1));
        double[] z = [2, -2, 2, -2, 2, -2, 2, -2, 2];
        new L0(2).Prox<double>(z, 1, z);
        Assert.All(z, value => Assert.Equal(0, value));
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Vector_loop_agrees_with_the_scalar_reference(string name)
    {
        var random = new Random(19);
        foreach (int length in (int[])[0, 1, 7, 8, 9, 16, 33, 257])
        {
            ISeparablePenalty penalty = PenaltyCases.Create(name, 0.3);
            const double step = 0.35;
            double[] z = [.. Enumerable.Range(0, length).Select(_ => 3 * random.NextDouble() - 1.5)], result = new double[length];
            float[] single = [.. z.Select(v => (float)v)], singleResult = new float[length];
            penalty.Prox<double>(z, step, result);
            penalty.Prox<float>(single, step, singleResult);
            for (int i = 0; i < length; i++)
            {
                Assert.Equal(penalty.Prox(z[i], step), result[i], 1e-13);
                Assert.Equal(penalty.Prox(single[i], step), singleResult[i], 2e-6f);
                Assert.Equal(penalty.Prox((double)single[i], step), singleResult[i], 3e-6);
            }

            penalty.Prox<double>(z, step, z);
            Assert.Equal(result, z);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Is_odd_and_keeps_nan(string name)
    {
        ISeparablePenalty penalty = PenaltyCases.Create(name, 0.3);
        for (double z = 0; z < 3; z += 0.0625) Assert.Equal(penalty.Prox(z, 0.3), -penalty.Prox(-z, 0.3));
        Assert.True(double.IsNaN(penalty.Prox(double.NaN, 0.3)));
        double[] many = [.. Enumerable.Repeat(double.NaN, 11)];
        penalty.Prox<double>(many, 0.3, many);
        Assert.All(many, value => Assert.True(double.IsNaN(value)));
        double[] one = [0, 0, double.NaN, 0, 0, 0, 0, 5];
        penalty.Prox<double>(one, 0.3, one);
        Assert.True(double.IsNaN(one[2]));
        Assert.Equal(0, one[0]);
    }

    [Theory]
    [InlineData("l1")]
    [InlineData("elastic net")]
    public void A_convex_prox_is_non_expansive(string name)
    {
        Prop.ForAll<NormalFloat, NormalFloat>((a, b) =>
        {
            ISeparablePenalty penalty = PenaltyCases.Create(name, 0.6);
            Assert.True(penalty.IsConvex);
            double distance = Math.Abs(penalty.Prox(a.Get, 0.7) - penalty.Prox(b.Get, 0.7));
            return distance <= Math.Abs(a.Get - b.Get) * (1 + 1e-12) + 1e-300;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Cel0_is_mcp_in_other_letters()
    {
        var random = new Random(20);
        for (int trial = 0; trial < 300; trial++)
        {
            double lambda = Math.Exp(4 * random.NextDouble() - 3), c = 0.3 + random.NextDouble(), x = 8 * random.NextDouble() - 4;
            double step = 0.99 * random.NextDouble() / (c * c) + 1e-6;
            var cel0 = new Cel0(lambda, c);
            var mcp = new Mcp(c * Math.Sqrt(2 * lambda), 1 / (c * c));
            Assert.Equal(mcp.Value(x), cel0.Value(x), 1e-12 * (1 + mcp.Value(x)));
            Assert.Equal(mcp.Prox(x, step), cel0.Prox(x, step), 1e-9);
            Assert.Equal(mcp.SubdifferentialDistance(x, 0.3), cel0.SubdifferentialDistance(x, 0.3), 1e-12);
            Assert.Equal(mcp.SubdifferentialDistance(0, 1.1), cel0.SubdifferentialDistance(0, 1.1), 1e-12);
        }
    }

    [Fact]
    public void Cel0_is_never_above_l0_and_equal_beyond_the_knee()
    {
        var cel0 = new Cel0(0.27);
        var l0 = new L0(0.27);
        Assert.Equal(Math.Sqrt(0.54), cel0.Knee, 15);
        for (double x = -3; x <= 3; x += 1.0 / 512)
        {
            Assert.True(cel0.Value(x) <= l0.Value(x) + 1e-15);
            if (x == 0 || Math.Abs(x) >= cel0.Knee) Assert.Equal(l0.Value(x), cel0.Value(x), 15);
            else Assert.True(cel0.Value(x) < l0.Value(x));
        }
    }

    [Fact]
    public void Refuses_bad_parameters()
    {
        foreach (double bad in (double[])[0, -1, double.NaN, double.PositiveInfinity])
        {
            foreach (string name in PenaltyCases.Names)
            {
                var e = Assert.Throws<ArgumentOutOfRangeException>(() => PenaltyCases.Create(name, bad));
                Assert.Equal("strength", e.ParamName);
                Assert.Throws<ArgumentOutOfRangeException>(() => PenaltyCases.Create(name, 1).Prox(1.0, bad));
            }

            Assert.Throws<ArgumentOutOfRangeException>(() => new Cel0(1, bad));
            Assert.Throws<ArgumentOutOfRangeException>(() => new Mcp(1, bad));
            Assert.Throws<ArgumentOutOfRangeException>(() => new LogSum(1, bad));
            Assert.Throws<ArgumentOutOfRangeException>(() => new ElasticNet(1, bad));
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => new Scad(1, 2));
        Assert.Contains("a > 1 + step", Assert.Throws<ArgumentOutOfRangeException>(() => new Scad(1, 2.5).Prox(1.0, 1.5)).Message);
        Assert.Contains("gamma > step", Assert.Throws<ArgumentOutOfRangeException>(() => new Mcp(1, 2).Prox(1.0, 2)).Message);
        Assert.Throws<ArgumentException>(() => new L1(1).Prox<double>(new double[3], 1, new double[4]));
    }

    private static void AssertMinimizer(ISeparablePenalty penalty, double z, double step)
    {
        double x = penalty.Prox(z, step), best = BruteForce.Minimize(v => Objective(penalty, v, z, step), -Math.Abs(z) - 1, Math.Abs(z) + 1);
        double gap = Objective(penalty, x, z, step) - Objective(penalty, best, z, step);
        Assert.True(gap <= 1e-10, $"{penalty} z={z:R} t={step:R}: prox {x:R}, grid {best:R}, worse by {gap:E2}");

        // Two minimizers tie at the jump; elsewhere the argument itself must agree.
        if (gap > -1e-7 && Math.Abs(x - best) > 1e-4)
        {
            double cut = PenaltyCases.Cut(penalty, step);
            Assert.True(Math.Abs(Math.Abs(z) - cut) < 2e-3 * cut, $"{penalty} z={z:R} t={step:R}: prox {x:R}, grid {best:R}");
        }
    }

    private static double Objective(ISeparablePenalty penalty, double x, double z, double step)
        => (x - z) * (x - z) / 2 + step * penalty.Value(x);
}
