using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Drops the weights whose removal changes the loss least to first order, (w g)^2 (Molchanov et al. 2019).</summary>
public sealed class DropTaylor : IDropScore
{
    /// <inheritdoc/>
    public string Name => "taylor";

    /// <inheritdoc/>
    public bool NeedsGradient => true;

    /// <inheritdoc/>
    public Tensor Of(TopologyContext layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();

        // In float64, where the square of a small product does not vanish into a tie.
        return layer.Weight.to(ScalarType.Float64).mul(layer.GradientFor(Name)).square().MoveToOuterDisposeScope();
    }
}
