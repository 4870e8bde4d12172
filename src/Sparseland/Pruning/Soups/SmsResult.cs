using Sparseland.Training;

namespace Sparseland.Pruning.Soups;

/// <summary>One phase of sparse model soups.</summary>
/// <param name="Phase">From 1.</param>
/// <param name="Pruning">What the pruning of the parent did.</param>
/// <param name="Rate">Learning rate from which the retrainings fell, before a child's factor.</param>
/// <param name="Children">The children, batch norm recalibrated; they belong to the result.</param>
/// <param name="Soup">Their average, recalibrated in the same way: the parent of the next phase. It belongs to the result.</param>
/// <param name="Chosen">Children that are in the soup.</param>
/// <param name="ChildScores">Validation accuracy of each child; empty without validation images.</param>
/// <param name="SoupScore">Validation accuracy of the soup; null without validation images.</param>
/// <param name="Distances">Euclidean distance between each two children [m, m].</param>
/// <param name="RelativeBarycentre">Mean distance of the children from their mean, over its length.</param>
/// <param name="Seconds">Time of the phase.</param>
public sealed record SmsPhase(
    int Phase, PruningStep Pruning, double Rate, IReadOnlyList<SparseSnapshot> Children, SparseSnapshot Soup, IReadOnlyList<int> Chosen, IReadOnlyList<double> ChildScores,
    double? SoupScore, double[,] Distances, double RelativeBarycentre, double Seconds) : IDisposable
{
    /// <summary>Frees children and soup.</summary>
    public void Dispose()
    {
        foreach (SparseSnapshot child in Children) child.Dispose();
        Soup.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"SmsPhase {Phase}: {Children.Count} children at sparsity {Pruning.Sparsity:0.####}, relative barycentre distance {RelativeBarycentre:0.####}, {Seconds:0.0} s");
}

/// <summary>All phases of sparse model soups.</summary>
/// <param name="Phases">In order; they belong to the result.</param>
public sealed record SmsResult(IReadOnlyList<SmsPhase> Phases) : IDisposable
{
    /// <summary>The last soup.</summary>
    public SparseSnapshot Final => Phases[^1].Soup;

    /// <summary>Frees all networks.</summary>
    public void Dispose()
    {
        foreach (SmsPhase phase in Phases) phase.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"SmsResult of {Phases.Count} phases; {Phases[^1]}";
}
