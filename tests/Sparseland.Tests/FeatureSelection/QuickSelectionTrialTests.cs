using Sparseland.FeatureSelection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.FeatureSelection;

/// <summary>Attacks on the selection of features by another hand.</summary>
public sealed class QuickSelectionTrialTests : IDisposable
{
    private static readonly QuickSelectionOptions Small = new() { Hidden = 40, Epsilon = 4, BatchSize = 20 };
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Fact]
    public void An_epsilon_that_asks_for_no_connection_is_refused_and_one_beyond_all_is_cut()
    {
        Tensor X = randn([60, 10], generator: new Generator(1));
        Assert.Throws<ArgumentOutOfRangeException>("epsilon", () => QuickSelection.Select(X, 3, 2, Small with { Epsilon = 1e-3 }));
        FeatureRanking one = QuickSelection.Select(X, 3, 2, Small with { Epsilon = 0.02 }), all = QuickSelection.Select(X, 10, 2, Small with { Epsilon = 1e9 });
        Assert.Equal(10, all.Indices.Count);
        Assert.Equal(1, one.Strength.Count(s => s > 0));
        using SparseConnections full = SparseConnections.Draw(4, 5, 1e12, 0.1, 1);
        Assert.Equal(20, full.Support.Count);
        Assert.Throws<ArgumentOutOfRangeException>("deviation", () => SparseConnections.Draw(4, 5, 1, double.NaN, 1));
        Assert.Throws<ArgumentOutOfRangeException>("deviation", () => full.Evolve(0.2, -1, 1, 0));
        Assert.Throws<ArgumentOutOfRangeException>("share", () => full.Evolve(1, 0.1, 1, 0));

        // A full matrix has only the places that it just lost: nothing else can change.
        ConnectionChange change = full.Evolve(0.5, 0.1, 1, 0);
        Assert.Equal(change.Dropped, change.Grown);
    }

    [Fact]
    public void A_selection_does_not_depend_on_units_layout_type_or_offset()
    {
        Tensor X = randn([80, 12], dtype: ScalarType.Float64, generator: new Generator(2));
        FeatureRanking plain = QuickSelection.Select(X, 5, 3, Small);
        Tensor scale = tensor(Enumerable.Range(0, 12).Select(i => Math.Pow(10, (i % 2 == 0 ? 20 : -30))).ToArray());
        foreach (Tensor form in new[] { X.t().contiguous().t(), X * scale, (X + 1000) })
            Assert.Equal(plain.Indices, QuickSelection.Select(form, 5, 3, Small).Indices);
        Assert.Equal(plain.Strength, QuickSelection.Select(X, 5, 3, Small).Strength);
    }

    [Fact]
    public void Constant_features_are_never_chosen_and_all_others_can_be()
    {
        for (int seed = 1; seed <= 10; seed++)
        {
            Tensor X = randn([40, 9], generator: new Generator((ulong)seed));
            X[.., 2] = 1e8f + seed;
            X[.., 7] = 0;
            FeatureRanking found = QuickSelection.Select(X, 7, 2, Small with { Seed = seed });
            Assert.Equal([2, 7], found.Constant);
            Assert.Equal([0, 1, 3, 4, 5, 6, 8], found.Indices.Order());
            Assert.Equal(found.Indices.Select(i => found.Strength[i]).OrderDescending(), found.Indices.Select(i => found.Strength[i]));
            Assert.Throws<ArgumentOutOfRangeException>("count", () => QuickSelection.Select(X, 8, 2, Small));
        }
    }

    [Fact]
    public void Bad_tables_are_refused_by_name()
    {
        Tensor X = randn([40, 9], generator: new Generator(1));
        Tensor broken = X.clone();
        broken[3, 4] = double.PositiveInfinity;
        Assert.Contains("4", Assert.Throws<ArgumentException>("X", () => QuickSelection.Select(broken, 2)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("X", () => QuickSelection.Select(X, 2, 1, Small with { BatchSize = 41 }));
        Assert.Throws<ArgumentException>("X", () => QuickSelection.Select(zeros(0, 9), 2));
        Assert.Throws<ArgumentException>("X", () => QuickSelection.Select(X[0], 2));
        Assert.Throws<ArgumentOutOfRangeException>("count", () => QuickSelection.Select(X, 0));
        Assert.Throws<ArgumentOutOfRangeException>("count", () => QuickSelection.Select(X, 10));
        using SparselyConnectedAutoencoder network = new(9, Small);
        Assert.Throws<ArgumentException>("X", () => network.Fit(X.to(ScalarType.Float64).mul(1e300), 1));
        Assert.Throws<ArgumentException>("X", () => network.Fit(broken, 1));
        Assert.Equal(0, network.Steps);
        using SparselyConnectedAutoencoder fast = new(9, Small with { LearningRate = 1e8 });
        Assert.Throws<Sparseland.Solvers.DivergenceException>(() => fast.Fit(X, 30));
    }

    [Fact]
    public void Scores_are_their_formulas()
    {
        for (int seed = 1; seed <= 8; seed++)
        {
            Tensor X = randn([25, 6], dtype: ScalarType.Float64, generator: new Generator((ulong)seed)).mul(tensor(new double[] { 1, 2, 3, 1, 1, 5 })).add(seed);
            double[,] x = new double[25, 6];
            for (int i = 0; i < 25; i++) for (int f = 0; f < 6; f++) x[i, f] = X[i, f].item<double>();
            double[] variance = FeatureScores.Variance(X);
            using StandardisedFeatures table = FeatureScores.Standardise(X);
            for (int f = 0; f < 6; f++)
            {
                double mean = Enumerable.Range(0, 25).Average(i => x[i, f]), v = Enumerable.Range(0, 25).Average(i => Math.Pow(x[i, f] - mean, 2));
                Assert.Equal(v, variance[f], 9);
                Assert.Equal((mean, Math.Sqrt(v)), (table.Mean[f], table.Deviation[f]), new Close());
                Assert.Equal((x[3, f] - mean) / Math.Sqrt(v), table.X[3, f].item<float>(), 5);
            }

            // Laplacian score, written out.
            double Distance(int i, int j) => Enumerable.Range(0, 6).Sum(f => Math.Pow(x[i, f] - x[j, f], 2));
            int[][] near = [.. Enumerable.Range(0, 25).Select(i => Enumerable.Range(0, 25).Where(j => j != i).OrderBy(j => Distance(i, j)).Take(3).ToArray())];
            double scale = near.SelectMany((js, i) => js.Select(j => Distance(i, j))).Average();
            double S(int i, int j) => near[i].Contains(j) || near[j].Contains(i) ? Math.Exp(-Distance(i, j) / scale) : 0;
            double[] degree = [.. Enumerable.Range(0, 25).Select(i => Enumerable.Range(0, 25).Sum(j => S(i, j)))];
            double[] laplacian = FeatureScores.Laplacian(X, 3);
            for (int f = 0; f < 6; f++)
            {
                double centre = Enumerable.Range(0, 25).Sum(i => degree[i] * x[i, f]) / degree.Sum(), above = 0, below = 0;
                for (int i = 0; i < 25; i++)
                {
                    below += degree[i] * Math.Pow(x[i, f] - centre, 2);
                    for (int j = 0; j < 25; j++) above += 0.5 * S(i, j) * Math.Pow(x[i, f] - x[j, f], 2);
                }

                Assert.Equal(above / below, laplacian[f], 8);
            }

            // All components: the loadings are n times the variances.
            double[] loading = FeatureScores.PcaLoading(X, 6);
            for (int f = 0; f < 6; f++) Assert.Equal(25 * variance[f], loading[f], 7);
        }
    }

    [Fact]
    public void An_epoch_stops_when_told_and_hundreds_of_evolutions_leave_nothing_behind()
    {
        Tensor X = randn([4000, 300], generator: new Generator(1));

        // A thousand epochs take minutes; whoever looked between trainings alone would finish them.
        using CancellationTokenSource source = new(600);
        Assert.ThrowsAny<OperationCanceledException>(() => QuickSelection.Select(X, 5, 1000, new() { Hidden = 200 }, cancel: source.Token));

        using SparseConnections connections = SparseConnections.Draw(30, 20, 3, 0.1, 1);
        Tensor y = randn(30, 4), x = randn(20, 4);
        void Once(int i)
        {
            connections.Evolve(0.3, 0.1, 1, i);
            connections.MultiplyTransposed(y).Dispose();
            NeuronStrength.AfterRemoval(connections, 0.2);
            using Tensor gradient = connections.Sampled(y, x);
            connections.Step(gradient, Small);
        }

        Once(0);
        long alive = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        for (int i = 1; i < 500; i++) Once(i);
        Assert.InRange(DisposeScopeManager.Statistics.ThreadTotalLiveCount - alive, long.MinValue, 20);
    }

    [Fact]
    public void New_places_are_drawn_evenly_among_all_that_are_free()
    {
        // 4 of 12 places are left after a drop of 2: each of the 8 free ones, the dropped among them, grows in a quarter of the draws.
        int[] grown = new int[12];
        const int draws = 4000;
        for (int seed = 0; seed < draws; seed++)
        {
            var random = new Sparseland.Tensors.SeededRandom(seed, 3);
            foreach (long place in FreePlaces.Draw(12, [0, 3, 7, 11], 2, ref random)) grown[place]++;
        }

        Assert.All([0, 3, 7, 11], i => Assert.Equal(0, grown[i]));
        Assert.All([1, 2, 4, 5, 6, 8, 9, 10], i => Assert.InRange(grown[i], (draws / 4) - 140, (draws / 4) + 140));
    }

    private sealed class Close : IEqualityComparer<(double, double)>
    {
        public bool Equals((double, double) a, (double, double) b) => Math.Abs(a.Item1 - b.Item1) < 1e-9 && Math.Abs(a.Item2 - b.Item2) < 1e-9;

        public int GetHashCode((double, double) value) => 0;
    }
}
