using System.Text;
using Sparseland.Attention;
using Sparseland.Attention.Frontier;
using Sparseland.Attention.Hashing;
using Sparseland.Attention.Prefill;
using Sparseland.Models.Language;
using Sparseland.Selection;
using TorchSharp;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

/// <summary>Attacks on patterns: blocks longer than texts, maps of heads from elsewhere, budgets of drawn sizes, hashes at extreme scales.</summary>
public sealed class PatternTrialTests
{
    private static readonly HeadPattern[] s_shapes = [new AShape(2, 5), new VerticalSlash(4, 6), new BlockTopK(1), new DenseHead()];

    [Theory]
    [InlineData(40), InlineData(1 << 20), InlineData(int.MaxValue)]
    public void A_block_longer_than_the_text_is_one_block(int block)
    {
        (Tensor q, Tensor k, Tensor v) = Draw(1, 2, 4, 2, 37, 8);
        MInferenceOptions options = new() { LastQueries = 16, ForcedColumns = 2, ForcedSlashes = 4, Block = block };
        Assert.Equal(AttentionPatterns.Full(37, 3), BlockSupport.Full(37, 3, block).ToSupport());
        foreach (HeadPattern shape in s_shapes)
        {
            IReadOnlyList<BlockSupport> blocks = PatternEstimator.Estimate([shape], q, k, options);
            Assert.All(blocks, b => Assert.Equal(1, b.BlockRows));
            Tensor mask = stack([.. blocks.Select(b => b.ToSupport().ToMask())]).view(2, 4, 37, 37);
            Assert.True(Far(SparseAttention.Attend(q, k, v, blocks).Output, ByFormula(q, k, v, mask).Output) < 1e-5);
        }
    }

    [Fact]
    public void A_prompt_of_any_length_is_exact_attention_over_what_is_said_to_be_computed()
    {
        var random = new Random(3);
        for (int draw = 0; draw < 60; draw++)
        {
            using DisposeScope scope = NewDisposeScope();
            int tokens = random.Next(2, 90), heads = random.Next(1, 3), group = random.Next(1, 3);
            (Tensor q, Tensor k, Tensor v) = Draw(draw, random.Next(1, 3), heads * group, heads, tokens, random.Next(1, 20));
            MInferenceOptions options = new() { LastQueries = random.Next(1, 100), ForcedColumns = random.Next(0, 5), ForcedSlashes = random.Next(0, 9), Block = random.Next(1, 50), Exact = draw % 2 == 0 };
            HeadPattern shape = random.Next(4) switch
            {
                0 => new AShape(random.Next(0, tokens + 1), random.Next(1, tokens + 1)),
                1 => new VerticalSlash(random.Next(0, tokens + 1), random.Next(1, tokens + 1)),
                2 => new BlockTopK(random.Next(1, tokens + 1)),
                _ => new DenseHead(),
            };
            var method = new MInferenceAttention(shape, options);
            Tensor found = method.Attend(new(0, 0.3, Causal: true), q, k, v)!;
            AttentionSupport selected = PatternEstimator.Select([shape], q, k, options, 0.3);
            IReadOnlyList<BlockSupport> blocks = PatternEstimator.Estimate([shape], q, k, options, 0.3);
            Support[] computed = [.. blocks.Select(b => b.ToSupport())];
            for (int h = 0; h < computed.Length; h++) Assert.Equal(selected.Heads[h], selected.Heads[h].Intersect(computed[h]));
            Tensor mask = stack([.. (options.Exact ? selected.Heads : computed).Select(s => s.ToMask())]).view(q.shape[0], q.shape[1], tokens, tokens);
            Assert.True(Far(found, ByFormula(q, k, v, mask, 0.3).Output) < 2e-5, $"draw {draw}: {shape}, {tokens} tokens");
            Assert.Equal(options.Exact ? selected.Selected : blocks.Sum(b => b.Computed), method.Cells);
            Assert.Equal(q.shape[0] * q.shape[1] * (long)tokens * (tokens + 1) / 2, method.Allowed);
        }
    }

    [Theory]
    [InlineData("""[{"0": ["dense", 0, 0, 1], "0": ["stream_llm", 1, 2, 1]}]""")]
    [InlineData("""[{"0": ["stream_llm", 0.5, 2, 1]}]""")]
    [InlineData("""[{"0": ["vertical_and_slash", 10, 3.7, 1]}]""")]
    [InlineData("""[{"0": ["vertical_and_slash", 1e400, 3, 1]}]""")]
    [InlineData("""[{"0": ["vertical_and_slash", 3000000000, 3, 1]}]""")]
    [InlineData("""[{"0": ["vertical_and_slash", null, 3, 1]}]""")]
    [InlineData("""[{"0": [null, 1, 3, 1]}]""")]
    [InlineData("""[{"0": ["\ud800", 1, 3, 1]}]""")]
    [InlineData("""[{"\ud800": ["dense", 1, 3, 1]}]""")]
    [InlineData("""[{" 0": ["dense", 1, 3, 1]}]""")]
    [InlineData("""[{"-0": ["dense", 1, 3, 1]}]""")]
    [InlineData("""[{"0": ["dense", 1, 3, 1]}, null]""")]
    [InlineData("[{}]")]
    [InlineData("null")]
    public void A_map_that_is_none_is_refused_as_one(string json) => Assert.Throws<FormatException>(() => HeadPatternMap.FromJson(json));

    [Fact]
    public void A_map_with_flipped_bytes_is_read_or_refused_as_a_map()
    {
        var random = new Random(5);
        byte[] good = Encoding.UTF8.GetBytes("""[{"0": ["vertical_and_slash", 1000, 6096, 336544], "1": ["stream_llm", 1e2, 800, 0.5], "2": ["block_sparse", 100, 1, 2]}, {"1": ["dense", 0, 0, 1], "2": ["stream_llm", 1.0, 2.0e0, "x"], "0": ["dense", 0, 0]}]""");
        int read = 0;
        for (int draw = 0; draw < 4000; draw++)
        {
            byte[] bytes = [.. good];
            for (int n = random.Next(1, 4); n > 0; n--) bytes[random.Next(bytes.Length)] = (byte)random.Next(1, 256);
            string text = Encoding.UTF8.GetString(bytes)[..(draw % 5 == 0 ? random.Next(good.Length) : ^0)];
            try
            {
                HeadPatternMap map = HeadPatternMap.FromJson(text);
                Assert.Equal(map.Layers.SelectMany(l => l), HeadPatternMap.FromJson(map.ToJson()).Layers.SelectMany(l => l));
                read++;
            }
            catch (FormatException)
            {
            }
        }

        Assert.InRange(read, 1, 3999);
    }

    [Fact]
    public void Frontier_methods_compute_exactly_their_budget_at_drawn_sizes()
    {
        var random = new Random(6);
        int made = 0;
        for (int draw = 0; draw < 150; draw++)
        {
            using DisposeScope scope = NewDisposeScope();
            int block = random.Next(1, 9), tokens = block * random.Next(2, 12), group = random.Next(1, 3);
            (Tensor q, Tensor k, Tensor _) = Draw(draw, random.Next(1, 3), 2 * group, 2, tokens, 7);
            FrontierOptions options = new() { Block = block, First = random.Next(0, 4), Near = random.Next(1, 5), Slashes = random.Next(1, 8), Window = random.Next(1, 9), Local = random.Next(0, 4), Kernel = 3 };
            double sparsity = random.NextDouble();
            foreach (FrontierMethod method in Enum.GetValues<FrontierMethod>())
            {
                try
                {
                    long cells = AttentionBudget.ForPrefillSparsity(method, tokens, sparsity, options);
                    AttentionSupport support = new PrefillFrontier(method, sparsity, Math.Min(tokens, 4), options).Select(q, k);
                    Assert.All(support.Heads, h => Assert.True(method == FrontierMethod.FlexPrefill ? h.Count > 0 : h.Count == cells, $"draw {draw}, {method}"));
                    Assert.Equal(cells * support.Heads.Count, support.Selected);
                    made++;
                }
                catch (ArgumentException)
                {
                }

                int prompt = random.Next(1, tokens);
                try
                {
                    int budget = AttentionBudget.ForDecodeSparsity(method, prompt, tokens, sparsity, options);
                    Tensor seen = new DecodeFrontier(method, sparsity, prompt, options).Select(q, k);
                    long later = tokens - prompt, wanted = q.shape[0] * q.shape[1] * ((later * budget) + AttentionCost.Cells(later));
                    Assert.Equal(wanted, seen.sum().item<long>());
                    Assert.False(seen.logical_and(Causal(later, tokens).logical_not()).any().item<bool>());
                    Assert.True(seen.to(ScalarType.Float64).sum().item<double>() <= ((1 - sparsity) * q.shape[0] * q.shape[1] * AttentionCost.Cells(later, prompt)) + 1e-3);
                    made++;
                }
                catch (ArgumentException)
                {
                }
            }
        }

        Assert.True(made > 200, $"{made}");
    }

    [Theory]
    [InlineData(1e-30), InlineData(1e-18), InlineData(1e19), InlineData(1e30)]
    public void Completed_norms_and_hashed_supports_are_the_same_at_any_scale(double size)
    {
        (Tensor q, Tensor k, Tensor _) = Draw(7, 1, 2, 1, 48, 6);
        q = q * 3;
        (Tensor a, Tensor b) = NormCompletion.Complete(q * size, k.expand(1, 2, -1, -1) * size);
        Assert.Equal(ScalarType.Float32, a.dtype);
        Tensor norms = cat([a, b], 2).to(ScalarType.Float64).norm(-1) / size;
        Assert.True(((norms.amax([-1L]) - norms.amin([-1L])) / norms.amax([-1L])).max().item<double>() < 1e-5);
        AttentionSupport plain = HashedSupport.NormCompletedSort(q, k, 12), scaled = HashedSupport.NormCompletedSort(q * size, k * size, 12);
        Assert.Equal(plain.Heads, scaled.Heads);
        Assert.Equal(HashedSupport.CrossPolytope(q, k, 8).Heads, HashedSupport.CrossPolytope(q * size, k * size, 8).Heads);
        Assert.Equal(HashedSupport.Angular(q, k, 5).Heads, HashedSupport.Angular(q * size, k * size, 5).Heads);
    }

    [Fact]
    public void Bisected_blocks_are_the_most_that_a_count_allows()
    {
        for (int n = 1; n < 30; n++)
        {
            foreach (double sparsity in new[] { 0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99 })
            {
                int least = Math.Min(3, n), most = Enumerable.Range(1, n).LastOrDefault(t => AttentionBudget.BlockCells(n, t) <= ((1 - sparsity) * n * (n + 1) / 2) + 1e-9);
                Assert.Equal(Math.Max(least, most), AttentionBudget.BlocksForSparsity(n, sparsity));
                for (int t = 1; t <= n; t++) Assert.Equal(Enumerable.Range(0, n).Sum(r => Math.Min(t, r + 1)), AttentionBudget.BlockCells(n, t));
            }
        }
    }
}
