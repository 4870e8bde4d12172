using FsCheck;
using FsCheck.Fluent;
using Sparseland.Attention;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

public class AttentionPatternsTests
{
    /// <summary>The cells of a rule, by trying all.</summary>
    private static Support Brute(int tokens, int offset, Func<int, int, bool> kept)
    {
        bool[,] mask = new bool[tokens, tokens + offset];
        for (int i = 0; i < tokens; i++)
        {
            for (int j = 0; j <= i + offset; j++) mask[i, j] = kept(i + offset, j);
        }

        return Support.FromMask(tensor(mask));
    }

    [Theory]
    [InlineData(1, 0), InlineData(17, 0), InlineData(40, 0), InlineData(12, 9)]
    public void Each_pattern_is_its_rule(int tokens, int offset)
    {
        foreach (int w in new[] { 1, 4, 11, 100 })
        {
            Assert.Equal(Brute(tokens, offset, (i, j) => i - j < w), AttentionPatterns.Window(tokens, w, offset));
            foreach (int g in new[] { 0, 3, 50 }) Assert.Equal(Brute(tokens, offset, (i, j) => j < g || i - j < w), AttentionPatterns.SinksAndWindow(tokens, g, w, offset));
            foreach (int r in new[] { 1, 3, 5 }) Assert.Equal(Brute(tokens, offset, (i, j) => i - j < w && (i - j) % r == 0), AttentionPatterns.Dilated(tokens, w, r, offset));
            Assert.Equal(Brute(tokens, offset, (i, j) => (i - j) % w == 0), AttentionPatterns.Strided(tokens, w, offset));
        }

        Assert.Equal(Brute(tokens, offset, (_, _) => true), AttentionPatterns.Full(tokens, offset));
    }

    [Fact]
    public void Columns_and_slashes_are_counted_once() => Prop.ForAll<int, int[], int[]>((size, v, d) =>
    {
        int tokens = 1 + (Math.Abs(size % 50)), offset = tokens % 4, keys = tokens + offset;
        int[] Some(int[] from) => [.. (from ?? []).Select(x => (int)((uint)x % keys)).Distinct()];
        int[] columns = Some(v), slashes = Some(d);
        Support pattern = AttentionPatterns.VerticalSlash(tokens, columns, slashes, offset);
        Assert.Equal(Brute(tokens, offset, (i, j) => columns.Contains(j) || slashes.Contains(i - j)), pattern);
        if (offset == 0)
        {
            int expected = columns.Sum(c => tokens - c) + slashes.Sum(s => tokens - s) - columns.Sum(c => slashes.Count(s => c + s < tokens));
            Assert.Equal(expected, pattern.Count);
        }
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Counts_are_those_of_the_formulas()
    {
        Assert.Equal((20 * 100) - (20 * 19 / 2), AttentionPatterns.Window(100, 20).Count);
        Assert.Equal((20 * 100) - (20 * 19 / 2) + (4 * 80) - (4 * 3 / 2), AttentionPatterns.SinksAndWindow(100, 4, 20).Count);

        // n = 12 block rows, t = 4 blocks each: 42 blocks, as the study of sparse attention counts them.
        bool[,] kept = new bool[12, 12];
        for (int r = 0; r < 12; r++)
        {
            for (int t = 0; t < Math.Min(4, r + 1); t++) kept[r, r - t] = true;
        }

        Support blocks = Support.FromMask(tensor(kept));
        Assert.Equal(42, blocks.Count);
        Assert.Equal(42 * 64, BlockSupport.FromBlocks(96, 8, blocks).Computed);
        Assert.Equal((42 * 64) - (12 * 28), BlockSupport.FromBlocks(96, 8, blocks).Visible);
        Assert.Equal(AttentionPatterns.Blocks(96, 8, blocks), BlockSupport.FromBlocks(96, 8, blocks).ToSupport());
    }

    [Fact]
    public void The_oracle_keeps_the_most_mass()
    {
        Tensor scores = randn([50, 57], generator: new Generator(1));
        Support best = AttentionPatterns.TopKPerRow(scores, 5);
        Tensor hidden = ones([50, 57], dtype: ScalarType.Bool).triu(8), pattern = scores.masked_fill(hidden, double.NegativeInfinity).softmax(-1);
        for (int i = 0; i < 50; i++)
        {
            Assert.Equal(Math.Min(5, i + 8), best.Row(i).Length);
            float[] row = pattern[i].data<float>().ToArray();
            Assert.Equal(row.OrderDescending().Take(best.Row(i).Length).Sum(), best.Row(i).ToArray().Sum(j => row[j]), 5);
        }

        Support random = AttentionPatterns.Dilated(50, 40, 3, 7);
        Support oracle = AttentionPatterns.TopKPerRow(scores, random.CountsPerRow());
        Assert.Equal(random.CountsPerRow(), oracle.CountsPerRow());
        Tensor four = pattern.view(1, 1, 50, 57);
        Tensor more = new AttentionSupport([oracle], offset: 7).Recall(four) - new AttentionSupport([random], offset: 7).Recall(four);
        Assert.True(more.min().item<float>() >= -1e-6);
        Assert.Throws<ArgumentException>("counts", () => AttentionPatterns.TopKPerRow(scores, Enumerable.Repeat(9, 50).ToArray()));
        Assert.Throws<ArgumentException>("scores", () => AttentionPatterns.TopKPerRow(scores.t(), 2));
        scores[3, 2] = float.NaN;
        Assert.Throws<ArgumentException>(() => AttentionPatterns.TopKPerRow(scores, 2));
    }

    [Fact]
    public void A_support_knows_its_cells()
    {
        AttentionSupport full = AttentionSupport.Full(3, 10, offset: 2);
        Assert.Equal(3 * (55 + 20), full.Selected);
        Assert.Equal(1, full.Density);
        AttentionSupport window = AttentionSupport.Shared(AttentionPatterns.Window(10, 3, 2), 3, offset: 2), sinks = AttentionSupport.Shared(AttentionPatterns.SinksAndWindow(10, 2, 1, 2), 3, offset: 2);
        Assert.Equal(window, window.Intersect(full), SameCells);
        Assert.Equal(full, window.Union(full), SameCells);
        Assert.Equal(AttentionSupport.Shared(AttentionPatterns.SinksAndWindow(10, 2, 3, 2), 3, offset: 2), window.Union(sinks), SameCells);
        Assert.Equal(new long[] { 3, 10, 12 }, window.Mask().shape);
        Assert.Equal(window.Selected, window.Mask().sum().item<long>());
        Assert.Contains("3 heads [10, 12], 90 cells", window.ToString(), StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("other", () => window.Union(AttentionSupport.Full(2, 10, 2)));
        Assert.Contains("head 0 the query of row 0, at place 0, sees the key at 2", Assert.Throws<ArgumentException>(() => new AttentionSupport([Support.FromMask(eye(7, dtype: ScalarType.Bool).roll(2, 1))])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("heads", () => new AttentionSupport([]));
        Assert.Throws<ArgumentException>("heads", () => new AttentionSupport([Support.Empty(3, 3), Support.Empty(4, 4)]));
        Assert.Throws<ArgumentException>("heads", () => new AttentionSupport([Support.Empty(3, 4)]));
    }

    [Fact]
    public void Bad_patterns_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>("window", () => AttentionPatterns.Window(4, 0));
        Assert.Throws<ArgumentOutOfRangeException>("tokens", () => AttentionPatterns.Window(0, 1));
        Assert.Throws<ArgumentOutOfRangeException>("offset", () => AttentionPatterns.Window(4, 1, -1));
        Assert.Throws<ArgumentOutOfRangeException>("sinks", () => AttentionPatterns.SinksAndWindow(4, -1, 1));
        Assert.Throws<ArgumentOutOfRangeException>("step", () => AttentionPatterns.Dilated(4, 1, 0));
        Assert.Throws<ArgumentOutOfRangeException>("columns", () => AttentionPatterns.VerticalSlash(4, [4], []));
        Assert.Throws<ArgumentException>("slashes", () => AttentionPatterns.VerticalSlash(4, [], [1, 1]));
        Assert.Throws<ArgumentOutOfRangeException>("block", () => AttentionPatterns.Blocks(4, 5, Support.Empty(1, 1)));
        Assert.Throws<ArgumentException>("blocks", () => AttentionPatterns.Blocks(8, 4, Support.Empty(3, 3)));
        Assert.Contains("keeps block 1", Assert.Throws<ArgumentException>(() => AttentionPatterns.Blocks(8, 4, Support.FromMask(ones(2, 2, dtype: ScalarType.Bool)))).Message, StringComparison.Ordinal);
        BlockSupport Make(KeyRange[] ranges, int[] columns) => new(8, 4, [[new(0, 4)], ranges], [[], columns]);
        Assert.Equal(4 * (4 + 6), Make([new(0, 2), new(4, 8)], []).Computed);
        Assert.Throws<ArgumentException>(() => Make([new(0, 9)], []));
        Assert.Throws<ArgumentException>(() => Make([new(0, 3), new(2, 5)], []));
        Assert.Throws<ArgumentException>(() => Make([new(3, 3)], []));
        Assert.Contains("count twice", Assert.Throws<ArgumentException>(() => Make([new(0, 3)], [2])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Make([new(0, 3)], [5, 5]));
        Assert.Throws<ArgumentException>(() => Make([new(0, 3)], [8]));
        Assert.Throws<ArgumentException>("ranges", () => new BlockSupport(8, 4, [[new(0, 4)]]));
    }

    private static bool SameCells(AttentionSupport a, AttentionSupport b) => a.Heads.SequenceEqual(b.Heads) && a.Offset == b.Offset;
}
