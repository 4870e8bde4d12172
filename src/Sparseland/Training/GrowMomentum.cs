using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Grows where the running average of the raw gradients is largest in size: SNFS (Dettmers and Zettlemoyer 2019). The average is over ALL places, inactive ones
/// too, of gradients that nothing has masked: one made of masked gradients is zero wherever nothing is active, and the just dropped win every tie.
/// </summary>
public sealed class GrowMomentum : IGrowScore
{
    /// <inheritdoc/>
    public string Name => "momentum";

    /// <inheritdoc/>
    public bool NeedsGradient => false;

    /// <inheritdoc/>
    public bool NeedsAverage => true;

    /// <inheritdoc/>
    public Tensor Of(TopologyContext layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        using IDisposable off = no_grad();
        return layer.AverageFor(Name).abs();
    }
}
