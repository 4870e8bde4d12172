using Sparseland.Data;
using Sparseland.Models;
using Sparseland.Pruning;
using Sparseland.Training;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

/// <summary>A few shapes and a network of 1,196 prunable weights, for trainings of some steps.</summary>
internal static class SmallShapes
{
    public static readonly MaskedSgdOptions TwoEpochs = new() { Epochs = 2, BatchSize = 40 };

    public static Sequential Network() => WideCnn.Of(16, 4, 10, 3);

    public static LabelledImages Images(int count = 120, long seed = 1)
    {
        using LabelledImages large = TexturedShapes.Generate(count, seed);
        return large.Halved();
    }

    public static SparseSnapshot Dense()
    {
        using Sequential network = Network();
        return SparseSnapshot.Of(network);
    }

    public static bool Same(SparseSnapshot a, SparseSnapshot b) => a.State.All(s => s.Value.equal(b.State[s.Key]).all().item<bool>());
}
