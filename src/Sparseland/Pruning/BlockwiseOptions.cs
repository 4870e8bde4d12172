namespace Sparseland.Pruning;

/// <summary>Whose inputs a layer's statistics are.</summary>
public enum Propagation
{
    /// <summary>Those that come out of the blocks before, pruned already: a block sees the damage of earlier ones, not its own. The default of the field.</summary>
    Pruned,

    /// <summary>Those of the dense network everywhere.</summary>
    Dense,
}

/// <summary>How a decoder is pruned block by block.</summary>
public sealed record BlockwiseOptions
{
    /// <summary>Whose inputs the statistics are. Default <see cref="Propagation.Pruned"/>.</summary>
    public Propagation Propagation { get; init; } = Propagation.Pruned;

    /// <summary>Sequences that run at once. Default 8.</summary>
    public int Batch { get; init; } = 8;

    /// <summary>Layers that stay dense, by their name; null, the default, for none.</summary>
    public Func<string, bool>? Skip { get; init; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Batch);
        if (!Enum.IsDefined(Propagation)) throw new ArgumentOutOfRangeException(nameof(Propagation), Propagation, "Propagation is Pruned or Dense.");
    }
}
