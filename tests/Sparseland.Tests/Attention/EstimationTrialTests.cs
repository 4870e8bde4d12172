using Sparseland.Attention;
using Sparseland.Attention.Estimation;
using Sparseland.Attention.Features;
using Sparseland.Attention.Hashing;
using Sparseland.Selection;
using TorchSharp;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

/// <summary>Attacks on estimated attention (SEA, Scatterbrain, features, hashes): loops in double precision, scales where exponentials leave it, views, ties, one token, wrong calls.</summary>
public sealed class EstimationTrialTests
{
    private static double[] Numbers(Tensor x) => [.. x.detach().to(ScalarType.Float64).contiguous().data<double>()];

    private static AttentionSupport Drawn(int seed, int heads, int rows, int keys, bool causal, double share = 0.3)
    {
        Tensor mask = rand([heads, rows, keys], generator: new Generator((ulong)seed)).lt(share);
        if (causal) mask = mask.tril();
        return new([.. Enumerable.Range(0, heads).Select(h => Support.FromMask(mask[h]))], causal);
    }

    /// <summary>Logarithms of phi(q) . phi(k) by the formula of hyperbolic features, and scale q . k, of one head.</summary>
    private static (double[,] Estimate, double[,] Score) Logs(Tensor q, Tensor k, HyperbolicFeatures features, double scale)
    {
        double[] W = Numbers(features.Directions()), a = Numbers(q * Math.Sqrt(scale)), b = Numbers(k * Math.Sqrt(scale));
        (int d, int rows, int n, int m) = (features.HeadDim, features.Rows, (int)q.shape[0], (int)k.shape[0]);
        double Dot(double[] x, int i, double[] y, int j) => Enumerable.Range(0, d).Sum(c => x[(i * d) + c] * y[(j * d) + c]);
        var (estimate, score) = (new double[n, m], new double[n, m]);
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < m; j++)
            {
                double half = (Dot(a, i, a, i) + Dot(b, j, b, j)) / 2;
                double[] logs = [.. Enumerable.Range(0, rows).SelectMany(r => new[] { Dot(W, r, a, i) + Dot(W, r, b, j), -Dot(W, r, a, i) - Dot(W, r, b, j) })];
                double most = logs.Max();
                (estimate[i, j], score[i, j]) = (most - half + Math.Log(logs.Sum(l => Math.Exp(l - most)) / (2 * rows)), Dot(a, i, b, j));
            }
        }

        return (estimate, score);
    }

    [Theory]
    [InlineData(true, 1.0, 0.5), InlineData(false, 1.0, null), InlineData(true, 6.0, null), InlineData(false, 15.0, 1.0), InlineData(true, 1e-6, null)]
    public void Scatterbrain_is_its_formula_in_loops(bool causal, double size, double? scale)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Draw(1, 1, 4, 2, 9, 6, valueDim: 3, type: ScalarType.Float64, size: size);
        HyperbolicFeatures features = new(6, 10, seed: 3);
        AttentionSupport support = Drawn(2, 4, 9, 9, causal);
        using ScatterbrainResult found = Scatterbrain.Attend(q, k, v, features, support, causal, scale);
        double[] outputs = Numbers(found.Output), sums = Numbers(found.LogSum), values = Numbers(v);
        for (int h = 0; h < 4; h++)
        {
            (double[,] estimate, double[,] score) = Logs(q[0, h], k[0, h / 2], features, scale ?? 1 / Math.Sqrt(6));
            Tensor mask = support.Heads[h].ToMask();
            for (int i = 0; i < 9; i++)
            {
                int last = causal ? i : 8;
                double[] logs = [.. Enumerable.Range(0, last + 1).Select(j => mask[i, j].item<bool>() ? score[i, j] : estimate[i, j])];
                double most = logs.Max(), all = logs.Sum(l => Math.Exp(l - most)), top = Math.Max(most, Enumerable.Range(0, last + 1).Max(j => estimate[i, j]));

                // Where the estimate of the exact part is far above its value, digits of the difference are lost.
                double lost = 1e-13 * Math.Exp(top - most - Math.Log(all));
                if (lost > 1e-7) continue;
                Assert.InRange(sums[(h * 9) + i] - (most + Math.Log(all)), -1e-9 - (100 * lost), 1e-9 + (100 * lost));
                for (int c = 0; c < 3; c++)
                {
                    double expected = Enumerable.Range(0, last + 1).Sum(j => Math.Exp(logs[j] - most) * values[((((h / 2) * 9) + j) * 3) + c]) / all;
                    Assert.InRange(outputs[(((h * 9) + i) * 3) + c] - expected, (-1e-9 - (1000 * lost)) * size, (1e-9 + (1000 * lost)) * size);
                }
            }
        }
    }

    [Fact]
    public void Scatterbrain_takes_views_one_token_large_values_and_empty_rows()
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Draw(3, 2, 2, 1, 12, 4);
        HyperbolicFeatures features = new(4, 2);
        AttentionSupport support = Drawn(4, 2, 12, 12, true, 0.2);
        Tensor Turned(Tensor x) => x.transpose(1, 2).contiguous().transpose(1, 2);
        using ScatterbrainResult plain = Scatterbrain.Attend(q, k, v, features, support), views = Scatterbrain.Attend(Turned(q), Turned(k), Turned(v), features, support), large = Scatterbrain.Attend(q, k, v * 1e20, features, support);
        Assert.InRange(Far(plain.Output, views.Output), 0, 1e-5);
        Assert.InRange(Far(plain.Output, large.Output / 1e20), 0, 1e-4);
        using ScatterbrainResult one = Scatterbrain.Attend(q.narrow(2, 0, 1), k.narrow(2, 0, 1), v.narrow(2, 0, 1), features, AttentionSupport.Full(1, 1));
        Assert.InRange(Far(one.Output, v.narrow(2, 0, 1).expand(2, 2, 1, 4)), 0, 1e-6);
        one.Dispose();
        one.Dispose();
        Assert.ThrowsAny<OperationCanceledException>(() => Scatterbrain.Attend(q, k, v, features, support, cancel: new(true)));
        foreach (double bad in new[] { double.NaN, double.PositiveInfinity })
        {
            Tensor hurt = k.clone();
            hurt[0, 0, 3, 1] = bad;
            Assert.Throws<ArgumentException>("k", () => Scatterbrain.Attend(q, hurt, v, features, support));
            Assert.ThrowsAny<ArgumentException>(() => Scatterbrain.Attend(q, k, v, features, support, scale: bad));
        }

        Assert.ThrowsAny<ArgumentException>(() => Scatterbrain.Attend(q, k, v, features, support, scale: 0));
        Assert.Throws<ArgumentNullException>("features", () => Scatterbrain.Attend(q, k, v, null!, support));
        Assert.Throws<ArgumentNullException>("support", () => Scatterbrain.Attend(q, k, v, features, null!));
    }

    [Theory]
    [InlineData(ScalarType.Float32, 4.0), InlineData(ScalarType.Float32, 9.0), InlineData(ScalarType.Float64, 9.0)]
    public void The_dense_estimate_is_that_of_loops_or_refused_and_never_nan(ScalarType type, double size)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Draw(5, 1, 1, 1, 20, 8, type: type, size: size);
        HyperbolicFeatures features = new(8, 16);
        (double[,] estimate, _) = Logs(q[0, 0].to(ScalarType.Float64), k[0, 0].to(ScalarType.Float64), features, 1 / Math.Sqrt(8));
        double largest = estimate.Cast<double>().Max();
        if (largest > (type == ScalarType.Float32 ? 88 : 709))
        {
            Assert.ThrowsAny<ArgumentException>(() => FeatureEstimate.Matrix(q, k, features));
            return;
        }

        double[] found = Numbers(FeatureEstimate.Matrix(q, k, features));
        for (int i = 0; i < 400; i++)
        {
            double expected = Math.Exp(estimate[i / 20, i % 20]);
            Assert.InRange(found[i], (expected * 0.998) - (1e-6 * Math.Exp(largest)), (expected * 1.002) + (1e-6 * Math.Exp(largest)));
        }
    }

    [Fact]
    public void A_matrix_that_single_precision_cannot_hold_is_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor q = full([1, 1, 3, 4], 10f), k = full([1, 1, 3, 4], 10f);
        ArgumentException refused = Assert.ThrowsAny<ArgumentException>(() => Scatterbrain.Matrix(q, k, new HyperbolicFeatures(4, 4), AttentionSupport.Full(1, 3), scale: 1));
        Assert.Contains("Float32", refused.Message, StringComparison.Ordinal);
        Assert.True(Scatterbrain.Matrix(q.to(ScalarType.Float64), k.to(ScalarType.Float64), new HyperbolicFeatures(4, 4), AttentionSupport.Full(1, 3), scale: 1).isfinite().all().item<bool>());
    }

    [Theory]
    [InlineData(1e38f), InlineData(1e-40f), InlineData(3f)]
    public void Hashes_of_directions_do_not_know_lengths(float scale)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor x = randn([200, 16], generator: new Generator(6)), unit = x / x.norm(1).unsqueeze(1), scaled = unit * scale;
        CrossPolytopeHash buckets = new(16, 32, 2);
        AngularHash codes = new(16, 20, 2);

        // What single precision makes of the vector itself is no matter of the hash: of numbers near 1e-40 few digits are left.
        Tensor seen = scaled.to(ScalarType.Float64) / scale;
        Assert.Equal(buckets.Buckets(seen).data<long>().ToArray(), buckets.Buckets(scaled).data<long>().ToArray());
        Assert.Equal(codes.Codes(seen).data<long>().ToArray(), codes.Codes(scaled).data<long>().ToArray());
    }

    [Fact]
    public void Hashes_of_what_is_no_number_are_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        foreach (float bad in new[] { float.NaN, float.PositiveInfinity })
        {
            Tensor x = ones(3, 4);
            x[1, 2] = bad;
            Assert.Throws<ArgumentException>("x", () => new CrossPolytopeHash(4, 8).Buckets(x));
            Assert.Throws<ArgumentException>("x", () => new AngularHash(4, 8).Codes(x));
        }
    }

    [Fact]
    public void Supports_of_hashes_turn_with_the_keys_and_know_no_other_sequence()
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor _) = Draw(7, 2, 4, 2, 24, 5);
        Tensor order = randperm(24, generator: new Generator(1));
        Tensor Turned(Tensor x) => x.transpose(1, 2).contiguous().transpose(1, 2);
        foreach (Func<Tensor, Tensor, AttentionSupport> hash in new Func<Tensor, Tensor, AttentionSupport>[]
        {
            (a, b) => HashedSupport.NormCompletedSort(a, b, 5, causal: false), (a, b) => HashedSupport.CrossPolytope(a, b, 6, causal: false), (a, b) => HashedSupport.Angular(a, b, 3, causal: false),
        })
        {
            AttentionSupport plain = hash(q, k), moved = hash(q, k.index_select(2, order)), alone = hash(q.narrow(0, 1, 1), k.narrow(0, 1, 1)), views = hash(Turned(q), Turned(k));
            for (int h = 0; h < 8; h++)
            {
                Assert.Equal(0, Far(plain.Heads[h].ToMask().index_select(1, order).to(ScalarType.Float32), moved.Heads[h].ToMask().to(ScalarType.Float32)));
                Assert.Equal(plain.Heads[h], views.Heads[h]);
                if (h >= 4) Assert.Equal(plain.Heads[h], alone.Heads[h - 4]);
            }
        }

        Assert.Equal(24 * 24, HashedSupport.NormCompletedSort(q, k, 24, 1, causal: false).Heads[0].Count);
        Assert.Equal(24, HashedSupport.NormCompletedSort(q, k, 1, 1, causal: false).Heads[0].Count);
        foreach (int chunk in new[] { 0, -1, 25 }) Assert.ThrowsAny<ArgumentException>(() => HashedSupport.NormCompletedSort(q, k, chunk));
        Assert.ThrowsAny<ArgumentException>(() => HashedSupport.Angular(q, k, 63));
        Assert.ThrowsAny<ArgumentException>(() => HashedSupport.CrossPolytope(q, k, 7));
        Assert.ThrowsAny<ArgumentException>(() => HashedSupport.CrossPolytope(q, k, 8, rounds: 0));
        Assert.ThrowsAny<OperationCanceledException>(() => HashedSupport.Angular(q, k, 3, cancel: new(true)));
        Assert.Throws<ArgumentNullException>(() => HashedSupport.Angular(null!, k, 3));
    }

    [Fact]
    public void Equal_vectors_meet_in_chunks_in_their_order_and_zeros_are_vectors()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor q = zeros(1, 1, 8, 3), k = zeros(1, 1, 8, 3);
        Assert.Equal(64, HashedSupport.Angular(q, k, 4, causal: false).Selected);
        Assert.Equal(64, HashedSupport.CrossPolytope(q, k, 4, causal: false).Selected);
        AttentionSupport chunks = HashedSupport.NormCompletedSort(q, k, 2, causal: false);
        for (int i = 0; i < 8; i++) Assert.Equal([i / 2 * 2, (i / 2 * 2) + 1], chunks.Heads[0].Row(i).ToArray());
    }

    [Theory]
    [InlineData(1e38f), InlineData(1e-38f), InlineData(1f)]
    public void The_running_mean_of_the_largest_numbers_is_one_of_them(float scale)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor v = rand([1, 2, 3, 50], generator: new Generator(8)).transpose(2, 3) * scale, mean = RunningMean.Of(v);
        double[] values = Numbers(v), found = Numbers(mean);
        for (int h = 0; h < 2; h++)
        {
            for (int c = 0; c < 3; c++)
            {
                double sum = 0;
                for (int i = 0; i < 50; i++)
                {
                    sum += values[(((h * 50) + i) * 3) + c];
                    Assert.InRange(found[(((h * 50) + i) * 3) + c], sum / (i + 1) * 0.999999, sum / (i + 1) * 1.000001);
                }
            }
        }
    }

    [Theory]
    [InlineData(1, 1), InlineData(7, 3), InlineData(64, 4), InlineData(3, 100)]
    public void Budgets_and_edges_are_those_of_exact_fractions(int cells, int columns)
    {
        for (int row = 0; row < 300; row += 7)
        {
            decimal even = Math.Round((decimal)(4 * columns * cells) / (row + 1), MidpointRounding.ToEven);
            Assert.Equal((int)Math.Clamp(even, 1, 4 * cells), SeaMask.Budget(row, 4, cells, columns));
            Assert.Equal([.. Enumerable.Range(0, cells + 1).Select(b => (int)Math.Round((decimal)b * (row + 1) / cells, MidpointRounding.ToEven))], CellGrid.Edges(row, cells));
        }

        Assert.Equal(int.MaxValue, CellGrid.Edges(int.MaxValue - 1, cells)[^1]);
        Assert.Equal(4 * cells, SeaMask.Budget(0, 4, cells, int.MaxValue));
    }

    [Theory]
    [InlineData(1), InlineData(3), InlineData(64)]
    public void Equal_estimates_keep_as_many_cells_as_are_said_and_none_that_is_empty(int columns)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor p = full([2, 3, 30, 8], 0.125f), chosen = SeaMask.Choose(p, columns);
        Tensor empty = CellGrid.Empty(30, 8);
        Assert.False(chosen.logical_and(empty).any().item<bool>());
        for (int row = 0; row < 30; row++) Assert.Equal(SeaMask.Kept(row, 3, 8, columns), chosen[1].narrow(1, row, 1).sum().item<long>());
        AttentionSupport support = SeaMask.FromCells(p, columns);
        Tensor stretched = CellGrid.Stretch(chosen.to(ScalarType.Float32), 0);
        Assert.Equal(0, Far(support.Mask().view(2, 3, 30, 30).to(ScalarType.Float32), stretched));
        Assert.Equal(0, Far(chosen.to(ScalarType.Float32), SeaMask.Choose(p.to(ScalarType.Float64), columns).to(ScalarType.Float32)));
        Assert.ThrowsAny<ArgumentException>(() => SeaMask.Choose(p * 2, columns));
        Assert.ThrowsAny<ArgumentException>(() => SeaMask.Choose(p * float.NaN, columns));
        Assert.ThrowsAny<ArgumentException>(() => SeaMask.Choose(p, 0));
        Assert.ThrowsAny<ArgumentException>(() => SeaMask.Choose(p[0], columns));
        Assert.Throws<ArgumentNullException>(() => SeaMask.FromCells((Tensor)null!, columns));
    }

    [Fact]
    public void Mass_of_cells_is_a_sum_whatever_stands_above_the_diagonal()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor p = rand([2, 11, 11], dtype: ScalarType.Float64, generator: new Generator(9)), dirty = p.clone().masked_fill(Causal(11, 11).logical_not(), double.NaN).transpose(0, 1).contiguous().transpose(0, 1);
        double[] found = Numbers(CellGrid.Mass(dirty, 4)), values = Numbers(p);
        for (int b = 0; b < 2; b++)
        {
            for (int i = 0; i < 11; i++)
            {
                int[] edges = CellGrid.Edges(i, 4);
                for (int c = 0; c < 4; c++) Assert.Equal(Enumerable.Range(edges[c], edges[c + 1] - edges[c]).Sum(j => values[(((b * 11) + i) * 11) + j]), found[(((b * 11) + i) * 4) + c], 12);
            }
        }

        Assert.ThrowsAny<ArgumentException>(() => CellGrid.Mass(p, 0));
        Assert.ThrowsAny<ArgumentException>(() => CellGrid.Mass(p.narrow(2, 0, 10), 4));
    }

    [Fact]
    public void An_estimator_takes_double_precision_one_token_and_any_batch_and_names_what_does_not_fit()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using SeaEstimator estimator = new(4, 6, new() { Cells = 8, MaxTokens = 20 }, seed: 4);
        SeaAttention method = new([estimator, null], 3);
        (Tensor q, Tensor k, Tensor v) = Draw(10, 3, 4, 2, 20, 6);
        Tensor all = method.Attend(new(0, 0.4, Causal: true), q, k, v)!;
        Assert.InRange(Far(all.narrow(0, 2, 1), method.Attend(new(0, 0.4, Causal: true), q.narrow(0, 2, 1), k.narrow(0, 2, 1), v.narrow(0, 2, 1))!), 0, 1e-5);
        Tensor wide = method.Attend(new(0, 0.4, Causal: true), q.to(ScalarType.Float64), k.to(ScalarType.Float64), v.to(ScalarType.Float64))!;
        Assert.Equal(ScalarType.Float64, wide.dtype);
        Assert.InRange(Far(all, wide), 0, 1e-4);
        Tensor first = method.Attend(new(0, 0.4, Causal: true), q.narrow(2, 0, 1), k.narrow(2, 0, 1), v.narrow(2, 0, 1))!;
        Assert.InRange(Far(all.narrow(2, 0, 1), first), 0, 1e-5);
        Tensor large = method.Attend(new(0, 0.4, Causal: true), q, k, v * 1e15)!;
        Assert.True(large.isfinite().all().item<bool>());
        Assert.Null(method.Attend(new(1, 0.4, Causal: true), q, k, v));
        Assert.ThrowsAny<ArgumentException>(() => method.Attend(new(2, 0.4, Causal: true), q, k, v));
        Assert.ThrowsAny<ArgumentException>(() => method.Attend(new(-1, 0.4, Causal: true), q, k, v));
        Assert.ThrowsAny<ArgumentException>(() => method.Attend(new(0, 0.4, Causal: false), q, k, v));
        Assert.ThrowsAny<ArgumentException>(() => method.Attend(new(0, 0.4, Causal: true, Stands: ones([3, 20], dtype: ScalarType.Bool)), q, k, v));
        Assert.Throws<ArgumentException>("k", () => method.Attend(new(0, 0.4, Causal: true), q, k * float.NaN, v));
        (Tensor lq, Tensor lk, Tensor lv) = Draw(11, 1, 4, 2, 21, 6);
        ArgumentException tooLong = Assert.ThrowsAny<ArgumentException>(() => method.Attend(new(0, 0.4, Causal: true), lq, lk, lv));
        Assert.Contains("21", tooLong.Message, StringComparison.Ordinal);
        Assert.ThrowsAny<ArgumentException>(() => estimator.Estimate(q.narrow(1, 0, 2), k, v));
    }

    [Fact]
    public void Training_of_a_block_reports_stops_and_takes_few_windows_and_short_ones()
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Draw(12, 2, 2, 1, 9, 4);
        SeaTrainingOptions options = new() { Columns = 2, Steps = 4, Batch = 5, RedrawEvery = 2 };
        var reports = new List<Sparseland.ProgressReport>();
        SeaStep[] Run(Tensor a, Tensor b, Tensor c)
        {
            using SeaEstimator estimator = new(2, 4, new() { Cells = 4, Features = 3 }, seed: 1);
            return [.. SeaTraining.Block(estimator, a, b, c, options, progress: new Now(reports.Add))];
        }

        SeaStep[] one = Run(q, k, v), wide = Run(q.to(ScalarType.Float64), k.to(ScalarType.Float64), v.to(ScalarType.Float64));
        Assert.Equal(one, Run(q, k, v));
        Assert.Equal([1L, 2, 3, 4], reports.Take(4).Select(r => r.Done));
        Assert.All(one.Zip(wide), p => Assert.InRange(Math.Abs(p.First.Loss - p.Second.Loss), 0, 1e-4));
        Assert.All(Run(q.narrow(2, 0, 1), k.narrow(2, 0, 1), v.narrow(2, 0, 1)), s => Assert.InRange(Math.Abs(s.Divergence), 0, 1e-6));
        using SeaEstimator other = new(2, 4, new() { Cells = 4, Features = 3 });
        Assert.ThrowsAny<OperationCanceledException>(() => SeaTraining.Block(other, q, k, v, options, cancel: new(true)));
        Assert.ThrowsAny<ArgumentException>(() => SeaTraining.Block(other, q, k, v * float.NaN, options));
        Assert.ThrowsAny<ArgumentException>(() => SeaTraining.Block(other, q.narrow(1, 0, 1), k, v, options));
        Assert.ThrowsAny<ArgumentException>(() => SeaTraining.Block(other, q, k, v, options with { LearningRate = double.NaN }));
        Assert.ThrowsAny<ArgumentException>(() => SeaTraining.Block(other, q, k, v, options with { Estimator = null! }));
    }

    [Fact]
    public void Heavy_tokens_keep_the_loss_finite_with_its_gradients()
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Draw(13, 1, 2, 1, 12, 4, size: 40);
        using SeaEstimator estimator = new(2, 4, new() { Cells = 8, Features = 3 });
        (Tensor loss, _, _, _) = SeaTraining.Loss(estimator, q, k, v / 40, 2);
        loss.backward();
        Assert.True(double.IsFinite(loss.item<float>()));
        foreach (var p in estimator.parameters()) Assert.True(p.grad is null || p.grad.isfinite().all().item<bool>());
    }

    private sealed class Now(Action<Sparseland.ProgressReport> report) : IProgress<Sparseland.ProgressReport>
    {
        public void Report(Sparseland.ProgressReport value) => report(value);
    }
}
