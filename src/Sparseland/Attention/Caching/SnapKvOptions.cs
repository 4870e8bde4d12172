namespace Sparseland.Attention.Caching;

/// <summary>How <see cref="SnapKv"/> and <see cref="AdaSnapKv"/> judge the tokens of a prompt. The defaults are those of the comparison of Nawrot et al. (2025), for prompts of tens of thousands of tokens.</summary>
public sealed record SnapKvOptions
{
    /// <summary>Last queries of the prompt, whose attention decides. Default 256.</summary>
    public int Window { get; init; } = 256;

    /// <summary>Neighbouring tokens that importance is averaged over, odd: what stands beside an important token stays with it. Default 21.</summary>
    public int Kernel { get; init; } = 21;

    /// <summary>First tokens that stay. Default 4.</summary>
    public int First { get; init; } = 4;

    /// <summary>Last tokens that stay. Default 128.</summary>
    public int Local { get; init; } = 128;

    /// <summary>Share of the capacity that each head keeps at least; matters to <see cref="AdaSnapKv"/> alone. Default 0.2.</summary>
    public double Least { get; init; } = 0.2;

    /// <summary>Throws when a value is out of its range.</summary>
    /// <exception cref="ArgumentException">A value is out of its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Window);
        if (Kernel < 1 || Kernel % 2 == 0) throw new ArgumentOutOfRangeException(nameof(Kernel), Kernel, "Kernel must be odd and positive: it has as many tokens on both sides.");
        ArgumentOutOfRangeException.ThrowIfNegative(First);
        ArgumentOutOfRangeException.ThrowIfNegative(Local);
        if (!(Least >= 0 && Least <= 1)) throw new ArgumentOutOfRangeException(nameof(Least), Least, "Least must be from 0 to 1.");
    }
}
