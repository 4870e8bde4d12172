namespace Sparseland.Kernels;

/// <summary>What collects a row of a product of two sparse matrices. All give the same numbers to the last bit.</summary>
public enum Accumulator
{
    /// <summary>The one that is expected to be fastest for each row: see <see cref="SpGemm.Choose"/>.</summary>
    Auto,

    /// <summary>One number and one bit per column of the result, with bits over words of bits, so that the columns come out in order without a sort.</summary>
    Dense,

    /// <summary>A table of column and value, multiplicative hash and linear probing; columns are sorted at the end.</summary>
    Hash,

    /// <summary>The rows of B are merged with a heap; columns are born in order.</summary>
    Merge,
}

/// <summary>Settings of <see cref="SpGemm"/>.</summary>
public sealed record SpGemmOptions
{
    /// <summary>What collects a row. Default <see cref="Accumulator.Auto"/>.</summary>
    public Accumulator Accumulator { get; init; } = Accumulator.Auto;

    /// <summary>Threads; 0, the default, for as many as libtorch has here. Results do not depend on it.</summary>
    public int Threads { get; init; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        if (!Enum.IsDefined(Accumulator)) throw new ArgumentOutOfRangeException(nameof(Accumulator), Accumulator, "Accumulator is Auto, Dense, Hash or Merge.");
        ArgumentOutOfRangeException.ThrowIfNegative(Threads);
    }
}
