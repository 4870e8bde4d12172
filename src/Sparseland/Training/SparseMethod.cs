using Sparseland.Tensors;

namespace Sparseland.Training;

/// <summary>How a network becomes or stays sparse while it is trained: what moves, when, by which rules. Those of the literature are in <see cref="SparseTraining"/>.</summary>
/// <param name="Name">Short name, as tables and charts show it.</param>
public sealed record SparseMethod(string Name)
{
    /// <summary>When the masks move; null, the default, for masks that stay.</summary>
    public TopologyOptions? Topology { get; init; }

    /// <summary>What is dropped. Default null.</summary>
    public IDropScore? Drop { get; init; }

    /// <summary>What grows. Default null.</summary>
    public IGrowScore? Grow { get; init; }

    /// <summary>Sparsity by step of a training that begins dense; null, the default, for one that does not.</summary>
    public SparsitySchedule? Pruning { get; init; }

    /// <summary>Steps between two prunings. Default 20.</summary>
    public long PruningInterval { get; init; } = 20;

    /// <summary>From a sparsity to who competes with whom where it prunes; null, the default, for all layers together.</summary>
    public Func<double, PruningPattern>? Pattern { get; init; }

    /// <summary>Whether it needs masks to begin with.</summary>
    public bool NeedsMasks => Topology is not null;

    /// <summary>Whether the gradient of an update is taken at all weights. What is dropped is active: a drop rule asks for no more than a step computes anyway.</summary>
    public bool NeedsDenseGradient => Topology is not null && (Grow?.NeedsGradient == true || Topology.NewWeights.NeedsGradient);

    /// <summary>Whether the gradient of every step is taken at all weights.</summary>
    public bool NeedsDenseGradients => Topology is not null && (Drop?.NeedsAverage == true || Grow?.NeedsAverage == true || Topology.Redistribute || Topology.Moments == MomentRule.Keep);

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
