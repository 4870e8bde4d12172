using Sparseland.Attention;
using Sparseland.Attention.Caching;
using Sparseland.Models.Language;
using TorchSharp;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

/// <summary>Attacks on caches: steps against passes, packed numbers against a loop, products out of range, scales at the ends of the type, memory.</summary>
public sealed class CacheTrialTests
{
    private static readonly LlamaConfig s_model = new() { Vocabulary = 50, Width = 32, MlpWidth = 48, Layers = 2, Heads = 4, KeyValueHeads = 2, HeadWidth = 24, Context = 700 };

    private static Tensor Ids(int tokens, int batch = 1, int seed = 4) => randint(0, 50, [batch, tokens], dtype: ScalarType.Int64, generator: new Generator((ulong)seed));

    private static float[] Numbers(Tensor x) => x.detach().contiguous().data<float>().ToArray();

    [Fact]
    public void Pieces_of_any_length_are_one_pass_and_what_was_forgotten_changes_no_bit()
    {
        using var model = new TinyLM(s_model, seed: 3);
        using IDisposable off = no_grad();
        Tensor ids = Ids(600, 2), whole = model.Logits(ids);
        var random = new Random(1);
        using KeyValueCache cache = model.NewCache(2), clean = model.NewCache(2);
        for (int at = 0; at < 600;)
        {
            int count = Math.Min(600 - at, random.Next(4) == 0 ? 1 : random.Next(1, 200));
            if (at > 10 && random.Next(2) == 0)
            {
                // Other tokens, taken back at once: memory may have grown meanwhile.
                int others = Math.Min(650 - at, 90);
                model.Logits(Ids(others, 2, at), cache: cache).Dispose();
                cache.Truncate(at);
            }

            Tensor found = model.Logits(ids.narrow(1, at, count), cache: cache);
            Assert.Equal(Numbers(model.Logits(ids.narrow(1, at, count), cache: clean)), Numbers(found));
            Assert.True(Far(found, whole.narrow(1, at, count)) < 1e-4, $"{count} tokens at {at}");
            at += count;
        }

        Assert.Equal(Numbers(clean.KeysOf(1)), Numbers(cache.KeysOf(1)));
        Assert.Throws<ArgumentOutOfRangeException>(() => cache.Truncate(601));
        Assert.Throws<ArgumentOutOfRangeException>(() => cache.Truncate(-1));
    }

    [Theory]
    [InlineData(1, 64, 0), InlineData(7, 64, 1), InlineData(64, 128, 63), InlineData(65, 64, 5), InlineData(130, 64, 0)]
    public void A_packed_cache_holds_what_a_loop_keeps_and_reads_it_token_by_token_or_at_once(int headDim, int group, int residual)
    {
        var random = new Random(headDim);
        (Tensor q, Tensor k, Tensor v) = Draw(headDim, 2, 4, 2, 310, headDim);

        // Ties, and zeros that are numbers.
        k = where(k.abs().lt(0.3), zeros(1), (k * 4).round() / 4);
        PrunedCacheOptions options = new() { KeySparsity = 0.7, ValueSparsity = 0.3, Group = group, Residual = residual };
        using PrunedKeyValueCache one = new(1, 2, 2, 400, headDim, options), many = new(1, 2, 2, 400, headDim, options);
        foreach (PrunedKeyValueCache cache in new[] { one, many })
        {
            cache.Attend(0, q.narrow(2, 0, 100), k.narrow(2, 0, 100), v.narrow(2, 0, 100), 0.5)!.Dispose();
            cache.Advance(100);
        }

        for (int at = 100; at < 310;)
        {
            int count = Math.Min(310 - at, random.Next(1, 90));
            float[] together = Numbers(many.Attend(0, q.narrow(2, at, count), k.narrow(2, at, count), v.narrow(2, at, count), 0.5)!);
            many.Advance(count);
            var parts = new List<Tensor>();
            for (int t = at; t < at + count; t++)
            {
                Tensor before = cat([one.KeysOf(0), k.narrow(2, t, 1)], 2), values = cat([one.ValuesOf(0), v.narrow(2, t, 1)], 2), query = q.narrow(2, t, 1);
                parts.Add(one.Attend(0, query, k.narrow(2, t, 1), v.narrow(2, t, 1), 0.5)!);
                one.Advance(1);
                if (t % 7 == 0) Assert.True(Far(parts[^1], ByFormula(query, before, values, null, 0.5).Output) < 1e-5);
            }

            Assert.Equal(together, Numbers(cat([.. parts], 2)));
            at += count;
        }

        int packed = (310 - residual) / group * group;
        Assert.Equal((packed, 310), (one.Packed, one.Count));
        Tensor keys = one.KeysOf(0), held = one.ValuesOf(0);
        long bytes = 2L * 4 * 4 * (310 - packed) * headDim;
        for (int h = 0; h < 4; h++)
        {
            foreach ((Tensor now, Tensor then, double sparsity, bool down) in new[] { (keys[h / 2, h % 2], k[h / 2, h % 2], 0.7, true), (held[h / 2, h % 2], v[h / 2, h % 2], 0.3, false) })
            {
                float[] found = Numbers(now), expected = Numbers(then);
                for (int t = 0; t < packed; t++)
                {
                    float[] row = expected[(t * headDim)..((t + 1) * headDim)];
                    foreach (int c in Enumerable.Range(0, headDim).OrderByDescending(c => Math.Abs(row[c])).ThenBy(c => c).Skip(headDim - (int)Math.Floor((sparsity * headDim) + 1e-9))) expected[(t * headDim) + c] = 0;
                }

                Assert.Equal(expected, found);
                Tensor kept = tensor(expected, [310, headDim]).narrow(0, 0, packed);
                int wide = (headDim + 63) / 64 * 64;

                // Tiles: of keys 64 tokens of a channel, of values 64 channels of a token.
                if (packed == 0) continue;
                Tensor tiles = down ? kept.view(packed / 64, 64, headDim).transpose(1, 2).reshape(-1, 64) : nn.functional.pad(kept, [0, wide - headDim]).reshape(-1, 64);
                bytes += (12 * tiles.shape[0]) + (4 * tiles.ne(0).sum(1).add(7).div(8, RoundingMode.floor).mul(8).sum().item<long>());
            }
        }

        Assert.Equal(bytes, one.Bytes);
        Assert.Equal(2L * 4 * 310 * headDim * 4, one.DenseBytes);
        Assert.True(Far(one.Read(0, q.narrow(2, 309, 1), 0.5), ByFormula(q.narrow(2, 309, 1), keys, held, null, 0.5).Output) < 1e-5);
    }

    [Fact]
    public void Products_out_of_range_are_refused_by_a_packed_cache_and_it_can_go_on_before_them()
    {
        (Tensor q, Tensor k, Tensor v) = Draw(2, 1, 2, 1, 100, 8);
        PrunedCacheOptions options = new() { Group = 64, Residual = 0 };
        using PrunedKeyValueCache cache = new(1, 1, 1, 200, 8, options), clean = new(1, 1, 1, 200, 8, options);
        foreach (PrunedKeyValueCache one in new[] { cache, clean })
        {
            one.Attend(0, q.narrow(2, 0, 80), k.narrow(2, 0, 80), v.narrow(2, 0, 80), 0.5)!.Dispose();
            one.Advance(80);
        }

        foreach (double bad in new[] { 1e20, -1e20, 3e38 })
        {
            Assert.Throws<ArgumentException>("q", () => cache.Attend(0, full([1, 2, 3, 8], 1e20), full([1, 1, 3, 8], bad), v.narrow(2, 80, 3), 0.5));
            cache.Truncate(80);
        }

        Assert.Equal(Numbers(clean.Attend(0, q.narrow(2, 80, 5), k.narrow(2, 80, 5), v.narrow(2, 80, 5), 0.5)!), Numbers(cache.Attend(0, q.narrow(2, 80, 5), k.narrow(2, 80, 5), v.narrow(2, 80, 5), 0.5)!));
        using PrunedKeyValueCache large = new(1, 1, 1, 200, 8, options with { KeySparsity = 0, ValueSparsity = 0 });
        large.Fill(0, full([1, 1, 70, 8], 1e20), ones(1, 1, 70, 8));
        Assert.Throws<ArgumentException>("q", () => large.Read(0, full([1, 2, 1, 8], 1e20)));
        Assert.Throws<ArgumentException>("q", () => large.Read(0, full([1, 2, 1, 8], -1e20)));
        Assert.True(Far(large.Read(0, full([1, 2, 1, 8], 1e-20)), ones(1)) < 1e-6);
        Assert.Throws<ArgumentOutOfRangeException>("scale", () => large.Read(0, ones(1, 2, 1, 8), 1e60));
    }

    [Theory]
    [InlineData(1e-37), InlineData(1), InlineData(1e37)]
    public void Pruning_keeps_the_largest_at_any_scale_by_token_channel_and_whole_channel(double size)
    {
        Tensor x = (randn([2, 3, 70, 11], generator: new Generator(3)) * 3).round(), q = randn([2, 6, 40, 11], generator: new Generator(4));
        foreach (double s in new[] { 0.0, 0.2, 0.7, 0.95 })
        {
            float[] all = Numbers(x);
            for (int row = 0; row < 2 * 3 * 70; row++)
            {
                float[] one = all[(row * 11)..((row + 1) * 11)];
                foreach (int c in Enumerable.Range(0, 11).OrderByDescending(c => Math.Abs(one[c])).ThenBy(c => c).Skip(11 - (int)Math.Floor((s * 11) + 1e-9))) all[(row * 11) + c] = 0;
            }

            Assert.True(Far(CachePruning.Prune(x * size, s) / size, tensor(all, [2, 3, 70, 11])) < 1e-5);
            Assert.Equal(Numbers(CachePruning.Prune(x, s, PruneAxis.Channel).ne(0).to(ScalarType.Float32)), Numbers(CachePruning.Prune(x * size, s, PruneAxis.Channel).ne(0).to(ScalarType.Float32)));
            Assert.Equal(Numbers(CachePruning.WholeChannels(x, s, q).ne(0).to(ScalarType.Float32)), Numbers(CachePruning.WholeChannels(x * size, s, q * size).ne(0).to(ScalarType.Float32)));
            Assert.Equal(Numbers(CachePruning.WholeChannels(x, s).ne(0).to(ScalarType.Float32)), Numbers(CachePruning.WholeChannels(x * size, s).ne(0).to(ScalarType.Float32)));
        }
    }

    [Fact]
    public void Whole_channels_are_those_of_the_formula_and_what_does_not_fit_is_named()
    {
        Tensor x = randn([2, 3, 20, 8], generator: new Generator(3)), q = randn([2, 6, 40, 8], generator: new Generator(4));
        Tensor scores = x.square().mean([2L]) * q.narrow(2, 8, 32).square().view(2, 3, 2, 32, 8).mean([2L, 3]);
        Tensor least = scores.topk(4, largest: true).values.narrow(2, 3, 1);
        Assert.Equal(0, Far(CachePruning.WholeChannels(x, 0.5, q), x * scores.ge(least).unsqueeze(2)));
        foreach (long[] shape in new long[][] { [1, 6, 40, 8], [2, 6, 40, 7], [2, 6, 40, 1], [2, 40, 8] }) Assert.Throws<ArgumentException>("queries", () => CachePruning.WholeChannels(x, 0.5, randn(shape)));

        // Weights that broadcast the other way would give a cache of another shape.
        foreach (long[] shape in new long[][] { [4, 3, 1, 8], [2, 3, 20, 7], [1, 2, 3, 20, 8], [5] }) Assert.Throws<ArgumentException>("weights", () => CachePruning.Prune(x, 0.5, weights: ones(shape)));
        Assert.Throws<ArgumentException>("weights", () => CachePruning.Prune(x.narrow(0, 0, 1), 0.5, weights: ones(2, 1, 1, 8)));
        foreach (long[] shape in new long[][] { [2, 3, 1, 8], [8], [], [1, 1, 20, 1] }) Assert.Equal(x.shape, CachePruning.Prune(x, 0.5, weights: ones(shape)).shape);
        Assert.Equal(Numbers(CachePruning.Random(x, 0.5, 9)), Numbers(CachePruning.Random(x, 0.5, 9)));
        Assert.NotEqual(Numbers(CachePruning.Random(x, 0.5, 9)), Numbers(CachePruning.Random(x, 0.5, 10)));
    }

    [Fact]
    public void Pages_are_those_of_a_loop_at_drawn_sizes()
    {
        var random = new Random(7);
        for (int draw = 0; draw < 80; draw++)
        {
            (int page, int tokens, int heads, int group, int width) = (random.Next(1, 9), random.Next(1, 70), random.Next(1, 3), random.Next(1, 4), random.Next(1, 19));
            (Tensor q, Tensor k, Tensor _) = Draw(draw, 2, heads * group, heads, 1, width, keys: tokens);
            if (draw % 3 == 0) k = k.round();
            QuestPages pages = QuestPages.Build(k.narrow(2, 0, 1), page);
            for (int at = 1; at < tokens;)
            {
                int count = Math.Min(tokens - at, random.Next(1, 12));
                pages.Update(k.narrow(2, at, count));
                at += count;
            }

            int budget = page * random.Next(1, 5), complete = (tokens - 1) / page;
            Assert.Equal((complete, 2L * heads * complete * 2 * width * 4), (pages.Complete, pages.Bytes));
            foreach (bool share in new[] { true, false })
            {
                CacheSelection found = pages.Select(q, budget, share);
                for (int b = 0; b < 2; b++)
                {
                    for (int h = 0; h < found.Heads; h++)
                    {
                        double Score(int p) => Enumerable.Range(0, share ? group : 1).Sum(g =>
                        {
                            int head = share ? (h * group) + g : h;
                            return Enumerable.Range(0, width).Sum(c =>
                            {
                                float[] channel = Numbers(k[b, head / group].narrow(0, p * page, page).select(1, c));
                                float of = q[b, head, 0, c].item<float>();
                                return Math.Max((double)of * channel.Min(), (double)of * channel.Max());
                            });
                        });
                        double[] scores = [.. Enumerable.Range(0, complete).Select(Score)];
                        int[] kept = found.Kept(b, h).ToArray();
                        Assert.Equal(complete <= budget / page ? tokens : budget + tokens - (complete * page), kept.Length);
                        Assert.Equal(Enumerable.Range(complete * page, tokens - (complete * page)), kept.TakeLast(tokens - (complete * page)));
                        double least = kept.Where(t => t < complete * page).Select(t => scores[t / page]).DefaultIfEmpty(double.PositiveInfinity).Min();
                        double best = Enumerable.Range(0, complete).Except(kept.Select(t => t / page)).Select(p => scores[p]).DefaultIfEmpty(double.NegativeInfinity).Max();
                        Assert.True(least >= best - 1e-4, $"draw {draw}");
                    }
                }
            }
        }
    }

    [Fact]
    public void A_share_of_the_capacity_is_that_of_the_decimal_number()
    {
        SnapKvOptions options = new() { First = 1, Local = 2 };
        for (int percent = 1; percent <= 100; percent++)
        {
            foreach (int capacity in new[] { 50, 100, 700 }) Assert.Equal(Math.Max(3, percent * capacity / 100), AdaSnapKv.LeastOf(capacity, options with { Least = percent / 100.0 }));
        }
    }
}
