using FsCheck;
using FsCheck.Fluent;
using Sparseland.Attention;
using Sparseland.Attention.Prefill;
using Sparseland.Models.Language;
using Sparseland.Selection;
using TorchSharp;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

public class PrefillTests
{
    private static readonly MInferenceOptions s_small = new() { LastQueries = 16, ForcedColumns = 2, ForcedSlashes = 4, Block = 16 };

    [Fact]
    public void The_strip_is_the_end_of_the_pattern_and_its_sums_are_those_of_loops()
    {
        (Tensor q, Tensor k, Tensor _) = Draw(3, 2, 4, 2, 37, 8);
        Tensor pattern = ExactAttention.Pattern(q, k, scale: 0.7);
        foreach (int end in new[] { 0, 5 })
        {
            Tensor strip = VerticalSlashIndex.Strip(q, k, 9, end, 0.7);
            Assert.True(Far(strip, pattern.narrow(2, 37 - end - 9, 9)) < 1e-6);
            (Tensor columns, Tensor slashes) = VerticalSlashIndex.Scores(strip, end);
            Assert.True(Far(columns, pattern.narrow(2, 37 - end - 9, 9).sum(2)) < 1e-5);
            for (int o = 0; o < 37; o++)
            {
                Tensor expected = zeros(2, 4);
                for (int i = 37 - end - 9; i < 37 - end; i++)
                {
                    if (i - o >= 0) expected += pattern.select(2, i).select(2, i - o);
                }

                Assert.True(Far(slashes.select(2, o), expected) < 1e-5);
            }
        }

        Assert.Equal(37, VerticalSlashIndex.Strip(q, k, 64).shape[2]);
        Assert.Throws<ArgumentOutOfRangeException>("end", () => VerticalSlashIndex.Strip(q, k, 4, 37));
    }

    [Fact]
    public void Forced_ones_are_always_there()
    {
        (Tensor q, Tensor k, Tensor _) = Draw(4, 1, 2, 2, 60, 8);
        (Tensor columns, Tensor slashes) = VerticalSlashIndex.Scores(VerticalSlashIndex.Strip(q, k, 16));
        foreach (ColumnsAndSlashes index in VerticalSlashIndex.Choose(columns, slashes, new(6, 9), s_small))
        {
            Assert.Equal([0, 1], index.Columns.Take(2));
            Assert.Equal([0, 1, 2, 3], index.Slashes.Take(4));
            Assert.Equal(6, index.Columns.Count);
            Assert.Equal(9, index.Slashes.Count);
        }

        // Fewer than the forced ones are the forced ones.
        Assert.Equal(4, VerticalSlashIndex.Choose(columns, slashes, new(1, 1), s_small)[0].Slashes.Count);
        Tensor one = columns[0, 1].slice(0, 2, 60, 1);
        int best = 2 + (int)one.argmax().item<long>();
        Assert.Contains(best, VerticalSlashIndex.Choose(columns, slashes, new(3, 4), s_small)[1].Columns);
        Assert.Throws<ArgumentOutOfRangeException>("Columns", () => VerticalSlashIndex.Choose(columns, slashes, new(61, 4), s_small));
    }

    [Fact]
    public void Kernel_form_covers_the_cells_and_nothing_counts_twice() => Prop.ForAll<int, int[], int[]>((size, v, d) =>
    {
        int tokens = 1 + Math.Abs(size % 150);
        IReadOnlyList<int> Some(int[] from) => [.. (from ?? []).Select(x => (int)((uint)x % tokens)).Distinct().Order()];
        var index = new ColumnsAndSlashes(Some(v), [.. Some(d).Append(0).Distinct().Order()]);
        Support exact = VerticalSlashIndex.ToExact(tokens, index);
        foreach (int block in new[] { 1, 16, 32, 64 })
        {
            // The constructor refuses keys that stand twice.
            BlockSupport blocks = VerticalSlashIndex.ToBlocks(tokens, index, block);
            Support computed = blocks.ToSupport();
            Assert.Equal(exact, exact.Intersect(computed));
            Assert.Equal(blocks.Visible, computed.Count);
            if (block == 1) Assert.Equal(exact, computed);
        }
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void The_kernel_form_is_dense_attention_under_its_mask()
    {
        (Tensor q, Tensor k, Tensor v) = Draw(5, 1, 4, 2, 203, 16);
        foreach (int block in new[] { 16, 32, 64 })
        {
            IReadOnlyList<BlockSupport> blocks = PatternEstimator.Estimate([new VerticalSlash(12, 10), new AShape(3, 20), new BlockTopK(3), new DenseHead()], q, k, s_small with { Block = block });
            Tensor mask = stack([.. blocks.Select(b => b.ToSupport().ToMask())]).unsqueeze(0);
            Assert.True(Far(SparseAttention.Attend(q, k, v, blocks).Output, ByFormula(q, k, v, mask).Output) < 1e-5);
            AttentionSupport selected = PatternEstimator.Select([new VerticalSlash(12, 10), new AShape(3, 20), new BlockTopK(3), new DenseHead()], q, k, s_small with { Block = block });
            for (int h = 0; h < 4; h++) Assert.Equal(selected.Heads[h], selected.Heads[h].Intersect(blocks[h].ToSupport()));
            Assert.Equal(AttentionPatterns.SinksAndWindow(203, 3, 20), selected.Heads[1]);
            Assert.Equal(AttentionPatterns.Full(203), selected.Heads[3]);
        }

        // All columns are all cells.
        Assert.True(Far(SparseAttention.Attend(q, k, v, PatternEstimator.Estimate([new VerticalSlash(203, 4)], q, k, s_small)).Output, ByFormula(q, k, v, Causal(203, 203)).Output) < 1e-5);
    }

    [Fact]
    public void Slashes_near_each_other_cost_little()
    {
        var near = new ColumnsAndSlashes([], [.. Enumerable.Range(0, 32)]);
        var far = new ColumnsAndSlashes([], [.. Enumerable.Range(0, 32).Select(i => 20 * i)]);
        Assert.True(VerticalSlashIndex.ToBlocks(1024, far, 64).Computed > 3 * VerticalSlashIndex.ToBlocks(1024, near, 64).Computed);
    }

    [Fact]
    public void Blocks_are_chosen_by_their_means()
    {
        (Tensor q, Tensor k, Tensor _) = Draw(6, 1, 1, 1, 70, 8);
        Support blocks = PatternEstimator.TopBlocks(q[0, 0], k[0, 0], 2, 16);
        Assert.Equal(5, blocks.Rows);
        Tensor Mean(Tensor x, int b) => x[0, 0].narrow(0, b * 16, Math.Min(16, 70 - (b * 16))).mean([0L]);
        for (int r = 0; r < 5; r++)
        {
            Assert.Contains(r, blocks.Row(r).ToArray());
            Assert.Equal(Math.Min(2, r + 1), blocks.Row(r).Length);
            if (r == 0) continue;
            int best = Enumerable.Range(0, r).MaxBy(c => (Mean(q, r) * Mean(k, c)).sum().item<float>());
            Assert.Contains(best, blocks.Row(r).ToArray());
        }
    }

    [Fact]
    public void Budgets_are_met()
    {
        AShape shape = PatternBudget.Window(300, 4, 9000);
        Assert.True(AttentionPatterns.SinksAndWindow(300, 4, shape.Window).Count <= 9000);
        Assert.True(AttentionPatterns.SinksAndWindow(300, 4, shape.Window + 1).Count > 9000);
        int Count(int t) => AttentionPatterns.Blocks(300, 16, Support.FromMask(tensor(Rows(t)))).Count;
        bool[,] Rows(int t)
        {
            bool[,] rows = new bool[19, 19];
            for (int r = 0; r < 19; r++)
            {
                for (int c = Math.Max(0, r - t + 1); c <= r; c++) rows[r, c] = true;
            }

            return rows;
        }

        BlockTopK top = PatternBudget.Blocks(300, 16, 20000);
        Assert.True(Count(top.Blocks) <= 20000 && Count(top.Blocks + 1) > 20000);
        Assert.Throws<ArgumentOutOfRangeException>("cells", () => PatternBudget.Window(300, 4, 10));
    }

    [Fact]
    public void Maps_are_read_as_released_and_written_back()
    {
        HeadPatternMap map = HeadPatternMap.FromJson("""[{"0": ["vertical_and_slash", 1000, 6096, 336544], "1": ["stream_llm", 100, 800, 0.5]}, {"1": ["block_sparse", 100, 1, 2], "0": ["dense", 0, 0, 1]}]""");
        Assert.Equal(new VerticalSlash(1000, 6096), map.Layers[0][0]);
        Assert.Equal(new AShape(100, 800), map.Layers[0][1]);
        Assert.Equal(new BlockTopK(100), map.Layers[1][1]);
        Assert.IsType<DenseHead>(map.Layers[1][0]);
        Assert.Equal(map.Layers.SelectMany(l => l), HeadPatternMap.FromJson(map.ToJson()).Layers.SelectMany(l => l));
        Assert.Equal(1, map.Counts[nameof(AShape)]);
        foreach (string bad in new[] { "", "[", "{}", "[]", "[1]", """[{"0": ["else", 1, 2, 3]}]""", """[{"1": ["dense", 1, 2, 3]}]""", """[{"0": ["dense"]}]""", """[{"0": ["stream_llm", "a", 2, 3]}]""", """[{"0": ["stream_llm", -1, 2, 3]}]""", """[{"0": ["dense", 1, 2, 3]}, {}]""" })
            Assert.Throws<FormatException>(() => HeadPatternMap.FromJson(bad));
    }

    [Fact]
    public void The_search_finds_the_shape_of_each_head()
    {
        // One head looks at its neighbours, one at a few keys: sharp scores by construction.
        Tensor q = zeros(1, 2, 128, 16), k = zeros(1, 2, 128, 16), v = randn([1, 2, 128, 16], generator: new Generator(2));
        Tensor angle = arange(128) * 0.04;
        foreach (Tensor x in new[] { q, k })
        {
            x[0, 0, TensorIndex.Colon, 0] = angle.cos() * 12;
            x[0, 0, TensorIndex.Colon, 1] = angle.sin() * 12;
        }

        q[0, 1, TensorIndex.Colon, 0] = 12;
        foreach (int j in new[] { 40, 60, 77 }) k[0, 1, j, 0] = 12;
        IReadOnlyList<PatternScore> scores = PatternSearch.Try(0, q, k, v, [new AShape(1, 12), new VerticalSlash(8, 4)], s_small with { Exact = true, ForcedColumns = 1, ForcedSlashes = 1 });
        foreach (SearchCriterion criterion in Enum.GetValues<SearchCriterion>())
        {
            HeadPatternMap map = PatternSearch.Choose(scores, criterion);
            Assert.IsType<AShape>(map.Layers[0][0]);
            Assert.IsType<VerticalSlash>(map.Layers[0][1]);
        }

        Assert.True(scores.All(s => s.Density is > 0 and < 0.2));
        Assert.Throws<ArgumentException>("candidates", () => PatternSearch.Try(0, q, k, v, []));
    }

    [Fact]
    public void In_a_model_prompts_are_sparse_and_new_tokens_dense()
    {
        using var model = new TinyLM(new() { Vocabulary = 50, Width = 32, MlpWidth = 48, Layers = 2, Heads = 4, KeyValueHeads = 2, Context = 128 });
        Tensor ids = randint(0, 50, [2, 100], dtype: ScalarType.Int64, generator: new Generator(4));
        var all = new MInferenceAttention(new VerticalSlash(100, 4), s_small);
        Assert.True(Far(model.Logits(ids, attention: all), model.Logits(ids)) < 1e-5);
        var thin = new MInferenceAttention(HeadPatternMap.All(new VerticalSlash(4, 6), 2, 4), s_small with { Exact = true });
        Assert.True(Far(model.Logits(ids, attention: thin), model.Logits(ids)) > 1e-3);
        Assert.True(thin.Density is > 0.05 and < 0.3);
        using KeyValueCache cache = model.NewCache(2);
        model.Logits(ids.narrow(1, 0, 99), cache: cache, attention: thin).Dispose();
        long before = thin.Cells;
        model.Logits(ids.narrow(1, 99, 1), cache: cache, attention: thin).Dispose();
        Assert.Equal(before, thin.Cells);
        Assert.Throws<ArgumentException>("map", () => model.Logits(ids, attention: new MInferenceAttention(HeadPatternMap.All(new DenseHead(), 1, 4))));
        Assert.Throws<ArgumentException>("patterns", () => model.Logits(ids, attention: new MInferenceAttention(HeadPatternMap.All(new DenseHead(), 2, 3))));
    }
}
