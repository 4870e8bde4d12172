using Sparseland.Tensors;

namespace Sparseland.Attention.Routing;

/// <summary>What a token's membership in a list may depend on.</summary>
public enum RoutingSelection
{
    /// <summary>The whole sequence, as published: each centroid takes its nearest tokens of all. Values do not leak from later tokens, but whether a token is in a list depends on them.</summary>
    FullSequence,

    /// <summary>What stands before: each token attends to the most similar earlier members of its own cluster. Strictly causal; ours.</summary>
    Prefix,
}

/// <summary>Settings of <see cref="RoutingAttention"/>.</summary>
public sealed record RoutingOptions
{
    /// <summary>Tokens of a list, w; of <see cref="RoutingSelection.Prefix"/> the most keys of a query. Default null: tokens / clusters, rounded up.</summary>
    public int? Window { get; init; }

    /// <summary>Whether queries are the keys too, so that a cluster has one list. Default false; the published language models share them.</summary>
    public bool Shared { get; init; }

    /// <summary>What membership may depend on. Default the full sequence, as published.</summary>
    public RoutingSelection Selection { get; init; }

    /// <summary>Whether a token attends to itself. Default true. With false its own score is -50,000: it counts only where nothing else is seen.</summary>
    public bool SelfAttention { get; init; } = true;

    /// <summary>Factor of the products of normalised queries and keys. Default null: 1 / sqrt(headDim).</summary>
    public double? Scale { get; init; }

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range.</exception>
    public void Validate()
    {
        if (Window is { } w) ArgumentOutOfRangeException.ThrowIfNegativeOrZero(w, nameof(Window));
        if (!Enum.IsDefined(Selection)) throw new ArgumentOutOfRangeException(nameof(Selection), Selection, "Not a selection.");
        Finite.Positive(Scale);
    }
}
