using Sparseland.Attention;
using Sparseland.Selection;
using TorchSharp;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

public class SparseAttentionTests
{
    /// <summary>Ranges and single keys at random, for blocks of queries of any height.</summary>
    internal static BlockSupport RandomBlocks(int seed, int tokens, int block, int offset = 0)
    {
        var random = new Random(seed);
        var ranges = new List<IReadOnlyList<KeyRange>>();
        var columns = new List<IReadOnlyList<int>>();
        for (int from = 0; from < tokens; from += block)
        {
            int end = Math.Min(tokens, from + block) + offset;
            bool[] inRange = new bool[end];
            List<KeyRange> row = [];
            for (int at = random.Next(4); at < end; at += random.Next(1, 30))
            {
                int to = Math.Min(end, at + random.Next(1, 25));
                row.Add(new(at, to));
                for (; at < to; at++) inRange[at] = true;
            }

            // The first query of the block sees at least the first key.
            List<int> single = [.. Enumerable.Range(0, end).Where(j => !inRange[j] && (j == 0 || random.Next(6) == 0))];
            ranges.Add(row);
            columns.Add(single);
        }

        return new(tokens, block, ranges, columns, offset);
    }

    [Theory]
    [InlineData(16, 50, 0), InlineData(32, 130, 0), InlineData(64, 200, 0), InlineData(64, 70, 33), InlineData(5, 37, 3), InlineData(128, 150, 0)]
    public void Blocks_are_the_masked_attention(int block, int tokens, int offset)
    {
        (Tensor q, Tensor k, Tensor v) = Draw(block, 2, 4, 2, tokens, 24, 24, tokens + offset);
        BlockSupport[] blocks = [.. Enumerable.Range(0, 8).Select(h => RandomBlocks(h, tokens, block, offset))];
        Tensor mask = stack([.. blocks.Select(b => b.ToSupport().ToMask())]).view(2, 4, tokens, tokens + offset);
        (Tensor output, Tensor sums) = SparseAttention.Attend(q, k, v, blocks);
        (Tensor expected, Tensor expectedSums) = ByFormula(q, k, v, mask);
        Assert.True(Far(output, expected) < 1e-5, $"{Far(output, expected)}");
        Assert.True(Far(sums, expectedSums) < 1e-5);
        Assert.Equal(blocks.Sum(b => b.Visible), mask.sum().item<long>());
        Assert.All(blocks, b => Assert.True(b.Computed >= b.Visible));

        // The same cell by cell, and in float64.
        var support = new AttentionSupport([.. blocks.Select(b => b.ToSupport())], offset: offset);
        Assert.True(Far(SparseAttention.Attend(q, k, v, support).Output, expected) < 1e-5);
        (Tensor, Tensor, Tensor) wide = (q.to(ScalarType.Float64), k.to(ScalarType.Float64), v.to(ScalarType.Float64));
        Assert.True(Far(SparseAttention.Attend(wide.Item1, wide.Item2, wide.Item3, blocks).Output, ByFormula(wide.Item1, wide.Item2, wide.Item3, mask).Output) < 1e-12);
    }

    [Fact]
    public void Gradients_are_those_of_the_masked_attention()
    {
        foreach ((bool cells, ScalarType type, double near) in new[] { (false, ScalarType.Float32, 1e-4), (true, ScalarType.Float32, 1e-4), (true, ScalarType.Float64, 1e-11) })
        {
            (Tensor q, Tensor k, Tensor v) = Draw(3, 2, 4, 2, 61, 20, 12, 70, type);
            BlockSupport[] blocks = [.. Enumerable.Range(0, 4).Select(h => RandomBlocks(h, 61, 16, 9))];
            var support = new AttentionSupport([.. blocks.Select(b => b.ToSupport())], offset: 9);
            Tensor weight = randn([2, 4, 61, 12], generator: new Generator(9), dtype: type);
            foreach (Tensor x in new[] { q, k, v }) x.requires_grad_(true);
            Tensor output = cells ? SparseAttention.Attend(q, k, v, support, 0.4).Output : SparseAttention.Attend(q, k, v, blocks, 0.4).Output;
            (output * weight).sum().backward();
            Tensor[] found = [q.grad!.clone(), k.grad!.clone(), v.grad!.clone()];
            foreach (Tensor x in new[] { q, k, v }) x.grad!.zero_();
            (ByFormula(q, k, v, support.Mask().unsqueeze(0), 0.4).Output.to(type) * weight).sum().backward();
            Assert.True(Far(found[0], q.grad!) < near);
            Assert.True(Far(found[1], k.grad!) < near);
            Assert.True(Far(found[2], v.grad!) < near);
        }
    }

    [Fact]
    public void The_same_twice_to_the_bit()
    {
        (Tensor q, Tensor k, Tensor v) = Draw(3, 1, 4, 2, 300, 32);
        BlockSupport[] blocks = [RandomBlocks(1, 300, 32)];
        Assert.Equal(SparseAttention.Attend(q, k, v, blocks).Output.data<float>().ToArray(), SparseAttention.Attend(q, k, v, blocks).Output.data<float>().ToArray());
    }

    [Fact]
    public void A_query_without_keys_is_refused_or_zero()
    {
        (Tensor q, Tensor k, Tensor v) = Draw(1, 1, 2, 2, 4, 8);
        Support holes = Support.FromMask(tensor(new bool[,] { { true, false, false, false }, { false, false, false, false }, { true, false, true, false }, { false, false, false, true } }));
        AttentionSupport support = AttentionSupport.Shared(holes, 2);
        Assert.Contains("row 1 sees no key", Assert.Throws<ArgumentException>(() => SparseAttention.Attend(q, k, v, support)).Message, StringComparison.Ordinal);
        q.requires_grad_(true);
        (Tensor output, Tensor sums) = SparseAttention.Attend(q, k, v, support, emptyRows: true);
        output.sum().backward();
        Assert.Equal(0, output[0, 0, 1].abs().sum().item<float>());
        Assert.True(sums[0, 1, 1].isneginf().item<bool>());
        Assert.True(q.grad!.isfinite().all().item<bool>());
        Assert.True(Far(output, ExactAttention.Attend(q, k, v, support).Output) < 1e-6);

        // In blocks a query may stand before all keys of its block.
        BlockSupport late = new(4, 4, [[new(2, 4)]]);
        (output, sums) = SparseAttention.Attend(q, k, v, [late]);
        output.sum().backward();
        Assert.Equal(0, output.narrow(2, 0, 2).abs().sum().item<float>());
        Assert.True(sums.narrow(2, 0, 2).isneginf().all().item<bool>());
        Assert.True(q.grad!.isfinite().all().item<bool>());
    }

    [Fact]
    public void What_does_not_fit_is_named()
    {
        (Tensor q, Tensor k, Tensor v) = Draw(1, 2, 4, 2, 8, 8);
        void Refused(string says, Action call) => Assert.Contains(says, Assert.ThrowsAny<ArgumentException>(call).Message, StringComparison.Ordinal);
        Refused("The support is of 7 queries", () => SparseAttention.Attend(q, k, v, AttentionSupport.Full(4, 7)));
        Refused("has 3 heads; 1, 4 or 2 x 4 fit", () => SparseAttention.Attend(q, k, v, AttentionSupport.Full(3, 8)));
        Refused("Blocks are of 7 queries", () => SparseAttention.Attend(q, k, v, [BlockSupport.Full(7)]));
        Refused("blocks of 2 heads", () => SparseAttention.Attend(q, k, v, [BlockSupport.Full(8), BlockSupport.Full(8)]));
        k[0, 0, 0, 0] = float.NaN;
        Refused("k holds NaN", () => SparseAttention.Attend(q, k, v, [BlockSupport.Full(8)]));
        Refused("k holds NaN", () => SparseAttention.Attend(q, k, v, AttentionSupport.Full(4, 8)));
    }

    [Fact]
    public void Errors_obey_the_four_identities()
    {
        (Tensor q, Tensor k, Tensor v) = Draw(7, 1, 3, 3, 60, 8, type: ScalarType.Float64, size: 1.3);
        AttentionSupport support = new([.. Enumerable.Range(0, 3).Select(h => RandomBlocks(h, 60, 8).ToSupport())]);
        Tensor all = ExactAttention.Pattern(q, k), kept = ExactAttention.Pattern(q, k, support), recall = support.Recall(all);
        (Tensor Output, Tensor LogSumExp) exact = ExactAttention.Attend(q, k, v), sparse = SparseAttention.Attend(q, k, v, support);
        Tensor rest = all.masked_fill(support.Mask().unsqueeze(0), 0), dropped = einsum("bhij,bhjd->bhid", rest / rest.sum(-1, keepdim: true).clamp_min(1e-300), v);
        Assert.True(Far(sparse.Output - exact.Output, (1 - recall).unsqueeze(-1) * (sparse.Output - dropped)) < 1e-13);
        Assert.True(Far(AttentionError.TotalVariation(kept, all), 1 - recall) < 1e-13);
        Assert.True(Far((kept * (kept / all).clamp_min(1e-300).log()).nan_to_num(0).sum(-1), -recall.log()) < 1e-12);
        Assert.True(Far(AttentionError.Recall(sparse.LogSumExp, exact.LogSumExp), recall) < 1e-13);
        AttentionErrors errors = AttentionError.Of(q, k, v, support, skip: 0);
        Assert.Equal(recall.mean([2L])[0, 1].item<double>(), errors.Recall[1], 12);
        Assert.Equal(((sparse.Output - exact.Output)[0, 2].norm() / exact.Output[0, 2].norm()).item<double>(), errors.Output[2], 12);
        Assert.Equal(60 / 8, AttentionError.Of(q, k, v, support).Skipped);
        Assert.Throws<ArgumentOutOfRangeException>("skip", () => AttentionError.Of(q, k, v, support, skip: 60));
    }

    [Fact]
    public void Costs_are_counted()
    {
        Assert.Equal(55, AttentionCost.Cells(10));
        Assert.Equal(100 + 1, AttentionCost.Cells(1, 100));
        Assert.Equal(AttentionSupport.Full(1, 30, 5).Selected, AttentionCost.Cells(30, 5));
        Assert.Equal(2L * 28 * 4 * 131072 * 128 * 2, AttentionCost.CacheBytes(28, 4, 131072, 128, 2));
        Assert.Equal(4.0 * 64 * 8 * 55, AttentionCost.Flops(55, 8, 64));
    }

    [Fact]
    public void Profiles_say_where_a_head_looks()
    {
        Tensor local = ExactAttention.Pattern(zeros(1, 1, 64, 4), zeros(1, 1, 64, 4), AttentionSupport.Shared(AttentionPatterns.Window(64, 8), 1));
        HeadProfile profile = AttentionProfile.Of(local, first: 4, recent: 8).Single();
        Assert.Equal(Math.Log(8), profile.Entropy, 5);
        Assert.Equal(1, profile.Recent, 5);
        Assert.Equal(0, profile.First, 5);
        Assert.Equal([0.125, 0.25, 0.5, 1, 1, 1, 1], profile.Curve.Select(c => Math.Round(c, 5)));
        Assert.Equal(8, profile.KeysForMost);
        Tensor sink = zeros(1, 1, 64, 64);
        sink[0, 0, TensorIndex.Colon, 0] = 1;
        profile = AttentionProfile.Of(sink).Single();
        Assert.Equal(1, profile.First, 6);
        Assert.Equal(1, profile.KeysForMost);
        Assert.Throws<ArgumentOutOfRangeException>("share", () => AttentionProfile.Of(sink, share: 1));
        Assert.Throws<ArgumentException>("pattern", () => AttentionProfile.Of(sink[0]));
    }
}
