namespace Sparseland.Attention.Frontier;

/// <summary>Constants of a study on short texts: those of the paper (blocks and pages of 16, 4 columns and 64 offsets forced, strips of 256 and 512) would be most of the budget there.</summary>
public sealed record FrontierOptions
{
    /// <summary>Tokens of a block, and of a page. Default 8.</summary>
    public int Block { get; init; } = 8;

    /// <summary>First keys that are always among the columns, and that an eviction leaves. Default 4.</summary>
    public int First { get; init; } = 4;

    /// <summary>Smallest distances that are always slashes. Default 8.</summary>
    public int Near { get; init; } = 8;

    /// <summary>Slashes of <see cref="FrontierMethod.VerticalSlash"/>, near ones included; columns take what is left of the budget. Default 16.</summary>
    public int Slashes { get; init; } = 16;

    /// <summary>Queries that judge the tokens before the question is known. Default 32.</summary>
    public int Window { get; init; } = 32;

    /// <summary>Last tokens of the text that an eviction before the question leaves. Default 8.</summary>
    public int Local { get; init; } = 8;

    /// <summary>Neighbours that importance is averaged over, odd. Default 3.</summary>
    public int Kernel { get; init; } = 3;

    /// <summary>Sequences of a point for each seed. Default 32.</summary>
    public int Sequences { get; init; } = 32;

    /// <summary>Resamples of the bootstrap. Default 2,000.</summary>
    public int Resamples { get; init; } = 2000;

    /// <summary>Throws when a value is out of its range.</summary>
    /// <exception cref="ArgumentException">A value is out of its range.</exception>
    public void Validate()
    {
        foreach ((string name, int value) in new[] { (nameof(Block), Block), (nameof(Near), Near), (nameof(Window), Window), (nameof(Sequences), Sequences) })
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value, name);
        ArgumentOutOfRangeException.ThrowIfNegative(First);
        ArgumentOutOfRangeException.ThrowIfNegative(Local);
        if (Slashes < Near) throw new ArgumentOutOfRangeException(nameof(Slashes), Slashes, $"Slashes must be at least the {Near} near ones.");
        if (Kernel < 1 || Kernel % 2 == 0) throw new ArgumentOutOfRangeException(nameof(Kernel), Kernel, "Kernel must be odd and positive.");
        ArgumentOutOfRangeException.ThrowIfLessThan(Resamples, 100);
    }
}
