using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes.Networks;

/// <summary>Drops the weights whose distribution matters least by a <see cref="RemovalCriterion"/>: mu is the weight, its companion is rho with sigma = softplus(rho).</summary>
/// <param name="criterion">The criterion.</param>
public sealed class DropCriterion(RemovalCriterion criterion) : IDropScore
{
    /// <summary>The criterion.</summary>
    public RemovalCriterion Criterion { get; } = criterion ?? throw new ArgumentNullException(nameof(criterion));

    /// <inheritdoc/>
    public string Name => Criterion.Name;

    /// <inheritdoc/>
    public bool NeedsGradient => false;

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The layer has no companion, or several.</exception>
    public Tensor Of(TopologyContext layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        if (layer.Companions is not { Count: 1 } companions)
            throw new InvalidOperationException($"{layer.Layer} has {layer.Companions?.Count ?? 0} companions; the criterion {Name} needs one, its rho.");
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        // What a mask switches off has rho 0: its score is of no weight, but finite.
        return Criterion.Of(layer.Weight, nn.functional.softplus(companions.Values.Single())).MoveToOuterDisposeScope();
    }
}
