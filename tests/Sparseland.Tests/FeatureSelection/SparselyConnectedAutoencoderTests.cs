using Sparseland.Data;
using Sparseland.FeatureSelection;
using Sparseland.Kernels;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.FeatureSelection;

public sealed class SparselyConnectedAutoencoderTests : IDisposable
{
    private static readonly QuickSelectionOptions Small = new() { Hidden = 30, Epsilon = 4, BatchSize = 20 };
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    public static TheoryData<AutoencoderOutput, DropoutBackward> Forms => new() { { AutoencoderOutput.Linear, DropoutBackward.Correct }, { AutoencoderOutput.Tanh, DropoutBackward.Correct }, { AutoencoderOutput.Linear, DropoutBackward.Published } };

    [Theory, MemberData(nameof(Forms))]
    public void Gradients_at_connections_are_those_of_the_dense_network(AutoencoderOutput output, DropoutBackward backward)
    {
        using SparselyConnectedAutoencoder network = new(25, Small with { Output = output, Backward = backward });
        using var source = new Generator(3);
        Tensor noisy = randn([25, 20], generator: source), clean = randn([25, 20], generator: source), kept = rand([30, 20], generator: source).gt(0.3).to(ScalarType.Float32);
        (Tensor encoder, Tensor decoder, Tensor hiddenBias, Tensor outputBias, double loss) = network.GradientsOf(noisy, clean, kept);

        // The same by automatic differentiation through dense matrices; the published form by cutting the mask out of the backward pass.
        Tensor W1 = SparseProduct.ToDense(network.Encoder.Support, network.Encoder.Values).requires_grad_(), W2 = SparseProduct.ToDense(network.Decoder.Support, network.Decoder.Values).requires_grad_();
        Tensor b1 = zeros([30, 1], requires_grad: true), b2 = zeros([25, 1], requires_grad: true);
        Tensor whole = (W1.mm(noisy) + b1).sigmoid(), hidden = backward == DropoutBackward.Correct ? whole * kept : whole + ((whole * kept) - whole).detach();
        Tensor before = W2.mm(hidden) + b2, result = output == AutoencoderOutput.Tanh ? before.tanh() : before;
        ((result - clean).square().sum() * 0.5 / 20).backward();
        Close(network.Encoder.Support.Gather(W1.grad!), encoder);
        Close(network.Decoder.Support.Gather(W2.grad!), decoder);
        Close(b1.grad!, hiddenBias);
        Close(b2.grad!, outputBias);
        Assert.Equal((result - clean).square().mean().item<float>(), loss, 1e-5);

        static void Close(Tensor expected, Tensor actual) => Assert.True((expected - actual).abs().max().item<float>() <= 1e-5 * expected.abs().max().item<float>());
    }

    [Fact]
    public void An_evolution_keeps_numbers_momentum_and_places()
    {
        using SparselyConnectedAutoencoder network = new(25, Small);
        Tensor X = randn([60, 25], generator: new Generator(1));
        network.Fit(X, 1);
        int count = network.Encoder.Support.Count;
        Tensor values = SparseProduct.ToDense(network.Encoder.Support, network.Encoder.Values), momentum = SparseProduct.ToDense(network.Encoder.Support, network.Encoder.Momentum);
        long positive = network.Encoder.Values.gt(0).sum().item<long>(), negative = network.Encoder.Values.lt(0).sum().item<long>();
        ConnectionChange change = network.Evolve();
        Assert.Equal(count, network.Encoder.Support.Count);
        Assert.Equal(count, network.Encoder.Values.numel());
        Assert.Equal((long)(0.2 * positive) + (long)(0.2 * negative), change.Dropped.Count);
        Assert.Equal(change.Dropped.Count, change.Grown.Count);
        Assert.Empty(change.Kept.Intersect(change.Grown).ColumnIndices.ToArray());
        Tensor after = SparseProduct.ToDense(network.Encoder.Support, network.Encoder.Values), kept = change.Kept.ToMask(), grown = change.Grown.ToMask();
        Assert.True(after.masked_select(kept).eq(values.masked_select(kept)).all().item<bool>());
        Tensor moments = SparseProduct.ToDense(network.Encoder.Support, network.Encoder.Momentum);
        Assert.True(moments.masked_select(kept).eq(momentum.masked_select(kept)).all().item<bool>());
        Assert.True(moments.masked_select(grown).eq(0).all().item<bool>());
        Assert.True(after.masked_select(grown).ne(0).all().item<bool>());
        Assert.True(network.Encoder.Support.Equals(change.Kept.Union(change.Grown)));

        // Products follow the new places.
        Tensor Y = randn([30, 4], generator: new Generator(2));
        Assert.True(network.Encoder.MultiplyTransposed(Y).allclose(after.t().mm(Y), 1e-4, 1e-5));
        Assert.True(network.Encoder.Multiply(X.t().contiguous()).allclose(after.mm(X.t()), 1e-4, 1e-5));
    }

    [Fact]
    public void The_first_draw_has_as_many_connections_as_draws_with_replacement_leave()
    {
        using SparseConnections connections = SparseConnections.Draw(1000, 784, 13, 0.1, 1);
        double n = 784_000, m = 13 * 1784, expected = n * (1 - Math.Pow(1 - (1 / n), m));

        // Variance of the number of occupied places; five deviations.
        double variance = (n * (n - 1) * Math.Pow(1 - (2 / n), m)) + (n * Math.Pow(1 - (1 / n), m)) - (n * n * Math.Pow(1 - (1 / n), 2 * m));
        Assert.Equal(expected, connections.Support.Count, 5 * Math.Sqrt(variance));
        Assert.Equal(0.1, connections.Values.std().item<float>(), 0.002);
        Assert.Equal(0.029, connections.Support.Density, 0.001);
        using SparseConnections full = SparseConnections.Draw(5, 4, 100, 0.1, 1);
        Assert.Equal(20, full.Support.Count);
        using SparselyConnectedAutoencoder network = new(500, new() { Hidden = 200 });
        double paths = 200 * network.Encoder.Support.Density * network.Decoder.Support.Density;
        Assert.Equal(paths, network.SelfPaths, 0.1 * paths);
    }

    [Fact]
    public void Strengths_are_the_sums_of_the_stored_matrix()
    {
        using SparselyConnectedAutoencoder network = new(25, Small);
        network.Fit(randn([60, 25], generator: new Generator(1)), 3);
        double[] strengths = NeuronStrength.Of(network.Encoder), stored = NeuronStrength.Of(network.Encoder.ToCsr());
        Tensor dense = SparseProduct.ToDense(network.Encoder.Support, network.Encoder.Values).abs().sum(0L);
        Assert.Equal(strengths, stored);
        for (int i = 0; i < 25; i++) Assert.Equal(dense[i].item<float>(), strengths[i], 1e-4);
        Assert.Equal(network.Encoder.Support.Count, NeuronStrength.Degree(network.Encoder).Sum());
        double[] removed = NeuronStrength.AfterRemoval(network.Encoder, 0.2);
        Assert.All(removed.Zip(strengths), pair => Assert.True(pair.First <= pair.Second + 1e-12));
        Assert.True(removed.Sum() < strengths.Sum());
    }

    [Fact]
    public void The_same_seed_gives_the_same_ranking_and_another_another()
    {
        using MadelonSet set = MadelonData.Generate(200, 60, 2);
        IReadOnlyList<double> Strengths(long seed) => QuickSelection.Select(set.X, 5, 3, Small with { Seed = seed }).Strength;
        Assert.Equal(Strengths(4), Strengths(4));
        Assert.NotEqual(Strengths(4), Strengths(5));
    }

    [Fact]
    public void Shared_information_is_found_without_labels()
    {
        using MadelonSet set = MadelonData.Generate(600, 100, 3);
        FeatureRanking ranking = QuickSelection.Select(set.X, 20, 40, new() { Hidden = 60, Epsilon = 6 });
        int hits = ranking.Indices.Count(i => set.Relevant[i]);

        // By chance 4 of the 20.
        Assert.True(hits >= 10, $"{hits} hits");
        Assert.Equal(40, ranking.Trace.Count);
        Assert.True(ranking.Losses[^1] < ranking.Losses[0]);
    }

    [Fact]
    public void Free_places_are_drawn_uniformly_and_once()
    {
        int[] hits = new int[12];
        long[] taken = [0, 3, 4, 11];
        for (long seed = 0; seed < 4000; seed++)
        {
            SeededRandom random = new(seed);
            long[] drawn = FreePlaces.Draw(12, taken, 3, ref random);
            Assert.Equal(3, drawn.Distinct().Count());
            Assert.Empty(drawn.Intersect(taken));
            foreach (long place in drawn) hits[place]++;
        }

        // 1,500 expected of each free place; five deviations.
        foreach (int place in Enumerable.Range(0, 12).Except([0, 3, 4, 11])) Assert.Equal(1500, hits[place], 5 * Math.Sqrt(4000 * 0.375 * 0.625));
        SeededRandom all = new(1);
        Assert.Equal([1, 2, 5, 6, 7, 8, 9, 10], FreePlaces.Draw(12, taken, 8, ref all).Select(p => (int)p));
        Assert.Throws<ArgumentOutOfRangeException>("count", () =>
        {
            SeededRandom random = new(1);
            FreePlaces.Draw(12, taken, 9, ref random);
        });
    }

    [Fact]
    public void Bad_input_is_refused_and_a_constant_feature_is_named()
    {
        Tensor X = randn([60, 25], generator: new Generator(1));
        Assert.Throws<ArgumentOutOfRangeException>("count", () => QuickSelection.Select(X, 26, 1, Small));
        Assert.Throws<ArgumentException>("X", () => QuickSelection.Select(X.narrow(0, 0, 10), 5, 1, Small));
        Assert.Throws<ArgumentException>("X", () => QuickSelection.Select(zeros(0, 5), 5, 1, Small));
        Assert.Throws<ArgumentOutOfRangeException>("epochs", () => QuickSelection.Select(X, 5, 0, Small));
        Assert.Throws<ArgumentOutOfRangeException>("Zeta", () => new SparselyConnectedAutoencoder(5, Small with { Zeta = 1 }));
        Assert.Throws<ArgumentOutOfRangeException>("Epsilon", () => new SparselyConnectedAutoencoder(5, Small with { Epsilon = double.NaN }));
        Tensor holed = X.clone();
        holed[3, 7] = double.NaN;
        Assert.Contains("Feature 7", Assert.Throws<ArgumentException>("X", () => QuickSelection.Select(holed, 5, 1, Small)).Message, StringComparison.Ordinal);
        Tensor still = X.clone();
        still[.., 4] = 1e6;
        FeatureRanking ranking = QuickSelection.Select(still, 5, 1, Small);
        Assert.Equal([4], ranking.Constant);
        Assert.DoesNotContain(4, QuickSelection.Select(still, 24, 1, Small).Indices);
        Assert.Throws<ArgumentOutOfRangeException>("count", () => QuickSelection.Select(still, 25, 1, Small));
        using CancellationTokenSource stop = new();
        stop.Cancel();
        Assert.Throws<OperationCanceledException>(() => QuickSelection.Select(X, 5, 1, Small, cancel: stop.Token));

        // A table that is a view, and one in Float64.
        Assert.Equal(QuickSelection.Select(X, 5, 2, Small).Indices, QuickSelection.Select(X.to(ScalarType.Float64).t().contiguous().t(), 5, 2, Small).Indices);
    }

    [Fact]
    public void Scores_without_training_are_those_of_their_definitions()
    {
        Tensor X = tensor(new double[] { 0, 1, 5, 1, 1.5, 5, 2, 1, 5, 10, -4, 5, 11, -3, 5, 12, -4, 5 }, [6, 3]);
        Tensor expected = (X - X.mean([0L])).square().mean([0L]);
        double[] variances = FeatureScores.Variance(X);
        for (int j = 0; j < 3; j++) Assert.Equal(expected[j].item<double>(), variances[j], 1e-12);
        double[] laplacian = FeatureScores.Laplacian(X, 2);
        Assert.Equal(double.PositiveInfinity, laplacian[2]);
        Assert.InRange(laplacian[0], 0, 0.2);

        // Loadings over all components are the columns' squared norms.
        Tensor centred = X - X.mean([0L]);
        double[] loadings = FeatureScores.PcaLoading(X, 99);
        for (int j = 0; j < 3; j++) Assert.Equal(centred[.., j].square().sum().item<double>(), loadings[j], 1e-9);
        Assert.Equal([1, 3, 0], FeatureScores.Best([2, 5, -1, 5], 3));
        Assert.Throws<ArgumentException>("scores", () => FeatureScores.Best([1, double.NaN], 1));
        Assert.Throws<ArgumentOutOfRangeException>("neighbours", () => FeatureScores.Laplacian(X, 6));
    }

    [Fact]
    public void Madelon_has_its_cube_its_mixtures_and_its_noise()
    {
        using MadelonSet set = MadelonData.Generate(3200, 60, 5, noise: 0), again = MadelonData.Generate(3200, 60, 5, noise: 0);
        Assert.True(set.X.eq(again.X).all().item<bool>());
        Assert.Equal(20, set.Relevant.Count(r => r));
        Assert.Equal(1600, set.Labels.sum().item<long>());

        // The relevant features span five dimensions; noise has variance 1.
        Tensor wide = set.X.to(ScalarType.Float64);
        long[] relevant = [.. Enumerable.Range(0, 60).Where(i => set.Relevant[i]).Select(i => (long)i)], rest = [.. Enumerable.Range(0, 60).Where(i => !set.Relevant[i]).Select(i => (long)i)];
        Tensor S = linalg.svdvals(wide.index_select(1, tensor(relevant)));
        Assert.True(S[5].item<double>() < 1e-3 * S[4].item<double>());
        Tensor variances = wide.index_select(1, tensor(rest)).var(0L);
        Assert.InRange(variances.min().item<double>(), 0.87, 1.13);
        Assert.InRange(variances.max().item<double>(), 0.87, 1.13);
        Assert.Throws<ArgumentOutOfRangeException>("features", () => MadelonData.Generate(100, 19));
        Assert.Throws<ArgumentOutOfRangeException>("samples", () => MadelonData.Generate(31));
    }
}
