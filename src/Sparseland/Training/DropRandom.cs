using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Drops any weights, all with the same chance: the control that a rule must beat.</summary>
public sealed class DropRandom : IDropScore
{
    /// <inheritdoc/>
    public string Name => "random";

    /// <inheritdoc/>
    public bool NeedsGradient => false;

    /// <inheritdoc/>
    public Tensor Of(TopologyContext layer)
    {
        ArgumentNullException.ThrowIfNull(layer);

        // Another seed than growth's: one drawing for both would grow what was just kept from being dropped.
        return (layer with { Seed = ~layer.Seed }).RandomScores();
    }
}
