using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Grows where the gradient of this mini-batch is largest in size, |dL/dw| at the masked weights: RigL (Evci et al. 2020), DSL.</summary>
public sealed class GrowGradient : IGrowScore, IOwnScores
{
    /// <inheritdoc/>
    public string Name => "gradient";

    /// <inheritdoc/>
    public bool NeedsGradient => true;

    /// <inheritdoc/>
    public Tensor Of(TopologyContext layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        using IDisposable off = no_grad();
        return layer.GradientFor(Name).abs();
    }
}
