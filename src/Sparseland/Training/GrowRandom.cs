using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Grows anywhere, all places with the same chance: SET (Mocanu et al. 2018).</summary>
public sealed class GrowRandom : IGrowScore, IOwnScores
{
    /// <inheritdoc/>
    public string Name => "random";

    /// <inheritdoc/>
    public bool NeedsGradient => false;

    /// <inheritdoc/>
    public Tensor Of(TopologyContext layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        return layer.RandomScores();
    }
}
