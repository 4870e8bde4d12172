using Sparseland.Attention;
using Sparseland.Attention.Caching;
using Sparseland.Attention.Estimation;
using Sparseland.Attention.Features;
using Sparseland.Attention.Frontier;
using Sparseland.Attention.Graphs;
using Sparseland.Attention.Prefill;
using Sparseland.Attention.Routing;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

/// <summary>One test for every method of the chapter: other tokens from a place on change no output before it. Methods that say that they know later tokens must fail it.</summary>
public class CausalityTests
{
    private const int Tokens = 96, Place = 60;
    private static readonly LlamaConfig s_small = new() { Vocabulary = 50, Width = 64, MlpWidth = 48, Layers = 2, Heads = 4, KeyValueHeads = 4, Context = 128 };
    private static readonly MInferenceOptions s_estimate = new() { LastQueries = 16, ForcedColumns = 2, ForcedSlashes = 4, Block = 16 };

    public static TheoryData<string, bool> Methods => new()
    {
        { "window", true }, { "sinks", true }, { "dilated", true }, { "strided", true }, { "lines", true }, { "blocks", true }, { "kernel lines", true },
        { "Scatterbrain", true }, { "pruned per token", true }, { "routing by prefix", true }, { "local heads", true },
        { "SEA", true },
        { "sinks and window of an exact budget", true }, { "newest tokens", true }, { "oracle", true }, { "Quest", true }, { "SnapKV before the question", true },
        { "MInference", false }, { "block means", false }, { "pruned per channel", false }, { "routing by whole sequences", false },

        // Their tokens are judged by queries at the end, or by means of blocks: causal for a prompt that is there already, and for what comes after it.
        { "SnapKV", false }, { "Ada-SnapKV", false }, { "lines of an exact budget", false }, { "blocks of an exact budget", false }, { "FlexPrefill", false },
    };

    private static IAttentionMethod Make(string name) => name switch
    {
        "window" => new PatternAttention(c => AttentionPatterns.Window(c.Tokens, 9)),
        "sinks" => new PatternAttention(c => AttentionPatterns.SinksAndWindow(c.Tokens, 3, 9)),
        "dilated" => new PatternAttention(c => AttentionPatterns.Dilated(c.Tokens, 30, 3)),
        "strided" => new PatternAttention(c => AttentionPatterns.Strided(c.Tokens, 5)),
        "lines" => new PatternAttention(c => AttentionPatterns.VerticalSlash(c.Tokens, [0, 7, 40], [0, 1, 20])),
        "blocks" => new BlockAttention(c => [BlockSupport.FromBlocks(c.Tokens, 16, AttentionPatterns.Full(c.Tokens / 16))]),
        "kernel lines" => new BlockAttention(c => [VerticalSlashIndex.ToBlocks(c.Tokens, new([0, 7, 40], [0, 1, 20]), 16)]),
        "Scatterbrain" => new Own((call, q, k, v) =>
        {
            var features = new HyperbolicFeatures((int)q.shape[3], 16);
            using ScatterbrainResult result = Scatterbrain.Attend(q, k, v, features, AttentionSupport.Shared(AttentionPatterns.Window((int)q.shape[2], 9), 4), causal: true, scale: call.Scale);
            return result.Output.clone();
        }),
        "pruned per token" => new PrunedCacheAttention((k, v, _) => (CachePruning.Prune(k, 0.5), CachePruning.Prune(v, 0.5)), residual: 8),
        "pruned per channel" => new PrunedCacheAttention((k, v, _) => (CachePruning.Prune(k, 0.5, PruneAxis.Channel, group: 96), v), residual: 8),
        "SEA" => new SeaAttention([new(4, 16, new() { Cells = 16 }, seed: 1), new(4, 16, new() { Cells = 16 }, seed: 2)], 6),
        "MInference" => new MInferenceAttention(new VerticalSlash(4, 6), s_estimate),
        "block means" => new MInferenceAttention(new BlockTopK(2), s_estimate),
        "sinks and window of an exact budget" => Read(FrontierMethod.SinksAndWindow),
        "lines of an exact budget" => Read(FrontierMethod.VerticalSlash),
        "blocks of an exact budget" => Read(FrontierMethod.BlockSparse),
        "FlexPrefill" => Read(FrontierMethod.FlexPrefill),
        "newest tokens" => Write(FrontierMethod.Window),
        "oracle" => Write(FrontierMethod.Oracle),
        "Quest" => Write(FrontierMethod.Quest),
        "SnapKV before the question" => Write(FrontierMethod.SnapKvBefore),
        "SnapKV" => Write(FrontierMethod.SnapKv),
        "Ada-SnapKV" => Write(FrontierMethod.AdaSnapKv),
        "local heads" => Heads(RoutedKind.Local, RoutingSelection.Prefix),
        "routing by prefix" => Heads(RoutedKind.Routing, RoutingSelection.Prefix),
        _ => Heads(RoutedKind.Routing, RoutingSelection.FullSequence),
    };

    private static PrefillFrontier Read(FrontierMethod method) => new(method, 0.6, 16, new() { First = 2, Near = 4, Slashes = 6 });

    // The prompt ends before the place at which tokens change.
    private static DecodeFrontier Write(FrontierMethod method) => new(method, 0.5, 40, new() { First = 2, Local = 2, Window = 8, Block = 4 });

    [Theory, MemberData(nameof(Methods))]
    public void What_comes_later_changes_nothing_before(string name, bool causal)
    {
        using var model = new TinyLM(s_small, seed: 3);
        using IDisposable off = no_grad();

        // Larger weights than a language model starts with: its patterns are then not flat.
        foreach (var parameter in model.parameters().Where(p => p.dim() == 2)) parameter.mul_(8);
        Tensor ids = randint(0, 50, [1, Tokens], dtype: ScalarType.Int64, generator: new Generator(4));
        double Moved(ulong seed)
        {
            IAttentionMethod method = Make(name);
            if (method is nn.Module module) module.eval();
            Tensor changed = ids.clone();
            changed.narrow(1, Place, Tokens - Place).copy_(randint(0, 50, [1, Tokens - Place], dtype: ScalarType.Int64, generator: new Generator(seed)));
            Tensor before = model.Logits(ids, attention: method), after = model.Logits(changed, attention: method);
            return ((before - after).narrow(1, 0, Place).abs().max() / before.abs().max()).item<float>();
        }

        double most = new ulong[] { 11, 12, 13 }.Max(Moved);
        Assert.True(causal ? most < 1e-5 : most > 1e-4, $"{name}: {most}");
    }

    public static TheoryData<string, GraphAttentionOptions, bool> Graphs
    {
        get
        {
            TheoryData<string, GraphAttentionOptions, bool> all = new()
            {
                { "one plus epsilon", new GinOptions { SelfTerm = SelfTerm.OnePlusEpsilon, OutputMatrix = true }, true }, { "ReLU scores", new PnaOptions { Scores = AdjacencyScores.Relu }, true },
                { "PNA by norms", new PnaOptions { Aggregators = (PnaAggregators)63, Cut = new(CutKind.Relu) { Threshold = 0.05 } }, true },
                { "published maximum", new PnaOptions { Max = PnaMax.Reference }, true }, { "norm over all tokens", new GinOptions { NormToInput = true }, false },
            };
            foreach (CutKind kind in Enum.GetValues<CutKind>())
            {
                AdjacencyCut cut = new(kind) { Threshold = 0.05 };
                all.Add($"GIN {kind}", new GinOptions { Cut = cut }, true);
                if (kind != CutKind.Silu) all.Add($"PNA {kind}", new PnaOptions { Cut = cut }, true);

                // What becomes of forbidden cells when the triangle is not cut off again. Ranks choose them in the first rows only.
                bool stays = kind is CutKind.None or CutKind.Relu or CutKind.Binary;
                if (kind != CutKind.TopK) all.Add($"GIN {kind} without triangle", new GinOptions { Cut = cut with { Triangle = false } }, stays);
            }

            return all;
        }
    }

    [Theory, MemberData(nameof(Graphs))]
    public void What_comes_later_changes_no_graph_before(string name, GraphAttentionOptions attention, bool causal)
    {
        using var model = new GraphLM(new() { Vocabulary = 50, Width = 24, Heads = 3, MlpWidth = 20, Attention = attention });
        using IDisposable off = no_grad();
        model.eval();
        foreach (var parameter in model.named_parameters().Where(p => p.name.EndsWith("query.weight", StringComparison.Ordinal))) parameter.parameter.mul_(8);
        double most = Moved(ids => model.Logits(ids));
        Assert.True(causal ? most < 1e-5 : most > 1e-4, $"{name}: {most}");
    }

    [Theory, InlineData(EdgeDirection.KeyToQuery, false), InlineData(EdgeDirection.SelfLoopsOnly, false), InlineData(EdgeDirection.KeyToQuery, true)]
    public void What_comes_later_changes_no_adapter_before(EdgeDirection direction, bool random)
    {
        using var model = new TinyLM(s_small, seed: 3);
        using IDisposable off = no_grad();
        foreach (var parameter in model.parameters().Where(p => p.dim() == 2)) parameter.mul_(8);
        using var adapter = new SparseGinAdapter(model, new() { Hidden = 12, FirstScale = 0.5, Graph = new() { Direction = direction }, RandomEdges = random });
        adapter.eval();
        Assert.InRange(Moved(ids => model.Logits(ids, adapter)), 0, 1e-5);
    }

    private static double Moved(Func<Tensor, Tensor> logits) => new ulong[] { 11, 12, 13 }.Max(seed =>
    {
        Tensor ids = randint(0, 50, [1, Tokens], dtype: ScalarType.Int64, generator: new Generator(4)), changed = ids.clone();
        changed.narrow(1, Place, Tokens - Place).copy_(randint(0, 50, [1, Tokens - Place], dtype: ScalarType.Int64, generator: new Generator(seed)));
        Tensor before = logits(ids), after = logits(changed);
        return ((before - after).narrow(1, 0, Place).abs().max() / before.abs().max()).item<float>();
    });

    private static RoutingHeads Heads(RoutedKind kind, RoutingSelection selection) => new(2, 4, 16, new() { Kind = kind, Clusters = 4, LocalBlock = 8, Routing = new() { Window = 24, Selection = selection } });

    private sealed class Own(Func<AttentionCall, Tensor, Tensor, Tensor, Tensor> attend) : IAttentionMethod
    {
        public Tensor? Attend(AttentionCall call, Tensor q, Tensor k, Tensor v) => attend(call, q, k, v);
    }
}
