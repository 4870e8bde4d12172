using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>Wanda (Sun, Liu, Bair, Kolter 2023): keeps in each output unit the weights with the largest |w| ||x||. Kept weights stay as they are.</summary>
public sealed class WandaPruner : ILayerPruner
{
    /// <inheritdoc/>
    public string Name => "wanda";

    /// <inheritdoc/>
    public override string ToString() => Name;

    /// <inheritdoc/>
    public InputKnowledge Needs => InputKnowledge.Moments;

    /// <inheritdoc/>
    public PruningPattern PatternOf(double sparsity) => PruningPattern.PerRow(sparsity);

    /// <inheritdoc/>
    public PrunedWeight Prune(LayerContext layer, PruningPattern pattern, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(layer);
        cancel.ThrowIfCancellationRequested();
        using DisposeScope scope = NewDisposeScope();
        return new(scope.MoveToOuter(MaskSet.Keep(layer.Name, WandaScore.Of(layer.Weight, layer.InputsFor(Name)), pattern)));
    }
}
