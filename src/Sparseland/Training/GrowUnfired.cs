using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Grows where no weight has ever been active, at random; when those are used up anywhere else at random ("random unfired", ITOP's code).</summary>
public sealed class GrowUnfired : IGrowScore
{
    /// <inheritdoc/>
    public string Name => "random-unfired";

    /// <inheritdoc/>
    public bool NeedsGradient => false;

    /// <inheritdoc/>
    public Tensor Of(TopologyContext layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return layer.RandomScores().sub_((layer.Fired ?? layer.Mask).to(ScalarType.Float64)).MoveToOuterDisposeScope();
    }
}
