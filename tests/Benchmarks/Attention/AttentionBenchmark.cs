using System.Globalization;
using Sparseland.Attention;
using Sparseland.Attention.Caching;
using Sparseland.Attention.Prefill;
using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Attention;

/// <summary>
/// Attention on the CPU, 8 heads of width 64: all keys against libtorch's scaled_dot_product_attention, forward and with gradients; a tenth of the blocks, and vertical-slash
/// patterns with their estimate, against all keys by the same kernel, as the text grows. One new token over packed and over paged caches.
/// </summary>
public class AttentionBenchmark : IQuickBenchmark
{
    private const int Heads = 8, HeadDim = 64;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using IDisposable off = no_grad();
        foreach (Comparison comparison in Decoding().Concat(Paging())) yield return comparison;
        foreach (int tokens in new[] { 512, 1024, 2048, 4096, 8192, 16384, 32768 })
        {
            (Tensor q, Tensor k, Tensor v) = Draw(tokens);
            yield return new(
                $"all keys, {tokens} tokens", () => Free(ExactAttention.Attend(q, k, v)), "libtorch scaled_dot_product_attention",
                () => nn.functional.scaled_dot_product_attention(q, k, v, is_casual: true).Dispose(), tokens == 4096 ? 1 : 0, () => Rate(() => Free(ExactAttention.Attend(q, k, v)), AttentionCost.Cells(tokens)),
                Tokens("Exact attention", tokens));
        }

        foreach (int tokens in new[] { 1024, 2048 })
        {
            (Tensor q, Tensor k, Tensor v) = Draw(tokens);
            yield return new(
                $"all keys with gradients, {tokens} tokens", () => Gradients(q, k, v, (a, b, c) => ExactAttention.Attend(a, b, c).Output), "libtorch scaled_dot_product_attention",
                () => Gradients(q, k, v, (a, b, c) => nn.functional.scaled_dot_product_attention(a, b, c, is_casual: true)));
        }

        foreach (int tokens in new[] { 512, 1024, 2048, 4096, 8192, 16384, 32768 })
        {
            (Tensor q, Tensor k, Tensor v) = Draw(tokens);
            BlockSupport tenth = Tenth(tokens);
            double share = tenth.Computed / (double)BlockSupport.Full(tokens).Computed;
            yield return new(
                $"a tenth of the blocks, {tokens} tokens", () => Free(SparseAttention.Attend(q, k, v, [tenth])), "all keys, the same kernel", () => Free(ExactAttention.Attend(q, k, v)),
                tokens is 4096 or 16384 ? 5 : 0, () => string.Create(CultureInfo.InvariantCulture, $"{share:P1} of the computed cells: at most {1 / share:F1} times"),
                Tokens("Attention over a tenth of the blocks", tokens));
            var options = new MInferenceOptions();
            IReadOnlyList<BlockSupport> lines = PatternEstimator.Estimate([new VerticalSlash(Math.Min(tokens, 500), 100)], q, k, options);
            yield return new(
                $"500 columns and 100 slashes, estimate included, {tokens} tokens",
                () => Free(SparseAttention.Attend(q, k, v, PatternEstimator.Estimate([new VerticalSlash(Math.Min(tokens, 500), 100)], q, k, options))), "all keys, the same kernel",
                () => Free(ExactAttention.Attend(q, k, v)), tokens == 16384 ? 3 : 0,
                () => string.Create(CultureInfo.InvariantCulture, $"{lines.Average(b => b.Density):P1} of the causal cells"),
                Tokens("Attention over columns and slashes, estimate included", tokens));
        }
    }

    private static CurvePoint Tokens(string curve, int tokens) => new($"{curve}, 8 heads of 64", "tokens", tokens);

    /// <summary>One new token with 8 key-value heads of width 128: the packed cache against dense products on the same numbers.</summary>
    private static IEnumerable<Comparison> Decoding()
    {
        foreach ((int tokens, double sparsity) in new[] { (1024, 0.7), (4096, 0.7), (8192, 0.5), (8192, 0.7), (16384, 0.7), (32768, 0.7) })
        {
            var generator = new Generator(2);
            using Tensor k = randn([1, 8, tokens, 128], generator: generator), v = randn([1, 8, tokens, 128], generator: generator), q = randn([1, 8, 1, 128], generator: generator);
            using Tensor turned = k[0].transpose(1, 2), values = v[0], one = q[0];
            using var cache = new PrunedKeyValueCache(1, 1, 8, tokens, 128, new() { KeySparsity = sparsity, ValueSparsity = sparsity, Residual = 0 });
            cache.Fill(0, k, v);
            cache.Advance(tokens);
            yield return new(
                string.Create(CultureInfo.InvariantCulture, $"a new token over {tokens} packed ones, {sparsity:P0} gone"), () => cache.Read(0, q).Dispose(), "two dense products of libtorch",
                () =>
                {
                    using DisposeScope scope = NewDisposeScope();
                    one.bmm(turned).div_(Math.Sqrt(128)).softmax(-1).bmm(values);
                },
                (tokens, sparsity) == (8192, 0.7) ? 1.3 : 0, () => string.Create(CultureInfo.InvariantCulture, $"{cache.Bytes / (double)cache.DenseBytes:P1} of the bytes"),
                sparsity == 0.7 ? new("A new token over a packed cache, 8 heads of 128, 70 % gone", "cached tokens", tokens) : null);
        }
    }

    /// <summary>One new token: an eighth of the pages of 16 keys, found by Quest, search included, against libtorch's dense step.</summary>
    private static IEnumerable<Comparison> Paging()
    {
        foreach (int tokens in new[] { 1024, 4096, 16384, 32768 })
        {
            (Tensor _, Tensor k, Tensor v) = Draw(tokens);
            using Tensor q = randn([1, Heads, 1, HeadDim], generator: new Generator(2));
            QuestPages pages = QuestPages.Build(k);
            yield return new(
                $"a new token over an eighth of {tokens} cached ones, search included", () => SparseDecode.Attend(q, k, v, pages.Select(q, tokens / 8)).Dispose(),
                "libtorch scaled_dot_product_attention over all", () => nn.functional.scaled_dot_product_attention(q, k, v).Dispose(), tokens == 16384 ? 2 : 0,
                () => string.Create(CultureInfo.InvariantCulture, $"reads {((0.125 * 2 * k.numel() * 4) + pages.Bytes) / (2.0 * k.numel() * 4):P1} of the bytes"),
                new("A new token over an eighth of the pages, search included, 8 heads of 64", "cached tokens", tokens));
        }
    }

    private static (Tensor Q, Tensor K, Tensor V) Draw(int tokens)
    {
        var generator = new Generator(1);
        Tensor One() => randn([1, Heads, tokens, HeadDim], generator: generator);
        return (One(), One(), One());
    }

    private static void Free((Tensor Output, Tensor LogSumExp) result)
    {
        result.Output.Dispose();
        result.LogSumExp.Dispose();
    }

    private static void Gradients(Tensor q, Tensor k, Tensor v, Func<Tensor, Tensor, Tensor, Tensor> attention)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable on = enable_grad();
        Tensor[] leaves = [.. new[] { q, k, v }.Select(x => x.detach().clone().requires_grad_(true))];
        attention(leaves[0], leaves[1], leaves[2]).sum().backward();
    }

    /// <summary>The diagonal block and others at random, a tenth of each row of blocks.</summary>
    private static BlockSupport Tenth(int tokens)
    {
        int n = (tokens + 63) / 64;
        var random = new Random(1);
        bool[,] kept = new bool[n, n];
        for (int r = 0; r < n; r++)
        {
            kept[r, r] = true;
            int[] others = [.. Enumerable.Range(0, r)];
            random.Shuffle(others);
            foreach (int c in others.Take(((r + 1) / 10) - 1)) kept[r, c] = true;
        }

        return BlockSupport.FromBlocks(tokens, 64, Support.FromMask(tensor(kept)));
    }

    private static string Rate(Action work, long cells)
    {
        long begun = System.Diagnostics.Stopwatch.GetTimestamp();
        work();
        double rate = AttentionCost.Flops(cells, Heads, HeadDim) / System.Diagnostics.Stopwatch.GetElapsedTime(begun).TotalSeconds / 1e9;
        return string.Create(CultureInfo.InvariantCulture, $"{rate:F0} thousand million operations a second over the causal cells; the machine does {MachineLimits.Measure().FloatRate / 1e9:F0}");
    }
}
