using Sparseland.Tensors;

namespace Sparseland.Kernels;

/// <summary>
/// What compression is worth where memory is the limit: a decoder that answers one user reads every weight once for each token, so speed is bytes over bytes, as long as
/// decompression keeps up. All formats are given as bits per place of the dense matrix; row pointers are left out. Many tokens at once are bound by arithmetic and not by
/// this.
/// </summary>
public static class BandwidthModel
{
    /// <summary>A dense matrix: v bits.</summary>
    /// <param name="bits">v, bits of a value, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is not positive.</exception>
    public static double Dense(int bits)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bits);
        return bits;
    }

    /// <summary>A bit for each place, and the values that are kept: v d + 1.</summary>
    /// <param name="density">d, share of values that are kept, from 0 to 1.</param>
    /// <param name="bits">v, bits of a value, positive. Default 32.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static double Bitmap(double density, int bits = 32) => (Checked(density) * Dense(bits)) + 1;

    /// <summary>Compressed sparse rows: (v + i) d.</summary>
    /// <param name="density">d, share of values that are kept, from 0 to 1.</param>
    /// <param name="bits">v, bits of a value, positive. Default 32.</param>
    /// <param name="indexBits">i, bits of a column index, positive. Default 16.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static double Csr(double density, int bits = 32, int indexBits = 16) => Checked(density) * (Dense(bits) + Dense(indexBits));

    /// <summary>N of every M values, each with its place among the M: N / M (v + b), b = 1, 2, 4 or 8, the least that holds M - 1 (<see cref="NofMMatrix"/>).</summary>
    /// <param name="n">N, from 1 to M.</param>
    /// <param name="m">M, from 2 to 256.</param>
    /// <param name="bits">v, bits of a value, positive. Default 32.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static double NofM(int n, int m, int bits = 32)
    {
        if (m is < 2 or > 256) throw new ArgumentOutOfRangeException(nameof(m), m, "m must be from 2 to 256.");
        if (n < 1 || n > m) throw new ArgumentOutOfRangeException(nameof(n), n, $"n must be from 1 to {m}.");
        return (double)n / m * (Dense(bits) + NofMMatrix.BitsFor(m));
    }

    /// <summary>How many times faster than a dense matrix.</summary>
    /// <param name="bitsPerPlace">Of the compressed matrix, positive.</param>
    /// <param name="denseBits">Bits of a value of the dense matrix, positive. Default 32.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive or not finite.</exception>
    public static double SpeedUp(double bitsPerPlace, int denseBits = 32)
    {
        Finite.Positive(bitsPerPlace);
        return Dense(denseBits) / bitsPerPlace;
    }

    private static double Checked(double density) =>
        density is >= 0 and <= 1 ? density : throw new ArgumentOutOfRangeException(nameof(density), density, "density must be from 0 to 1.");
}
