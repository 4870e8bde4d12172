using FsCheck;
using FsCheck.Fluent;
using Sparseland.Attention;
using Sparseland.Attention.Caching;
using Sparseland.Attention.Prefill;
using Sparseland.Models.Language;
using TorchSharp;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

/// <summary>Selections of a cache, what makes them, and what reads them.</summary>
public class SelectedCacheTests
{
    private static readonly SnapKvOptions s_small = new() { Window = 8, Kernel = 3, First = 2, Local = 4 };
    private static readonly LlamaConfig s_model = new() { Vocabulary = 50, Width = 32, MlpWidth = 48, Layers = 2, Heads = 4, KeyValueHeads = 2, HeadWidth = 24, Context = 200 };

    private static Tensor Ids(int tokens, int batch = 1) => randint(0, 50, [batch, tokens], dtype: ScalarType.Int64, generator: new Generator(4));

    [Fact]
    public void A_selection_checks_its_places()
    {
        CacheSelection kept = new(2, 10, [[0, 3, 9], [5], [1, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]);
        Assert.Equal((2, 2, 16L, false), (kept.Batch, kept.Heads, kept.Count, kept.IsWhole));
        Assert.Equal([1, 2], kept.Kept(1, 0).ToArray());
        Assert.Equal(16, kept.ToMask().sum().item<long>());
        Assert.True(CacheSelection.All(3, 7, 2).IsWhole);
        Assert.Contains("1 to 10 of 10", kept.ToString(), StringComparison.Ordinal);
        Assert.Contains("places ascend", Assert.Throws<ArgumentException>("kept", () => new CacheSelection(1, 10, [[3, 3]])).Message, StringComparison.Ordinal);
        Assert.Contains("token 10", Assert.Throws<ArgumentException>("kept", () => new CacheSelection(1, 10, [[3, 10]])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("kept", () => new CacheSelection(1, 10, [[]]));
        Assert.Throws<ArgumentException>("kept", () => new CacheSelection(2, 10, [[1]]));
        Assert.Throws<ArgumentOutOfRangeException>("tokens", () => new CacheSelection(1, 0, [[0]]));
        Assert.Throws<ArgumentOutOfRangeException>("head", () => kept.Kept(0, 2));
    }

    [Fact]
    public void Attention_over_a_selection_is_dense_attention_under_its_mask() => Prop.ForAll<int, int, bool>((seed, sizes, own) =>
    {
        using DisposeScope scope = NewDisposeScope();
        var random = new Random(seed);
        (int tokens, int group, int d) = (1 + (Math.Abs(sizes % 1000) % 70), 1 + (Math.Abs(sizes % 7) % 3), 1 + (Math.Abs(sizes % 11) * 3));
        (Tensor q, Tensor k, Tensor v) = Draw(Math.Abs(seed % 1000), 2, 2 * group, 2, 1, d, valueDim: d + 3, keys: tokens);
        int heads = own ? 2 * group : 2;
        CacheSelection kept = new(heads, tokens, [.. Enumerable.Range(0, 2 * heads).Select(_ => (IReadOnlyList<int>)[.. Enumerable.Range(0, tokens).Where(j => j == 0 || random.Next(3) == 0)])]);
        Tensor mask = kept.ToMask().unsqueeze(2);
        if (!own) mask = mask.repeat_interleave(group, 1);
        return Far(SparseDecode.Attend(q, k, v, kept), ByFormula(q, k, v, mask).Output) < 1e-4;
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Views_of_a_larger_cache_are_read_as_they_are_and_bad_input_is_named()
    {
        (Tensor q, Tensor k, Tensor v) = Draw(3, 1, 4, 2, 1, 16, keys: 64);
        Tensor part = k.narrow(2, 8, 40), values = v.narrow(2, 8, 40);
        CacheSelection kept = new(2, 40, [[1, 5, 39], [0, 2]]);
        Assert.True(Far(SparseDecode.Attend(q, part, values, kept, 0.3), SparseDecode.Attend(q, part.clone(), values.clone(), kept, 0.3)) == 0);
        Assert.True(Far(SparseDecode.Attend(q, k, v, CacheSelection.All(2, 64)), ByFormula(q, k, v, null).Output) < 1e-5);
        Assert.Throws<ArgumentException>("selection", () => SparseDecode.Attend(q, k, v, kept));
        Assert.Throws<ArgumentException>("q", () => SparseDecode.Attend(q.to(ScalarType.Float64), part.to(ScalarType.Float64), values.to(ScalarType.Float64), kept));
        Assert.Throws<ArgumentException>("q", () => SparseDecode.Attend(cat([q, q], 2), part, values, kept));
        Tensor broken = part.clone();
        broken[0, 0, 5, 3] = float.NegativeInfinity;
        Assert.Throws<ArgumentException>("k", () => SparseDecode.Attend(q.abs(), broken, values, kept));
        Tensor other = values.clone();
        other[0, 1, 2, 3] = float.NaN;
        Assert.Throws<ArgumentException>("v", () => SparseDecode.Attend(q, part, other, kept));
    }

    [Fact]
    public void A_pages_score_bounds_every_product_in_it()
    {
        (Tensor q, Tensor k, _) = Draw(5, 2, 6, 2, 1, 12, keys: 53);
        foreach (int page in new[] { 1, 4, 16 })
        {
            QuestPages pages = QuestPages.Build(k, page);
            Assert.Equal(52 / page, pages.Complete);
            Tensor products = einsum("bhid,bhjd->bhj", q, k.repeat_interleave(3, 1)).narrow(2, 0, pages.Complete * page).view(2, 6, pages.Complete, page).amax([3L]);
            Tensor bounds = pages.Scores(q, share: false);
            Assert.True((bounds - products).min().item<float>() > -1e-4);
            if (page == 1) Assert.True(Far(bounds, products) < 1e-4);
            Assert.True(Far(pages.Scores(q), bounds.view(2, 2, 3, -1).sum(2)) < 1e-4);
        }
    }

    [Fact]
    public void Pages_grow_token_by_token_as_if_built_at_once()
    {
        (Tensor q, Tensor k, _) = Draw(6, 1, 2, 2, 1, 8, keys: 61);
        QuestPages grown = QuestPages.Build(k.narrow(2, 0, 7), 4);
        for (int t = 7; t < 40; t++) grown.Update(k.narrow(2, t, 1));
        grown.Update(k.narrow(2, 40, 21));
        QuestPages built = QuestPages.Build(k, 4);
        Assert.Equal(61, grown.Tokens);
        Assert.True(Far(grown.Scores(q), built.Scores(q)) == 0);
        Assert.Equal(built.Bytes, grown.Bytes);
    }

    [Fact]
    public void Quest_reads_the_best_pages_and_the_current_one()
    {
        (Tensor q, Tensor k, Tensor v) = Draw(7, 1, 4, 2, 1, 8, keys: 30);
        QuestPages pages = QuestPages.Build(k, 4);
        CacheSelection kept = pages.Select(q, 8);
        Tensor scores = pages.Scores(q);
        for (int h = 0; h < 2; h++)
        {
            int[] best = [.. scores[0, h].topk(2, 0).indexes.data<long>().Select(p => (int)p).Order()];
            Assert.Equal(best.SelectMany(p => Enumerable.Range(p * 4, 4)).Concat([28, 29]), kept.Kept(0, h).ToArray());
        }

        Assert.Equal(4, pages.Select(q, 8, share: false).Heads);

        // A full newest page is the current one still: it does not compete.
        Assert.Equal(6, QuestPages.Build(k.narrow(2, 0, 28), 4).Complete);
        Assert.Contains(27, QuestPages.Build(k.narrow(2, 0, 28), 4).Select(q, 4).Kept(0, 0).ToArray());
        Assert.True(pages.Select(q, 28).IsWhole);
        Assert.True(Far(SparseDecode.Attend(q, k, v, pages.Select(q, 28)), ByFormula(q, k, v, null).Output) < 1e-5);
        Assert.Throws<ArgumentOutOfRangeException>("budget", () => pages.Select(q, 6));
        Assert.Throws<ArgumentOutOfRangeException>("budget", () => pages.Select(q, 0));
        Assert.Throws<ArgumentException>("q", () => pages.Select(q * float.NaN, 8));
        Assert.Throws<ArgumentException>("q", () => pages.Select(cat([q, q], 2), 8));
        Assert.Throws<ArgumentException>("keys", () => pages.Update(k.narrow(1, 0, 1)));
        Assert.Throws<ArgumentException>("keys", () => QuestPages.Build(k / 0, 4));
        Assert.Throws<ArgumentOutOfRangeException>("page", () => QuestPages.Build(k, 0));
    }

    [Fact]
    public void Importance_is_the_pooled_sum_or_maximum_of_the_windows_weights()
    {
        (Tensor q, Tensor k, _) = Draw(8, 2, 4, 2, 20, 8, keys: 30);
        Tensor weights = einsum("bhid,bhjd->bhij", q.to(ScalarType.Float64), k.to(ScalarType.Float64).repeat_interleave(2, 1)) / Math.Sqrt(8);
        weights = weights.masked_fill(Causal(20, 30).logical_not(), double.NegativeInfinity).softmax(-1).narrow(2, 12, 8).view(2, 2, 2, 8, 30);
        static Tensor Pooled(Tensor x) => (nn.functional.pad(x, [1, 0]).narrow(2, 0, 30) + x + nn.functional.pad(x, [0, 1]).narrow(2, 1, 30)) / 3;
        Assert.True(Far(SnapKv.Importance(q, k, s_small), Pooled(weights.sum(3).mean([2L]))) < 1e-5);
        Assert.True(Far(AdaSnapKv.Importance(q, k, s_small), Pooled(weights.amax([2L, 3L]))) < 1e-5);
    }

    [Fact]
    public void SnapKV_keeps_as_many_in_every_head_and_the_forced_ones()
    {
        (Tensor q, Tensor k, _) = Draw(9, 2, 4, 2, 40, 8);
        Tensor importance = SnapKv.Importance(q, k, s_small);
        CacheSelection kept = SnapKv.Compress(q, k, 12, s_small);
        for (int h = 0; h < 4; h++)
        {
            int[] places = kept.Kept(h / 2, h % 2).ToArray(), forced = [0, 1, 36, 37, 38, 39];
            Assert.Equal(12, places.Length);
            Assert.All(forced, j => Assert.Contains(j, places));
            float[] scores = importance[h / 2, h % 2].contiguous().data<float>().ToArray();
            Assert.True(places.Except(forced).Min(j => scores[j]) >= Enumerable.Range(0, 40).Except(places).Max(j => scores[j]));
        }

        Assert.True(SnapKv.Compress(q, k, 40, s_small).IsWhole);
        Assert.True(SnapKv.Compress(q, k, 100, s_small).IsWhole);
        Assert.Throws<ArgumentOutOfRangeException>("capacity", () => SnapKv.Compress(q, k, 6, s_small));
        Assert.Throws<ArgumentException>("options", () => SnapKv.Compress(q, k, 12, s_small with { Window = 41 }));
        Assert.Throws<ArgumentOutOfRangeException>("Kernel", () => SnapKv.Compress(q, k, 12, s_small with { Kernel = 4 }));
        Assert.Throws<ArgumentException>("k", () => SnapKv.Compress(q, k * float.NaN, 12, s_small));
        Assert.Throws<ArgumentException>("k", () => SnapKv.Compress(q, k.narrow(2, 0, 30), 12, s_small));
    }

    [Fact]
    public void AdaSnapKV_shares_out_what_SnapKV_gives_to_each() => Prop.ForAll<int, int>((seed, more) =>
    {
        using DisposeScope scope = NewDisposeScope();
        int capacity = 7 + (Math.Abs(more % 1000) % 33);
        (Tensor q, Tensor k, _) = Draw(Math.Abs(seed % 1000), 2, 6, 3, 40, 8, size: 2);
        CacheSelection kept = AdaSnapKv.Compress(q, k, capacity, s_small with { Least = 0.5 });
        int least = AdaSnapKv.LeastOf(capacity, s_small with { Least = 0.5 });
        int[] forced = [0, 1, 36, 37, 38, 39];
        return least == Math.Max(capacity / 2, 6) && Enumerable.Range(0, 2).All(b => Enumerable.Range(0, 3).Sum(h => kept.Kept(b, h).Length) == 3 * capacity
            && Enumerable.Range(0, 3).All(h => kept.Kept(b, h).Length >= least && !forced.Except(kept.Kept(b, h).ToArray()).Any()));
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void AdaSnapKV_gives_the_rest_to_the_largest_of_all_heads()
    {
        (Tensor q, Tensor k, _) = Draw(11, 1, 4, 2, 40, 8, size: 2);
        SnapKvOptions options = s_small with { Least = 0 };
        CacheSelection kept = AdaSnapKv.Compress(q, k, 15, options);
        Tensor scores = AdaSnapKv.Importance(q, k, options).view(2, 40);
        Tensor mask = kept.ToMask().view(2, 40), forced = zeros_like(mask);
        forced.narrow(1, 0, 2).fill_(true);
        forced.narrow(1, 36, 4).fill_(true);
        float worst = scores.masked_fill(mask.logical_and(forced.logical_not()).logical_not(), 99).min().item<float>(), best = scores.masked_fill(mask, -1).max().item<float>();
        Assert.True(worst >= best);
        Assert.NotEqual(kept.Kept(0, 0).Length, kept.Kept(0, 1).Length);
        Assert.True(AdaSnapKv.Compress(q, k, 40, options).IsWhole);
    }

    [Fact]
    public void FlexPrefill_takes_the_fewest_lines_of_a_share_of_the_mass()
    {
        Tensor columns = tensor(new[] { 0.5f, 0.1f, 0.3f, 0.1f, 0.25f, 0.25f, 0.25f, 0.25f }, [1, 2, 4]), slashes = tensor(new[] { 1f, 0, 0, 0, 0.7f, 0.3f, 0, 0 }, [1, 2, 4]);
        Assert.Equal([new(2, 1), new(3, 1)], FlexPrefill.Budget(columns, slashes, 0.65, 1));
        Assert.Equal([new(3, 3), new(3, 3)], FlexPrefill.Budget(columns, slashes, 0.65, 3));
        Assert.Equal([new(4, 4), new(4, 4)], FlexPrefill.Budget(columns, slashes, 0.65, 512));
        (Tensor q, Tensor k, _) = Draw(12, 1, 4, 2, 40, 8);
        Tensor strip = VerticalSlashIndex.Strip(q, k, 10);
        VerticalSlash[][] rising = [.. new[] { 0.2, 0.5, 0.9, 1 }.Select(a => FlexPrefill.Budget(strip, a, 1).ToArray())];
        for (int h = 0; h < 4; h++) Assert.All(rising.Zip(rising.Skip(1)), p => Assert.True(p.First[h].Columns <= p.Second[h].Columns && p.First[h].Slashes <= p.Second[h].Slashes));
        (Tensor down, _) = VerticalSlashIndex.Scores(strip);
        float[] heaviest = [.. (down[0, 1] / 10).sort(descending: true).Values.data<float>()];
        int n = rising[1][1].Columns;
        Assert.True(heaviest.Take(n).Sum() > 0.5 && heaviest.Take(n - 1).Sum() <= 0.5);
        Assert.Throws<ArgumentOutOfRangeException>("alpha", () => FlexPrefill.Budget(strip, 0));
        Assert.Throws<ArgumentOutOfRangeException>("alpha", () => FlexPrefill.Budget(strip, 1.01));
        Assert.Throws<ArgumentOutOfRangeException>("min", () => FlexPrefill.Budget(strip, 0.5, 0));
        Assert.Throws<ArgumentException>("masses", () => FlexPrefill.Budget(columns * float.NaN, slashes, 0.5, 1));
    }

    [Fact]
    public void A_cache_without_eviction_is_the_model_itself()
    {
        using var model = new TinyLM(s_model, seed: 2);
        using IDisposable off = no_grad();
        Tensor ids = Ids(60, 2);
        using KeyValueCache filled = model.NewCache(2);
        model.Logits(ids.narrow(1, 0, 40), cache: filled);
        using var cache = SelectedKeyValueCache.Of(filled, [.. Enumerable.Range(0, 2).Select(_ => CacheSelection.All(2, 40, 2))]);
        Assert.Equal((40, 40, cache.DenseBytes), (cache.Count, cache.Prompt, cache.Bytes));
        Tensor all = model.Logits(ids);
        Assert.True(Far(model.Logits(ids.narrow(1, 40, 7), cache: cache), all.narrow(1, 40, 7)) < 1e-5);
        for (int t = 47; t < 60; t++) Assert.True(Far(model.Logits(ids.narrow(1, t, 1), cache: cache), all.narrow(1, t, 1)) < 1e-5);
        cache.Truncate(45);
        Assert.True(Far(model.Logits(ids.narrow(1, 45, 15), cache: cache), all.narrow(1, 45, 15)) < 1e-5);
        cache.Truncate(0);
        Assert.Equal(0, cache.Bytes);
        Assert.True(Far(model.Logits(ids, cache: cache), all) < 1e-5);
    }

    [Fact]
    public void New_tokens_see_what_was_kept_at_their_old_places()
    {
        using var model = new TinyLM(s_model, seed: 2);
        using IDisposable off = no_grad();
        foreach (Tensor parameter in model.parameters().Where(p => p.dim() == 2)) parameter.mul_(8);
        Tensor ids = Ids(48);
        using KeyValueCache filled = model.NewCache();
        model.Logits(ids.narrow(1, 0, 40), cache: filled);
        IReadOnlyList<int>[] kept = [[0, 3, 11, 39], [5, 38, 39]];
        using var cache = SelectedKeyValueCache.Of(filled, [.. Enumerable.Range(0, 2).Select(_ => new CacheSelection(2, 40, kept))]);
        Tensor mask = new CacheSelection(2, 40, kept).ToMask().unsqueeze(2).expand(-1, -1, 8, -1).repeat_interleave(2, 1);
        Tensor seen = cat([mask, ones([8, 8], dtype: ScalarType.Bool).tril().expand(1, 4, -1, -1)], 3);

        // The same through a dense cache and a mask over it.
        Tensor wanted = model.Logits(ids.narrow(1, 40, 8), cache: filled, attention: new Masked(seen));
        Tensor parts = cat([.. Enumerable.Range(40, 8).Select(t => model.Logits(ids.narrow(1, t, 1), cache: cache))], 1);
        Assert.True(Far(parts, wanted) / wanted.abs().max().item<float>() < 1e-4);
        Assert.Equal((12, 11), (cache.LengthOf(1, 0, 0), cache.LengthOf(1, 0, 1)));
        Assert.Equal(kept[1], cache.KeptOf(0, 0, 1));
        Assert.Equal([12, 24], cache.KeysOf(0, 0, 0).shape);
        Assert.True(Far(cache.ValuesOf(1, 0, 1).narrow(0, 0, 3), filled.ValuesOf(1)[0, 1].index_select(0, tensor(new long[] { 5, 38, 39 }))) == 0);
        Assert.Equal(2 * 23 * 2 * 24 * 4, cache.Bytes);
    }

    [Fact]
    public void Generation_goes_on_behind_an_eviction()
    {
        using var model = new TinyLM(s_model, seed: 2);
        using IDisposable off = no_grad();
        Tensor ids = Ids(40);
        using KeyValueCache filled = model.NewCache();
        ActivationRecorder record = new(site => site.Activation is Activation.Queries or Activation.Keys);
        model.Logits(ids.narrow(1, 0, 39), record, filled);
        CacheSelection[] kept = [.. Enumerable.Range(0, 2).Select(b => SnapKv.Compress(record[b, Activation.Queries], record[b, Activation.Keys], 20, s_small))];
        int last = (int)ids[0, 39].item<long>();
        GenerationOptions greedy = new() { NewTokens = 12, Temperature = 0 };
        using (var evicted = SelectedKeyValueCache.Of(filled, kept))
        {
            Assert.Equal(12, CachedGeneration.Continue(model, evicted, [last], greedy).Count);
            Assert.Equal(39 + 12, evicted.Count);
            Assert.Equal(20 + 12, evicted.LengthOf(1, 0, 1));
            Assert.Throws<ArgumentException>("options", () => CachedGeneration.Continue(model, evicted, [last], new() { NewTokens = 150 }));
            Assert.Throws<ArgumentException>("next", () => CachedGeneration.Continue(model, evicted, [], greedy));
        }

        int[] prompt = [.. ids[0].data<long>().Select(t => (int)t)];
        using (var whole = SelectedKeyValueCache.Of(filled, [.. kept.Select(_ => CacheSelection.All(2, 39))]))
            Assert.Equal(TextGenerator.Generate(model, prompt, greedy), CachedGeneration.Continue(model, whole, [last], greedy));
        Assert.Equal(TextGenerator.Generate(model, prompt, greedy), CachedGeneration.Continue(model, filled, [last], greedy));
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        Assert.Throws<OperationCanceledException>(() => CachedGeneration.Continue(model, filled, [last], greedy, cancel: stop.Token));
    }

    [Fact]
    public void What_an_evicted_cache_cannot_do_it_refuses()
    {
        using var model = new TinyLM(s_model, seed: 2);
        using IDisposable off = no_grad();
        using KeyValueCache filled = model.NewCache();
        CacheSelection all = CacheSelection.All(2, 40);
        Assert.Throws<ArgumentException>("filled", () => SelectedKeyValueCache.Of(filled, [all, all]));
        model.Logits(Ids(40), cache: filled);
        Assert.Throws<ArgumentException>("selections", () => SelectedKeyValueCache.Of(filled, []));
        Assert.Throws<ArgumentException>("cache", () => SelectedKeyValueCache.Of(filled, [all]));
        Assert.Throws<ArgumentException>("selections", () => SelectedKeyValueCache.Of(filled, [all, CacheSelection.All(2, 39)]));
        Assert.Throws<ArgumentException>("selections", () => SelectedKeyValueCache.Of(filled, [all, CacheSelection.All(4, 40)]));
        using var cache = SelectedKeyValueCache.Of(filled, [all, all]);
        Assert.Throws<ArgumentException>("filled", () => SelectedKeyValueCache.Of(cache, [all, all]));
        Assert.Contains("not 20", Assert.Throws<InvalidOperationException>(() => cache.Truncate(20)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => cache.Truncate(41));
        Assert.Throws<NotSupportedException>(() => cache.Keep(40, []));
        Assert.Throws<NotSupportedException>(() => cache.KeysOf(0));
        Assert.Throws<ArgumentOutOfRangeException>("layer", () => cache.KeptOf(2, 0, 0));
        Assert.Throws<ArgumentException>("cache", () => model.Logits(Ids(1), cache: cache, attention: new PatternAttention(c => AttentionPatterns.Window(c.Tokens, 3, c.Offset))));
    }

    private sealed class Masked(Tensor seen) : IAttentionMethod
    {
        public Tensor Attend(AttentionCall call, Tensor q, Tensor k, Tensor v) => ByFormula(q, k, v, seen, call.Scale).Output.to(ScalarType.Float32);
    }
}
