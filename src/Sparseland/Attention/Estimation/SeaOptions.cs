namespace Sparseland.Attention.Estimation;

/// <summary>Sizes of a <see cref="SeaEstimator"/>.</summary>
public sealed record SeaOptions
{
    /// <summary>Cells of an estimated row, K: a multiple of 4. Default 64, for texts of a few hundred tokens; the paper has 256.</summary>
    public int Cells { get; init; } = 64;

    /// <summary>Random features of the linear attention, m. Default null: headDim ln(headDim) / 8, rounded, as the paper's decoders.</summary>
    public int? Features { get; init; }

    /// <summary>Longest text, the rows of the table of positions. Default 256. Positions that no training text reached are noise.</summary>
    public int MaxTokens { get; init; } = 256;

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentException">A value is out of its range, or the cells are no multiple of 4.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Cells);
        if (Cells % 4 != 0) throw new ArgumentException($"Cells is {Cells}; it must be a multiple of 4, since the estimate is made at a quarter of its width.", nameof(Cells));
        if (Features is { } features) ArgumentOutOfRangeException.ThrowIfNegativeOrZero(features, nameof(Features));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxTokens);
    }
}
