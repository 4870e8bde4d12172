using Sparseland.Penalties;

namespace Sparseland.Tests.Penalties;

public class NonNegativeTests
{
    public static TheoryData<string> Cases() => PenaltyCases.All();

    [Theory]
    [MemberData(nameof(Cases))]
    public void Prox_minimizes_over_the_half_line(string name)
    {
        var random = new Random(24);
        double[] result = new double[1];
        for (int trial = 0; trial < 100; trial++)
        {
            ISeparablePenalty inner = PenaltyCases.Create(name, Math.Exp(random.NextDouble() * 4 - 3));
            var penalty = new NonNegative(inner);
            double step = 0.02 + 0.9 * random.NextDouble(), z = 8 * random.NextDouble() - 4;
            penalty.Prox<double>([z], step, result);
            double Objective(double x) => x < 0 ? double.PositiveInfinity : (x - z) * (x - z) / 2 + step * inner.Value(x);
            double best = BruteForce.Minimize(Objective, 0, Math.Abs(z) + 1);
            Assert.True(Objective(result[0]) <= Objective(best) + 1e-10);
            penalty.SubdifferentialDistance<double>(result, [(result[0] - z) / step], result);
            Assert.InRange(result[0], 0, 1e-8);
        }
    }

    [Fact]
    public void Is_infinite_below_zero()
    {
        var penalty = new NonNegative(new L1(2));
        Assert.Equal(double.PositiveInfinity, penalty.Value<double>([1, -1e-9]));
        Assert.Equal(6, penalty.Value<double>([1, 2]));
        double[] result = new double[3];
        penalty.SubdifferentialDistance<double>([-1, 0, 0], [0, 5, -5], result);
        Assert.Equal([double.PositiveInfinity, 0, 3], result);
        Assert.Equal("non-negative l1", penalty.Name);
        Assert.Equal(1.5, penalty.LargestUsefulStrength([7, -1.5]));
    }
}
