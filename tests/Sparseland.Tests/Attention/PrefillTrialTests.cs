using Sparseland.Attention;
using Sparseland.Attention.Prefill;
using Sparseland.Selection;
using TorchSharp;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

/// <summary>Attacks on patterns of prompts: sums that are views, means that leave single precision, searches whose errors are no numbers, sizes at the end of the numbers.</summary>
public sealed class PrefillTrialTests
{
    [Theory]
    [InlineData(1e20f), InlineData(1e-30f), InlineData(1f)]
    public void The_diagonal_block_is_kept_and_the_others_are_ranked_by_means_at_any_scale(float scale)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor _) = Draw(1, 1, 1, 1, 29, 5);
        (q, k) = (q[0, 0] * scale, k[0, 0] * scale);
        Support found = PatternEstimator.TopBlocks(q, k, 2, 4);
        double[] a = [.. q.to(ScalarType.Float64).contiguous().data<double>()], b = [.. k.to(ScalarType.Float64).contiguous().data<double>()];
        double[] Mean(double[] x, int r) => [.. Enumerable.Range(0, 5).Select(c => Enumerable.Range(r * 4, Math.Min(4, 29 - (r * 4))).Average(i => x[(i * 5) + c]))];
        for (int r = 0; r < 8; r++)
        {
            int[] best = [.. Enumerable.Range(0, r).OrderByDescending(o => Mean(a, r).Zip(Mean(b, o), (x, y) => x * y).Sum()).Take(1).Append(r).Order()];
            Assert.Equal(best, found.Row(r).ToArray());
        }
    }

    [Fact]
    public void Blocks_of_nothing_and_of_no_numbers_are_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        Assert.ThrowsAny<ArgumentException>(() => PatternEstimator.TopBlocks(zeros(0, 4), zeros(0, 4), 1, 4));
        Assert.ThrowsAny<ArgumentException>(() => PatternEstimator.TopBlocks(full([8, 4], float.NaN), ones(8, 4), 1, 4));
        Assert.ThrowsAny<ArgumentException>(() => PatternEstimator.TopBlocks(ones(8, 4), ones(8, 5), 1, 4));
        Assert.ThrowsAny<ArgumentException>(() => PatternEstimator.TopBlocks(ones(8, 4), ones(8, 4), 0, 4));
        Assert.Throws<ArgumentNullException>(() => PatternEstimator.TopBlocks(ones(8, 4), null!, 1, 4));
    }

    [Fact]
    public void Heaviest_columns_and_slashes_of_views_are_those_of_copies()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor columns = rand([20, 3, 2], generator: new Generator(2)).permute(2, 1, 0), slashes = rand([20, 3, 2], generator: new Generator(3)).permute(2, 1, 0);
        MInferenceOptions options = new() { ForcedColumns = 1, ForcedSlashes = 2 };
        IReadOnlyList<ColumnsAndSlashes> found = VerticalSlashIndex.Choose(columns, slashes, new(3, 4), options), copies = VerticalSlashIndex.Choose(columns.contiguous(), slashes.contiguous(), new(3, 4), options);
        for (int h = 0; h < 6; h++)
        {
            double[] own = [.. columns[h / 3, h % 3].to(ScalarType.Float64).contiguous().data<double>()];
            int[] expected = [.. Enumerable.Range(1, 19).OrderByDescending(j => own[j]).Take(2).Append(0).Order()];
            Assert.Equal(expected, found[h].Columns);
            Assert.Equal(copies[h].Slashes, found[h].Slashes);
        }

        Assert.Throws<ArgumentNullException>(() => VerticalSlashIndex.Choose(columns, null!, new(3, 4)));
        Assert.ThrowsAny<ArgumentException>(() => VerticalSlashIndex.Choose(columns * float.NaN, slashes, new(3, 4), options));
        Assert.ThrowsAny<ArgumentException>(() => VerticalSlashIndex.Choose(columns, slashes, new(0, 0), options));
        Assert.ThrowsAny<ArgumentException>(() => VerticalSlashIndex.Choose(columns, slashes, new(21, 1), options));
        Assert.Equal(20, VerticalSlashIndex.Choose(columns, slashes, new(1, 1))[0].Slashes.Count);
        Assert.Empty(VerticalSlashIndex.Choose(columns, slashes, new(0, 2), new() { ForcedColumns = 0, ForcedSlashes = 0 })[0].Columns);
    }

    [Theory]
    [InlineData(ScalarType.Float32, 3), InlineData(ScalarType.Float64, 0), InlineData(ScalarType.Float32, 100)]
    public void The_strip_and_its_sums_are_those_of_loops_also_of_views(ScalarType type, int queries)
    {
        using DisposeScope scope = NewDisposeScope();
        int end = 2;
        queries = queries == 0 ? 1 : queries;
        (Tensor q, Tensor k, Tensor _) = Draw(4, 2, 2, 1, 13, 4, type: type);
        (q, k) = (q.transpose(1, 2).contiguous().transpose(1, 2), k.transpose(2, 3).contiguous().transpose(2, 3));
        Tensor strip = VerticalSlashIndex.Strip(q, k, queries, end);
        (Tensor columns, Tensor slashes) = VerticalSlashIndex.Scores(strip, end);
        int count = Math.Min(queries, 11);
        Assert.Equal([2L, 2, count, 13], strip.shape);
        for (int h = 0; h < 4; h++)
        {
            double[] a = [.. q[h / 2, h % 2].to(ScalarType.Float64).contiguous().data<double>()], b = [.. k[h / 2, 0].to(ScalarType.Float64).contiguous().data<double>()];
            var (down, along) = (new double[13], new double[13]);
            for (int r = 0; r < count; r++)
            {
                int place = 13 - end - count + r;
                double[] weights = [.. Enumerable.Range(0, place + 1).Select(j => Math.Exp(Enumerable.Range(0, 4).Sum(c => a[(place * 4) + c] * b[(j * 4) + c]) / 2))];
                for (int j = 0; j <= place; j++) (down[j], along[place - j]) = (down[j] + (weights[j] / weights.Sum()), along[place - j] + (weights[j] / weights.Sum()));
            }

            for (int j = 0; j < 13; j++)
            {
                Assert.Equal(down[j], columns[h / 2, h % 2, j].to(ScalarType.Float64).item<double>(), 5);
                Assert.Equal(along[j], slashes[h / 2, h % 2, j].to(ScalarType.Float64).item<double>(), 5);
            }
        }

        Assert.ThrowsAny<ArgumentException>(() => VerticalSlashIndex.Strip(q, k, queries, 13));
        Assert.ThrowsAny<ArgumentException>(() => VerticalSlashIndex.Strip(q, k, 0));
        Assert.ThrowsAny<ArgumentException>(() => VerticalSlashIndex.Scores(strip[0]));
        Assert.ThrowsAny<ArgumentException>(() => VerticalSlashIndex.Scores(strip, 13));
    }

    [Fact]
    public void A_search_whose_errors_are_no_numbers_is_refused()
    {
        PatternScore Score(HeadPattern shape, double recall, double error) => new(0, 0, shape, recall, error, 0.1);
        DenseHead dense = new();
        AShape sinks = new(1, 2);
        foreach (SearchCriterion criterion in Enum.GetValues<SearchCriterion>())
        {
            ArgumentException refused = Assert.Throws<ArgumentException>("scores", () => PatternSearch.Choose([Score(dense, 0.9, 0.1), Score(sinks, double.NaN, double.NaN)], criterion));
            Assert.Contains("Head 0 of block 0", refused.Message, StringComparison.Ordinal);
        }

        Assert.Equal(dense, PatternSearch.Choose([Score(sinks, 0.5, 0.3), Score(dense, 0.9, double.NaN)], SearchCriterion.MassRecall).Layers[0][0]);
        Assert.Equal(sinks, PatternSearch.Choose([Score(sinks, 0.5, 0.3), Score(dense, 0.5, 0.3)]).Layers[0][0]);
        Assert.ThrowsAny<ArgumentException>(() => PatternSearch.Choose([]));
        Assert.ThrowsAny<ArgumentException>(() => PatternSearch.Choose([Score(sinks, 0.5, 0.3), Score(sinks, 0.5, 0.3) with { Head = 2 }]));
    }

    [Fact]
    public void A_search_names_what_does_not_fit()
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Draw(5, 1, 2, 1, 20, 4);
        HeadPattern[] shapes = [new AShape(1, 4), new DenseHead()];
        Assert.Throws<ArgumentNullException>("q", () => PatternSearch.Try(0, null!, k, v, shapes));
        Assert.ThrowsAny<ArgumentException>(() => PatternSearch.Try(0, q[0, 0], k, v, shapes));
        Assert.ThrowsAny<ArgumentException>(() => PatternSearch.Try(0, q[0, 0, 0], k, v, shapes));
        Assert.ThrowsAny<ArgumentException>(() => PatternSearch.Try(0, q, k, v, []));
        Assert.ThrowsAny<ArgumentException>(() => PatternSearch.Try(0, q, k, v, [null!]));
        Assert.ThrowsAny<ArgumentException>(() => PatternSearch.Try(0, q, k, v, [new AShape(1, 21)]));
        Assert.ThrowsAny<ArgumentException>(() => PatternSearch.Try(0, q, k, v, shapes, skip: 20));
        Assert.ThrowsAny<ArgumentException>(() => PatternSearch.Try(0, q, k * float.NaN, v, shapes));
        Assert.ThrowsAny<OperationCanceledException>(() => PatternSearch.Try(0, q, k, v, shapes, cancel: new(true)));
        foreach (bool exact in new[] { true, false })
        {
            IReadOnlyList<PatternScore> scores = PatternSearch.Try(3, q, k, v * 0, shapes, new() { Exact = exact, Block = 4 });
            Assert.All(scores.Where(s => s.Pattern is DenseHead), s => Assert.Equal((1, 0), (Math.Round(s.Recall, 5), s.OutputError)));
        }
    }

    [Theory]
    [InlineData(0.3, 1), InlineData(0.65, 4), InlineData(1.0, 1), InlineData(1e-9, 2), InlineData(0.5, 100)]
    public void Adaptive_budgets_are_those_of_loops(double alpha, int min)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor columns = rand([16, 2, 3], dtype: ScalarType.Float64, generator: new Generator(6)).permute(1, 2, 0), slashes = rand([2, 3, 16], dtype: ScalarType.Float64, generator: new Generator(7));
        (columns, slashes) = (columns / columns.sum(-1, keepdim: true), slashes / slashes.sum(-1, keepdim: true));
        IReadOnlyList<VerticalSlash> found = FlexPrefill.Budget(columns, slashes, alpha, min);
        int Needed(Tensor one)
        {
            double sum = 0;
            int n = 0;
            foreach (double mass in one.contiguous().data<double>().ToArray().OrderDescending())
            {
                sum += mass;
                if (sum > alpha) break;
                n++;
            }

            return Math.Clamp(n + 1, Math.Min(min, 16), 16);
        }

        for (int h = 0; h < 6; h++)
        {
            int[] near = alpha == 1 ? [15, 16] : [Needed(columns[h / 3, h % 3])];
            Assert.Contains(found[h].Columns, near);
            if (alpha < 1) Assert.Equal(Needed(slashes[h / 3, h % 3]), found[h].Slashes);
        }

        Assert.ThrowsAny<ArgumentException>(() => FlexPrefill.Budget(columns, slashes, 0, 1));
        Assert.ThrowsAny<ArgumentException>(() => FlexPrefill.Budget(columns, slashes, double.NaN, 1));
        Assert.ThrowsAny<ArgumentException>(() => FlexPrefill.Budget(columns * double.NaN, slashes, 0.5, 1));
        Assert.Throws<ArgumentNullException>(() => FlexPrefill.Budget(columns, null!, 0.5, 1));
    }

    [Fact]
    public void Budgets_at_the_end_of_the_numbers_are_met_or_refused()
    {
        Assert.Equal(new BlockTopK(1), PatternBudget.Blocks(10, int.MaxValue, 55));
        Assert.Equal(new BlockTopK(1), PatternBudget.Blocks(10, 10, 1e300));
        Assert.Equal(new AShape(int.MaxValue, 10), PatternBudget.Window(10, int.MaxValue, double.PositiveInfinity));
        Assert.ThrowsAny<ArgumentException>(() => PatternBudget.Window(10, 1, double.NaN));
        Assert.ThrowsAny<ArgumentException>(() => PatternBudget.Blocks(10, 2, double.NaN));
        Assert.ThrowsAny<ArgumentException>(() => PatternBudget.Blocks(10, 2, 14));
        Assert.Equal(new BlockTopK(1), PatternBudget.Blocks(10, 2, 15));
    }

    [Fact]
    public void A_prompt_with_padding_is_refused_as_by_every_pattern()
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Draw(8, 2, 2, 1, 20, 4);
        MInferenceAttention method = new(new AShape(1, 4));
        Assert.Throws<NotSupportedException>(() => method.Attend(new(0, 0.5, Causal: true, Stands: ones([2, 20], dtype: ScalarType.Bool)), q, k, v));
        Assert.Throws<NotSupportedException>(() => method.Attend(new(0, 0.5, Causal: false), q, k, v));
        Assert.Equal(0, method.Allowed);
        MInferenceAttention mapped = new(HeadPatternMap.All(new DenseHead(), 1, 2));
        Assert.ThrowsAny<ArgumentException>(() => mapped.Attend(new(1, 0.5, Causal: true), q, k, v));
        Assert.ThrowsAny<ArgumentException>(() => new MInferenceAttention(new DenseHead(), new() { Block = 0 }));
    }

    [Fact]
    public void Gradients_of_a_sparse_attention_outside_a_scope_wait_for_no_collector()
    {
        (Tensor q, Tensor k, Tensor v) = Draw(9, 1, 2, 1, 20, 4);
        AttentionSupport support = AttentionSupport.Full(2, 20);
        void Once()
        {
            using Tensor a = q.clone();
            a.requires_grad = true;
            (Tensor output, Tensor sums) = SparseAttention.Attend(a, k, v, support);
            using Tensor loss = output.sum();
            loss.backward();
            using (Tensor gradient = a.grad!) Assert.True(gradient.numel() == 160);
            output.Dispose();
            sums.Dispose();
        }

        Once();
        long alive = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        for (int i = 0; i < 5; i++) Once();
        Assert.Equal(alive, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        foreach (Tensor x in new[] { q, k, v }) x.Dispose();
    }
}
