using System.Reflection;
using Sparseland.ActivationSparsity;
using Sparseland.Attention.Estimation;
using Sparseland.Attention.Graphs;
using Sparseland.Attention.Routing;
using Sparseland.Autoencoders;
using Sparseland.Bayes.Networks;
using Sparseland.FineTuning;
using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Models.Diffusion;
using Sparseland.Models.Language;
using Sparseland.Models.Vision;
using Sparseland.Pruning;
using Sparseland.Selection;
using Sparseland.Training;
using Sparseland.Training.ArchitectureSearch;
using Sparseland.Training.IsoFlop;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using ThresholdRule = Sparseland.Autoencoders.ThresholdRule;

namespace Sparseland.Tests.Rooms;

/// <summary>
/// A module that is given another type gets new tensors, and the old ones are freed: TorchSharp fills fields of the concrete class whose name, or whose ComponentName, is that of the parameter,
/// and no others. So whoever keeps a parameter elsewhere holds a dead tensor after <c>.to(...)</c>.
/// </summary>
public class MovedModuleTests
{
    // Float32 on the CPU by what they compute from (packed matrices, spans), wrappers of a network's own parameters, or internal.
    private static readonly Type[] Fixed =
        [typeof(SparseLinear), typeof(Sparseland.Recommendation.LightGcn), typeof(MaskedLinear),
            typeof(Sparseland.Retrieval.Learned.FrozenTermHead), typeof(Sparseland.Retrieval.Learned.VocabularyHead),
            typeof(HyenaBlock), typeof(NoisePredictor), typeof(DenseSparseLinear), typeof(StraightThroughFactorizer)];

    private static Dictionary<string, Func<(nn.Module Module, long[]? Input)>> Modules { get; } = new()
    {
        ["scaling"] = () => (new ActivationScaling(), null),
        ["feature choice"] = () => (new FeatureChoiceRule(16, 2, null), null),
        ["gradient top-k"] = () => (new GradientTopKRule(2), null),
        ["statistics"] = () => (new LatentStatistics(16, 100), null),
        ["thresholds"] = () => (new ThresholdRule(16, 0.1), null),
        ["means"] = () => (new SphericalKMeans(2, 8, 3, 1), null),
        ["routing"] = () => (new RoutingHeads(2, 4, 8), null),
        ["sae batch-topk"] = () => (Calibrated(new BatchTopKRule(2)), [4, 8]),
        ["sae mutual"] = () => (Calibrated(new MutualChoiceRule(2)), [4, 8]),
        ["sae gated"] = () => (new SparseAutoencoder(8, 16, new GatedRule(16, ScalarType.Float32)), [4, 8]),
        ["sae jumprelu"] = () => (new SparseAutoencoder(8, 16, new JumpReluRule(16)), [4, 8]),
        ["sae thresholds"] = () => (new SparseAutoencoder(8, 16, new ThresholdRule(16, 0.1)), [4, 8]),
        ["gin"] = () => (new GinAttention(16, 2), [1, 5, 16]),
        ["gin, cut trained"] = () => (new GinAttention(16, 2, new() { Cut = new(CutKind.Relu) { TrainedThreshold = true } }), [1, 5, 16]),
        ["pna"] = () => (new PnaAttention(16, 2), [1, 5, 16]),
        ["sparse gin"] = () => (new SparseGinAdapter(new TinyLM(new() { Vocabulary = 20, Width = 16, MlpWidth = 16, Layers = 1, Heads = 2, KeyValueHeads = 2, Context = 16 }, seed: 1)), null),
        ["causal convolution"] = () => (new CausalConv2d(2, 2), [1, 2, 5, 4]),
        ["sea"] = () => (new SeaEstimator(2, 8, new() { Cells = 8, MaxTokens = 16 }), null),
        ["blocks"] = () => (new BlockDiagonalLinear(8, 8, 2, 1), [4, 8]),
        ["lora"] = () => (new LoraLinear(nn.Linear(8, 8), 2, 1), [4, 8]),
        ["lost"] = () => (new LowRankChannelLinear(nn.Linear(8, 8), new() { Rank = 2, KeptShare = 0.25, ResidualComponents = 4 }, "a"), [4, 8]),
        ["low rank"] = () => (new LowRankLinear(8, 8, 2, 1, bias: true), [4, 8]),
        ["sltrain"] = () => (new LowRankSparseLinear(8, 8, new() { Rank = 2, Density = 0.25 }, bias: true), [4, 8]),
        ["monarch"] = () => (new MonarchLinear(MonarchShape.ForSquare(16), 1), [4, 16]),
        ["spectral"] = () => (new SpectralLinear(nn.Linear(8, 8), new() { Rank = 2 }, "a"), [4, 8]),
        ["slice"] = () => (new SliceLinear(nn.Linear(8, 8), SliceSide.Input, [1, 4], "a"), [4, 8]),
        ["continual"] = () => (new ContinualLora(nn.Linear(8, 8), ContinualRule.Routed, 2), null),
        ["rank mixture"] = () => (new RankMixtureLinear(nn.Linear(8, 8), new()), null),
        ["fixed support"] = () => (new FixedSupportLinear(Support.Random(8, 8, 20, 1), randn(20), zeros(8)), [4, 8]),
        ["root mean square"] = () => (new RootMeanSquareNorm(8, 1e-6), [4, 8]),
        ["vision"] = () => (new VisionTransformer(VisionTransformerOptions.Digits with { Width = 16, MlpWidth = 16, Layers = 1 }, 1), [2, 1, 28, 28]),
        ["quantised groups"] = () => (Groups(), [4, 8]),
        ["fixed groups"] = () => (Groups().Fix(), [4, 8]),
        ["movement"] = () => (new MovementLinear(randn(8, 8), zeros(8)), [4, 8]),
        ["pst"] = () => (new PstLinear(randn(8, 8), zeros(8)), [4, 8]),
        ["mixed operation"] = () => (new MixedOperation([("a", nn.Identity()), ("b", nn.ReLU())]), [4, 8]),
        ["effective weight"] = () => (new EffectiveWeight(nn.Linear(8, 8), new MaskedWeight(new NofMPattern(2, 4))), [4, 8]),
        ["doped"] = () => (new DopedLinear(8, 8, 2), [4, 8]),
        ["bayes"] = () => (new BayesLinear(nn.Linear(8, 8)), [4, 8]),
        ["sparse inputs"] = () => (new SparseInputLinear(nn.Linear(8, 8), "a", new WeightInformedScore(), ActivationBudget.Channels(3)), [4, 8]),
        ["scored"] = () => (new ScoredLinear(8, 8, new Generator(1)), [4, 8]),
    };

    public static TheoryData<string> Names => [.. Modules.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void After_another_type_no_module_holds_a_dead_tensor(string name)
    {
        (nn.Module module, long[]? input) = Modules[name]();
        using (module)
        {
            foreach (ScalarType type in new[] { ScalarType.Float64, ScalarType.Float32 })
            {
                module.to(type);
                Assert.All(Held(module), held => Assert.False(held.Tensor.IsInvalid, $"{held.Name} is dead"));
                Assert.All(module.named_parameters(), held => Assert.Equal((held.name, type), (held.name, held.parameter.dtype)));
                Assert.All(Held(module).Where(held => held.Tensor.is_floating_point()), held => Assert.Equal((held.Name, type), (held.Name, held.Tensor.dtype)));
                if (input is null) continue;
                using Tensor x = randn(input, dtype: type, generator: new Generator(7));
                using Tensor y = module is SparseAutoencoder autoencoder ? autoencoder.Reconstruct(x) : ((nn.Module<Tensor, Tensor>)module).call(x);
                Assert.Equal(type, y.dtype);
                Assert.True(y.isfinite().all().item<bool>());
            }
        }
    }

    [Fact]
    public void Every_module_with_tensors_of_its_own_is_tried()
    {
        HashSet<Type> tried = [.. Fixed];
        foreach (Func<(nn.Module Module, long[]? Input)> make in Modules.Values)
        {
            using nn.Module module = make().Module;
            foreach (nn.Module part in module.modules().Append(module)) tried.Add(part.GetType());
        }

        Type[] all = [.. typeof(ActivationScaling).Assembly.GetExportedTypes().Where(t => !t.IsAbstract && typeof(nn.Module).IsAssignableFrom(t))];
        Assert.Contains(all, HasTensors);
        Assert.Empty(all.Where(HasTensors).Except(tried).Select(t => t.Name));
    }

    private static SparseAutoencoder Calibrated(BatchTopKRule rule)
    {
        rule.ScaleThresholds(0.1);
        return new(8, 16, rule);
    }

    private static GroupQuantLinear Groups() => new(randn(8, 8), zeros(8), ones([8, 8], dtype: ScalarType.Bool), new(4, 4));

    private static bool HasTensors(Type type) => Fields(type).Any(f => typeof(Tensor).IsAssignableFrom(f.FieldType));

    private static IEnumerable<(string Name, Tensor Tensor)> Held(nn.Module module) =>
        module.modules().Append(module).SelectMany(part => Fields(part.GetType()).Select(f => (Name: $"{part.GetType().Name}.{f.Name}", Tensor: f.GetValue(part) as Tensor)))
            .Where(held => held.Tensor is not null).Select(held => (held.Name, held.Tensor!));

    private static IEnumerable<FieldInfo> Fields(Type? type)
    {
        for (; type is not null && type.Assembly == typeof(ActivationScaling).Assembly; type = type.BaseType)
        {
            foreach (FieldInfo field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
                yield return field;
        }
    }
}
