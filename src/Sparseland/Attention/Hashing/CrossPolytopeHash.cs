using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Hashing;

/// <summary>The nearest of random directions and their opposites, argmax [x R; -x R] (Andoni et al. 2015; Reformer, Kitaev et al. 2020). Lengths of vectors do not matter.</summary>
public sealed class CrossPolytopeHash
{
    private readonly double[] _directions;

    /// <summary>Draws the directions.</summary>
    /// <param name="headDim">Width of the vectors.</param>
    /// <param name="buckets">Buckets, even: two for each direction.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <exception cref="ArgumentException">A number is not positive, or buckets is odd.</exception>
    public CrossPolytopeHash(int headDim, int buckets, long seed = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(headDim);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(buckets);
        if (buckets % 2 != 0) throw new ArgumentException($"{buckets} buckets: each direction makes two, so their number must be even.", nameof(buckets));
        (HeadDim, Count) = (headDim, buckets);
        _directions = HashDirections.Draw(headDim, buckets / 2, seed);
    }

    /// <summary>Width of the vectors.</summary>
    public int HeadDim { get; }

    /// <summary>Number of buckets.</summary>
    public int Count { get; }

    /// <summary>The buckets of vectors.</summary>
    /// <param name="x">[..., headDim].</param>
    /// <returns>[...], int64, from 0 to below <see cref="Count"/>; the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">Another width or type, or a value that is not finite.</exception>
    public Tensor Buckets(Tensor x)
    {
        HashDirections.CheckWidth(x, HeadDim);
        using IDisposable off = no_grad();
        using var scope = NewDisposeScope();
        Tensor projected = HashDirections.Project(x, _directions, HeadDim, Count / 2);
        return scope.MoveToOuter(cat([projected, projected.neg()], -1).argmax(-1));
    }
}
