using Sparseland.Penalties;

namespace Sparseland.Tests.Penalties;

public class SubdifferentialTests
{
    public static TheoryData<string> Cases() => PenaltyCases.All();

    [Theory]
    [MemberData(nameof(Cases))]
    public void Is_zero_at_a_prox_fixed_point_and_positive_off_it(string name)
    {
        var random = new Random(21);
        for (int trial = 0; trial < 200; trial++)
        {
            ISeparablePenalty penalty = PenaltyCases.Create(name, Math.Exp(3 * random.NextDouble() - 3));
            double step = 0.05 + 0.9 * random.NextDouble(), z = 8 * random.NextDouble() - 4, x = penalty.Prox(z, step);

            // x minimizes 1/2 (v - z)^2/t + pen(v), whose smooth part has gradient (v - z)/t.
            Assert.True(penalty.SubdifferentialDistance(x, (x - z) / step) <= 1e-9 * (1 + Math.Abs(z) / step));
            if (x == 0) continue;
            double off = x * (1 + 1e-3);
            Assert.True(penalty.SubdifferentialDistance(off, (off - z) / step) > 1e-8);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Is_the_derivative_where_there_is_one(string name)
    {
        ISeparablePenalty penalty = PenaltyCases.Create(name, 0.4);
        foreach (double x in (double[])[-2.3, -0.31, 0.17, 0.9, 1.9])
        {
            const double h = 1e-6;
            double slope = (penalty.Value(x + h) - penalty.Value(x - h)) / (2 * h);
            Assert.Equal(Math.Abs(0.25 + slope), penalty.SubdifferentialDistance(x, 0.25), 1e-7);
        }
    }

    [Fact]
    public void At_zero_it_is_what_the_gradient_has_beyond_the_slope()
    {
        Assert.Equal(0.2, new L1(0.5).SubdifferentialDistance(0, -0.7), 15);
        Assert.Equal(0, new L1(0.5).SubdifferentialDistance(0, 0.5));
        Assert.Equal(0, new L0(0.5).SubdifferentialDistance(0, 100));
        Assert.Equal(1, new LogSum(0.5, 0.25).SubdifferentialDistance(0, 3), 15);
        Assert.Equal(1, new Cel0(0.5, 2).SubdifferentialDistance(0, 3), 15);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Fixed_point_residual_sees_what_should_be_active(string name)
    {
        ISeparablePenalty penalty = PenaltyCases.Create(name, 0.3);
        const double step = 0.5;
        double z = 1.5 * PenaltyCases.Cut(penalty, step), x = penalty.Prox(z, step);
        Assert.True(Optimality.FixedPointResidual<double>(penalty, [x], [(x - z) / step], step) < 1e-12);
        Assert.True(Optimality.FixedPointResidual<double>(penalty, [0.0], [-z / step], step) > 0.01 * z);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Largest_useful_strength_is_where_zero_begins_to_stay(string name)
    {
        double[] gradient = [0.3, -1.7, 0.9];
        foreach (double step in (double[])[0.05, 0.4])
        {
            double largest = PenaltyCases.Create(name, 1).LargestUsefulStrength(gradient, step);
            Assert.Equal(0, PenaltyCases.Create(name, largest * (1 + 1e-9)).Prox(1.7 * step, step));
            Assert.NotEqual(0, PenaltyCases.Create(name, largest * (1 - 1e-9)).Prox(1.7 * step, step));
            Assert.Equal(largest, PenaltyCases.Create(name, 2).WithStrength(largest).Strength);
        }

        Assert.Throws<ArgumentException>(() => PenaltyCases.Create(name, 1).LargestUsefulStrength([0, double.NaN]));
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Spans_are_sums_and_lists_of_the_scalars(string name)
    {
        ISeparablePenalty penalty = PenaltyCases.Create(name, 0.3);
        double[] x = [0, -0.4, 1.2, 0, 3], gradient = [0.5, 0.1, -0.2, -2, 0], result = new double[5];
        Assert.Equal(x.Sum(penalty.Value), penalty.Value<double>(x), 1e-13);
        penalty.SubdifferentialDistance<double>(x, gradient, result);
        for (int i = 0; i < x.Length; i++) Assert.Equal(penalty.SubdifferentialDistance(x[i], gradient[i]), result[i]);
    }
}
