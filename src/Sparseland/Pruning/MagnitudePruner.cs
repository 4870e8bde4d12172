using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>Keeps the largest weights of a layer.</summary>
public sealed class MagnitudePruner : ILayerPruner
{
    /// <inheritdoc/>
    public string Name => "magnitude";

    /// <inheritdoc/>
    public override string ToString() => Name;

    /// <inheritdoc/>
    public InputKnowledge Needs => InputKnowledge.None;

    /// <inheritdoc/>
    public PruningPattern PatternOf(double sparsity) => PruningPattern.PerLayer(sparsity);

    /// <inheritdoc/>
    public PrunedWeight Prune(LayerContext layer, PruningPattern pattern, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(layer);
        cancel.ThrowIfCancellationRequested();
        using DisposeScope scope = NewDisposeScope();
        return new(scope.MoveToOuter(MaskSet.Keep(layer.Name, MagnitudeScore.Of(layer.Weight), pattern)));
    }
}
