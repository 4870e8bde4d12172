using Sparseland.Attention;
using Sparseland.Attention.Graphs;
using Sparseland.Attention.Mixture;
using Sparseland.Attention.Routing;
using TorchSharp;
using TorchSharp.Modules;
using static Sparseland.Tests.Attention.AttentionData;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

/// <summary>Attacks on routing and on small figures of the chapter: sizes at the ends of the type, ties, what a token may see, states that go on.</summary>
public sealed class RoutingTrialTests
{
    [Theory]
    [InlineData(1e-37), InlineData(1e-30), InlineData(1e-20), InlineData(1e-6), InlineData(1e-4), InlineData(1), InlineData(1e15), InlineData(1e20), InlineData(1e37)]
    public void A_normalised_vector_has_its_norm_whatever_its_length_was(double size)
    {
        foreach (ScalarType type in new[] { ScalarType.Float32, ScalarType.Float64 })
        {
            Tensor x = Draw(1, 3, 5, 24).to(type), found = SphericalKMeans.Normalise(x * size);
            double allowed = type == ScalarType.Float32 ? 1e-4 : 1e-6;
            AssertClose(full([3, 5], Math.Sqrt(24), dtype: ScalarType.Float64), found.norm(-1), allowed);
            AssertClose(SphericalKMeans.Normalise(x), found, allowed);
        }

        // Rows of different sizes beside each other, and a gradient through each.
        Tensor rows = Draw(2, 4, 6).mul(tensor(new[] { 1, size, 1e-5, 1 }, dtype: ScalarType.Float64).unsqueeze(1)).requires_grad_(true), weight = Draw(3, 4, 6);
        (SphericalKMeans.Normalise(rows) * weight).sum().backward();
        Tensor c = rows.detach() - rows.detach().mean([-1L], keepdim: true), r = c.square().mean([-1L], keepdim: true).sqrt(), y = c / r;
        Tensor wanted = (weight - weight.mean([-1L], keepdim: true) - (y * (weight * y).mean([-1L], keepdim: true))) / r;
        AssertClose(zeros(4, 6), (rows.grad! - wanted) * r, 1e-4);
    }

    [Theory]
    [InlineData(0), InlineData(0.1), InlineData(1000.1), InlineData(-7e19), InlineData(3.3e-30)]
    public void A_vector_of_equal_numbers_becomes_zero(double number)
    {
        foreach (ScalarType type in new[] { ScalarType.Float32, ScalarType.Float64 })
        {
            foreach (int width in new[] { 2, 7, 33, 100 })
            {
                Tensor x = full([2, width], number, dtype: type).requires_grad_(true), found = SphericalKMeans.Normalise(x);
                Assert.Equal(0, found.abs().max().to(ScalarType.Float64).item<double>());
                found.sum().backward();
                Assert.True(x.grad!.isfinite().all().item<bool>());
            }
        }
    }

    /// <summary>Each token over the best earlier members of its cluster, by loops; ties may go to any.</summary>
    private static (Tensor Weights, int Most) Explicit(Tensor q, Tensor k, Tensor means, int window, bool self, double scale)
    {
        int tokens = (int)q.shape[0], most = 0;
        (q, k) = (SphericalKMeans.Normalise(q), SphericalKMeans.Normalise(k));
        long[] own = [.. q.matmul(means.t()).argmax(-1).data<long>()], others = [.. k.matmul(means.t()).argmax(-1).data<long>()];
        Tensor scores = q.matmul(k.t()) * scale, weights = zeros([tokens, tokens], dtype: ScalarType.Float64);
        for (int i = 0; i < tokens; i++)
        {
            int[] seen = [.. Enumerable.Range(0, i + 1).Where(j => others[j] == own[i] && (self || j != i)).OrderByDescending(j => scores[i, j].item<double>()).Take(window)];
            if (seen.Length == 0 && others[i] == own[i]) seen = [i];
            most = Math.Max(most, seen.Length);
            if (seen.Length == 0) continue;
            Tensor p = stack([.. seen.Select(j => scores[i, j])]).softmax(0);
            for (int n = 0; n < seen.Length; n++) weights[i, seen[n]] = p[n];
        }

        return (weights, most);
    }

    [Fact]
    public void Prefix_selection_is_that_of_loops_with_and_without_the_token_itself()
    {
        var random = new Random(1);
        for (int draw = 0; draw < 60; draw++)
        {
            using DisposeScope scope = NewDisposeScope();
            int tokens = random.Next(1, 30), clusters = random.Next(1, 5), window = random.Next(1, tokens + 1);
            bool self = draw % 2 == 0, shared = draw % 4 < 2;
            Tensor q = Draw(draw, 1, 1, tokens, 8), k = shared ? q : Draw(draw + 100, 1, 1, tokens, 8), v = eye(tokens, dtype: ScalarType.Float64).view(1, 1, tokens, tokens);
            Tensor means = SphericalKMeans.Normalise(Draw(draw + 200, 1, clusters, 8));
            Tensor found = RoutingAttention.Attend(q, k, v, means, new() { Window = window, Shared = shared, Selection = RoutingSelection.Prefix, SelfAttention = self, Scale = 0.4 });
            (Tensor wanted, int _) = Explicit(q[0, 0], k[0, 0], means[0], window, self, 0.4);
            AssertClose(wanted, found[0, 0], 1e-9);
        }
    }

    [Theory]
    [InlineData(true), InlineData(false)]
    public void Of_equal_tokens_no_more_than_the_window_are_seen_and_no_later_one_decides(bool self)
    {
        Tensor one = Draw(1, 1, 1, 1, 8), q = one.expand(1, 2, 20, 8).contiguous(), v = eye(20, dtype: ScalarType.Float64).expand(1, 2, 20, 20), means = SphericalKMeans.Normalise(Draw(2, 2, 3, 8));
        RoutingOptions options = new() { Window = 4, Shared = true, Selection = RoutingSelection.Prefix, SelfAttention = self };
        Tensor found = RoutingAttention.Attend(q, q, v, means, options);
        Assert.True(found.ne(0).sum(-1).max().item<long>() <= 4, $"{found.ne(0).sum(-1).max().item<long>()} keys");
        AssertClose(ones(1, 2, 20), found.sum(-1), 1e-12);
        Tensor other = cat([q.narrow(2, 0, 12), Draw(9, 1, 2, 8, 8)], 2);
        AssertClose(found.narrow(2, 0, 12), RoutingAttention.Attend(other, other, v, means, options).narrow(2, 0, 12), 1e-12);
    }

    [Fact]
    public void Lists_at_random_are_those_of_the_seed_ascend_and_cover_all_where_they_are_whole()
    {
        Tensor a = BalancedLists.Random(2, 3, 4, 5, 17, 7);
        Assert.Equal(a.data<long>().ToArray(), BalancedLists.Random(2, 3, 4, 5, 17, 7).data<long>().ToArray());
        Assert.NotEqual(a.data<long>().ToArray(), BalancedLists.Random(2, 3, 4, 5, 17, 8).data<long>().ToArray());
        Assert.True(a.diff(1, -1).gt(0).all().item<bool>());
        Assert.Equal(1, BalancedLists.Cover(BalancedLists.Random(1, 1, 1, 9, 9), 9));

        // Every token is drawn about as often as every other.
        Tensor often = BalancedLists.Multiplicity(BalancedLists.Random(40, 5, 5, 4, 20), 20).sum([0L, 1]);
        Assert.InRange(often.min().item<long>(), 140, 200);
        Assert.InRange(often.max().item<long>(), 200, 260);
    }

    [Fact]
    public void Centroids_that_are_saved_and_read_go_on_bit_for_bit()
    {
        RoutingHeads Make() => new(2, 4, 8, new() { Clusters = 3, LocalHeads = 1 });
        Tensor Step(RoutingHeads heads, int seed)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor? last = null;
            for (int layer = 0; layer < 2; layer++)
            {
                Tensor[] x = [.. Enumerable.Range(0, 3).Select(i => Draw((seed * 10) + (layer * 3) + i, 2, 4, 20, 8).to(ScalarType.Float32).requires_grad_(true))];
                last = heads.Attend(new(layer, 0.3, Causal: true), x[0], x[1], x[2]).detach();
            }

            return scope.MoveToOuter(last!);
        }

        using RoutingHeads whole = Make(), first = Make(), second = Make();
        for (int i = 0; i < 3; i++)
        {
            Step(whole, i).Dispose();
            Step(first, i).Dispose();
        }

        using var file = new MemoryStream();
        first.save(file);
        using var read = new MemoryStream(file.ToArray());
        second.load(read);
        for (int i = 3; i < 6; i++) AssertClose(Step(whole, i), Step(second, i), 0);
        for (int layer = 0; layer < 2; layer++) AssertClose(whole.Means(layer).Centroids, second.Means(layer).Centroids, 0);
    }

    [Theory]
    [InlineData(1e-30), InlineData(1e-20), InlineData(1), InlineData(1e25)]
    public void Cosines_of_gradients_do_not_depend_on_the_size_of_the_losses(double size)
    {
        using DisposeScope scope = NewDisposeScope();
        using Linear linear = nn.Linear(2, 1, hasBias: false);
        Tensor a = tensor(new float[] { 1, 0 }), b = tensor(new float[] { 1, 1 });
        GradientCosine found = Assert.Single(GradientConflict.Cosine(linear, () => linear.call(a).sum() * size, () => linear.call(b).sum() * size));
        Assert.Equal(Math.Sqrt(0.5), found.Cosine, 6);
        Assert.Equal(1, found.FirstNorm / size, 5);
        Assert.InRange(Assert.Single(GradientConflict.Cosine(linear, () => linear.call(b).sum() * size, () => linear.call(b).sum() * size)).Cosine, 1 - 1e-12, 1);
    }

    [Theory]
    [InlineData(1e-30), InlineData(1e20), InlineData(1e37)]
    public void Neighbours_of_largest_and_smallest_norm_are_the_same_at_any_scale(double size)
    {
        Tensor v = Draw(4, 2, 15, 6).to(ScalarType.Float32), a = Draw(5, 2, 15, 15).to(ScalarType.Float32).relu().tril();
        PnaOptions options = new() { Aggregators = PnaAggregators.LargestNorm | PnaAggregators.SmallestNorm };
        Tensor found = GraphStep.Pna(v * size, a, options) / size;
        AssertClose(GraphStep.Pna(v, a, options), found, 1e-5);
        for (int i = 0; i < 15; i++)
        {
            int[] near = [.. Enumerable.Range(0, 15).Where(j => a[1, i, j].item<float>() > 0).DefaultIfEmpty(i).OrderBy(j => v[1, j].norm().item<float>())];
            AssertClose(cat([v[1, near[^1]], v[1, near[0]]]), found[1, i], 1e-5);
        }
    }

    [Fact]
    public void Shapes_that_do_not_fit_routed_heads_are_named()
    {
        using RoutingHeads heads = new(1, 4, 8, new() { Clusters = 3, LocalHeads = 1 });
        void Refused(string name, long[] q, long[] k, long[] v) => Assert.Throws<ArgumentException>(name, () => heads.Attend(new(0, 0.3, Causal: true), randn(q), randn(k), randn(v)));
        Refused("k", [1, 4, 9, 8], [1, 3, 9, 8], [1, 3, 9, 8]);
        Refused("k", [1, 4, 9, 8], [4, 9, 8], [1, 4, 9, 8]);
        Refused("k", [1, 4, 9, 8], [1, 4, 9, 7], [1, 4, 9, 8]);
        Refused("v", [1, 4, 9, 8], [1, 4, 9, 8], [1, 2, 9, 8]);
        Refused("k", [1, 4, 9, 8], [1, 4, 12, 8], [1, 4, 12, 8]);
        Refused("q", [1, 2, 9, 8], [1, 2, 9, 8], [1, 2, 9, 8]);
    }

    [Fact]
    public void Tokens_are_sorted_by_their_modality_and_come_back_at_drawn_labels()
    {
        var random = new Random(3);
        for (int draw = 0; draw < 60; draw++)
        {
            using DisposeScope scope = NewDisposeScope();
            (int batch, int tokens, int modalities) = (random.Next(1, 4), random.Next(1, 20), random.Next(1, 5));
            long[] labels = [.. Enumerable.Range(0, batch * tokens).Select(_ => (long)random.Next(modalities))];
            using ModalityMap map = new(tensor(labels, [batch, tokens]), modalities);
            Tensor x = arange(batch * tokens, dtype: ScalarType.Float32).unsqueeze(1), sorted = map.Gather(x);
            Assert.Equal(Enumerable.Range(0, labels.Length).OrderBy(i => labels[i]).Select(i => (float)i), sorted.flatten().data<float>().ToArray());
            Assert.Equal(x.data<float>().ToArray(), map.Scatter(sorted).data<float>().ToArray());
            Assert.Equal(Enumerable.Range(0, modalities).Select(m => labels.Count(l => l == m)), map.Counts);
        }
    }
}
