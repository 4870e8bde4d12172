using Sparseland.Tensors;

namespace Sparseland.AssociativeMemory;

/// <summary>A code that a macrocolumn chose, and how.</summary>
/// <param name="Winners">
/// [Q], cell numbers q K + k, one of each module in ascending order; empty when the macrocolumn stayed off.
/// </param>
/// <param name="Familiarity">G, the mean over modules of the largest V, 0 to 1.</param>
/// <param name="Expansivity">eta that follows from G.</param>
/// <param name="Signals">The signals that were used.</param>
/// <param name="Hypotheses">zeta, the mean over modules of the number of cells at the maximum of V, rounded.</param>
/// <param name="Boost">Factor of this code's outgoing signals; 1 without <see cref="MacOptions.Hypotheses"/>.</param>
/// <param name="IsActive">False when the number of active inputs was outside the band and there is no code.</param>
/// <param name="IsUntrained">True when nothing has been learned yet: the code is random and means nothing.</param>
public sealed record CodeResult(
    int[] Winners, double Familiarity, double Expansivity, MacSignals Signals, int Hypotheses, double Boost, bool IsActive, bool IsUntrained)
{
    /// <summary>The macrocolumn stayed off.</summary>
    internal static CodeResult Inactive(bool isUntrained) => new([], 0, 1, MacSignals.None, 0, 1, false, isUntrained);

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
