using Sparseland.Models;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

[Collection(nameof(LoneGenerator))]
public sealed class MaskedLinearTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Theory, InlineData("SET"), InlineData("RigL"), InlineData("SNFS")]
    public void A_training_over_active_weights_alone_is_the_masked_dense_one_up_to_rounding(string name)
    {
        (Tensor X, Tensor labels) = TrainingData.Blobs(60, 8, 3, 1);
        (double[] Weights, string Masks, int Sparse) Train(bool sparse)
        {
            // In Float64, where the order of sums cannot turn a choice of the masks round.
            using Sequential network = TrainingData.Mlp(ScalarType.Float64, 64);
            using MaskSet masks = MaskSet.Random(network, 0.1, 2);
            SparseMethod method = name switch { "SET" => SparseTraining.Set(40, 5), "RigL" => SparseTraining.RigL(40, 5), _ => SparseTraining.Snfs(40, 5) };
            using SparseOptimizer optimizer = new(new AdamWOptimizer(network), masks, method.Topology, method.Drop, method.Grow);
            IReadOnlyList<ReplacedLayer> replaced = sparse ? MaskedLinear.Attach(network, masks, () => optimizer.NeedsDenseGradient, 1) : [];
            int over = 0;
            using TrainingLoop loop = new(
                network, new SampleBatches(X.to(ScalarType.Float64), labels, 10), Losses.CrossEntropy(network), new() { Steps = 40, LearningRate = 0.02 },
                optimizer.Hooks(new() { OnStep = (_, _) => over += replaced.Count(r => ((MaskedLinear)r.After).IsSparse) }), optimizer);
            loop.Run();
            LinearSlots.Restore(replaced);
            return (TrainingData.Parameters(network), string.Join(" ", masks.Names.Select(n => string.Join(",", masks.SupportOf(n).ColumnIndices.ToArray()))), over);
        }

        (double[] dense, string denseMasks, _) = Train(false);
        (double[] sparse, string sparseMasks, int over) = Train(true);
        Assert.Equal(denseMasks, sparseMasks);
        for (int i = 0; i < dense.Length; i++) Assert.Equal(dense[i], sparse[i], 1e-9);

        // Two layers, 40 steps; RigL's updates (5, 10, ..., 25) are dense, and SNFS is always.
        Assert.Equal(name switch { "SET" => 80, "RigL" => 70, _ => 0 }, over);
    }

    [Fact]
    public void Above_the_limit_and_in_evaluation_it_computes_the_same()
    {
        using Sequential network = TrainingData.Mlp(hidden: 64);
        using MaskSet masks = MaskSet.Random(network, 0.1, 2);
        masks.Apply();
        Tensor X = randn([2, 5, 8], generator: new Generator(3)), expected = network.call(X);
        IReadOnlyList<ReplacedLayer> dense = MaskedLinear.Attach(network, masks, limit: 0.05);
        Assert.True(network.call(X).eq(expected).all().item<bool>());
        Assert.All(dense, layer => Assert.False(((MaskedLinear)layer.After).IsSparse));
        LinearSlots.Restore(dense);
        IReadOnlyList<ReplacedLayer> sparse = MaskedLinear.Attach(network, masks, () => true);
        network.eval();
        Assert.True(network.call(X).allclose(expected, 1e-5, 1e-6));
        Assert.All(sparse, layer => Assert.True(((MaskedLinear)layer.After).IsSparse));
        Assert.Equal(4, network.parameters().Count());
        using (no_grad())
        {
            masks.Set("fc1.weight", zeros_like(masks["fc1.weight"]));
            Assert.False(network.call(X).allclose(expected, 1e-5, 1e-6));
        }

        Assert.Throws<ArgumentOutOfRangeException>("limit", () => MaskedLinear.Attach(network, masks, limit: 2));
        Assert.Throws<ArgumentException>("masks", () => MaskedLinear.Attach(network, masks));
    }
}
