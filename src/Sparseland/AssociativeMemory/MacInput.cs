using Sparseland.Tensors;

namespace Sparseland.AssociativeMemory;

/// <summary>The signals that can take part in choosing a code.</summary>
[Flags]
public enum MacSignals
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>U, bottom-up: from the receptive field.</summary>
    U = 1,

    /// <summary>H, horizontal: from the macrocolumn's previous code.</summary>
    H = 2,

    /// <summary>D, top-down: from the code of a higher macrocolumn.</summary>
    D = 4,

    /// <summary>All that are present.</summary>
    All = U | H | D,
}

/// <summary>What reaches a macrocolumn at one step. An array of active inputs converts by itself.</summary>
/// <param name="Active">Active inputs, each once, in any order; null when there is no bottom-up signal.</param>
/// <param name="Previous">Winners of the previous step; null on the first frame of a sequence.</param>
/// <param name="TopDown">Active cells of the higher macrocolumn; null for none.</param>
/// <param name="PreviousBoost">Factor of the horizontal signal, <see cref="CodeResult.Boost"/> of the previous step. Default 1.</param>
public sealed record MacInput(int[]? Active, int[]? Previous = null, int[]? TopDown = null, double PreviousBoost = 1)
{
    /// <summary>The signals that are there.</summary>
    public MacSignals Signals =>
        (Active is null ? 0 : MacSignals.U) | (Previous is null ? 0 : MacSignals.H) | (TopDown is null ? 0 : MacSignals.D);

    /// <summary>Bottom-up signal only.</summary>
    /// <param name="active">Active inputs.</param>
    public static implicit operator MacInput(int[] active) => new(active);

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
