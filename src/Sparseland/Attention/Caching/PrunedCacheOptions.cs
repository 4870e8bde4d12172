using Sparseland.Kernels;

namespace Sparseland.Attention.Caching;

/// <summary>How a <see cref="PrunedKeyValueCache"/> prunes.</summary>
public sealed record PrunedCacheOptions
{
    /// <summary>Share of each key's elements that goes, from 0 to below 1. Default 0.7.</summary>
    public double KeySparsity { get; init; } = 0.7;

    /// <summary>Share of each value's elements that goes, from 0 to below 1. Default 0.7.</summary>
    public double ValueSparsity { get; init; } = 0.7;

    /// <summary>Newest tokens that stay dense. Default 32.</summary>
    public int Residual { get; init; } = 32;

    /// <summary>Tokens that are packed together, a multiple of 64. Default 256.</summary>
    public int Group { get; init; } = 256;

    /// <summary>Throws when a value is out of its range.</summary>
    /// <exception cref="ArgumentException">A value is out of its range.</exception>
    public void Validate()
    {
        CachePruning.CheckShare(KeySparsity);
        CachePruning.CheckShare(ValueSparsity);
        ArgumentOutOfRangeException.ThrowIfNegative(Residual);
        if (Group < BitmapTiles.Width || Group % BitmapTiles.Width != 0) throw new ArgumentOutOfRangeException(nameof(Group), Group, $"Group must be a positive multiple of {BitmapTiles.Width}.");
    }
}
