namespace Sparseland.Kernels;

/// <summary>Least times of one product of a sparse matrix with a few vectors, in seconds.</summary>
/// <param name="LoadAsSparse">Read sparse, multiply dense, and unpack in between.</param>
/// <param name="ComputeAsSparse">Read sparse, multiply what is stored.</param>
/// <param name="Dense">Read and multiply everything.</param>
public sealed record SkinnyProductTimes(double LoadAsSparse, double ComputeAsSparse, double Dense);

/// <summary>
/// What sparse weights [M, K] with a share s of zeros are worth when they are multiplied by N vectors: reading is the limit while N is small, arithmetic when it is large (Xia et al. 2023, arXiv
/// 2309.10285, section 3, carried over to a processor).
/// </summary>
/// <remarks>
/// T of loading as sparse = max(bytes / bandwidth, 2 M K N / P) + 4 M K / cache bandwidth, the last for unpacking; of computing as sparse = max(bytes / bandwidth, 2 nnz N / P); dense = max(4 M K / bandwidth,
/// 2 M K N / P). P is the float rate; the two sparse ways compute 8 vectors or whole registers of 16, so that fewer leave lanes idle. Sparse bytes are those of bitmap tiles, dense ones float32.
/// </remarks>
public static class SkinnyProductModel
{
    private const int MostVectors = 1 << 14;

    /// <summary>Multiplications and additions for each number of 2 bytes that is moved, dense: M N / (M + N).</summary>
    /// <param name="m">M, rows of the weights, positive.</param>
    /// <param name="n">N, vectors, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive.</exception>
    public static double Intensity(int m, int n) => Intensity(m, n, 0);

    /// <summary>The same where only what is kept is loaded, indices not counted: M N / (M (1 - s) + N).</summary>
    /// <param name="m">M, rows of the weights, positive.</param>
    /// <param name="n">N, vectors, positive.</param>
    /// <param name="sparsity">s, share of zeros, from 0 to 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static double Intensity(int m, int n, double sparsity)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(m);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(n);
        return (double)m * n / ((m * Density(sparsity)) + n);
    }

    /// <summary>Bytes of Tiled-CSL entries over those of dense float16 weights: 2 (1 - s).</summary>
    /// <param name="sparsity">s, share of zeros, from 0 to 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is out of its range.</exception>
    public static double PairRatio(double sparsity) => 2 * Density(sparsity);

    /// <summary>Times on a machine.</summary>
    /// <param name="limits">What the machine can do.</param>
    /// <param name="m">M, rows of the weights, positive.</param>
    /// <param name="k">K, columns of the weights, positive.</param>
    /// <param name="n">N, vectors, positive.</param>
    /// <param name="sparsity">s, share of zeros, from 0 to 1.</param>
    /// <param name="valueBytes">Bytes of a stored value of the sparse formats: 4 or 2. Default 4.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static SkinnyProductTimes Predict(MachineLimits limits, int m, int k, int n, double sparsity, int valueBytes = sizeof(float))
    {
        ArgumentNullException.ThrowIfNull(limits);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(m);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(k);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(n);
        if (valueBytes is not (2 or 4)) throw new ArgumentOutOfRangeException(nameof(valueBytes), valueBytes, "A value takes 2 or 4 bytes.");
        double weights = (double)m * k, density = Density(sparsity), operations = 2 * weights * DenseTile.Width(n);
        double bytes = weights * ((valueBytes * density) + 0.125), dense = sizeof(float) * weights;
        return new(limits.LeastSeconds(bytes, operations) + limits.LeastSeconds(dense, cached: true), limits.LeastSeconds(bytes, operations * density), limits.LeastSeconds(dense, 2 * weights * n));
    }

    /// <summary>The number of vectors at which loading as sparse is no longer sooner done than the dense product, by the same times.</summary>
    /// <param name="limits">What the machine can do.</param>
    /// <param name="m">M, rows of the weights, positive.</param>
    /// <param name="k">K, columns of the weights, positive.</param>
    /// <param name="sparsity">s, share of zeros, from 0 to 1.</param>
    /// <param name="valueBytes">Bytes of a stored value of the sparse formats: 4 or 2. Default 4.</param>
    /// <returns>The least N with T of loading as sparse not below T dense; 1 where it never pays.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static int Crossing(MachineLimits limits, int m, int k, double sparsity, int valueBytes = sizeof(float))
    {
        for (int n = 1; n < MostVectors; n++)
        {
            SkinnyProductTimes times = Predict(limits, m, k, n, sparsity, valueBytes);
            if (times.LoadAsSparse >= times.Dense) return n;
        }

        return MostVectors;
    }

    private static double Density(double sparsity) =>
        sparsity is >= 0 and <= 1 ? 1 - sparsity : throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, "sparsity is from 0 to 1.");
}
