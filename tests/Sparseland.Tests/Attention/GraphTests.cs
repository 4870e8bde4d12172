using FsCheck;
using FsCheck.Fluent;
using Sparseland.Attention;
using Sparseland.Attention.Graphs;
using Sparseland.Models.Language;
using Sparseland.Selection;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

public class GraphTests
{
    private static readonly LlamaConfig s_tiny = new() { Vocabulary = 50, Width = 24, MlpWidth = 32, Layers = 3, Heads = 4, KeyValueHeads = 2, HeadWidth = 6, Context = 64 };
    private static readonly GraphLMOptions s_small = new() { Vocabulary = 40, Width = 24, Heads = 3, MlpWidth = 20, Context = 32 };

    private static Tensor Draw(int seed, params long[] shape) => randn(shape, dtype: ScalarType.Float64, generator: new Generator((ulong)seed));

    private static Tensor Ids(int seed, long tokens, int vocabulary = 40, long batch = 2) => randint(0, vocabulary, [batch, tokens], dtype: ScalarType.Int64, generator: new Generator((ulong)seed));

    /// <summary>Causal weights, some of them 0, with rows of any sum.</summary>
    private static Tensor Cells(int seed, long heads, long tokens, double zeros = 0.5)
    {
        var generator = new Generator((ulong)seed);
        Tensor a = rand([1, heads, tokens, tokens], dtype: ScalarType.Float64, generator: generator);
        return a.masked_fill(rand([1, heads, tokens, tokens], generator: generator).lt(zeros), 0).tril();
    }

    private static double[] Numbers(Tensor t) => [.. t.detach().to(ScalarType.Float64).contiguous().data<double>()];

    [Fact]
    public void The_sum_over_softmax_weights_is_plain_attention()
    {
        (Tensor q, Tensor k, Tensor v) = AttentionInputs.Draw(7, 2, 3, 3, 12, 6, type: ScalarType.Float64);
        Tensor a = q.MatMul(k.transpose(2, 3)).div(Math.Sqrt(6)).masked_fill(Causal(12, 12).logical_not(), double.NegativeInfinity).softmax(-1);
        Assert.InRange(Far(ByFormula(q, k, v, Causal(12, 12)).Output, GraphStep.Gin(v, a)), 0, 1e-12);
        Assert.InRange(Far(v.mul(1.5) + a.MatMul(v), GraphStep.Gin(v, a, new() { SelfTerm = SelfTerm.OnePlusEpsilon }, tensor(0.5, dtype: ScalarType.Float64))), 0, 1e-12);
        Assert.InRange(Far(v.mul(0.5) + a.MatMul(v), GraphStep.Gin(v, a, epsilon: tensor(0.5, dtype: ScalarType.Float64))), 0, 1e-12);
    }

    [Fact]
    public void Over_the_identity_gin_attention_is_an_mlp_of_each_token()
    {
        using DisposeScope scope = NewDisposeScope();
        using var layer = new GinAttention(24, 3, new() { Dropout = 0 }, context: 16);
        layer.to(ScalarType.Float64);
        Tensor x = Draw(1, 2, 10, 24), self = eye(10, dtype: ScalarType.Float64).expand(2, 3, 10, 10);
        Tensor whole = layer.Step(x, self), order = tensor(new long[] { 3, 1, 4, 0, 9, 2, 6, 5, 8, 7 });
        Assert.InRange(Far(whole.index_select(1, order), layer.Step(x.index_select(1, order), self)), 0, 1e-12);
        Tensor heads = x.view(2, 10, 3, 8).transpose(1, 2);
        Assert.InRange(Far(layer.Mlp.call(heads).transpose(1, 2).reshape(2, 10, 24), whole), 0, 1e-12);
        Tensor z = heads[0, 1, 4], w1 = layer.Mlp.get_parameter("weight1")![1], w2 = layer.Mlp.get_parameter("weight2")![1], h = w1.t().mv(z);
        h = h / (h.square().mean() + 1e-6).sqrt();
        Assert.InRange(Far(w2.t().mv(h * h.sigmoid()), whole[0, 4].narrow(0, 8, 8)), 0, 1e-12);
    }

    [Fact]
    public void Only_a_sum_tells_multisets_apart()
    {
        double[][] sets = [[1, 2], [1, 1, 2], [1, 2, 1, 2]];
        double[] Of(PnaAggregators what, bool normalised) => [.. sets.Select(s =>
        {
            Tensor v = tensor(s).view(-1, 1), a = ones(s.Length, s.Length, dtype: ScalarType.Float64);
            return Numbers(GraphStep.Pna(v, normalised ? a / s.Length : a, new() { Aggregators = what }))[0];
        })];
        Assert.Equal([2, 2, 2], Of(PnaAggregators.Max, false));
        Assert.Equal([1.5, 4 / 3.0, 1.5], Of(PnaAggregators.Mean, false), (x, y) => Math.Abs(x - y) < 1e-12);
        Assert.Equal([3.0, 4, 6], Of(PnaAggregators.Sum, false));
        Assert.Equal([1.5, 4 / 3.0, 1.5], Of(PnaAggregators.Sum, true), (x, y) => Math.Abs(x - y) < 1e-12);
    }

    [Fact]
    public void Statistics_of_neighbours_are_those_of_a_loop()
    {
        Prop.ForAll<int>(Gen.Choose(1, 100_000).ToArbitrary(), seed =>
        {
            using DisposeScope scope = NewDisposeScope();
            int tokens = 1 + (seed % 13);
            Tensor v = Draw(seed, 1, 2, tokens, 3), a = Cells(seed + 1, 2, tokens);
            if (seed % 7 == 0) a = a.triu(0);
            Tensor all = GraphStep.Pna(v, a, new() { Aggregators = (PnaAggregators)63 });
            double[] V = Numbers(v), A = Numbers(a), got = Numbers(all);
            for (int h = 0; h < 2; h++)
            {
                for (int i = 0; i < tokens; i++)
                {
                    double Weight(int j) => A[(((h * tokens) + i) * tokens) + j];
                    double Value(int j, int c) => V[(((h * tokens) + j) * 3) + c];
                    double Size(int j) => Math.Sqrt(Enumerable.Range(0, 3).Sum(c => Value(j, c) * Value(j, c)));
                    int[] near = [.. Enumerable.Range(0, tokens).Where(j => Weight(j) > 0)];
                    double degree = near.Sum(Weight);
                    if (degree == 0) degree = 1;
                    int largest = near.Length == 0 ? i : near.MaxBy(Size), smallest = near.Length == 0 ? i : near.MinBy(Size);
                    for (int c = 0; c < 3; c++)
                    {
                        double sum = near.Sum(j => Weight(j) * Value(j, c)), mean = sum / degree;
                        double[] expected = [sum, mean, near.Length == 0 ? Value(i, c) : near.Max(j => Value(j, c)), near.Sum(j => Weight(j) * Math.Pow(Value(j, c) - mean, 2)) / degree, Value(largest, c), Value(smallest, c)];
                        for (int s = 0; s < 6; s++) Assert.InRange(Math.Abs(expected[s] - got[(((h * tokens) + i) * 18) + (s * 3) + c]), 0, 1e-10);
                    }
                }
            }
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void The_published_maximum_is_the_token_itself()
    {
        Tensor v = Draw(1, 2, 8, 4), a = Cells(2, 2, 8)[0];
        Assert.Equal(0, Far(v, GraphStep.Pna(v, a, new() { Aggregators = PnaAggregators.Max, Max = PnaMax.Reference })));
        Assert.True(Far(v, GraphStep.Max(v, a)) > 0.1);
        Assert.Equal(0, Far(GraphStep.Max(v, a), GraphStep.Pna(v, a, new() { Aggregators = PnaAggregators.Max })));
    }

    [Fact]
    public void A_maximum_in_many_pieces_is_the_same()
    {
        Tensor v = randn([8, 8, 128, 16], generator: new Generator(1)), a = rand([8, 8, 128, 128], generator: new Generator(2)).tril().masked_fill(rand([8, 8, 128, 128], generator: new Generator(3)).gt(0.2), 0);
        Tensor got = GraphStep.Max(v, a);
        for (int h = 0; h < 8; h += 3)
        {
            Tensor part = v[5, h].unsqueeze(0).masked_fill(a[5, h].le(0).unsqueeze(-1), double.NegativeInfinity).amax([1L]), none = a[5, h].gt(0).any(-1).logical_not().unsqueeze(1);
            Assert.Equal(0, Far(where(none, v[5, h], part), got[5, h]));
        }
    }

    [Theory, InlineData(63), InlineData(15), InlineData(4)]
    public void Gradients_of_statistics_are_their_slopes(int what)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor v = Draw(3, 1, 2, 9, 4), a = Cells(4, 2, 9), mix = Draw(5, 1, 2, 9, 4 * System.Numerics.BitOperations.PopCount((uint)what));
        Tensor directionV = Draw(6, 1, 2, 9, 4), directionA = Draw(7, 1, 2, 9, 9).masked_fill(a.eq(0), 0);
        Tensor Loss(Tensor vs, Tensor cells) => (GraphStep.Pna(vs, cells, new() { Aggregators = (PnaAggregators)what }) * mix).sum();
        Tensor v1 = v.clone().requires_grad_(), a1 = a.clone().requires_grad_();
        Loss(v1, a1).backward();
        double byGradient = ((v1.grad! * directionV).sum() + (a1.grad is null ? zeros(1, dtype: ScalarType.Float64).sum() : (a1.grad * directionA).sum())).item<double>();
        double step = 1e-6, byDifference = (Loss(v + (step * directionV), a + (step * directionA)) - Loss(v - (step * directionV), a - (step * directionA))).item<double>() / (2 * step);
        Assert.InRange(Math.Abs(byGradient - byDifference), 0, 1e-6 * (1 + Math.Abs(byGradient)));
    }

    [Theory, MemberData(nameof(Kinds))]
    public void Cuts_are_their_formulas_and_keep_the_triangle(CutKind kind)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor a = Cells(8, 2, 12, zeros: 0.2);
        AdjacencyCut cut = new(kind) { Threshold = 0.3, Beta = 7, Keys = 4 };
        double[] got = Numbers(cut.Apply(a)), free = Numbers((cut with { Triangle = false }).Apply(a)), given = Numbers(a);
        double Formula(double x) => kind switch
        {
            CutKind.None => x, CutKind.Relu => Math.Max(0, x - 0.3), CutKind.Silu => (x - 0.3) / (1 + Math.Exp(0.3 - x)), CutKind.Softplus => Math.Log(1 + Math.Exp(x - 0.3)),
            CutKind.SharpSoftplus => Math.Log(1 + Math.Exp(7 * (x - 0.3))) / 7, CutKind.Sigmoid => 1 / (1 + Math.Exp(-7 * (x - 0.3))), _ => x > 0.3 ? 1 : 0,
        };
        for (int i = 0; i < got.Length; i++)
        {
            (int row, int column) = (i / 12 % 12, i % 12);
            int[] line = [.. Enumerable.Range(0, row + 1)];
            double expected = kind == CutKind.TopK ? line.OrderByDescending(j => given[i - column + j]).Take(4).Contains(column) && column <= row ? 1 : 0 : Formula(given[i]);
            if (kind != CutKind.TopK || given[i] > 0) Assert.InRange(Math.Abs((column <= row ? expected : 0) - got[i]), 0, 1e-12);
            if (column > row) Assert.Equal(0, got[i]);
        }

        bool shows = free.Where((_, i) => i % 12 > i / 12 % 12).Any(x => x != 0);
        Assert.Equal(kind is not (CutKind.None or CutKind.Relu or CutKind.Binary), shows);
        if (kind == CutKind.TopK) Assert.All(Enumerable.Range(0, 24), r => Assert.Equal(Math.Min(4, (r % 12) + 1), got.Skip(r * 12).Take(12).Sum()));
    }

    public static TheoryData<CutKind> Kinds => [.. Enum.GetValues<CutKind>()];

    [Fact]
    public void A_threshold_that_is_trained_gets_a_gradient()
    {
        using DisposeScope scope = NewDisposeScope();
        using var layer = new GinAttention(24, 3, new() { Cut = new(CutKind.Relu) { Threshold = 0.05, TrainedThreshold = true }, Dropout = 0 }, context: 16);
        layer.call(randn([2, 12, 24], generator: new Generator(1))).square().sum().backward();
        Assert.All(layer.named_parameters(), p => Assert.True(p.parameter.grad is { } g && g.abs().max().item<float>() > 0, p.name));
        Assert.Equal(0.05, layer.Threshold!.item<float>(), 6);
    }

    [Fact]
    public void A_graph_is_what_thresholds_say_and_one_threshold_is_enough()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor p = Softmax(9, 3, 4, 20);
        foreach (HeadReduction reduction in Enum.GetValues<HeadReduction>())
        {
            AttentionGraphOptions options = new() { Reduction = reduction };
            Assert.Equal(0.140547, options.CutPoint, 6);
            using AttentionGraph graph = AttentionGraph.FromHeads(p, options);
            Tensor joined = reduction switch { HeadReduction.Sum => p.sum(1).clamp_max(1), HeadReduction.Mean => p.mean([1L]), _ => p.max(1).values };
            Tensor byOne = joined.gt(options.CutPoint).logical_and(Causal(20, 20)), weights = joined.sub(0.1).mul(10).sigmoid().masked_fill(byOne.logical_not(), 0);
            Assert.Equal(0, Far(joined, AttentionGraph.Join(p, reduction)));
            Assert.True(graph.Support().Mask().eq(byOne).all().item<bool>());
            Assert.Equal(byOne.sum().item<long>(), graph.Edges);
            Assert.Equal(byOne.sum(-1).flatten().data<long>().ToArray(), graph.Degrees());
            Tensor x = Draw(11, 3, 20, 5);
            Assert.InRange(Far(weights.bmm(x), graph.Propagate(x)), 0, 1e-12);
            Assert.Null(graph.Warning);

            GraphStatistics counted = graph.Measure();
            Tensor loops = byOne.diagonal(0, 1, 2);
            Assert.Equal(byOne.sum().item<long>() / (3.0 * 210), counted.Density, 12);
            Assert.Equal(loops.sum().item<long>() / 60.0, counted.RowsWithSelfLoop, 12);
            Assert.Equal(byOne.any(-1).logical_not().sum().item<long>() / 60.0, counted.RowsWithoutEdge, 12);
            Assert.Equal(counted.Edges / 60.0, counted.PerRow, 12);
            Assert.Equal(graph.Edges == 0 ? 0 : loops.sum().item<long>() / (double)graph.Edges, counted.SelfLoopShare, 12);
            Assert.Equal(p.masked_fill(byOne.logical_not().unsqueeze(1), 0).sum(-1).mean().item<double>(), graph.Mass(p), 12);
        }
    }

    [Fact]
    public void Messages_over_edges_have_the_gradients_of_the_dense_product()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor p1 = Softmax(12, 2, 3, 16).requires_grad_(), p2 = p1.detach().clone().requires_grad_(), x1 = Draw(13, 2, 16, 4).requires_grad_(), x2 = x1.detach().clone().requires_grad_(), mix = Draw(14, 2, 16, 4);
        using AttentionGraph graph = AttentionGraph.FromHeads(p1);
        graph.Propagate(x1).mul(mix).sum().backward();
        Tensor w = p2.sum(1).clamp_max(1).sub(0.1).mul(10).sigmoid();
        w.masked_fill(w.le(0.6).logical_or(Causal(16, 16).logical_not()), 0).bmm(x2).mul(mix).sum().backward();
        Assert.InRange(Far(x1.grad!, x2.grad!), 0, 1e-12);
        Assert.InRange(Far(p1.grad!, p2.grad!), 0, 1e-12);
        Assert.True(p1.grad!.abs().max().item<double>() > 0);
    }

    [Fact]
    public void A_shuffled_graph_keeps_degrees_and_weights_and_a_lonely_token_gets_nothing()
    {
        using DisposeScope scope = NewDisposeScope();
        using AttentionGraph graph = AttentionGraph.FromHeads(Softmax(15, 3, 4, 24)), random = graph.Shuffled(1), again = graph.Shuffled(1), other = graph.Shuffled(2);
        Assert.Equal(graph.Degrees(), random.Degrees());
        Assert.Equal(0, Far(graph.Weights, random.Weights));
        Assert.Equal(random.Support().Heads, again.Support().Heads);
        Assert.NotEqual(random.Support().Heads, other.Support().Heads);
        Assert.NotEqual(random.Support().Heads, graph.Support().Heads);
        Assert.Equal(graph.Edges, random.Support().Selected);
        Assert.True(random.Sources.div(24, RoundingMode.floor).eq(random.Targets.div(24, RoundingMode.floor)).all().item<bool>());

        using AttentionGraph loops = AttentionGraph.FromHeads(Softmax(15, 3, 4, 24), new() { Direction = EdgeDirection.SelfLoopsOnly });
        Assert.True(loops.Targets.eq(loops.Sources).all().item<bool>());
        Assert.Equal(graph.Targets.eq(graph.Sources).sum().item<long>(), loops.Edges);
        Assert.InRange(loops.Edges, 1, graph.Edges - 1);
        using AttentionGraph none = AttentionGraph.FromHeads(Softmax(15, 3, 4, 24), new() { Reduction = HeadReduction.Mean, Threshold = 1 });
        Assert.Equal((0, 1.0, 0.0), (none.Edges, none.Measure().RowsWithoutEdge, none.Measure().SelfLoopShare));
        Assert.Equal(0, none.Propagate(Draw(1, 3, 24, 4)).abs().max().item<double>());
        Assert.Equal(0, none.Shuffled(1).Edges);
        using AttentionGraph given = AttentionGraph.Of(3, new Support(3, 3, [0, 0, 1, 3], [0, 0, 2]), tensor(new[] { 2.0, 3, 4 }));
        Assert.Equal([0.0, 0, 2, 0, 3, 24], Numbers(given.Propagate(tensor(new[] { 1.0, 0, 5, 6, 0, 6 }, [1, 3, 2]))));
    }

    [Fact]
    public void Weights_that_do_not_sum_to_one_are_told()
    {
        using AttentionGraph graph = AttentionGraph.FromHeads(Softmax(1, 1, 2, 8).mul(0.5));
        Assert.InRange(graph.RowSumError, 0.499, 0.501);
        Assert.Contains("0.5", graph.Warning, StringComparison.Ordinal);
    }

    [Theory, MemberData(nameof(Attentions))]
    public void A_decoder_over_graphs_learns_and_is_what_its_seed_says(GraphAttentionOptions? attention)
    {
        TokenText text = new([.. Enumerable.Range(0, 400).Select(i => (i * i * 7 / 5) % 13)]);
        (double First, double Last, double[] Logits) Train(long seed)
        {
            using DisposeScope scope = NewDisposeScope();

            // Tests run side by side, and dropout draws from the one generator of the process.
            using var model = new GraphLM(s_small with { Attention = attention is null ? null : attention with { Dropout = 0 } }, seed);
            using var loop = new TrainingLoop(model, new RandomWindows(text, 4, 16), Losses.CrossEntropy(model), new() { Steps = 40, LearningRate = 5e-3 });
            TrainingResult result = loop.Run();
            model.eval();
            return (result.History[0].Loss, result.RecentLoss(5), Numbers(model.call(Ids(1, 16))));
        }

        (double first, double last, double[] logits) = Train(3);
        Assert.InRange(last, 0, first - 0.5);
        Assert.Equal(logits, Train(3).Logits);
        Assert.NotEqual(logits, Train(4).Logits);
    }

    public static TheoryData<GraphAttentionOptions?> Attentions => new()
    {
        null, new GinOptions(), new GinOptions { SelfTerm = SelfTerm.OnePlusEpsilon, OutputMatrix = true, Cut = new(CutKind.SharpSoftplus) { TrainedThreshold = true } }, new PnaOptions(),
        new PnaOptions { Scores = AdjacencyScores.Relu, Cut = new(CutKind.Relu), Aggregators = PnaAggregators.Mean | PnaAggregators.Variance | PnaAggregators.LargestNorm | PnaAggregators.SmallestNorm },
    };

    [Theory, MemberData(nameof(Attentions))]
    public void Parameters_are_made_equal_weights_come_back_and_hooks_see_the_graph(GraphAttentionOptions? attention)
    {
        using DisposeScope scope = NewDisposeScope();
        GraphLMOptions options = (s_small with { Attention = attention }).WithParameters(20_000);
        using GraphLM model = new(options, 1), other = new(options, 2);
        Assert.InRange(Math.Abs(model.ParameterCount - 20_000), 0, 3 * 24 * 2 / 2);
        other.load_state_dict(model.state_dict());
        model.eval();
        other.eval();
        model.to(ScalarType.Float64);
        other.to(ScalarType.Float64);
        Tensor ids = Ids(2, 20), logits = model.call(ids);
        Assert.Equal(ScalarType.Float64, logits.dtype);
        Assert.Equal(0, Far(logits, other.call(ids)));
        using ActivationRecorder seen = new(new ActivationSite(1, Activation.AttentionPattern), new ActivationSite(1, Activation.AttentionInput), new ActivationSite(1, Activation.AttentionOutput));
        Assert.InRange(Far(logits, model.Logits(ids, seen)), 0, 1e-12);
        Assert.Equal(0, seen[1, Activation.AttentionPattern].triu(1).abs().max().item<double>());
        if (attention is null) return;
        Assert.Equal(2, model.Attentions.Count);
        Assert.Equal(0, Far(model.Attentions[1].Adjacency(seen[1, Activation.AttentionInput]), seen[1, Activation.AttentionPattern]));
        Assert.Equal(0, Far(model.Attentions[1].call(seen[1, Activation.AttentionInput]), seen[1, Activation.AttentionOutput]));
        Assert.Throws<ArgumentException>("cache", () => model.Logits(ids, cache: model.NewCache(2)));
        Assert.Throws<ArgumentException>("attention", () => model.Logits(ids, attention: new PatternAttention(c => AttentionPatterns.Window(c.Tokens, 3))));
    }

    [Fact]
    public void Without_scales_an_adapter_is_not_there_and_only_scales_have_a_gradient()
    {
        using DisposeScope scope = NewDisposeScope();
        using TinyLM model = Frozen();
        using var adapter = new SparseGinAdapter(model, new() { Hidden = 10, ScaleStart = ScaleStart.Zero, Dropout = 0 });
        Tensor ids = Ids(3, 30, 50);
        using ActivationRecorder weights = new(site => site.Activation == Activation.AttentionPattern);
        Assert.Equal(0, Far(model.Logits(ids, weights), model.Logits(ids, adapter)));
        model.Logits(ids, adapter).square().sum().backward();
        Assert.All(adapter.named_parameters(), p => Assert.Equal(p.name.EndsWith("scale", StringComparison.Ordinal), p.parameter.grad is { } g && g.abs().max().item<double>() > 0));
        Assert.All(model.parameters(), p => Assert.False(p.requires_grad));
        Assert.Equal([0.0, 0, 0], adapter.Scales);
        using var started = new SparseGinAdapter(model, new() { Hidden = 10 });
        Assert.Equal([0, 0.25, 0.5], started.Scales);
        Assert.True(Far(model.Logits(ids, weights), model.Logits(ids, Quiet(started))) > 1e-3);
    }

    [Fact]
    public void Gradients_pass_through_the_hook_to_every_block()
    {
        using DisposeScope scope = NewDisposeScope();
        using TinyLM model = Frozen();
        using var adapter = new SparseGinAdapter(model, new() { Hidden = 10, FirstScale = 0.3, Dropout = 0 }, seed: 5);
        Tensor ids = Ids(4, 24, 50), mix = Draw(5, 2, 24, 50);
        double Loss()
        {
            using IDisposable off = no_grad();
            return (model.Logits(ids, adapter) * mix).sum().item<double>();
        }

        (model.Logits(ids, adapter) * mix).sum().backward();
        foreach ((string name, Parameter parameter) in adapter.named_parameters())
        {
            Tensor direction = Draw(6, parameter.shape);
            double slope = (parameter.grad! * direction).sum().item<double>(), step = 1e-6;
            double Moved(double by)
            {
                using (no_grad()) parameter.add_(direction, alpha: by);
                return Loss();
            }

            double forward = Moved(step), backward = Moved(-2 * step);
            Moved(step);
            Assert.InRange(Math.Abs(((forward - backward) / (2 * step)) - slope), 0, 1e-4 * (1 + Math.Abs(slope)));
            Assert.True(Math.Abs(slope) > 0, name);
        }
    }

    [Fact]
    public void With_self_loops_alone_a_branch_knows_no_other_token()
    {
        using DisposeScope scope = NewDisposeScope();
        using TinyLM model = Frozen();
        using SparseGinAdapter adapter = new(model, new() { Hidden = 10, Dropout = 0 });
        Tensor p = Softmax(21, 1, 4, 16), changed = Softmax(22, 1, 4, 16), keep = eye(16, dtype: ScalarType.Bool), h = Draw(23, 1, 16, 24), otherH = Draw(24, 1, 16, 24);
        changed = where(keep, p, changed);
        otherH.narrow(1, 9, 1).copy_(h.narrow(1, 9, 1));
        double Moved(EdgeDirection direction)
        {
            using AttentionGraph one = AttentionGraph.FromHeads(p, new() { Direction = direction }), two = AttentionGraph.FromHeads(changed, new() { Direction = direction });
            return Far(adapter.Branch(2, h, one)[0, 9], adapter.Branch(2, otherH, two)[0, 9]);
        }

        Assert.Equal(0, Moved(EdgeDirection.SelfLoopsOnly));
        Assert.True(Moved(EdgeDirection.KeyToQuery) > 1e-3);
    }

    [Fact]
    public void Random_edges_are_those_of_the_seed()
    {
        using DisposeScope scope = NewDisposeScope();
        using TinyLM model = Frozen();
        Tensor ids = Ids(6, 20, 50);
        Tensor Of(bool random, long seed)
        {
            using SparseGinAdapter weights = new(model, new() { Hidden = 10, RandomEdges = random }, seed);
            weights.eval();
            return model.Logits(ids, weights);
        }

        Assert.Equal(0, Far(Of(true, 1), Of(true, 1)));
        Assert.True(Far(Of(true, 1), Of(false, 1)) > 1e-4);
    }

    [Fact]
    public void What_does_not_fit_is_refused_by_name()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor x = Draw(1, 1, 2, 6, 4), a = Cells(2, 2, 6);
        Assert.Throws<ArgumentException>("heads", () => new GinAttention(24, 5));
        Assert.Throws<ArgumentException>("heads", () => new GinAttention(27, 9));
        Assert.Throws<ArgumentException>("Heads", () => new GraphLM(s_small with { Heads = 5 }));
        Assert.Throws<ArgumentOutOfRangeException>("parameters", () => s_small.WithParameters(100));
        Assert.Throws<ArgumentException>("a", () => GraphStep.Gin(x, a.narrow(3, 0, 5)));
        Assert.Throws<ArgumentException>("a", () => GraphStep.Gin(x, a.to(ScalarType.Float32)));
        Assert.Throws<ArgumentException>("x", () => GraphStep.Gin(x / 0, a));
        Assert.Throws<ArgumentException>("a", () => GraphStep.Pna(x, -a));
        Assert.Throws<ArgumentOutOfRangeException>("SelfTerm", () => GraphStep.Gin(x, a, new() { SelfTerm = (SelfTerm)7 }));
        Assert.Throws<ArgumentOutOfRangeException>("Temperature", () => GraphStep.Gin(x, a, new() { Temperature = double.NaN }));
        Assert.Throws<ArgumentException>("epsilon", () => GraphStep.Gin(x, a, epsilon: tensor(double.NaN)));
        Assert.Throws<ArgumentException>("epsilon", () => GraphStep.Gin(x, a, epsilon: ones(2)));
        Assert.Equal(x.dtype, GraphStep.Gin(x, a, epsilon: ones(1, dtype: x.dtype == ScalarType.Float64 ? ScalarType.Float32 : ScalarType.Float64)).dtype);
        using GraphAttention gin = new GinAttention(24, 3), pna = new PnaAttention(24, 3);
        foreach (GraphAttention attention in new[] { gin, pna })
        {
            Assert.Throws<ArgumentException>("x", () => attention.Step(ones(1, 6, 23), ones(1, 3, 6, 6)));
            Assert.Throws<ArgumentException>("a", () => attention.Step(ones(1, 6, 24), ones(1, 2, 6, 6)));
            Assert.Throws<ArgumentException>("a", () => attention.Step(ones(1, 6, 24), ones(1, 3, 6, 6, dtype: ScalarType.Float64)));
        }

        Assert.Throws<ArgumentException>("input", () => new HeadMlp(2, 3, 4, 5).call(ones(1, 3, 6, 3)));
        Assert.Throws<ArgumentException>("input", () => new HeadMlp(2, 3, 4, 5).call(ones(1, 2, 6, 4)));
        Assert.Throws<ArgumentException>("Cut", () => new PnaAttention(24, 3, new() { Cut = new(CutKind.Silu) }));
        Assert.Throws<ArgumentOutOfRangeException>("Aggregators", () => GraphStep.Pna(x, a, new() { Aggregators = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>("Keys", () => new AdjacencyCut(CutKind.TopK) { Keys = 0 }.Apply(a));
        Assert.Throws<ArgumentOutOfRangeException>("a", () => new AdjacencyCut(CutKind.TopK) { Keys = 7 }.Apply(a));
        Assert.Throws<ArgumentOutOfRangeException>("Beta", () => new AdjacencyCut(CutKind.Sigmoid) { Beta = 0 }.Apply(a));
        Assert.Throws<ArgumentException>("TrainedThreshold", () => new GinAttention(24, 3, new() { Cut = new(CutKind.Binary) { TrainedThreshold = true } }));
        Tensor p = Softmax(3, 1, 2, 6);
        Assert.Throws<ArgumentOutOfRangeException>("Epsilon", () => AttentionGraph.FromHeads(p, new() { Epsilon = 1 }));
        Assert.Throws<ArgumentOutOfRangeException>("Sharpness", () => AttentionGraph.FromHeads(p, new() { Sharpness = 0 }));
        Assert.Throws<ArgumentException>("pattern", () => AttentionGraph.FromHeads(p / 0));
        Assert.Throws<ArgumentException>("pattern", () => AttentionGraph.FromHeads(-p));
        Assert.Throws<ArgumentException>("pattern", () => AttentionGraph.FromHeads(p[0]));
        using AttentionGraph graph = AttentionGraph.FromHeads(p);
        Assert.Throws<ArgumentException>("x", () => graph.Propagate(x[0]));
        Assert.Throws<ArgumentException>("support", () => AttentionGraph.Of(2, new Support(2, 2, [0, 1, 1], [1]), ones(1)));
        Assert.Throws<ArgumentException>("weights", () => AttentionGraph.Of(2, new Support(2, 2, [0, 1, 1], [0]), ones(2)));
        using TinyLM model = Frozen();
        Assert.Throws<ArgumentOutOfRangeException>("Hidden", () => new SparseGinAdapter(model, new() { Hidden = 0 }));
        using var adapter = new SparseGinAdapter(model, new() { Hidden = 4 });
        using KeyValueCache cache = model.NewCache(2);
        model.Logits(Ids(1, 5, 50), adapter, cache);
        Assert.Throws<ArgumentException>("position", () => model.Logits(Ids(1, 5, 50), adapter, cache));
        Assert.Throws<ArgumentException>("hook", () => model.Logits(Ids(1, 5, 50), adapter, attention: new PatternAttention(c => AttentionPatterns.Window(c.Tokens, 3))));
    }

    [Fact]
    public void A_call_that_stops_halfway_leaves_no_graph_behind()
    {
        using DisposeScope scope = NewDisposeScope();
        using TinyLM model = Frozen();
        var adapter = new SparseGinAdapter(model, new() { Hidden = 4 });
        System.Reflection.FieldInfo field = typeof(SparseGinAdapter).GetField("_graph", System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Instance)!;
        AttentionGraph Half()
        {
            adapter.Begin(0);
            adapter.Visit(new(0, Activation.AttentionPattern), Softmax(3, 1, 2, 6));
            return (AttentionGraph)field.GetValue(adapter)!;
        }

        AttentionGraph first = Half(), second = Half();
        Assert.True(first.Weights.IsInvalid);
        Assert.False(second.Weights.IsInvalid);

        // A branch that refuses, and the adapter's own end.
        Tensor other = ones(1, 5, 24, dtype: ScalarType.Float64);
        adapter.Visit(new(0, Activation.ResidualBefore), other);
        Assert.Throws<ArgumentException>(() => adapter.Visit(new(0, Activation.AttentionOutput), other));
        Assert.True(second.Weights.IsInvalid);
        AttentionGraph last = Half();
        adapter.Dispose();
        Assert.True(last.Weights.IsInvalid);
    }

    private static SparseGinAdapter Quiet(SparseGinAdapter adapter)
    {
        adapter.eval();
        return adapter;
    }

    private static TinyLM Frozen()
    {
        var model = new TinyLM(s_tiny, seed: 3);
        using (no_grad())
        {
            foreach (Parameter parameter in model.parameters().Where(p => p.dim() == 2)) parameter.mul_(8);
        }

        model.to(ScalarType.Float64);
        model.eval();
        return model;
    }

    /// <summary>Causal rows of sum one with some heavy cells.</summary>
    private static Tensor Softmax(int seed, long batch, long heads, long tokens) =>
        Draw(seed, batch, heads, tokens, tokens).mul(2.5).masked_fill(Causal(tokens, tokens).logical_not(), double.NegativeInfinity).softmax(-1);
}
