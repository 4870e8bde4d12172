using Sparseland.Tensors;

namespace Sparseland.Training;

/// <summary>What a topology update did.</summary>
/// <param name="Step">The step, counted from 1.</param>
/// <param name="Fraction">Planned share of active weights to drop.</param>
/// <param name="Changes">Change of each layer by name; a layer in which nothing moved is left out.</param>
public sealed record TopologyReport(long Step, double Fraction, IReadOnlyDictionary<string, TopologyChange> Changes)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
