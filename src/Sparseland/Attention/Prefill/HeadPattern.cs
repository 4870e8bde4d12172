namespace Sparseland.Attention.Prefill;

/// <summary>The shape of one head's sparsity: decided once for a model, while the indices are found anew in each text.</summary>
public abstract record HeadPattern
{
    private protected HeadPattern()
    {
    }

    /// <summary>Throws when sizes do not fit a text.</summary>
    /// <param name="tokens">Tokens of the text.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is out of its range.</exception>
    public abstract void Validate(int tokens);

    private protected static void Check(string name, int value, int low, int high)
    {
        if (value < low || value > high) throw new ArgumentOutOfRangeException(name, value, $"{name} is {value}; for this text it must be from {low} to {high}.");
    }
}

/// <summary>The first keys and the last ones; nothing is estimated.</summary>
/// <param name="Sinks">First keys.</param>
/// <param name="Window">Last keys, the query's own included.</param>
public sealed record AShape(int Sinks, int Window) : HeadPattern
{
    /// <inheritdoc/>
    public override void Validate(int tokens)
    {
        Check(nameof(Sinks), Sinks, 0, tokens);
        Check(nameof(Window), Window, 1, tokens);
    }
}

/// <summary>Some keys for all queries, and some distances.</summary>
/// <param name="Columns">How many keys.</param>
/// <param name="Slashes">How many distances.</param>
public sealed record VerticalSlash(int Columns, int Slashes) : HeadPattern
{
    /// <inheritdoc/>
    public override void Validate(int tokens)
    {
        Check(nameof(Columns), Columns, 0, tokens);
        Check(nameof(Slashes), Slashes, 0, tokens);
        if (Columns + Slashes == 0) throw new ArgumentOutOfRangeException(nameof(Columns), Columns, "A head without columns and slashes sees nothing.");
    }
}

/// <summary>Of each block of queries the blocks of keys that are alike in the mean; the diagonal block is one of them.</summary>
/// <param name="Blocks">Blocks of keys for a block of queries.</param>
public sealed record BlockTopK(int Blocks) : HeadPattern
{
    /// <inheritdoc/>
    public override void Validate(int tokens) => Check(nameof(Blocks), Blocks, 1, tokens);
}

/// <summary>Every key.</summary>
public sealed record DenseHead : HeadPattern
{
    /// <inheritdoc/>
    public override void Validate(int tokens)
    {
    }
}
