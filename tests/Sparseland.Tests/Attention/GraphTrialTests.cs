using Sparseland.Attention.Graphs;
using Sparseland.Models.Language;
using Sparseland.Selection;
using TorchSharp;
using TorchSharp.Modules;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

/// <summary>Attacks on attention as a graph: variances of far numbers, graphs without an edge, texts longer than the context, thresholds of another type.</summary>
public sealed class GraphTrialTests
{
    private static readonly LlamaConfig s_tiny = new() { Vocabulary = 50, Width = 24, MlpWidth = 32, Layers = 3, Heads = 4, KeyValueHeads = 2, HeadWidth = 6, Context = 64 };

    private static Tensor Drawn(int seed, params long[] shape) => randn(shape, dtype: ScalarType.Float64, generator: new Generator((ulong)seed));

    private static Tensor Weights(int seed, long batch, long heads, long tokens) => Drawn(seed, batch, heads, tokens, tokens).mul(2).masked_fill(Causal(tokens, tokens).logical_not(), double.NegativeInfinity).softmax(-1);

    private static double[] Numbers(Tensor x) => [.. x.detach().to(ScalarType.Float64).contiguous().data<double>()];

    [Theory]
    [InlineData(ScalarType.Float32, 1e3, 1e-3), InlineData(ScalarType.Float32, 1e4, 1e-3), InlineData(ScalarType.Float64, 1e6, 1e-6), InlineData(ScalarType.Float32, 0, 1e-5)]
    public void The_variance_of_numbers_far_from_zero_is_that_of_two_passes(ScalarType type, double offset, double tolerance)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor v = (Drawn(1, 1, 2, 12, 3) + offset).to(type), a = Weights(2, 1, 2, 12).masked_fill(Drawn(3, 1, 2, 12, 12).lt(-0.7), 0).to(type);
        double[] found = Numbers(GraphStep.Pna(v, a, new() { Aggregators = PnaAggregators.Variance })), values = Numbers(v), cells = Numbers(a);
        for (int h = 0; h < 2; h++)
        {
            for (int i = 0; i < 12; i++)
            {
                double degree = Enumerable.Range(0, 12).Sum(j => cells[(((h * 12) + i) * 12) + j]);
                for (int c = 0; c < 3; c++)
                {
                    double Over(Func<double, double> f) => degree == 0 ? 0 : Enumerable.Range(0, 12).Sum(j => cells[(((h * 12) + i) * 12) + j] * f(values[(((h * 12) + j) * 3) + c])) / degree;
                    double mean = Over(x => x), two = Over(x => (x - mean) * (x - mean));
                    Assert.InRange(found[(((h * 12) + i) * 3) + c], two - (tolerance * (two + 1e-2)), two + (tolerance * (two + 1e-2)));
                }
            }
        }
    }

    [Fact]
    public void The_variance_of_equal_numbers_is_zero_and_its_gradient_finite()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor v = full([1, 6, 2], 0.1).requires_grad_(), a = Weights(4, 1, 1, 6)[0].to(ScalarType.Float32).requires_grad_();
        Tensor variance = GraphStep.Pna(v, a, new() { Aggregators = PnaAggregators.Variance });
        Assert.InRange(variance.abs().max().item<float>(), 0, 1e-12f);
        Assert.Equal(ScalarType.Float32, variance.dtype);
        variance.sum().backward();
        Assert.True(v.grad!.isfinite().all().item<bool>() && a.grad!.isfinite().all().item<bool>());
    }

    [Theory]
    [InlineData(1e18), InlineData(1e-18)]
    public void Statistics_scale_with_the_values(double scale)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor v = Drawn(5, 1, 9, 4), a = Weights(6, 1, 1, 9)[0].to(ScalarType.Float32);
        PnaOptions all = new() { Aggregators = PnaAggregators.Sum | PnaAggregators.Mean | PnaAggregators.Max | PnaAggregators.LargestNorm | PnaAggregators.SmallestNorm };
        Tensor plain = GraphStep.Pna(v.to(ScalarType.Float32), a, all), scaled = GraphStep.Pna((v * scale).to(ScalarType.Float32), a, all);
        Assert.InRange(Far(scaled / scale, plain), 0, 1e-5);
    }

    [Theory]
    [InlineData(true), InlineData(false)]
    public void A_text_longer_than_the_context_is_refused_by_name(bool gin)
    {
        using DisposeScope scope = NewDisposeScope();
        using GraphAttention layer = gin ? new GinAttention(8, 2, context: 6) : new PnaAttention(8, 2, context: 6);
        layer.eval();
        Assert.Equal([1L, 6, 8], layer.call(zeros(1, 6, 8)).shape);
        foreach (Action act in new Action[] { () => layer.call(zeros(1, 7, 8)), () => layer.Adjacency(zeros(1, 7, 8)) })
        {
            ArgumentException refused = Assert.ThrowsAny<ArgumentException>(act);
            Assert.Contains("7", refused.Message, StringComparison.Ordinal);
            Assert.Contains("6", refused.Message, StringComparison.Ordinal);
        }

        Assert.ThrowsAny<ArgumentException>(() => layer.call(zeros(1, 5, 7)));
        Assert.ThrowsAny<ArgumentException>(() => layer.call(zeros(1, 0, 8)));
        Assert.Throws<ArgumentNullException>(() => layer.call(null!));
        Assert.ThrowsAny<ArgumentException>(() => layer.call(zeros([1, 5, 8], dtype: ScalarType.Float64)));
    }

    [Theory]
    [InlineData(CutKind.Relu), InlineData(CutKind.Softplus), InlineData(CutKind.Binary), InlineData(CutKind.Sigmoid)]
    public void A_threshold_is_one_number_and_changes_no_type(CutKind kind)
    {
        using DisposeScope scope = NewDisposeScope();
        AdjacencyCut cut = new(kind) { Threshold = 0.3 };
        Tensor a = Weights(7, 1, 2, 5).to(ScalarType.Float32), expected = cut.Apply(a);
        Tensor found = cut.Apply(a, tensor(new[] { 0.3 }, dtype: ScalarType.Float64));
        Assert.Equal(ScalarType.Float32, found.dtype);
        Assert.InRange(Far(expected, found), 0, 1e-6);
        Assert.ThrowsAny<ArgumentException>(() => cut.Apply(a, tensor(new[] { 0.1f, 0.2f, 0.3f, 0.4f, 0.5f })));
    }

    [Theory]
    [InlineData(1), InlineData(3), InlineData(7)]
    public void The_largest_cells_are_as_many_as_a_row_has_also_among_equals(int keys)
    {
        using DisposeScope scope = NewDisposeScope();
        foreach (Tensor a in new[] { ones(1, 7, 7).tril(), zeros(1, 7, 7), Weights(8, 1, 1, 7)[0] })
        {
            Tensor cut = new AdjacencyCut(CutKind.TopK) { Keys = keys }.Apply(a);
            Assert.Equal(a.dtype, cut.dtype);
            Assert.Equal([.. Enumerable.Range(1, 7).Select(i => (double)Math.Min(i, keys))], Numbers(cut.sum(-1)));
            Assert.Equal(0, Far(cut, cut.tril()));
        }

        Assert.ThrowsAny<ArgumentException>(() => new AdjacencyCut(CutKind.TopK) { Keys = 8 }.Apply(ones(7, 7)));
        Assert.ThrowsAny<ArgumentException>(() => new AdjacencyCut(CutKind.TopK) { Keys = 0 }.Apply(ones(7, 7)));
        Assert.ThrowsAny<ArgumentException>(() => new AdjacencyCut(CutKind.Relu) { Threshold = double.NaN }.Apply(ones(7, 7)));
        Assert.ThrowsAny<ArgumentException>(() => AdjacencyCut.None.Apply(ones(7, 6)));
    }

    [Fact]
    public void A_graph_without_an_edge_is_a_graph()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor pattern = Weights(9, 2, 1, 30), x = Drawn(10, 2, 30, 4).requires_grad_();
        using AttentionGraph none = AttentionGraph.FromHeads(pattern, new() { Threshold = 1, Epsilon = 0.9 });
        Assert.Equal(0, none.Edges);
        Tensor sum = none.Propagate(x);
        Assert.Equal([2L, 30, 4], sum.shape);
        Assert.Equal(0, sum.abs().max().item<double>());
        sum.sum().backward();
        using AttentionGraph shuffled = none.Shuffled(3);
        Assert.Equal(0, shuffled.Edges);
        Assert.Equal(new long[60], none.Degrees());
        Assert.Equal(new GraphStatistics(0, 0, 0, 0, 0, 1), none.Measure());
        Assert.Equal(0, none.Mass(pattern));
        Assert.Equal(0, none.Support().Selected);
    }

    [Theory]
    [InlineData(HeadReduction.Sum, EdgeDirection.KeyToQuery), InlineData(HeadReduction.Mean, EdgeDirection.KeyToQuery), InlineData(HeadReduction.Max, EdgeDirection.SelfLoopsOnly)]
    public void Edges_messages_and_mass_are_those_of_loops_also_of_views(HeadReduction reduction, EdgeDirection direction)
    {
        using DisposeScope scope = NewDisposeScope();
        AttentionGraphOptions options = new() { Reduction = reduction, Direction = direction };
        Tensor pattern = Weights(11, 3, 2, 14).transpose(0, 1).contiguous().transpose(0, 1), x = Drawn(12, 3, 5, 14).transpose(1, 2);
        using AttentionGraph graph = AttentionGraph.FromHeads(pattern, options);
        double[] p = Numbers(pattern), features = Numbers(x), found = Numbers(graph.Propagate(x));
        long edges = 0;
        double mass = 0;
        for (int b = 0; b < 3; b++)
        {
            for (int i = 0; i < 14; i++)
            {
                double[] message = new double[5];
                for (int j = 0; j <= i; j++)
                {
                    double one = p[(((((b * 2) + 0) * 14) + i) * 14) + j], two = p[(((((b * 2) + 1) * 14) + i) * 14) + j];
                    double joined = reduction switch { HeadReduction.Sum => Math.Min(1, one + two), HeadReduction.Mean => (one + two) / 2, _ => Math.Max(one, two) };
                    double w = 1 / (1 + Math.Exp(-10 * (joined - 0.1)));
                    if (w <= 0.6 || (direction == EdgeDirection.SelfLoopsOnly && i != j)) continue;
                    edges++;
                    mass += (one + two) / 2;
                    for (int c = 0; c < 5; c++) message[c] += w * features[(((b * 14) + j) * 5) + c];
                }

                for (int c = 0; c < 5; c++) Assert.Equal(message[c], found[(((b * 14) + i) * 5) + c], 12);
            }
        }

        Assert.Equal(edges, graph.Edges);
        Assert.Equal(mass / 42, graph.Mass(pattern), 12);
        Assert.Equal(edges, graph.Support().Selected);
        Assert.Equal(edges, graph.Degrees().Sum());
        using AttentionGraph single = AttentionGraph.FromHeads(pattern.narrow(0, 1, 1).to(ScalarType.Float32), options);
        Assert.InRange(Far(single.Propagate(x.narrow(0, 1, 1).to(ScalarType.Float32)), graph.Propagate(x).narrow(0, 1, 1)), 0, 1e-5);
    }

    [Fact]
    public void A_graph_refuses_what_is_none()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor good = Weights(13, 1, 2, 5), bad = good.clone();
        bad[0, 0, 2, 1] = double.NaN;
        Assert.ThrowsAny<ArgumentException>(() => AttentionGraph.FromHeads(bad));
        bad[0, 0, 2, 1] = -0.1;
        Assert.ThrowsAny<ArgumentException>(() => AttentionGraph.FromHeads(bad));
        bad[0, 0, 2, 1] = double.PositiveInfinity;
        Assert.ThrowsAny<ArgumentException>(() => AttentionGraph.Join(bad));
        Assert.ThrowsAny<ArgumentException>(() => AttentionGraph.FromHeads(good.to(ScalarType.Float16)));
        Assert.ThrowsAny<ArgumentException>(() => AttentionGraph.FromHeads(good, new() { Sharpness = double.PositiveInfinity }));
        Assert.ThrowsAny<ArgumentException>(() => AttentionGraph.FromHeads(good, new() { Epsilon = 1 }));
        Assert.ThrowsAny<ArgumentException>(() => AttentionGraph.FromHeads(good, new() { Threshold = double.NaN }));
        Support support = Support.FromMask(ones([3, 3], dtype: ScalarType.Bool));
        Assert.ThrowsAny<ArgumentException>(() => AttentionGraph.Of(3, support, ones(9)));
        Support causal = Support.FromMask(ones([3, 3], dtype: ScalarType.Bool).tril());
        Assert.ThrowsAny<ArgumentException>(() => AttentionGraph.Of(3, causal, ones(5)));
        Assert.ThrowsAny<ArgumentException>(() => AttentionGraph.Of(4, causal, ones(6)));
        Assert.ThrowsAny<ArgumentException>(() => AttentionGraph.Of(3, causal, full([6], float.NaN)));
        using AttentionGraph graph = AttentionGraph.Of(3, causal, ones(6));
        Assert.ThrowsAny<ArgumentException>(() => graph.Propagate(zeros([1, 3, 2], dtype: ScalarType.Float64)));
        Assert.ThrowsAny<ArgumentException>(() => graph.Propagate(zeros(1, 4, 2)));
        graph.Dispose();
        graph.Dispose();
    }

    [Fact]
    public void An_adapter_works_after_a_refused_call_knows_no_other_text_and_survives_a_file()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using TinyLM model = new(s_tiny, seed: 4);
        using SparseGinAdapter adapter = new(model, new() { Hidden = 9, FirstScale = 0.4 }, seed: 2), other = new(model, new() { Hidden = 9 }, seed: 3);
        adapter.eval();
        other.eval();
        Tensor ids = randint(0, 50, [3, 20], dtype: ScalarType.Int64, generator: new Generator(1)), all = model.Logits(ids, adapter);
        using KeyValueCache cache = model.NewCache(3);
        model.Logits(ids.narrow(1, 0, 5), cache: cache);
        Assert.ThrowsAny<ArgumentException>(() => model.Logits(ids.narrow(1, 5, 5), adapter, cache: cache));
        Assert.Equal(Numbers(all), Numbers(model.Logits(ids, adapter)));
        Assert.InRange(Far(all.narrow(0, 1, 1), model.Logits(ids.narrow(0, 1, 1), adapter)), 0, 1e-5);
        Assert.InRange(Far(all.narrow(1, 0, 12), model.Logits(ids.narrow(1, 0, 12), adapter)), 0, 1e-4);
        other.load_state_dict(adapter.state_dict());
        Assert.Equal(Numbers(all), Numbers(model.Logits(ids, other)));
        adapter.Dispose();
        adapter.Dispose();
    }

    [Fact]
    public void An_adapter_of_a_model_in_double_precision_is_that_of_single()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using TinyLM model = new(s_tiny, seed: 4);
        Tensor ids = randint(0, 50, [1, 12], dtype: ScalarType.Int64, generator: new Generator(2));
        using SparseGinAdapter single = new(model, new() { Hidden = 9, FirstScale = 0.4 });
        single.eval();
        Tensor expected = model.Logits(ids, single);
        model.to(ScalarType.Float64);
        using SparseGinAdapter wide = new(model, new() { Hidden = 9, FirstScale = 0.4 });
        wide.eval();
        Assert.InRange(Far(expected, model.Logits(ids, wide)), 0, 1e-3);
        Assert.Equal(single.Scales.Select(s => Math.Round(s, 6)), wide.Scales.Select(s => Math.Round(s, 6)));
    }

    [Fact]
    public void Layers_keep_what_they_are_in_double_precision_and_in_a_batch()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor x = Drawn(14, 3, 8, 10).transpose(1, 2);
        foreach (GraphAttention layer in new GraphAttention[]
        {
            new GinAttention(8, 2, new() { OutputMatrix = true, Cut = new(CutKind.Relu) { TrainedThreshold = true } }), new GinAttention(8, 2, new() { SelfTerm = SelfTerm.OnePlusEpsilon, Scores = AdjacencyScores.Relu }),
            new PnaAttention(8, 2, new() { Aggregators = (PnaAggregators)63 }), new PnaAttention(8, 2, new() { Cut = new(CutKind.TopK) { Keys = 2 } }),
        })
        {
            using (layer)
            {
                layer.eval();
                Tensor single = layer.call(x.to(ScalarType.Float32));
                layer.to(ScalarType.Float64);
                Tensor wide = layer.call(x);
                Assert.InRange(Far(single, wide), 0, 1e-4);
                Assert.InRange(Far(wide.narrow(0, 2, 1), layer.call(x.narrow(0, 2, 1).contiguous())), 0, 1e-12);
                Tensor changed = x.clone();
                changed.narrow(1, 6, 4).add_(1);
                Assert.InRange(Far(wide.narrow(1, 0, 6), layer.call(changed).narrow(1, 0, 6)), 0, 1e-12);
                Assert.InRange(Far(wide.narrow(1, 0, 2), layer.call(x.narrow(1, 0, 2))), 0, 1e-12);
            }
        }
    }

    [Fact]
    public void Steps_refuse_what_no_step_can_be_made_of()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor x = Drawn(15, 1, 4, 2), a = Weights(16, 1, 1, 4)[0];
        Assert.ThrowsAny<ArgumentException>(() => GraphStep.Gin(x.to(ScalarType.Float32), a));
        Assert.ThrowsAny<ArgumentException>(() => GraphStep.Gin(x * double.NaN, a));
        Assert.ThrowsAny<ArgumentException>(() => GraphStep.Gin(x, a, epsilon: ones(2)));
        Assert.ThrowsAny<ArgumentException>(() => GraphStep.Gin(x, a, epsilon: full([1], float.NaN)));
        Assert.Equal(ScalarType.Float64, GraphStep.Gin(x, a, epsilon: ones(1)).dtype);
        Assert.ThrowsAny<ArgumentException>(() => GraphStep.Pna(x, a - 1));
        Assert.ThrowsAny<ArgumentException>(() => GraphStep.Pna(x, a, new() { Aggregators = 0 }));
        Assert.ThrowsAny<ArgumentException>(() => GraphStep.Pna(x, a, new() { Aggregators = (PnaAggregators)64 }));
        Assert.ThrowsAny<ArgumentException>(() => GraphStep.Max(x, a.narrow(2, 0, 3)));
        Assert.ThrowsAny<ArgumentException>(() => GraphStep.Max(x[0], a));
        Assert.Throws<ArgumentNullException>(() => GraphStep.Max(null!, a));
        Assert.ThrowsAny<ArgumentException>(() => new GraphLM(new() { Attention = new GinOptions { Dropout = 1 } }));
        Assert.ThrowsAny<ArgumentException>(() => new GraphLM(new() { Attention = new PnaOptions { Cut = null! } }));
        Assert.ThrowsAny<ArgumentException>(() => new GraphLM(new() { Width = 66, Heads = 4 }));
        Assert.ThrowsAny<ArgumentException>(() => new GraphLMOptions().WithParameters(10));
    }
}
