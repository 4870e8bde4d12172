using Sparseland.Attention;
using Sparseland.Attention.Estimation;
using Sparseland.Attention.Features;
using Sparseland.Attention.Graphs;
using Sparseland.Attention.Hashing;
using Sparseland.Attention.Mixture;
using Sparseland.Attention.Prefill;
using Sparseland.Attention.Vision;
using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

/// <summary>Calls outside of a scope leave no tensor behind but those that they give.</summary>
public sealed class LeftBehindTests
{
    private static readonly Tensor s_x = randn([1, 196, 16], generator: new Generator(1)), s_map = randn([1, 4, 14, 14], generator: new Generator(2)), s_images = rand([1, 3, 28, 28], generator: new Generator(5)), s_ids = TwoModes.Generate(2, 1);
    private static readonly (Tensor Q, Tensor K, Tensor V) s_heads = Draw(1, 1, 2, 1, 20, 4);
    private static readonly Tensor s_pattern = randn([1, 2, 20, 20], generator: new Generator(3)).masked_fill(Causal(20, 20).logical_not(), double.NegativeInfinity).softmax(-1), s_nodes = randn([1, 20, 8], generator: new Generator(4));
    private static readonly TinyLM s_model = new(new LlamaConfig { Vocabulary = 50, Width = 24, MlpWidth = 32, Layers = 2, Heads = 4, KeyValueHeads = 2, HeadWidth = 6, Context = 64 });
    private static readonly MoTModel s_mixture = new(new() { Width = 12, Heads = 3, MlpWidth = 10 });
    private static readonly GinAttention s_gin = new(8, 2, context: 20);
    private static readonly PnaAttention s_pna = new(8, 2, context: 20);
    private static readonly SparseGinAdapter s_adapter = new(s_model, new() { Hidden = 5 }), s_random = new(s_model, new() { Hidden = 5, RandomEdges = true });
    private static readonly SeaEstimator s_estimator = new(2, 4, new() { Cells = 8, Features = 3 });
    private static readonly FactorizedAttention s_factorized = new(16, 1, 2);
    private static readonly WindowAttention s_windows = new(16, 2, 7, 3);
    private static readonly FaViT s_network = new(FaViTOptions.Flat28);
    private static readonly Linear s_linear = nn.Linear(8, 8);
    private static readonly AttentionGraph s_graph = AttentionGraph.FromHeads(s_pattern);

    private static readonly Dictionary<string, Func<object?>> s_calls = new()
    {
        ["factorized"] = () => s_factorized.call(s_x, 14, 14),
        ["windows"] = () => s_windows.call(s_x, 14, 14),
        ["favit"] = () => s_network.call(s_images),
        ["fusion"] = () => WindowFusion.Mean(s_map, 7, 2),
        ["published fusion"] = () => WindowFusion.AsPublished(s_map, 2),
        ["reach"] = () => GradientReach.Of(t => s_factorized.call(t, 14, 14), s_x, 0),
        ["estimate"] = () => s_estimator.Estimate(s_heads.Q, s_heads.K, s_heads.V),
        ["sea"] = () => new SeaAttention([s_estimator], 3).Attend(new(0, 0.5, Causal: true), s_heads.Q, s_heads.K, s_heads.V),
        ["cells"] = () => CellGrid.Mass(s_pattern, 4),
        ["mean"] = () => RunningMean.Of(s_heads.V),
        ["sea loss"] = () => SeaTraining.Loss(s_estimator, s_heads.Q, s_heads.K, s_heads.V, 3) is var four ? new[] { four.Loss, four.Divergence, four.Map, four.Output } : null,
        ["sea block"] = () => SeaTraining.Block(s_estimator, s_heads.Q, s_heads.K, s_heads.V, new() { Steps = 2, Batch = 1, Columns = 2 }),
        ["scatterbrain"] = () => Scatterbrain.Attend(s_heads.Q, s_heads.K, s_heads.V, new HyperbolicFeatures(4, 4), AttentionSupport.Full(2, 20)),
        ["scatterbrain matrix"] = () => Scatterbrain.Matrix(s_heads.Q, s_heads.K, new HyperbolicFeatures(4, 4), AttentionSupport.Full(2, 20)),
        ["sort"] = () => HashedSupport.NormCompletedSort(s_heads.Q, s_heads.K, 5),
        ["buckets"] = () => HashedSupport.CrossPolytope(s_heads.Q, s_heads.K, 4),
        ["codes"] = () => new AngularHash(4, 3).Codes(s_heads.Q),
        ["graph"] = () => AttentionGraph.FromHeads(s_pattern),
        ["shuffled"] = () => s_graph.Shuffled(1),
        ["measure"] = () => s_graph.Measure(),
        ["propagate"] = () => s_graph.Propagate(s_nodes),
        ["edges"] = () => s_graph.Support(),
        ["mass"] = () => s_graph.Mass(s_pattern),
        ["gin step"] = () => GraphStep.Gin(s_heads.V, s_pattern.narrow(1, 0, 1)),
        ["pna step"] = () => GraphStep.Pna(s_heads.V, s_pattern.narrow(1, 0, 1), new() { Aggregators = (PnaAggregators)63 }),
        ["cut"] = () => new AdjacencyCut(CutKind.TopK) { Keys = 3 }.Apply(s_pattern),
        ["gin"] = () => s_gin.call(s_nodes),
        ["pna"] = () => s_pna.call(s_nodes),
        ["adapter"] = () => s_model.Logits(s_ids.clamp_max(49), s_adapter),
        ["random adapter"] = () => s_model.Logits(s_ids.clamp_max(49), s_random),
        ["mixture"] = () => s_mixture.Logits(s_ids),
        ["mixture loss"] = () => TwoModes.Loss(s_mixture, s_ids),
        ["modalities"] = () => ModalityMap.FromTokens(s_ids, TwoModes.Ranges, 2),
        ["conflict"] = () => GradientConflict.Cosine(s_linear, () => nn.functional.linear(s_nodes, s_linear.weight).sum(), () => nn.functional.linear(s_nodes, s_linear.weight).square().sum()),
        ["strip"] = () => VerticalSlashIndex.Strip(s_heads.Q, s_heads.K, 4),
        ["patterns"] = () => PatternEstimator.Estimate([new VerticalSlash(2, 2)], s_heads.Q, s_heads.K, new() { Block = 4, ForcedColumns = 1, ForcedSlashes = 1 }),
        ["search"] = () => PatternSearch.Try(0, s_heads.Q, s_heads.K, s_heads.V, [new AShape(1, 3), new BlockTopK(1)], new() { Block = 4 }),
        ["minference"] = () => new MInferenceAttention(new BlockTopK(2), new() { Block = 4, Exact = true }).Attend(new(0, 0.5, Causal: true), s_heads.Q, s_heads.K, s_heads.V),
        ["flex"] = () => FlexPrefill.Budget(s_pattern, min: 2),
    };

    public static TheoryData<string> Calls => [.. s_calls.Keys];

    [Theory, MemberData(nameof(Calls))]
    public void Nothing_waits_for_the_collector(string call)
    {
        using IDisposable off = no_grad();
        void Once()
        {
            switch (s_calls[call]())
            {
                case IDisposable own: own.Dispose(); break;
                case Tensor[] many: foreach (Tensor t in many) t.Dispose(); break;
            }
        }

        Once();
        long alive = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        for (int i = 0; i < 5; i++) Once();
        double left = (DisposeScopeManager.Statistics.ThreadTotalLiveCount - alive) / 5.0;
        Assert.True(left == Owed(call), $"{call} leaves {left} tensors a call.");
    }

    /// <summary>Handles that the call above makes itself, as arguments.</summary>
    private static int Owed(string call) => call switch
    {
        "gin step" or "pna step" or "adapter" or "random adapter" => 1,
        _ => 0,
    };
}
