namespace Sparseland.Attention.Prefill;

/// <summary>How patterns are estimated (Jiang et al. 2024). The defaults are the paper's, for texts of tens of thousands of tokens; at a thousand the forced parts alone would be a quarter of all cells.</summary>
public sealed record MInferenceOptions
{
    /// <summary>Queries of the strip that columns and slashes are estimated from; a shorter text takes all it has. Default 64.</summary>
    public int LastQueries { get; init; } = 64;

    /// <summary>Queries at the end that the strip leaves out. Default 0; anything else is for experiments: what is asked there is then unknown to the estimate.</summary>
    public int StripEnd { get; init; }

    /// <summary>First keys that are always columns. Default 30.</summary>
    public int ForcedColumns { get; init; } = 30;

    /// <summary>Smallest distances that are always slashes. Default 100.</summary>
    public int ForcedSlashes { get; init; } = 100;

    /// <summary>Queries, and keys, of a block of the kernel. Default 64.</summary>
    public int Block { get; init; } = 64;

    /// <summary>Whether cells are computed one by one: what is selected and nothing beside it. Slower, and the fair form where accuracy at equal cells is compared. Default false.</summary>
    public bool Exact { get; init; }

    /// <summary>Throws when a value is out of its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(LastQueries);
        ArgumentOutOfRangeException.ThrowIfNegative(StripEnd);
        ArgumentOutOfRangeException.ThrowIfNegative(ForcedColumns);
        ArgumentOutOfRangeException.ThrowIfNegative(ForcedSlashes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Block);
    }
}
