using FsCheck;
using FsCheck.Fluent;
using Sparseland.Penalties;
using Sparseland.Solvers;
using Sparseland.Tests.Coding;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Penalties;

public class GroupEnvelopeTests
{
    [Fact]
    public void The_envelope_lies_below_the_function_and_touches_it_at_k_groups()
    {
        var random = new Random(1);
        for (int trial = 0; trial < 400; trial++)
        {
            int m = 1 + random.Next(9), k = 1 + random.Next(m);
            double[] d = Positive(random, m), x = Sparse(random, m, 0.4);
            double squares = Half(x, d), value = EnvelopeLevel.Value(x, k, d);
            Assert.True(x.Count(v => v > 0) > k || Math.Abs(value - squares) <= 1e-12 * (1 + squares));
            Assert.True(value >= squares * (1 - 1e-12), "not below the square: u is at most 1");
            Assert.Equal(squares, EnvelopeLevel.Value(x, m, d), 1e-12 * (1 + squares));
            double sum = x.Sum();
            Assert.Equal(sum * sum / 2, EnvelopeLevel.Value(x, 1), 1e-12 * (1 + (sum * sum)));

            // GS_k <= gs_k, which is the square with at most k groups: so every mixture of k-sparse points lies above.
            double[] mixture = new double[m];
            double above = 0;
            double[] shares = Positive(random, 4);
            foreach (double share in shares.Select(s => s / shares.Sum()))
            {
                double[] point = KSparse(random, m, k);
                above += share * Half(point, d);
                for (int j = 0; j < m; j++) mixture[j] += share * point[j];
            }

            Assert.True(EnvelopeLevel.Value([.. mixture.Select(Math.Abs)], k, d) <= above * (1 + 1e-12));
        }
    }

    [Fact]
    public void The_envelope_is_half_the_squared_k_support_norm()
    {
        // Argyriou, Foygel and Srebro 2012, proposition 2.1: the largest magnitudes squared, the rest summed and shared.
        var random = new Random(2);
        for (int trial = 0; trial < 400; trial++)
        {
            int m = 2 + random.Next(12), k = 1 + random.Next(m);
            double[] x = Sparse(random, m, 0.2);
            if (trial % 4 == 0) x = [.. x.Select(v => Math.Round(3 * v))];
            double expected = KSupport(x, k);
            Assert.Equal(expected / 2, EnvelopeLevel.Value(x, k), 1e-12 * (1 + expected));
            double[] signed = [.. x.Select(v => random.Next(2) == 0 ? v : -v)];
            var penalty = new GroupEnvelope(GroupPartition.Consecutive(m, 1), k, 0.7);
            Assert.Equal(0.35 * expected, penalty.Value<double>(signed), 1e-12 * (1 + expected));
        }
    }

    [Fact]
    public void Value_meets_its_bounds_from_both_sides()
    {
        // Any budget is an upper bound; any y gives <x, y> - 1/2 (sum of the k largest y^2/d) as a lower one. Both are met.
        var random = new Random(3);
        for (int trial = 0; trial < 200; trial++)
        {
            int m = 2 + random.Next(20), k = 1 + random.Next(m);
            double[] d = Positive(random, m), x = Sparse(random, m, 0.2), u = new double[m];
            double theta = EnvelopeLevel.Of(x, k, 0, d), value = EnvelopeLevel.Value(x, k, d);
            EnvelopeLevel.Budgets(x, theta, 0, u, d);
            Assert.True(u.Sum() <= k + 1e-10 && u.All(v => v is >= 0 and <= 1));
            double upper = Enumerable.Range(0, m).Where(j => x[j] > 0).Sum(j => d[j] * x[j] * x[j] / u[j]) / 2;
            double[] y = [.. Enumerable.Range(0, m).Select(j => x[j] == 0 ? 0 : d[j] * x[j] / u[j])];
            double lower = y.Zip(x, (a, b) => a * b).Sum() - (y.Select((v, j) => v * v / d[j]).OrderDescending().Take(k).Sum() / 2);
            Assert.Equal(value, upper, 1e-12 * (1 + value));
            Assert.Equal(value, lower, 1e-12 * (1 + value));
        }
    }

    [Fact]
    public void Prox_beats_a_thousand_neighbours_and_spends_the_whole_budget()
    {
        var random = new Random(4);
        GroupPartition groups = GroupPartition.FromLabels([0, 3, 1, 1, 2, 0, 3, 4, 2, 2, 5, 5]);
        for (int trial = 0; trial < 20; trial++)
        {
            int k = 1 + random.Next(5);
            double step = Math.Exp((4 * random.NextDouble()) - 2);
            double[] d = Positive(random, 6), z = Normal(random, 12), x = new double[12], u = new double[6];
            var penalty = new GroupEnvelope(groups, k, 0.8, d);
            penalty.Prox<double>(z, step, x);
            double best = Objective(x);
            for (int probe = 0; probe < 1000; probe++)
            {
                double size = Math.Pow(10, -6 * random.NextDouble());
                Assert.True(best <= Objective([.. x.Select(v => v + (size * ((2 * random.NextDouble()) - 1)))]) + 1e-14);
            }

            double[] norms = [.. Enumerable.Range(0, 6).Select(g => Math.Sqrt(groups.Members(g).ToArray().Sum(i => z[i] * z[i])))];
            EnvelopeLevel.Budgets(norms, EnvelopeLevel.Of(norms, k, 0.8 * step, d), 0.8 * step, u, d);
            Assert.Equal(k, u.Sum(), 1e-10);

            // And the optimality condition, which knows nothing of the algorithm.
            double[] distance = new double[12];
            penalty.SubdifferentialDistance<double>(x, [.. x.Zip(z, (a, b) => (a - b) / step)], distance);
            Assert.All(distance, v => Assert.InRange(v, 0, 1e-11));

            double Objective(double[] y) => (y.Zip(z, (a, b) => (a - b) * (a - b)).Sum() / 2) + (step * penalty.Value<double>(y));
        }
    }

    [Fact]
    public void Prox_is_firmly_non_expansive()
    {
        var random = new Random(5);
        var penalty = new GroupEnvelope(GroupPartition.Consecutive(12, 2), 2, 0.9, [1, 2, 0.5, 1, 3, 1]);
        for (int trial = 0; trial < 500; trial++)
        {
            double[] a = Normal(random, 12), b = trial % 2 == 0 ? Normal(random, 12) : [.. a.Select(v => v + (0.1 * random.NextDouble()))];
            double[] p = new double[12], q = new double[12];
            penalty.Prox<double>(a, 0.6, p);
            penalty.Prox<double>(b, 0.6, q);
            double square = p.Zip(q, (x, y) => (x - y) * (x - y)).Sum(), inner = 0;
            for (int i = 0; i < 12; i++) inner += (p[i] - q[i]) * (a[i] - b[i]);
            Assert.True(square <= inner + 1e-14);
        }
    }

    [Fact]
    public void The_ratio_condition_decides_exact_selection()
    {
        double[] v = [5, 4, 1, 0.5], u = new double[4], x = new double[4];
        EnvelopeLevel.Budgets(v, EnvelopeLevel.Of(v, 2, 0.3), 0.3, u);
        new GroupEnvelope(GroupPartition.Consecutive(4, 1), 2, 1).Prox<double>(v, 0.3, x);
        Assert.Equal(0.0625, x[2], 1e-15);
        Assert.Equal(0, x[3]);
        new GroupEnvelope(GroupPartition.Consecutive(4, 1), 2, 0.4).Prox<double>(v, 1, x);
        Assert.Equal([5 / 1.4, 4 / 1.4, 0, 0], x);

        var random = new Random(6);
        int exact = 0;
        for (int trial = 0; trial < 1000; trial++)
        {
            int m = 2 + random.Next(8), k = 1 + random.Next(m - 1);
            double lambda = Math.Exp((6 * random.NextDouble()) - 3);
            double[] z = [.. Normal(random, m).Select(Math.Abs)], scales = new double[m];
            EnvelopeLevel.Scales(z, k, lambda, scales);
            double[] sorted = [.. z.OrderDescending()];
            bool condition = sorted[k - 1] / sorted[k] >= (1 + lambda) / lambda;
            Assert.Equal(condition, scales.Count(s => s > 0) == k);
            exact += condition ? 1 : 0;
        }

        Assert.InRange(exact, 200, 800);
    }

    [Fact]
    public void Selection_gives_what_sorted_breakpoints_give()
    {
        var random = new Random(7);
        for (int trial = 0; trial < 300; trial++)
        {
            int m = 2 + random.Next(trial % 10 == 0 ? 800 : 40), k = 1 + random.Next(m);
            double lambda = Math.Pow(10, (8 * random.NextDouble()) - 5);
            double[] d = trial % 3 == 0 ? [.. Enumerable.Repeat(1.0, m)] : Positive(random, m);
            double[] z = Sparse(random, m, trial % 5 == 0 ? 0.5 : 0.05);
            if (trial % 4 == 0) z = [.. z.Select(v => Math.Round(2 * v))];
            if (trial % 7 == 0) z = [.. z.Select(v => v * Math.Pow(10, (12 * random.NextDouble()) - 6))];
            double[] scales = new double[m], expected = Sorted(z, k, lambda, d);
            EnvelopeLevel.Scales(z, k, lambda, scales, d);
            for (int j = 0; j < m; j++) Assert.Equal(expected[j], scales[j], 1e-10);
        }
    }

    [Fact]
    public void Extremes_of_size_do_no_harm()
    {
        double[] scales = new double[4];
        EnvelopeLevel.Scales([1e-300, 2e-300, 3e-300, 0], 2, 0.5, scales);
        double[] expected = new double[4];
        EnvelopeLevel.Scales([1, 2, 3, 0], 2, 0.5, expected);
        for (int j = 0; j < 4; j++) Assert.Equal(expected[j], scales[j], 1e-12);
        EnvelopeLevel.Scales([1, 1, 1, 1], 2, 1e-300, scales);
        Assert.All(scales, s => Assert.Equal(1, s, 1e-12));
        EnvelopeLevel.Scales([3, 2, 1, 0.1], 2, 1e12, scales);
        Assert.All(scales[2..], s => Assert.Equal(0, s));
        Assert.All(scales[..2], s => Assert.Equal(1e-12, s, 1e-15));
        Assert.Equal(0, EnvelopeLevel.Value([0, 0, 0], 1));
        EnvelopeLevel.Scales([0, 0, 0, 0], 2, 1, scales);
        Assert.All(scales, s => Assert.Equal(0, s));
    }

    [Fact]
    public void Prox_grows_with_its_argument_and_value_with_the_square()
    {
        // Positive homogeneity: the envelope is half of a squared norm.
        Prop.ForAll(
            Gen.Choose(1, 1000).Select(i => i / 50.0).ArrayOf(7).ToArbitrary(),
            Gen.Choose(1, 100).Select(i => i / 10.0).ToArbitrary(),
            (norms, factor) =>
            {
                double[] scaled = [.. norms.Select(n => factor * n)], a = new double[7], b = new double[7];
                EnvelopeLevel.Scales(norms, 3, 0.7, a);
                EnvelopeLevel.Scales(scaled, 3, 0.7, b);
                double value = EnvelopeLevel.Value(norms, 3), large = EnvelopeLevel.Value(scaled, 3);
                return a.Zip(b, (x, y) => Math.Abs(x - y)).Max() < 1e-10 && Math.Abs((factor * factor * value) - large) < 1e-10 * large;
            }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Scattered_groups_single_precision_and_work_in_place_give_the_same()
    {
        var random = new Random(8);
        double[] z = Normal(random, 60), x = new double[60], moved = new double[60];
        var runs = new GroupEnvelope(GroupPartition.Consecutive(60, 5), 4, 0.3);
        runs.Prox<double>(z, 0.9, x);

        // Coefficient i goes to place 7 i mod 60: the groups are no longer runs.
        int[] labels = new int[60];
        for (int i = 0; i < 60; i++) labels[7 * i % 60] = i / 5;
        for (int i = 0; i < 60; i++) moved[7 * i % 60] = z[i];
        var scattered = new GroupEnvelope(GroupPartition.FromLabels(labels), 4, 0.3);
        Assert.Equal(runs.Value<double>(z), scattered.Value<double>(moved), 1e-12);
        scattered.Prox<double>(moved, 0.9, moved);
        for (int i = 0; i < 60; i++) Assert.Equal(x[i], moved[7 * i % 60], 1e-13);
        float[] single = [.. z.Select(v => (float)v)];
        runs.Prox<float>(single, 0.9, single);
        for (int i = 0; i < 60; i++) Assert.Equal(x[i], single[i], 1e-6);
        Assert.Equal(x.Select(v => v == 0), single.Select(v => v == 0));

        using var scope = NewDisposeScope();
        Tensor rows = tensor(z).repeat(3).reshape(3, 60);
        Assert.Equal(x, runs.Prox(rows, 0.9)[2].data<double>().ToArray());
    }

    [Fact]
    public void A_call_takes_nothing_from_the_heap()
    {
        double[] z = Normal(new Random(9), 3000), x = new double[3000];
        var penalty = new GroupEnvelope(GroupPartition.Consecutive(3000, 10), 40, 0.3);
        for (int i = 0; i < 3; i++) penalty.Prox<double>(z, 0.9, x);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 20; i++) penalty.Prox<double>(z, 0.9, x);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 2000);
    }

    [Fact]
    public void No_strength_keeps_all_groups_at_zero()
    {
        double[] z = [0.5, -0.3, 1, 2], x = new double[4];
        GroupPartition groups = GroupPartition.Consecutive(4, 2);
        Assert.Equal(double.PositiveInfinity, new GroupEnvelope(groups, 1, 1).LargestUsefulStrength(z));
        Assert.Equal(0, new GroupEnvelope(groups, 1, 1).LargestUsefulStrength([0, 0, 0, 0]));
        new GroupEnvelope(groups, 1, 1e9).Prox<double>(z, 1, x);
        Assert.Equal(2, x.Count(v => v != 0));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(9)]
    public void Proximal_gradient_takes_it_and_ends_at_its_optimum(int k)
    {
        using Tensor D = CodingData.Dictionary(36, 20, 3), x = CodingData.Random(1, 20, 4);
        LeastSquares fit = LeastSquares.FromAtoms(D, x[0]);
        var penalty = new GroupEnvelope(GroupPartition.Consecutive(36, 4), k, 0.2);
        SolveResult result = new ProximalGradient(Acceleration.FistaRestart, new SolverOptions { Tolerance = 1e-10 }).Solve(fit, penalty);
        Assert.True(result.Converged);
        double[] atoms = D.data<double>().ToArray(), target = x.data<double>().ToArray();
        double best = Objective(result.Coefficients);
        Assert.Equal(result.Objective, best, 1e-10);
        var random = new Random(10);
        for (int probe = 0; probe < 500; probe++)
        {
            double size = Math.Pow(10, -5 * random.NextDouble());
            Assert.True(best <= Objective([.. result.Coefficients.Select(v => v + (size * ((2 * random.NextDouble()) - 1)))]) + 1e-12);
        }

        Assert.Contains("couples", Assert.Throws<ArgumentException>(() => new CoordinateDescent().Solve(fit, penalty)).Message);

        double Objective(double[] a)
        {
            double sum = 0;
            for (int f = 0; f < 20; f++)
            {
                double rest = target[f];
                for (int j = 0; j < 36; j++) rest -= a[j] * atoms[(j * 20) + f];
                sum += rest * rest;
            }

            return (sum / 2) + penalty.Value<double>(a);
        }
    }

    [Fact]
    public void Refuses_what_has_no_meaning()
    {
        GroupPartition groups = GroupPartition.Consecutive(6, 2);
        Assert.Contains("from 1 to 3", Assert.Throws<ArgumentOutOfRangeException>(() => new GroupEnvelope(groups, 0, 1)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => new GroupEnvelope(groups, 4, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new GroupEnvelope(groups, 1, -0.1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new GroupEnvelope(groups, 1, double.NaN));
        Assert.Contains("weights[1]", Assert.Throws<ArgumentOutOfRangeException>(() => new GroupEnvelope(groups, 1, 1, [1, 0, 1])).Message);
        Assert.Throws<ArgumentException>(() => new GroupEnvelope(groups, 1, 1, [1, 1]));
        Assert.Throws<ArgumentNullException>(() => new GroupEnvelope(null!, 1, 1));
        var penalty = new GroupEnvelope(groups, 1, 1);
        Assert.Contains("partition 6", Assert.Throws<ArgumentException>(() => penalty.Value<double>(new double[5])).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => penalty.Prox<double>(new double[6], 0, new double[6]));
        Assert.Throws<ArgumentException>(() => penalty.Prox<double>(new double[6], 1, new double[5]));
        Assert.Contains("norms[1] is NaN", Assert.Throws<ArgumentException>(() => EnvelopeLevel.Value([1, double.NaN], 1)).Message);
        Assert.Throws<ArgumentException>(() => EnvelopeLevel.Value([1, -1], 1));
        Assert.Throws<ArgumentException>(() => EnvelopeLevel.Value([], 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => EnvelopeLevel.Of([1, 2], 1, -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => EnvelopeLevel.Scales([1, 2], 1, 0, new double[2]));
        Assert.Throws<ArgumentOutOfRangeException>(() => EnvelopeLevel.Budgets([1, 2], double.NaN, 0, new double[2]));

        // NaN in gives NaN out, in every group: they share the level.
        double[] x = [1, 2, double.NaN, 0, 3, 4];
        penalty.Prox<double>(x, 1, x);
        Assert.All(x, v => Assert.True(double.IsNaN(v)));
        Assert.True(double.IsNaN(penalty.Value<double>(x)));
    }

    private static double Half(double[] x, double[] d) => x.Zip(d, (v, w) => w * v * v).Sum() / 2;

    private static double[] Positive(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => 0.2 + (2 * random.NextDouble()))];

    private static double[] Sparse(Random random, int count, double zeros)
        => [.. Enumerable.Range(0, count).Select(_ => random.NextDouble() < zeros ? 0 : 3 * random.NextDouble())];

    private static double[] KSparse(Random random, int m, int k)
    {
        double[] x = new double[m];
        foreach (int j in Enumerable.Range(0, m).OrderBy(_ => random.Next()).Take(k)) x[j] = (4 * random.NextDouble()) - 2;
        return x;
    }

    private static double[] Normal(Random random, int count)
        => [.. Enumerable.Range(0, count).Select(_ => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()))];

    private static double KSupport(double[] x, int k)
    {
        double[] z = [double.PositiveInfinity, .. x.OrderDescending()];
        for (int r = 0; r < k; r++)
        {
            double rest = z[(k - r)..].Sum();
            if (z[k - r - 1] > rest / (r + 1) && rest / (r + 1) >= z[k - r] - 1e-15)
                return z[1..(k - r)].Sum(v => v * v) + (rest * rest / (r + 1));
        }

        throw new InvalidOperationException("No r fits.");
    }

    /// <summary>The textbook way: sort all breakpoints of tau, find the piece, interpolate.</summary>
    private static double[] Sorted(double[] z, int k, double lambda, double[] d)
    {
        double[] a = [.. z.Select((v, j) => Math.Sqrt(d[j]) * v)];
        int[] live = [.. Enumerable.Range(0, a.Length).Where(j => a[j] > 0)];
        double Total(double tau) => live.Sum(j => Math.Clamp((tau * a[j]) - (lambda * d[j]), 0, 1));
        if (live.Length <= k) return [.. a.Select((v, j) => v == 0 ? 0 : 1 / (1 + (lambda * d[j])))];
        double[] points = [.. live.SelectMany(j => new[] { lambda * d[j] / a[j], (1 + (lambda * d[j])) / a[j] }).Order()];
        int low = 0, high = points.Length - 1;
        while (high - low > 1)
        {
            int middle = (low + high) / 2;
            if (Total(points[middle]) < k) low = middle;
            else high = middle;
        }

        double from = Total(points[low]), to = Total(points[high]);
        double tau = to == from ? points[high] : points[low] + ((k - from) / (to - from) * (points[high] - points[low]));
        return [.. a.Select((v, j) => Math.Clamp((tau * v) - (lambda * d[j]), 0, 1)).Select((u, j) => u / (u + (lambda * d[j])))];
    }
}
