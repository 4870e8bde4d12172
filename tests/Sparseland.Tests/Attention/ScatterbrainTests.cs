using FsCheck;
using FsCheck.Fluent;
using Sparseland.Attention;
using Sparseland.Attention.Hashing;
using Sparseland.Attention.Features;
using Sparseland.Selection;
using TorchSharp;
using static Sparseland.Tests.Attention.AttentionData;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

public class ScatterbrainTests
{
    private static AttentionSupport Random(int tokens, int heads, double density, long seed, bool causal = true)
    {
        Support[] all = [.. Enumerable.Range(0, heads).Select(h =>
        {
            using var scope = NewDisposeScope();
            Tensor mask = Support.Random(tokens, tokens, (int)(density * tokens * tokens), seed + h).ToMask();
            return Support.FromMask(causal ? mask.tril() : mask);
        })];
        return new(all, causal);
    }

    private static AttentionSupport Full(int tokens, bool causal) => Random(tokens, 1, 1, 1, causal);

    [Fact]
    public void It_is_the_quotient_of_its_matrix()
    {
        Prop.ForAll<PositiveInt, PositiveInt, bool>((size, seed, causal) =>
        {
            using var scope = NewDisposeScope();
            int tokens = (size.Get % 30) + 1;
            (Tensor q, Tensor k, Tensor v) = Heads(tokens, seed: seed.Get);
            HyperbolicFeatures map = new(8, 12, seed.Get);
            foreach (int heads in new[] { 1, 4, 8 })
            {
                AttentionSupport support = Random(tokens, heads, 0.3, seed.Get, causal);
                Tensor matrix = Scatterbrain.Matrix(q, k, map, support, causal);
                using ScatterbrainResult result = Scatterbrain.Attend(q, k, v, map, support, causal);
                AssertClose(Quotient(matrix, v), result.Output, 1e-8);
                AssertClose(matrix.sum(-1).log(), result.LogSum, 1e-9);
            }
        }).QuickCheckThrowOnFailure();
    }

    [Theory, InlineData(ScalarType.Float32, 1e-5), InlineData(ScalarType.Float64, 1e-10)]
    public void Entries_are_exact_on_the_support_and_estimates_off_it(ScalarType type, double tolerance)
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, _) = Heads(48, seed: 9);
        (q, k) = (q.to(type), k.to(type));
        Tensor v = eye(48, dtype: type).expand(2, 2, 48, 48);
        HyperbolicFeatures map = new(8, 32);
        AttentionSupport support = HashedSupport.CrossPolytope(q, k, 8);
        using ScatterbrainResult result = Scatterbrain.Attend(q, k, v, map, support);
        Tensor found = result.Output * result.LogSum.unsqueeze(-1).exp(), exact = (q.matmul(k.repeat_interleave(2, 1).transpose(2, 3)) / Math.Sqrt(8)).exp();
        Tensor expected = where(support.Mask().view(exact.shape), exact, FeatureEstimate.Matrix(q, k, map)).tril();
        Tensor row = expected.sum(-1, keepdim: true);
        AssertClose(expected / row, found / row, tolerance);
        Assert.Equal(0, result.FlooredRows);
    }

    [Theory, InlineData(true), InlineData(false)]
    public void Full_is_exact_attention_and_empty_is_linear_attention(bool causal)
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Heads(60, seed: 3);
        HyperbolicFeatures map = new(8, 16);
        using ScatterbrainResult full = Scatterbrain.Attend(q, k, v, map, Full(60, causal), causal);
        Tensor scores = q.matmul(k.repeat_interleave(2, 1).transpose(2, 3)) / Math.Sqrt(8);
        Tensor exact = causal ? scores.exp().tril() : scores.exp();
        AssertClose(Quotient(exact, v), full.Output, 1e-10);
        using ScatterbrainResult empty = Scatterbrain.Attend(q, k, v, map, new([Support.Empty(60, 60)], causal), causal);
        AssertClose(causal ? LinearAttention.AttendCausal(q, k, v, map) : LinearAttention.Attend(q, k, v, map), empty.Output, 1e-10);
    }

    [Fact]
    public void Duplicates_discounted_round_by_round_are_the_union()
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Heads(40, seed: 5);
        HyperbolicFeatures map = new(8, 16);
        Tensor[] rounds = [.. Enumerable.Range(0, 3).Select(r => HashedSupport.CrossPolytope(q, k, 8, 1, HashedSupport.RoundSeed(7, r)).Mask().view(2, 4, 40, 40).to(ScalarType.Float64))];
        Tensor count = rounds.Aggregate((a, b) => a + b).clamp_min(1), exact = (q.matmul(k.repeat_interleave(2, 1).transpose(2, 3)) / Math.Sqrt(8)).exp(), estimate = FeatureEstimate.Matrix(q, k, map);
        // The published way: log(count) off the score of a pair in every round that found it.
        Tensor discounted = rounds.Aggregate(estimate.tril(), (sum, mask) => sum + mask * (exact - estimate) * (-count.log()).exp());
        using ScatterbrainResult united = Scatterbrain.Attend(q, k, v, map, HashedSupport.CrossPolytope(q, k, 8, 3, 7));
        AssertClose(Quotient(discounted, v), united.Output, 1e-10);
    }

    [Fact]
    public void Rows_in_blocks_and_rows_at_once_agree()
    {
        using var scope = NewDisposeScope();
        // 900 rows of up to 900 keys and 37 numbers each do not fit into one block.
        (Tensor q, Tensor k, Tensor v) = Heads(900, batch: 1, heads: 1, keyHeads: 1);
        HyperbolicFeatures map = new(8, 24);
        using ScatterbrainResult full = Scatterbrain.Attend(q, k, v, map, Full(900, true));
        AssertClose(nn.functional.scaled_dot_product_attention(q, k, v, is_casual: true), full.Output, 1e-9);
    }

    [Fact]
    public void Large_norms_stay_finite_and_later_tokens_do_not_reach_back()
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Heads(64, seed: 8);
        HyperbolicFeatures map = new(8, 16);
        AttentionSupport window = new([Support.FromMask(ones(64, 64, dtype: ScalarType.Bool).tril().logical_and(ones(64, 64, dtype: ScalarType.Bool).triu(-7)))]);
        Tensor Single(Tensor x, double by) => (x * by).to(ScalarType.Float32);
        using ScatterbrainResult large = Scatterbrain.Attend(Single(q, 10), Single(k, 10), Single(v, 1), map, window);
        Assert.True(large.Output.isfinite().all().item<bool>());
        using ScatterbrainResult before = Scatterbrain.Attend(q, k, v, map, window);
        Tensor k2 = k.clone();
        k2.narrow(2, 40, 24).neg_();
        using ScatterbrainResult after = Scatterbrain.Attend(q, k2, v, map, window);
        AssertClose(before.Output.narrow(2, 0, 40), after.Output.narrow(2, 0, 40), 1e-10);
    }

    [Fact]
    public void Gradients_are_those_of_the_matrix()
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Heads(20, seed: 2);
        HyperbolicFeatures map = new(8, 16);
        AttentionSupport support = Random(20, 4, 0.3, 5);
        Tensor weights = Draw(1, 2, 4, 20, 5);
        Tensor[] Gradients(Func<Tensor, Tensor, Tensor, Tensor> attend)
        {
            Tensor[] inputs = [.. new[] { q, k, v }.Select(x => x.clone().requires_grad_())];
            attend(inputs[0], inputs[1], inputs[2]).mul(weights).sum().backward();
            return [.. inputs.Select(x => x.grad!)];
        }

        Tensor[] gathered = Gradients((a, b, c) => Scatterbrain.Attend(a, b, c, map, support).Output), dense = Gradients((a, b, c) => Quotient(Scatterbrain.Matrix(a, b, map, support), c));
        for (int i = 0; i < 3; i++) AssertClose(dense[i], gathered[i], 1e-8);
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        (Tensor q, Tensor k, Tensor v) = Heads(10);
        HyperbolicFeatures map = new(8, 8);
        AttentionSupport causal = Full(10, true), all = new([Support.Random(10, 10, 100, 1)], causal: false);
        Assert.Throws<ArgumentException>(() => Scatterbrain.Attend(q, k, v, map, all));
        Assert.Throws<ArgumentException>(() => Scatterbrain.Attend(q, k, v, new ReluFeatures(8, 8), causal));
        Assert.Throws<ArgumentException>(() => Scatterbrain.Attend(q, k, v, new TrigonometricFeatures(8, 8), causal));
        Assert.Throws<ArgumentException>(() => Scatterbrain.Attend(q, k, v, new HyperbolicFeatures(4, 8), causal));
        Assert.Throws<ArgumentException>(() => Scatterbrain.Attend(q, k, v, map, Full(9, true)));
        Assert.Throws<ArgumentException>(() => Scatterbrain.Attend(q, k, v, map, Random(10, 3, 0.2, 1)));
        Assert.Throws<ArgumentException>(() => Scatterbrain.Attend(q * double.NaN, k, v, map, causal));
        Assert.Throws<ArgumentException>(() => Scatterbrain.Matrix(q, k, new HyperbolicFeatures(8, 8, offset: 1e-4), causal));
        Assert.Throws<ArgumentOutOfRangeException>(() => Scatterbrain.Attend(q, k, v, map, causal, scale: -1));
        Assert.Throws<OperationCanceledException>(() => Scatterbrain.Attend(q, k, v, map, causal, cancel: new CancellationToken(true)));
    }
}
