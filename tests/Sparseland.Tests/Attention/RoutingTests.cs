using FsCheck;
using FsCheck.Fluent;
using Sparseland.Attention.Routing;
using Sparseland.Attention.Tasks;
using Sparseland.Models.Language;
using TorchSharp;
using static Sparseland.Tests.Attention.AttentionData;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

public class RoutingTests
{
    private static (Tensor Q, Tensor K, Tensor V) Same(int tokens, long seed = 1) => Heads(tokens, keyHeads: 4, seed: seed);

    private static Tensor Centroids(int clusters, long seed = 3) => SphericalKMeans.Normalise(Draw(seed, 4, clusters, 8));

    private static Tensor Reference(Tensor q, Tensor k, Tensor v, Tensor lists, Tensor keys, double scale)
    {
        long tokens = q.shape[2];
        Tensor sums = zeros_like(q.narrow(3, 0, 1)).expand(q.shape[0], q.shape[1], tokens, v.shape[3]).clone(), counts = zeros(q.shape[0], q.shape[1], tokens);
        for (int b = 0; b < q.shape[0]; b++)
        {
            for (int h = 0; h < q.shape[1]; h++)
            {
                for (int c = 0; c < lists.shape[2]; c++)
                {
                    long[] own = lists[b, h, c].data<long>().ToArray(), others = keys[b, h, c].data<long>().ToArray();
                    foreach (long i in own)
                    {
                        counts[b, h, i] += 1;
                        long[] seen = [.. others.Where(j => j <= i)];
                        if (seen.Length == 0) continue;
                        Tensor at = tensor(seen), weights = k[b, h].index_select(0, at).mv(q[b, h, i]).mul(scale).softmax(0);
                        sums[b, h, i] += weights.unsqueeze(0).mm(v[b, h].index_select(0, at)).squeeze(0);
                    }
                }
            }
        }

        return sums / counts.clamp_min(1).unsqueeze(3);
    }

    [Fact]
    public void Nearest_by_distance_is_largest_by_product()
    {
        using var scope = NewDisposeScope();
        Tensor x = SphericalKMeans.Normalise(Draw(1, 4, 50, 8)), means = Centroids(6);
        Tensor distance = x.unsqueeze(2).sub(means.unsqueeze(1)).square().sum(-1);
        Assert.True(distance.argmin(-1).eq(x.matmul(means.transpose(1, 2)).argmax(-1)).all().item<bool>());
        AssertClose(ones(4, 50) * Math.Sqrt(8), x.norm(-1), 1e-6);
        AssertClose(zeros(4, 50), x.mean([-1L]), 1e-12);
    }

    [Fact]
    public void Lists_are_sorted_distinct_and_the_nearest()
    {
        Prop.ForAll<PositiveInt, PositiveInt>((size, seed) =>
        {
            using var scope = NewDisposeScope();
            int tokens = (size.Get % 30) + 2, window = (seed.Get % tokens) + 1;
            Tensor near = Draw(seed.Get, 2, 3, tokens, 5), lists = BalancedLists.TopPerCentroid(near, window);
            Assert.Equal([2, 3, 5, window], lists.shape);
            if (window > 1) Assert.True(lists.diff(1, -1).gt(0).all().item<bool>());
            Tensor chosen = near.transpose(2, 3).gather(3, lists), least = chosen.amin([-1L], keepdim: true);
            Assert.True(near.transpose(2, 3).ge(least).sum(-1).eq(window).all().item<bool>());
            Assert.Equal(2 * 3 * 5 * window, BalancedLists.Multiplicity(lists, tokens).sum().item<long>());
            Tensor random = BalancedLists.Random(2, 3, 5, window, tokens, seed.Get);
            if (window > 1) Assert.True(random.diff(1, -1).gt(0).all().item<bool>());
            Assert.True(random.max().item<long>() < tokens);
        }).QuickCheckThrowOnFailure();
    }

    [Theory, InlineData(1), InlineData(5)]
    public void Lists_of_everything_are_full_attention(int clusters)
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Same(24);
        Tensor expected = nn.functional.scaled_dot_product_attention(SphericalKMeans.Normalise(q), SphericalKMeans.Normalise(k), v, is_casual: true);
        AssertClose(expected, RoutingAttention.Attend(q, k, v, Centroids(clusters), new() { Window = 24 }), 1e-10);
    }

    [Fact]
    public void Outputs_are_means_over_lists_and_zero_where_there_is_none()
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Same(20, seed: 4);
        Tensor means = Centroids(4), nq = SphericalKMeans.Normalise(q), nk = SphericalKMeans.Normalise(k);
        Tensor listsQ = BalancedLists.TopPerCentroid(nq.matmul(means.transpose(1, 2)), 6), listsK = BalancedLists.TopPerCentroid(nk.matmul(means.transpose(1, 2)), 6);
        Tensor output = RoutingAttention.Attend(q, k, v, means, new() { Window = 6 });
        AssertClose(Reference(nq, nk, v, listsQ, listsK, 1 / Math.Sqrt(8)), output, 1e-10);
        Tensor uncovered = BalancedLists.Multiplicity(listsQ, 20).eq(0);
        Assert.True(uncovered.any().item<bool>());
        Assert.Equal(0, output.masked_select(uncovered.unsqueeze(3)).abs().sum().item<double>());
    }

    [Fact]
    public void Shared_lists_by_rank_are_shared_lists_by_position_and_others_are_refused()
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Same(20, seed: 6);
        Tensor lists = BalancedLists.Random(2, 4, 3, 7, 20, 1), others = BalancedLists.Random(2, 4, 3, 7, 20, 2);
        AssertClose(RoutingAttention.AttendLists(q, k, v, lists, lists), RoutingAttention.AttendLists(q, k, v, lists, lists, maskByRank: true), 0);
        Assert.Throws<ArgumentException>(() => RoutingAttention.AttendLists(q, k, v, lists, others, maskByRank: true));
        Assert.Throws<ArgumentException>(() => RoutingAttention.Attend(q, k, v, Centroids(3), new() { Shared = true }));
        AssertClose(RoutingAttention.Attend(q, q.clone(), v, Centroids(3)), RoutingAttention.Attend(q, q, v, Centroids(3), new() { Shared = true }), 1e-12);
    }

    [Fact]
    public void No_weight_lies_on_later_positions_and_prefix_selection_is_causal()
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, _) = Same(24, seed: 8);
        Tensor v = eye(24, dtype: ScalarType.Float64).expand(2, 4, 24, 24), means = Centroids(3);
        foreach (RoutingSelection selection in Enum.GetValues<RoutingSelection>())
        {
            RoutingOptions options = new() { Window = 8, Selection = selection };
            Tensor weights = RoutingAttention.Attend(q, k, v, means, options);
            Assert.Equal(0, weights.triu(1).abs().max().item<double>());
            (Tensor q2, Tensor k2) = (q.clone(), k.clone());
            q2.narrow(2, 12, 12).copy_(Draw(20, 2, 4, 12, 8));
            k2.narrow(2, 12, 12).copy_(Draw(21, 2, 4, 12, 8));
            double moved = (RoutingAttention.Attend(q2, k2, v, means, options) - weights).narrow(2, 0, 12).abs().max().item<double>();
            if (selection == RoutingSelection.Prefix) Assert.Equal(0, moved, 1e-12);
            else Assert.True(moved > 0.01);
            Assert.True(weights.gt(0).sum(-1).max().item<long>() <= (selection == RoutingSelection.Prefix ? 8 : 24));
        }
    }

    [Fact]
    public void Without_itself_a_token_takes_itself_only_where_nothing_else_is()
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, _) = Same(16, seed: 2);
        Tensor v = eye(16, dtype: ScalarType.Float64).expand(2, 4, 16, 16), lists = BalancedLists.Random(2, 4, 1, 16, 16);
        Tensor weights = RoutingAttention.AttendLists(q, k, v, lists, lists, selfAttention: false);
        Tensor diagonal = weights.diagonal(0, 2, 3);
        Assert.Equal(1, diagonal.narrow(2, 0, 1).min().item<double>(), 1e-12);
        Assert.Equal(0, diagonal.narrow(2, 1, 15).max().item<double>(), 1e-12);
    }

    [Fact]
    public void Centroids_find_planted_directions_and_are_saved_and_restored()
    {
        using var scope = NewDisposeScope();
        Tensor directions = SphericalKMeans.Normalise(linalg.qr(Draw(3, 16, 16)).Q.narrow(0, 0, 8));
        Tensor Batch(long seed) => directions.repeat(13, 1).narrow(0, 0, 100).add(Draw(seed, 100, 16).mul(0.3)).unsqueeze(0).to(ScalarType.Float32);
        using SphericalKMeans means = new(1, 16, 16), copy = new(1, 16, 16, seed: 5);
        means.Init(Batch(1));
        for (int step = 0; step < 50; step++) means.Update(Batch(step + 2), 0.9);
        Tensor nearest = directions.matmul(means.Centroids[0].to(ScalarType.Float64).t()).amax([1]).div(16);
        Assert.True(nearest.min().item<double>() > Math.Cos(10 * Math.PI / 180));
        AssertClose(ones(1, 16) * 4, means.Centroids.norm(-1), 1e-4);
        copy.load_state_dict(means.state_dict());
        AssertClose(means.Centroids, copy.Centroids, 0);
        Assert.Empty(means.parameters());
        Assert.True(means.Used(Batch(1)) > 0.4);
        means.eval();
        Assert.Throws<InvalidOperationException>(() => means.Update(Batch(1)));
    }

    [Fact]
    public void Heads_train_a_model_and_keep_their_centroids()
    {
        using var scope = NewDisposeScope();
        foreach (RoutedKind kind in Enum.GetValues<RoutedKind>())
        {
            using TaskLM model = new(seed: 2);
            using RoutingHeads heads = new(2, 4, 32, new() { Kind = kind, Routing = new() { Window = 16 } });
            TaskTrainingOptions options = new() { Stages = [new(new() { Tokens = 64, Pairs = 6, Chains = 2 }, 3, 4)], LookEvery = 3 };
            Assert.Single(TaskTraining.Run(model, options, heads));
            Assert.Equal(kind == RoutedKind.Routing, heads.Commitment > 0);
        }

        Assert.Throws<ArgumentException>(() => new RoutingHeads(2, 2, 32));
        Assert.Throws<ArgumentOutOfRangeException>(() => new RoutingHeads(2, 4, 32, new() { Decay = 1 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new RoutingHeads(2, 4, 32).Means(2));
    }

    [Fact]
    public void Full_heads_beside_no_local_ones_are_the_models_own_attention()
    {
        using var scope = NewDisposeScope();
        using TaskLM model = new(seed: 3);
        using RoutingHeads heads = new(2, 4, 32, new() { Kind = RoutedKind.Full, LocalHeads = 0 });
        using TaskSequences some = TaskSequences.Generate(2, new() { Tokens = 64, Pairs = 6, Chains = 2 });
        AssertClose(model.Logits(some.Ids), model.Logits(some.Ids, attention: heads), 1e-4);
    }

    [Fact]
    public void Divergence_is_zero_for_equal_and_ln_2_for_disjoint_patterns()
    {
        using var scope = NewDisposeScope();
        Tensor p = Draw(1, 2, 5, 6).softmax(-1), a = tensor(new[] { 1.0, 0, 0, 0 }, [1, 4]), b = tensor(new[] { 0, 0, 0.5, 0.5 }, [1, 4]);
        Assert.Equal(0, HeadDivergence.JensenShannon(p, p), 1e-12);
        Assert.Equal(Math.Log(2), HeadDivergence.JensenShannon(a, b), 1e-12);
        Assert.Throws<ArgumentException>(() => HeadDivergence.JensenShannon(p, a));
        Assert.Throws<ArgumentException>(() => HeadDivergence.JensenShannon(a, -b));
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        (Tensor q, Tensor k, Tensor v) = Same(10);
        Assert.Throws<ArgumentOutOfRangeException>(() => RoutingAttention.Attend(q, k, v, Centroids(3), new() { Window = 11 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => RoutingAttention.Attend(q, k, v, Centroids(3), new() { Window = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => RoutingAttention.Attend(q, k, v, Centroids(3), new() { Scale = -1 }));
        Assert.Throws<ArgumentException>(() => RoutingAttention.Attend(q, k, v, Centroids(3).narrow(0, 0, 3)));
        Assert.Throws<ArgumentException>(() => RoutingAttention.Attend(q * double.NaN, k, v, Centroids(3)));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SphericalKMeans(1, 0, 8));
        Assert.Throws<ArgumentException>(() => new SphericalKMeans(1, 5, 8).Init(Draw(1, 1, 4, 8)));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SphericalKMeans(1, 2, 8).Update(Draw(1, 1, 4, 8), decay: 1));
        Assert.Throws<ArgumentException>(() => new SphericalKMeans(1, 2, 8).Update(Draw(1, 1, 4, 7)));
        Assert.Throws<ArgumentOutOfRangeException>(() => BalancedLists.TopPerCentroid(Draw(1, 4, 2), 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => BalancedLists.Random(1, 1, 1, 5, 4));
    }
}
