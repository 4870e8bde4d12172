using Sparseland.Penalties;

namespace Sparseland.Tests.Penalties;

/// <summary>Every penalty over the whole range of exponents: nothing overflows, vanishes or loses digits inside where the answer is plain.</summary>
public class RangeTests
{
    public static TheoryData<string> Cases() => PenaltyCases.All();

    public static TheoryData<string> Concave() => [.. PenaltyCases.Names.Where(name => name != "elastic net")];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Large_numbers_keep_their_size(string name)
    {
        var random = new Random(31);
        for (int trial = 0; trial < 500; trial++)
        {
            ISeparablePenalty penalty = PenaltyCases.Create(name, Math.Pow(10, 6 * random.NextDouble() - 5));
            double ridge = penalty is ElasticNet net ? 1 / (1 + 0.4 * net.Ridge) : 1;
            float single = MathF.Pow(10, (float)(9 + 29 * random.NextDouble()));
            double wide = Math.Pow(10, 17 + 290 * random.NextDouble());
            AssertNear(single * ridge, penalty.Prox(single, 0.4), 1e-6);
            AssertNear(-wide * ridge, penalty.Prox(-wide, 0.4), 1e-14);
        }

        ISeparablePenalty one = PenaltyCases.Create(name, 0.3);
        foreach (double z in (double[])[double.MaxValue, float.MaxValue, 1e154, 1e218])
        {
            Assert.InRange(one.Prox(z, 0.3), z / 2, z);
            if (z <= float.MaxValue) Assert.InRange(one.Prox((float)z, 0.3), (float)z / 2, (float)z);
        }

        Assert.Equal(double.PositiveInfinity, one.Prox(double.PositiveInfinity, 0.3));
        Assert.Equal(float.NegativeInfinity, one.Prox(float.NegativeInfinity, 0.3));
    }

    /// <summary>Above the cut, concave penalties: x = z - t pen'(x), iterated from z, falls to the largest solution.</summary>
    [Theory]
    [MemberData(nameof(Concave))]
    public void Solves_its_equation_at_every_size(string name)
    {
        var random = new Random(32);
        for (int trial = 0; trial < 2000; trial++)
        {
            (ISeparablePenalty penalty, double step) = Draw(name, random, 30);
            float z = MathF.Pow(10, (float)(83 * random.NextDouble() - 45));
            Check(penalty, step, z, penalty.Prox(z, step), 1.2e-7, float.Epsilon);
            (penalty, step) = Draw(name, random, 140);
            double wide = Math.Pow(10, 600 * random.NextDouble() - 300);
            Check(penalty, step, wide, penalty.Prox(wide, step), 2.3e-16, double.Epsilon);
        }

        static void Check(ISeparablePenalty penalty, double step, double z, double x, double ulp, double least)
        {
            if (x == 0 || z == 0) return;
            double low = Largest(penalty, step, z * (1 - 12 * ulp)), high = Largest(penalty, step, z * (1 + 12 * ulp));
            Assert.True(
                x >= low * (1 - 12 * ulp) - 4 * least && x <= high * (1 + 12 * ulp) + 4 * least, $"{penalty} t={step:R} z={z:R}: {x:R} is not in [{low:R}, {high:R}]");
        }

        static double Largest(ISeparablePenalty penalty, double step, double z)
        {
            double x = z;
            for (int i = 0; i < 20_000 && x > 0; i++)
            {
                double next = z - step * penalty.SubdifferentialDistance(x, 0);
                if (next >= x) break;
                x = next;
            }

            return Math.Max(x, 0);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Single_precision_follows_double(string name)
    {
        var random = new Random(33);
        for (int trial = 0; trial < 3000; trial++)
        {
            (ISeparablePenalty penalty, double step) = Draw(name, random, 60);
            float z = MathF.Pow(10, (float)(83 * random.NextDouble() - 45));
            if (trial % 3 == 0 && Cut(penalty, step) is > 1e-36 and < 1e38) z = (float)(Cut(penalty, step) * (1 + Math.Pow(10, 4 * random.NextDouble() - 3)));
            const double ulp = 1.2e-7;
            double low = penalty.Prox(z * (1 - 12 * ulp), step), high = penalty.Prox(z * (1 + 12 * ulp), step), x = penalty.Prox(z, step);
            Assert.True(
                x >= low * (1 - 12 * ulp) - 4 * float.Epsilon && x <= high * (1 + 12 * ulp) + 4 * float.Epsilon, $"{penalty} t={step:R} z={z:R}: {x:R} is not in [{low:R}, {high:R}]");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_lane_gives_what_the_scalar_gives(string name)
    {
        var random = new Random(34);
        for (int trial = 0; trial < 300; trial++)
        {
            (ISeparablePenalty penalty, double step) = Draw(name, random, 40);
            float[] single = [.. Enumerable.Range(0, 37).Select(_ => MathF.Pow(10, (float)(84 * random.NextDouble() - 45)) * (1 - 2 * random.Next(2)))];
            double[] wide = [.. Enumerable.Range(0, 37).Select(_ => Math.Pow(10, 620 * random.NextDouble() - 310) * (1 - 2 * random.Next(2)))];
            (single[3], wide[3], single[36], wide[36]) = (float.MaxValue, double.MaxValue, float.NegativeInfinity, double.NegativeInfinity);
            float[] singleResult = new float[37];
            double[] result = new double[37];
            penalty.Prox<float>(single, step, singleResult);
            penalty.Prox<double>(wide, step, result);
            Assert.Equal(single.Select(z => penalty.Prox(z, step)), singleResult);
            Assert.Equal(wide.Select(z => penalty.Prox(z, step)), result);
        }
    }

    /// <summary>z -> s z with the strength that goes with it: prox and subgradient grow by s, values by s^2.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(10)]
    [InlineData(11)]
    public void Units_do_not_matter(int which)
    {
        var random = new Random(35);
        GroupPartition runs = GroupPartition.Consecutive(12, 3), scattered = GroupPartition.FromLabels([0, 3, 1, 1, 2, 0, 3, 0, 2, 2, 1, 3]);
        double[] weights = [.. Enumerable.Range(0, 12).Select(_ => 0.2 + random.NextDouble())];
        foreach (int power in (int[])[-450, -402, -240, -60, 60, 240, 402, 450])
        {
            double s = Math.ScaleB(1, power);
            IPenalty[] at1 = All(1), atS = All(s);
            for (int trial = 0; trial < 20; trial++)
            {
                double step = 0.1 + 0.8 * random.NextDouble();
                double[] z = [.. weights.Select(_ => trial == 0 ? 0 : 4 * random.NextDouble() - 2)], scaled = [.. z.Select(v => v * s)];
                double[] gradient = [.. z.Select(_ => 4 * random.NextDouble() - 2)];
                AssertScaled(Run(at1[which], z), Run(atS[which], scaled), s);
                AssertScaled(Distance(at1[which], z, gradient), Distance(atS[which], scaled, [.. gradient.Select(v => v * s)]), s);
                double value = at1[which].Value<double>(z), large = atS[which].Value<double>(scaled);
                Assert.Equal(value, large / s / s, 1e-12 * (1 + value));
                double most = at1[which].LargestUsefulStrength(gradient, step), mostScaled = atS[which].LargestUsefulStrength([.. gradient.Select(v => v * s)], step);
                if (!double.IsInfinity(most)) Assert.Equal(most / at1[which].Strength, mostScaled / atS[which].Strength, 1e-10 * most / at1[which].Strength);

                double[] Run(IPenalty penalty, double[] point)
                {
                    double[] x = new double[12];
                    penalty.Prox<double>(point, step, x);
                    return x;
                }
            }
        }

        static double[] Distance(IPenalty penalty, double[] x, double[] gradient)
        {
            double[] result = new double[12];
            penalty.SubdifferentialDistance<double>(x, gradient, result);
            return result;
        }

        static void AssertScaled(double[] expected, double[] actual, double s)
        {
            for (int i = 0; i < 12; i++) Assert.Equal(expected[i], actual[i] / s, 1e-12);
        }

        IPenalty[] All(double s) =>
        [
            new L1(0.3 * s), new L0(0.3 * s * s), new LHalf(0.3 * s * Math.Sqrt(s)), new LTwoThirds(0.3 * s * Math.Cbrt(s)), new Scad(0.3 * s), new Mcp(0.3 * s, 2.1),
            new Cel0(0.3 * s * s, 0.7), new LogSum(0.3 * s * s, 0.2 * s), new WeightedL1(0.3 * s, weights), new GroupLasso(runs, 0.3 * s), new SparseGroupLasso(scattered, 0.3 * s),
            new GroupEnvelope(scattered, 2, 0.3),
        ];
    }

    [Fact]
    public void Values_are_finite_where_the_answer_is()
    {
        Assert.Equal(0.5e-200 * 1e200 * 1e200, new ElasticNet(1e-300, 1e-200).Value(1e200), 1e187);
        Assert.Equal(1e190, new Mcp(1e-10, 1e300).Value(1e200), 1e176);
        Assert.Equal(1e190, new Scad(1e-10, 1e300).Value(1e200), 1e176);
        Assert.Equal(400 * Math.Log(10), new LogSum(1, 1e-200).Value(1e200), 1e-10);
        Assert.Equal(1e-170 * Math.Sqrt(2), new Cel0(1).Value(1e-170), 1e-184);
        Assert.Equal(Math.Sqrt(12) * 1e-10, new GroupLasso(GroupPartition.Consecutive(3, 3), 1e-210, [2]).Value<double>([1e200, -1e200, 1e200]), 1e-23);
        Assert.Equal(5e-1, new GroupEnvelope(GroupPartition.Consecutive(2, 1), 1, 1e-308).Value<double>([1e154, 0]), 1e-12);
        Assert.Equal(4e100, new WeightedL1(1e-300, [1e200, 1e200]).Value<double>([2e200, 2e200]), 1e87);
    }

    [Fact]
    public void A_tiny_epsilon_has_its_own_threshold()
    {
        // mu = 1: at the cut x ~ z and z^2/2 ~ log(z/epsilon).
        foreach (double epsilon in (double[])[1e-20, 1e-100, 1e-300])
        {
            double cut = Cut(new LogSum(1, epsilon), 1), x = new LogSum(1, epsilon).Prox(cut, 1);
            Assert.Equal(0, (x * (x / 2 - cut)) + Math.Log(x) - Math.Log(epsilon), 1e-9);
        }
    }

    private static (ISeparablePenalty Penalty, double Step) Draw(string name, Random random, double digits)
    {
        double strength = Math.Pow(10, digits * (2 * random.NextDouble() - 1)), step = Math.Pow(10, 2 * random.NextDouble() - 2);
        double other = Math.Pow(10, digits * (2 * random.NextDouble() - 1));
        return (name switch
        {
            "log-sum" or "log-sum jump" => new LogSum(strength, other),
            "elastic net" => new ElasticNet(strength, other),
            _ => PenaltyCases.Create(name, strength),
        }, step);
    }

    /// <summary>Largest |z| with prox 0, by bisection over the exponents.</summary>
    private static double Cut(ISeparablePenalty penalty, double step)
    {
        double low = -323, high = 308;
        for (int i = 0; i < 100; i++)
        {
            double middle = (low + high) / 2;
            if (penalty.Prox(Math.Pow(10, middle), step) == 0) low = middle;
            else high = middle;
        }

        return Math.Pow(10, high);
    }

    private static void AssertNear(double expected, double actual, double relative) => Assert.Equal(expected, actual, relative * Math.Abs(expected));

    /// <summary>A concave value through 0 lies above its slope times x and below any of its tangents; small numbers keep all digits.</summary>
    [Theory]
    [MemberData(nameof(Concave))]
    public void Values_agree_with_their_slopes_at_every_size(string name)
    {
        var random = new Random(35);
        for (int trial = 0; trial < 2000; trial++)
        {
            ISeparablePenalty penalty = PenaltyCases.Create(name, Math.Pow(10, 4 * random.NextDouble() - 2));
            double x = Math.Pow(10, 250 * random.NextDouble() - 200), near = Math.Pow(2, -random.Next(1, 60)) * x;
            Assert.InRange(penalty.Value(x), x * penalty.SubdifferentialDistance(x, 0) * (1 - 1e-14), (penalty.Value(near) + ((x - near) * penalty.SubdifferentialDistance(near, 0))) * (1 + 1e-14));
        }
    }
}
