using Sparseland.Training;

namespace Sparseland.Pruning;

/// <summary>One round of pruning and retraining.</summary>
/// <param name="Round">From 1.</param>
/// <param name="Pruning">What the pruning did.</param>
/// <param name="Rate">Learning rate from which the retraining fell.</param>
/// <param name="Network">The network after the retraining, batch norm recalibrated; it belongs to the result.</param>
/// <param name="Seconds">Time of the round.</param>
public sealed record ImpRound(int Round, PruningStep Pruning, double Rate, SparseSnapshot Network, double Seconds) : IDisposable
{
    /// <summary>Frees the network.</summary>
    public void Dispose() => Network.Dispose();

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"ImpRound {Round}: sparsity {Pruning.Sparsity:0.####}, {Seconds:0.0} s");
}

/// <summary>All rounds of an iterative magnitude pruning.</summary>
/// <param name="Rounds">In order; they belong to the result.</param>
public sealed record ImpResult(IReadOnlyList<ImpRound> Rounds) : IDisposable
{
    /// <summary>The network after the last round.</summary>
    public SparseSnapshot Final => Rounds[^1].Network;

    /// <summary>Frees all networks.</summary>
    public void Dispose()
    {
        foreach (ImpRound round in Rounds) round.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"ImpResult of {Rounds.Count} rounds; {Rounds[^1]}";
}
