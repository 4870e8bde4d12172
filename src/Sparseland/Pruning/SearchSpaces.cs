using Sparseland.Training;
using TorchSharp.Modules;

namespace Sparseland.Pruning;

/// <summary>What a search may draw from: random search needs no more, and another searcher takes the same.</summary>
public interface ISparseSpace
{
    /// <summary>Short name.</summary>
    string Name { get; }

    /// <summary>A random candidate.</summary>
    /// <param name="parent">The parent, for its shape.</param>
    /// <param name="seed">Seed; the same gives the same candidate.</param>
    /// <exception cref="ArgumentException">The parent has no such candidates.</exception>
    SparseCandidate Draw(Sequential parent, long seed);
}

/// <summary>Hidden nodes of a multi-layer perceptron: the same share of each layer stays.</summary>
public sealed record NodeSpace : ISparseSpace
{
    /// <summary>Candidates of a sparsity.</summary>
    /// <param name="sparsity">Share of the nodes of each hidden layer that go, from 0 to below 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">Outside.</exception>
    public NodeSpace(double sparsity)
    {
        if (!(sparsity is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, "The share of nodes that go must be from 0 to below 1.");
        Sparsity = sparsity;
    }

    /// <summary>Share of the nodes of each hidden layer that go.</summary>
    public double Sparsity { get; }

    /// <inheritdoc/>
    public string Name => "nodes";

    /// <inheritdoc/>
    public SparseCandidate Draw(Sequential parent, long seed) =>
        NodeMask.Random([.. SparseCandidate.LayersOf(parent).SkipLast(1).Select(layer => (int)layer.Layer.weight!.shape[0])], Sparsity, seed);
}

/// <summary>Weights of a network: plain random pruning with one density for each layer.</summary>
public sealed record EdgeSpace : ISparseSpace
{
    private readonly LayerAllocation _allocation;

    /// <summary>Candidates of a sparsity.</summary>
    /// <param name="sparsity">Share of all weights that go, from 0 to below 1.</param>
    /// <param name="allocation">How the weights are shared out among layers; null, the default, for <see cref="LayerAllocation.Uniform"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">Outside.</exception>
    public EdgeSpace(double sparsity, LayerAllocation? allocation = null)
    {
        if (!(sparsity is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, "The share of weights that go must be from 0 to below 1.");
        (Sparsity, _allocation) = (sparsity, allocation ?? LayerAllocation.Uniform);
    }

    /// <summary>Share of all weights that go.</summary>
    public double Sparsity { get; }

    /// <inheritdoc/>
    public string Name => $"edges, {_allocation.Name}";

    /// <inheritdoc/>
    public SparseCandidate Draw(Sequential parent, long seed)
    {
        LayerShape[] layers = [.. SparseCandidate.LayersOf(parent).Select(layer => new LayerShape(layer.Name + ".weight", layer.Layer.weight!.shape))];
        return new EdgeMask(_allocation.Solve(layers, 1 - Sparsity), seed);
    }
}
