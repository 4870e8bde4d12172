using FsCheck;
using FsCheck.Fluent;
using Sparseland.Attention;
using Sparseland.Attention.Estimation;
using Sparseland.Attention.Features;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Selection;
using TorchSharp;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

public class SeaTests
{
    private static readonly LlamaConfig s_small = new() { Vocabulary = 50, Width = 32, MlpWidth = 32, Layers = 2, Heads = 4, KeyValueHeads = 2, Context = 64 };

    private static Tensor Drawn(int seed, params long[] shape) => randn(shape, generator: new Generator((ulong)seed));

    private static TokenText Text(int tokens = 600)
    {
        var random = new Random(5);
        return new([.. Enumerable.Range(0, tokens).Select(_ => random.Next(50))]);
    }

    private static SeaTrainingOptions Short(int steps = 3) => new() { Estimator = new() { Cells = 16, Features = 8 }, Columns = 4, Steps = steps, Batch = 2, Length = 32, Windows = 6 };

    [Fact]
    public void Every_column_of_every_row_lies_in_exactly_one_cell()
    {
        Prop.ForAll<NonNegativeInt, PositiveInt>((r, c) =>
        {
            int row = r.Get % 3000, cells = (c.Get % 300) + 1;
            int[] edges = CellGrid.Edges(row, cells);
            Assert.Equal(0, edges[0]);
            Assert.Equal(row + 1, edges[^1]);
            Assert.True(edges.Zip(edges.Skip(1)).All(p => p.First <= p.Second));
            Assert.Equal(Math.Min(row + 1, cells), edges.Zip(edges.Skip(1)).Count(p => p.First < p.Second));
            for (int b = 0; b <= cells; b++) Assert.Equal((int)Math.Round((decimal)b * (row + 1) / cells, MidpointRounding.ToEven), edges[b]);
        }).QuickCheckThrowOnFailure();
    }

    [Theory, InlineData(1, 4), InlineData(7, 12), InlineData(40, 16), InlineData(33, 64)]
    public void Cells_stretch_to_columns_and_columns_sum_to_cells(int tokens, int cells)
    {
        using var scope = NewDisposeScope();
        Tensor x = Drawn(1, 2, tokens, cells), of = CellGrid.CellOf(tokens, cells), wide = CellGrid.Stretch(x), empty = CellGrid.Empty(tokens, cells);
        Tensor pattern = wide.softmax(-1), mass = CellGrid.Mass(pattern, cells);
        for (int i = 0; i < tokens; i++)
        {
            int[] edges = CellGrid.Edges(i, cells);
            for (int j = 0; j < tokens; j++)
            {
                int cell = j > i ? -1 : Enumerable.Range(0, cells).Single(b => edges[b] <= j && j < edges[b + 1]);
                Assert.Equal(cell, of[i, j].item<long>());
                Assert.Equal(cell < 0 ? float.NegativeInfinity : x[1, i, cell].item<float>(), wide[1, i, j].item<float>());
            }

            for (int b = 0; b < cells; b++)
            {
                Assert.Equal(edges[b] == edges[b + 1], empty[i, b].item<bool>());
                double sum = edges[b] == edges[b + 1] ? 0 : pattern[0, i].narrow(0, edges[b], edges[b + 1] - edges[b]).sum().item<float>();
                Assert.Equal(sum, mass[0, i, b].item<float>(), 5);
            }
        }
    }

    [Fact]
    public void The_budget_is_grouped_over_heads_and_leaves_empty_cells_out()
    {
        const int Tokens = 40, Cells = 12, Heads = 3;
        using var scope = NewDisposeScope();
        Tensor p = Drawn(2, 2, Heads, Tokens, Cells).mul(2).softmax(-1);
        foreach (int k in new[] { 1, 3, 8, 100 })
        {
            Tensor chosen = SeaMask.Choose(p, k);
            AttentionSupport support = SeaMask.FromCells(p, k);
            Assert.Equal(2 * Heads, support.Heads.Count);
            for (int b = 0; b < 2; b++)
            {
                for (int i = 0; i < Tokens; i++)
                {
                    int[] edges = CellGrid.Edges(i, Cells);
                    int wanted = Math.Clamp((int)Math.Round((decimal)Heads * k * Cells / (i + 1), MidpointRounding.ToEven), 1, Heads * Cells);
                    Assert.Equal(wanted, SeaMask.Budget(i, Heads, Cells, k));
                    var best = Enumerable.Range(0, Heads * Cells).Where(c => edges[c % Cells] < edges[(c % Cells) + 1])
                        .OrderByDescending(c => p[b, c / Cells, i, c % Cells].item<float>()).Take(wanted).ToHashSet();
                    Assert.Equal(best.Count, SeaMask.Kept(i, Heads, Cells, k));
                    for (int h = 0; h < Heads; h++)
                    {
                        List<int> columns = [];
                        for (int c = 0; c < Cells; c++)
                        {
                            Assert.Equal(best.Contains((h * Cells) + c), chosen[b, h, i, c].item<bool>());
                            if (best.Contains((h * Cells) + c)) columns.AddRange(Enumerable.Range(edges[c], edges[c + 1] - edges[c]));
                        }

                        Assert.Equal(columns, support.Heads[(b * Heads) + h].Row(i).ToArray());
                    }
                }
            }
        }
    }

    [Fact]
    public void A_peaked_head_takes_less_than_a_broad_one()
    {
        using var scope = NewDisposeScope();
        Tensor broad = zeros(1, 1, 200, 32), peaked = Drawn(3, 1, 1, 200, 32).mul(8);
        AttentionSupport support = SeaMask.FromCells(cat([broad, peaked], 1).softmax(-1), 24);
        Assert.True(support.Heads[0].Count > 2 * support.Heads[1].Count, $"{support.Heads[0].Count} and {support.Heads[1].Count}");
    }

    [Fact]
    public void All_columns_are_exact_attention_and_no_share_is_the_running_mean()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        (Tensor q, Tensor k, Tensor v) = Draw(4, 2, 4, 2, 30, 16);
        using SeaEstimator estimator = new(4, 16, new() { Cells = 16 });
        using SeaEstimate made = estimator.Estimate(q, k, v);
        AttentionSupport all = SeaMask.FromCells(made, 30);
        Assert.Equal(all.Allowed, all.Selected);
        Tensor sparse = SparseAttention.Attend(q, k, v, all).Output;
        using SeaEstimate trusting = new(made.Scores.clone(), full_like(made.Scale, 40), full_like(made.Mix, 40)), distrusting = new(made.Scores.clone(), made.Scale.clone(), full_like(made.Mix, -40));
        Assert.True(Far(SeaAttention.Mixed(sparse, v, trusting), ExactAttention.Attend(q, k, v).Output) < 1e-5);
        Tensor mean = v.cumsum(2).div(arange(1, 31).view(30, 1)).repeat_interleave(2, 1);
        Assert.True(Far(SeaAttention.Mixed(sparse, v, distrusting), mean) < 1e-5);
        Assert.True(Far(SeaAttention.Mixed(sparse, v, made, mix: false), sparse * made.Scale.sigmoid().unsqueeze(3)) < 1e-6);
        Assert.True(Far(SeaAttention.Mixed(sparse, v, made, scale: false, mix: false), sparse) == 0);
    }

    [Fact]
    public void The_context_is_the_quotient_of_its_masked_matrix()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        (Tensor q, Tensor k, Tensor v) = Draw(6, 1, 4, 2, 50, 16);
        using SeaEstimator estimator = new(4, 16, new() { Cells = 16, Features = 9 }, seed: 3);
        Tensor f = estimator.Features.Directions().to(ScalarType.Float32), a = q.matmul(f.t()).mul(0.5).relu().add(1e-3), b = k.matmul(f.t()).mul(0.5).relu().add(1e-3).repeat_interleave(2, 1);
        Tensor weights = a.matmul(b.transpose(2, 3)).tril();
        Tensor values = cat([estimator.get_parameter("positions")!.narrow(0, 0, 50).expand(v.shape), v], 3).repeat_interleave(2, 1);
        Assert.True(Far(estimator.Context(q, k, v), weights.matmul(values) / weights.sum(-1, keepdim: true)) < 1e-4);
    }

    [Fact]
    public void Nothing_later_changes_cells_masks_or_outputs()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        foreach (int seed in new[] { 1, 2, 3 })
        {
            (Tensor q, Tensor k, Tensor v) = Draw(seed, 1, 4, 4, 90, 16);
            (Tensor q2, Tensor k2, Tensor v2) = Draw(seed + 50, 1, 4, 4, 90, 16, size: 5);
            Tensor Mixed(Tensor x, Tensor y) => cat([x.narrow(2, 0, 60), y.narrow(2, 60, 30)], 2);
            using SeaEstimator estimator = new(4, 16, new() { Cells = 16 }, seed);
            (q2, k2, v2) = (Mixed(q, q2), Mixed(k, k2), Mixed(v, v2));
            using SeaEstimate one = estimator.Estimate(q, k, v), other = estimator.Estimate(q2, k2, v2);
            Assert.True(Far(one.Scores.narrow(2, 0, 60), other.Scores.narrow(2, 0, 60)) < 1e-6);
            Assert.True(Far(one.Scores.narrow(2, 60, 30), other.Scores.narrow(2, 60, 30)) > 1e-2);
            AttentionSupport a = SeaMask.FromCells(one, 6), b = SeaMask.FromCells(other, 6);
            for (int h = 0; h < 4; h++)
            {
                for (int i = 0; i < 60; i++) Assert.True(a.Heads[h].Row(i).SequenceEqual(b.Heads[h].Row(i)));
            }

            SeaAttention method = new([estimator], 6);
            AttentionCall call = new(0, 0.25, Causal: true);
            Assert.True(Far(method.Attend(call, q, k, v)!.narrow(2, 0, 60), method.Attend(call, q2, k2, v2)!.narrow(2, 0, 60)) < 1e-6);
        }
    }

    [Fact]
    public void The_quarter_width_convolution_is_that_of_the_paper()
    {
        // Up-sampling before the last convolution, as written, by hand.
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using SeaEstimator e = new(3, 8, new() { Cells = 24 }, seed: 2);
        Tensor t = Drawn(8, 2, 3, 20, 16);
        Tensor P(string name) => e.get_parameter(name)!;
        Tensor image = nn.functional.linear(t, P("decode.weight"), P("decode.bias"));
        image = cat([.. Enumerable.Range(0, 3).SelectMany(h => new[] { image.select(1, h).narrow(2, 0, 6), image.select(1, h).narrow(2, 6, 6) }).Select(x => x.unsqueeze(1))], 1);
        image = nn.functional.layer_norm(image, [6], P("imageNorm.weight"), P("imageNorm.bias"));
        foreach (string name in new[] { "first", "second" })
            image = nn.functional.conv2d(nn.functional.pad(image, [2, 2, 4, 0]), P(name + ".weight"), P(name + ".bias"), dilation: [2, 2]).relu();
        image = nn.functional.interpolate(image, scale_factor: [1, 4], mode: InterpolationMode.Nearest);
        image = nn.functional.conv2d(image, P("merge.weight"), P("merge.bias"));
        Assert.True(Far(nn.functional.layer_norm(image, [24], P("cellNorm.weight"), P("cellNorm.bias")), e.Scores(t)) < 1e-5);
    }

    [Theory, InlineData(1, 1), InlineData(3, 1), InlineData(3, 2), InlineData(5, 3)]
    public void A_causal_convolution_sees_its_row_and_those_above(int kernel, int dilation)
    {
        using var scope = NewDisposeScope();
        using CausalConv2d layer = new(2, 3, kernel, dilation, seed: 4);
        Tensor x = Drawn(9, 1, 2, 14, 11).requires_grad_(), y = layer.call(x);
        Assert.Equal([1, 3, 14, 11], y.shape);
        y[0, 1, 9, 5].backward();
        using Tensor grad = x.grad!;
        double At(int time, int place) => grad[0, .., time, place].abs().sum().item<float>();
        for (int time = 0; time < 14; time++)
        {
            for (int place = 0; place < 11; place++)
            {
                (int up, int side) = (9 - time, Math.Abs(place - 5));
                bool seen = up >= 0 && up <= (kernel - 1) * dilation && up % dilation == 0 && side <= (kernel - 1) / 2 * dilation && side % dilation == 0;
                Assert.Equal(seen, At(time, place) > 0);
            }
        }

        Assert.Equal(6, layer.to(ScalarType.Float64).parameters().Sum(p => p.dtype == ScalarType.Float64 ? 3 : 0));
        Assert.Equal(ScalarType.Float64, layer.call(x.detach().to(ScalarType.Float64)).dtype);
    }

    [Fact]
    public void The_running_mean_is_the_mean_so_far()
    {
        using var scope = NewDisposeScope();
        Tensor v = Drawn(10, 2, 3, 17, 4), mean = RunningMean.Of(v);
        for (int i = 0; i < 17; i++) Assert.True(Far(mean.select(2, i), v.narrow(2, 0, i + 1).mean([2L])) < 1e-6);
        Assert.Throws<ArgumentException>(() => RunningMean.Of(ones(3)));
        Assert.Throws<ArgumentException>(() => RunningMean.Of(ones(3, 3, dtype: ScalarType.Int64)));
    }

    [Fact]
    public void The_loss_is_what_its_parts_say()
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Draw(12, 2, 4, 2, 40, 16);
        using SeaEstimator estimator = new(4, 16, new() { Cells = 16 });
        (Tensor loss, Tensor divergence, Tensor map, Tensor output) = SeaTraining.Loss(estimator, q, k, v, 5);
        using SeaEstimate e = estimator.Estimate(q, k, v);
        Tensor P = ExactAttention.Pattern(q, k), E = CellGrid.Stretch(e.Scores).softmax(-1), seen = Causal(40, 40);
        Tensor kl = P.mul(P.clamp_min(1e-30).log() - E.clamp_min(1e-30).log()).sum() / 320;
        Assert.Equal(kl.item<float>(), divergence.item<float>(), 4);
        Assert.Equal((P - E).square().masked_select(seen).mean().item<float>(), map.item<float>(), 5);
        SeaAttention method = new([estimator], 5);
        Tensor o = method.Attend(new(0, 0.25, Causal: true), q, k, v)!, exact = ExactAttention.Attend(q, k, v).Output;
        Assert.Equal((o - exact).square().mean().item<float>(), output.item<float>(), 5);
        Assert.Equal((0.1 * divergence.item<float>()) + map.item<float>() + output.item<float>(), loss.item<float>(), 5);

        // The estimate learns from the maps, scale and mix from the outputs alone.
        output.backward(retain_graph: true);
        using Tensor? untouched = estimator.get_parameter("merge.weight")!.grad;
        Assert.True(untouched is null || untouched.abs().sum().item<float>() == 0);
        using Tensor weigh = estimator.get_parameter("weigh.weight")!.grad!;
        Assert.True(weigh.abs().sum().item<float>() > 0);
        loss.backward();
        foreach ((string name, var parameter) in estimator.named_parameters())
        {
            using Tensor? gradient = parameter.grad;
            Assert.True(gradient is not null && gradient.abs().sum().item<float>() > 0, name);
        }
    }

    [Fact]
    public void Training_lowers_the_divergence_and_comes_out_the_same_twice()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = new(s_small, seed: 3);
        using (no_grad())
        {
            foreach (var parameter in model.parameters().Where(p => p.dim() == 2)) parameter.mul_(6);
        }

        List<ProgressReport> reports = [];
        using SeaTrained one = SeaTraining.Run(model, Text(), Short(40) with { LearningRate = 5e-3 }, new Now(reports.Add)), two = SeaTraining.Run(model, Text(), Short(40) with { LearningRate = 5e-3 });
        Assert.Equal(80, reports.Count);
        Assert.Equal(new(80, 80, reports[^1].Message), reports[^1]);
        for (int b = 0; b < 2; b++)
        {
            Assert.Equal(one.Curves[b], two.Curves[b]);
            Assert.True(one.Curves[b].TakeLast(8).Average(s => s.Divergence) < one.Curves[b].Take(8).Average(s => s.Divergence));
        }

        Tensor ids = randint(0, 50, [2, 40], dtype: ScalarType.Int64, generator: new Generator(2));
        using IDisposable off = no_grad();
        SeaAttention method = one.Attention();
        Assert.True(Far(model.Logits(ids, attention: method), model.Logits(ids, attention: two.Attention())) == 0);
        Assert.True(method.Density is > 0 and < 0.6);
        Assert.True(Far(model.Logits(ids, attention: one.Attention(40, scale: false, mix: false)), model.Logits(ids)) < 1e-3);
        using SeaTrained some = SeaTraining.Run(model, Text(), Short() with { Blocks = [1] });
        Assert.Null(some.Estimators[0]);
        Assert.Empty(some.Curves[0]);
        Assert.Equal(3, some.Curves[1].Count);
        Assert.Equal([2, 40, 50], model.Logits(ids, attention: some.Attention()).shape);
    }

    [Fact]
    public void Weights_and_features_survive_a_file()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        (Tensor q, Tensor k, Tensor v) = Draw(15, 1, 2, 2, 20, 8);
        using SeaEstimator one = new(2, 8, new() { Cells = 8 }, seed: 5), two = new(2, 8, new() { Cells = 8 }, seed: 6);
        one.Redraw(77);
        using SeaEstimate before = one.Estimate(q, k, v), different = two.Estimate(q, k, v);
        Assert.True(Far(before.Scores, different.Scores) > 1e-3);
        two.load_state_dict(one.state_dict());
        using SeaEstimate after = two.Estimate(q, k, v);
        Assert.True(Far(before.Scores, after.Scores) == 0);
        Assert.Equal(77, two.Features.Seed);
        Assert.Contains("Float32", before.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_cancelled_training_stops()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = new(s_small, seed: 3);
        using CancellationTokenSource source = new();
        Assert.ThrowsAny<OperationCanceledException>(() => SeaTraining.Run(model, Text(), Short(1000), new Now(r =>
        {
            if (r.Done == 2) source.Cancel();
        }), source.Token));
        Assert.ThrowsAny<OperationCanceledException>(() => SeaTraining.Run(model, Text(), Short(), cancel: new(true)));
        Assert.True(model.training);
    }

    [Fact]
    public void A_head_that_wins_no_cell_reads_nothing_and_gives_zeros_also_in_rows_of_fewer_columns_than_cells()
    {
        using var scope = NewDisposeScope();

        // The second head is flat, so that the peaks of the first win the one cell of late rows; in early rows most of its softmax lies in cells without a column.
        Tensor scores = zeros(1, 2, 20, 8);
        scores.select(3, 7)[0, 0] = 9;
        AttentionSupport kept = SeaMask.FromCells(scores.softmax(-1), 1);
        for (int row = 0; row < 20; row++) Assert.True(kept.Heads[0].Row(row).Length + kept.Heads[1].Row(row).Length > 0);
        Assert.Contains(Enumerable.Range(0, 20), row => kept.Heads[1].Row(row).Length == 0);
        (Tensor q, Tensor k, Tensor v) = Draw(3, 1, 2, 2, 20, 8);
        Tensor output = SparseAttention.Attend(q, k, v, kept, emptyRows: true).Output;
        Assert.True(output.isfinite().all().item<bool>());
        for (int row = 0; row < 20; row++)
        {
            for (int h = 0; h < 2; h++) Assert.Equal(kept.Heads[h].Row(row).Length == 0, output[0, h, row].eq(0).all().item<bool>());
        }
    }

    [Fact]
    public void Another_device_is_refused_before_work()
    {
        using var scope = NewDisposeScope();
        Tensor x = zeros([1, 4, 20, 8], device: META);
        using SeaEstimator estimator = new(4, 8, new() { Cells = 8, MaxTokens = 20 });
        Assert.Contains("CPU", Assert.Throws<ArgumentException>("q", () => new SeaAttention([estimator]).Attend(new(0, 1, Causal: true), x, x, x)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("q", () => SeaTraining.Block(estimator, x, x, x, Short()));
        Assert.Throws<ArgumentException>("q", () => SeaTraining.Loss(estimator, x, x, x));
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Draw(16, 1, 4, 2, 20, 8);
        using SeaEstimator estimator = new(4, 8, new() { Cells = 8, MaxTokens = 20 });
        Assert.Contains("multiple of 4", Assert.Throws<ArgumentException>(() => new SeaEstimator(4, 8, new() { Cells = 10 })).Message, StringComparison.Ordinal);
        (Tensor lq, Tensor lk, Tensor lv) = Draw(17, 1, 4, 2, 21, 8);
        Assert.Contains("21 tokens", Assert.Throws<ArgumentException>(() => estimator.Estimate(lq, lk, lv)).Message, StringComparison.Ordinal);
        (Tensor hq, Tensor hk, Tensor hv) = Draw(17, 1, 2, 2, 20, 8);
        Assert.Contains("4 heads", Assert.Throws<ArgumentException>(() => estimator.Estimate(hq, hk, hv)).Message, StringComparison.Ordinal);
        Tensor bad = q.clone();
        bad[0, 0, 3, 2] = float.NaN;
        Assert.Throws<ArgumentException>(() => estimator.Estimate(bad, k, v));
        using SeaEstimate e = estimator.Estimate(q, k, v);
        Assert.Throws<ArgumentOutOfRangeException>(() => SeaMask.FromCells(e, 0));
        Assert.Contains("sum 1", Assert.Throws<ArgumentException>(() => SeaMask.FromCells(ones(1, 2, 5, 4), 3)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => SeaMask.FromCells(full([1, 2, 5, 4], float.NaN), 3));
        Assert.Throws<ArgumentException>(() => SeaMask.Choose(ones(2, 5, 4), 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => SeaMask.Budget(0, 4, 0, 3));
        Assert.Throws<ArgumentException>(() => new SeaEstimate(ones(1, 2, 3, 4), ones(1, 2, 3), ones(1, 2)));
        Assert.Throws<ArgumentException>(() => SeaAttention.Mixed(ones(1, 4, 19, 8), v, e));
        SeaAttention method = new([estimator, null]);
        Assert.Null(method.Attend(new(1, 1, Causal: true), q, k, v));
        Assert.Throws<ArgumentException>(() => method.Attend(new(0, 1, Causal: false), q, k, v));
        Assert.Throws<ArgumentException>(() => method.Attend(new(2, 1, Causal: true), q, k, v));
        Assert.Throws<ArgumentException>(() => method.Attend(new(0, 1, Causal: true), q.narrow(2, 19, 1), k, v));
        Assert.Throws<ArgumentException>(() => new SeaAttention([]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SeaAttention([estimator], 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new CausalConv2d(1, 1, kernel: 2));
        Assert.Throws<ArgumentException>(() => CellGrid.Stretch(ones(3)));
        using TinyLM model = new(s_small, seed: 3);
        foreach (SeaTrainingOptions options in new[] { Short() with { Length = 65 }, Short() with { Columns = 0 }, Short() with { Blocks = [2] }, Short() with { LearningRate = double.NaN }, Short() with { Blocks = [] } })
            Assert.ThrowsAny<ArgumentException>(() => SeaTraining.Run(model, Text(), options));
        Assert.ThrowsAny<ArgumentException>(() => SeaTraining.Run(model, Text(20), Short()));
    }

    private sealed class Now(Action<ProgressReport> report) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => report(value);
    }
}
