using Sparseland.Penalties;

namespace Sparseland.Tests.Penalties;

public class GroupTests
{
    private static readonly GroupPartition Groups = GroupPartition.FromLabels([0, 1, 0, 1, 1, 2]);

    public static TheoryData<string> Names() =>
        ["group", "sparse group", "non-negative group", "non-negative sparse group", "envelope", "envelope of one", "non-negative envelope"];

    // No strength makes the envelope zero: see GroupEnvelopeTests.
    public static TheoryData<string> NamesWithLargest() => ["group", "sparse group", "non-negative group", "non-negative sparse group"];

    [Theory]
    [MemberData(nameof(Names))]
    public void Prox_minimizes_against_random_and_descending_search(string name)
    {
        var random = new Random(22);
        for (int trial = 0; trial < 60; trial++)
        {
            IPenalty penalty = Create(name, 0.2 + random.NextDouble());
            double step = 0.1 + random.NextDouble();
            double[] z = [.. Enumerable.Range(0, 6).Select(_ => 4 * random.NextDouble() - 2)], x = new double[6];
            penalty.Prox<double>(z, step, x);
            double value = Objective(penalty, x, z, step);

            // A shrinking random search from three starts: it needs no derivative and knows nothing of groups.
            double[][] starts = [[.. z.Select(v => Math.Max(0, v))], new double[6], [.. x]];
            double[] found = [.. starts.Select(start => Search(start, name.StartsWith("non", StringComparison.Ordinal)))];
            Assert.All(found, best => Assert.True(value <= best + 1e-12));
            Assert.InRange(Math.Min(found[0], found[1]) - value, -1e-12, 0.02);

            double Search(double[] y, bool nonNegative)
            {
                double best = Objective(penalty, y, z, step);
                for (double radius = 1; radius > 1e-6; radius *= 0.85)
                {
                    for (int probe = 0; probe < 60; probe++)
                    {
                        double[] candidate = [.. y.Select(v => v + radius * (2 * random.NextDouble() - 1))];
                        if (random.Next(3) == 0) candidate[random.Next(6)] = 0;
                        if (nonNegative) candidate = [.. candidate.Select(v => Math.Max(0, v))];
                        double reached = Objective(penalty, candidate, z, step);
                        if (reached < best) (y, best) = (candidate, reached);
                    }
                }

                return best;
            }

            double[] gradient = [.. x.Zip(z, (a, b) => (a - b) / step)], distance = new double[6];
            penalty.SubdifferentialDistance<double>(x, gradient, distance);
            Assert.All(distance, d => Assert.InRange(d, 0, 1e-10));
            if (x.All(v => v == 0)) continue;
            int active = Array.FindIndex(x, v => v != 0);
            x[active] *= 1.01;
            gradient[active] = (x[active] - z[active]) / step;
            penalty.SubdifferentialDistance<double>(x, gradient, distance);
            Assert.True(distance.Max() > 1e-6);
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Prox_is_non_expansive(string name)
    {
        var random = new Random(23);
        IPenalty penalty = Create(name, 0.7);
        for (int trial = 0; trial < 200; trial++)
        {
            double[] a = [.. Enumerable.Range(0, 6).Select(_ => 4 * random.NextDouble() - 2)];
            double[] b = [.. Enumerable.Range(0, 6).Select(_ => 4 * random.NextDouble() - 2)];
            double before = Distance(a, b);
            penalty.Prox<double>(a, 0.6, a);
            penalty.Prox<double>(b, 0.6, b);
            Assert.True(Distance(a, b) <= before * (1 + 1e-12));
        }

        static double Distance(double[] a, double[] b) => Math.Sqrt(a.Zip(b, (x, y) => (x - y) * (x - y)).Sum());
    }

    [Theory]
    [MemberData(nameof(NamesWithLargest))]
    public void Largest_useful_strength_is_where_zero_begins_to_stay(string name)
    {
        double[] gradient = [0.3, -1.7, 0.9, 0.2, -0.8, -0.1], result = new double[6];
        double largest = Create(name, 1).LargestUsefulStrength(gradient);
        double[] z = [.. gradient.Select(g => -0.5 * g)];
        Create(name, largest * (1 + 1e-9)).Prox<double>(z, 0.5, result);
        Assert.All(result, v => Assert.Equal(0, v));
        Create(name, largest * (1 - 1e-9)).Prox<double>(z, 0.5, result);
        Assert.Contains(result, v => v != 0);
        Assert.Equal(largest, Create(name, 1).WithStrength(largest).LargestUsefulStrength(gradient), 12);
    }

    [Fact]
    public void Group_lasso_of_single_coefficients_is_l1()
    {
        double[] z = [-1, 0.2, 3], a = new double[3], b = new double[3];
        var group = new GroupLasso(GroupPartition.Consecutive(3, 1), 0.4);
        group.Prox<double>(z, 0.9, a);
        new L1(0.4).Prox<double>(z, 0.9, b);
        for (int i = 0; i < 3; i++) Assert.Equal(b[i], a[i], 14);
        Assert.Equal(new L1(0.4).Value<double>(z), group.Value<double>(z), 14);
        float[] single = [-1, 0.2f, 3];
        group.Prox<float>(single, 0.9, single);
        Assert.Equal((float)b[2], single[2], 1e-6f);
    }

    [Fact]
    public void Partitions_cover_every_index_once()
    {
        Assert.Equal(3, Groups.Count);
        Assert.Equal([1, 3, 4], Groups.Members(1).ToArray());
        GroupPartition runs = GroupPartition.Consecutive(7, 3);
        Assert.Equal([6], runs.Members(2).ToArray());
        Assert.Equal(3, runs.Count);
        Assert.Throws<ArgumentException>(() => GroupPartition.FromLabels([]));
        Assert.Contains("label 1", Assert.Throws<ArgumentException>(() => GroupPartition.FromLabels([0, 2, 0])).Message);
        Assert.Contains("labels[1] is -1", Assert.Throws<ArgumentException>(() => GroupPartition.FromLabels([0, -1])).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => GroupPartition.Consecutive(0, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => GroupPartition.Consecutive(1, 0));
    }

    [Fact]
    public void Refuses_bad_parameters()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new GroupLasso(Groups, 0));
        Assert.Throws<ArgumentException>(() => new GroupLasso(Groups, 1, [1, 1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new GroupLasso(Groups, 1, [1, 0, 1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SparseGroupLasso(Groups, 1, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SparseGroupLasso(Groups, 1, 1));
        Assert.Throws<ArgumentNullException>(() => new GroupLasso(null!, 1));
        Assert.Contains("partition 6", Assert.Throws<ArgumentException>(() => new GroupLasso(Groups, 1).Value<double>(new double[5])).Message);
        double[] bad = [0, 0, double.NaN, 0, 0, 0], result = new double[6];
        new GroupLasso(Groups, 1).Prox<double>(bad, 1, result);
        Assert.True(double.IsNaN(result[2]));
    }

    private static IPenalty Create(string name, double strength) => name switch
    {
        "group" => new GroupLasso(Groups, strength),
        "sparse group" => new SparseGroupLasso(Groups, strength, 0.4, [1, 1.3, 0.7]),
        "envelope" => new GroupEnvelope(Groups, 2, strength, [1, 1.7, 0.6]),
        "envelope of one" => new GroupEnvelope(Groups, 1, strength),
        "non-negative envelope" => new NonNegative(new GroupEnvelope(Groups, 1, strength, [1, 0.5, 2])),
        "non-negative group" => new NonNegative(new GroupLasso(Groups, strength)),
        _ => new NonNegative(new SparseGroupLasso(Groups, strength, 0.4)),
    };

    private static double Objective(IPenalty penalty, double[] x, double[] z, double step)
        => x.Zip(z, (a, b) => (a - b) * (a - b)).Sum() / 2 + step * penalty.Value<double>(x);
}
