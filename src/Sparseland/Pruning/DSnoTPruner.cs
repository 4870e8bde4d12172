using Sparseland.Tensors;
using Sparseland.Training;

namespace Sparseland.Pruning;

/// <summary>A method with its mask improved by <see cref="DSnoT"/>. Kept weights have their dense values, whatever the first method made of them.</summary>
/// <param name="initial">Gives the first mask; Wanda where null.</param>
/// <param name="options">Number of swaps and rules; null for the defaults.</param>
/// <param name="refines">Which layers are refined, by name; null for all. The others keep the first mask.</param>
public sealed class DSnoTPruner(ILayerPruner? initial = null, DSnoTOptions? options = null, Func<string, bool>? refines = null) : ILayerPruner
{
    private readonly ILayerPruner _initial = initial ?? new WandaPruner();

    /// <inheritdoc/>
    public string Name => $"{_initial.Name} + dsnot";

    /// <summary>Name and settings.</summary>
    public override string ToString() => $"{_initial} + dsnot, {Readable.Of(options ?? new())}{(refines is null ? "" : ", some layers")}";

    /// <inheritdoc/>
    public InputKnowledge Needs => _initial.Needs == InputKnowledge.Gram ? InputKnowledge.Gram : InputKnowledge.Moments;

    /// <inheritdoc/>
    public PruningPattern PatternOf(double sparsity) => PruningPattern.PerRow(sparsity);

    /// <inheritdoc/>
    public PrunedWeight Prune(LayerContext layer, PruningPattern pattern, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(layer);
        using PrunedWeight first = _initial.Prune(layer, pattern, cancel);
        if (refines?.Invoke(layer.Name) == false) return new(first.Mask.clone());
        try
        {
            using DSnoTResult refined = DSnoT.Refine(layer.Weight, first.Mask, layer.InputsFor(Name), pattern, options, cancel);
            return new(refined.Mask.clone());
        }
        catch (ArgumentException error)
        {
            throw new ArgumentException($"{layer.Name}: {error.Message}", nameof(layer), error);
        }
    }
}
