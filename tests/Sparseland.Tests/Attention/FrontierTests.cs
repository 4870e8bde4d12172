using Sparseland.Attention;
using Sparseland.Attention.Frontier;
using Sparseland.Attention.Tasks;
using Sparseland.Models.Language;
using TorchSharp;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

public class FrontierTests
{
    private static readonly FrontierOptions s_small = new() { Block = 4, First = 2, Near = 3, Slashes = 5, Window = 8, Local = 3, Sequences = 20, Resamples = 200 };
    private static readonly TaskOptions s_task = new() { Tokens = 64, Pairs = 4, Chains = 1, Retrievals = 3, Hops = 1 };
    private static readonly FrontierMethod[] s_prefill = [FrontierMethod.SinksAndWindow, FrontierMethod.VerticalSlash, FrontierMethod.BlockSparse, FrontierMethod.FlexPrefill];
    private static readonly FrontierMethod[] s_decode = [FrontierMethod.Window, FrontierMethod.Oracle, FrontierMethod.Quest, FrontierMethod.SnapKv, FrontierMethod.SnapKvBefore, FrontierMethod.AdaSnapKv];

    [Fact]
    public void Blocks_are_counted_by_the_formula()
    {
        Assert.Equal(42, AttentionBudget.BlockCells(12, 4));
        for (int t = 1; t <= 12; t++) Assert.Equal(Enumerable.Range(1, 12).Sum(r => Math.Min(r, t)), AttentionBudget.BlockCells(12, t));
        Assert.Equal(4, AttentionBudget.BlocksForSparsity(12, 1 - (42.0 / 78)));
        Assert.Equal(3, AttentionBudget.BlocksForSparsity(12, 0.99));
        Assert.Equal(12, AttentionBudget.BlocksForSparsity(12, 0));
        Assert.Throws<ArgumentOutOfRangeException>("top", () => AttentionBudget.BlockCells(12, 13));
    }

    [Fact]
    public void Every_prefill_method_computes_exactly_the_budget()
    {
        (Tensor q, Tensor k, _) = Draw(1, 2, 4, 2, 48, 8, size: 1.5);
        foreach (double sparsity in new[] { 0, 0.31, 0.5, 0.66 })
        {
            foreach (FrontierMethod method in s_prefill)
            {
                long cells = AttentionBudget.ForPrefillSparsity(method, 48, sparsity, s_small);
                Assert.Equal((long)Math.Floor(((1 - sparsity) * 48 * 49 / 2) + 1e-6), cells);
                AttentionSupport support = new PrefillFrontier(method, sparsity, 10, s_small).Select(q, k);
                Assert.Equal(8 * cells, support.Selected);
                if (method != FrontierMethod.FlexPrefill) Assert.All(support.Heads, h => Assert.Equal(cells, h.Count));
            }
        }
    }

    [Fact]
    public void Forced_cells_are_always_computed()
    {
        (Tensor q, Tensor k, _) = Draw(2, 1, 4, 2, 48, 8, size: 2);
        Tensor of = Causal(48, 48), near = of.logical_and(of.tril(-3).logical_not()), first = of.clone();
        first.narrow(1, 2, 46).fill_(false);
        foreach (FrontierMethod method in new[] { FrontierMethod.VerticalSlash, FrontierMethod.FlexPrefill })
        {
            Tensor mask = new PrefillFrontier(method, 0.6, 10, s_small).Select(q, k).Mask();
            Assert.True(mask.logical_or(near.logical_or(first).logical_not()).all().item<bool>(), method.ToString());
        }

        Tensor blocks = new PrefillFrontier(FrontierMethod.BlockSparse, 0.6, 10, s_small).Select(q, k).Mask();
        Tensor diagonal = AttentionPatterns.Blocks(48, 4, Sparseland.Selection.Support.FromMask(eye(12, dtype: ScalarType.Bool))).ToMask();
        Assert.True(blocks.logical_or(diagonal.logical_not()).all().item<bool>());
    }

    [Fact]
    public void Whole_blocks_are_the_best_of_their_rows()
    {
        (Tensor q, Tensor k, _) = Draw(3, 1, 2, 2, 48, 8, size: 2);

        // A budget that 5 blocks a row meet to the cell.
        long cells = (12 * 10) + (16 * (AttentionBudget.BlockCells(12, 5) - 12));
        AttentionSupport support = new PrefillFrontier(FrontierMethod.BlockSparse, 1 - (cells / (48 * 49 / 2.0)), 10, s_small).Select(q, k);
        for (int h = 0; h < 2; h++)
        {
            Sparseland.Selection.Support wanted = AttentionPatterns.Blocks(48, 4, Sparseland.Attention.Prefill.PatternEstimator.TopBlocks(q[0, h], k[0, h], 5, 4));
            Assert.True(support.Heads[h].Equals(wanted));
        }
    }

    [Fact]
    public void Every_decode_method_reads_exactly_the_budget()
    {
        (Tensor q, Tensor k, _) = Draw(4, 2, 4, 2, 48, 8, size: 1.5);
        foreach (double sparsity in new[] { 0.3, 0.5 })
        {
            int budget = AttentionBudget.ForDecodeSparsity(FrontierMethod.Quest, 36, 48, sparsity, s_small);
            Assert.Equal((int)Math.Floor((((1 - sparsity) * ((12 * 36) + 78)) - 78) / 12), budget);
            foreach (FrontierMethod method in s_decode)
            {
                Tensor seen = new DecodeFrontier(method, sparsity, 36, s_small).Select(q, k), each = seen.sum(-1);
                Assert.Equal([2, 4, 12, 48], seen.shape);
                Assert.False(seen.logical_and(Causal(12, 48).logical_not()).any().item<bool>());
                Tensor wanted = (arange(1, 13) + budget).expand(2, 4, -1);
                if (method == FrontierMethod.AdaSnapKv) (each, wanted) = (each.sum(1), wanted.sum(1));
                Assert.True(each.eq(wanted).all().item<bool>(), method.ToString());

                // A token always reads itself.
                Assert.True(method == FrontierMethod.Oracle || seen.diagonal(36, 2, 3).all().item<bool>(), method.ToString());
            }
        }
    }

    [Fact]
    public void No_method_recalls_more_than_the_oracle()
    {
        (Tensor q, Tensor k, _) = Draw(5, 2, 4, 2, 48, 8, size: 2);
        Tensor pattern = ExactAttention.Pattern(q, k).narrow(2, 36, 12);
        Tensor Recall(FrontierMethod method) => (pattern * new DecodeFrontier(method, 0.4, 36, s_small).Select(q, k)).sum(-1);
        Tensor best = Recall(FrontierMethod.Oracle);
        foreach (FrontierMethod method in s_decode.Except([FrontierMethod.AdaSnapKv])) Assert.True((Recall(method) - best).max().item<float>() < 1e-6, method.ToString());
        Tensor all = ExactAttention.Pattern(q, k);
        foreach (FrontierMethod method in s_prefill)
        {
            AttentionSupport support = new PrefillFrontier(method, 0.5, 10, s_small).Select(q, k);
            AttentionSupport oracle = new([.. support.Heads.Select((h, i) => AttentionPatterns.TopKPerRow(all[i / 4][i % 4], h.CountsPerRow()))]);
            Assert.True((support.Recall(all) - oracle.Recall(all)).max().item<float>() < 1e-6, method.ToString());
        }
    }

    [Fact]
    public void The_masked_pass_is_attention_over_the_selection_token_by_token()
    {
        (Tensor q, Tensor k, Tensor v) = Draw(6, 1, 4, 2, 48, 8);
        DecodeFrontier method = new(FrontierMethod.Quest, 0.4, 36, s_small);
        Tensor output = method.Attend(new(0, 0.4, true), q, k, v)!;
        Tensor seen = cat([Causal(36, 36).expand(1, 4, -1, -1), zeros([1, 4, 36, 12], dtype: ScalarType.Bool)], 3);
        Assert.True(Far(output, ByFormula(q, k, v, cat([seen, method.Select(q, k, 0.4)], 2), 0.4).Output) < 1e-4);
        Assert.Equal(4 * ((12 * AttentionBudget.ForDecodeSparsity(FrontierMethod.Quest, 36, 48, 0.4, s_small)) + 78), method.Cells);
        PrefillFrontier lines = new(FrontierMethod.VerticalSlash, 0.4, 10, s_small);
        Assert.True(Far(lines.Attend(new(0, 0.4, true), q, k, v)!, ByFormula(q, k, v, lines.Select(q, k, 0.4).Mask().unsqueeze(0), 0.4).Output) < 1e-4);
        Assert.Throws<NotSupportedException>(() => lines.Attend(new(0, 0.4, true), q.narrow(2, 40, 8), k, v));
        Assert.Throws<ArgumentException>("q", () => method.Attend(new(0, 0.4, true), q.narrow(2, 0, 30), k.narrow(2, 0, 30), v.narrow(2, 0, 30)));
    }

    [Fact]
    public void FlexPrefill_gives_heads_different_budgets()
    {
        (Tensor q, Tensor k, _) = Draw(7, 1, 4, 4, 48, 8);
        q = q * tensor(new[] { 0.1f, 1f, 3f, 6f }).view(1, 4, 1, 1);
        PrefillFrontier flex = new(FrontierMethod.FlexPrefill, 0.5, 10, s_small);
        flex.Select(q, k, layer: 3);
        Assert.True(flex.Budgets[3][0].Columns > flex.Budgets[3][3].Columns);
    }

    [Fact]
    public void A_study_has_a_row_for_every_point_and_says_the_same_twice()
    {
        using var model = new TaskLM(width: 16, seed: 3);
        FrontierMethod[] methods = [.. s_prefill, .. s_decode];
        List<ProgressReport> reports = [];
        FrontierTable table = FrontierStudy.Run(model, [s_task], methods, [0.5], [5], s_small, "a", new Collected(reports));
        Assert.Equal(10 * 3, table.Rows.Count);
        Assert.Equal(new(11, 11), (reports[^1].Done, reports[^1].Total));
        Assert.All(table.Rows.GroupBy(r => r.Phase), phase => Assert.Single(phase.Select(r => (r.Cells, r.Allowed)).Distinct()));
        Assert.All(table.Rows, r => Assert.Equal(0.5, r.Computed, 0.03));
        Assert.All(table.Rows, r => Assert.Equal(20, r.Values.Count));
        FrontierTable again = FrontierStudy.Run(model, [s_task], methods, [0.5], [5], s_small, "b");
        Assert.All(table.Rows.Zip(again.Rows), p => Assert.Equal(p.First.Values, p.Second.Values));
        FrontierTable both = FrontierTable.Join([table, again]);
        Assert.Equal(40, both.Pooled().Rows[0].Values.Count);
        Assert.Equal(30, both.Reach().Count);
        Assert.DoesNotContain("System.", table.Rows[0].ToString(), StringComparison.Ordinal);
        FrontierTable exact = FrontierStudy.Run(model, [s_task], [FrontierMethod.VerticalSlash, FrontierMethod.BlockSparse], [0], [5], s_small, "a");
        Assert.All(exact.Rows, r => Assert.Equal(r.Dense, r.Values));
        Assert.All(exact.Rows, r => Assert.True(r.Passes()));
        FrontierRow one = table.At("a", FrontierMethod.Quest, TaskKind.Retrieval, 64, 0.5), other = table.At("a", FrontierMethod.Window, TaskKind.Retrieval, 64, 0.5);
        Assert.Equal(one.Accuracy - other.Accuracy, FrontierTable.Compare(one, other).Difference, 9);
        Assert.Throws<ArgumentException>("second", () => FrontierTable.Compare(one, exact.At("a", FrontierMethod.BlockSparse, TaskKind.Retrieval, 64, 0)));
        Assert.Throws<ArgumentException>("second", () => FrontierTable.Compare(one, table.At("a", FrontierMethod.Window, TaskKind.Aggregation, 64, 0.5)));
        Assert.Throws<ArgumentException>("method", () => table.At("a", FrontierMethod.Quest, TaskKind.Retrieval, 64, 0.25));
        Assert.Contains("twice", Assert.Throws<InvalidOperationException>(() => FrontierTable.Join([table, table]).Pooled()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Reach_is_the_highest_level_that_passes_by_itself_and_points_must_be_of_the_same_texts()
    {
        double[] dense = [1, 1, 0.5, 1], low = [0, 0, 0, 0];
        FrontierRow Row(double nominal, double[] values, double[]? whole = null, string model = "a") =>
            new(model, FrontierMethod.Quest, TaskKind.Retrieval, 64, nominal, 5, 10, values, whole ?? dense, Sparseland.Evaluation.PairedBootstrap.Compare(values, whole ?? dense, 1, 200));
        FrontierTable table = new([Row(0.25, dense), Row(0.5, low), Row(0.75, dense), Row(0.9, low)]);
        Assert.Equal(0.75, Assert.Single(table.Reach()).Sparsity);
        Assert.Null(Assert.Single(new FrontierTable([Row(0.5, low)]).Reach()).Sparsity);
        Assert.Empty(new FrontierTable([]).Reach());
        Assert.Empty(new FrontierTable([]).Pooled().Rows);
        Assert.Equal(0, FrontierTable.Compare(table.Rows[0], table.Rows[2]).Difference);
        Assert.Throws<ArgumentException>("second", () => FrontierTable.Compare(table.Rows[0], Row(0.25, dense, [1, 1, 1, 0.5])));
        Assert.Throws<ArgumentOutOfRangeException>("margin", () => table.Reach(double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>("margin", () => table.Rows[0].Passes(-0.1));
        Assert.Throws<ArgumentOutOfRangeException>("resamples", () => table.Pooled(resamples: 3));
        Assert.Throws<ArgumentException>("rows", () => new FrontierTable([null!]));
        Assert.Throws<ArgumentException>("tables", () => FrontierTable.Join([table, null!]));
        Sparseland.Evaluation.PairedBootstrap interval = table.Rows[0].Interval;
        FrontierRow Made(long cells, long allowed, double[] values, double[] whole) => new("a", FrontierMethod.Quest, TaskKind.Retrieval, 64, 0.5, cells, allowed, values, whole, interval);
        Assert.Throws<ArgumentException>("Values", () => Made(5, 10, [], []));
        Assert.Throws<ArgumentException>("Values", () => Made(5, 10, [double.NaN], [1]));
        Assert.Throws<ArgumentException>("Dense", () => Made(5, 10, [1], [1.5]));
        Assert.Throws<ArgumentException>("Dense", () => Made(5, 10, [1, 1], [1]));
        Assert.Throws<ArgumentOutOfRangeException>("Cells", () => Made(11, 10, [1], [1]));
        Assert.Throws<ArgumentOutOfRangeException>("Allowed", () => Made(0, 0, [1], [1]));
    }

    [Fact]
    public void Another_device_is_refused_before_work()
    {
        using var scope = NewDisposeScope();
        Tensor x = zeros([1, 2, 48, 8], device: META);
        Assert.Throws<ArgumentException>("q", () => new PrefillFrontier(FrontierMethod.VerticalSlash, 0.5, 10, s_small).Select(x, x));
        Assert.Throws<ArgumentException>("q", () => new DecodeFrontier(FrontierMethod.Quest, 0.5, 36, s_small).Select(x, x));
        Assert.Throws<ArgumentException>("q", () => new DecodeFrontier(FrontierMethod.Quest, 0.5, 36, s_small).Attend(new(0, 1, true), x, x, x));
    }

    [Fact]
    public void Bad_studies_are_refused_before_any_work()
    {
        using var model = new TaskLM(width: 16, seed: 3);
        FrontierTable Run(TaskOptions? task = null, FrontierMethod method = FrontierMethod.Quest, double sparsity = 0.5, FrontierOptions? options = null, long[]? seeds = null, CancellationToken cancel = default) =>
            FrontierStudy.Run(model, [task ?? s_task], [method], [sparsity], seeds ?? [5], options ?? s_small, cancel: cancel);
        Assert.Contains("20", Assert.Throws<ArgumentException>("options", () => Run(options: s_small with { Sequences = 19 })).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("seeds", () => Run(seeds: []));
        Assert.Throws<ArgumentException>("seeds", () => Run(seeds: [5, 5]));
        Assert.Throws<ArgumentOutOfRangeException>("sparsity", () => Run(sparsity: 1));
        Assert.Throws<ArgumentOutOfRangeException>("sparsity", () => Run(sparsity: 0.95));
        Assert.Throws<ArgumentOutOfRangeException>("sparsity", () => Run(method: FrontierMethod.VerticalSlash, sparsity: 0.95));
        Assert.Throws<ArgumentException>("tokens", () => Run(method: FrontierMethod.BlockSparse, options: s_small with { Block = 10 }));
        Assert.Throws<ArgumentOutOfRangeException>("Kernel", () => Run(options: s_small with { Kernel = 2 }));
        Assert.Throws<ArgumentOutOfRangeException>("Slashes", () => Run(options: s_small with { Slashes = 2 }));
        Assert.Throws<ArgumentException>("tasks", () => Run(s_task with { Tokens = 5000 }));
        Assert.Throws<ArgumentException>("method", () => new PrefillFrontier(FrontierMethod.Quest, 0.5, 8));
        Assert.Throws<ArgumentException>("method", () => new DecodeFrontier(FrontierMethod.BlockSparse, 0.5, 8));
        Assert.Throws<ArgumentException>("method", () => AttentionBudget.ForPrefillSparsity(FrontierMethod.Oracle, 64, 0.5));
        Assert.Throws<ArgumentException>("method", () => AttentionBudget.ForDecodeSparsity(FrontierMethod.FlexPrefill, 50, 64, 0.5));
        Assert.Throws<ArgumentOutOfRangeException>("method", () => FrontierMethods.PhaseOf((FrontierMethod)99));
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        Assert.Throws<OperationCanceledException>(() => Run(cancel: stop.Token));
    }

    [Theory]
    [InlineData(0, 7.070, 70_455)]
    [InlineData(1, 13.991, 56_928)]
    [InlineData(2, 31.984, 97_608)]
    [InlineData(3, 71.458, 109_037)]
    public void Costs_of_real_shapes(int model, double parameters, double equal)
    {
        ModelShape shape = ModelShape.Qwen25[model];
        Assert.Equal(parameters, shape.Parameters / 1e9, 3);
        Assert.Equal(equal, ModelCost.EqualParts(shape), 0.5);
        Assert.Equal(ModelCost.Prefill(shape, equal, 0), ModelCost.Prefill(shape, equal) / 2, ModelCost.Prefill(shape, equal) * 1e-5);
    }

    [Fact]
    public void Densities_at_which_a_larger_model_costs_as_much()
    {
        (double Prefill, double Decode)[] wanted = [(0.193, 0.301), (0.331, 0.541), (0.040, 0.270)];
        for (int i = 0; i < 3; i++)
        {
            (ModelShape smaller, ModelShape larger) = (ModelShape.Qwen25[i], ModelShape.Qwen25[i + 1]);
            Assert.Equal(wanted[i].Prefill, ModelCost.EqualDensity(larger, smaller, 131_072, FrontierPhase.Prefill), 3);
            Assert.Equal(wanted[i].Decode, ModelCost.EqualDensity(larger, smaller, 131_072, FrontierPhase.Decode), 3);
            Assert.True(ModelCost.EqualDensity(larger, smaller, 32_768, FrontierPhase.Prefill) < 0);
            double density = ModelCost.EqualDensity(larger, smaller, 131_072, FrontierPhase.Decode);
            Assert.Equal(ModelCost.DecodeToken(smaller, 131_072), ModelCost.DecodeToken(larger, 131_072, density), 1e3);
        }

        Assert.Throws<ArgumentOutOfRangeException>("density", () => ModelCost.Prefill(ModelShape.Qwen25[0], 10, 1.1));
        Assert.Throws<ArgumentOutOfRangeException>("tokens", () => ModelCost.DecodeToken(ModelShape.Qwen25[0], 0));
    }

    private sealed class Collected(List<ProgressReport> reports) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => reports.Add(value);
    }
}
