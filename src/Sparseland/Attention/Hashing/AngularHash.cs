using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Hashing;

/// <summary>Signs of random projections (Charikar 2002): two vectors agree in a bit with probability 1 - angle / pi. Codes are of all bits together.</summary>
public sealed class AngularHash
{
    private readonly double[] _directions;

    /// <summary>Draws the projections.</summary>
    /// <param name="headDim">Width of the vectors.</param>
    /// <param name="bits">Bits of a code, 1 to 62.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public AngularHash(int headDim, int bits, long seed = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(headDim);
        if (bits is < 1 or > 62) throw new ArgumentOutOfRangeException(nameof(bits), bits, "bits must be from 1 to 62.");
        (HeadDim, Bits) = (headDim, bits);
        _directions = HashDirections.Draw(headDim, bits, seed);
    }

    /// <summary>Width of the vectors.</summary>
    public int HeadDim { get; }

    /// <summary>Bits of a code.</summary>
    public int Bits { get; }

    /// <summary>The codes of vectors.</summary>
    /// <param name="x">[..., headDim].</param>
    /// <returns>[...], int64, from 0 to below 2^bits; the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">Another width or type, or a value that is not finite.</exception>
    public Tensor Codes(Tensor x)
    {
        HashDirections.CheckWidth(x, HeadDim);
        using IDisposable off = no_grad();
        using var scope = NewDisposeScope();
        Tensor powers = tensor(Enumerable.Range(0, Bits).Select(b => 1L << b).ToArray(), device: x.device);
        return scope.MoveToOuter(HashDirections.Project(x, _directions, HeadDim, Bits).gt(0).to(ScalarType.Int64).mul(powers).sum(-1));
    }

    /// <summary>How often two vectors share a code in at least one of several rounds: 1 - (1 - (1 - angle / pi)^bits)^rounds.</summary>
    /// <param name="angle">Angle between them in radians, 0 to pi.</param>
    /// <param name="bits">Bits of a code.</param>
    /// <param name="rounds">Independent rounds. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static double CollisionProbability(double angle, int bits, int rounds = 1)
    {
        if (!(angle is >= 0 and <= Math.PI)) throw new ArgumentOutOfRangeException(nameof(angle), angle, "angle must be from 0 to pi.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bits);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rounds);
        return 1 - Math.Pow(1 - Math.Pow(1 - (angle / Math.PI), bits), rounds);
    }
}
