using Sparseland.Tensors;

namespace Sparseland.Attention.Graphs;

/// <summary>From the products of queries and keys to an adjacency.</summary>
public enum AdjacencyScores
{
    /// <summary>softmax over the keys that a query sees: rows of sum one.</summary>
    Softmax,

    /// <summary>The positive part of each score: rows of any sum.</summary>
    Relu,
}

/// <summary>The node's own part in a GIN step.</summary>
public enum SelfTerm
{
    /// <summary>epsilon X + A X: the released code.</summary>
    Epsilon,

    /// <summary>(1 + epsilon) X + A X: the paper's and GIN's own formula.</summary>
    OnePlusEpsilon,
}

/// <summary>Statistics of a neighbourhood.</summary>
[Flags]
public enum PnaAggregators
{
    /// <summary>A V.</summary>
    Sum = 1,

    /// <summary>A V over the degree.</summary>
    Mean = 2,

    /// <summary>The largest value of each channel.</summary>
    Max = 4,

    /// <summary>The weighted variance of each channel.</summary>
    Variance = 8,

    /// <summary>The neighbour of largest norm.</summary>
    LargestNorm = 16,

    /// <summary>The neighbour of smallest norm.</summary>
    SmallestNorm = 32,

    /// <summary>Sum, mean, max and variance: PNA-Attention.</summary>
    Four = Sum | Mean | Max | Variance,
}

/// <summary>What the maximum of PNA is taken over.</summary>
public enum PnaMax
{
    /// <summary>The neighbours, as meant.</summary>
    Neighbours,

    /// <summary>As the released code computes it, with an axis interchanged: each node's own vector, whatever its neighbours.</summary>
    Reference,
}

/// <summary>What attentions over graphs have in common (Buehler 2025, arXiv 2501.02393).</summary>
public abstract record GraphAttentionOptions
{
    /// <summary>How products become an adjacency. Default softmax.</summary>
    public AdjacencyScores Scores { get; init; }

    /// <summary>What the products are divided by besides sqrt(headDim), above 0. Default 1.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>What happens to the adjacency then. Default nothing.</summary>
    public AdjacencyCut Cut { get; init; } = AdjacencyCut.None;

    /// <summary>Hidden width of each head's MLP over the width of the head, above 0. Default 2; the released example has 0.5.</summary>
    public double Multiplier { get; init; } = 2;

    /// <summary>Share of hidden numbers dropped in training, from 0 to below 1. Default 0.1.</summary>
    public double Dropout { get; init; } = 0.1;

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentException">A value is out of its range.</exception>
    public virtual void Validate()
    {
        if (!Enum.IsDefined(Scores)) throw new ArgumentOutOfRangeException(nameof(Scores), Scores, "There are no such scores.");
        Finite.Positive(Temperature);
        Finite.Positive(Multiplier);
        if (!(Dropout is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(Dropout), Dropout, "Dropout must be from 0 to below 1.");
        ArgumentNullException.ThrowIfNull(Cut);
        Cut.Validate();
    }

    /// <summary>The layer.</summary>
    internal abstract GraphAttention Make(int width, int heads, int context, double theta);
}

/// <summary>Settings of <see cref="GinAttention"/> and of a GIN step.</summary>
public sealed record GinOptions : GraphAttentionOptions
{
    /// <summary>The node's own part. Default epsilon X, as released.</summary>
    public SelfTerm SelfTerm { get; init; }

    /// <summary>Whether a matrix mixes the heads at the end. Default false, as in the released example.</summary>
    public bool OutputMatrix { get; init; }

    /// <summary>
    /// Whether the output is scaled so that its norm over ALL tokens is that of the input, the released switch norm_to_hidden_states. Default false: later tokens are in that norm, so it shows the future.
    /// </summary>
    public bool NormToInput { get; init; }

    /// <inheritdoc/>
    public override void Validate()
    {
        base.Validate();
        if (!Enum.IsDefined(SelfTerm)) throw new ArgumentOutOfRangeException(nameof(SelfTerm), SelfTerm, "There is no such self term.");
    }

    internal override GraphAttention Make(int width, int heads, int context, double theta) => new GinAttention(width, heads, this, context, theta);
}

/// <summary>Settings of <see cref="PnaAttention"/> and of a PNA step.</summary>
public sealed record PnaOptions : GraphAttentionOptions
{
    /// <summary>Which statistics. Default sum, mean, max and variance.</summary>
    public PnaAggregators Aggregators { get; init; } = PnaAggregators.Four;

    /// <summary>What the maximum is taken over. Default the neighbours.</summary>
    public PnaMax Max { get; init; }

    /// <summary>Statistics side by side.</summary>
    internal int Count => System.Numerics.BitOperations.PopCount((uint)Aggregators);

    /// <inheritdoc/>
    public override void Validate()
    {
        base.Validate();
        if (!Enum.IsDefined(Max)) throw new ArgumentOutOfRangeException(nameof(Max), Max, "There is no such maximum.");
        if (Aggregators == 0 || ((int)Aggregators & ~63) != 0) throw new ArgumentOutOfRangeException(nameof(Aggregators), Aggregators, "Aggregators must name at least one statistic, and none but those that there are.");
        if (Cut.Signed) throw new ArgumentException("The cut silu has negative cells; degrees need cells that are not negative.", nameof(Cut));
    }

    internal override GraphAttention Make(int width, int heads, int context, double theta) => new PnaAttention(width, heads, this, context, theta);
}
