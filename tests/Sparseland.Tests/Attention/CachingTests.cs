using Sparseland.Attention;
using Sparseland.Attention.Caching;
using Sparseland.Kernels;
using Sparseland.Models.Language;
using TorchSharp;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

public class CachingTests
{
    private static readonly LlamaConfig s_small = new() { Vocabulary = 50, Width = 32, MlpWidth = 48, Layers = 2, Heads = 4, KeyValueHeads = 2, HeadWidth = 24, Context = 400 };

    private static Tensor Ids(int tokens, int batch = 1) => randint(0, 50, [batch, tokens], dtype: ScalarType.Int64, generator: new Generator(4));

    [Fact]
    public void Tiles_come_back_bit_for_bit()
    {
        var tiles = new BitmapTiles();
        var random = new Random(1);
        float[] numbers = new float[64 * 20];
        for (int t = 0; t < 20; t++)
        {
            for (int i = 0; i < 64; i++) numbers[(t * 64) + i] = t == 0 ? 0 : t == 1 || random.Next(20) < t ? random.NextSingle() - 0.5f : 0;
        }

        numbers[200] = -0.0f;
        numbers[201] = float.Epsilon;
        tiles.Append(numbers.AsSpan(0, 64 * 7));
        tiles.Append(numbers.AsSpan(64 * 7));
        float[] back = new float[64];
        long stored = 0;
        for (int t = 0; t < 20; t++)
        {
            tiles.Unpack(t, back);
            Assert.Equal(numbers.AsSpan(t * 64, 64).ToArray().Select(BitConverter.SingleToInt32Bits), back.Select(BitConverter.SingleToInt32Bits));
            stored += (numbers.AsSpan(t * 64, 64).ToArray().Count(x => BitConverter.SingleToInt32Bits(x) != 0) + 7) / 8 * 8;
        }

        Assert.Equal((20 * 12) + (4 * stored), tiles.Bytes);
        Assert.Equal((20 * 12) + (2 * stored), tiles.BytesAt(2));
        Assert.Equal(numbers.Count(x => BitConverter.SingleToInt32Bits(x) != 0), tiles.NonZeros);
        float[] scalars = [.. Enumerable.Range(0, 7).Select(i => i - 2.5f)], expected = new float[64];
        for (int i = 0; i < 7; i++)
        {
            for (int c = 0; c < 64; c++) expected[c] += scalars[i] * numbers[((1 + (3 * i)) * 64) + c];
        }

        foreach (KernelPath path in KernelPaths.All)
        {
            tiles.Path = path;
            float[] sums = new float[64];
            tiles.AddTo(1, 3, scalars, sums);
            Assert.All(expected.Zip(sums), p => Assert.Equal(p.First, p.Second, 5));
        }

        Assert.Throws<ArgumentException>("numbers", () => tiles.Append(new float[63]));
        Assert.Throws<ArgumentException>("scalars", () => tiles.AddTo(2, 3, scalars, new float[64]));
        Assert.Throws<ArgumentOutOfRangeException>("tile", () => tiles.Unpack(20, back));
    }

    [Fact]
    public void Every_token_keeps_its_largest()
    {
        Tensor x = randn([2, 3, 40, 20], generator: new Generator(2));
        foreach (double s in new[] { 0, 0.5, 0.7, 0.93 })
        {
            Tensor pruned = CachePruning.Prune(x, s);
            Assert.True(pruned.ne(0).sum(-1).eq(20 - (int)Math.Floor(s * 20 + 1e-9)).all().item<bool>());
            Assert.True(pruned.eq(x).logical_or(pruned.eq(0)).all().item<bool>());
            Tensor kept = x.abs().masked_fill(pruned.eq(0), 99).amin([-1L]), gone = x.abs().masked_fill(pruned.ne(0), 0).amax([-1L]);
            Assert.True(kept.ge(gone).all().item<bool>());
            Assert.True(Far(x - pruned, zeros(1)) <= Far(x - CachePruning.Random(x, s), zeros(1)));
        }

        Assert.Equal(128 - 89, CachePruning.KeptOf(128, 0.7));
        Assert.Equal(64, CachePruning.KeptOf(128, 0.5));
        Assert.True(CachePruning.Prune(x, 0.5, rule: KeepRule.AsPublished).ne(0).sum(-1).eq(11).all().item<bool>());
        Tensor channels = CachePruning.Prune(x, 0.75, PruneAxis.Channel, group: 32);
        Assert.True(channels.narrow(2, 0, 32).ne(0).sum(2).eq(8).all().item<bool>());
        Assert.Equal(0, Far(channels.narrow(2, 32, 8), x.narrow(2, 32, 8)));
        Tensor think = CachePruning.WholeChannels(x, 0.5, randn(2, 6, 40, 20));
        Assert.True(think.ne(0).any(2).sum(-1).eq(10).all().item<bool>());
        Assert.Equal(new long[] { 2, 3, 1, 20 }, CachePruning.OutputAwareWeights(randn(2, 6, 40, 20), 3).shape);
        foreach (double bad in new[] { -0.1, 1, double.NaN }) Assert.Throws<ArgumentOutOfRangeException>("sparsity", () => CachePruning.Prune(x, bad));
        Assert.Throws<ArgumentException>("group", () => CachePruning.Prune(x, 0.5, PruneAxis.Channel, group: 64));
        x[0, 0, 0, 0] = float.NaN;
        Assert.Throws<ArgumentException>("x", () => CachePruning.Prune(x, 0.5));
    }

    [Theory]
    [InlineData(0, 0.5, 64), InlineData(10, 0.7, 64), InlineData(32, 0.7, 128)]
    public void The_packed_cache_is_dense_attention_over_the_pruned_one(int residual, double sparsity, int group)
    {
        using var model = new TinyLM(s_small);
        using IDisposable off = no_grad();
        Tensor ids = Ids(260, 2);
        using PrunedKeyValueCache cache = PrunedKeyValueCache.For(model, new() { KeySparsity = sparsity, ValueSparsity = sparsity, Residual = residual, Group = group }, 2);
        Assert.True(Far(model.Logits(ids.narrow(1, 0, 200), cache: cache), model.Logits(ids.narrow(1, 0, 200))) < 1e-4);
        Assert.Equal((200 - residual) / group * group, cache.Packed);
        for (int t = 200; t < 260; t++)
        {
            Tensor before = cache.KeysOf(0), values = cache.ValuesOf(0);
            Tensor? q = null, k = null, v = null, found = null;
            var reader = ActivationHook.Read(s => s.Layer == 0 && s.Activation is Activation.Queries or Activation.Keys or Activation.Values or Activation.HeadOutputs, (s, x) =>
            {
                if (s.Layer != 0) return;
                Tensor copy = x.clone().DetachFromDisposeScope();
                if (s.Activation == Activation.Queries) q = copy;
                else if (s.Activation == Activation.Keys) k = copy;
                else if (s.Activation == Activation.Values) v = copy;
                else found = copy;
            });
            model.Logits(ids.narrow(1, t, 1), reader, cache).Dispose();
            Assert.True(Far(found!, ByFormula(q!, cat([before, k!], 2), cat([values, v!], 2), null).Output) < 1e-5);
        }

        Assert.Equal((260 - residual) / group * group, cache.Packed);
        Tensor old = cache.KeysOf(1).narrow(2, 0, cache.Packed);
        Assert.True(old.ne(0).sum(-1).le(CachePruning.KeptOf(24, sparsity)).all().item<bool>());
    }

    [Fact]
    public void Nothing_pruned_is_the_model_itself()
    {
        using var model = new TinyLM(s_small);
        using IDisposable off = no_grad();
        Tensor ids = Ids(150);
        using PrunedKeyValueCache cache = PrunedKeyValueCache.For(model, new() { KeySparsity = 0, ValueSparsity = 0, Residual = 0, Group = 64 });
        List<Tensor> parts = [model.Logits(ids.narrow(1, 0, 70), cache: cache), model.Logits(ids.narrow(1, 70, 5), cache: cache)];
        for (int t = 75; t < 150; t++) parts.Add(model.Logits(ids.narrow(1, t, 1), cache: cache));
        Tensor expected = model.Logits(ids);
        Assert.True(Far(cat(parts, 1), expected) < 1e-4);
        var pass = new PrunedCacheAttention((k, v, _) => (CachePruning.Prune(k, 0), CachePruning.Prune(v, 0)));
        Assert.True(Far(model.Logits(ids, attention: pass), expected) < 1e-4);
        var thin = new PrunedCacheAttention((k, v, _) => (CachePruning.Prune(k, 0.9), CachePruning.Prune(v, 0.9)), residual: 150);
        Assert.True(Far(model.Logits(ids, attention: thin), expected) < 1e-4);
        Assert.Equal(2L * 2 * 2 * 150 * 24 * 4, cache.DenseBytes);

        // Going back is possible within the dense part only.
        Assert.Throws<InvalidOperationException>(() => cache.Truncate(100));
        cache.Truncate(140);
        Assert.True(Far(model.Logits(ids.narrow(1, 140, 1), cache: cache), expected.narrow(1, 140, 1)) < 1e-4);
        cache.Truncate(0);
        Assert.True(Far(model.Logits(ids.narrow(1, 0, 9), cache: cache), expected.narrow(1, 0, 9)) < 1e-4);
    }

    [Fact]
    public void Bytes_are_those_of_the_formula()
    {
        using var cache = new PrunedKeyValueCache(1, 1, 2, 4096, 128, new() { Residual = 0, Group = 256 });
        Tensor k = randn([1, 2, 1024, 128], generator: new Generator(1)), v = randn([1, 2, 1024, 128], generator: new Generator(2));
        cache.Attend(0, k, k, v, 0.1)!.Dispose();
        cache.Advance(1024);
        Assert.Equal(1024, cache.Packed);
        Assert.InRange(cache.Bytes / (double)cache.DenseBytes, 0.37, 0.45);
        using var half = new PrunedKeyValueCache(1, 1, 2, 4096, 128, new() { KeySparsity = 0.5, ValueSparsity = 0.5, Residual = 0, Group = 256 });
        half.Attend(0, k, k, v, 0.1)!.Dispose();
        half.Advance(1024);
        Assert.InRange(half.Bytes / (double)half.DenseBytes, 0.55, 0.62);
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>("Group", () => new PrunedKeyValueCache(1, 1, 1, 8, 8, new() { Group = 100 }));
        Assert.Throws<ArgumentOutOfRangeException>("Residual", () => new PrunedKeyValueCache(1, 1, 1, 8, 8, new() { Residual = -1 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new PrunedKeyValueCache(1, 1, 1, 8, 8, new() { KeySparsity = 1 }));
        using var model = new TinyLM(s_small);
        using PrunedKeyValueCache cache = PrunedKeyValueCache.For(model);
        Assert.Throws<ArgumentException>("cache", () => model.Logits(Ids(5), cache: cache, attention: new PatternAttention(c => AttentionPatterns.Full(c.Tokens))));
        Assert.Throws<ArgumentException>("ids", () => model.Logits(Ids(401), cache: cache));
        using var capped = new TinyLM(s_small with { AttentionCap = 10 });
        using PrunedKeyValueCache other = PrunedKeyValueCache.For(capped);
        Assert.Throws<ArgumentException>(() => capped.Logits(Ids(5), cache: other));
        Assert.Throws<NotSupportedException>(() => cache.Keep(0, [0]));
        using var wrong = new PrunedKeyValueCache(2, 1, 3, 400, 24);
        Assert.Throws<ArgumentException>("cache", () => model.Logits(Ids(5), cache: wrong));
    }
}
