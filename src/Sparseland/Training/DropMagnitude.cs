using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Drops the weights that are smallest in size, |w|: SET's kin, RigL, ITOP, DSL.</summary>
public sealed class DropMagnitude : IDropScore
{
    /// <inheritdoc/>
    public string Name => "magnitude";

    /// <inheritdoc/>
    public bool NeedsGradient => false;

    /// <inheritdoc/>
    public Tensor Of(TopologyContext layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        using IDisposable off = no_grad();
        return layer.Weight.abs();
    }
}
