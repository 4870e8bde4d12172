using Sparseland.Attention;
using Sparseland.Attention.Caching;
using Sparseland.Selection;
using TorchSharp;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

/// <summary>Attacks on exact and sparse attention: drawn shapes against an explicit softmax, scores at the ends of the type, values that are no numbers, memory.</summary>
public sealed class ExactAttentionTrialTests
{
    private static readonly string[] s_ways = ["exact", "masked", "cells", "blocks"];

    /// <summary>The same attention by each way that the library has.</summary>
    private static (Tensor Output, Tensor LogSumExp) By(string way, Tensor q, Tensor k, Tensor v, double? scale = null, int block = 16)
    {
        (int tokens, int offset) = ((int)q.shape[2], (int)(k.shape[2] - q.shape[2]));
        return way switch
        {
            "exact" => ExactAttention.Attend(q, k, v, scale: scale),
            "masked" => ExactAttention.Attend(q, k, v, AttentionSupport.Full(1, tokens, offset), scale: scale),
            "cells" => SparseAttention.Attend(q, k, v, AttentionSupport.Full(1, tokens, offset), scale),
            _ => SparseAttention.Attend(q, k, v, [BlockSupport.Full(tokens, offset, block)], scale),
        };
    }

    private static double Apart(Tensor found, Tensor expected)
    {
        Assert.Equal(expected.shape, found.shape);
        return Far(found, expected) / (1e-30 + expected.to(ScalarType.Float64).abs().max().item<double>());
    }

    [Fact]
    public void Outputs_sums_and_gradients_of_drawn_shapes_are_those_of_an_explicit_softmax()
    {
        var random = new Random(1);
        int[] lengths = [1, 2, 5, 47, 48, 49, 63, 64, 65, 97], widths = [1, 3, 7, 16, 17, 33, 65];
        T Any<T>(T[] of) => of[random.Next(of.Length)];
        for (int draw = 0; draw < 80; draw++)
        {
            using DisposeScope scope = NewDisposeScope();
            (int tokens, int offset, int heads, int group, int batch) = (Any(lengths), Any([0, 0, 1, 50]), random.Next(1, 3), random.Next(1, 4), random.Next(1, 3));
            ScalarType type = draw % 3 == 0 ? ScalarType.Float64 : ScalarType.Float32;
            (Tensor q, Tensor k, Tensor v) = Draw(draw, batch, heads * group, heads, tokens, Any(widths), Any(widths), tokens + offset, type);
            if (draw % 4 == 1) (q, k, v) = (q.transpose(1, 2).contiguous().transpose(1, 2), k.transpose(2, 3).contiguous().transpose(2, 3), cat([v, v], 3).narrow(3, 1, v.shape[3]));
            double scale = Math.Pow(10, (random.NextDouble() * 3) - 2.5);
            bool[] keep = [.. Enumerable.Range(0, tokens * (tokens + offset)).Select(_ => random.Next(3) == 0)];
            Tensor drawn = tensor(keep, [tokens, tokens + offset]).logical_and(Causal(tokens, tokens + offset));
            Support cells = Support.FromMask(drawn);
            BlockSupport blocks = Blocks(random, tokens, offset);
            Tensor seen = blocks.ToSupport().ToMask();
            (string Name, Tensor? Mask, Func<Tensor, Tensor, Tensor, (Tensor Output, Tensor Sums)> Run)[] all =
            [
                ("all", null, (a, b, c) => ExactAttention.Attend(a, b, c, causal: false, scale: scale)),
                ("masked cells", drawn, (a, b, c) => ExactAttention.Attend(a, b, c, new AttentionSupport([cells], offset: offset), scale: scale)),
                ("cells", drawn, (a, b, c) => SparseAttention.Attend(a, b, c, new AttentionSupport([cells], offset: offset), scale, emptyRows: true)),
                ("blocks", seen, (a, b, c) => SparseAttention.Attend(a, b, c, [blocks], scale)),
                .. s_ways.Select(way => (way, (Tensor?)Causal(tokens, tokens + offset), (Func<Tensor, Tensor, Tensor, (Tensor, Tensor)>)((a, b, c) => By(way, a, b, c, scale, random.Next(1, 70))))),
            ];
            foreach ((string name, Tensor? mask, Func<Tensor, Tensor, Tensor, (Tensor Output, Tensor Sums)> run) in all)
            {
                Tensor weight = randn([batch, heads * group, tokens, v.shape[3]], dtype: ScalarType.Float64, generator: new Generator((ulong)draw));
                Tensor[] own = [.. new[] { q, k, v }.Select(x => x.detach().alias().requires_grad_(true))], other = [.. new[] { q, k, v }.Select(x => x.detach().to(ScalarType.Float64).clone().requires_grad_(true))];
                (Tensor output, Tensor sums) = run(own[0], own[1], own[2]);
                (Tensor expected, Tensor expectedSums) = ByFormula(other[0], other[1], other[2], mask, scale);
                (output * weight.to(type)).sum().backward();
                (expected * weight).sum().backward();
                double allowed = type == ScalarType.Float64 ? 1e-11 : 2e-5;
                string what = $"{name}, draw {draw}: {type} {tokens} + {offset} tokens, {heads} x {group} heads of {q.shape[3]} and {v.shape[3]}";
                Assert.True(Apart(output, expected) < allowed, what);
                Assert.True(Far(sums.masked_fill(sums.eq(double.NegativeInfinity), -77), expectedSums.masked_fill(expectedSums.lt(-1e200), -77)) < allowed * 10, $"{what}: sums");
                for (int i = 0; i < 3; i++) Assert.True(Far(own[i].grad!, other[i].grad!) < allowed * 10 * (1 + other[i].grad!.abs().max().item<double>()), $"{what}: gradient {i}");
            }
        }
    }

    private static BlockSupport Blocks(Random random, int tokens, int offset)
    {
        int block = random.Next(1, 40), n = (tokens + block - 1) / block;
        var ranges = new List<KeyRange>[n];
        var columns = new List<int>[n];
        for (int r = 0; r < n; r++)
        {
            (ranges[r], columns[r]) = ([], []);
            int end = Math.Min(tokens, (r + 1) * block) + offset;
            for (int at = random.Next(3); at < end; at += random.Next(1, 30))
            {
                if (random.Next(3) == 0) columns[r].Add(at++);
                else
                {
                    int to = Math.Min(end, at + random.Next(1, 40));
                    ranges[r].Add(new(at, to));
                    at = to;
                }
            }
        }

        return new(tokens, block, ranges, columns, offset);
    }

    [Fact]
    public void Blocks_count_and_name_the_cells_that_a_mask_counts()
    {
        var random = new Random(2);
        for (int draw = 0; draw < 200; draw++)
        {
            (int tokens, int offset) = (random.Next(1, 90), random.Next(3) * random.Next(40));
            BlockSupport blocks = Blocks(random, tokens, offset);
            long computed = 0, visible = 0;
            Support found = blocks.ToSupport();
            for (int i = 0; i < tokens; i++)
            {
                int[] keys = [.. blocks.Ranges(i / blocks.Block).ToArray().SelectMany(r => Enumerable.Range(r.From, r.Length)), .. blocks.Columns(i / blocks.Block)];
                computed += keys.Length;
                int[] seen = [.. keys.Where(j => j <= i + offset).Order()];
                visible += seen.Length;
                Assert.Equal(seen, found.Row(i).ToArray());
            }

            Assert.Equal((computed, visible), (blocks.Computed, blocks.Visible));
        }
    }

    [Theory]
    [InlineData(30), InlineData(300), InlineData(3162)]
    public void Weights_of_large_scores_still_sum_to_one_forward_and_backward(double size)
    {
        // Equal keys: each row is the mean of the values so far, however large the scores are.
        foreach (string way in s_ways)
        {
            Tensor q = full([1, 1, 5, 1], size), k = full([1, 1, 5, 1], size), v = randn([1, 1, 5, 3], generator: new Generator(1)).requires_grad_(true), weight = randn([1, 1, 5, 3], generator: new Generator(2));
            Tensor mean = ones(5, 5).tril() / arange(1, 6).unsqueeze(1), output = By(way, q, k, v).Output;
            (output * weight).sum().backward();
            Assert.True(Far(output.detach(), mean.matmul(v.detach())) < 1e-6, $"{way}: output {Far(output, mean.matmul(v.detach()))}");
            Assert.True(Far(v.grad!, mean.t().matmul(weight)) < 2e-6, $"{way}: gradient {Far(v.grad!, mean.t().matmul(weight))}");
        }
    }

    [Theory]
    [InlineData(1e-20, 1e10), InlineData(1e20, 1e-10), InlineData(1e-30, 1e15), InlineData(1e30, 1e-15)]
    public void The_scale_may_be_far_from_one_where_the_products_make_up_for_it(double scale, double size)
    {
        foreach (ScalarType type in new[] { ScalarType.Float32, ScalarType.Float64 })
        {
            (Tensor q, Tensor k, Tensor v) = Draw(3, 1, 4, 2, 37, 9, 5, 41, type);
            Tensor expected = ByFormula(q, k, v, Causal(37, 41), 1).Output;
            foreach (string way in s_ways) Assert.True(Far(By(way, q * size, k * size, v, scale).Output, expected) < 2e-5, way);
            Assert.True(Far(ExactAttention.Pattern(q * size, k * size, scale: scale), ExactAttention.Pattern(q, k, scale: 1)) < 2e-5);
        }
    }

    [Fact]
    public void A_scale_that_the_type_does_not_hold_is_refused_and_not_read_as_zero()
    {
        (Tensor q, Tensor k, Tensor v) = Draw(3, 1, 2, 2, 9, 8);
        (Tensor wideQ, Tensor wideK, Tensor wideV) = (q.to(ScalarType.Float64) * 1e25, k.to(ScalarType.Float64) * 1e25, v.to(ScalarType.Float64));
        foreach (string way in s_ways)
        {
            foreach (double bad in new[] { 1e-50, 1e-44, 1e-39, 1e39, 0, -1, double.NaN, double.PositiveInfinity })
                Assert.Throws<ArgumentOutOfRangeException>("scale", () => By(way, q, k, v, bad));
            Assert.True(Far(By(way, wideQ, wideK, wideV, 1e-50).Output, ByFormula(q, k, v, Causal(9, 9), 1).Output) < 1e-6);
        }

        Assert.Throws<ArgumentOutOfRangeException>("scale", () => SparseDecode.Attend(q.narrow(2, 8, 1), k, v, CacheSelection.All(2, 9), 1e-44));
    }

    [Theory]
    [InlineData(1e20f, 1e20f), InlineData(1e20f, -1e20f), InlineData(-3e38f, 3e38f)]
    public void Scores_that_leave_the_type_are_refused_and_no_row_comes_out_empty(float a, float b)
    {
        foreach (ScalarType type in new[] { ScalarType.Float32, ScalarType.Float64 })
        {
            double more = type == ScalarType.Float32 ? 1 : 1e180;
            foreach (int tokens in new[] { 1, 3, 70 })
            {
                Tensor q = full([1, 2, tokens, 3], a * more, dtype: type), k = full([1, 1, tokens, 3], b * more, dtype: type), v = ones([1, 1, tokens, 2], dtype: type);
                foreach (string way in s_ways) Assert.Throws<ArgumentException>("q", () => By(way, q, k, v, 1));
                Assert.Throws<ArgumentException>("q", () => ExactAttention.Attend(q, k, v, causal: false, scale: 1));
                Assert.Throws<ArgumentException>("q", () => ExactAttention.Pattern(q, k, scale: 1));
            }
        }

        // Sums that overflow are no fault of the numbers.
        Tensor big = full([1, 1, 40, 8], 2e38);
        foreach (string way in s_ways) Assert.True(Far(By(way, big, zeros(1, 1, 40, 8), ones(1, 1, 40, 2)).Output, ones(1)) < 1e-6, way);

        // A row that truly sees nothing is empty all the same.
        BlockSupport some = new(4, 2, [[], [new(1, 2)]], [[1], []]);
        (Tensor output, Tensor sums) = SparseAttention.Attend(ones(1, 1, 4, 3), ones(1, 1, 4, 3), ones(1, 1, 4, 2), [some]);
        Assert.Equal([0f, 1, 1, 1], output[0, 0].select(1, 0).data<float>().ToArray());
        Assert.Equal(float.NegativeInfinity, sums[0, 0, 0].item<float>());
    }

    [Fact]
    public void Numbers_that_are_none_are_named_wherever_they_stand()
    {
        var random = new Random(4);
        foreach (double bad in new[] { double.NaN, double.PositiveInfinity, double.NegativeInfinity })
        {
            for (int draw = 0; draw < 24; draw++)
            {
                int tokens = random.Next(1, 70);
                foreach ((string name, int which) in new[] { ("q", 0), ("k", 1), ("v", 2) })
                {
                    Tensor[] x = [randn(1, 2, tokens, 5), randn(1, 1, tokens, 5), randn(1, 1, tokens, 5)];
                    x[which][0, 0, random.Next(tokens), random.Next(5)] = bad;
                    foreach (string way in s_ways) Assert.Throws<ArgumentException>(name, () => By(way, x[0], x[1], x[2]));
                    if (which < 2) Assert.Throws<ArgumentException>(name, () => ExactAttention.Pattern(x[0], x[1]));
                }
            }
        }
    }

    [Fact]
    public void Parts_join_and_pieces_add_at_scores_of_any_size()
    {
        Tensor v = randn([2, 6, 3], dtype: ScalarType.Float64, generator: new Generator(1));
        foreach (double level in new[] { -1e300, -1e35, -1e20, 0, 1e20, 1e300 })
        {
            // Scores are level, or so much below that they weigh nothing.
            Tensor scores = full([2, 4, 6], level, dtype: ScalarType.Float64);
            using OnlineSoftmax pieces = new();
            pieces.Add(scores.narrow(2, 0, 2), v.narrow(1, 0, 2));
            pieces.Add(full([2, 4, 1], double.NegativeInfinity, dtype: ScalarType.Float64), v.narrow(1, 0, 1));
            pieces.Add(scores.narrow(2, 2, 4), v.narrow(1, 2, 4));
            (Tensor output, Tensor sums) = pieces.Result();
            Assert.True(Far(output, v.mean([1L], keepdim: true).expand(2, 4, 3)) < 1e-12, $"{level}");
            Assert.True(Far(sums / Math.Max(1, Math.Abs(level)), (scores.narrow(2, 0, 1).squeeze(2) + Math.Log(6)) / Math.Max(1, Math.Abs(level))) < 1e-12);
            Tensor Row(double x) => full([1, 1, 1], x, dtype: ScalarType.Float64);
            (Tensor joined, Tensor lse) = AttentionMerge.Combine((ones(1, 1, 1, 2), Row(level)), (ones(1, 1, 1, 2) * 3, Row(level)));
            Assert.Equal([2.0, 2], joined.flatten().data<double>().ToArray());
            Assert.Equal(level + Math.Log(2), lse.item<double>(), Math.Abs(level) * 1e-12);
            Assert.Equal(1, AttentionMerge.Combine((ones(1, 1, 1, 2), Row(level)), (ones(1, 1, 1, 2) * 3, Row(double.NegativeInfinity))).Output[0, 0, 0, 0].item<double>());
        }

        (Tensor none, Tensor nothing) = AttentionMerge.Combine((zeros(1, 1, 1, 2), full([1, 1, 1], float.NegativeInfinity)), (zeros(1, 1, 1, 2), full([1, 1, 1], float.NegativeInfinity)));
        Assert.Equal((0f, float.NegativeInfinity), (none.abs().max().item<float>(), nothing.item<float>()));
        using OnlineSoftmax bad = new();
        Assert.Throws<ArgumentException>("scores", () => bad.Add(full([2, 6], float.PositiveInfinity), ones(6, 3)));
        Assert.Throws<ArgumentException>("scores", () => bad.Add(full([2, 6], float.NaN), ones(6, 3)));
    }

    [Fact]
    public void Heads_that_do_not_fit_a_pattern_are_refused_by_the_rule_and_not_by_a_library_below()
    {
        AttentionSupport two = AttentionSupport.Full(2, 5);
        Tensor Pattern(int batch, int heads) => ExactAttention.Pattern(randn(batch, heads, 5, 3), randn(batch, heads, 5, 3));
        foreach ((int batch, int heads) in new[] { (1, 2), (2, 1), (3, 2) }) Assert.True(Far(two.Recall(Pattern(batch, heads)), ones(batch, heads, 5)) < 1e-6);
        foreach ((int batch, int heads) in new[] { (1, 4), (2, 3), (1, 3), (4, 1) }) Assert.Throws<ArgumentException>("pattern", () => two.Recall(Pattern(batch, heads)));
    }

    [Fact]
    public void Bits_do_not_depend_on_the_number_of_threads()
    {
        int threads = get_num_threads();
        try
        {
            float[][] found = [.. new[] { 1, 2, 5 }.Select(count =>
            {
                set_num_threads(count);
                (Tensor q, Tensor k, Tensor v) = Draw(6, 2, 6, 2, 131, 33, 17);
                foreach (Tensor x in new[] { q, k, v }) x.requires_grad_(true);
                var all = new List<Tensor>();
                foreach (string way in new[] { "exact", "cells", "blocks" })
                {
                    Tensor output = By(way, q, k, v).Output;
                    output.square().sum().backward();
                    all.AddRange([output, q.grad!, k.grad!, v.grad!]);
                }

                return cat([.. all.Select(x => x.detach().flatten())]).data<float>().ToArray();
            })];
            Assert.Equal(found[0], found[1]);
            Assert.Equal(found[0], found[2]);
        }
        finally
        {
            set_num_threads(threads);
        }
    }
}
