using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>Keeps weights at random: the control of every score.</summary>
/// <param name="seed">Seed; a layer's mask depends on it and on the layer's name.</param>
public sealed class RandomPruner(long seed) : ILayerPruner
{
    /// <inheritdoc/>
    public string Name => "random";

    /// <summary>Name and seed.</summary>
    public override string ToString() => FormattableString.Invariant($"{Name}, seed {seed}");

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
        return new(scope.MoveToOuter(MaskSet.Keep(layer.Name, TopologyContext.RandomScores(layer.Weight.shape, seed, (long)SeededRandom.Mix(TopologyContext.NameHash(layer.Name))), pattern)));
    }
}
