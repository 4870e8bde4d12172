using Sparseland.Attention;
using Sparseland.Attention.Hashing;
using Sparseland.Selection;
using TorchSharp;
using static Sparseland.Tests.Attention.AttentionData;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

public class HashingTests
{
    [Fact]
    public void Completed_norms_are_equal_and_products_unchanged()
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k) = (Draw(1, 3, 20, 6), Draw(2, 3, 14, 6) * 2);
        (Tensor Q, Tensor K) = NormCompletion.Complete(q, k);
        AssertClose(q.matmul(k.transpose(1, 2)), Q.matmul(K.transpose(1, 2)), 1e-12);
        Tensor M = q.square().sum(-1).amax([1], keepdim: true) + k.square().sum(-1).amax([1], keepdim: true);
        AssertClose(M.expand(3, 20), Q.square().sum(-1), 1e-12);
        AssertClose(M.expand(3, 14), K.square().sum(-1), 1e-12);
    }

    [Fact]
    public void Codes_collide_as_often_as_the_angle_says()
    {
        using var scope = NewDisposeScope();
        double angle = Math.PI / 4;
        Tensor pair = tensor(new[] { 1.0, 0, 0, Math.Cos(angle), Math.Sin(angle), 0 }, [2, 3]);
        int hits = 0;
        for (int seed = 0; seed < 20_000; seed++)
        {
            using Tensor codes = new AngularHash(3, 4, seed).Codes(pair);
            hits += codes[0].item<long>() == codes[1].item<long>() ? 1 : 0;
        }

        Assert.Equal(AngularHash.CollisionProbability(angle, 4), hits / 20_000.0, 0.012);
        Assert.Equal(1, AngularHash.CollisionProbability(0, 5));
        Assert.Equal(0, AngularHash.CollisionProbability(Math.PI, 5, 9));
        Assert.Equal(0.75, AngularHash.CollisionProbability(Math.PI / 2, 1, 2), 1e-12);
    }

    [Fact]
    public void Opposite_vectors_fall_into_opposite_buckets_whatever_their_length()
    {
        using var scope = NewDisposeScope();
        Tensor x = Draw(5, 50, 7);
        CrossPolytopeHash hash = new(7, 12, seed: 4);
        Tensor a = hash.Buckets(x), b = hash.Buckets(x * -3), same = hash.Buckets(x * 0.1);
        Assert.True((a - b).abs().eq(6).all().item<bool>());
        Assert.True(a.eq(same).all().item<bool>());
        Assert.InRange(a.max().item<long>(), 0, 11);
    }

    [Fact]
    public void Chunks_are_equal_rounds_are_united_and_no_key_is_late()
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, _) = Heads(64);
        foreach (Func<int, long, bool, AttentionSupport> make in new Func<int, long, bool, AttentionSupport>[]
            { (r, s, c) => HashedSupport.NormCompletedSort(q, k, 8, r, s, c), (r, s, c) => HashedSupport.CrossPolytope(q, k, 8, r, s, c), (r, s, c) => HashedSupport.Angular(q, k, 3, r, s, c) })
        {
            AttentionSupport one = make(1, 5, false), two = make(1, HashedSupport.RoundSeed(5, 1), false), both = make(2, 5, false), causal = make(2, 5, true);
            Assert.Equal(8, both.Heads.Count);
            for (int h = 0; h < 8; h++)
            {
                Assert.Equal(one.Heads[h].Union(two.Heads[h]), both.Heads[h]);
                for (int row = 0; row < 64; row++)
                {
                    Assert.Equal(both.Heads[h].Row(row).ToArray().Where(c => c <= row), causal.Heads[h].Row(row).ToArray());
                }
            }
        }

        AttentionSupport balanced = HashedSupport.NormCompletedSort(q, k, 8, 1, 3, causal: false);
        Assert.All(balanced.Heads, head => Assert.All(head.CountsPerRow().Concat(head.CountsPerColumn()), count => Assert.Equal(8, count)));
        AttentionSupport ragged = HashedSupport.NormCompletedSort(q, k, 60, 1, 3, causal: false);
        Assert.All(ragged.Heads, head => Assert.Equal((60 * 60) + (4 * 4), head.Count));
    }

    [Fact]
    public void Whole_buckets_meet()
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, _) = Heads(50, batch: 1, heads: 1, keyHeads: 1);
        CrossPolytopeHash hash = new(8, 6, seed: 4);
        Tensor same = hash.Buckets(q[0][0]).unsqueeze(1).eq(hash.Buckets(k[0][0]).unsqueeze(0));
        Assert.Equal(Support.FromMask(same), HashedSupport.CrossPolytope(q, k, 6, 1, 4, causal: false).Heads[0]);
    }

    [Fact]
    public void Equal_vectors_always_meet_by_their_codes()
    {
        using var scope = NewDisposeScope();
        Tensor x = Draw(9, 1, 1, 30, 6);
        Support support = HashedSupport.Angular(x, x, 20, 1, causal: false).Heads[0];
        for (int i = 0; i < 30; i++) Assert.True(support.Contains(i, i));
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        (Tensor q, Tensor k, _) = Heads(16);
        Assert.Throws<ArgumentException>(() => new CrossPolytopeHash(8, 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => new AngularHash(8, 63));
        Assert.Throws<ArgumentOutOfRangeException>(() => new AngularHash(8, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => AngularHash.CollisionProbability(4, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => HashedSupport.NormCompletedSort(q, k, 17));
        Assert.Throws<ArgumentException>(() => HashedSupport.CrossPolytope(q, k, 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => HashedSupport.Angular(q, k, 0));
        Assert.Throws<ArgumentException>(() => HashedSupport.NormCompletedSort(q, k.narrow(2, 0, 7), 4, causal: false));
        Assert.Throws<ArgumentException>(() => HashedSupport.CrossPolytope(q, k.narrow(2, 0, 7), 4));
        Assert.Throws<ArgumentException>(() => HashedSupport.CrossPolytope(q / 0.0, k, 4));
        Assert.Throws<ArgumentException>(() => NormCompletion.Complete(q[0][0], k[0][0].narrow(1, 0, 3)));
        Assert.Throws<ArgumentException>(() => new AngularHash(7, 3).Codes(q));
        Assert.Throws<OperationCanceledException>(() => HashedSupport.CrossPolytope(q, k, 4, cancel: new CancellationToken(true)));
    }
}
