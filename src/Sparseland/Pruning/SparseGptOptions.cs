using Sparseland.Tensors;

namespace Sparseland.Pruning;

/// <summary>Settings of <see cref="SparseGpt"/>.</summary>
public sealed record SparseGptOptions
{
    /// <summary>Share of the mean diagonal of H that is added to it. Default 0.01.</summary>
    public double Damping { get; init; } = 0.01;

    /// <summary>Columns that are chosen together and updated before the rest of the matrix is. Default 128; rounded up to whole runs of an N:M pattern.</summary>
    public int BlockSize { get; init; } = 128;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public void Validate()
    {
        Finite.NotNegative(Damping);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(BlockSize);
    }
}
